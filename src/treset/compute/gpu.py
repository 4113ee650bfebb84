"""The GPU backend: RAPIDS through rapids-singlecell, cuML and cuGraph.

What makes it repeatable: exact neighbours (NN-descent above :data:`EXACT_ROWS` only), float64 in Leiden (float32 does
not repeat beyond some 75,000 nodes), fixed seeds, a layout that starts from principal components, and every parameter
named (:mod:`.rapids`; rapids-singlecell reads presets from the environment and from ``.env`` files).

What is given to :meth:`GpuBackend.hold` first is sent once and used by every step that follows (:mod:`.resident`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Concatenate

import numpy as np
from scipy import sparse

from treset.compute import rapids
from treset.compute.communities import communities, network
from treset.compute.cpu import same_rows
from treset.compute.device import DeviceError, on_device, one_pool, resident_bytes
from treset.compute.interface import Choice, PcaResult
from treset.compute.layout import placed
from treset.compute.nearest import nearest
from treset.compute.resident import Pieces, Place, Resident, frozen, is_frozen, place
from treset.compute.som import som

if TYPE_CHECKING:
    from anndata import AnnData

#: Above this many rows the graph's neighbours are searched by NN-descent (recall about 0.99) instead of exactly.
EXACT_ROWS = 500_000

type _Method[**P, R] = Callable[Concatenate[GpuBackend, P], R]


def _step[**P, R](name: str) -> Callable[[_Method[P, R]], _Method[P, R]]:
    """A step on the device: what fails there is a :class:`DeviceError`, and nothing is kept there any more."""

    def wrap(method: _Method[P, R]) -> _Method[P, R]:
        guarded = on_device(name)(method)

        @functools.wraps(method)
        def run(self: GpuBackend, *args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return guarded(self, *args, **kwargs)
            except DeviceError:
                self.release()
                raise

        return run

    return wrap


class GpuBackend:
    """See :class:`~treset.compute.interface.Backend`.

    Parameters
    ----------
    choice
        What was asked for and what was found.
    need
        Bytes that the memory pool starts with.

    Attributes
    ----------
    resident
        What is kept on the device, and how much was moved.

    Raises
    ------
    DeviceError
        By every method, where the device fails or its memory is too small; nothing is kept on the device then.
    """

    @on_device("setting up its memory pool")
    def __init__(self, choice: Choice, need: int = 0) -> None:
        self.choice = choice
        # before the pool takes its share
        self.resident = Resident(resident_bytes())
        one_pool(need)
        self._network: tuple[Place | None, np.ndarray | None, Any] | None = None
        self._near: tuple[Place, np.ndarray, np.ndarray] | None = None
        self._shell: AnnData | None = None

    def release(self) -> None:
        """Keep nothing on the device."""
        self.resident.clear()
        self._network = self._near = self._shell = None

    def hold[Array: (np.ndarray, sparse.csr_matrix)](self, x: Array) -> Array:
        """A copy that cannot be changed; it is sent once, by the first step that takes it, and kept while it fits."""
        return frozen(x)

    def versions(self) -> dict[str, str]:
        """Versions of the GPU's libraries."""
        import cugraph
        import cuml
        import cupy
        import rapids_singlecell

        return {
            "rapids-singlecell": str(rapids_singlecell.__version__),
            "cuml": str(cuml.__version__),
            "cugraph": str(cugraph.__version__),
            "cupy": str(cupy.__version__),
        }

    @_step("the principal components")
    def pca(self, x: np.ndarray | sparse.csr_matrix, n_components: int, seed: int) -> PcaResult:
        """PCA by the covariance matrix, in float64 on the device, rows in parts, which are sent once where they fit."""
        import cupy

        n, p = x.shape
        k = min(n_components, p, n - 1)
        total, gram = cupy.zeros(p, dtype=np.float64), cupy.zeros((p, p), dtype=np.float64)
        pieces = Pieces(self.resident, x, 8 * p)
        for _, rows in pieces:
            total += rows.sum(axis=0)
            gram += rows.T @ rows
        mean = total / n
        covariance = gram / (n - 1) - cupy.outer(mean, mean) * (n / (n - 1))
        values, vectors = cupy.linalg.eigh(covariance)
        values, vectors = values[::-1][:k], vectors[:, ::-1][:, :k]
        largest = vectors[cupy.abs(vectors).argmax(axis=0), cupy.arange(k)]
        components = (vectors * cupy.sign(largest)).T
        scores = np.empty((n, k), dtype=np.float32)
        for part, rows in pieces:
            scores[part] = self.resident.take((rows @ components.T - mean @ components.T).astype(np.float32))
        ratio = cupy.maximum(values, 0.0) / cupy.trace(covariance)
        return PcaResult(scores, *map(self.resident.take, (components, mean, ratio)))

    @_step("the search for neighbours")
    def knn(self, reference: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Exact neighbours by cuML, queries in parts; distances are measured again, without its cancellation.

        cuML builds no index for an exact search, so that a reference which is held is all that can be kept. Of a held
        reference the widest search among its own rows is kept too, on the host: it answers the narrower ones.
        """
        k = min(k, len(reference))
        where = place(reference)
        if queries is not reference or where is None:
            return nearest(self.resident, reference, queries, k)
        if self._near is None or self._near[0] != where or self._near[1].shape[1] < k:
            self._near = where, *nearest(self.resident, reference, queries, k)
        return self._near[1][:, :k].copy(), self._near[2][:, :k].copy()

    @_step("the neighbour graph")
    def graph(self, x: np.ndarray, k: int, seed: int) -> sparse.csr_matrix:
        """``rapids_singlecell.pp.neighbors``: exact up to :data:`EXACT_ROWS` cells, then by NN-descent; held."""
        with self._carrying(x) as cells:
            rapids.neighbors(cells, k, len(x) <= EXACT_ROWS, seed)
            for found in cells.obsp.values():
                self.resident.taken += found.data.nbytes + found.indices.nbytes + found.indptr.nbytes
            return frozen(sparse.csr_matrix(cells.obsp["near_connectivities"]))

    @contextmanager
    def _carrying(self, x: np.ndarray) -> Iterator[AnnData]:
        """An AnnData with ``x`` on the device as its representation; one for all steps, as it names every cell."""
        if self._shell is None or self._shell.n_obs != len(x):
            self._shell = _cells(len(x))
        cells = self._shell
        cells.obsm["X_rep"] = self.resident.rows(x)
        try:
            yield cells
        finally:
            for part in (cells.obsm, cells.obsp, cells.uns):
                part.clear()

    @_step("Leiden")
    def leiden(
        self, graph: sparse.csr_matrix, resolution: float, seed: int, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """cuGraph's Leiden in float64; the network of the last draw is kept for its other resolutions.

        Raises
        ------
        TresetError
            It broke the graph down into clusters smaller than a cell's neighbourhood, which it has been seen to do.
        """
        made = self._network_of(graph, rows)
        size = graph.shape[0] if rows is None else len(rows)
        self.resident.taken += 8 * size
        return communities(made, size, resolution, seed)

    def _network_of(self, graph: sparse.csr_matrix, rows: np.ndarray | None) -> Any:
        known, where = self._network, place(graph)
        if known is not None and where is not None and known[0] == where and same_rows(known[1], rows):
            return known[2]
        # not two at a time
        self._network = known = None
        made = network(self.resident.graph(graph), None if rows is None else self.resident.send(rows, np.int64))
        self._network = where, None if rows is None else rows.copy(), made
        return made

    @_step("the self-organising map")
    def som(
        self, x: np.ndarray, side: int, epochs: int, seed: int, rows: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The code of the CPU by CuPy; the rows stay on the device for all epochs."""
        import cupy

        drawn = x if rows is None else x[rows]
        if not is_frozen(x) or x.dtype != np.float32:
            cells = self.resident.send(drawn, x.dtype)
        else:
            cells = self.resident.rows(x)
            cells = cells if rows is None else cells[self.resident.send(rows, np.int64)]
        codes, node = som(drawn, cells, side, epochs, seed, cupy)
        return self.resident.take(codes), self.resident.take(node)

    @_step("UMAP")
    def umap(self, x: np.ndarray, graph: sparse.csr_matrix, *, min_dist: float, epochs: int, seed: int) -> np.ndarray:
        """``rapids_singlecell.tl.umap`` started, as the CPU's, from two principal components and a little noise."""
        # the clusters are found: their network's memory is for the layout
        self._network = None
        start = self.resident.send(placed(self.pca(x, 2, seed).scores, seed), np.float32)
        with self._carrying(x) as cells:
            cells.obsp["near_connectivities"] = self.resident.graph(graph)
            layout = rapids.umap(cells, start, min_dist, epochs, seed)
        self.resident.taken += layout.nbytes
        return layout

    @_step("Harmony")
    def harmony(self, x: np.ndarray, batch: np.ndarray, seed: int) -> np.ndarray:
        """``rapids_singlecell.pp.harmony_integrate`` in float64, the version of Harmony that harmonypy 2 has."""
        cells = _cells(len(x))
        cells.obsm["X_rep"] = self.resident.send(x, np.float32)
        moved = rapids.harmony(cells, batch, seed)
        self.resident.taken += moved.nbytes
        return np.ascontiguousarray(moved, dtype=np.float32)

    @_step("Scrublet")
    def scrublet(self, counts: sparse.csr_matrix, seed: int) -> tuple[np.ndarray, float | None]:
        """``rapids_singlecell.pp.scrublet``; it moves its data itself, uncounted."""
        return rapids.scrublet(counts, seed)


def _cells(n: int) -> AnnData:
    """An AnnData of ``n`` cells and nothing else."""
    import anndata

    return anndata.AnnData(np.zeros((n, 1), np.float32))
