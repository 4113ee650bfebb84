"""Studies at the edge: nothing fails, nothing is made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anndata as ad
import fake_results
import numpy as np
import pandas as pd
import pytest
from page_reader import Element, downloads, parse
from scipy import sparse

from treset.report import build_report
from treset.study import model


def built(study: model.Study, folder: Path) -> Element:
    return parse(build_report(study, folder, folder / "report.html").read_text(encoding="utf-8"))


def change(folder: Path, **columns: object) -> None:
    path = folder / "profiles.parquet"
    pd.read_parquet(path).assign(**columns).to_parquet(path)


def test_visits_without_days(tmp_path: Path) -> None:
    study = fake_results.il2(tmp_path, cells=100)
    study = replace(study, samples=study.samples.assign(day=np.nan))
    change(tmp_path, day=np.nan)
    page = built(study, tmp_path)
    assert "D0" in page.find("svg")[0].text


def test_bcell_visits_without_days_draw_no_day_marks(tmp_path: Path) -> None:
    study = fake_results.cart(tmp_path, cells=100)
    study = replace(study, samples=study.samples.assign(day=np.nan))
    change(tmp_path, day=np.nan)
    figure = built(study, tmp_path).find("svg")[0].text
    assert "x: visit" in figure


def test_one_patient_one_visit(tmp_path: Path) -> None:
    study = fake_results.il2(tmp_path, cells=100)
    one = study.samples[study.samples["sample"] == "P01_D0"]
    waist = pd.read_parquet(tmp_path / "profiles.parquet")
    waist[waist["sample"] == "P01_D0"].to_parquet(tmp_path / "profiles.parquet")
    page = built(replace(study, samples=one), tmp_path)
    assert "1 subject" in page.find("header")[0].text
    assert "1 sample" in page.find("header")[0].text


def test_values_that_are_all_missing(tmp_path: Path) -> None:
    study = fake_results.il2(tmp_path, cells=100)
    change(tmp_path, value=np.nan)
    assert "the profiles hold no value" in built(study, tmp_path).find("main")[0].text


def test_monitor_without_rows(tmp_path: Path) -> None:
    study = fake_results.bcrxl(tmp_path, cells=100)
    path = tmp_path / "monitors/discovery/effects.tsv"
    pd.read_csv(path, sep="\t").iloc[:0].to_csv(path, sep="\t", index=False)
    page = built(study, tmp_path).find("main")[0].text
    assert "No differential state could be tested." in page


def test_a_discovery_without_a_row_has_a_card_and_no_empty_table(tmp_path: Path) -> None:
    study = fake_results.bcrxl(tmp_path, cells=100)
    path = tmp_path / "monitors/discovery/effects.tsv"
    pd.read_csv(path, sep="\t").head(0).to_csv(path, sep="\t", index=False)
    page = built(study, tmp_path)
    assert all(table.find("td") for table in page.find("table"))


def test_discovery_that_could_test_nothing_says_why_and_shows_no_table(tmp_path: Path) -> None:
    study = fake_results.bcrxl(tmp_path, cells=100)
    path = tmp_path / "monitors/discovery/effects.tsv"
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    blank = dict.fromkeys(("estimate", "lower", "upper", "p_value", "q_value"), "")
    table.assign(**blank, verdict="not evaluable", note="2 complete pairs, 3 needed").to_csv(
        path, sep="\t", index=False
    )
    section = built(study, tmp_path).find("section", id="discovery")[0]
    assert "No differential state could be tested: 2 complete pairs, 3 needed." in section.text
    assert f"{(table['measure'] == 'median').sum()} features in monitors/discovery/effects.tsv" in section.text
    assert section.find("table") == []


def test_external_profiles_only(tmp_path: Path) -> None:
    study = fake_results.il2(tmp_path, cells=100)
    waist = pd.read_parquet(tmp_path / "profiles.parquet")
    waist[waist["origin"] == "gate"].assign(origin="external").to_parquet(tmp_path / "profiles.parquet")
    treg = replace(study.monitors.treg, origin="external")
    page = built(replace(study, monitors=model.Monitors(treg=treg)), tmp_path)
    assert "external, tested" in page.find("svg")[0].text
    assert "gates and clusters cannot be compared" in page.find("main")[0].text


def test_no_monitor(tmp_path: Path) -> None:
    study = replace(fake_results.il2(tmp_path, cells=100), monitors=model.Monitors())
    (tmp_path / "monitors" / "treg" / "summary.json").unlink()
    page = built(study, tmp_path)
    assert len(page.find("span", class_="badge")) == 1  # data quality


def test_stimulated_samples_stay_out_of_the_course(tmp_path: Path) -> None:
    study = fake_results.il2(tmp_path, cells=100)
    stimulus = np.where(study.samples["sample"] == "P01_D8", "IL-2 in vitro", "")
    page = built(replace(study, samples=study.samples.assign(stimulus=stimulus)), tmp_path)
    held = downloads(page)["treg_expansion.tsv"]
    assert "P01_D8" not in set(held["sample"])
    assert "P01_D0" in set(held["sample"])


def test_shared_controls_are_no_patients(tmp_path: Path) -> None:
    study = fake_results.il2(tmp_path, cells=100)
    anchored = study.samples.assign(anchor=study.samples["patient"] == "P02")
    page = built(replace(study, samples=anchored), tmp_path)
    assert "11 subjects" in page.find("header")[0].text
    assert "P02" not in set(downloads(page)["treg_expansion.tsv"]["patient"])


@pytest.mark.parametrize("kind", ["csr", "dense"])
def test_rna_shows_the_genes_of_the_rules(tmp_path: Path, kind: str) -> None:
    study = fake_results.il2(tmp_path, cells=200)
    path = tmp_path / "cohort" / "sketch.h5ad"
    sketch = ad.read_h5ad(path)
    genes = [f"GENE{i}" for i in range(300)]
    genes[7], genes[250] = "CD3E", "FOXP3"
    X = np.random.default_rng(1).poisson(0.4, (200, 300)).astype(np.float32)
    made = ad.AnnData(sparse.csr_matrix(X) if kind == "csr" else X, obs=sketch.obs, var=pd.DataFrame(index=genes))
    made.obsm["X_umap"] = sketch.obsm["X_umap"]
    made.write_h5ad(path)
    rules = (
        model.Population("T", None, (model.Condition(("CD3D", "CD3E"), "+", "mean"),)),
        model.Population("Treg", "T", (model.Condition(("FOXP3",), "+"),)),
    )
    page = built(replace(study, modality="rna", populations=rules, panel=None), tmp_path)
    values = downloads(page)["cluster_values.tsv"]
    assert set(values.columns) == {"cluster", "CD3E", "FOXP3"}
    cells = sketch.obs["cluster"].to_numpy() == "C01"
    assert float(values.set_index("cluster").loc["C01", "FOXP3"]) == pytest.approx(X[cells, 250].mean(), rel=1e-5)


def test_sketch_without_positions_says_so(tmp_path: Path) -> None:
    study = fake_results.il2(tmp_path, cells=100)
    path = tmp_path / "cohort" / "sketch.h5ad"
    sketch = ad.read_h5ad(path)
    del sketch.obsm["X_umap"]
    sketch.write_h5ad(path)
    page = built(study, tmp_path)
    assert "no cell map can be drawn" in page.find("section", id="cells")[0].text
    assert page.find("canvas") == []


def test_ids_stay_text(tmp_path: Path) -> None:
    study = fake_results.il2(tmp_path, cells=100)
    path = tmp_path / "monitors/treg/patients.tsv"
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    table["patient"] = [f"{i:03d}" for i in range(len(table))]
    table.to_csv(path, sep="\t", index=False)
    assert downloads(built(study, tmp_path))["treg_patients.tsv"]["patient"].tolist()[:3] == ["000", "001", "002"]


def test_changes_of_two_arms_stand_side_by_side(tmp_path: Path) -> None:
    study = fake_results.bcrxl(tmp_path, cells=100)
    arms = {f"patient{i + 1}": "drug" if i < 5 else "placebo" for i in range(8)}
    study = replace(study, samples=study.samples.assign(arm=study.samples["patient"].map(arms)))
    settings = replace(study.monitors.discovery, between=model.Contrast("drug", "placebo"))
    study = replace(study, monitors=model.Monitors(discovery=settings))
    path = tmp_path / "monitors/discovery/effects.tsv"
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    said = "drug: up in 5 of 5 pairs, placebo: down in 2 of 3 pairs; common dispersion 0.1"
    table.assign(note=said).to_csv(path, sep="\t", index=False)
    page = built(study, tmp_path)
    section = page.find("section", id="discovery")[0]
    assert "the changes of arm drug and placebo compared" in section.text
    heads, first = section.find("table")[0].find("tr")[:2]
    heads, first = ([cell.text.strip() for cell in line.find("th") + line.find("td")] for line in (heads, first))
    row = dict(zip(heads, first, strict=True))
    assert row["direction"] == "drug: up in 5 of 5 pairs, placebo: down in 2 of 3 pairs"
    assert row["note"] == "common dispersion 0.1" and row["difference"].startswith("+2.7")
    # pS6 of B rises by 2.7 in all patients
    assert [float(row[f"median change, {arm}"]) for arm in arms.values()] == pytest.approx([2.7] * 8, abs=0.2)
    assert "beyond that in placebo" in page.find("main")[0].text
