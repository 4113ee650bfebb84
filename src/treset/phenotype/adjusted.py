"""Shares of populations that overlap, freed of what the majority vote of the map gets wrong.

Where two populations overlap, most neighbours of a cell between them are of the larger one, and the vote gives it too
many cells. How often it does is seen in the sketch, whose cells have labels of their own: each is put to the vote of
its neighbours, itself left out, as it is when it is mapped. Shares are then sought under which the votes of a sample
would be as they are: the adjusted count (Forman 2008, doi:10.1007/s10618-008-0097-y; Hopkins & King 2010,
doi:10.1111/j.1540-5907.2009.00428.x).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

#: Steps of the expectation maximisation, and the largest change of a share at which it ends.
_STEPS, _ENOUGH = 2_000, 1e-9


def confusion(label: np.ndarray, voted: np.ndarray, groups: int, weight: np.ndarray | None = None) -> np.ndarray:
    """How the map votes on cells whose label is known: (groups, groups), column = label, row = vote, columns sum to 1.

    Parameters
    ----------
    label
        (m,) numbers below ``groups`` of the sketch's cells.
    voted
        (m,) what the neighbours of each say, the cell itself not among them.
    weight
        (m,) cells that each stands for. Default: one. Of a sketch drawn by density they are needed: without them the
        sparse rims of populations, where the vote errs, count too much.
    """
    counts = np.zeros((groups, groups))
    np.add.at(counts, (voted, label), 1.0 if weight is None else weight)
    # a group without cells in the sketch is never voted for
    total = counts.sum(axis=0)
    return np.where(total > 0, counts / np.where(total > 0, total, 1.0), np.eye(groups))


def adjusted(votes: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Shares under which the votes are most likely, none below 0: (groups,) float64 that sum to 1.

    By expectation maximisation from the shares of the votes, so that a group without votes stays without a share.

    Parameters
    ----------
    votes
        (groups,) cells of a sample by the map's vote; without any, all shares are 0.
    table
        Of :func:`confusion`. It must hold for the sample: what a drug changes in how populations overlap, and not in
        their sizes, is not seen.
    """
    if not votes.any():
        return np.zeros(len(votes))
    share = votes / votes.sum()
    start = share
    for _ in range(_STEPS):
        each = table * share
        each /= np.maximum(each.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        before, share = share, (start[:, None] * each).sum(axis=0)
        share = share / share.sum()
        if np.abs(share - before).max() < _ENOUGH:
            break
    return share


def sizes(votes: Mapping[str, float], vote: Mapping[str, Any]) -> dict[str, float]:
    """Cells of each population, :func:`adjusted`: as many in all as were voted on.

    Parameters
    ----------
    votes
        Population -> cells by the map's vote; those without any may be absent.
    vote
        ``uns["vote"]`` of the sketch: ``population`` names the rows and columns of ``table``.
    """
    names = [str(name) for name in vote["population"]]
    counts = np.array([votes.get(name, 0.0) for name in names], dtype=np.float64)
    return dict(zip(names, counts.sum() * adjusted(counts, vote["table"]), strict=True))
