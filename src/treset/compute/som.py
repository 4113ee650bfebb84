"""A self-organising map: the nodes of FlowSOM, trained in batches so that the order of the cells does not matter.

One code for both backends: ``xp`` is NumPy or CuPy. The cells go to the device once and stay there for all epochs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from treset.errors import TresetError

#: Radius of the neighbourhood at the end, in steps of the grid: a node then learns from its own cells almost alone.
_LAST_RADIUS = 0.3

_CHUNK = 50_000


def train_som(x: np.ndarray, side: int = 10, epochs: int = 20, seed: int = 0, xp: Any = np) -> np.ndarray:
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
    xp
        The array library that works: NumPy (default) or CuPy.

    Returns
    -------
    (side * side, p) float64, row by row of the grid.

    Raises
    ------
    TresetError
        There are fewer cells than nodes, or a value is not finite.
    """
    return _host(_train(x, xp.asarray(x), side, epochs, seed, xp))


def som(x: np.ndarray, cells: Any, side: int, epochs: int, seed: int, xp: Any = np) -> tuple[Any, Any]:
    """Nodes of the map and the nearest node of every cell: :func:`train_som` and :func:`winners`.

    Parameters
    ----------
    x, cells
        (n, p) the same cells on the host and where ``xp`` works.
    side, epochs, seed, xp
        As in :func:`train_som`.

    Returns
    -------
    (side * side, p) float64 and (n,) int64, where ``xp`` works.
    """
    codes = _train(x, cells, side, epochs, seed, xp)
    return codes, _winners(cells, codes, xp)[0]


def _train(x: np.ndarray, cells: Any, side: int, epochs: int, seed: int, xp: Any) -> Any:
    n, nodes = len(x), side * side
    if n < nodes:
        raise TresetError(
            f"a self-organising map of {side} x {side} nodes needs at least {nodes} cells, the sketch has {n}: "
            "use cohort.algorithm: leiden, or draw more cells"
        )
    if not np.isfinite(x).all():
        raise TresetError("the coordinates of the self-organising map hold values that are not finite: check the files")
    generator = np.random.default_rng(seed)
    codes = xp.asarray(_plane(x, side, generator))
    row, column = np.divmod(np.arange(nodes), side)
    apart = xp.asarray(((row[:, None] - row) ** 2 + (column[:, None] - column) ** 2).astype(float))
    first = max(side / 3.0, 1.0)
    for epoch in range(epochs):
        radius = first * (_LAST_RADIUS / first) ** (epoch / max(epochs - 1, 1))
        nearest, distance = _winners(cells, codes, xp)
        counts = xp.bincount(nearest, minlength=nodes).astype(float)
        pull = xp.exp(apart / (-2.0 * radius**2))
        weight = pull @ counts
        alive = weight > 1e-9
        learnt = pull @ _sums(cells, nearest, nodes, xp)
        codes = xp.where(alive[:, None], learnt / xp.maximum(weight, 1e-9)[:, None], codes)
        dead = np.flatnonzero(~_host(alive))
        if len(dead):
            # a node that nothing pulls any more goes where the map fits worst
            worst = xp.argsort(-distance, kind="stable")[: len(dead)]
            codes[xp.asarray(dead)] = cells[worst].astype(np.float64)
    return codes


def winners(x: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest node of every cell, the lower number where two are as near: (n,) int64, and the distance (n,)."""
    return _winners(np.asarray(x), np.asarray(codes), np)


def _winners(cells: Any, codes: Any, xp: Any) -> tuple[Any, Any]:
    nearest = xp.empty(len(cells), dtype=np.int64)
    distance = xp.empty(len(cells), dtype=np.float64)
    length = (codes**2).sum(axis=1)
    for start in range(0, len(cells), _CHUNK):
        part = cells[start : start + _CHUNK].astype(np.float64)
        squared = length - 2.0 * (part @ codes.T)
        nearest[start : start + _CHUNK] = squared.argmin(axis=1)
        least = squared.min(axis=1) + (part**2).sum(axis=1)
        distance[start : start + _CHUNK] = xp.sqrt(xp.maximum(least, 0.0))
    return nearest, distance


def _sums(cells: Any, nearest: Any, nodes: int, xp: Any) -> Any:
    """Sum of the cells of each node: (nodes, p) float64."""
    if xp is np:
        return np.column_stack([np.bincount(nearest, weights=column, minlength=nodes) for column in cells.T])
    # CuPy's bincount adds with atomics, in another order every time: products of matrices repeat
    total = xp.zeros((nodes, cells.shape[1]), dtype=np.float64)
    numbers = xp.arange(nodes)
    for start in range(0, len(cells), _CHUNK):
        mine = (nearest[start : start + _CHUNK] == numbers[:, None]).astype(np.float64)
        total += mine @ cells[start : start + _CHUNK].astype(np.float64)
    return total


def _host(array: Any) -> np.ndarray:
    return array.get() if hasattr(array, "get") else array


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
