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

    def spread(self, share: float = 0.5) -> tuple[float, float]:
        """Give the first and the last time at which the share is reached, if within a piece every time is as likely.

        They differ where the share is reached at the end of a piece and no event follows until the next one. A share
        within a piece without an end is reached at inf.
        """
        reached = np.concatenate([[0.0], np.cumsum(self.mass)])
        found = []
        for limit in (share - _SAME, share + _SAME):
            piece = min(int(np.searchsorted(reached[1:], limit)), self.mass.size - 1)
            left, right = float(self.left[piece]), float(self.right[piece])
            part = float(np.clip((share - reached[piece]) / self.mass[piece], 0.0, 1.0))
            found.append(left if part == 0.0 else left + part * (right - left))
        return found[0], found[1]


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
        The median if every time between two visits is as likely; NaN where the interval is open.
    lower, upper
        Limits under the same assumption, inf where open.
    earliest, latest
        Limits without it, which lie on visits and hold the median more often than asked for.
    """

    n: int
    events: int
    estimate: float
    left: float
    right: float
    lower: float
    upper: float
    earliest: float
    latest: float
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
    """Median of interval-censored times with two kinds of limits.

    Parameters
    ----------
    left, right
        As in :func:`turnbull`.
    confidence
        Level of the limits.
    bootstrap
        Resamplings of patients.
    seed
        Of the resampling.

    Returns
    -------
    The median, told by :meth:`Turnbull.spread`. ``lower`` and ``upper`` take every time between two visits as equally
    likely: they are the first and the last time at which the estimated curve does not differ from one half (Brookmeyer
    & Crowley 1982, with the variance of one half), or the percentiles of the resampled medians where these lie further
    out, as they may where patients are censored or miss visits; and they never lie within the interval that holds the
    median, of which the visits tell nothing. ``earliest`` and ``latest`` take nothing for granted: percentiles of the
    ends of the intervals that hold the resampled medians (left ends below, right ends above), and on each side the
    wider of these and of the order statistics by the binomial distribution, read off the estimated curve. Order
    statistics of n patients hold the median with at most 1 - 2^(1 - n): under 6 patients that is less than 95 %, and
    the note says so.

    References
    ----------
    Turnbull (1976), see :func:`turnbull`; Brookmeyer R, Crowley J (1982), doi:10.2307/2530286; Efron B (1979),
    doi:10.1214/aos/1176344552; David HA, Nagaraja HN (2003), Order Statistics, 7.1, doi:10.1002/0471722162.
    """
    low, high = np.asarray(left, dtype=np.float64).ravel(), np.asarray(right, dtype=np.float64).ravel()
    n = low.size
    if n == 0:
        return MedianTime(0, 0, *[math.nan] * 7, False, "no patient with a time")
    found = turnbull(low, high)
    start, stop = found.quantile()
    events = int(np.isfinite(high).sum())
    estimate = sum(found.spread()) / 2 if math.isfinite(stop) else math.nan
    note = "" if math.isfinite(stop) else f"the median is not reached: later than {start:g}"
    if n < 2:
        return MedianTime(n, events, estimate, start, stop, *[math.nan] * 4, found.converged, "1 patient: no limits")
    drawn = _medians(low, high, bootstrap, seed)
    tail = (1 - confidence) / 2
    below, above = _near_half(found, n, float(stats.norm.isf(tail)))
    lower = min(below, start, _quantile(drawn[:, 2], tail))
    upper = max(above, stop, _quantile(drawn[:, 3], 1 - tail))
    # the order statistics that hold the median of n known times: the bootstrap of an odd few is too sure of itself
    order = (max(1, int(stats.binom.ppf(tail, n, 0.5))) - 0.5) / n
    earliest = min(lower, found.quantile(order)[0], _quantile(drawn[:, 0], tail))
    latest = max(upper, found.quantile(1 - order)[1], _quantile(drawn[:, 1], 1 - tail))
    if (most := 1 - 2.0 ** (1 - n)) < confidence:
        note = "; ".join(filter(None, (note, f"{n} patients: the limits hold at most {100 * most:.1f} %")))
    return MedianTime(n, events, estimate, start, stop, lower, upper, earliest, latest, found.converged, note)


def _near_half(found: Turnbull, n: int, z: float) -> tuple[float, float]:
    """First and last time at which the share of events does not differ from one half, by the normal approximation.

    Within a piece of mass m, of which the part w has passed, m w events are taken to have happened: m w (1 - w) of the
    variance 1/4 of a known event is no chance, and (share - 1/2)^2 n = z^2 (1/4 - m w (1 - w)) is solved for w.
    """
    passed = np.cumsum(found.mass) - found.mass
    widest = z / (2 * math.sqrt(n))
    times: list[float] = []
    for left, right, m, far in zip(found.left, found.right, found.mass, passed - 0.5, strict=True):
        if abs(far) <= widest:
            times += [float(left)] + [math.inf] * int(math.isinf(right))
        if math.isinf(right):
            continue
        if abs(far + m) <= widest:
            times.append(float(right))
        roots = np.roots([m * (n * m - z**2), m * (2 * n * far + z**2), n * far**2 - z**2 / 4])
        times += [float(left + w.real * (right - left)) for w in roots if w.imag == 0 and 0 <= w.real <= 1]
    # a curve that steps over one half within an interval too short to hold a point that is near it
    return (min(times), max(times)) if times else found.quantile()


def _medians(low: Array, high: Array, bootstrap: int, seed: int) -> Array:
    """Medians of resampled patients, (bootstrap, 4): ends of the interval that holds it; first and last by spread."""
    draws = np.random.default_rng(seed).integers(0, low.size, (bootstrap, low.size))
    # visits are shared, so patients share intervals: many draws are the same set
    kinds, kind = np.unique(np.column_stack([low, high]), axis=0, return_inverse=True)
    sets, which = np.unique(np.sort(kind.ravel()[draws], axis=1), axis=0, return_inverse=True)
    fits = [turnbull(*kinds[row].T, 1e-6, 2000) for row in sets]
    return np.array([(*fit.quantile(), *fit.spread()) for fit in fits])[which.ravel()]


def _quantile(values: Array, share: float) -> float:
    return float(np.quantile(values, share, method="inverted_cdf"))
