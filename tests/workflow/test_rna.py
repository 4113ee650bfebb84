"""A small simulated scRNA-seq trial in 10x files, from raw counts to the report."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.workflow.conftest import snakemake
from treset.io.table import write_tsv
from treset.simulate import expected_sheet, plan, write

CONFIG = """\
study: rna
modality: rna
samples: samples.tsv
baseline: D0
seed: 3
backend: cpu
cohort: {sketch_cells: 1500, umap_epochs: 30}
normalise: {n_top_genes: 500}
monitors:
  treg:
    min_events: 5
    endpoints:
      - {name: treg_expansion, role: primary, population: Treg, measure: percent_of_parent, visit: D8}
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the study's results are, once it was run."""
    folder = tmp_path_factory.mktemp("rna")
    trial = plan(
        "il2_open_label", modality="rna", patients=1, events=900, seed=5, visits=["D0", "D8"], days=[0, 8],
        treg_folds=[1.0, 2.0], cd25_folds=[1.0, 1.5], foxp3_folds=[1.0, 1.3], nk_bright_folds=[1.0, 1.0],
        diseases=["lupus"],
    )  # fmt: skip
    write(trial, folder / "data")
    write_tsv(expected_sheet(trial), folder / "samples.tsv")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    snakemake(folder)
    return folder / "results" / "rna"


def test_counts_become_a_report(results: Path) -> None:
    report = (results / "report.html").read_text(encoding="utf-8")
    assert "scRNA-seq" in report and "Cell map" in report
    # one patient: no test can be made, and it says so
    assert "not evaluable" in report


def test_the_large_populations_have_the_shares_that_were_simulated(results: Path) -> None:
    profiles = pd.read_parquet(results / "profiles.parquet")
    shares = profiles[(profiles["measure"] == "percent_of_total") & (profiles["origin"] == "gate")]
    found = shares.groupby("population")["value"].mean()
    truth = pd.read_csv(results.parents[1] / "data" / "truth" / "composition.tsv", sep="\t")
    true = truth.groupby("population")["true_percent_of_total"].mean()
    lines = ["T", "B", "NK", "Myeloid"]
    assert found[lines].to_numpy() == pytest.approx(true[lines].to_numpy(), rel=0.15)
