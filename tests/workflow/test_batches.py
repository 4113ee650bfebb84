"""Two plates with different stains, levelled by the workflow: by their shared control, and without one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.workflow.conftest import snakemake
from treset.io.h5ad import read_h5ad
from treset.io.table import write_tsv
from treset.simulate import expected_sheet, plan, write

CONFIG = """\
study: plates
modality: mass_cytometry
samples: samples.tsv
panel: panel.tsv
baseline: D0
seed: 3
backend: cpu
clean: {{batch: {method}}}
cohort: {{sketch_cells: 4000, umap_epochs: 5, resolution: 1.0}}
monitors:
  treg:
    min_events: 10
    endpoints:
      - {{name: treg_expansion, role: primary, population: Treg, measure: percent_of_parent, visit: D8}}
"""


def run(folder: Path, method: str, patients: int, events: int) -> Path:
    """A trial on two plates whose stains differ, with the same donor on both for CytoNorm; where its results are."""
    trial = plan(
        "il2_open_label", patients=patients, events=events, seed=5, visits=["D0", "D8"], days=[0, 8],
        treg_folds=[1.0, 2.5], cd25_folds=[1.0, 1.8], foxp3_folds=[1.0, 1.3], nk_bright_folds=[1.0, 1.0],
        diseases=["lupus"], batches=2, batch_sd=0.4,
    )  # fmt: skip
    sheet = expected_sheet(trial)
    if method == "cytonorm":
        first = trial.plans["P01_D0"]
        plans = {f"control_{b}": replace(first, sample=f"control_{b}", batch=b) for b in ("plate1", "plate2")}
        write(replace(trial, plans=plans), folder / "data")
        row = sheet.iloc[0].to_dict() | {"patient": "control", "visit": "control", "day": "", "arm": "", "disease": ""}
        controls = [
            row | {"sample": name, "file": f"data/{name}.fcs", "batch": p.batch, "anchor": "true"}
            for name, p in plans.items()
        ]
        sheet = pd.concat(
            [sheet.assign(anchor="false", file="data/" + sheet["sample"] + ".fcs"), pd.DataFrame(controls)]
        )
    else:
        sheet["file"] = "data/" + sheet["sample"] + ".fcs"
    write(trial, folder / "data")
    write_tsv(sheet, folder / "samples.tsv")
    write_tsv(trial.panel, folder / "panel.tsv")
    (folder / "config.yaml").write_text(CONFIG.format(method=method), encoding="utf-8")
    snakemake(folder, "--notemp")
    return folder / "results" / "plates"


def apart(results: Path, file: str, markers: list[str]) -> float:
    """Mean difference between the plates' medians of the markers, over all cells that are kept."""
    medians: dict[str, list[np.ndarray]] = {}
    for path in sorted(results.glob(f"samples/*/{file}")):
        cells = read_h5ad(path)
        kept = np.asarray(cells[cells.obs["keep"].to_numpy(), markers].X)
        medians.setdefault(str(cells.obs["batch"].iloc[0]), []).append(np.median(kept, axis=0))
    first, second = (np.mean(found, axis=0) for found in medians.values())
    return float(np.abs(first - second).mean())


@pytest.mark.parametrize(
    ("method", "patients", "events"),
    [("cytonorm", 2, 3000), pytest.param("cycombine", 8, 2000, marks=pytest.mark.slow)],
)
def test_plates_are_levelled_and_the_report_says_so(tmp_path: Path, method: str, patients: int, events: int) -> None:
    results = run(tmp_path, method, patients, events)
    table = pd.read_csv(results / "cohort" / "batches.tsv", sep="\t", keep_default_na=False)
    whole = table[table["population"] == "cells"].set_index("marker")
    levelled = list(whole.index[whole["corrected"].astype(str) == "True"])
    assert {"CD45", "CD38"} <= set(levelled), whole
    # what is levelled came closer; what is not has its reason
    assert whole.loc[levelled, "emd_after"].sum() < 0.5 * whole.loc[levelled, "emd_before"].sum()
    assert (whole.drop(index=levelled)["reason"] != "").all()
    # the cells that are clustered are the levelled ones, and the counts below them are not touched
    assert apart(results, "prepared.h5ad", levelled) < 0.5 * apart(results, "recorded.h5ad", levelled)
    before, after = (read_h5ad(results / "samples" / "P01_D0" / f"{name}.h5ad") for name in ("recorded", "prepared"))
    assert np.array_equal(before.layers["raw"], after.layers["raw"])
    # the controls teach, and no patient's result holds them
    profiles = pd.read_parquet(results / "profiles.parquet")
    share = profiles[(profiles["measure"] == "percent_of_parent") & (profiles["origin"] == "gate")]
    treg = share[share["population"] == "Treg"].pivot_table(index="patient", columns="visit", values="value")
    assert (treg["D8"] / treg["D0"]).median() == pytest.approx(2.5, rel=0.3)
    assert "control" not in set(pd.read_csv(results / "monitors" / "treg" / "patients.tsv", sep="\t")["patient"])
    page = (results / "report.html").read_text(encoding="utf-8")
    assert {"cytonorm": "CytoNorm", "cycombine": "cyCombine"}[method] in page
