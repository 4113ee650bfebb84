"""Every cell of every sample finds its place by its nearest neighbours in the sketch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from treset.compute import Backend


@dataclass(frozen=True)
class Placement:
    """Where cells landed.

    Attributes
    ----------
    cluster
        (n,) index into the sketch's cluster ids, by majority of the neighbours (the nearer one where they tie); -1:
        unlike the sketch.
    confidence
        (n,) share of the neighbours that agree.
    umap
        (n, 2) float32, mean of the neighbours' positions weighted by nearness.
    neighbors
        (n, k) rows of the sketch.
    """

    cluster: np.ndarray
    confidence: np.ndarray
    umap: np.ndarray
    neighbors: np.ndarray


def reach(backend: Backend, sketch: np.ndarray) -> float:
    """Distance beyond which a cell is unlike anything in the sketch.

    Twice the 99.9th percentile of the distance from a sketch cell to its nearest other cell.
    """
    _, distances = backend.knn(sketch, sketch, 2)
    return float(2.0 * np.quantile(distances[:, -1], 0.999))


def place(
    backend: Backend,
    sketch: np.ndarray,
    cluster: np.ndarray,
    umap: np.ndarray,
    cells: np.ndarray,
    k: int,
    limit: float,
    votes: int,
    keep: bool = True,
    own: np.ndarray | None = None,
) -> Placement:
    """Map cells onto the sketch.

    Parameters
    ----------
    backend
        Where the neighbours are searched.
    sketch, cells
        (m, p) and (n, p) coordinates.
    cluster, umap
        (m,) cluster numbers from 0 and (m, 2) positions of the sketch.
    k
        Neighbours looked up.
    votes
        The nearest of them, which vote and place.
    limit
        Cells whose nearest neighbour is further away get cluster -1 (:func:`reach`).
    keep
        Give the neighbours too; else (n, 0).
    own
        (n,) row of the sketch that a cell is itself, -1 for those that the sketch does not hold. It does not vote on
        itself: a sample of which the sketch holds much would be voted on otherwise than one of which it holds little,
        and the two could not be compared. Default: none is in the sketch.
    """
    indices, distances = backend.knn(sketch, cells, k if own is None else max(k, min(votes + 1, len(sketch))))
    near = indices[:, :votes]
    choice = cluster[near if own is None else others(indices, own, votes)]
    winner = majority(choice, int(cluster.max()) + 1)
    confidence = (choice == winner[:, None]).mean(axis=1).astype(np.float32)
    nearness = 1.0 / (distances[:, :votes] + 1e-6)
    positions = (umap[near] * (nearness / nearness.sum(axis=1, keepdims=True))[:, :, None]).sum(axis=1)
    winner[distances[:, 0] > limit] = -1
    return Placement(
        winner, confidence, positions.astype(np.float32), indices[:, :k] if keep else indices[:, :0].copy()
    )


def others(indices: np.ndarray, own: np.ndarray, votes: int) -> np.ndarray:
    """The nearest ``votes`` neighbours of each cell that are not the cell itself: (n, votes).

    Parameters
    ----------
    indices
        (n, k) rows of the sketch, the nearest first; k > ``votes``.
    own
        (n,) the row of the sketch that a cell is, -1 where it is none.
    """
    near = indices[:, :votes].copy()
    inside = np.flatnonzero(own >= 0)
    # a stable sort puts the cell itself last and leaves the others in their order
    order = np.argsort(indices[inside] == own[inside, None], axis=1, kind="stable")
    near[inside] = np.take_along_axis(indices[inside], order, axis=1)[:, :votes]
    return near


def majority(choice: np.ndarray, groups: int) -> np.ndarray:
    """Give each cell what most of its neighbours say, the nearer ones where they tie: (n,) int32.

    Parameters
    ----------
    choice
        (n, k) numbers below ``groups``, of the nearest neighbour first.
    """
    n, voters = choice.shape
    # weight 1 a vote, and a sliver for nearness that only breaks ties
    weight = 1.0 + 1e-3 * (voters - np.arange(voters)) / voters
    tally = np.zeros((n, groups), dtype=np.float32)
    for position in range(voters):
        tally[np.arange(n), choice[:, position]] += weight[position]
    return tally.argmax(axis=1).astype(np.int32)


def joined(parts: Sequence[Placement]) -> Placement:
    """Placements of parts of a sample, in order, as one."""
    return Placement(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Placement)))


def smooth(sketch_values: np.ndarray, neighbors: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
    """Mean expression over a cell's neighbours in the sketch (and itself), against drop-out.

    Parameters
    ----------
    sketch_values
        (m, g) expression in the sketch.
    neighbors
        (n, k) rows of the sketch.
    own
        (n, g) the cells' own expression when they are not among their neighbours, else None.
    """
    total = np.zeros((len(neighbors), sketch_values.shape[1]), dtype=np.float64)
    for position in range(neighbors.shape[1]):
        total += sketch_values[neighbors[:, position]]
    count = neighbors.shape[1]
    if own is not None:
        total += own
        count += 1
    return total / count
