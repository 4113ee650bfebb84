"""Fine histograms: all that finding a threshold reads of the values, at a few nanoseconds a value.

A threshold needs a density, quantiles and shares. Each is read from a histogram of at least 8,192 bins to within one
of them, a thirtieth of a bin of the density, whatever the number of values; the histograms of all batches are counted
in one go, and that of all cells is their sum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

#: From half of them to all of them span the values.
_MOST_BINS = 16_384
#: A narrower range of values is one value.
_LEAST_RANGE = 1e-9
#: Values counted at a time: it bounds the memory.
_AT_A_TIME = 1 << 18


@dataclass(frozen=True)
class Histogram:
    """Counts of values in bins of equal width.

    Attributes
    ----------
    low
        Left edge of the first bin, a multiple of ``step``.
    step
        Width of a bin, a power of two: where the edges lie does not hang on single values.
    counts
        (k,) values in each bin.
    """

    low: float
    step: float
    counts: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Histogram:
        """Count the finite ones of (n,) values."""
        finite = values[np.isfinite(values)]
        return histograms(finite, np.zeros(len(finite), dtype=np.intp), 1)[0]

    @cached_property
    def below_edge(self) -> np.ndarray:
        """Values below each edge (k + 1,)."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    @cached_property
    def middles(self) -> np.ndarray:
        """Middles of the bins (k,)."""
        return self.low + self.step * (np.arange(len(self.counts)) + 0.5)

    @property
    def size(self) -> int:
        """Number of values."""
        return int(self.below_edge[-1])

    @property
    def flat(self) -> bool:
        """Whether all values lie in one bin, or there are none."""
        return np.count_nonzero(self.counts) < 2

    @cached_property
    def std(self) -> float:
        """Standard deviation of the values."""
        middle = np.average(self.middles, weights=self.counts)
        return float(np.sqrt(np.average((self.middles - middle) ** 2, weights=self.counts)))

    def below(self, edges: np.ndarray | float) -> np.ndarray:
        """Values below each of some places, as if spread evenly over their bin."""
        return np.interp((np.asarray(edges) - self.low) / self.step, np.arange(len(self.counts) + 1.0), self.below_edge)

    def ranked(self, rank: np.ndarray | float) -> np.ndarray:
        """Values of some ranks (0 to ``size``, fractions too), spread evenly over their bin."""
        at = np.clip(np.searchsorted(self.below_edge, rank, side="left") - 1, 0, len(self.counts) - 1)
        within = (rank - self.below_edge[at]) / np.maximum(self.counts[at], 1)
        return self.low + self.step * (at + np.clip(within, 0.0, 1.0))

    def quantile(self, share: float) -> float:
        """Value below which a share of them lies, between two values as numpy has it."""
        rank = share * (self.size - 1)
        low, high = self.ranked(np.array([np.floor(rank), np.ceil(rank)]) + 0.5)
        return float(low + (rank % 1.0) * (high - low))

    def above(self, floor: float) -> Histogram:
        """Give the values above ``floor``, which is an edge or rounded down to one."""
        first = int(np.clip(np.floor((floor - self.low) / self.step), 0, len(self.counts))) if floor > self.low else 0
        return replace(self, counts=np.where(np.arange(len(self.counts)) < first, 0, self.counts))

    def __add__(self, other: Histogram) -> Histogram:
        """Give all values of two histograms on the same bins."""
        return replace(self, counts=self.counts + other.counts)


def histograms(values: np.ndarray, group: np.ndarray, groups: int) -> list[Histogram]:
    """Count values by group.

    Parameters
    ----------
    values
        (n,) finite.
    group
        (n,) codes from 0.
    groups
        How many there are.

    Returns
    -------
    One histogram a group, all on the same bins.
    """
    least, most = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    step = 2.0 ** np.ceil(np.log2(max(most - least, _LEAST_RANGE) / (_MOST_BINS - 2)))
    low = np.floor(least / step) * step
    bins = int(np.floor((most - low) / step)) + 1
    counts = np.zeros(groups * bins, dtype=np.int64)
    for start in range(0, len(values), _AT_A_TIME):
        part = slice(start, start + _AT_A_TIME)
        # float64: far from zero float32 has no room for a fine bin
        where = ((values[part].astype(np.float64) - low) * (1.0 / step)).astype(np.intp)
        counts += np.bincount(where + bins * group[part] if groups > 1 else where, minlength=groups * bins)
    return [Histogram(float(low), float(step), row) for row in counts.reshape(groups, bins)]
