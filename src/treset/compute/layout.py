"""UMAP's layout by umap-learn's descent, without the rest of umap-learn, whose import compiles for ten seconds."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import numpy as np
from scipy import sparse

#: Of umap-learn: epochs by which edges too weak to be drawn once are left out when fewer than 11 are asked for.
_FEW, _LARGE, _DEFAULT = 10, 10_000, (500, 200)
_NEGATIVES = 5


def curve(min_dist: float) -> tuple[float, float]:
    """``a`` and ``b`` of 1 / (1 + a x^(2 b)) nearest to the wanted fall of similarity, spread 1 (umap-learn's fit)."""
    from scipy.optimize import curve_fit

    x = np.linspace(0, 3, 300)
    wanted = np.where(x < min_dist, 1.0, np.exp(-(x - min_dist)))
    (a, b), _ = curve_fit(lambda x, a, b: 1.0 / (1.0 + a * x ** (2 * b)), x, wanted)
    return float(a), float(b)


def placed(scores: np.ndarray, seed: int) -> np.ndarray:
    """Where a layout starts on either backend: (n, 1 or 2) principal components, to +-10, and a little noise.

    Returns
    -------
    (n, 2) float32, no two the same.
    """
    start = scores if scores.shape[1] == 2 else np.column_stack([scores, np.zeros(len(scores), np.float32)])
    start = 10.0 * start / max(float(np.abs(start).max()), 1e-12)
    noise = np.random.default_rng(seed).normal(scale=1e-4, size=start.shape)
    return (start + noise).astype(np.float32)


def layout(graph: sparse.csr_matrix, start: np.ndarray, min_dist: float, epochs: int, seed: int) -> np.ndarray:
    """Layout by stochastic gradient descent (McInnes 2018, arXiv:1802.03426, algorithm 5), as umap-learn's, serial.

    Parameters
    ----------
    graph
        (n, n) symmetric strengths.
    start
        (n, 2) positions to start from, no two the same.
    min_dist, epochs, seed
        As in umap-learn.

    Returns
    -------
    (n, 2) float32, the same for a seed.
    """
    edges = graph.tocoo(copy=True)
    edges.sum_duplicates()
    drawn = epochs if epochs > _FEW else _DEFAULT[edges.shape[0] > _LARGE]
    strong = edges.data >= edges.data.max() / float(drawn)
    head, tail, weight = (part[strong] for part in (edges.row, edges.col, edges.data))
    every = float(epochs) / (epochs * (weight / weight.max())).astype(np.float64)
    low, high = np.iinfo(np.int32).min + 1, np.iinfo(np.int32).max - 1
    state = np.random.RandomState(seed).randint(low, high, 3).astype(np.int64)
    least = start.min(axis=0)
    places = (10.0 * (start - least) / (start.max(axis=0) - least)).astype(np.float32, order="C")
    a, b = curve(min_dist)
    return _layouts().optimize_layout_euclidean(
        places, places, head, tail, epochs, edges.shape[1], every, a, b, state, 1.0, 1.0, _NEGATIVES, parallel=False,
        verbose=False, move_other=True,
    )  # fmt: skip


def _layouts() -> ModuleType:
    """Import umap-learn's module of the descent by itself: the package's own import compiles three times as long."""
    if "umap" in sys.modules:
        return import_module("umap.layouts")
    found = find_spec("umap")
    assert found is not None and found.submodule_search_locations
    package = ModuleType("umap")
    package.__path__ = list(found.submodule_search_locations)
    sys.modules["umap"] = package
    try:
        return import_module("umap.layouts")
    finally:
        # who imports umap later gets all of it
        del sys.modules["umap"]
