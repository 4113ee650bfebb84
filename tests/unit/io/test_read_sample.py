"""One door for all formats: what is read, what is refused, and what is checked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from treset.errors import Faults, TresetError
from treset.io import check_values, file_format, peek, read_sample
from treset.io.fcs import write_fcs
from treset.io.panel import apply_panel, propose_panel
from treset.io.tenx import write_10x_h5, write_10x_mtx

_COUNTS = sp.csr_matrix(np.array([[1, 0], [2, 3]]))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """One sample in every format."""
    found = {name: tmp_path / file for name, file in [("fcs", "a.fcs"), ("10x_h5", "a.h5"), ("10x_folder", "a")]}
    found |= {"h5ad": tmp_path / "a.h5ad", "matrix": tmp_path / "a.csv"}
    write_fcs(found["fcs"], np.ones((2, 2)), ["Time", "Er166Di"], ["", "166Er_CD25"])
    write_10x_h5(found["10x_h5"], _COUNTS, ["c1", "c2"], ["CD3E", "FOXP3"])
    write_10x_mtx(found["10x_folder"], _COUNTS, ["c1", "c2"], ["CD3E", "FOXP3"])
    AnnData(_COUNTS, obs=pd.DataFrame(index=["c1", "c2"]), var=pd.DataFrame(index=["CD3E", "FOXP3"])).write_h5ad(
        found["h5ad"]
    )
    found["matrix"].write_text("gene,c1,c2\nCD3E,1,2\nFOXP3,0,3\n")
    return found


def test_formats_are_known_by_content(files: dict[str, Path], tmp_path: Path) -> None:
    assert {name: file_format(path) for name, path in files.items()} == {name: name for name in files}
    renamed = tmp_path / "sample.001"
    renamed.write_bytes(files["fcs"].read_bytes())
    assert file_format(renamed) == "fcs"
    other = tmp_path / "a.docx"
    other.write_bytes(b"PK")
    with pytest.raises(TresetError, match="of no known format"):
        file_format(other)
    (tmp_path / "b.h5ad").write_bytes(b"PK")
    with pytest.raises(TresetError, match="no HDF5 file whatever its name"):
        file_format(tmp_path / "b.h5ad")
    with pytest.raises(TresetError, match="no such file"):
        file_format(tmp_path / "absent.fcs")


@pytest.mark.parametrize("name", ["10x_h5", "10x_folder", "h5ad", "matrix"])
def test_every_rna_format_gives_the_same_sample(files: dict[str, Path], name: str) -> None:
    adata = read_sample(files[name], "rna")
    np.testing.assert_array_equal(adata.X.toarray(), _COUNTS.toarray())
    assert sp.isspmatrix_csr(adata.X) and adata.X.dtype == np.float32
    assert (list(adata.var_names), list(adata.obs_names)) == (["CD3E", "FOXP3"], ["c1", "c2"])
    assert set(adata.uns["treset_io"]) == {"format", "notes"}
    check_values(adata, "s1")
    found = peek(files[name], "rna")
    assert found.n_cells == 2
    assert found.variables in (("CD3E", "FOXP3"), ())


def test_an_fcs_sample(files: dict[str, Path]) -> None:
    adata = read_sample(files["fcs"], "mass_cytometry")
    assert adata.X.dtype == np.float32
    assert (list(adata.var_names), list(adata.var["marker"])) == (["Time", "Er166Di"], ["", "166Er_CD25"])
    assert adata.uns["treset_io"] == {"format": "FCS3.1", "notes": []}
    found = peek(files["fcs"], "flow_cytometry")
    assert (found.format, found.n_cells, found.variables) == ("FCS3.1", 2, ("Time", "Er166Di"))
    assert found.markers == ("", "166Er_CD25")


def test_a_text_matrix_of_cytometry(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("cell,CD3,CD19\nc1,1,2\nc2,3,4\n")
    assert list(read_sample(path, "mass_cytometry").var["marker"]) == ["CD3", "CD19"]
    found = peek(path, "mass_cytometry")
    assert (found.n_cells, found.variables, found.markers) == (2, ("CD3", "CD19"), ("CD3", "CD19"))


@pytest.mark.parametrize(
    ("name", "modality", "message"),
    [
        ("fcs", "rna", "an FCS file .* modality is rna"),
        ("10x_h5", "mass_cytometry", "a 10x count matrix .* modality is mass_cytometry"),
        ("10x_folder", "flow_cytometry", "a 10x count matrix"),
        ("h5ad", "mass_cytometry", "h5ad file of counts"),
    ],
)
def test_the_wrong_modality_is_refused(files: dict[str, Path], name: str, modality: str, message: str) -> None:
    for reader in (read_sample, peek):
        with pytest.raises(TresetError, match=message):
            reader(files[name], modality)


def test_log_amplified_channels_are_linear_and_told(store: Callable[..., Path]) -> None:
    data = np.array([0, 512], dtype="<u2").tobytes()
    path = store(data, 2, (["FL1"], [16], [1024]), ("I", "1,2"), {"$P1E": "4,1"})
    adata = read_sample(path, "flow_cytometry")
    np.testing.assert_allclose(adata.X[:, 0], [1, 100])
    assert adata.uns["treset_io"]["notes"] == ["log-amplified channels were made linear ($PnE): FL1"]


def test_what_float32_cannot_hold_is_told_or_refused(make: Callable[..., Path]) -> None:
    wide = {"$DATATYPE": "D", "$P1B": "64", "$P2B": "64"}
    values = np.array([[0.1, 1.0], [0.5, 2.0], [0.25, 3.0]])
    adata = read_sample(make(wide, values.astype("<f8").tobytes()), "flow_cytometry")
    assert adata.uns["treset_io"]["notes"] == ["values rounded to float32 (7 digits): FSC-A"]
    values[0, 0] = 1e300
    with pytest.raises(TresetError, match="beyond the range of float32"):
        read_sample(make(wide, values.astype("<f8").tobytes()), "flow_cytometry")


def _events(n: int = 500) -> AnnData:
    values = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    var = pd.DataFrame({"marker": ["CD3", "CD19", "pS6", ""]}, index=["a", "b", "c", "d"])
    panel = pd.DataFrame(
        {"channel": ["a", "b", "c"], "marker": ["CD3", "CD19", "pS6"], "role": ["lineage", "lineage", "state"]}
    ).assign(cofactor=np.nan)
    return apply_panel(AnnData(values, var=var), panel, {}, "s1")


def test_values_are_checked_all_at_once() -> None:
    adata = _events()
    check_values(adata, "s1")
    adata.X[[7, 9], 0] = [np.nan, np.inf]
    adata.X[:, 1] = 0
    adata.X[:, 2] = 1
    adata.X[:, 3] = np.nan
    with pytest.raises(Faults) as caught:
        check_values(adata, "s1")
    first, second = caught.value.messages
    assert "channel a (CD3) has 2 values that are not finite, the first (nan) in event 8" in first
    assert "lineage channel b (CD19) is 0 in all 500 events" in second


def test_a_constant_channel_of_few_events_says_nothing() -> None:
    adata = _events(499)
    adata.X[:, 1] = 0
    check_values(adata, "s1")


@pytest.mark.parametrize(("value", "message"), [(-1.0, "negative value -1"), (0.5, "no whole number")])
def test_counts_are_checked(files: dict[str, Path], value: float, message: str) -> None:
    adata = read_sample(files["10x_h5"], "rna")
    adata.X.data[0] = value
    with pytest.raises(Faults, match=message):
        check_values(adata, "s1")


def test_reading_headers_imports_no_heavy_library() -> None:
    code = "import sys, treset.io; print(sorted({'pandas', 'anndata', 'scanpy', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("pattern", "modality", "lineage", "state"),
    [
        ("bcrxl/*.fcs", "mass_cytometry", 10, 14),
        ("himc_plate3/*.fcs", "mass_cytometry", 35, 2),
        ("cytonorm/*.fcs", "mass_cytometry", 27, 10),
        ("flow_tcell/*.fcs", "flow_cytometry", 9, 0),
    ],
)
def test_public_panels(data_folder: Path, pattern: str, modality: str, lineage: int, state: int) -> None:
    paths = sorted(data_folder.glob(pattern))
    found = {path.name: peek(path, modality) for path in paths}
    panel = propose_panel({name: (one.variables, one.markers) for name, one in found.items()})
    counts = panel["role"].value_counts()
    assert (counts["lineage"], counts.get("state", 0)) == (lineage, state)
    adata = apply_panel(read_sample(paths[0], modality), panel, {}, paths[0].name)
    check_values(adata, paths[0].name)
    assert adata.n_obs == found[paths[0].name].n_cells
