"""Labels in FCS files: what was recorded stays, what was found is added, read by our reader and by flowio."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import flowio
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from treset.errors import TresetError
from treset.io.fcs import read_fcs, write_fcs
from treset.io.h5ad import write_h5ad
from treset.jobs.export import ADDED, export_fcs

EVENTS = np.arange(24, dtype=np.float32).reshape(6, 4) / 3


@pytest.fixture
def study(tmp_path: Path):
    results = tmp_path / "results"
    file = tmp_path / "raw.fcs"
    write_fcs(file, EVENTS, ["Time", "A", "B", "C"], ["", "CD3", "CD4", ""], {"$CYT": "Helios", "SPILL": "1,A,1"})
    obs = pd.DataFrame(
        {
            "keep": [True, True, False, True, True, True],
            "cluster": ["C02", "C01", "", "C01", "", "C02"],
            "population": ["Treg", "unassigned", "dropped by quality", "B", "Treg", "B"],
            "cluster_population": ["Treg", "B", "", "B", "unassigned", "Treg"],
        },
        index=[f"s:{n}" for n in range(6)],
    )
    umap = np.array([[0, 1], [2, 3], [np.nan, np.nan], [4, 5], [6, 7], [10, 9]], dtype=np.float32)
    cells = AnnData(EVENTS[:, 1:3].copy(), obs=obs.astype({c: "category" for c in obs if c != "keep"}))
    cells.obsm["X_umap"] = umap
    write_h5ad(cells, results / "samples" / "s" / "cells.h5ad")
    (results / "cohort").mkdir()
    pd.DataFrame({"population": ["Treg", "B"]}).to_csv(results / "cohort" / "populations.tsv", sep="\t", index=False)
    pd.DataFrame({"cluster": ["C01", "C02"]}).to_csv(results / "cohort" / "clusters.tsv", sep="\t", index=False)
    sheet = pd.DataFrame({"sample": ["s"], "file": [str(file)]})
    return SimpleNamespace(modality="mass_cytometry", included=sheet, results=results, root=tmp_path)


def test_channels_labels_and_codes(study, tmp_path: Path):
    written = export_fcs(study, tmp_path / "out")
    assert [path.name for path in written] == ["s.fcs", "labels.tsv"]
    header, events = read_fcs(written[0])
    assert header.channels == ("Time", "A", "B", "C", *ADDED)
    np.testing.assert_array_equal(events[:, :4], EVENTS)
    found = dict(zip(ADDED, events[:, 4:].T, strict=True))
    assert found["treset_kept"].tolist() == [1, 1, 0, 1, 1, 1]
    assert found["treset_cluster"].tolist() == [2, 1, 0, 1, 0, 2]
    assert found["treset_population"].tolist() == [1, 3, 0, 2, 1, 2]
    assert found["treset_cluster_population"].tolist() == [1, 2, 0, 2, 3, 1]
    assert found["treset_umap_1"].tolist() == [0, 2, -1, 4, 6, 10]
    assert found["treset_event"].tolist() == [1, 2, 3, 4, 5, 6]
    assert header.text["$CYT"] == "Helios"
    assert header.text["SPILL"] == "1,A,1"
    assert header.text["TRESET_POPULATION_1"] == "Treg"
    table = pd.read_csv(written[1], sep="\t")
    assert table.loc[table["channel"] == "treset_population", "label"].tolist() == ["Treg", "B", "unassigned"]


def test_another_reader_opens_it(study, tmp_path: Path):
    path = export_fcs(study, tmp_path / "out")[0]
    data = flowio.FlowData(str(path))
    assert data.event_count == 6
    assert data.pnn_labels[-len(ADDED) :] == list(ADDED)
    values = np.reshape(data.events, (6, -1))
    np.testing.assert_array_equal(values, read_fcs(path)[1])


def test_kept_events_only_can_be_traced(study, tmp_path: Path):
    _, events = read_fcs(export_fcs(study, tmp_path / "out", dropped=False)[0])
    assert events[:, -1].tolist() == [1, 2, 4, 5, 6]


def test_same_bytes_twice(study, tmp_path: Path):
    first, second = (export_fcs(study, tmp_path / name)[0].read_bytes() for name in "ab")
    assert first == second


def test_faults(study, tmp_path: Path):
    with pytest.raises(TresetError, match="no sample x"):
        export_fcs(study, tmp_path / "out", ["x"])
    write_fcs(Path(study.included["file"][0]), EVENTS[:5], ["Time", "A", "B", "C"])
    with pytest.raises(TresetError, match="has 5 events and the run saw 6"):
        export_fcs(study, tmp_path / "out")
    (study.results / "samples" / "s" / "cells.h5ad").unlink()
    with pytest.raises(TresetError, match="run the study to its end"):
        export_fcs(study, tmp_path / "out")
    study.modality = "rna"
    with pytest.raises(TresetError, match="of RNA"):
        export_fcs(study, tmp_path / "out")
