"""AnnData files: raw counts from a user's ``.h5ad``, and the pipeline's own files, fast and the same to the byte."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import hdf5plugin
import numpy as np
import pandas as pd
import scipy.sparse as sp

from treset.errors import TresetError
from treset.io.counts import RNA_TYPE, counts_anndata, counts_csr, counts_fault
from treset.io.files import atomic
from treset.io.tenx import open_h5

if TYPE_CHECKING:
    from anndata import AnnData

#: Where raw counts may be, in order of preference.
_PLACES = ("layers/counts", "layers/raw", "raw/X", "X")
_SYMBOLS = ("gene_symbols", "gene_symbol", "feature_name", "gene_name", "gene_names", "symbol")
_IDS = ("gene_id", "gene_ids", "ensembl_id", "feature_id", "ENSEMBL")
#: Names of feature types in 10x; a column of this name may hold biotypes instead, which say nothing here.
_TYPES = {
    "gene expression": RNA_TYPE,
    "rna": RNA_TYPE,
    "antibody capture": "Antibody Capture",
    "protein": "Antibody Capture",
    "surface protein": "Antibody Capture",
    "adt": "Antibody Capture",
    "hto": "Multiplexing Capture",
    "hashtag": "Multiplexing Capture",
    "multiplexing capture": "Multiplexing Capture",
    "crispr guide capture": "CRISPR Guide Capture",
    "custom": "Custom",
    "peaks": "Peaks",
}
_READ_ERRORS = (OSError, KeyError, ValueError, TypeError, IndexError, AttributeError, NotImplementedError)


def read_h5ad_counts(path: Path | str) -> AnnData:
    """Find and read the raw counts of a user's AnnData file.

    Looked for in ``layers["counts"]``, ``layers["raw"]``, ``raw.X`` and ``X``, in this order; the first that holds
    whole non-negative numbers throughout is used and named in the notes. Nothing in the file is executed or unpickled.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    AnnData as `treset.io.tenx.read_10x` gives it. Columns of ``obs`` are not taken over (a note says so).

    Raises
    ------
    TresetError
        The file is damaged (the message names the key), or no place holds raw counts.
    """
    path = Path(path)
    notes: list[str] = []
    with open_h5(path) as file:
        place = _counts_place(path, file, notes)
        frame = "raw/var" if place == "raw/X" else "var"
        var, obs = _frame(path, file, frame), _frame(path, file, "obs")
        counts = _csr(path, file, place, (len(obs), len(var)))
    features, told = _features(var)
    adata = counts_anndata(counts, obs.index.to_numpy(), features, f"h5ad, {place}", path)
    notes += told
    if len(obs.columns):
        notes.append(
            f"the file's {len(obs.columns)} columns of cells ({', '.join(obs.columns[:5])}) are not taken over"
        )
    adata.uns["treset_io"]["notes"] = [f"raw counts taken from {place}", *notes, *adata.uns["treset_io"]["notes"]]
    return adata


def peek_h5ad(path: Path | str) -> tuple[int, list[str], list[str]]:
    """Read names only: number of cells, gene symbols, and the places where counts may be."""
    path = Path(path)
    with open_h5(path) as file:
        places = [place for place in _PLACES if place in file]
        if not places:
            raise TresetError(_no_counts(path, file))
        var = _frame(path, file, "raw/var" if places[0] == "raw/X" else "var")
        cells = _frame(path, file, "obs")
    features, _ = _features(var)
    return len(cells), list(features["symbol"]), places


def _no_counts(path: Path, file: h5py.File) -> str:
    return (
        f"{path}: has none of {', '.join(_PLACES)} (its keys: {', '.join(file) or 'none'}), expected an AnnData file "
        "with raw counts."
    )


def _counts_place(path: Path, file: h5py.File, notes: list[str]) -> str:
    """The first place that holds counts; what was passed over goes into the notes or the refusal."""
    passed = []
    for place in _PLACES:
        if place not in file:
            continue
        fault = _values_fault(path, file, place)
        if not fault:
            notes += passed
            return place
        passed.append(f"{place} holds {fault}")
    if not passed:
        raise TresetError(_no_counts(path, file))
    raise TresetError(
        f"{path}: holds no raw counts ({'; '.join(passed)}): values were transformed; put the raw counts into "
        'layers["counts"].'
    )


def _values_fault(path: Path, file: h5py.File, place: str) -> str:
    node = file[place]
    values = node.get("data") if isinstance(node, h5py.Group) else node
    if not isinstance(values, h5py.Dataset) or values.dtype.kind not in "iufb":
        raise TresetError(f"{path}: {place} is no matrix of numbers; write the file again with a current anndata.")
    step = max(1, 2**22 // max(1, int(np.prod(values.shape[1:]))))
    for start in range(0, values.shape[0] if values.ndim else 0, step):
        try:
            fault = counts_fault(values[start : start + step].ravel())
        except _READ_ERRORS as error:
            raise TresetError(f"{path}: {place} cannot be read ({error}); copy the file again.") from None
        if fault:
            return fault
    return ""


def _csr(path: Path, file: h5py.File, place: str, shape: tuple[int, int]) -> sp.csr_matrix:
    matrix = _element(path, file, place)
    if matrix.shape != shape:
        raise TresetError(f"{path}: {place} is {matrix.shape} but there are {shape[0]} cells and {shape[1]} genes.")
    csr = sp.csr_matrix(matrix)
    csr.sum_duplicates()
    return counts_csr((csr.data, csr.indices, csr.indptr), shape, f"{path}: {place}")


def _element(path: Path, file: h5py.File, key: str) -> Any:
    from anndata.io import read_elem

    if key not in file:
        raise TresetError(f"{path}: lacks {key}, expected an AnnData file; write it again with a current anndata.")
    try:
        return read_elem(file[key])
    except _READ_ERRORS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TresetError(f"{path}: the key {key} cannot be read ({reason}); write the file again.") from None


def _frame(path: Path, file: h5py.File, key: str) -> pd.DataFrame:
    frame = _element(path, file, key)
    if not isinstance(frame, pd.DataFrame):
        raise TresetError(f"{path}: {key} is no table; write the file again with a current anndata.")
    return frame


def _features(var: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Columns gene_id, symbol and feature_type from whatever the table of genes has."""
    index, notes = var.index.astype(str), []
    symbols = ids = index
    ensembl = float(np.mean(index.str.match(r"ENS[A-Z]*G\d{6,}"))) > 0.5 if len(index) else False
    column = next((name for name in _SYMBOLS if name in var), None)
    if ensembl and column:
        symbols = var[column].astype(str)
        notes.append(f"gene symbols taken from the column {column}")
    elif not ensembl and (column := next((name for name in _IDS if name in var), None)):
        ids = var[column].astype(str)
    column = next((name for name in ("feature_types", "feature_type") if name in var), None)
    kinds = pd.Series(RNA_TYPE, index=range(len(var)))
    if column:
        known = var[column].astype(str).str.lower().map(_TYPES)
        if known.notna().all():
            kinds = known
    return pd.DataFrame({"gene_id": list(ids), "symbol": list(symbols), "feature_type": list(kinds)}), notes


def write_h5ad(adata: AnnData, path: Path | str) -> None:
    """Write an AnnData file whole or not at all; the same content gives the same bytes.

    Sparse matrices are packed with Zstandard (level 3), which halves them at little cost; dense arrays are left plain,
    which is the fastest to write and read.

    Parameters
    ----------
    adata
        What to write.
    path
        The file.
    """
    from anndata.experimental import write_dispatched

    packed = dict(hdf5plugin.Zstd(clevel=3))

    def write(
        func: Callable[..., None], store: Any, key: str, elem: Any, *, dataset_kwargs: Mapping[str, Any], **_: Any
    ) -> None:
        func(store, key, elem, dataset_kwargs={**dataset_kwargs, **packed} if sp.issparse(elem) else dataset_kwargs)

    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        write_dispatched(file, "/", adata, callback=write)


def read_parts(path: Path | str, *keys: str) -> dict[str, Any]:
    """Read single elements of one of the pipeline's own files, such as ``obs`` or ``uns/treset``.

    Parameters
    ----------
    path
        The file.
    keys
        Wanted elements.

    Returns
    -------
    Key -> element; a key that the file lacks is absent.

    Raises
    ------
    TresetError
        The file is missing or damaged.
    """
    from anndata.io import read_elem

    path = Path(path)
    try:
        with open_h5(path) as file:
            return {key: read_elem(file[key]) for key in keys if key in file}
    except _READ_ERRORS as error:
        reason = " ".join(str(error).split())
        raise TresetError(f"{path}: cannot be read ({reason}); run the step that wrote it again.") from None


def read_h5ad(path: Path | str, backed: bool = False) -> AnnData:
    """Read one of the pipeline's own files.

    Parameters
    ----------
    path
        The file.
    backed
        Leave ``X`` on disk. Default: read all.

    Raises
    ------
    TresetError
        The file is missing, damaged or no AnnData file; the message names the key.
    """
    import anndata

    path = Path(path)
    open_h5(path).close()
    try:
        return anndata.read_h5ad(path, backed="r" if backed else None)
    except _READ_ERRORS as error:
        text = " ".join(str(part) for part in (error, *getattr(error, "__notes__", ())))
        raise TresetError(
            f"{path}: cannot be read ({' '.join(text.split())}); run the step that wrote it again."
        ) from None
