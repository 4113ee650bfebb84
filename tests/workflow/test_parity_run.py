"""``treset parity`` on a small simulated trial under the fake GPU: two whole runs and their comparison."""

from __future__ import annotations

import json
import os
from pathlib import Path

import anndata
import pandas as pd
import pytest

from tests.workflow.conftest import CONFIG, REPOSITORY, small_study, treset

pytestmark = pytest.mark.slow

FAKES = REPOSITORY / "tests" / "fakes" / "gpu"


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the study, and what the command said."""
    folder = tmp_path_factory.mktemp("parity")
    config = CONFIG.replace("sketch_cells: 6000, umap_epochs: 50", "sketch_cells: 3000, umap_epochs: 20")
    small_study(folder, config)
    path = os.pathsep.join([str(FAKES), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = treset("parity", str(folder), "--cores", "2", cwd=folder, environment={"PYTHONPATH": path})
    assert (folder / "results" / "small" / "parity" / "parity.json").exists(), done.stdout[-3000:] + done.stderr[-3000:]
    return folder, done.stdout


@pytest.mark.slow
def test_both_backends_give_the_same_verdicts(compared: tuple[Path, str]) -> None:
    folder, said = compared
    found = json.loads((folder / "results" / "small" / "parity" / "parity.json").read_text())
    checks = {check["what"]: check for check in found["checks"]}
    assert checks["verdicts that are the same"]["within"] is True
    assert all(row["cpu"] == row["gpu"] for row in found["verdicts"])
    assert {row["monitor"]: row["cpu"] for row in found["verdicts"]}["treg"] == "met"
    assert checks["recall of the neighbours"]["found"] > 0.999
    assert checks["Leiden on the GPU repeats"]["within"] is True
    # the gates read no cluster and no neighbour in cytometry, so that they are the same to the cell
    assert all(row["f1"] in (1.0, None) for row in found["populations"] if row["reading"] == "gate")
    assert all(row["within"] for row in found["endpoints"] if row["origin"] == "gate") and len(found["endpoints"]) == 2
    assert ("the backends agree" in said) is found["agree"]


@pytest.mark.slow
def test_each_side_ran_where_it_should_and_says_so(compared: tuple[Path, str]) -> None:
    folder, _ = compared
    parity = folder / "results" / "small" / "parity"
    for side, device in (("cpu", "CPU"), ("gpu", "Fake GPU")):
        results = parity / side / "small"
        run = json.loads((results / "provenance" / "run.json").read_text())
        assert run["backend"]["used"] == side and device in run["backend"]["device"]
        assert [(row["used"], row["samples"]) for row in run["backend"]["map"]] == [(side, 12)]
        cells = anndata.read_h5ad(results / "samples" / "P01_D0" / "cells.h5ad")
        assert cells.uns["treset"]["map_backend_used"] == side
        page = (results / "report.html").read_text(encoding="utf-8")
        assert f"The cohort step ran on the {side} backend" in page and "The samples were mapped there too." in page
    gates = [
        table[table["origin"] == "gate"].reset_index(drop=True)
        for table in (pd.read_parquet(parity / side / "small" / "profiles.parquet") for side in ("cpu", "gpu"))
    ]
    pd.testing.assert_frame_equal(*gates)
    # it goes into the study's report where that is asked for only
    assert not (folder / "results" / "small" / "parity.json").exists()
