"""cyCombine: batches without anchors, levelled by ComBat in clusters of like cells (Pedersen et al. 2022).

doi:10.1038/s41467-022-29383-5. Own code after the paper: `cycombinepy` needs `inmoose` and `flowsom`, both GPL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import factorial, prod

import numpy as np
import pandas as pd

from treset.clean.combat import combat
from treset.clean.cytonorm import apart, halves, metaclusters, verdict
from treset.clean.distances import compare
from treset.clean.levelling import QUANTILES
from treset.compute.som import train_som, winners
from treset.errors import TresetError

#: Nodes along each side of the map, as in the paper; a smaller map where there are few cells.
_SIDE, _CELLS_A_NODE = 8, 50
#: Fewest cells of a node in a batch for a correction of its own; below it takes that of all cells.
FEWEST = 20
#: Fewest cells of a batch.
FEWEST_OF_BATCH = 100
_POPULATIONS = 8
#: Fewest distinct deals of the patients that can tell chance; where there are more than so many arrangements, deals
#: drawn at random; the level of the test.
LEAST_DEALS = 20
_MOST_DEALS, _PERMUTATIONS, _LEVEL = 1_000, 199, 0.05


@dataclass(frozen=True)
class Combined:
    """What levels each batch.

    Attributes
    ----------
    batches
        Names.
    centre, scale
        Of each batch, shape (batches, markers): values are standardised by them before the node is looked up.
    codes
        Nodes of the map of standardised values, shape (nodes, markers).
    slope, intercept
        Shape (batches, nodes, markers).
    low, high
        Shape (markers,): corrected values stay within what was measured.
    markers
        Shape (markers,), bool: those that are corrected.
    """

    batches: tuple[str, ...]
    centre: np.ndarray
    scale: np.ndarray
    codes: np.ndarray
    slope: np.ndarray
    intercept: np.ndarray
    low: np.ndarray
    high: np.ndarray
    markers: np.ndarray

    def nodes_of(self, values: np.ndarray, batch: str) -> np.ndarray:
        """Node of each cell of a batch, shape (cells,)."""
        place = self.batches.index(batch)
        return winners((values - self.centre[place]) / self.scale[place], self.codes)[0]


def combine(batches: Mapping[str, np.ndarray], seed: int = 0) -> Combined:
    """Learn from the cells of all samples.

    Values are standardised in each batch, so that like cells of all batches meet in one node of a self-organising map;
    in each node ComBat brings the batches' values to one mean and variance, marker by marker.

    Parameters
    ----------
    batches
        Batch -> transformed values, shape (cells, markers), of all its samples.
    seed
        Of the map.

    Raises
    ------
    TresetError
        Fewer than two batches, different numbers of markers, or too few cells.
    """
    widths = {values.shape[1] for values in batches.values()}
    least = min((len(values) for values in batches.values()), default=0)
    if len(batches) < 2 or len(widths) > 1 or least < FEWEST_OF_BATCH:
        raise TresetError(
            f"batches: expected at least two batches of the same markers with at least {FEWEST_OF_BATCH} cells each, "
            f"found {len(batches)}, the smallest with {least} cells; set clean.batch: none."
        )
    centre = np.stack([values.mean(axis=0) for values in batches.values()])
    scale = np.stack([values.std(axis=0) for values in batches.values()])
    scale = np.where(scale > 0, scale, 1.0)
    standard = [(v - c) / s for v, c, s in zip(batches.values(), centre, scale, strict=True)]
    cells = sum(map(len, standard))
    codes = train_som(np.vstack(standard), side=int(np.clip(np.sqrt(cells / _CELLS_A_NODE), 2, _SIDE)), seed=seed)
    nodes = [winners(values, codes)[0] for values in standard]
    every = list(batches.values())
    slope, intercept = (np.repeat(part[:, None], len(codes), axis=1) for part in combat(every))
    for node in range(len(codes)):
        inside = [values[found == node] for values, found in zip(every, nodes, strict=True)]
        # a node of one batch is its own cells, and there is nothing to bring them to
        if all(len(values) >= FEWEST for values in inside):
            slope[:, node], intercept[:, node] = combat(inside)
    low, high = (np.array(f([f(v, axis=0) for v in every], axis=0)) for f in (np.min, np.max))
    markers = np.ones(codes.shape[1], dtype=bool)
    return Combined(tuple(batches), centre, scale, codes, slope, intercept, low, high, markers)


def apply_combined(values: np.ndarray, batch: str, learnt: Combined) -> np.ndarray:
    """Level the cells of a sample.

    Parameters
    ----------
    values
        Transformed, shape (cells, markers).
    batch
        Of the sample.
    learnt
        See `combine`.

    Returns
    -------
    float64. Corrected values stay within the range that was measured over all batches; markers that are not corrected
    are as they were.

    Raises
    ------
    TresetError
        The batch is unknown.
    """
    if batch not in learnt.batches:
        raise TresetError(
            f"batches: batch {batch!r} is not among those that were learnt ({', '.join(learnt.batches)}); run the step "
            "that levels batches again."
        )
    place, result = learnt.batches.index(batch), np.asarray(values, dtype=np.float64).copy()
    node = learnt.nodes_of(result, batch)
    moved = learnt.slope[place, node] * result + learnt.intercept[place, node]
    # cells beyond what was seen when it was learnt keep their room
    moved = np.clip(moved, np.minimum(learnt.low, result), np.maximum(learnt.high, result))
    result[:, learnt.markers] = moved[:, learnt.markers]
    return result


def combine_and_judge(
    samples: Sequence[np.ndarray], batch: Sequence[str], names: Sequence[str], seed: int = 0,
    patient: Sequence[str] | None = None,
) -> tuple[Combined, pd.DataFrame]:  # fmt: skip
    """Learn from all samples, and take back what does not help.

    As `treset.clean.cytonorm.train_and_judge`, but chance is told by dealing out whole patients: without anchors
    batches hold other patients, who differ. Where there are fewer than 20 ways to deal, chance cannot be told
    and no marker is taken back for it (a study is refused then).

    Parameters
    ----------
    samples
        Transformed values of each sample, shape (cells, markers).
    batch
        Of each sample.
    names
        Of the markers.
    seed
        Of the map, the halves and the deals.
    patient
        Of each sample; their samples in one batch stay together. Default: every sample is one of its own.

    Returns
    -------
    See `treset.clean.cytonorm.train_and_judge`; populations are groups of the map's nodes.
    """
    kinds = sorted(set(batch))
    together = {k: np.vstack([v for v, b in zip(samples, batch, strict=True) if b == k]) for k in kinds}
    learnt = combine(together, seed)
    group = metaclusters(learnt.codes, _POPULATIONS)
    tables = []
    for taught, heard in halves(together, np.random.default_rng(seed)):
        trial = combine(taught, seed)
        levelled = {b: apply_combined(values, b, trial) for b, values in heard.items()}
        labels = {b: np.char.mod("cluster %d", group[learnt.nodes_of(v, b)] + 1) for b, v in heard.items()}
        tables.append(compare(heard, levelled, labels, list(names)))
    table = pd.concat(tables).groupby(["marker", "population"], sort=False, as_index=False).mean()
    table, reason = verdict(table, names, ~_patients_differ(samples, batch, patient, seed))
    return replace(learnt, markers=reason == ""), table


def deals(batch: Sequence[str]) -> int:
    """Count the ways to deal patients into batches of these sizes, the batches without names."""
    _, sizes = np.unique(np.array(batch), return_counts=True)
    return _arrangements(np.array(batch)) // prod(
        factorial(int(count)) for count in np.unique(sizes, return_counts=True)[1]
    )


def _patients_differ(
    samples: Sequence[np.ndarray], batch: Sequence[str], patient: Sequence[str] | None, seed: int
) -> np.ndarray:
    """Markers whose batches lie further apart than patients that were dealt out anew, in all but 5 % of deals."""
    units: dict[tuple[str, str], list[np.ndarray]] = {}
    who = [str(number) for number in range(len(samples))] if patient is None else patient
    for values, kind, one in zip(samples, batch, who, strict=True):
        units.setdefault((kind, one), []).append(np.quantile(values, QUANTILES, axis=0))
    place = np.array([kind for kind, _ in units])
    if deals(place.tolist()) < LEAST_DEALS:
        return np.ones(samples[0].shape[1], dtype=bool)
    # the mean of quantiles is the barycentre
    ranks = np.stack([np.mean(parts, axis=0) for parts in units.values()])

    def distance(dealt: np.ndarray) -> np.ndarray:
        return apart(np.stack([ranks[dealt == kind].mean(axis=0) for kind in np.unique(place)]))

    seen = distance(place)
    if _arrangements(place) <= _MOST_DEALS:
        # few deals are all looked at: drawn at random, the true one would come again and again and pass for chance
        every = [distance(dealt) >= seen - 1e-12 for dealt in _dealt(place)]
        return np.mean(every, axis=0) <= _LEVEL
    rng = np.random.default_rng(seed)
    drawn = [distance(rng.permutation(place)) >= seen for _ in range(_PERMUTATIONS)]
    return (1 + np.sum(drawn, axis=0)) / (1 + _PERMUTATIONS) <= _LEVEL


def _arrangements(place: np.ndarray) -> int:
    _, sizes = np.unique(place, return_counts=True)
    return factorial(int(sizes.sum())) // prod(factorial(int(size)) for size in sizes)


def _dealt(place: np.ndarray) -> Iterator[np.ndarray]:
    """Every arrangement of the patients' batches, each once."""
    name, *others = np.unique(place)
    if not others:
        yield place
        return
    rest = place[place != name]
    for chosen in combinations(range(len(place)), len(place) - len(rest)):
        inside = np.isin(np.arange(len(place)), chosen)
        for arranged in _dealt(rest):
            dealt = np.where(inside, name, "").astype(place.dtype)
            dealt[~inside] = arranged
            yield dealt
