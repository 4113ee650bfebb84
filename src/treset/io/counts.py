"""Counts of scRNA-seq: checked once, and put into the one form that the pipeline uses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from treset.errors import TresetError
from treset.io.names import make_unique, without_genome

if TYPE_CHECKING:
    from anndata import AnnData

#: Whole numbers up to here are exact in float32.
_MAX_EXACT = 2**24
RNA_TYPE = "Gene Expression"


def counts_fault(values: np.ndarray) -> str:
    """Why these values are no raw counts ("" if they are): a value that is negative, fractional, huge or not finite."""
    if not values.size or values.dtype == bool:
        return ""
    if values.dtype.kind not in "iuf":
        return f"values of type {values.dtype}"
    if values.dtype.kind == "f":
        wrong = ~np.isfinite(values)
        if wrong.any():
            return f"the value {values[wrong.argmax()]}"
        wrong = values != np.trunc(values)
        if wrong.any():
            return f"the value {values[wrong.argmax()]:g}, no whole number"
    if values.min() < 0:
        return f"the negative value {values.min():g}"
    if values.max() > _MAX_EXACT:
        return f"the value {values.max():g}, beyond what a count can be (2^24)"
    return ""


def counts_csr(parts: tuple[np.ndarray, np.ndarray, np.ndarray], shape: tuple[int, int], where: str) -> sp.csr_matrix:
    """Counts from the three arrays of a CSR matrix, checked.

    Parameters
    ----------
    parts
        ``data``, ``indices``, ``indptr`` as read from a file.
    shape
        (cells, genes).
    where
        File (and key) for messages.

    Returns
    -------
    CSR float32, indices sorted, no explicit zeros.

    Raises
    ------
    TresetError
        The arrays do not fit together, a gene comes twice in a cell, or values are no counts.
    """
    data, indices, indptr = (np.asarray(part) for part in parts)
    structure = (
        all(part.ndim == 1 for part in (data, indices, indptr))
        and all(part.dtype.kind in "iu" for part in (indices, indptr))
        and len(indptr) == shape[0] + 1
        and len(data) == len(indices)
        and int(indptr[0]) == 0
        and int(indptr[-1]) == len(data)
        and bool(np.all(indptr[1:] >= indptr[:-1]))
        and (not len(indices) or (int(indices.min()) >= 0 and int(indices.max()) < shape[1]))
    )
    if not structure:
        raise TresetError(f"{where}: data, indices and indptr do not form a sparse {shape[0]} x {shape[1]} matrix.")
    fault = counts_fault(data)
    if fault:
        raise TresetError(f"{where}: holds {fault}, expected raw counts (whole numbers from 0); give the raw matrix.")
    kind = np.int32 if max(len(data), *shape) < 2**31 else np.int64
    matrix = sp.csr_matrix((data.astype(np.float32), indices.astype(kind), indptr.astype(kind)), shape=shape, copy=True)
    matrix.sort_indices()
    if not matrix.has_canonical_format:
        raise TresetError(f"{where}: gives a gene of a cell more than once; export it again.")
    matrix.eliminate_zeros()
    return matrix


def counts_anndata(counts: sp.csr_matrix, cells: np.ndarray, features: pd.DataFrame, form: str, path: Path) -> AnnData:
    """Counts and names as the AnnData of the contract (see ``docs/architecture.md``).

    Parameters
    ----------
    counts
        CSR float32, cells x features.
    cells
        Barcodes, which must not repeat.
    features
        Columns gene_id, symbol, feature_type.
    form
        Name of the format, kept in ``uns["treset_io"]["format"]``.
    path
        For messages.
    """
    from anndata import AnnData

    notes = []
    if not all(counts.shape):
        raise TresetError(f"{path}: has {counts.shape[0]} cells and {counts.shape[1]} genes, expected some of both.")
    cells = pd.Index([str(cell) for cell in cells])
    if not cells.is_unique:
        raise TresetError(
            f"{path}: barcode {cells[cells.duplicated()][0]!r} comes more than once; barcodes must be unique."
        )
    symbols, renamed = make_unique(list(features["symbol"]))
    if renamed:
        shown = ", ".join(new for _, new in renamed[:3])
        notes.append(f"{len(renamed)} repeated gene symbols made unique ({shown}{' ...' if len(renamed) > 3 else ''})")
    var = pd.DataFrame(
        {"gene_id": list(features["gene_id"]), "feature_type": list(features["feature_type"])}, index=pd.Index(symbols)
    )
    return AnnData(counts, obs=pd.DataFrame(index=cells), var=var, uns={"treset_io": {"format": form, "notes": notes}})


def keep_genes(adata: AnnData, path: Path) -> AnnData:
    """Keep the features of type Gene Expression in ``X``; each other type goes whole into ``obsm[type]``.

    Surface proteins and hashtags must not count towards the total of a cell.

    Raises
    ------
    TresetError
        There is no Gene Expression at all; ``path`` is named.
    """
    kinds = adata.var["feature_type"].astype(str)
    others = [kind for kind in kinds.unique() if kind != RNA_TYPE]
    genes = adata[:, (kinds == RNA_TYPE).to_numpy()].copy() if others else adata
    symbols, prefix = without_genome(list(genes.var_names))
    if prefix:
        genes.var_names = symbols
        genes.uns["treset_io"]["notes"].append(f"the genome's name {prefix} was taken off the gene symbols")
    if not others:
        return genes
    if genes.n_vars == 0:
        raise TresetError(
            f"{path}: features are of type {', '.join(others)} only, expected {RNA_TYPE} in an RNA study."
        )
    for kind in others:
        part = adata[:, (kinds == kind).to_numpy()]
        genes.obsm[kind.replace("/", " ")] = pd.DataFrame(
            part.X.toarray(), index=adata.obs_names, columns=part.var_names
        )
        genes.uns["treset_io"]["notes"].append(f"{part.n_vars} features of type {kind} are kept apart from the genes")
    return genes
