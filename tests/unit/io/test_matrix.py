"""Text matrices: read exactly, and every fault named by line and column."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from treset.errors import Faults, TresetError
from treset.io.matrix import count_lines, read_matrix


def _write(folder: Path, text: str, name: str = "m.csv") -> Path:
    path = folder / name
    content = text.encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


@pytest.mark.parametrize("name", ["m.csv", "m.tsv", "m.txt", "m.csv.gz", "m.TSV.gz"])
def test_cells_by_markers(tmp_path: Path, name: str) -> None:
    text = "\ufeffCD3, CD19\n1.5,-2\n0,1e3\n\n"
    path = _write(tmp_path, text if "csv" in name else text.replace(",", "\t"), name)
    adata = read_matrix(path, "mass_cytometry")
    np.testing.assert_array_equal(adata.X, np.array([[1.5, -2], [0, 1e3]], dtype=np.float32))
    assert adata.X.dtype == np.float32
    assert list(adata.var_names) == ["CD3", "CD19"] == list(adata.var["marker"])
    assert count_lines(path) == 2


def test_names_of_rows(tmp_path: Path) -> None:
    adata = read_matrix(_write(tmp_path, "cell,CD3\nc1,1\nc2,2\n\n"), "flow_cytometry")
    assert (list(adata.obs_names), list(adata.var_names)) == (["c1", "c2"], ["CD3"])
    # R's write.table leaves out the name of the column of names.
    adata = read_matrix(_write(tmp_path, "CD3,CD4\nc1,1,3\nc2,2,4\n"), "flow_cytometry")
    assert (list(adata.obs_names), adata.X.tolist()) == (["c1", "c2"], [[1, 3], [2, 4]])


def test_genes_by_cells(tmp_path: Path) -> None:
    adata = read_matrix(_write(tmp_path, "gene,c1,c2,c3\nCD3E,0,3,1\nFOXP3,5,0,0\n"), "rna")
    assert sp.isspmatrix_csr(adata.X)
    np.testing.assert_array_equal(adata.X.toarray(), [[0, 5], [3, 0], [1, 0]])
    assert (list(adata.obs_names), list(adata.var_names)) == (["c1", "c2", "c3"], ["CD3E", "FOXP3"])
    assert list(adata.var["gene_id"]) == ["CD3E", "FOXP3"]


def test_all_faults_at_once(tmp_path: Path) -> None:
    path = _write(tmp_path, "a,b,b,\n1,,x,1\n\n1,nan,2,inf\n1,2,3\n")
    with pytest.raises(Faults) as caught:
        read_matrix(path, "flow_cytometry")
    assert [message.removeprefix(f"{path}: ") for message in caught.value.messages] == [
        "line 1, column 4 has no name; give the marker's or cell's name.",
        "line 1, column 'b' comes 2 times (columns 2, 3).",
        "line 2, column 'b' is blank, expected a number.",
        "line 2, column 'b' is 'x', expected a number.",
        "line 3 is blank, expected 4 numbers.",
        "line 4, column 'b' is 'nan', expected a number.",
        "line 4, column 4 is 'inf', expected a number.",
        "line 5, column 4 is blank, expected a number.",
    ]


def test_many_faults_are_counted(tmp_path: Path) -> None:
    with pytest.raises(Faults, match="and 15 more") as caught:
        read_matrix(_write(tmp_path, "a,b\n" + "1,x\n" * 35), "flow_cytometry")
    assert len(caught.value.messages) == 21


@pytest.mark.parametrize(
    ("text", "name", "modality", "message"),
    [
        ("a;b\n1;2\n", "m.csv", "flow_cytometry", "not split by commas .*found semicolons"),
        ("a,b\n1,2\n", "m.tsv", "flow_cytometry", "not split by tabs .*found commas"),
        ("", "m.csv", "flow_cytometry", "not split by commas"),
        ("a,b\n", "m.csv", "flow_cytometry", "no rows"),
        ("a,b\n\n\n", "m.csv", "flow_cytometry", "no rows"),
        ("a,b\n1,2\n1,2,3\n", "m.csv", "flow_cytometry", "no regular table"),
        ("a,b\n1,2,3,4\n", "m.csv", "flow_cytometry", "header has 2 columns and line 2 has 4"),
        ("a,b\nTrue,False\n", "m.csv", "flow_cytometry", "'True', expected a number"),
        ("a,b\n1e39,1\n", "m.csv", "flow_cytometry", "beyond the range of float32"),
        ("gene,c1\nCD3E,0.5\n", "m.csv", "rna", "0.5, no whole number"),
        ("gene,c1\nCD3E,-1\n", "m.csv", "rna", "negative value -1"),
        ("cell,CD3E\nACGTACGTACGTACGT-1,3\n", "m.csv", "rna", "transpose the table"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path: Path, text: str, name: str, modality: str, message: str) -> None:
    with pytest.raises(TresetError, match=message) as caught:
        read_matrix(_write(tmp_path, text, name), modality)
    assert str(tmp_path) in str(caught.value)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(b"a,b\xff\n1,2\n")
    with pytest.raises(TresetError, match="not UTF-8"):
        read_matrix(path, "flow_cytometry")
    cut = _write(tmp_path, "a,b\n1,2\n" * 50, "m.csv.gz")
    cut.write_bytes(cut.read_bytes()[:-12])
    with pytest.raises(TresetError, match="cannot be read"):
        read_matrix(cut, "flow_cytometry")
    with pytest.raises(TresetError, match="no such file"):
        read_matrix(tmp_path / "absent.csv", "rna")
