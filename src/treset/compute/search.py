"""Nearest neighbours on the CPU: exact, or by an inverted index that has shown to find the same."""

from __future__ import annotations

from typing import Any

import numpy as np

#: From this many reference rows on an inverted index (FAISS IVF) is tried: below, the exact search is as fast.
MIN_INDEXED = 20_000
#: Share of the exact neighbours that the index must find (that which the GPU must, ``parity.min_recall``), of as many
#: as are asked for, at least these.
RECALL, FEWEST = 0.99, 5
#: Lists searched, fewest first: the first number that reaches the recall is taken, none of them means exact.
PROBES = (*range(4, 33), 40, 48, 64, 96, 128)
#: Rows on which the recall is measured, and the seed by which they are drawn.
_TESTED, _SEED = 500, 20
#: Numbers of 32 bits in a vector register (AVX-512).
_LANES = 16


class Searcher:
    """Rows to be searched, indexed once.

    An inverted index (Sivic & Zisserman 2003, doi:10.1109/ICCV.2003.1238663; FAISS: Douze 2024, arXiv:2401.08281)
    searches the nearest of its lists only. How many must be searched differs with the data (markers lie in clumps,
    principal components of RNA do not), so it is measured against the exact search and not assumed.

    Parameters
    ----------
    reference
        (n, p) float32.
    """

    def __init__(self, reference: np.ndarray) -> None:
        self.reference = reference
        self._exact = _flat(reference)
        self._lists = _inverted(reference) if len(reference) >= MIN_INDEXED else None
        self._chosen: dict[int, tuple[int, float]] = {}
        self._memo: tuple[np.ndarray, np.ndarray] | None = None

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As :meth:`treset.compute.interface.Backend.knn`; ``queries`` (m, p) float32."""
        k = min(k, len(self.reference))
        if queries is not self.reference:
            return self._find(queries, k)
        # graph, reach and gates ask for neighbours of the same rows: the widest answer holds the others
        if self._memo is None or self._memo[0].shape[1] < k:
            self._memo = self._find(queries, k)
        return self._memo[0][:, :k].copy(), self._memo[1][:, :k].copy()

    def chosen(self, k: int) -> tuple[int, float]:
        """Lists searched for ``k`` neighbours (0: the search is exact), and the recall that was measured."""
        k = min(max(k, FEWEST), len(self.reference))
        if k not in self._chosen:
            self._chosen[k] = (0, 1.0) if self._lists is None else self._measured(k)
        return self._chosen[k]

    def _find(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        probes, _ = self.chosen(k)
        if self._lists is None or not probes:
            squared, indices = self._exact.search(queries, k)
            return indices, np.sqrt(np.maximum(squared, 0.0))
        squared, indices = _among_lists(self._lists, queries, k, probes)
        return indices, np.sqrt(np.maximum(squared, 0.0))

    def _measured(self, k: int) -> tuple[int, float]:
        rows = np.sort(np.random.default_rng(_SEED).choice(len(self.reference), _TESTED, replace=False))
        tested = np.ascontiguousarray(self.reference[rows])
        # a row finds itself in any case, which says nothing of the others
        _, wanted = self._exact.search(tested, k + 1)
        for probes in PROBES:
            _, found = _among_lists(self._lists, tested, k + 1, probes)
            both = np.mean([len(np.intersect1d(a, b)) for a, b in zip(found, wanted, strict=True)])
            recall = float((both - 1) / k)
            if recall >= RECALL:
                return probes, recall
        return 0, 1.0


def _flat(reference: np.ndarray) -> Any:
    import faiss

    index = faiss.IndexFlatL2(reference.shape[1])
    index.add(reference)
    return index


def _among_lists(lists: Any, queries: np.ndarray, k: int, probes: int) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances and rows of the ``k`` nearest in the ``probes`` nearest lists."""
    queries = _widened(queries)
    apart, near = lists.quantizer.search(queries, probes)
    # queries of one list after each other find its rows in the processor's cache: a fifth of the time saved
    order = np.argsort(near[:, 0], kind="stable")
    lists.nprobe = probes
    squared, indices = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
    squared[order], indices[order] = lists.search_preassigned(queries[order], k, near[order], apart[order])
    return squared, indices


def _widened(rows: np.ndarray) -> np.ndarray:
    """Rows with columns of zeros up to a whole number of vector registers: a quarter of the time saved."""
    n, p = rows.shape
    wide = np.zeros((n, -(-p // _LANES) * _LANES), dtype=np.float32)
    wide[:, :p] = rows
    return wide


def _inverted(reference: np.ndarray) -> Any:
    import faiss

    reference = _widened(reference)
    n, p = reference.shape
    lists = faiss.IndexIVFFlat(faiss.IndexFlatL2(p), p, int(2 * np.sqrt(n)))
    # threads share out the queries, which are not split before
    lists.parallel_mode = 3
    lists.train(reference)
    lists.add(reference)
    return lists
