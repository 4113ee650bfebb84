"""The CPU backend: FAISS, igraph and umap-learn's descent; scanpy for scrublet.

Heavy imports (umap-learn's, scanpy) stay inside the methods that need them, so that the light jobs, which only look up
neighbours, start in a second.
"""

from __future__ import annotations

import random
import sys
import warnings
from importlib import import_module
from typing import Any

import numpy as np
from scipy import sparse

from treset.compute.cached import import_scanpy
from treset.compute.fuzzy import fuzzy_graph
from treset.compute.interface import Choice, PcaResult
from treset.compute.layout import layout, placed
from treset.compute.search import Searcher
from treset.compute.som import som
from treset.errors import TresetError


class CpuBackend:
    """See :class:`~treset.compute.interface.Backend`."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        self._searched: tuple[np.ndarray, Searcher] | None = None
        self._network: tuple[sparse.csr_matrix, np.ndarray | None, Any] | None = None

    def versions(self) -> dict[str, str]:
        """None beyond those of treset's own dependencies, which are recorded anyway."""
        return {}

    def hold[Array: (np.ndarray, sparse.csr_matrix)](self, x: Array) -> Array:
        """``x`` itself: it is where it is needed."""
        return x

    def pca(self, x: np.ndarray | sparse.csr_matrix, n_components: int, seed: int) -> PcaResult:
        """Exact PCA: by the covariance matrix when there are few columns, by ARPACK otherwise."""
        n, p = x.shape
        k = min(n_components, p, n - 1)
        mean = np.asarray(x.mean(axis=0), dtype=np.float64).ravel()
        gram = x.T @ x
        covariance = (gram.toarray() if sparse.issparse(gram) else np.asarray(gram)).astype(np.float64)
        covariance = covariance / (n - 1) - np.outer(mean, mean) * (n / (n - 1))
        values, vectors = _top_eigen(covariance, k, seed)
        components = vectors.T * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(k)])[:, None]
        scores = np.asarray(x @ components.T) - mean @ components.T
        return PcaResult(scores.astype(np.float32), components, mean, values / np.trace(covariance))

    def knn(self, reference: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Exact, or by an index that finds 0.99 of the exact ones (:class:`~treset.compute.search.Searcher`).

        The index of the last reference is kept: the same array again is not indexed again.
        """
        if self._searched is None or self._searched[0] is not reference:
            self._searched = reference, Searcher(_rows(reference))
        searcher = self._searched[1]
        return searcher.search(searcher.reference if queries is reference else _rows(queries), k)

    def graph(self, x: np.ndarray, k: int, seed: int) -> sparse.csr_matrix:
        """Fuzzy simplicial set (McInnes 2018, arXiv:1802.03426) on the neighbours of :meth:`knn`."""
        return fuzzy_graph(*self.knn(x, x, k))

    def leiden(
        self, graph: sparse.csr_matrix, resolution: float, seed: int, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """igraph's Leiden (Traag 2019, doi:10.1038/s41598-019-41695-z) on the upper triangle, two iterations."""
        igraph = _igraph()
        # a draw is clustered at every resolution: its network is built once
        known = self._network
        if known is None or known[0] is not graph or not same_rows(known[1], rows):
            part = graph if rows is None else graph[rows][:, rows]
            self._network = known = graph, None if rows is None else rows.copy(), _network(part)
        network = known[2]
        igraph.set_random_number_generator(random.Random(seed))
        try:
            parts = network.community_leiden(
                objective_function="modularity", weights="weight", resolution=resolution, n_iterations=2
            )
        finally:
            igraph.set_random_number_generator(random)
        return by_size(np.asarray(parts.membership))

    def som(
        self, x: np.ndarray, side: int, epochs: int, seed: int, rows: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """By NumPy."""
        cells = x if rows is None else x[rows]
        return som(cells, cells, side, epochs, seed)

    def umap(self, x: np.ndarray, graph: sparse.csr_matrix, *, min_dist: float, epochs: int, seed: int) -> np.ndarray:
        """umap-learn on the given graph, started from two principal components; serial, hence the same for a seed."""
        return layout(graph, placed(self.pca(x, 2, seed).scores, seed), min_dist, epochs, seed)

    def harmony(self, x: np.ndarray, batch: np.ndarray, seed: int) -> np.ndarray:
        """harmonypy (Korsunsky 2019, doi:10.1038/s41592-019-0619-0), which is GPL and hence an extra."""
        import pandas as pd

        try:
            import harmonypy
        except ModuleNotFoundError:
            raise TresetError(
                "cohort.batch is harmony, but harmonypy is not installed: pip install 'treset[harmony]' (it is GPL), "
                "or set cohort.batch: none"
            ) from None
        meta = pd.DataFrame({"batch": batch.astype(str)})
        # one thread: sums in another order are other bytes
        found = harmonypy.run_harmony(
            np.asarray(x, dtype=np.float64), meta, ["batch"], random_state=seed, ncores=1, verbose=False
        )
        corrected = np.asarray(found.Z_corr, dtype=np.float32)
        return np.ascontiguousarray(corrected if corrected.shape == x.shape else corrected.T)

    def scrublet(self, counts: sparse.csr_matrix, seed: int) -> tuple[np.ndarray, float | None]:
        """Scrublet (Wolock 2019, doi:10.1016/j.cels.2018.11.005) as in scanpy, with exact neighbours."""
        import anndata

        scanpy = import_scanpy()
        cells = anndata.AnnData(counts.copy())
        with warnings.catch_warnings():
            # scanpy warns where no threshold is found; the caller is told by None
            warnings.simplefilter("ignore")
            scanpy.pp.scrublet(
                cells,
                random_state=seed,
                n_prin_comps=int(min(30, min(counts.shape) - 1)),
                use_approx_neighbors=counts.shape[0] > 30_000,
                verbose=False,
            )
        threshold = cells.uns["scrublet"].get("threshold")
        scores = cells.obs["doublet_score"].to_numpy(dtype=np.float64)
        return scores, None if threshold is None else float(threshold)


def by_size(labels: np.ndarray) -> np.ndarray:
    """Renumber labels by falling size (ties by the old number): (n,) int32."""
    names, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rank = np.empty(len(names), dtype=np.int32)
    rank[np.lexsort((names, -counts))] = np.arange(len(names), dtype=np.int32)
    return rank[inverse]


def same_rows(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    """Whether two draws are the same; None is all cells."""
    return one is other if one is None or other is None else np.array_equal(one, other)


def _igraph() -> Any:
    """igraph without its plots: they import matplotlib, a second that no job needs."""
    if "igraph" in sys.modules or "matplotlib" in sys.modules:
        return import_module("igraph")
    sys.modules["matplotlib"] = None  # type: ignore[assignment]
    try:
        return import_module("igraph")
    finally:
        del sys.modules["matplotlib"]


def _network(graph: sparse.csr_matrix) -> Any:
    """The upper triangle as igraph's network: each edge once."""
    igraph = _igraph()
    upper = sparse.triu(graph, 1).tocoo()
    edges = np.column_stack([upper.row, upper.col])
    return igraph.Graph(n=graph.shape[0], edges=edges, edge_attrs={"weight": upper.data})


def _rows(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x, dtype=np.float32)


def _top_eigen(covariance: np.ndarray, k: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` largest eigenvalues and their vectors (columns), falling."""
    p = len(covariance)
    if p <= 500 or k > p // 3:
        from scipy.linalg import eigh

        values, vectors = eigh(covariance, subset_by_index=(p - k, p - 1))
    else:
        from scipy.sparse.linalg import eigsh

        start = np.random.default_rng(seed).normal(size=p)
        values, vectors = eigsh(covariance, k=k, v0=start)
    order = np.argsort(values)[::-1]
    return np.maximum(values[order], 0.0), vectors[:, order]
