"""Tables and sketch for other programs hold the results' numbers, and nothing runs in them."""

from __future__ import annotations

import shutil
import sys
import warnings
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "report"))

import fake_results

from treset.errors import TresetError
from treset.export.cp import COLUMNS, cp_rows, short_names, study_day, test_codes
from treset.export.multimodal import export_mudata
from treset.export.sketch import export_sketch
from treset.export.tables import export_tables, write_excel


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    fake_results.il2(folder, cells=300, arms=("IL-2", "placebo"))
    (folder / "provenance" / "config.yaml").write_text("study: fake\nmodality: mass_cytometry\n")
    return folder


@pytest.fixture(scope="module")
def exported(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the tables are; only looked at."""
    folder = tmp_path_factory.mktemp("exported")
    export_tables(results, folder)
    return folder


def test_tables_hold_every_row_of_the_waist_once(results: Path, exported: Path) -> None:
    waist = pd.read_parquet(results / "profiles.parquet")
    frequencies, medians = (pd.read_csv(exported / f"{n}.tsv", sep="\t") for n in ("frequencies", "medians"))
    assert len(frequencies) + len(medians) == len(waist)
    assert set(frequencies["measure"]) & set(medians["measure"]) == set()
    assert np.isclose(
        frequencies["value"].sum(), waist.loc[waist["measure"].isin(frequencies["measure"]), "value"].sum()
    )
    effects = pd.read_csv(exported / "effects.tsv", sep="\t")
    assert set(effects["monitor"]) == {"treg"} or "treg" in set(effects["monitor"])


def test_excel_is_the_same_table_and_the_same_bytes(results: Path, exported: Path, tmp_path: Path) -> None:
    export_tables(results, tmp_path / "b")
    assert (exported / "tables.xlsx").read_bytes() == (tmp_path / "b" / "tables.xlsx").read_bytes()
    sheet = pd.read_excel(exported / "tables.xlsx", sheet_name="frequencies", engine="openpyxl")
    table = pd.read_csv(exported / "frequencies.tsv", sep="\t")
    assert list(sheet.columns) == list(table.columns)
    # Excel's numbers have 15 to 16 digits; the TSV is exact
    np.testing.assert_allclose(sheet["value"], table["value"], rtol=1e-15)


def test_text_in_excel_is_no_formula(tmp_path: Path) -> None:
    import openpyxl

    write_excel(
        {"t": pd.DataFrame({"patient": ["=1+1", "@x", "a\x00b", "007"], "v": [1.5, np.nan, 2, 3]})}, tmp_path / "t.xlsx"
    )
    rows = list(openpyxl.load_workbook(tmp_path / "t.xlsx")["t"].iter_rows(min_row=2))
    assert [row[0].data_type for row in rows] == ["s"] * 4
    assert [row[0].value for row in rows] == ["=1+1", "@x", "a\ufffdb", "007"]
    assert [row[1].value for row in rows] == [1.5, None, 2, 3]


def test_a_table_too_long_for_excel_is_said(tmp_path: Path) -> None:
    with pytest.raises(TresetError, match="long: more than 1048575 rows do not fit"):
        write_excel({"long": pd.DataFrame({"a": np.zeros(1_048_576, np.int8)})}, tmp_path / "t.xlsx")
    assert not (tmp_path / "t.xlsx").exists()


def test_cp_rows_follow_the_domain(results: Path) -> None:
    waist = pd.read_parquet(results / "profiles.parquet")
    waist.loc[waist.index[waist["measure"] == "median"][0], "value"] = np.nan
    rows = cp_rows(waist, "fake", "mass_cytometry")
    assert list(rows.columns) == list(COLUMNS) and set(rows["DOMAIN"]) == {"CP"}
    assert len(rows) == (waist["origin"] != "cluster").sum()
    assert rows["CPTESTCD"].str.fullmatch(r"[A-Z][A-Z0-9]{0,7}").all()
    assert (rows["CPTEST"].str.len() <= 40).all()
    assert (rows.groupby("CPTESTCD")["CPTEST"].nunique() == 1).all()
    assert (rows.groupby("CPTEST")["CPTESTCD"].nunique() == 1).all()
    assert not rows.duplicated(["USUBJID", "CPSEQ"]).any()
    absent = rows[rows["CPSTRESN"].isna()]
    assert len(absent) == 1 and set(absent["CPSTAT"]) == {"NOT DONE"} and set(absent["CPORRES"]) == {""}
    treg = rows[(rows["CPTEST"] == "Treg % of CD4 T")]
    assert set(treg["CPORRESU"]) == {"%"} and set(treg["VISIT"]) == {"D0", "D8", "D28"}


def test_there_is_no_day_zero() -> None:
    assert [study_day(d) for d in (-7.0, -1.0, 0.0, 8.0, 0.5, float("nan"))] == ["-7", "-1", "1", "9", "", ""]


def test_codes_and_names_stay_unique_when_cut() -> None:
    names = [f"{'A very long population name ' * 3}{k} median" for k in range(1200)]
    assert len(set(test_codes(names).values())) == len(set(short_names(names).values())) == 1200
    assert max(map(len, short_names(names).values())) <= 40


def test_the_sketch_opens_with_the_usual_keys(results: Path, tmp_path: Path) -> None:
    out = export_sketch(results, tmp_path / "s.h5ad")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cells = anndata.read_h5ad(out)
    assert cells.X.dtype == np.float32 and cells.n_obs == 300
    assert np.isfinite(cells.obsm["X_umap"]).all() and cells.obsm["X_umap"].shape == (300, 2)
    assert {"sample", "patient", "visit", "arm", "population", "cluster"} <= set(cells.obs)
    assert all(isinstance(cells.obs[c].dtype, pd.CategoricalDtype) for c in ("patient", "visit", "arm", "population"))
    assert cells.obs_names.is_unique and cells.var_names.is_unique and "CD25" in cells.var_names
    with h5py.File(out) as file:
        forms: list[str] = []
        file.visititems(lambda _, item: forms.append(str(item.attrs.get("encoding-type"))))
        assert "nullable-string-array" not in forms, "older readers (cellxgene) do not know it"


def test_a_folder_without_results_is_said(tmp_path: Path) -> None:
    with pytest.raises(TresetError, match="name the results folder of a finished study"):
        export_tables(tmp_path, tmp_path / "out")
    with pytest.raises(TresetError, match="name the results folder of a finished study"):
        export_sketch(tmp_path, tmp_path / "s.h5ad")


def cite_seq(results: Path, folder: Path) -> Path:
    """A copy of results whose sketch has surface protein, one gene and one antibody of the same name."""
    shutil.copytree(results, folder)
    path = folder / "cohort" / "sketch.h5ad"
    cells = anndata.read_h5ad(path)
    values = np.random.default_rng(2).gamma(2, 1, (cells.n_obs, 2)).astype(np.float32)
    cells.obsm["protein"] = pd.DataFrame(values, index=cells.obs_names, columns=["CD4 (protein)", "CD25 (protein)"])
    cells.obsm["X_umap"][5] = np.nan
    cells.write_h5ad(path)
    return folder


def test_cite_seq_opens_as_two_modalities_of_the_same_cells(results: Path, tmp_path: Path) -> None:
    mudata = pytest.importorskip("mudata")
    folder = cite_seq(results, tmp_path / "cite")
    source = anndata.read_h5ad(folder / "cohort" / "sketch.h5ad")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = export_mudata(folder, tmp_path / "s.h5mu")
        both = mudata.read_h5mu(out)
    assert set(both.mod) == {"rna", "prot"} and both.n_obs == 299
    assert list(both["rna"].obs_names) == list(both["prot"].obs_names) == list(both.obs_names)
    assert list(both["prot"].var["marker"]) == ["CD4", "CD25"] and both.var_names.is_unique
    np.testing.assert_array_equal(both["prot"].X, source.obsm["protein"].drop(index="5").to_numpy())
    np.testing.assert_array_equal(both["rna"].X, np.delete(source.X, 5, axis=0))
    assert {"sample", "patient", "visit", "population", "cluster"} <= set(both.obs)
    assert both.obs["population"].tolist() == source.obs["population"].drop(index="5").tolist()
    assert both.obsm["X_umap"].shape == (299, 2) and np.isfinite(both.obsm["X_umap"]).all()


def test_a_study_without_surface_protein_has_no_second_modality(results: Path, tmp_path: Path) -> None:
    pytest.importorskip("mudata")
    with pytest.raises(TresetError, match="holds no surface protein"):
        export_mudata(results, tmp_path / "s.h5mu")
    assert not (tmp_path / "s.h5mu").exists()


def test_without_mudata_the_command_says_what_to_install(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mudata", None)
    with pytest.raises(TresetError, match=r"pip install 'treset\[mudata\]'"):
        export_mudata(results, tmp_path / "s.h5mu")
