"""The GPU backend: RAPIDS through rapids-singlecell.

What makes it repeatable: exact neighbours (NN-descent above :data:`EXACT_ROWS` only), float64 in Leiden (float32 does
not repeat beyond some 75,000 nodes), fixed seeds, a layout that starts from principal components, and every parameter
named (rapids-singlecell reads presets from the environment and from ``.env`` files).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from treset.compute.cpu import by_size
from treset.compute.device import CHUNK_BYTES, on_device, one_pool
from treset.compute.interface import Choice, PcaResult
from treset.compute.layout import placed
from treset.compute.som import som
from treset.errors import TresetError

if TYPE_CHECKING:
    from anndata import AnnData

#: Above this many rows the graph's neighbours are searched by NN-descent (recall about 0.99) instead of exactly.
EXACT_ROWS = 500_000

#: Candidates that NN-descent keeps while it searches; more than its default of 1.5 k, for the recall.
_CANDIDATES = 128


class GpuBackend:
    """See :class:`~treset.compute.interface.Backend`.

    Parameters
    ----------
    choice
        What was asked for and what was found.
    need
        Bytes that the memory pool starts with.

    Raises
    ------
    DeviceError
        By every method, where the device fails or its memory is too small.
    """

    @on_device("setting up its memory pool")
    def __init__(self, choice: Choice, need: int = 0) -> None:
        self.choice = choice
        one_pool(need)

    def versions(self) -> dict[str, str]:
        """Versions of the GPU's libraries."""
        import cuml
        import cupy
        import rapids_singlecell

        return {
            "rapids-singlecell": str(rapids_singlecell.__version__),
            "cuml": str(cuml.__version__),
            "cupy": str(cupy.__version__),
        }

    @on_device("the principal components")
    def pca(self, x: np.ndarray | sparse.csr_matrix, n_components: int, seed: int) -> PcaResult:
        """PCA by the covariance matrix, in float64 on the device, rows in parts."""
        import cupy

        n, p = x.shape
        k = min(n_components, p, n - 1)
        total, gram = cupy.zeros(p, dtype=np.float64), cupy.zeros((p, p), dtype=np.float64)
        for part in _parts(n, 8 * p):
            rows = _dense(x[part])
            total += rows.sum(axis=0)
            gram += rows.T @ rows
        mean = total / n
        covariance = gram / (n - 1) - cupy.outer(mean, mean) * (n / (n - 1))
        values, vectors = cupy.linalg.eigh(covariance)
        values, vectors = values[::-1][:k], vectors[:, ::-1][:, :k]
        largest = vectors[cupy.abs(vectors).argmax(axis=0), cupy.arange(k)]
        components = (vectors * cupy.sign(largest)).T
        scores = np.empty((n, k), dtype=np.float32)
        for part in _parts(n, 8 * p):
            scores[part] = cupy.asnumpy(_dense(x[part]) @ components.T - mean @ components.T)
        ratio = cupy.maximum(values, 0.0) / cupy.trace(covariance)
        return PcaResult(scores, cupy.asnumpy(components), cupy.asnumpy(mean), cupy.asnumpy(ratio))

    @on_device("the search for neighbours")
    def knn(self, reference: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Exact neighbours by cuML, queries in parts; distances are measured again, without its cancellation."""
        import cupy
        from cuml.neighbors import NearestNeighbors

        k, p = min(k, len(reference)), reference.shape[1]
        rows = cupy.asarray(reference, dtype=np.float32)
        model = NearestNeighbors(n_neighbors=k, algorithm="brute", metric="euclidean", output_type="cupy")
        model.fit(rows)
        indices = np.empty((len(queries), k), dtype=np.int64)
        distances = np.empty((len(queries), k), dtype=np.float32)
        for part in _parts(len(queries), 4 * k * p):
            asked = cupy.asarray(queries[part], dtype=np.float32)
            _, found = model.kneighbors(asked, n_neighbors=k, return_distance=True)
            # |a|^2 + |b|^2 - 2ab in float32 loses the small distances
            apart = cupy.sqrt(((rows[found] - asked[:, None, :]) ** 2).sum(axis=2))
            order = cupy.argsort(apart, axis=1)
            indices[part] = cupy.asnumpy(cupy.take_along_axis(found, order, axis=1))
            distances[part] = cupy.asnumpy(cupy.take_along_axis(apart, order, axis=1))
        return indices, distances

    @on_device("the neighbour graph")
    def graph(self, x: np.ndarray, k: int, seed: int) -> sparse.csr_matrix:
        """``rapids_singlecell.pp.neighbors``: exact up to :data:`EXACT_ROWS` cells, then by NN-descent."""
        import rapids_singlecell as rsc

        cells, exact = _cells(x), len(x) <= EXACT_ROWS
        rsc.pp.neighbors(
            cells,
            n_neighbors=k,
            n_pcs=None,
            use_rep="X_rep",
            rng=seed,
            algorithm="brute" if exact else "nn_descent",
            metric="euclidean",
            metric_kwds={},
            algorithm_kwds={} if exact else {"intermediate_graph_degree": max(_CANDIDATES, 3 * k)},
            method="umap",
            key_added="near",
        )
        return sparse.csr_matrix(cells.obsp["near_connectivities"])

    @on_device("Leiden")
    def leiden(self, graph: sparse.csr_matrix, resolution: float, seed: int) -> np.ndarray:
        """``rapids_singlecell.tl.leiden`` in float64.

        Raises
        ------
        TresetError
            It broke the graph down into clusters smaller than a cell's neighbourhood, which it has been seen to do.
        """
        import rapids_singlecell as rsc

        n = graph.shape[0]
        cells = _cells(np.zeros((n, 1), np.float32))
        rsc.tl.leiden(
            cells,
            resolution=float(resolution),
            rng=seed,
            theta=1.0,
            restrict_to=None,
            key_added="leiden",
            adjacency=sparse.csr_matrix(graph),
            n_iterations=100,
            use_weights=True,
            dtype="float64",
            use_dask=False,
        )
        labels = by_size(cells.obs["leiden"].astype(int).to_numpy())
        _guard(labels, resolution)
        return labels

    @on_device("the self-organising map")
    def som(self, x: np.ndarray, side: int, epochs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The code of the CPU by CuPy; the rows stay on the device for all epochs."""
        import cupy

        return som(x, side, epochs, seed, cupy)

    @on_device("UMAP")
    def umap(self, x: np.ndarray, graph: sparse.csr_matrix, *, min_dist: float, epochs: int, seed: int) -> np.ndarray:
        """``rapids_singlecell.tl.umap`` started, as the CPU's, from two principal components and a little noise."""
        import rapids_singlecell as rsc

        cells = _cells(x)
        cells.obsp["near_connectivities"] = sparse.csr_matrix(graph)
        cells.uns["near"] = {
            "connectivities_key": "near_connectivities",
            "distances_key": "near_distances",
            "params": {"method": "umap", "metric": "euclidean", "use_rep": "X_rep"},
        }
        rsc.tl.umap(
            cells,
            min_dist=min_dist,
            spread=1.0,
            n_components=2,
            maxiter=epochs,
            alpha=1.0,
            negative_sample_rate=5,
            init_pos=placed(self.pca(x, 2, seed).scores, seed),
            rng=seed,
            key_added="layout",
            neighbors_key="near",
        )
        return np.asarray(cells.obsm["layout"], dtype=np.float32)

    @on_device("Harmony")
    def harmony(self, x: np.ndarray, batch: np.ndarray, seed: int) -> np.ndarray:
        """``rapids_singlecell.pp.harmony_integrate`` in float64, the version of Harmony that harmonypy 2 has."""
        import rapids_singlecell as rsc

        cells = _cells(x)
        cells.obs["batch"] = batch.astype(str)
        cells.obs["batch"] = cells.obs["batch"].astype("category")
        rsc.pp.harmony_integrate(
            cells,
            key="batch",
            basis="X_rep",
            adjusted_basis="X_harmony",
            dtype=np.float64,
            flavor="harmony2",
            max_iter_harmony=10,
            sigma=0.1,
            theta=2.0,
            tau=0,
            alpha=0.2,
            batch_prune_threshold=1e-5,
            block_proportion=0.05,
            rng=seed,
            verbose=False,
        )
        return np.ascontiguousarray(cells.obsm["X_harmony"], dtype=np.float32)

    @on_device("Scrublet")
    def scrublet(self, counts: sparse.csr_matrix, seed: int) -> tuple[np.ndarray, float | None]:
        """``rapids_singlecell.pp.scrublet``."""
        import anndata
        import rapids_singlecell as rsc

        cells = anndata.AnnData(sparse.csr_matrix(counts, dtype=np.float32))
        rsc.get.anndata_to_GPU(cells)
        rsc.pp.scrublet(
            cells,
            sim_doublet_ratio=2.0,
            expected_doublet_rate=0.05,
            stdev_doublet_rate=0.02,
            synthetic_doublet_umi_subsampling=1.0,
            knn_dist_metric="euclidean",
            normalize_variance=True,
            log_transform=False,
            mean_center=True,
            n_prin_comps=int(min(30, min(counts.shape) - 1)),
            verbose=False,
            rng=seed,
        )
        threshold = cells.uns["scrublet"].get("threshold")
        scores = cells.obs["doublet_score"].to_numpy(dtype=np.float64)
        return scores, None if threshold is None else float(threshold)


def _parts(n: int, row_bytes: int) -> Iterator[slice]:
    """Slices of ``n`` rows, none of more than :data:`~treset.compute.device.CHUNK_BYTES` (one row at least)."""
    step = max(1, CHUNK_BYTES // max(row_bytes, 1))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def _dense(rows: np.ndarray | sparse.csr_matrix) -> Any:
    """Rows on the device, dense, float64; a sparse part is sent as it is and spread out there."""
    import cupy
    import cupyx.scipy.sparse as device_sparse

    if sparse.issparse(rows):
        return device_sparse.csr_matrix(sparse.csr_matrix(rows, dtype=np.float64)).toarray()
    return cupy.asarray(rows, dtype=np.float64)


def _guard(labels: np.ndarray, resolution: float) -> None:
    """Refuse clusters that average fewer than ten cells: no community of a graph of neighbours is so small."""
    n, found = len(labels), int(labels.max()) + 1
    bound = max(n // 10, min(100, n // 2))
    if found > bound:
        raise TresetError(
            f"Leiden on the GPU found {found} clusters of {n} cells at resolution {resolution:g}, and more than "
            f"{bound} are no result: lower cohort.resolution, or set backend: cpu"
        )


def _cells(x: np.ndarray) -> AnnData:
    """An AnnData that carries ``x`` as its representation."""
    import anndata

    cells = anndata.AnnData(np.zeros((len(x), 1), np.float32))
    cells.obsm["X_rep"] = np.ascontiguousarray(x, dtype=np.float32)
    return cells
