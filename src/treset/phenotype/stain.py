"""How much brighter or dimmer a marker was stained in one sample than in its batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from treset.phenotype.tree import ROOT, Node

#: A population is an anchor of a marker when its median is at least this (arcsinh units): dimmer ones sit in the noise.
_BRIGHT = 1.0
#: Cells that a population needs to be an anchor, in the reference and in the sample.
_MIN_REFERENCE, _MIN_SAMPLE = 50, 25
#: Populations cut by the marker itself that are needed to tell its gain. Where fewer carry it (FOXP3: Treg), a drug
#: that changes it there would pass for a stain.
_MIN_CUT = 3
#: Standard deviation of a population's own brightness between samples (log), taken where too few anchors tell it.
_OWN_SD = 0.10
#: A gain further from 1 than this factor is no drift of a stain; it is cut there.
_LARGEST = 2.5


@dataclass(frozen=True)
class Location:
    """Where a marker's values lie in one population: log of the median intensity, its standard error, cells."""

    log_median: float
    error: float
    n: int


@dataclass(frozen=True)
class Gain:
    """A marker's log gain in a sample against a reference, its standard error, and the populations it rests on."""

    log_gain: float
    error: float
    anchors: tuple[str, ...] = ()


Locations = Mapping[str, Mapping[str, Location]]

#: Values of one population that are ranked at a time: it bounds the memory.
_AT_A_TIME = 4_000_000


def leaves(nodes: Sequence[Node]) -> list[str]:
    """Measurable populations without measurable children: they overlap least."""
    parents = {node.parent for node in nodes if node.measurable}
    return [node.name for node in nodes if node.measurable and node.name not in parents]


def cut_markers(nodes: Sequence[Node]) -> dict[str, set[str]]:
    """Population -> the columns by which it or a population above it was cut."""
    found: dict[str, set[str]] = {ROOT: set()}
    for node in nodes:
        found[node.name] = found.get(node.parent, set()) | {c for rule in node.rules for c in rule.columns}
    return found


def locations(
    columns: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray], names: Sequence[str], markers: Sequence[str],
    min_cells: int = _MIN_SAMPLE,
) -> dict[str, dict[str, Location]]:  # fmt: skip
    """Give each population's place on each marker.

    Parameters
    ----------
    columns
        Marker -> (n,) arcsinh-transformed values.
    masks
        Population -> (n,) bool.
    names
        The populations wanted; those with fewer than ``min_cells`` cells are left out.
    markers
        The markers wanted.

    Returns
    -------
    Marker -> population -> its location.
    """
    return located(columns, {name: np.flatnonzero(masks[name]) for name in names}, markers, min_cells)


def located(
    columns: Mapping[str, np.ndarray], inside: Mapping[str, np.ndarray], markers: Sequence[str],
    min_cells: int = _MIN_SAMPLE,
) -> dict[str, dict[str, Location]]:  # fmt: skip
    """As :func:`locations`, of populations given by their cells' rows, (k,) each."""
    found: dict[str, dict[str, Location]] = {marker: {} for marker in markers}
    for name, rows in inside.items():
        if not markers or len(rows) < min_cells:
            continue
        for marker, (low, middle, high) in zip(markers, _quartiles(columns, rows, markers), strict=True):
            if middle <= 0.1:
                continue
            # the log of the intensity in units of the cofactor: a gain is a shift of it at every brightness
            spread = (np.log(np.sinh(high)) - np.log(np.sinh(max(low, 0.1)))) / 1.349
            error = 1.2533 * spread / np.sqrt(len(rows))  # of a median, large samples
            found[marker][name] = Location(float(np.log(np.sinh(middle))), float(error), len(rows))
    return found


def _quartiles(columns: Mapping[str, np.ndarray], rows: np.ndarray, markers: Sequence[str]) -> list[list[float]]:
    """Lower quartile, median and upper quartile of each marker in some cells."""
    together, found = max(_AT_A_TIME // len(rows), 1), []
    for start in range(0, len(markers), together):
        values = np.stack([columns[marker][rows] for marker in markers[start : start + together]])
        found += np.quantile(values, [0.25, 0.5, 0.75], axis=1, overwrite_input=True).T.tolist()
    return found


def gain(
    own: Mapping[str, Location], reference: Mapping[str, Location], marker: str, cut: Mapping[str, Collection[str]]
) -> Gain | None:
    """Estimate one marker's gain from populations that are bright in it.

    Populations that were not cut by the marker come first: their brightness is not truncated by the threshold that is
    to be moved, and a drug that changes the marker on the population it defines (CD25 on Treg) does not move it.
    Without any, at least three populations that it did cut must tell the gain: one that changed by itself is outvoted.

    Parameters
    ----------
    own, reference
        Population -> location of the marker, in the sample and in the reference.
    marker
        Its name.
    cut
        Of :func:`cut_markers`.

    Returns
    -------
    The median over the anchors (weighted by precision), or None without enough anchors.
    """
    bright = np.log(np.sinh(_BRIGHT))
    anchors = [n for n, r in reference.items() if n in own and r.n >= _MIN_REFERENCE and r.log_median >= bright]
    free = [n for n in anchors if marker not in cut[n]]
    anchors = sorted(free or (anchors if len(anchors) >= _MIN_CUT else []))
    if not anchors:
        return None
    shifts = np.array([own[n].log_median - reference[n].log_median for n in anchors])
    variances = np.array([own[n].error ** 2 + reference[n].error ** 2 for n in anchors]) + _OWN_SD**2
    weights = 1.0 / variances
    centre = _weighted_median(shifts, weights)
    # between anchors: what single populations do by themselves, and never less than counting allows
    scatter = np.sum(weights * (shifts - centre) ** 2) / max(len(anchors) - 1, 1)
    error = np.sqrt(max(scatter, 1.0) / weights.sum())
    return Gain(float(np.clip(centre, -np.log(_LARGEST), np.log(_LARGEST))), float(error), tuple(anchors))


def spread(gains: Sequence[Gain]) -> float:
    """Between-sample standard deviation of the log gain beyond its error (DerSimonian & Laird 1986).

    doi:10.1016/0197-2456(86)90046-2. The mean is taken to be 0: the samples are compared with all of their batch.
    """
    if len(gains) < 2:
        return 0.0
    shifts, variances = np.array([g.log_gain for g in gains]), np.array([g.error**2 for g in gains])
    weights = 1.0 / variances
    excess = np.sum(weights * shifts**2) - len(gains)
    return float(np.sqrt(max(excess / weights.sum(), 0.0)))


def shrunk(found: Gain | None, spread_sd: float) -> float:
    """The log gain drawn to 0 by how much of it is error, given the spread between samples (empirical Bayes)."""
    if found is None or not np.isfinite(spread_sd) or spread_sd <= 0:
        return 0.0
    return found.log_gain * spread_sd**2 / (spread_sd**2 + found.error**2)


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weights[order]) - 0.5 * weights[order]
    return float(np.interp(0.5 * weights.sum(), share, values[order]))
