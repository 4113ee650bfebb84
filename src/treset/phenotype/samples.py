"""Thresholds of one sample: the batch's, moved by as much as the sample's stain is brighter or dimmer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from treset.phenotype import stain
from treset.phenotype.gates import THRESHOLD_COLUMNS, Columns, apply_gates
from treset.phenotype.labels import Labels
from treset.phenotype.tree import NOISE, Node, rule_markers

#: Gate, estimate the gain, move the thresholds, gate again: the anchors are gates themselves.
_ROUNDS = 2
#: A batch with fewer cells among those of the thresholds is compared with all batches.
_MIN_BATCH = 2_000
#: What :func:`reference_table` tells; ``batch`` "" is all batches together, the rest is :class:`stain.Location`.
LOCATION_COLUMNS = ["batch", "marker", "population", "log_median", "error", "n"]


@dataclass(frozen=True)
class Reference:
    """Where the markers lie in a batch's cells, and how far samples stray from that."""

    locations: stain.Locations
    #: Marker -> between-sample standard deviation of the log gain.
    spread: Mapping[str, float]


@dataclass(frozen=True)
class Placed:
    """Where the cells of the thresholds lie: what the spread of the stains and the table of locations share.

    Attributes
    ----------
    where
        Batches and samples.
    inside
        Population -> rows of its cells.
    batches
        Where the markers lie in each batch of ``where``.
    """

    where: Labels
    inside: Mapping[str, np.ndarray]
    batches: Sequence[stain.Locations]


def placed(
    thresholds: pd.DataFrame, columns: Columns, batch: np.ndarray, sample: np.ndarray, nodes: Sequence[Node]
) -> Placed:
    """Gate the cells and locate every population that has no children (parameters: see :func:`add_spread`)."""
    masks, where = apply_gates(columns, batch, nodes, thresholds, sample), Labels.of(batch, sample)
    inside = {name: np.flatnonzero(masks[name]) for name in stain.leaves(nodes)}
    del masks  # a byte a cell and population
    groups = [_among(inside, where.batch == one) for one in range(len(where.batches))]
    markers = sorted(set(rule_markers(nodes)) & set(columns))
    return Placed(where, inside, [stain.located(columns, group, markers) for group in groups])


def add_spread(
    thresholds: pd.DataFrame, columns: Columns, batch: np.ndarray, sample: np.ndarray, nodes: Sequence[Node],
    known: Placed | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Fill ``spread``: between-sample standard deviation of the log gain of the marker's stain.

    Parameters
    ----------
    thresholds
        Of :func:`treset.phenotype.gates.fit_thresholds`.
    columns, batch, sample, nodes
        The cells on which the thresholds were found, and the resolved tree.
    known
        Of :func:`placed` with the same arguments, where it was asked already.

    Returns
    -------
    The thresholds; ``spread`` is 0 where no more than counting error is seen, NaN where no population is bright in the
    marker. That of a difference is of both its markers together.
    """
    known = known or placed(thresholds, columns, batch, sample, nodes)
    where, cut = known.where, stain.cut_markers(nodes)
    gains: dict[str, list[stain.Gain]] = {m: [] for m in sorted(set(rule_markers(nodes)) & set(columns))}
    for one, around in enumerate(known.batches):
        for who in np.unique(where.sample[where.batch == one]).tolist():
            mine = _among(known.inside, (where.batch == one) & (where.sample == who))
            own = stain.located(columns, mine, list(gains))
            for marker, of_marker in gains.items():
                found = stain.gain(own[marker], around[marker], marker, cut)
                if found is not None:
                    of_marker.append(found)
    spread = {marker: stain.spread(found) if found else np.nan for marker, found in gains.items()}
    return thresholds.assign(spread=[_joint(spread, marker) for marker in thresholds["marker"]])


def reference(
    thresholds: pd.DataFrame, columns: Columns, batch: np.ndarray, sample: np.ndarray, nodes: Sequence[Node], one: str
) -> Reference:
    """Give what a sample of batch ``one`` is compared with, from cells (parameters: see :func:`add_spread`)."""
    rows = np.flatnonzero(batch == one)
    if len(rows) < _MIN_BATCH:
        rows = np.arange(len(batch))
    spread = _spread_of(thresholds, columns)
    inside = _take(columns, rows)
    masks = apply_gates(inside, batch[rows], nodes, thresholds, sample[rows])
    return Reference(stain.locations(inside, masks, stain.leaves(nodes), sorted(spread)), spread)


def reference_table(
    thresholds: pd.DataFrame, columns: Columns, batch: np.ndarray, sample: np.ndarray, nodes: Sequence[Node],
    known: Placed | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Tell where each population lies on each marker, by batch and in all (parameters: see :func:`add_spread`).

    So that a sample is compared with all the cells on which the thresholds were found, and not with the sketch's.

    Returns
    -------
    :data:`LOCATION_COLUMNS`; no rows of a batch with fewer than 2,000 cells, which is compared with all batches.
    """
    known = known or placed(thresholds, columns, batch, sample, nodes)
    markers, where = sorted(_spread_of(thresholds, columns)), known.where
    only = len(where.batches) == 1
    groups = [("", known.batches[0] if only else stain.located(columns, known.inside, markers))]
    sizes = np.bincount(where.batch).tolist()
    groups += [
        (str(name), found)
        for name, n, found in zip(where.batches, sizes, known.batches, strict=True)
        if name and n >= _MIN_BATCH
    ]
    rows = [
        (one, marker, population, at.log_median, at.error, at.n)
        for one, found in groups
        for marker in markers
        for population, at in found[marker].items()
    ]
    return pd.DataFrame(rows, columns=LOCATION_COLUMNS)


def reference_of(thresholds: pd.DataFrame, table: pd.DataFrame, one: str) -> Reference:
    """As :func:`reference`, from :func:`reference_table`; a batch that is not in it is compared with all batches."""
    spread = {
        m: float(s)
        for m, s in zip(thresholds["marker"], thresholds["spread"], strict=True)
        if np.isfinite(s) and len(_parts(m)) == 1
    }
    rows = table[table["batch"] == (one if (table["batch"] == one).any() else "")]
    found: dict[str, dict[str, stain.Location]] = {marker: {} for marker in sorted(spread)}
    for row in rows.itertuples(index=False):
        if row.marker in found:
            found[row.marker][row.population] = stain.Location(row.log_median, row.error, int(row.n))
    return Reference(found, spread)


def _spread_of(thresholds: pd.DataFrame, columns: Columns) -> dict[str, float]:
    told = thresholds[thresholds["marker"].isin(list(columns)) & thresholds["spread"].notna()]
    return {m: float(s) for m, s in zip(told["marker"], told["spread"], strict=True)}


def sample_thresholds(
    thresholds: pd.DataFrame, columns: Columns, batch: str, sample: str, nodes: Sequence[Node], around: Reference
) -> pd.DataFrame:
    """Move the batch's thresholds to one sample.

    An intensity of the threshold's height is multiplied by the sample's gain: the median over populations that are
    bright in the marker of how much brighter they are than in the batch, shrunk to 1 by its error against the spread
    between samples. Thresholds set by hand are kept as they are, and so are those of markers that no rule of the tree
    reads: a stimulus raises a state marker in most cells at once, and is no stain.

    Parameters
    ----------
    thresholds
        With ``spread`` (:func:`add_spread`).
    columns
        Marker -> (n,) arcsinh-transformed values of the sample's cells.
    batch, sample
        Of the sample.
    nodes
        The resolved tree.
    around
        Of :func:`reference`.

    Returns
    -------
    One row a threshold, ``sample`` filled in; ``spread`` is the shrunk log gain's standard error.
    """
    base = base_thresholds(thresholds, batch, sample)
    n = len(next(iter(columns.values())))
    labels, who = np.full(n, batch), np.full(n, sample)
    names, cut = stain.leaves(nodes), stain.cut_markers(nodes)
    rows = base
    for _ in range(_ROUNDS):
        masks = apply_gates(columns, labels, nodes, _with_pooled(rows), who)
        own = stain.locations(columns, masks, names, sorted(around.spread))
        gains = {m: stain.gain(own[m], around.locations[m], m, cut) for m in around.spread}
        moved = {m: stain.shrunk(found, around.spread[m]) for m, found in gains.items()}
        errors = {m: _posterior(found, around.spread[m]) for m, found in gains.items()}
        rows = base.assign(
            threshold=[
                _shift(row.marker, row.threshold, moved) if row.method != "manual" else row.threshold
                for row in base.itertuples(index=False)
            ],
            spread=[_joint(errors, marker) for marker in base["marker"]],
        )
    return rows[THRESHOLD_COLUMNS]


def base_thresholds(thresholds: pd.DataFrame, batch: str, sample: str) -> pd.DataFrame:
    """Each threshold as it is for this sample before it is moved: its own by hand, its batch's or the pooled one."""
    rank = np.select(
        [
            thresholds["sample"] == sample,
            (thresholds["batch"] == batch) & (thresholds["sample"] == ""),
            (thresholds["batch"] == "") & (thresholds["sample"] == ""),
        ],
        [0, 1, 2],
        3,
    )
    chosen = thresholds.assign(rank=rank)[rank < 3].sort_values("rank", kind="stable")
    chosen = chosen.drop_duplicates(["population_parent", "marker"]).sort_index()
    return chosen.drop(columns="rank").assign(batch=batch, sample=sample).reset_index(drop=True)


def _with_pooled(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([rows.assign(batch="", sample=""), rows], ignore_index=True)


def _shift(marker: str, threshold: float, moved: Mapping[str, float]) -> float:
    parts = _parts(marker)
    if len(parts) == 2:  # where the diagonal matters both markers are in the logarithmic range of arcsinh
        return threshold + moved.get(parts[0], 0.0) - moved.get(parts[1], 0.0)
    # no threshold is moved below the noise of zero, which no stain dims
    there = float(np.arcsinh(np.sinh(threshold) * np.exp(moved.get(marker, 0.0))))
    return max(there, min(threshold, NOISE))


def _posterior(found: stain.Gain | None, spread: float) -> float:
    if found is None or not np.isfinite(spread):
        return np.nan
    return float(spread * found.error / np.hypot(spread, found.error)) if spread > 0 else 0.0


def _joint(values: Mapping[str, float], marker: str) -> float:
    return float(np.sqrt(sum(values.get(part, np.nan) ** 2 for part in _parts(marker))))


def _parts(marker: str) -> list[str]:
    return marker.split(" - ")


def _take(arrays: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[rows] for name, values in arrays.items()}


def _among(inside: Mapping[str, np.ndarray], chosen: np.ndarray) -> dict[str, np.ndarray]:
    return {name: rows[chosen[rows]] for name, rows in inside.items()}
