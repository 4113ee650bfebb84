"""The fuzzy neighbour graph of UMAP, without importing umap-learn, which compiles for half a minute."""

from __future__ import annotations

import numpy as np
from scipy import sparse

#: Of umap-learn: steps of the search, its tolerance, and the smallest scale as a share of the mean distance.
_STEPS, _TOLERANCE, _MIN_SCALE = 64, 1e-5, 1e-3


def fuzzy_graph(indices: np.ndarray, distances: np.ndarray) -> sparse.csr_matrix:
    """The fuzzy simplicial set (McInnes 2018, arXiv:1802.03426, algorithms 2 and 3), as umap-learn's.

    Parameters
    ----------
    indices, distances
        (n, k) neighbours of each row, itself among them, nearest first.

    Returns
    -------
    (n, n) symmetric, float32, weights between 0 and 1, no self loops.
    """
    n, k = indices.shape
    distances = np.asarray(distances, dtype=np.float64)
    scale, nearest = _scales(distances)
    beyond = np.maximum(distances - nearest[:, None], 0.0)
    strength = np.exp(-beyond / scale[:, None])
    strength[indices == np.arange(n)[:, None]] = 0.0
    rows = np.repeat(np.arange(n, dtype=np.int32), k)
    one = sparse.csr_matrix((strength.ravel().astype(np.float32), (rows, indices.ravel())), shape=(n, n))
    one.eliminate_zeros()
    other = one.T.tocsr()
    graph = sparse.csr_matrix(one + other - one.multiply(other))
    graph.eliminate_zeros()
    graph.sort_indices()
    return graph


def _scales(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row's scale, at which its strengths sum to log2 k, and the distance of its nearest other: (n,) both."""
    n, k = distances.shape
    positive = np.where(distances > 0.0, distances, np.inf).min(axis=1)
    nearest = np.where(np.isfinite(positive), positive, 0.0)
    beyond = np.maximum(distances[:, 1:] - nearest[:, None], 0.0)
    target, scale = np.log2(k), np.ones(n)
    low, high = np.zeros(n), np.full(n, np.inf)
    open_rows = np.arange(n)
    for _ in range(_STEPS):
        total = np.exp(-beyond[open_rows] / scale[open_rows, None]).sum(axis=1)
        going = np.abs(total - target) >= _TOLERANCE
        open_rows, above = open_rows[going], total[going] > target
        if not len(open_rows):
            break
        high[open_rows[above]] = scale[open_rows[above]]
        low[open_rows[~above]] = scale[open_rows[~above]]
        bounded = np.isfinite(high[open_rows])
        middle = (low[open_rows] + np.where(bounded, high[open_rows], 0.0)) / 2.0
        scale[open_rows] = np.where(bounded, middle, 2.0 * scale[open_rows])
    least = np.where(nearest > 0.0, distances.mean(axis=1), distances.mean())
    # rows of equal cells have no scale at all: any will do
    return np.maximum(np.maximum(scale, _MIN_SCALE * least), np.finfo(np.float64).tiny), nearest
