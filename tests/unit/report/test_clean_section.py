"""What the report says of the steps before the filters."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd

from treset.report.blocks import Note, Table
from treset.report.sections.clean import clean_blocks, cleaning
from treset.study.model import Clean

CLEAN = pd.DataFrame(
    [
        ("s1", "spillover", "", "", float("nan"), float("nan"), "keyword SPILL, 2 stains"),
        ("s1", "spillover", "median", "A", 105.0, 100.0, ""),
        ("s2", "spillover", "", "", float("nan"), float("nan"), "keyword SPILL, 2 stains"),
        ("s2", "spillover", "median", "A", 205.0, 200.0, ""),
    ],
    columns=["sample", "step", "measure", "channel", "before", "after", "note"],
)
BATCHES = pd.DataFrame(
    [
        ("CD3", "cells", 0.8, 0.2, 1.0, 1.0, "True", ""),
        ("CD3", "cluster 1", 0.9, 0.3, 1.0, 1.0, "True", ""),
        ("CD4", "cells", 0.1, 0.2, 1.0, 1.0, "False", "batches did not come closer"),
    ],
    columns=["marker", "population", "emd_before", "emd_after", "mad_before", "mad_after", "corrected", "reason"],
)


def blocks(clean: pd.DataFrame, batches: pd.DataFrame, method: str = "cytonorm"):
    study = SimpleNamespace(clean=Clean(batch=method))  # type: ignore[arg-type]
    results = SimpleNamespace(clean=clean, batches=batches)
    return clean_blocks(SimpleNamespace(results=results, study=study))  # type: ignore[arg-type]


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def test_nothing_was_done_and_nothing_is_shown() -> None:
    assert blocks(pd.DataFrame(), pd.DataFrame()) == []


def test_notes_and_medians_before_and_after() -> None:
    notes, medians = blocks(CLEAN, pd.DataFrame())
    assert texts(notes) == [["spillover", "keyword SPILL, 2 stains", "2"]]
    assert texts(medians) == [["spillover", "median", "A", "155", "150", "2"]]


def test_batches_say_what_was_taken_back() -> None:
    note, table = blocks(pd.DataFrame(), BATCHES)
    assert isinstance(note, Note)
    assert "in 1 of 2 markers" in note.text
    assert "from 0.8 to 0.2" in note.text
    assert [row[0] for row in texts(table)] == ["CD3", "CD4"]
    assert "batches did not come closer" in texts(table)[1]
    assert "by their anchors" in note.text
    note, _ = blocks(pd.DataFrame(), BATCHES, "cycombine")
    assert "by clusters of all samples in 1 of 2 markers" in note.text
    note, _ = blocks(pd.DataFrame(), BATCHES.assign(corrected="False"))
    assert note.kind == "warning"
    assert "all values are as they were" in note.text


def test_methods_name_the_steps_that_were_asked_for() -> None:
    def said(clean: Clean, modality: str) -> str:
        return " ".join(cleaning(SimpleNamespace(clean=clean, modality=modality)))  # type: ignore[arg-type]

    assert said(Clean(), "mass_cytometry") == ""
    assert "inverse of the matrix" in said(Clean(), "flow_cytometry")
    everything = said(Clean("m.csv", "dvs", (), True, "cytonorm"), "mass_cytometry")
    for word in ("Finck", "non-negative least squares", "m.csv", "PeacoQC", "CytoNorm"):
        assert word in everything
    assert "cyCombine" in said(Clean(batch="cycombine"), "mass_cytometry")
