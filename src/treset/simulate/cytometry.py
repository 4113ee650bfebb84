"""Raw mass-cytometry events of one planned sample.

Intensities are dual counts as Helios stores them: a Poisson ion count minus uniform randomisation on [0, 1), floored
at 0, so that zeros are many and everything else is fractional. Living cells are log-normal around their population's
median, with a factor common to all markers of a cell; doublets are the sum of two cells in one longer event.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from treset.simulate.panel import BEAD_METALS, CHANNELS, MARKERS, UNSTAINED, panel_table
from treset.simulate.populations import (
    CELL_SD,
    DNA_FACTOR,
    DNA_MEDIAN,
    LEAVES,
    PLATINUM_FACTOR,
    PLATINUM_MEDIAN,
    intensity_table,
    lineage_factors,
)
from treset.simulate.trial import Trial, draw_counts, generator

_COLUMN = {channel: number for number, channel in enumerate(CHANNELS)}
_OF_MARKER = dict(zip(panel_table()["marker"], panel_table()["channel"], strict=True))
_MARKER_COLUMNS = np.array([_COLUMN[_OF_MARKER[marker]] for marker in MARKERS])
_DNA = [_COLUMN["Ir191Di"], _COLUMN["Ir193Di"]]
_PLATINUM = _COLUMN["Pt195Di"]
_UNSTAINED = _COLUMN[UNSTAINED]
_PULSE = ["Event_length", "Center", "Offset", "Width", "Residual"]
#: Columns that hold ion counts: all but time and the pulse's shape.
_COUNTS = np.array([number for name, number in _COLUMN.items() if name not in ("Time", *_PULSE)])

#: Second isotope of iridium over the first (abundances 62.7 % and 37.3 %).
_IR193_RATIO = 1.68
_DNA_SD = 0.14
_PLATINUM_SD = 0.40
_DEAD_PLATINUM = 45.0
_BEAD_COUNTS = 1200.0
#: Mean and s.d. of the pulse parameters of a single cell.
_SINGLET_PULSE = {
    "Event_length": (17.0, 2.0),
    "Center": (560.0, 60.0),
    "Offset": (90.0, 9.0),
    "Width": (42.0, 4.5),
    "Residual": (65.0, 14.0),
}
#: What a second cell adds to the pulse, on average, and the smear of that.
_DOUBLET_PULSE = {"Event_length": (8.0, 3.0), "Width": (14.0, 5.0), "Residual": (60.0, 30.0)}
#: Milliseconds between events: about 300 a second.
_EVENT_GAP_MS = 3.3


@dataclass(frozen=True)
class Events:
    """The events of a file and what they are.

    Attributes
    ----------
    values
        float32, shape (events, channels), in the order of ``CHANNELS``, sorted by time.
    kind
        Index into ``KINDS``; shape (events,).
    population, partner
        Index into ``LEAVES`` of the cell and, for a doublet, of the second cell; -1 for none; shape (events,).
    """

    values: np.ndarray
    kind: np.ndarray
    population: np.ndarray
    partner: np.ndarray


def simulate_events(trial: Trial, sample: str) -> Events:
    """Draw the events of one sample.

    Parameters
    ----------
    trial
        The trial.
    sample
        One of its samples.
    """
    plan = trial.plans[sample]
    kinds, leaves = draw_counts(trial, sample)
    cells, doublets, debris, dead, beads = kinds
    rng = generator(trial.seed, "events", sample)
    medians = np.log(intensity_table() * plan.folds)

    # Doublets, debris and dead cells are drawn from the same mixture as the living cells.
    first = np.concatenate(
        [np.repeat(np.arange(len(LEAVES)), leaves), _draw(rng, plan.composition, doublets + debris + dead)]
    )
    second = _draw(rng, plan.composition, doublets)
    expected = _cells(rng, medians, first)
    expected[cells : cells + doublets] += _cells(rng, medians, second)
    _spoil(rng, expected, slice(cells + doublets, cells + doublets + debris), slice(cells + doublets + debris, None))
    expected = np.concatenate([expected, _beads(rng, beads)])

    values = np.empty(expected.shape, np.float32)
    expected[:, _COUNTS] *= _gains(trial, plan.batch)[_COUNTS]
    counts = rng.poisson(expected[:, _COUNTS]) - rng.random((len(expected), len(_COUNTS)))
    values[:, _COUNTS] = np.maximum(counts, 0)
    kind = np.repeat(np.arange(5), kinds)
    _pulses(rng, values, kind)

    order = rng.permutation(len(values))
    values = values[order]
    values[:, _COLUMN["Time"]] = np.round(np.cumsum(rng.exponential(_EVENT_GAP_MS, len(values))), 3)
    population = np.concatenate([first, np.full(beads, -1)])
    population[kind == 2] = -1
    partner = np.full(len(values), -1)
    partner[cells : cells + doublets] = second
    return Events(values, kind[order], population[order], partner[order])


def _draw(rng: np.random.Generator, composition: np.ndarray, count: int) -> np.ndarray:
    return rng.choice(len(LEAVES), size=count, p=composition)


def _cells(rng: np.random.Generator, medians: np.ndarray, leaves: np.ndarray) -> np.ndarray:
    """Expected counts of living single cells; shape (cells, channels)."""
    expected = np.zeros((len(leaves), len(CHANNELS)))
    # CELL_SD is the whole spread of a marker; a third of its variance is common to all markers of a cell.
    common = rng.normal(0, CELL_SD * np.sqrt(1 / 3), (len(leaves), 1))
    own = rng.normal(0, CELL_SD * np.sqrt(2 / 3), (len(leaves), len(MARKERS)))
    expected[:, _MARKER_COLUMNS] = np.exp(medians[leaves] + common + own)
    dna = DNA_MEDIAN * lineage_factors(DNA_FACTOR)[leaves] * np.exp(rng.normal(0, _DNA_SD, len(leaves)))
    expected[:, _DNA] = dna[:, None] * [1.0, _IR193_RATIO]
    platinum = PLATINUM_MEDIAN * lineage_factors(PLATINUM_FACTOR)[leaves]
    expected[:, _PLATINUM] = platinum * np.exp(rng.normal(0, _PLATINUM_SD, len(leaves)))
    expected[:, _COLUMN["Ce140Di"]] = 0.3
    expected[:, _UNSTAINED] = 0.4
    return expected


def _spoil(rng: np.random.Generator, expected: np.ndarray, debris: slice, dead: slice) -> None:
    """Turn cells into debris (a fragment of a cell) and dead cells (cisplatin inside, sticky, some DNA lost)."""
    count = len(expected[debris])
    expected[debris] *= np.exp(rng.uniform(np.log(0.02), np.log(0.30), (count, 1)))
    count = len(expected[dead])
    expected[dead, _PLATINUM] *= _DEAD_PLATINUM * np.exp(rng.normal(0, 0.4, count))
    rows = np.arange(len(expected))[dead]
    expected[np.ix_(rows, _MARKER_COLUMNS)] *= 0.7
    expected[np.ix_(rows, _MARKER_COLUMNS)] += np.exp(rng.normal(np.log(4), 0.6, (count, len(MARKERS))))
    expected[np.ix_(rows, _DNA)] *= np.exp(rng.normal(-0.1, 0.15, (count, 1)))


def _beads(rng: np.random.Generator, count: int) -> np.ndarray:
    """EQ four-element beads: bright in their metals, no DNA."""
    expected = np.full((count, len(CHANNELS)), 0.3)
    columns = [_COLUMN[metal] for metal in BEAD_METALS]
    expected[:, columns] = _BEAD_COUNTS * np.exp(rng.normal(0, 0.1, (count, 1)) + rng.normal(0, 0.05, (count, 5)))
    expected[:, _DNA] = 0.8
    return expected


def _gains(trial: Trial, batch: str) -> np.ndarray:
    """Gain of each channel on a plate; DNA and the beads drift as the antibodies do."""
    rng = generator(trial.seed, "batch", batch)
    return np.exp(rng.normal(0, trial.parameters["batch_sd"], len(CHANNELS)))


def _pulses(rng: np.random.Generator, values: np.ndarray, kind: np.ndarray) -> None:
    """Fill in the shape of each pulse. Changes ``values``."""
    doublet, debris = kind == 1, kind == 2
    for name, (mean, sd) in _SINGLET_PULSE.items():
        pulse = rng.normal(mean, sd, len(values))
        if name in _DOUBLET_PULSE:
            more, smear = _DOUBLET_PULSE[name]
            pulse[doublet] += rng.normal(more, smear, doublet.sum())
        if name == "Event_length":
            pulse[debris] -= 4.0
            pulse = np.clip(np.round(pulse), 10, 75)
        values[:, _COLUMN[name]] = np.maximum(pulse, 1.0)
