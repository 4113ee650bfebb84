"""Quantiles of each batch brought to a common goal, cluster by cluster: the splines of CytoNorm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from treset.compute.som import winners
from treset.errors import TresetError

#: Quantiles of which a spline is made.
QUANTILES = np.linspace(0.01, 0.99, 99)
#: Fewest cells of a cluster in a batch for a spline of its own.
FEWEST = 20
#: Cells of a cluster at which its own spline and that of all cells weigh the same.
_SHRINK_CELLS = 100


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
        Shape (batches, clusters, markers, 99); clusters too small in any batch have those of all cells.
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


def by_clusters(anchors: Mapping[str, np.ndarray], codes: np.ndarray, cluster: np.ndarray) -> Levelling:
    """Learn by clusters that are given.

    Parameters
    ----------
    anchors
        Batch -> transformed values of its control, shape (cells, markers).
    codes
        Nodes of the map, shape (nodes, markers).
    cluster
        Of each node, shape (nodes,).

    Returns
    -------
    A levelling of all markers.
    """
    nodes = {batch: winners(values, codes)[0] for batch, values in anchors.items()}
    quantiles, goal = _targets(anchors, nodes, cluster)
    return Levelling(tuple(anchors), codes, cluster, quantiles, goal, np.ones(codes.shape[1], dtype=bool))


def level(values: np.ndarray, batch: str, learnt: Levelling, rough: bool = False) -> np.ndarray:
    """Bring the cells of a sample to the common goal of the batches.

    Parameters
    ----------
    values
        Transformed, shape (cells, markers), the markers of the anchors.
    batch
        Of the sample.
    learnt
        See `treset.clean.cytonorm.train`.
    rough
        Straight lines between the quantiles in place of splines: next to the same, ten times as fast. Default: splines.

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
    place, move = learnt.batches.index(batch), _line if rough else _spline
    cluster = learnt.clusters_of(values)
    result = np.asarray(values, dtype=np.float64).copy()
    for number in np.unique(cluster):
        inside = cluster == number
        for marker in np.flatnonzero(learnt.markers):
            start, end = learnt.quantiles[place, number, marker], learnt.goal[place, number, marker]
            result[inside, marker] = move(result[inside, marker], start, end)
    return result


def _targets(
    anchors: Mapping[str, np.ndarray], nodes: Mapping[str, np.ndarray], cluster: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles of each batch and the goal they are brought to, each (batches, clusters, markers, 99)."""
    inside = [(values, cluster[nodes[batch]]) for batch, values in anchors.items()]
    whole = np.stack([np.quantile(values, QUANTILES, axis=0).T for values, _ in inside])
    counts = np.min([np.bincount(found, minlength=cluster.max() + 1) for _, found in inside], axis=0)
    quantiles, goal = np.empty((2, len(whole), len(counts), *whole.shape[1:]))
    for number, cells in enumerate(counts.tolist()):
        if cells < FEWEST:
            quantiles[:, number], goal[:, number] = whole, whole.mean(axis=0)
            continue
        own = np.stack([np.quantile(values[found == number], QUANTILES, axis=0).T for values, found in inside])
        # one cluster is all cells: nothing to be drawn to
        weight = 1.0 if len(counts) == 1 else cells / (cells + _SHRINK_CELLS)
        quantiles[:, number] = own
        goal[:, number] = weight * own.mean(axis=0) + (1 - weight) * _as_all(own, whole)
    return quantiles, goal


def _as_all(own: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Where a cluster's quantiles go by the spline of all cells, each (batches, markers, 99)."""
    goal = whole.mean(axis=0)
    return np.stack(
        [
            np.stack([_line(values, start, end) for values, start, end in zip(*batch, goal, strict=True)])
            for batch in zip(own, whole, strict=True)
        ]
    )


def _spline(values: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Monotone cubic spline from quantiles to quantiles (Fritsch & Carlson 1980), moved in parallel outside."""
    from scipy.interpolate import PchipInterpolator

    knots, goals = _knots(start, end)
    if len(knots) < 2:
        return values + (goals[0] - knots[0])
    inner = PchipInterpolator(knots, goals)(np.clip(values, knots[0], knots[-1]))
    return inner + np.minimum(values - knots[0], 0) + np.maximum(values - knots[-1], 0)


def _line(values: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """As `_spline`, by straight lines."""
    knots, goals = _knots(start, end)
    return np.interp(values, knots, goals) + np.minimum(values - knots[0], 0) + np.maximum(values - knots[-1], 0)


def _knots(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A quantile that repeats (the zeros of mass cytometry) goes to the mean of its goals."""
    knots, inverse = np.unique(start, return_inverse=True)
    return knots, np.bincount(inverse, end) / np.bincount(inverse)
