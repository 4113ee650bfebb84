"""The GPU backend: RAPIDS through rapids-singlecell.

Settings that make it repeatable: exact neighbours, float64 in Leiden (float32 does not repeat beyond some 75,000
nodes), fixed seeds, and
every parameter named (rapids-singlecell reads presets from the environment).
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from treset.compute.cpu import by_size
from treset.compute.interface import Choice, PcaResult


class GpuBackend:
    """See :class:`~treset.compute.interface.Backend`."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice

    def pca(self, x: np.ndarray | sparse.csr_matrix, n_components: int, seed: int) -> PcaResult:
        """PCA by the covariance matrix, in float64 on the device."""
        import cupy
        import cupyx.scipy.sparse as device_sparse

        n, p = x.shape
        k = min(n_components, p, n - 1)
        rows = device_sparse.csr_matrix(x.astype(np.float64)) if sparse.issparse(x) else cupy.asarray(x, cupy.float64)
        mean = cupy.asarray(rows.mean(axis=0)).ravel()
        gram = rows.T @ rows
        gram = gram.toarray() if device_sparse.issparse(gram) else gram
        covariance = gram / (n - 1) - cupy.outer(mean, mean) * (n / (n - 1))
        values, vectors = cupy.linalg.eigh(covariance)
        values, vectors = values[::-1][:k], vectors[:, ::-1][:, :k]
        largest = vectors[cupy.abs(vectors).argmax(axis=0), cupy.arange(k)]
        components = (vectors * cupy.sign(largest)).T
        scores = rows @ components.T - mean @ components.T
        ratio = cupy.maximum(values, 0) / cupy.trace(covariance)
        return PcaResult(
            cupy.asnumpy(scores).astype(np.float32), cupy.asnumpy(components), cupy.asnumpy(mean), cupy.asnumpy(ratio)
        )

    def knn(self, reference: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Exact neighbours by cuML, in chunks of queries."""
        import cupy
        from cuml.neighbors import NearestNeighbors

        k = min(k, len(reference))
        model = NearestNeighbors(n_neighbors=k, algorithm="brute", metric="euclidean", output_type="cupy")
        model.fit(cupy.asarray(reference, cupy.float32))
        indices = np.empty((len(queries), k), dtype=np.int64)
        distances = np.empty((len(queries), k), dtype=np.float32)
        for start in range(0, len(queries), 200_000):
            part = slice(start, start + 200_000)
            found, index = model.kneighbors(cupy.asarray(queries[part], cupy.float32))
            indices[part], distances[part] = cupy.asnumpy(index), cupy.asnumpy(found)
        return indices, distances

    def graph(self, x: np.ndarray, k: int, seed: int) -> sparse.csr_matrix:
        """``rapids_singlecell.pp.neighbors`` with exact search."""
        import rapids_singlecell as rsc

        cells = _cells(x)
        rsc.pp.neighbors(
            cells, n_neighbors=k, use_rep="X_rep", algorithm="brute", metric="euclidean", random_state=seed
        )
        return sparse.csr_matrix(cells.obsp["connectivities"])

    def leiden(self, graph: sparse.csr_matrix, resolution: float, seed: int) -> np.ndarray:
        """``rapids_singlecell.tl.leiden`` in float64."""
        import rapids_singlecell as rsc

        cells = _cells(np.zeros((graph.shape[0], 1), np.float32), graph)
        rsc.tl.leiden(
            cells, resolution=resolution, random_state=seed, use_weights=True, key_added="leiden", dtype="float64"
        )
        return by_size(cells.obs["leiden"].astype(int).to_numpy())

    def umap(self, x: np.ndarray, graph: sparse.csr_matrix, *, min_dist: float, epochs: int, seed: int) -> np.ndarray:
        """``rapids_singlecell.tl.umap`` started from two principal components."""
        import rapids_singlecell as rsc

        cells = _cells(x, graph)
        start = self.pca(x, 2, seed).scores
        start = (10.0 * start / max(float(np.abs(start).max()), 1e-12)).astype(np.float32)
        rsc.tl.umap(cells, min_dist=min_dist, maxiter=epochs, random_state=seed, init_pos=start)
        return np.asarray(cells.obsm["X_umap"], dtype=np.float32)

    def harmony(self, x: np.ndarray, batch: np.ndarray, seed: int) -> np.ndarray:
        """``rapids_singlecell.pp.harmony_integrate`` in float64."""
        import cupy
        import rapids_singlecell as rsc

        cells = _cells(x)
        cells.obs["batch"] = batch.astype(str)
        cells.obs["batch"] = cells.obs["batch"].astype("category")
        rsc.pp.harmony_integrate(
            cells, key="batch", basis="X_rep", adjusted_basis="X_harmony", dtype=np.float64, random_state=seed
        )
        return np.ascontiguousarray(cupy.asnumpy(cupy.asarray(cells.obsm["X_harmony"])), dtype=np.float32)

    def scrublet(self, counts: sparse.csr_matrix, seed: int) -> tuple[np.ndarray, float | None]:
        """``rapids_singlecell.pp.scrublet``."""
        import anndata
        import rapids_singlecell as rsc

        cells = anndata.AnnData(counts.astype(np.float32))
        rsc.get.anndata_to_GPU(cells)
        rsc.pp.scrublet(cells, random_state=seed, verbose=False)
        threshold = cells.uns["scrublet"].get("threshold")
        scores = cells.obs["doublet_score"].to_numpy(dtype=np.float64)
        return scores, None if threshold is None else float(threshold)


def _cells(x: np.ndarray, graph: sparse.csr_matrix | None = None):
    """An AnnData that carries ``x`` as its representation and ``graph`` as its neighbours."""
    import anndata

    cells = anndata.AnnData(np.zeros((len(x), 1), np.float32))
    cells.obsm["X_rep"] = np.ascontiguousarray(x, dtype=np.float32)
    if graph is not None:
        cells.obsp["connectivities"] = graph
        cells.obsp["distances"] = graph
        cells.uns["neighbors"] = {
            "connectivities_key": "connectivities",
            "distances_key": "distances",
            "params": {"n_neighbors": 15, "method": "umap", "metric": "euclidean", "use_rep": "X_rep"},
        }
    return cells
