"""What a backend offers. Arrays in, arrays out; names and meaning follow scanpy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, Protocol

import numpy as np
from scipy import sparse


@dataclass(frozen=True)
class Choice:
    """Which backend was asked for, which one runs, where, and why."""

    requested: Literal["auto", "gpu", "cpu"]
    used: Literal["gpu", "cpu"]
    device: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        """The choice as plain text, for ``uns`` and JSON."""
        return asdict(self)


@dataclass(frozen=True)
class PcaResult:
    """Principal components: ``scores = (X - mean) @ components.T``.

    Attributes
    ----------
    scores
        (n, k) float32.
    components
        (k, p) float64, rows orthonormal, sign fixed (largest loading positive).
    mean
        (p,) float64.
    variance_ratio
        (k,) share of the variance.
    """

    scores: np.ndarray
    components: np.ndarray
    mean: np.ndarray
    variance_ratio: np.ndarray


class Backend(Protocol):
    """The steps of the cohort and map jobs that are worth a GPU."""

    choice: Choice

    def versions(self) -> dict[str, str]:
        """Versions of the libraries that are of this backend alone."""
        ...

    def hold[Array: (np.ndarray, sparse.csr_matrix)](self, x: Array) -> Array:
        """The same values, for several steps: give what comes back, and it is sent to a device once, not each time.

        What comes back may be read-only, and what is done to ``x`` afterwards may not show in it.
        """
        ...

    def pca(self, x: np.ndarray | sparse.csr_matrix, n_components: int, seed: int) -> PcaResult:
        """Principal components of the rows of ``x`` (n, p)."""
        ...

    def knn(self, reference: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The ``k`` nearest rows of ``reference`` for each query.

        Returns
        -------
        Indices (n, k) int64 and Euclidean distances (n, k) float32, nearest first.
        """
        ...

    def graph(self, x: np.ndarray, k: int, seed: int) -> sparse.csr_matrix:
        """Symmetric fuzzy neighbour graph of the rows of ``x`` (UMAP's, as scanpy's ``neighbors``), ``k`` with self.

        It is held already (:meth:`hold`).
        """
        ...

    def leiden(
        self, graph: sparse.csr_matrix, resolution: float, seed: int, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """Communities by modularity, numbered by falling size: (n,) int32.

        Of the part of the graph among ``rows`` (m,), rising, where they are given: (m,) int32.
        """
        ...

    def som(
        self, x: np.ndarray, side: int, epochs: int, seed: int, rows: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Self-organising map of ``x`` (n, p), as :func:`treset.compute.som.train_som` describes it.

        Of its ``rows`` (m,) where they are given.

        Returns
        -------
        Nodes (side * side, p) float64 and the nearest node of every row, (n,) or (m,) int64.
        """
        ...

    def umap(self, x: np.ndarray, graph: sparse.csr_matrix, *, min_dist: float, epochs: int, seed: int) -> np.ndarray:
        """Two-dimensional layout started from the first two principal components of ``x``: (n, 2) float32."""
        ...

    def harmony(self, x: np.ndarray, batch: np.ndarray, seed: int) -> np.ndarray:
        """Coordinates ``x`` (n, k) with the differences between batches (n,) taken out: (n, k) float32."""
        ...

    def scrublet(self, counts: sparse.csr_matrix, seed: int) -> tuple[np.ndarray, float | None]:
        """Doublet scores (n,) and the automatic threshold, None where scrublet found none."""
        ...
