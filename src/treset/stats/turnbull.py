"""Time to an event that is only known to lie between two visits: Turnbull's estimate and its median."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Array = NDArray[np.float64]

#: Shares of patients that differ by less are the same: what the steps leave open.
_SAME = 1e-5


@dataclass(frozen=True)
class Turnbull:
    """Non-parametric maximum likelihood of interval-censored times.

    Attributes
    ----------
    left, right
        Shape (pieces,): the intervals (left, right] that carry mass; within one its place is not known.
    mass
        Shape (pieces,): probability of each, summing to 1.
    converged
        Whether the steps came to rest.
    """

    left: Array
    right: Array
    mass: Array
    converged: bool

    def quantile(self, share: float = 0.5) -> tuple[float, float]:
        """Give the interval (left, right] in which the share of events is reached.

        Where a piece ends with that very share (six of twelve), any time up to the end of the next one has it: the
        interval then spans both, as the median of an even number lies between two values.
        """
        cumulated = np.cumsum(self.mass)
        first, last = np.searchsorted(cumulated, [share - _SAME, share + _SAME])
        most = self.mass.size - 1
        return float(self.left[min(first, most)]), float(self.right[min(last, most)])


@dataclass(frozen=True)
class MedianTime:
    """Median of interval-censored times.

    Attributes
    ----------
    n, events
        Times, and those with a finite right end.
    left, right
        The interval that holds the median; ``right`` is inf where fewer than half are known to have the event.
    estimate
        Middle of that interval; NaN where it is open.
    lower, upper
        Bootstrap limits, inf where open.
    """

    n: int
    events: int
    estimate: float
    left: float
    right: float
    lower: float
    upper: float
    converged: bool
    note: str = ""


def turnbull(left: ArrayLike, right: ArrayLike, tolerance: float = 1e-10, steps: int = 100_000) -> Turnbull:
    """Non-parametric maximum likelihood of interval-censored times by self-consistency (EM).

    Parameters
    ----------
    left, right
        Shape (n,): each time lies in (left, right]; right inf: not seen by ``left`` (right-censored).
    tolerance
        The largest change of a mass at which the steps stop.
    steps
        At most so many.

    Raises
    ------
    ValueError
        For no times, NaN, or a right end that is not above its left end.

    References
    ----------
    Turnbull BW (1976), J R Stat Soc B 38:290-295, doi:10.1111/j.2517-6161.1976.tb01597.x; Peto R (1973),
    doi:10.2307/2346307.
    """
    low, high = np.asarray(left, dtype=np.float64).ravel(), np.asarray(right, dtype=np.float64).ravel()
    if low.size == 0 or low.shape != high.shape or np.isnan(low).any() or not (high > low).all():
        raise ValueError("each time needs two ends, the right one above the left one")
    # innermost intervals: a left end followed at once by a right end; (a, b] (b, c]: the right end comes first
    ends = sorted([(v, 1) for v in set(low.tolist())] + [(v, 0) for v in set(high.tolist())])
    pieces = [(a, b) for (a, kind), (b, other) in pairwise(ends) if kind == 1 and other == 0]
    starts, stops = (np.array(side) for side in zip(*pieces, strict=True))
    member = ((low[:, None] <= starts) & (stops <= high[:, None])).astype(np.float64)
    mass = np.full(starts.size, 1 / starts.size)
    converged = False
    for _ in range(steps):
        new = mass * (member / (member @ mass)[:, None]).mean(axis=0)
        change = float(np.abs(new - mass).max())
        mass = new
        if change < tolerance:
            converged = True
            break
    kept = mass > 1e-6
    return Turnbull(starts[kept], stops[kept], mass[kept] / mass[kept].sum(), converged)


def median_time(
    left: ArrayLike, right: ArrayLike, confidence: float = 0.95, bootstrap: int = 999, seed: int = 0
) -> MedianTime:
    """Median of interval-censored times with a bootstrap interval over patients.

    Parameters
    ----------
    left, right
        As in :func:`turnbull`.
    confidence
        Level of the interval.
    bootstrap
        Resamplings of patients.
    seed
        Of the resampling.

    Returns
    -------
    The median. Limits are percentiles of the ends of the intervals that hold the resampled medians (left ends below,
    right ends above), so that not knowing the day within an interval widens them; on each side the wider of these and
    of the order statistics by the binomial distribution, read off the estimated curve. Order statistics of n patients
    hold the median with at most 1 - 2^(1 - n): under 6 patients that is less than 95 %, and the note says so.

    References
    ----------
    Turnbull (1976), see :func:`turnbull`; Efron B (1979), doi:10.1214/aos/1176344552;
    David HA, Nagaraja HN (2003), Order Statistics, 7.1, doi:10.1002/0471722162.
    """
    low, high = np.asarray(left, dtype=np.float64).ravel(), np.asarray(right, dtype=np.float64).ravel()
    n = low.size
    if n == 0:
        nan = math.nan
        return MedianTime(0, 0, nan, nan, nan, nan, nan, False, "no patient with a time")
    found = turnbull(low, high)
    start, stop = found.quantile()
    events = int(np.isfinite(high).sum())
    estimate = (start + stop) / 2 if math.isfinite(stop) else math.nan
    note = "" if math.isfinite(stop) else f"the median is not reached: later than {start:g}"
    if n < 2:
        return MedianTime(n, events, estimate, start, stop, math.nan, math.nan, found.converged, "1 patient: no limits")
    draws = np.random.default_rng(seed).integers(0, n, (bootstrap, n))
    # visits are shared, so patients share intervals: many draws are the same set
    kinds, kind = np.unique(np.column_stack([low, high]), axis=0, return_inverse=True)
    sets, which = np.unique(np.sort(kind.ravel()[draws], axis=1), axis=0, return_inverse=True)
    ends = np.array([turnbull(*kinds[row].T, 1e-6, 2000).quantile() for row in sets])[which.ravel()]
    tail = (1 - confidence) / 2
    lower = float(np.quantile(ends[:, 0], tail, method="inverted_cdf"))
    upper = float(np.quantile(ends[:, 1], 1 - tail, method="inverted_cdf"))
    # the order statistics that hold the median of n known times: the bootstrap of an odd few is too sure of itself
    order = max(1, int(stats.binom.ppf(tail, n, 0.5)))
    lower = min(lower, found.quantile((order - 0.5) / n)[0])
    upper = max(upper, found.quantile(1 - (order - 0.5) / n)[1])
    if (most := 1 - 2.0 ** (1 - n)) < confidence:
        note = "; ".join(filter(None, (note, f"{n} patients: the limits hold at most {100 * most:.1f} %")))
    return MedianTime(n, events, estimate, start, stop, lower, upper, found.converged, note)
