"""UMAP's layout without importing umap-learn, which compiles for half a minute where this takes seconds."""

from __future__ import annotations

import numpy as np
from scipy import sparse

#: Of umap-learn: epochs by which edges too weak to be drawn once are left out when fewer than 11 are asked for.
_FEW, _LARGE, _DEFAULT = 10, 10_000, (500, 200)
_NEGATIVES = 5.0


def curve(min_dist: float) -> tuple[float, float]:
    """``a`` and ``b`` of 1 / (1 + a x^(2 b)) nearest to the wanted fall of similarity, spread 1 (umap-learn's fit)."""
    from scipy.optimize import curve_fit

    x = np.linspace(0, 3, 300)
    wanted = np.where(x < min_dist, 1.0, np.exp(-(x - min_dist)))
    (a, b), _ = curve_fit(lambda x, a, b: 1.0 / (1.0 + a * x ** (2 * b)), x, wanted)
    return float(a), float(b)


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
    states = state + places[:, :1].astype(np.float64).view(np.int64)
    a, b = curve(min_dist)
    _descend()(places, head.astype(np.int32), tail.astype(np.int32), every, states, a, b, epochs)
    return places


def _descend():
    """Compile the descent: a loop over edges is what numba is for."""
    import numba

    @numba.njit
    def clip(value):
        return min(max(value, -4.0), 4.0)

    @numba.njit
    def chance(state):
        # Tausworthe's generator (L'Ecuyer 1996, doi:10.1090/S0025-5718-96-00696-5)
        state[0] = (((state[0] & 4294967294) << 12) & 0xFFFFFFFF) ^ ((((state[0] << 13) & 0xFFFFFFFF) ^ state[0]) >> 19)
        state[1] = (((state[1] & 4294967288) << 4) & 0xFFFFFFFF) ^ ((((state[1] << 2) & 0xFFFFFFFF) ^ state[1]) >> 25)
        state[2] = (((state[2] & 4294967280) << 17) & 0xFFFFFFFF) ^ ((((state[2] << 3) & 0xFFFFFFFF) ^ state[2]) >> 11)
        return np.int32(state[0] ^ state[1] ^ state[2])

    @numba.njit(fastmath=True)
    def descend(places, head, tail, every, states, a, b, epochs):
        n = len(places)
        between = every / _NEGATIVES
        next_negative, next_edge = between.copy(), every.copy()
        rate = 1.0
        for epoch in range(epochs):
            for edge in range(len(every)):
                if next_edge[edge] > epoch:
                    continue
                j, k = head[edge], tail[edge]
                x, y = places[j, 0] - places[k, 0], places[j, 1] - places[k, 1]
                square = x * x + y * y
                if square > 0.0:
                    pull = -2.0 * a * b * pow(square, b - 1.0) / (a * pow(square, b) + 1.0)
                    x, y = clip(pull * x) * rate, clip(pull * y) * rate
                    places[j, 0] += x
                    places[j, 1] += y
                    places[k, 0] -= x
                    places[k, 1] -= y
                next_edge[edge] += every[edge]
                count = int((epoch - next_negative[edge]) / between[edge])
                for _ in range(count):
                    k = chance(states[j]) % n
                    x, y = places[j, 0] - places[k, 0], places[j, 1] - places[k, 1]
                    square = x * x + y * y
                    if square > 0.0:
                        push = 2.0 * b / ((0.001 + square) * (a * pow(square, b) + 1.0))
                        places[j, 0] += clip(push * x) * rate
                        places[j, 1] += clip(push * y) * rate
                next_negative[edge] += count * between[edge]
            rate = 1.0 - epoch / epochs

    return descend
