"""Prepared cells are read in part and extended; parts change nothing."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from treset.errors import TresetError
from treset.io.cells import extend_h5ad, read_kept, read_rows, slices, variables_of
from treset.io.h5ad import read_h5ad, write_h5ad

N, MARKERS = 1_000, ["CD3", "CD4", "CD19"]


def cells(dense: bool = True) -> anndata.AnnData:
    generator = np.random.default_rng(4)
    x = generator.normal(size=(N, 3)).astype(np.float32)
    obs = pd.DataFrame(
        {"qc_dna": False, "keep": generator.random(N) < 0.7, "sample": pd.Categorical(["s1"] * N), "batch": "p2"},
        index=[f"s1:{i}" for i in range(N)],
    )
    var = pd.DataFrame({"role": ["lineage", "lineage", "state"]}, index=MARKERS)
    protein = pd.DataFrame({"CD4 (protein)": np.arange(N, dtype=float)}, index=obs.index)
    made = anndata.AnnData(x if dense else sparse.csr_matrix(np.round(abs(x))), obs=obs, var=var)
    made.obsm["protein"] = protein
    made.layers["raw"] = made.X * 2
    made.uns["treset_io"] = {"format": "FCS3.1"}
    return made


@pytest.fixture(params=[True, False], ids=["dense", "sparse"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write_h5ad(cells(request.param), tmp_path / "prepared.h5ad")
    return tmp_path / "prepared.h5ad"


def dense(x: object) -> np.ndarray:
    return x.toarray() if sparse.issparse(x) else np.asarray(x)


@pytest.mark.parametrize("chunk", [1, 64, 999, 10_000])
def test_the_kept_cells_are_those_of_the_file_however_it_is_cut(file: Path, chunk: int) -> None:
    whole = read_h5ad(file)
    found = read_kept(file, ["CD19", "CD3"], ("protein", "absent"), chunk)
    keep = whole.obs["keep"].to_numpy()
    assert found.n_obs == N and np.array_equal(found.rows, np.flatnonzero(keep))
    assert np.array_equal(dense(found.cells.X), dense(whole[keep, ["CD19", "CD3"]].X))
    assert list(found.cells.var["role"]) == ["state", "lineage"]
    assert set(found.cells.obs["sample"]) == {"s1"} and set(found.cells.obs["batch"]) == {"p2"}
    assert np.array_equal(found.cells.obsm["protein"]["CD4 (protein)"], np.flatnonzero(keep))
    assert not found.cells.layers


@pytest.mark.parametrize("chunk", [7, 10_000])
def test_rows_are_read_with_all_that_the_sketch_takes(file: Path, chunk: int) -> None:
    whole, rows = read_h5ad(file), np.array([0, 3, 500, 998])
    found = read_rows(file, rows, ("protein",), chunk)
    assert np.array_equal(dense(found.X), dense(whole[rows].X))
    assert list(found.obs_names) == ["s1:0", "s1:3", "s1:500", "s1:998"]
    assert list(found.obsm["protein"].index) == list(found.obs_names)
    assert list(found.obsm["protein"]["CD4 (protein)"]) == rows.tolist()
    pd.testing.assert_frame_equal(found.var, whole.var)
    pd.testing.assert_frame_equal(variables_of(file), whole.var)


def test_a_marker_is_taken_without_a_copy(tmp_path: Path) -> None:
    write_h5ad(cells(), tmp_path / "a.h5ad")
    x = read_kept(tmp_path / "a.h5ad", MARKERS).cells.X
    assert x.dtype == np.float32 and x[:, 1].flags.c_contiguous and np.shares_memory(x[:, 1], x)


def test_a_variable_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(TresetError, match="lacks CD8, which the sketch has"):
        read_kept(file, ["CD3", "CD8"])


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    write_h5ad(cells()[:, :0].copy(), tmp_path / "a.h5ad")
    (tmp_path / "b.h5ad").write_bytes((tmp_path / "a.h5ad").read_bytes()[:3_000])
    with pytest.raises(TresetError, match=r"b\.h5ad"):
        read_kept(tmp_path / "b.h5ad", [])


def test_an_extended_file_holds_the_old_and_the_new_and_is_the_same_twice(file: Path, tmp_path: Path) -> None:
    label, place = pd.Categorical(["a", "b"] * (N // 2)), np.full((N, 2), np.nan, dtype=np.float32)
    before = file.read_bytes()
    for name in ("one.h5ad", "two.h5ad"):
        extend_h5ad(file, tmp_path / name, {"cluster": label}, {"X_umap": place}, {"treset": {"seed": "1"}})
    assert file.read_bytes() == before
    assert (tmp_path / "one.h5ad").read_bytes() == (tmp_path / "two.h5ad").read_bytes()
    whole, found = read_h5ad(file), read_h5ad(tmp_path / "one.h5ad")
    assert list(found.obs.columns) == [*whole.obs.columns, "cluster"]
    pd.testing.assert_frame_equal(found.obs[whole.obs.columns], whole.obs)
    assert list(found.obs["cluster"]) == list(label)
    assert np.isnan(found.obsm["X_umap"]).all() and found.uns["treset"]["seed"] == "1"
    assert found.uns["treset_io"]["format"] == "FCS3.1"
    assert np.array_equal(dense(found.X), dense(whole.X))
    assert np.array_equal(dense(found.layers["raw"]), dense(whole.layers["raw"]))


@given(st.integers(0, 500), st.integers(1, 60))
def test_slices_cover_every_row_once_and_none_is_much_larger(n: int, chunk: int) -> None:
    parts = list(slices(n, chunk))
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(n))
    assert all(part.stop - part.start <= 1.5 * chunk for part in parts)
    assert all(part.stop - part.start >= chunk / 2 for part in parts) or n < chunk / 2
