"""The sketch: a seeded, per-sample stratified subset that bounds the cohort job however many cells there are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from treset.compute import Backend


def sample_seed(seed: int, sample: str) -> int:
    """A seed of its own for each sample, so that a sample's draw does not depend on the other samples."""
    digest = hashlib.sha256(f"{seed}:{sample}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def allocate(available: dict[str, int], budget: int) -> dict[str, int]:
    """Share ``budget`` cells equally over samples; what a small sample cannot give goes to the others.

    Parameters
    ----------
    available
        Kept cells per sample.
    budget
        Cells wanted in all.

    Returns
    -------
    Cells to draw per sample, at most what is available, in all ``min(budget, sum(available))``.
    """
    shares: dict[str, int] = {}
    rest = min(budget, sum(available.values()))
    waiting = sorted(available, key=lambda sample: (available[sample], sample))
    for position, sample in enumerate(waiting):
        # the smallest come first: an equal share of what is left, rounded so that the sum is exact
        share = min(available[sample], rest // (len(waiting) - position))
        shares[sample] = share
        rest -= share
    return {sample: shares[sample] for sample in available}


def draw(n_cells: int, size: int, seed: int | Sequence[int]) -> np.ndarray:
    """``size`` different row numbers out of ``n_cells``, in order: (size,) int64."""
    return np.sort(np.random.default_rng(seed).choice(n_cells, size=min(size, n_cells), replace=False))


#: Cells drawn by density come from this many times their number, drawn uniformly, so that the cost does not grow with
#: the cells: of a population of 0.05 % there are 250 among the 500,000 candidates of a sketch of 50,000.
CANDIDATES = 10
#: Cells against which density is measured, the neighbour whose distance measures it, and how steeply it counts.
_REFERENCE, _NEIGHBOR, _POWER = 5_000, 5, 4


@dataclass(frozen=True)
class Draw:
    """Cells of one sample in the sketch.

    Attributes
    ----------
    rows
        (size,) int64, rising.
    weight
        (size,) float64: how many cells of the sample each stands for, scaled to a mean of 1.
    """

    rows: np.ndarray
    weight: np.ndarray


def draw_dense(x: np.ndarray, size: int, seed: int, backend: Backend) -> Draw:
    """Half of the cells whatever their density, half by rarity, so that a population of 0.05 % is not lost.

    A cell's probability is the mean of that of a uniform draw and one proportional to the fourth power of the distance
    to the fifth nearest of 5,000 random cells: sparse regions come nearly whole, dense ones are thinned, by half at
    most (the idea of SPADE, Qiu 2011, doi:10.1038/nbt.1991, and of geometric sketching, Hie 2019,
    doi:10.1016/j.cels.2019.05.003). The draw is systematic (Madow 1949, doi:10.1214/aoms/1177729988), hence of exactly
    this size and with exactly these probabilities, whose inverses are the weights (Horvitz & Thompson 1952,
    doi:10.1080/01621459.1952.10483446).

    Parameters
    ----------
    x
        (n, p) transformed values of the lineage markers of the sample's kept cells.
    size
        Cells wanted; all where there are no more.
    seed
        The sample's.
    backend
        Where neighbours are searched.
    """
    n = len(x)
    if size >= n:
        return Draw(np.arange(n), np.ones(n))
    generator = np.random.default_rng([seed, 1])
    sparse = _floored(_sparseness(x, generator, backend) ** _POWER)
    chance = inclusion(1.0 / n + sparse / sparse.sum(), size)
    rows = systematic(chance, generator)
    weight = 1.0 / chance[rows]
    return Draw(rows, weight / weight.mean())


def inclusion(weight: np.ndarray, size: int) -> np.ndarray:
    """Probabilities proportional to ``weight``, none above 1, that sum to ``size``: (n,) float64.

    Parameters
    ----------
    weight
        (n,) not negative; none counts less than a billionth of the largest, so that every cell has a chance.
    size
        At most n.
    """
    weight = _floored(weight)
    certain = np.zeros(len(weight), dtype=bool)
    while True:
        left = size - certain.sum()
        chance = np.where(certain, 1.0, weight * (left / max(weight[~certain].sum(), np.finfo(float).tiny)))
        over = ~certain & (chance >= 1.0)
        if not over.any():
            return chance
        certain |= over


def systematic(chance: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Row numbers drawn with the given probabilities, without repeats, as many as they sum to: (size,) rising.

    Parameters
    ----------
    chance
        (n,) between 0 and 1 with a whole sum (:func:`inclusion`).
    """
    certain = np.flatnonzero(chance >= 1.0)
    open_rows = generator.permutation(np.flatnonzero((chance > 0.0) & (chance < 1.0)))
    wanted = round(float(chance.sum())) - len(certain)
    if wanted <= 0 or not len(open_rows):
        return certain
    steps = np.cumsum(chance[open_rows])
    steps *= wanted / steps[-1]
    hits = np.searchsorted(steps, generator.random() + np.arange(wanted), side="right")
    return np.sort(np.concatenate([certain, open_rows[np.minimum(hits, len(open_rows) - 1)]]))


def _floored(weight: np.ndarray) -> np.ndarray:
    """Weights relative to the largest, at least 1e-9; all 1 where all are 0."""
    largest = weight.max(initial=0.0)
    # a subnormal largest would overflow in the division
    return np.maximum(weight / largest, 1e-9) if largest > np.finfo(float).tiny else np.ones(len(weight))


def _sparseness(x: np.ndarray, generator: np.random.Generator, backend: Backend) -> np.ndarray:
    """Distance of each cell to its fifth nearest of the reference cells, itself not counted: (n,) float64."""
    reference = np.sort(generator.choice(len(x), size=min(_REFERENCE, len(x)), replace=False))
    _, found = backend.knn(x[reference], x, _NEIGHBOR + 1)
    column = np.full(len(x), min(_NEIGHBOR, found.shape[1]) - 1)
    column[reference] = found.shape[1] - 1
    return found[np.arange(len(x)), column].astype(np.float64)
