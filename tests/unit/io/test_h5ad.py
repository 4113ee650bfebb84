"""AnnData files: raw counts found or refused; our own files the same to the byte."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from treset.errors import TresetError
from treset.io.h5ad import peek_h5ad, read_h5ad, read_h5ad_counts, write_h5ad

_COUNTS = np.array([[0, 3, 1], [5, 0, 0]], dtype=np.float32)
_LOGGED = np.log1p(_COUNTS)


def _adata(values: np.ndarray | sp.csr_matrix) -> AnnData:
    obs = pd.DataFrame({"label": ["T", "B"]}, index=["c1", "c2"])
    return AnnData(values, obs=obs, var=pd.DataFrame(index=["CD3E", "FOXP3", "MS4A1"]))


def _place(where: str) -> AnnData:
    adata = _adata(_COUNTS if where == "X" else _LOGGED)
    if where.startswith("layers/"):
        adata.layers[where.removeprefix("layers/")] = sp.csr_matrix(_COUNTS)
    elif where == "raw/X":
        adata.raw = _adata(sp.csr_matrix(_COUNTS))
    return adata


@pytest.mark.parametrize("where", ["layers/counts", "layers/raw", "raw/X", "X"])
def test_counts_are_found_and_named(tmp_path: Path, where: str) -> None:
    _place(where).write_h5ad(tmp_path / "a.h5ad")
    found = read_h5ad_counts(tmp_path / "a.h5ad")
    assert sp.isspmatrix_csr(found.X) and found.X.dtype == np.float32
    np.testing.assert_array_equal(found.X.toarray(), _COUNTS)
    assert found.uns["treset_io"]["notes"][0] == f"raw counts taken from {where}"
    assert list(found.obs_names) == ["c1", "c2"] and found.obs.empty
    assert "(label) are not taken over" in found.uns["treset_io"]["notes"][1]
    assert peek_h5ad(tmp_path / "a.h5ad")[:2] == (2, ["CD3E", "FOXP3", "MS4A1"])


def test_transformed_data_are_refused(tmp_path: Path) -> None:
    adata = _adata(sp.csr_matrix(_LOGGED))
    adata.layers["counts"] = _COUNTS - 1
    adata.write_h5ad(tmp_path / "a.h5ad")
    with pytest.raises(TresetError, match=r"layers/counts holds the negative value -1; X holds the value 1.38629, no"):
        read_h5ad_counts(tmp_path / "a.h5ad")


def test_a_place_that_was_passed_over_is_told(tmp_path: Path) -> None:
    adata = _adata(_COUNTS)
    adata.layers["counts"] = _LOGGED
    adata.write_h5ad(tmp_path / "a.h5ad")
    assert "layers/counts holds the value" in read_h5ad_counts(tmp_path / "a.h5ad").uns["treset_io"]["notes"][1]


def test_gene_names_and_types(tmp_path: Path) -> None:
    adata = _adata(_COUNTS)
    adata.var_names = [f"ENSG{number:011d}" for number in range(3)]
    adata.var["feature_name"] = ["CD3E", "FOXP3", "FOXP3"]
    adata.var["feature_type"] = ["protein_coding", "protein_coding", "lncRNA"]
    adata.write_h5ad(tmp_path / "a.h5ad")
    found = read_h5ad_counts(tmp_path / "a.h5ad")
    assert list(found.var_names) == ["CD3E", "FOXP3", "FOXP3-1"]
    assert found.var["gene_id"].iloc[0] == "ENSG00000000000"
    # Biotypes say nothing of the kind of measurement.
    assert set(found.var["feature_type"]) == {"Gene Expression"}
    adata.var["feature_types"] = ["Gene Expression", "rna", "protein"]
    adata.write_h5ad(tmp_path / "a.h5ad")
    kinds = list(read_h5ad_counts(tmp_path / "a.h5ad").var["feature_type"])
    assert kinds == ["Gene Expression", "Gene Expression", "Antibody Capture"]


@pytest.mark.parametrize(
    ("key", "message"),
    [("X", "has none of"), ("var", "lacks var"), ("obs", "lacks obs"), ("obs/_index", "key obs cannot be read")],
)
def test_a_damaged_file_names_its_key(tmp_path: Path, key: str, message: str) -> None:
    path = tmp_path / "a.h5ad"
    _adata(_COUNTS).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        del file[key]
    with pytest.raises(TresetError, match=message):
        read_h5ad_counts(path)


def test_what_is_no_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "a.h5ad"
    path.write_bytes(b"not at all")
    for reader in (read_h5ad_counts, read_h5ad, peek_h5ad):
        with pytest.raises(TresetError, match="no readable HDF5"):
            reader(path)


def test_own_files_round_trip_and_do_not_change(tmp_path: Path) -> None:
    adata = _adata(sp.csr_matrix(_COUNTS))
    adata.layers["raw"] = _COUNTS
    adata.obs["population"] = pd.Categorical(["Treg", "B"])
    adata.obs["keep"] = [True, False]
    adata.obsm["technical"] = pd.DataFrame({"Time": [1.0, 2.0]}, index=adata.obs_names)
    adata.uns["treset_io"] = {"format": "FCS3.1", "notes": ["a", "b"]}
    for name in ("a.h5ad", "b.h5ad"):
        write_h5ad(adata, tmp_path / name)
    assert (tmp_path / "a.h5ad").read_bytes() == (tmp_path / "b.h5ad").read_bytes()
    back = read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(back.X.toarray(), _COUNTS)
    np.testing.assert_array_equal(back.layers["raw"], _COUNTS)
    assert list(back.obs["population"]) == ["Treg", "B"] and list(back.obs["keep"]) == [True, False]
    assert list(back.obsm["technical"]["Time"]) == [1.0, 2.0]
    assert list(back.uns["treset_io"]["notes"]) == ["a", "b"]
    backed = read_h5ad(tmp_path / "a.h5ad", backed=True)
    assert backed.isbacked and backed.shape == (2, 3)
    backed.file.close()


def test_sparse_is_packed_and_dense_is_plain(tmp_path: Path) -> None:
    adata = _adata(sp.csr_matrix(_COUNTS))
    adata.layers["raw"] = _COUNTS
    write_h5ad(adata, tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad") as file:
        # 32015 is the registered HDF5 filter of Zstandard.
        assert file["X/data"].id.get_create_plist().get_filter(0)[0] == 32015
        assert file["layers/raw"].id.get_create_plist().get_nfilters() == 0


def test_a_damaged_own_file_names_its_key(tmp_path: Path) -> None:
    write_h5ad(_adata(_COUNTS), tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        del file["obs/_index"]
    with pytest.raises(TresetError, match="obs"):
        read_h5ad(tmp_path / "a.h5ad")


@pytest.mark.realdata
def test_public_files(data_folder: Path) -> None:
    shapes = {path.name: read_h5ad_counts(path).shape for path in sorted((data_folder / "rna").glob("*.h5ad"))}
    assert shapes == {
        "eccite_pbmc_500.h5ad": (500, 19_574),
        "kang_ctrl_8donors.h5ad": (12_261, 1_287),
        "kang_example_sce.h5ad": (1_556, 1_267),
        "sorted10x_reference.h5ad": (2_140, 8_863),
    }
