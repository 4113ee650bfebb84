"""The checks on the headers of public data: what is tolerated is said, what cannot be measured is named."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from treset.errors import Faults
from treset.study import check_files, panel_rows, read_study

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif("TRESET_DATA" not in os.environ, reason="TRESET_DATA is not set"),
]
HEAD = "sample\tfile\tpatient\tvisit\tday"


@pytest.fixture
def data() -> Path:
    return Path(os.environ["TRESET_DATA"]).resolve()


def study(root: Path, head: str, rows: list[str], config: str) -> Path:
    (root / "samples.tsv").write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    (root / "config.yaml").write_text(f"study: s\nsamples: samples.tsv\n{config}", encoding="utf-8")
    return root / "config.yaml"


def test_bcrxl(tmp_path: Path, data: Path) -> None:
    with (data / "bcrxl" / "samples.csv").open(encoding="utf-8") as stream:
        rows = [
            f"{row['shortname']}\t{data / 'bcrxl' / row['file_name']}\t{row['patient']}\tblood\t0\t{row['condition']}"
            for row in csv.DictReader(stream)
        ]
    config = "modality: mass_cytometry\nmonitors: {discovery: {column: stimulus, reference: Ref, test: BCRXL}}\n"
    checked = read_study(study(tmp_path, f"{HEAD}\tstimulus", rows, config))
    assert len(checked.samples) == 16
    warnings = "\n".join(check_files(checked))
    assert "16 samples" in warnings
    assert "off by one" in warnings
    assert "without TCRgd: gdT" in warnings
    roles = {row["marker"]: row["role"] for row in panel_rows(checked)}
    assert roles["CD20"] == "lineage"
    assert roles["pS6"] == "state"


def test_a_primary_endpoint_that_the_files_cannot_answer(tmp_path: Path, data: Path) -> None:
    files = sorted((data / "bcrxl").glob("*.fcs"))[:2]
    rows = [f"{n}\t{file}\tP1\tD{n}\t{n}" for n, file in enumerate(files)]
    endpoint = "{name: e, role: primary, population: Treg, measure: percent_of_parent, visit: D1}"
    config = f"modality: mass_cytometry\nbaseline: D0\nmonitors: {{treg: {{endpoints: [{endpoint}]}}}}\n"
    with pytest.raises(Faults, match="needs the population 'Treg', which cannot be measured"):
        check_files(read_study(study(tmp_path, HEAD, rows, config)))


def test_truncated_and_corrupt_files_are_named(tmp_path: Path, data: Path) -> None:
    folder = data / "fcs_conformance" / "fcsparser"
    files = [folder / "corrupted" / "corrupted.fcs", folder / "cytek-nl-2000" / "sample_header.fcs"]
    rows = [f"{file.stem}\t{file}\tP1\tD{n}\t{n}" for n, file in enumerate(files)]
    with pytest.raises(Faults) as caught:
        check_files(read_study(study(tmp_path, HEAD, rows, "modality: flow_cytometry\n")))
    assert ["line 2" in message or "line 3" in message for message in caught.value.messages] == [True, True]
    assert "truncated" in caught.value.messages[1]


def test_rna(tmp_path: Path, data: Path) -> None:
    files = [data / "rna" / "pbmc3k_mtx", data / "rna" / "sorted10x_reference.h5ad"]
    rows = [f"{file.stem}\t{file}\tP{n}\tD0\t0" for n, file in enumerate(files)]
    checked = read_study(study(tmp_path, HEAD, rows, "modality: rna\n"))
    assert "Platelets" in "\n".join(check_files(checked))
    assert panel_rows(checked) == []
