"""Faults of the flow: clogs and bursts, by the number of events in each stretch of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import label

#: Stretches of time that an acquisition is divided into at most, and the events wanted in each.
_MOST_BINS, _EVENTS_A_BIN = 1000, 25
#: Fewest stretches from which a usual rate is taken.
_FEWEST_BINS = 20
#: A stretch is off where the rate differs by this many standard deviations and by this factor.
_N_SD, _FACTOR = 5.0, 2.0
#: Beside a stretch at fault this many standard deviations are enough.
_N_SD_BESIDE = 3.0


@dataclass(frozen=True)
class FlowRate:
    """Events over time.

    Attributes
    ----------
    edges
        Of the stretches, in units of the time channel, shape (stretches + 1,); empty where not judged.
    counts
        Events in each.
    low, high
        Stretches that are clogged, and those in which events come in a burst, bool.
    """

    edges: np.ndarray
    counts: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def events(self, time: np.ndarray) -> np.ndarray:
        """Give the events in faulty stretches, bool."""
        if not len(self.counts):
            return np.zeros(len(time), dtype=bool)
        place = np.clip(np.searchsorted(self.edges, time, side="right") - 1, 0, len(self.counts) - 1)
        return (self.low | self.high)[place]

    @property
    def lost(self) -> float:
        """Duration of the clogged stretches, in units of the time channel."""
        return float((np.diff(self.edges)[self.low]).sum()) if len(self.counts) else 0.0


def flow_rate(time: np.ndarray) -> FlowRate:
    """Find clogged stretches and bursts.

    Time is divided into equal stretches of about 25 events. One is at fault where its count is less than half (or more
    than twice) the usual, the running median over a fifth of the acquisition, and differs from it by more than five
    standard deviations, or three beside a faulty one (the larger of Poisson's and the robust spread of all stretches).
    The idea is flowAI's (Monaco et al. 2016, doi:10.1093/bioinformatics/btw191).

    Parameters
    ----------
    time
        Of each event, in any unit and order, finite.

    Returns
    -------
    Nothing is judged (empty arrays) where there are fewer than 20 stretches of 25 events, or no time passes.
    """
    nothing = np.zeros(0, dtype=bool)
    bins = min(_MOST_BINS, len(time) // _EVENTS_A_BIN)
    if bins < _FEWEST_BINS or time.max() <= time.min():
        return FlowRate(np.zeros(0), np.zeros(0, dtype=int), nothing, nothing)
    counts, edges = np.histogram(time, bins, (float(time.min()), float(time.max())))
    usual = _running_median(counts.astype(float), max(bins // 5, 9))
    usual = np.maximum(usual, np.median(counts) / 4)
    residual = counts - usual
    spread = np.maximum(1.4826 * np.median(np.abs(residual - np.median(residual))), np.sqrt(np.maximum(usual, 1.0)))
    # the lower tail of a Poisson count ends at 0: the square root makes it symmetric (Anscombe 1948)
    stable = 2 * (np.sqrt(counts + 0.375) - np.sqrt(usual + 0.375)) * np.sqrt(np.maximum(usual, 1.0)) / spread
    low = _grown(-stable, counts < usual / _FACTOR)
    high = _grown(stable, counts > usual * _FACTOR)
    return FlowRate(edges, counts, low, high)


def _grown(off: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Runs of candidates beyond the lower limit that somewhere pass the upper one."""
    labels, count = label(candidates & (off > _N_SD_BESIDE))
    if not count:
        return np.zeros(len(off), dtype=bool)
    sure = np.unique(labels[candidates & (off > _N_SD)])
    return np.isin(labels, sure[sure > 0])


def _running_median(values: np.ndarray, window: int) -> np.ndarray:
    half = window // 2
    return np.array([np.median(values[max(0, n - half) : n + half + 1]) for n in range(len(values))])
