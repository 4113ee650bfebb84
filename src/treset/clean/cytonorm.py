"""CytoNorm: batches levelled by shared controls (Van Gassen et al. 2020, doi:10.1002/cyto.a.23904).

Own code after the paper: `cytonormpy` needs flowio <= 1.3 and two further packages of cytometry.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from treset.clean.distances import compare
from treset.compute.som import train_som, winners
from treset.errors import TresetError

#: Quantiles of which a spline is made.
QUANTILES = np.linspace(0.01, 0.99, 99)
#: Fewest cells of a cluster in a batch for a spline of its own.
FEWEST = 50
#: A cluster whose share varies more between the batches (coefficient of variation) is no cluster of cells but of batch.
MAX_CV = 1.5
#: A width below this (transformed units) is noise around zero; a change of the width beyond this share is a harm.
_LEAST_MAD, _MAD_CHANGE = 0.05, 0.10
_FOLDS = 5
#: Deals of the cells, at most this many of each batch, and the level of the test that batches differ at all.
_PERMUTATIONS, _PERMUTED_CELLS, _LEVEL = 99, 5_000, 0.05
_SIDE, _MOST_CELLS = 10, 50_000


@dataclass(frozen=True)
class Levelling:
    """What brings each batch to the common goal.

    Attributes
    ----------
    batches
        Names.
    codes
        Nodes of the self-organising map, shape (nodes, markers).
    cluster
        Of each node, shape (nodes,).
    quantiles
        Shape (batches, clusters, markers, 99); clusters too small in a batch have those of all its cells.
    goal
        Shape (batches, clusters, markers, 99): where each batch's quantiles are brought.
    markers
        Shape (markers,), bool: those that are corrected.
    """

    batches: tuple[str, ...]
    codes: np.ndarray
    cluster: np.ndarray
    quantiles: np.ndarray
    goal: np.ndarray
    markers: np.ndarray

    def clusters_of(self, values: np.ndarray) -> np.ndarray:
        """Cluster of each cell, shape (cells,)."""
        return self.cluster[winners(values, self.codes)[0]]


def train(anchors: Mapping[str, np.ndarray], clusters: int | None = None, seed: int = 0) -> Levelling:
    """Learn from one control that was measured in every batch.

    Cells of all batches are clustered by a self-organising map; in each cluster, batch and marker the quantiles are
    brought to their mean over the batches by a monotone spline.

    Parameters
    ----------
    anchors
        Batch -> transformed values of its control, shape (cells, markers).
    clusters
        Metaclusters. Default: the most, up to 10, whose shares are alike in all batches (coefficient of variation of
        each at most 1.5, as in CytoNorm's own test) and that have 50 cells in each.
    seed
        Of the map.

    Raises
    ------
    TresetError
        Fewer than two batches, different numbers of markers, or too few cells.
    """
    if len(anchors) < 2:
        raise TresetError("batches: fewer than two batches have an anchor, nothing can be levelled.")
    widths = {values.shape[1] for values in anchors.values()}
    least = min(len(values) for values in anchors.values())
    if len(widths) > 1 or least < 2 * FEWEST:
        raise TresetError(
            f"batches: every batch needs an anchor of the same markers and at least {2 * FEWEST} cells, the smallest "
            f"has {least}; exclude the batch or measure its control again."
        )
    rng = np.random.default_rng(seed)
    share = max(_MOST_CELLS // len(anchors), 1)
    drawn = [values if len(values) <= share else values[rng.choice(len(values), share, False)]
             for values in anchors.values()]  # fmt: skip
    pooled = np.vstack(drawn).astype(np.float64)
    side = _SIDE if len(pooled) >= 10 * _SIDE**2 else 5
    codes = train_som(pooled, side=side, seed=seed)
    nodes = {batch: winners(values, codes)[0] for batch, values in anchors.items()}
    cluster = _metaclusters(codes, nodes, clusters)
    quantiles = np.stack([_quantiles(values, cluster[nodes[batch]], cluster.max() + 1)
                          for batch, values in anchors.items()])  # fmt: skip
    goal = np.broadcast_to(_goal(anchors, nodes, cluster, quantiles), quantiles.shape).copy()
    return Levelling(tuple(anchors), codes, cluster, quantiles, goal, np.ones(widths.pop(), dtype=bool))


def train_and_judge(
    anchors: Mapping[str, np.ndarray], names: Sequence[str], clusters: int | None = None, seed: int = 0
) -> tuple[Levelling, pd.DataFrame]:
    """Learn from the anchors, and take back what does not help.

    A marker is left as it was where its batches differ by no more than chance (permutation of the cells, 5 %). Each
    fifth of the anchors' cells is levelled by what the other four teach: a marker is left as it was, too, where the
    earth mover's distance between the batches does not fall so, or where the median absolute deviation of a marker
    (0.05 or more) changes by more than 10 %.

    Parameters
    ----------
    anchors, clusters, seed
        See `train`.
    names
        Of the markers.

    Returns
    -------
    The levelling learnt from all cells with the markers that are corrected, and the table of
    `treset.clean.distances.compare`, judged so, with ``corrected`` (of the marker) and ``reason``.
    """
    learnt = train(anchors, clusters, seed)
    rng = np.random.default_rng(seed)
    fold = {batch: rng.permutation(len(values)) % _FOLDS for batch, values in anchors.items()}
    levelled = {batch: np.empty(values.shape) for batch, values in anchors.items()}
    for number in range(_FOLDS):
        trial = train({b: values[fold[b] != number] for b, values in anchors.items()}, clusters, seed)
        for batch, values in anchors.items():
            levelled[batch][fold[batch] == number] = level(values[fold[batch] == number], batch, trial)
    labels = {batch: np.char.mod("cluster %d", learnt.clusters_of(values) + 1) for batch, values in anchors.items()}
    table = compare(anchors, levelled, labels, list(names))
    whole = table[table["population"] == "cells"].set_index("marker").loc[list(names)]
    worse = (whole["emd_after"] >= whole["emd_before"]).to_numpy()
    change = (whole["mad_after"] - whole["mad_before"]).abs()
    wide = ((whole["mad_before"] >= _LEAST_MAD) & (change > _MAD_CHANGE * whole["mad_before"])).to_numpy()
    chance = ~_differ(anchors, seed)
    reason = np.select(
        [chance, worse, wide],
        ["no difference beyond chance", "batches did not come closer", "the width changed by over 10 %"],
        "",
    )
    verdict = dict(zip(names, reason, strict=True))
    table["corrected"] = [verdict[marker] == "" for marker in table["marker"]]
    table["reason"] = [verdict[marker] for marker in table["marker"]]
    return replace(learnt, markers=reason == ""), table


def _differ(anchors: Mapping[str, np.ndarray], seed: int) -> np.ndarray:
    """Markers whose batches lie further apart than cells that were dealt out anew, in all but 5 % of deals.

    The folds of an anchor share what is particular to its draw of cells, so that they cannot tell it from a batch.
    """
    rng = np.random.default_rng(seed)
    size = min(_PERMUTED_CELLS, *(len(values) for values in anchors.values()))
    drawn = np.stack([values[rng.choice(len(values), size, False)] for values in anchors.values()])
    seen = _apart(drawn)
    cells = drawn.reshape(-1, drawn.shape[2])
    as_far = sum(
        (_apart(cells[rng.permutation(len(cells))].reshape(drawn.shape)) >= seen).astype(int)
        for _ in range(_PERMUTATIONS)
    )
    return (1 + as_far) / (1 + _PERMUTATIONS) <= _LEVEL


def _apart(batches: np.ndarray) -> np.ndarray:
    """Largest earth mover's distance of any two batches of as many cells: (batches, cells, markers) to (markers,)."""
    ranked = np.sort(batches, axis=1)
    pairs = itertools.combinations(ranked, 2)
    return np.max([np.abs(first - second).mean(axis=0) for first, second in pairs], axis=0)


def _metaclusters(codes: np.ndarray, nodes: Mapping[str, np.ndarray], asked: int | None) -> np.ndarray:
    from scipy.cluster.hierarchy import fcluster, linkage

    tree = linkage(codes, "average")
    for count in [asked] if asked else range(10, 1, -1):
        cluster = fcluster(tree, count, "maxclust") - 1
        if asked or _alike(cluster, nodes):
            return cluster
    return np.zeros(len(codes), dtype=int)


def _alike(cluster: np.ndarray, nodes: Mapping[str, np.ndarray]) -> bool:
    counts = np.array([np.bincount(cluster[found], minlength=cluster.max() + 1) for found in nodes.values()])
    shares = counts / counts.sum(axis=1, keepdims=True)
    big = shares.mean(axis=0) > 0.01
    cv = shares.std(axis=0, ddof=1) / np.maximum(shares.mean(axis=0), 1e-12)
    return bool((cv[big] <= MAX_CV).all() and (counts[:, big] >= FEWEST).all())


def _quantiles(values: np.ndarray, cluster: np.ndarray, clusters: int) -> np.ndarray:
    whole = np.quantile(values, QUANTILES, axis=0).T
    return np.stack(
        [
            np.quantile(values[cluster == c], QUANTILES, axis=0).T if (cluster == c).sum() >= FEWEST else whole
            for c in range(clusters)
        ]
    )


def _goal(
    anchors: Mapping[str, np.ndarray], nodes: Mapping[str, np.ndarray], cluster: np.ndarray, quantiles: np.ndarray
) -> np.ndarray:
    """Mean over the batches; a cluster that is too small in any of them is levelled as all cells are."""
    goal = quantiles.mean(axis=0)
    whole = np.mean([np.quantile(values, QUANTILES, axis=0).T for values in anchors.values()], axis=0)
    for number in range(len(goal)):
        if min(int((cluster[found] == number).sum()) for found in nodes.values()) < FEWEST:
            goal[number] = whole
            for batch, values in enumerate(anchors.values()):
                quantiles[batch, number] = np.quantile(values, QUANTILES, axis=0).T
    return goal


def level(values: np.ndarray, batch: str, learnt: Levelling) -> np.ndarray:
    """Bring the cells of a sample to the common goal of the batches.

    Parameters
    ----------
    values
        Transformed, shape (cells, markers), the markers of the anchors.
    batch
        Of the sample.
    learnt
        See `train`.

    Returns
    -------
    float64. Markers that are not corrected are as they were; beyond the outermost quantiles a value moves as far as the
    quantile does. What is 0 in mass cytometry and is the lowest quantile in goal and batch stays 0.

    Raises
    ------
    TresetError
        The batch had no anchor.
    """
    if batch not in learnt.batches:
        raise TresetError(
            f"batches: batch {batch!r} has no anchor (those that have: {', '.join(learnt.batches)}); give it one, "
            "or set clean.batch: none."
        )
    place = learnt.batches.index(batch)
    cluster = learnt.clusters_of(values)
    result = np.asarray(values, dtype=np.float64).copy()
    for number in np.unique(cluster):
        inside = cluster == number
        for marker in np.flatnonzero(learnt.markers):
            start, end = learnt.quantiles[place, number, marker], learnt.goal[place, number, marker]
            result[inside, marker] = _spline(result[inside, marker], start, end)
    return result


def _spline(values: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Monotone cubic spline from quantiles to quantiles (Fritsch & Carlson 1980), moved in parallel outside."""
    from scipy.interpolate import PchipInterpolator

    # a quantile that repeats (the zeros of mass cytometry) goes to the mean of its goals
    knots, inverse = np.unique(start, return_inverse=True)
    goals = np.bincount(inverse, end) / np.bincount(inverse)
    if len(knots) < 2:
        return values + (goals[0] - knots[0])
    inner = PchipInterpolator(knots, goals)(np.clip(values, knots[0], knots[-1]))
    return inner + np.minimum(values - knots[0], 0) + np.maximum(values - knots[-1], 0)
