"""Samples mapped onto the cohort of a finished study."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.workflow.conftest import CONFIG, snakemake, treset

LATER = ["P01_D0", "P01_D8", "P02_D0", "P02_D8"]


@pytest.fixture
def later(finished: Path, tmp_path: Path) -> Path:
    """A study of two of the patients, on the frozen cohort of all."""
    folder = tmp_path / "later"
    folder.mkdir()
    sheet = pd.read_csv(finished / "samples.tsv", sep="\t", dtype=str, keep_default_na=False)
    sheet = sheet[sheet["sample"].isin(LATER)]
    sheet["file"] = [str(finished / name) for name in sheet["file"]]
    sheet.to_csv(folder / "samples.tsv", sep="\t", index=False)
    (folder / "panel.tsv").write_text((finished / "panel.tsv").read_text(encoding="utf-8"), encoding="utf-8")
    frozen = finished / "results" / "small" / "cohort"
    config = CONFIG.replace("cohort: {", f"cohort: {{frozen: {str(frozen)!r}, ").replace("study: small", "study: later")
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    return folder


def test_samples_on_a_frozen_cohort_read_as_they_did_in_it(finished: Path, later: Path) -> None:
    said = snakemake(later)
    assert "rule cohort" not in said
    before = pd.read_parquet(finished / "results" / "small" / "profiles.parquet")
    after = pd.read_parquet(later / "results" / "later" / "profiles.parquet")
    before = before[before["sample"].isin(LATER)].reset_index(drop=True)
    pd.testing.assert_frame_equal(after.reset_index(drop=True), before)
    mapping = pd.read_csv(later / "results" / "later" / "mapping.tsv", sep="\t")
    assert mapping["sample"].tolist() == LATER
    assert (mapping["unlike_sketch"] < 0.05 * mapping["cells"]).all()
    report = (later / "results" / "later" / "report.html").read_text(encoding="utf-8")
    assert "frozen cohort" in report


def test_another_cofactor_is_refused_before_anything_is_copied(later: Path) -> None:
    sheet = pd.read_csv(later / "samples.tsv", sep="\t", dtype=str, keep_default_na=False)
    sheet[sheet["patient"] == "P02"].to_csv(later / "samples.tsv", sep="\t", index=False)
    panel = pd.read_csv(later / "panel.tsv", sep="\t", dtype=str, keep_default_na=False)
    panel.loc[panel["marker"] == "CD27", "cofactor"] = "7"
    panel.to_csv(later / "panel.tsv", sep="\t", index=False)
    done = treset("run", str(later), "--cores", "2", cwd=later)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert "does not fit this study" in said and "sample P02_D8: the cofactor of CD27 is not the cohort's" in said
    assert not (later / "results" / "later" / "cohort" / "sketch.h5ad").exists()


def test_a_frozen_cohort_that_is_not_there_is_a_fault_of_the_config(later: Path) -> None:
    config = (later / "config.yaml").read_text(encoding="utf-8")
    start = config.index("frozen: ") + len("frozen: ")
    (later / "config.yaml").write_text(config[:start] + "nowhere, " + config[config.index(" sketch_cells") + 1 :])
    done = treset("check", str(later), cwd=later)
    assert done.returncode != 0
    assert "the frozen cohort" in done.stdout + done.stderr and "has no sketch.h5ad" in done.stdout + done.stderr
