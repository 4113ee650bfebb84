"""10x matrices: both HDF5 forms and both folder forms come back as written, and damage is named."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from treset.errors import TresetError
from treset.io.counts import keep_genes
from treset.io.tenx import read_10x, read_10x_names, write_10x_h5, write_10x_mtx

_COUNTS = np.array([[0, 3, 0, 1], [5, 0, 0, 0], [0, 0, 2, 70_000]])
_CELLS = ["AAAC-1", "AAAG-1", "AAAT-1"]
_GENES = ["CD3E", "FOXP3", "FOXP3", "MT-CO1"]
_IDS = ["ENSG1", "ENSG2", "ENSG3", "ENSG4"]


def _write(path: Path, form: str, **options: object) -> Path:
    arguments = {"counts": sp.csr_matrix(_COUNTS), "barcodes": _CELLS, "genes": _GENES, "gene_ids": _IDS} | options
    kind, version = form.split()
    path = path / ("m.h5" if kind == "h5" else "m")
    (write_10x_h5 if kind == "h5" else write_10x_mtx)(path, **arguments, version=int(version))
    return path


_FORMS = ["h5 2", "h5 3", "folder 2", "folder 3"]


@pytest.mark.parametrize("form", _FORMS)
def test_round_trip(tmp_path: Path, form: str) -> None:
    path = _write(tmp_path, form)
    adata = read_10x(path)
    assert sp.isspmatrix_csr(adata.X) and adata.X.dtype == np.float32
    np.testing.assert_array_equal(adata.X.toarray(), _COUNTS)
    assert list(adata.obs_names) == _CELLS
    assert list(adata.var_names) == ["CD3E", "FOXP3", "FOXP3-1", "MT-CO1"]
    assert list(adata.var["gene_id"]) == _IDS
    assert set(adata.var["feature_type"]) == {"Gene Expression"}
    assert "FOXP3-1" in adata.uns["treset_io"]["notes"][0]
    names = read_10x_names(path)
    assert (list(names.barcodes), list(names.features["symbol"])) == (_CELLS, _GENES)


@pytest.mark.parametrize("form", _FORMS)
def test_same_arguments_same_bytes(tmp_path: Path, form: str) -> None:
    first, second = (_write(tmp_path / name, form) for name in "ab")
    files = [first] if first.is_file() else sorted(first.iterdir())
    for file in files:
        twin = second if first.is_file() else second / file.name
        assert file.read_bytes() == twin.read_bytes()


def test_plain_files_of_the_new_form_and_a_prefix(tmp_path: Path) -> None:
    folder = _write(tmp_path, "folder 3")
    for file in list(folder.iterdir()):
        (folder / f"GSM1_{file.stem}").write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    np.testing.assert_array_equal(read_10x(folder).X.toarray(), _COUNTS)


@pytest.mark.parametrize("form", ["h5 3", "folder 3"])
def test_other_feature_types_are_kept_apart(tmp_path: Path, form: str) -> None:
    kinds = ["Gene Expression", "Gene Expression", "Antibody Capture", "Gene Expression"]
    path = _write(tmp_path, form, feature_types=kinds)
    adata = keep_genes(read_10x(path), path)
    assert list(adata.var_names) == ["CD3E", "FOXP3", "MT-CO1"]
    assert adata.obsm["Antibody Capture"]["FOXP3-1"].tolist() == [0, 0, 2]
    assert "1 features of type Antibody Capture are kept apart" in adata.uns["treset_io"]["notes"][-1]
    with pytest.raises(TresetError, match="Antibody Capture only"):
        keep_genes(read_10x(_write(tmp_path, form, feature_types=["Antibody Capture"] * 4)), path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"counts": _COUNTS * 0.5}, "no whole number"),
        ({"counts": -_COUNTS}, "negative"),
        ({"counts": _COUNTS * 1000}, "beyond what a count can be"),
        ({"barcodes": _CELLS[:2]}, "barcodes 2"),
    ],
)
def test_what_is_no_count_is_not_written(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(TresetError, match=message):
        _write(tmp_path, "h5 3", **options)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("matrix/data", np.array([3, 1, 5, -2, 1]), "the negative value -2"),
        ("matrix/data", np.array([3, 1, 5, 0.5, 1]), "0.5, no whole number"),
        ("matrix/data", np.array([3, 1]), "do not form a sparse 3 x 4 matrix"),
        ("matrix/indices", np.array([1, 3, 0, 2, 9]), "do not form a sparse"),
        ("matrix/indices", np.array([1, 1, 0, 2, 3]), "more than once"),
        ("matrix/indptr", np.array([0, 3, 2, 5]), "do not form a sparse"),
        ("matrix/shape", np.array([4, 2]), r"shape says \(4, 2\) but there are 4 features and 3 barcodes"),
        ("matrix/barcodes", np.array([b"A", b"A", b"B"]), "'A' comes more than once"),
        ("matrix/features/name", np.array([b"A"]), "differ in length"),
        ("matrix/indptr", None, "lacks the array matrix/indptr"),
        ("matrix", None, "is no 10x matrix of one genome"),
    ],
)
def test_damaged_h5(tmp_path: Path, key: str, value: np.ndarray | None, message: str) -> None:
    path = _write(tmp_path, "h5 3")
    with h5py.File(path, "r+") as file:
        del file[key]
        if value is not None:
            file[key] = value
    with pytest.raises(TresetError, match=message) as caught:
        read_10x(path)
    assert str(path) in str(caught.value)


def test_two_genomes_are_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, "h5 2")
    with h5py.File(path, "r+") as file:
        file.copy("GRCh38", "mm10")
    with pytest.raises(TresetError, match="2 genomes"):
        read_10x(path)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("matrix.mtx", None, "lacks matrix.mtx.gz or matrix.mtx"),
        ("barcodes.tsv", None, "lacks barcodes.tsv"),
        ("barcodes.tsv", "A\nB\n", "is 4 x 3 but the folder has 4 features and 2 barcodes"),
        ("genes.tsv", "ENSG1\n", "line 1 has fewer than two"),
        ("genes.tsv", "", "line 1 has fewer than two"),
        ("matrix.mtx", "%%MatrixMarket matrix coordinate real general\n4 3 1\n1 1 0.5\n", "no whole number"),
        ("matrix.mtx", "%%MatrixMarket matrix coordinate integer general\n4 3 2\n1 1 1\n1 1 2\n", "more than once"),
        ("matrix.mtx", "%%MatrixMarket matrix coordinate integer general\n4 3 3\n1 1 1\n1 2 2\n", "matrix-market"),
        ("matrix.mtx", "%%MatrixMarket matrix coordinate integer general\n4 3 99999999999\n1 1 1\n", "size allows"),
        ("matrix.mtx", "%%MatrixMarket matrix coordinate pattern general\n4 3 1\n1 1\n", "pattern general matrix"),
        ("matrix.mtx", "nothing of the kind", "matrix-market"),
    ],
)
def test_damaged_folder(tmp_path: Path, file: str, text: str | None, message: str) -> None:
    folder = _write(tmp_path, "folder 2")
    (folder / file).unlink()
    if text is not None:
        (folder / file).write_text(text)
    with pytest.raises(TresetError, match=message):
        read_10x(folder)


def test_doubled_and_cut_files(tmp_path: Path) -> None:
    folder = _write(tmp_path, "folder 3")
    cut = folder / "barcodes.tsv.gz"
    cut.write_bytes(cut.read_bytes()[:-9])
    with pytest.raises(TresetError, match=r"barcodes\.tsv\.gz: cannot be read"):
        read_10x(folder)
    _write(tmp_path, "folder 3")
    (folder / "barcodes.tsv").write_text("A\n")
    with pytest.raises(TresetError, match="expected one of them only"):
        read_10x(folder)
    with pytest.raises(TresetError, match="no such file"):
        read_10x(tmp_path / "absent.h5")


@pytest.mark.realdata
def test_pbmc3k(data_folder: Path) -> None:
    adata = read_10x(data_folder / "rna" / "pbmc3k_mtx")
    assert adata.shape == (2700, 32_738)
    # Sum and entries as scanpy's tutorial data set has them.
    assert (adata.X.sum(), adata.X.nnz) == (6_390_631, 2_286_884)
