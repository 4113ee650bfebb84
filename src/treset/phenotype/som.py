"""A self-organising map: the nodes of FlowSOM, trained in batches so that the order of the cells does not matter."""

from __future__ import annotations

import numpy as np

from treset.errors import TresetError

#: Radius of the neighbourhood at the end, in steps of the grid: a node then learns from its own cells almost alone.
_LAST_RADIUS = 0.3

_CHUNK = 50_000


def train_som(x: np.ndarray, side: int = 10, epochs: int = 20, seed: int = 0) -> np.ndarray:
    """Train a square map by the batch algorithm (Kohonen 2013, doi:10.1016/j.neunet.2012.09.018).

    FlowSOM (Van Gassen 2015, doi:10.1002/cyto.a.22625) trains the same map cell by cell.

    Parameters
    ----------
    x
        (n, p) coordinates of the cells.
    side
        Nodes along each edge of the grid.
    epochs
        Passes over all cells; the Gaussian neighbourhood shrinks geometrically from a third of the grid to 0.3 steps.
    seed
        Which cells a node without cells starts again from.

    Returns
    -------
    (side * side, p) float64, row by row of the grid.

    Raises
    ------
    TresetError
        There are fewer cells than nodes, or a value is not finite.
    """
    n, nodes = len(x), side * side
    if n < nodes:
        raise TresetError(
            f"a self-organising map of {side} x {side} nodes needs at least {nodes} cells, the sketch has {n}: "
            "use cohort.algorithm: leiden, or draw more cells"
        )
    if not np.isfinite(x).all():
        raise TresetError("the coordinates of the self-organising map hold values that are not finite: check the files")
    generator = np.random.default_rng(seed)
    codes = _plane(x, side, generator)
    row, column = np.divmod(np.arange(nodes), side)
    apart = (row[:, None] - row) ** 2 + (column[:, None] - column) ** 2
    first = max(side / 3.0, 1.0)
    for epoch in range(epochs):
        radius = first * (_LAST_RADIUS / first) ** (epoch / max(epochs - 1, 1))
        nearest, distance = winners(x, codes)
        counts = np.bincount(nearest, minlength=nodes).astype(float)
        pull = np.exp(-apart / (2.0 * radius**2))
        weight = pull @ counts
        alive = weight > 1e-9
        codes[alive] = (pull @ _sums(x, nearest, nodes))[alive] / weight[alive, None]
        if (~alive).any():
            # a node that nothing pulls any more goes where the map fits worst
            codes[~alive] = x[np.argsort(-distance, kind="stable")[: int((~alive).sum())]]
    return codes


def winners(x: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest node of every cell, the lower number where two are as near: (n,) int64, and the distance (n,)."""
    nearest = np.empty(len(x), dtype=np.int64)
    distance = np.empty(len(x))
    length = (codes**2).sum(axis=1)
    for start in range(0, len(x), _CHUNK):
        part = np.asarray(x[start : start + _CHUNK], dtype=np.float64)
        squared = length - 2.0 * (part @ codes.T)
        nearest[start : start + _CHUNK] = squared.argmin(axis=1)
        least = squared.min(axis=1) + (part**2).sum(axis=1)
        distance[start : start + _CHUNK] = np.sqrt(np.maximum(least, 0.0))
    return nearest, distance


def _sums(x: np.ndarray, nearest: np.ndarray, nodes: int) -> np.ndarray:
    """Sum of the cells of each node: (nodes, p) float64."""
    return np.column_stack([np.bincount(nearest, weights=column, minlength=nodes) for column in x.T])


def _plane(x: np.ndarray, side: int, generator: np.random.Generator) -> np.ndarray:
    """Nodes spread over the first two principal components, two standard deviations each way."""
    mean = x.mean(axis=0, dtype=np.float64)
    covariance = np.atleast_2d(np.cov(x, rowvar=False, dtype=np.float64))
    values, vectors = np.linalg.eigh(covariance)
    # the sign of an eigenvector is arbitrary: the largest loading is made positive
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(values))])
    axes = [np.sqrt(max(values[-1 - i], 0.0)) * vectors[:, -1 - i] if i < len(values) else None for i in (0, 1)]
    steps = np.linspace(-2.0, 2.0, side) if side > 1 else np.zeros(1)
    row, column = np.divmod(np.arange(side * side), side)
    codes = mean + steps[row][:, None] * axes[0]
    if axes[1] is not None:
        codes = codes + steps[column][:, None] * axes[1]
    return codes + generator.normal(scale=1e-6, size=codes.shape)
