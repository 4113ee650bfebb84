"""Nearest neighbours on the CPU: exact, or by an inverted index that has shown to find the same."""

from __future__ import annotations

from typing import Any

import numpy as np

#: From this many reference rows on an inverted index (FAISS IVF) is tried: below, the exact search is as fast.
MIN_INDEXED = 20_000
#: Share of the exact neighbours that the index must find of rows of its own, and the neighbours counted.
RECALL, COUNTED = 0.999, 15
#: Lists searched, fewest first: the first number that reaches the recall is taken, none of them means exact.
_PROBES = (16, 32, 64, 128)
#: Rows on which the recall is measured, and the seed by which they are drawn.
_TESTED, _SEED = 500, 20


class Searcher:
    """Rows to be searched, indexed once.

    An inverted index (Sivic & Zisserman 2003, doi:10.1109/ICCV.2003.1238663; FAISS: Douze 2024, arXiv:2401.08281)
    searches the nearest of its lists only. How many must be searched differs with the data (markers lie in clumps,
    principal components of RNA do not), so it is measured against the exact search and not assumed.

    Parameters
    ----------
    reference
        (n, p) float32.

    Attributes
    ----------
    recall
        Share of the exact neighbours found on a draw of the reference's own rows; 1 of the exact search.
    """

    def __init__(self, reference: np.ndarray) -> None:
        self.reference = reference
        self.recall = 1.0
        self._index = _exact(reference)
        if len(reference) >= MIN_INDEXED:
            self._try_lists()
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

    def _find(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        squared, indices = self._index.search(queries, k)
        return indices, np.sqrt(np.maximum(squared, 0.0))

    def _try_lists(self) -> None:
        import faiss

        n, p = self.reference.shape
        rows = np.sort(np.random.default_rng(_SEED).choice(n, _TESTED, replace=False))
        tested = np.ascontiguousarray(self.reference[rows])
        _, wanted = self._index.search(tested, COUNTED)
        lists = faiss.IndexIVFFlat(faiss.IndexFlatL2(p), p, int(2 * np.sqrt(n)))
        lists.train(self.reference)
        lists.add(self.reference)
        for lists.nprobe in _PROBES:
            _, found = lists.search(tested, COUNTED)
            recall = float(np.mean([len(np.intersect1d(a, b)) for a, b in zip(found, wanted, strict=True)])) / COUNTED
            if recall >= RECALL:
                self._index, self.recall = lists, recall
                return


def _exact(reference: np.ndarray) -> Any:
    import faiss

    index = faiss.IndexFlatL2(reference.shape[1])
    index.add(reference)
    return index
