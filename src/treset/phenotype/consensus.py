"""Consensus clustering: groups that come back however the items are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from treset.errors import TresetError


def consensus_matrix(items: np.ndarray, k: int, *, repeats: int = 100, share: float = 0.9, seed: int = 0) -> np.ndarray:
    """How often two items fall in one group when both were drawn (Monti 2003, doi:10.1023/A:1023949509487).

    Each repeat draws ``share`` of the items and cuts their average-linkage tree (Euclidean distance) into ``k``
    groups: ConsensusClusterPlus (Wilkerson 2010, doi:10.1093/bioinformatics/btq170) with the settings of FlowSOM.

    Parameters
    ----------
    items
        (n, p) coordinates, the nodes of a self-organising map say.
    k
        Groups, 2 to the number of items drawn.

    Returns
    -------
    (n, n) float64 between 0 and 1, symmetric, 1 on the diagonal; pairs that were never drawn together are 0.

    Raises
    ------
    TresetError
        ``k`` is not between 2 and the items drawn.
    """
    return _matrices(items, [k], repeats, share, seed)[0]


def consensus_labels(items: np.ndarray, k: int, *, repeats: int = 100, share: float = 0.9, seed: int = 0) -> np.ndarray:
    """Groups from the consensus matrix: its average-linkage tree, cut into ``k``.

    Parameters
    ----------
    items, k, repeats, share, seed
        See :func:`consensus_matrix`.

    Returns
    -------
    (n,) int64 numbers from 0, at most ``k`` different ones.
    """
    return consensus_partitions(items, [k], repeats=repeats, share=share, seed=seed)[k]


def consensus_partitions(
    items: np.ndarray, ks: Sequence[int], *, repeats: int = 100, share: float = 0.9, seed: int = 0
) -> dict[int, np.ndarray]:
    """As :func:`consensus_labels` for several ``k`` on the same draws: k -> (n,) int64."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    found = {}
    for k, matrix in zip(ks, _matrices(items, ks, repeats, share, seed), strict=True):
        found[k] = _cut(linkage(squareform(1.0 - matrix, checks=False), "average"), k)
    return found


def _matrices(items: np.ndarray, ks: Sequence[int], repeats: int, share: float, seed: int) -> list[np.ndarray]:
    n = len(items)
    size = max(int(share * n), min(n, 2))
    for k in ks:
        if not 2 <= k <= size:
            raise TresetError(
                f"consensus clustering into {k} groups was asked for, expected 2 to {size} (the items of one draw): "
                "change cohort.metaclusters"
            )
    together, drawn = [np.zeros((n, n)) for _ in ks], np.zeros((n, n))
    for rows, cuts in _draws(items, ks, size, repeats, seed):
        drawn[np.ix_(rows, rows)] += 1.0
        for matrix, labels in zip(together, cuts, strict=True):
            matrix[np.ix_(rows, rows)] += labels[:, None] == labels
    for matrix in together:
        np.divide(matrix, drawn, out=matrix, where=drawn > 0)
        np.fill_diagonal(matrix, 1.0)
    return together


def _draws(
    items: np.ndarray, ks: Sequence[int], size: int, repeats: int, seed: int
) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    from scipy.cluster.hierarchy import linkage

    generator = np.random.default_rng(seed)
    for _ in range(repeats):
        rows = np.sort(generator.choice(len(items), size=size, replace=False))
        tree = linkage(items[rows], "average")
        yield rows, [_cut(tree, k) for k in ks]


def _cut(tree: np.ndarray, k: int) -> np.ndarray:
    from scipy.cluster.hierarchy import fcluster

    return fcluster(tree, k, "maxclust").astype(np.int64) - 1
