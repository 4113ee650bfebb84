"""Exact intervals of a count and of a share."""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy import stats


class Interval(NamedTuple):
    """Lower and upper limit, in the unit of what was estimated."""

    lower: float
    upper: float


def _check(count: float, confidence: float) -> None:
    if count < 0 or count != math.floor(count):
        raise ValueError(f"a count must be a whole number >= 0, not {count}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, not {confidence}")


def poisson_interval(count: float, confidence: float = 0.95) -> Interval:
    """Exact two-sided limits of a Poisson mean from one count.

    Parameters
    ----------
    count
        The count seen: a whole number, 0 or more.
    confidence
        Confidence level; half of the rest lies on each side, also for a count of 0 (upper limit 3.689 at 95 %).

    Returns
    -------
    Limits of the mean, in counts; their coverage is never below ``confidence``.

    Raises
    ------
    ValueError
        For a count that is negative or not whole, or a confidence outside (0, 1).

    References
    ----------
    Garwood F (1936), Biometrika 28:437-442, doi:10.1093/biomet/28.3-4.437.
    """
    _check(count, confidence)
    tail = (1 - confidence) / 2
    lower = 0.0 if count == 0 else float(stats.chi2.ppf(tail, 2 * count) / 2)
    return Interval(lower, float(stats.chi2.isf(tail, 2 * count + 2) / 2))


def clopper_pearson(successes: float, trials: float, confidence: float = 0.95) -> Interval:
    """Exact two-sided limits of a binomial share.

    Parameters
    ----------
    successes, trials
        Whole numbers with 0 <= successes <= trials.
    confidence
        Confidence level, half of the rest on each side.

    Returns
    -------
    Limits of the share, between 0 and 1; both NaN for 0 trials.

    Raises
    ------
    ValueError
        For counts that are negative, not whole, or more successes than trials.

    References
    ----------
    Clopper CJ, Pearson ES (1934), Biometrika 26:404-413, doi:10.1093/biomet/26.4.404.
    """
    _check(successes, confidence)
    _check(trials, confidence)
    if successes > trials:
        raise ValueError(f"{successes} successes in {trials} trials")
    if trials == 0:
        return Interval(math.nan, math.nan)
    tail = (1 - confidence) / 2
    lower = 0.0 if successes == 0 else float(stats.beta.ppf(tail, successes, trials - successes + 1))
    upper = 1.0 if successes == trials else float(stats.beta.isf(tail, successes + 1, trials - successes))
    return Interval(lower, upper)
