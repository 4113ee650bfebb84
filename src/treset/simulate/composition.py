"""Who has how many of which cells: logistic-normal shares down the tree of populations.

Each node's shares vary between patients and between visits of a patient on the scale of log-odds (the
logistic-normal model of compositions, Aitchison & Shen 1980, doi:10.1093/biomet/67.2.261). An effect multiplies the
share of one population of its parent; its siblings keep their proportions to each other.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from treset.simulate.populations import LEAVES, PARENT, ROOT, TREE

#: Largest share of its parent that an effect may lift a population to.
LARGEST_SHARE = 0.9

Shares = dict[str, dict[str, float]]


def typical_shares() -> Shares:
    """Give the usual shares of every node, free to be changed."""
    return {parent: dict(children) for parent, children in TREE.items()}


def vary(shares: Shares, rng: np.random.Generator, sd: float) -> Shares:
    """Add independent normal noise to the log of every share and close each node to 1 again.

    Parameters
    ----------
    shares
        Parent -> child -> share of the parent.
    rng
        Source of the noise.
    sd
        Standard deviation of the noise on the log scale.
    """
    varied: Shares = {}
    for parent, children in shares.items():
        factors = np.exp(rng.normal(0.0, sd, len(children)))
        weights = np.fromiter(children.values(), float) * factors
        varied[parent] = dict(zip(children, weights / weights.sum(), strict=True))
    return varied


def set_share(shares: Shares, population: str, share: float) -> None:
    """Set a population's share of its parent; its siblings keep their proportions. Changes ``shares``."""
    children = shares[PARENT[population]]
    share = min(share, LARGEST_SHARE)
    rest = 1 - children[population]
    for child in children:
        children[child] = share if child == population else children[child] * (1 - share) / rest


def apply_folds(shares: Shares, folds: Mapping[str, float]) -> None:
    """Multiply the shares of the named populations of their parents. Changes ``shares``."""
    for population, fold in folds.items():
        set_share(shares, population, shares[PARENT[population]][population] * fold)


def leaf_shares(shares: Shares) -> np.ndarray:
    """Multiply the shares down the tree; shape (leaves,), sums to 1."""
    total = np.empty(len(LEAVES))
    for row, leaf in enumerate(LEAVES):
        share, node = 1.0, leaf
        while node != ROOT:
            share *= shares[PARENT[node]][node]
            node = PARENT[node]
        total[row] = share
    return total / total.sum()
