"""The space in which cells are compared: the lineage markers themselves, or principal components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from treset.compute import Backend
from treset.compute.cached import import_scanpy


@dataclass(frozen=True)
class Representation:
    """How a cell's values become its coordinates, fitted on the sketch and applied to every cell.

    Attributes
    ----------
    variables
        The columns used, in order.
    mean, components
        Of the principal components, (p,) and (k, p); None: the values themselves.
    """

    variables: tuple[str, ...]
    mean: np.ndarray | None
    components: np.ndarray | None

    def transform(self, x: np.ndarray | sparse.spmatrix) -> np.ndarray:
        """Coordinates of the rows of ``x`` (n, p; columns as in ``variables``): (n, k) float32."""
        if self.components is None or self.mean is None:
            dense = x.toarray() if sparse.issparse(x) else np.asarray(x)
            return np.ascontiguousarray(dense, dtype=np.float32)
        return (np.asarray(x @ self.components.T) - self.mean @ self.components.T).astype(np.float32)


def fit_representation(
    x: np.ndarray | sparse.csr_matrix, variables: list[str], components: int, backend: Backend, seed: int
) -> tuple[Representation, np.ndarray]:
    """Choose and fit the representation.

    With at most ``components`` columns the values are used as they are (a cytometry panel needs no PCA), otherwise
    that many principal components.

    Returns
    -------
    The representation and the coordinates of the rows of ``x``.
    """
    if x.shape[1] <= components:
        plain = Representation(tuple(variables), None, None)
        return plain, plain.transform(x)
    found = backend.pca(x, components, seed)
    return Representation(tuple(variables), found.mean, found.components), found.scores


def variable_genes(x: sparse.csr_matrix, n_top: int) -> np.ndarray:
    """Highly variable genes of log-normalised expression (dispersion in bins of the mean; Satija 2015,
    doi:10.1038/nbt.3192).

    Parameters
    ----------
    x
        (n, p) log1p-normalised.
    n_top
        Genes wanted; all where there are no more.

    Returns
    -------
    (p,) bool.
    """
    if x.shape[1] <= n_top:
        return np.ones(x.shape[1], dtype=bool)
    import anndata

    scanpy = import_scanpy()
    cells = anndata.AnnData(x)
    cells.uns["log1p"] = {"base": None}
    expressed = np.asarray((x > 0).sum(axis=0)).ravel() > 0
    found = scanpy.pp.highly_variable_genes(
        cells[:, expressed].copy(), n_top_genes=n_top, flavor="seurat", inplace=False
    )
    chosen = np.zeros(x.shape[1], dtype=bool)
    chosen[np.flatnonzero(expressed)[found["highly_variable"].to_numpy()]] = True
    return chosen
