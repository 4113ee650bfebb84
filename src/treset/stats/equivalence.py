"""Equivalence and non-inferiority by two one-sided rank tests."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from treset.stats.rank import EXACT_UP_TO, _group_sums, _snap, _subset_sums, mann_whitney, wilcoxon_signed_rank


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests against a margin.

    Attributes
    ----------
    n
        Values used (pairs; both groups together).
    estimate, lower, upper
        Hodges-Lehmann shift and its two-sided interval at the confidence asked for; NaN where there is none.
    p_below, p_above
        One-sided p values: that the shift is below + margin, and above - margin (small: it is).
    p_value
        Of the claim: the larger of the two (equivalence); NaN without values.
    method, note
        In words.
    """

    n: int
    estimate: float
    lower: float
    upper: float
    p_below: float
    p_above: float
    p_value: float
    method: str
    note: str = ""


def _signed_rank_less(values: NDArray[np.float64]) -> float:
    """One-sided p of a signed-rank test that the centre lies below 0; exact up to 50 pairs, zeros by Pratt."""
    d = _snap(values)
    doubled = np.rint(2 * stats.rankdata(np.abs(d))).astype(np.int64)[d != 0]
    positive = d[d != 0] > 0
    if doubled.size == 0:
        return 1.0
    total = int(doubled[positive].sum())
    if d.size <= EXACT_UP_TO:
        return float(min(1.0, _subset_sums(doubled)[: total + 1].sum()))
    spread = math.sqrt(float((doubled.astype(float) ** 2).sum()) / 4)
    return float(stats.norm.cdf((total - doubled.sum() / 2 + 1.0) / spread))


def _mann_whitney_less(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """One-sided p of a Mann-Whitney test that ``x`` lies below ``y``; exact up to 50 values."""
    doubled = np.rint(2 * stats.rankdata(_snap(np.concatenate([x, y])))).astype(np.int64)
    total, n = int(doubled[: x.size].sum()), doubled.size
    if n <= EXACT_UP_TO:
        return float(min(1.0, _group_sums(doubled, x.size)[: total + 1].sum()))
    _, ties = np.unique(doubled, return_counts=True)
    variance = x.size * y.size / 12 * (n + 1 - (ties.astype(float) ** 3 - ties).sum() / (n * (n - 1)))
    if variance == 0:
        return 1.0
    return float(stats.norm.cdf((total / 2 - x.size * (n + 1) / 2 + 0.5) / math.sqrt(variance)))


def _check(margin: float, *groups: NDArray[np.float64]) -> None:
    if not (math.isfinite(margin) and margin > 0):
        raise ValueError(f"a margin must be above 0, not {margin}")
    if not all(np.isfinite(group).all() for group in groups):
        raise ValueError("values must be finite: leave missing ones out first and say so")


def equivalence_paired(changes: ArrayLike, margin: float, confidence: float = 0.95) -> Equivalence:
    """Test that the shift of paired changes lies within - margin and + margin.

    Parameters
    ----------
    changes
        Shape (pairs,), finite: one change a pair.
    margin
        Largest shift that counts as none, in the unit of the changes, above 0.
    confidence
        Level of the reported interval. The claim is equivalent to the interval at 1 - 2 alpha lying inside the margins.

    Returns
    -------
    One-sided Wilcoxon signed-rank tests of changes - margin and changes + margin (exact up to 50 pairs).
    ``p_below`` alone is the test of non-inferiority where an increase is the harm, ``p_above`` where a decrease is.

    Raises
    ------
    ValueError
        For a margin that is not above 0 or values that are not finite.

    References
    ----------
    Schuirmann DJ (1987), doi:10.1007/BF01068419; Wellek S (2010), Testing Statistical Hypotheses of Equivalence and
    Noninferiority, 5.4, doi:10.1201/EBK1439808184.
    """
    d = np.asarray(changes, np.float64).ravel()
    _check(margin, d)
    method = "two one-sided tests (TOST), Wilcoxon signed-rank, Hodges-Lehmann"
    if d.size == 0:
        nan = math.nan
        return Equivalence(0, nan, nan, nan, nan, nan, nan, method, "no pairs")
    shift = wilcoxon_signed_rank(d, confidence)
    below, above = _signed_rank_less(d - margin), _signed_rank_less(-(d + margin))
    return Equivalence(
        d.size, shift.estimate, shift.lower, shift.upper, below, above, max(below, above), method, shift.note
    )


def equivalence_between(x: ArrayLike, y: ArrayLike, margin: float, confidence: float = 0.95) -> Equivalence:
    """Test that ``x`` is shifted against ``y`` by no more than the margin, either way.

    Parameters
    ----------
    x, y
        Shapes (n_x,) and (n_y,), finite.
    margin, confidence
        As of :func:`equivalence_paired`.

    Returns
    -------
    One-sided Mann-Whitney tests of x - margin and x + margin against y (exact up to 50 values in all).

    Raises
    ------
    ValueError
        For a margin that is not above 0 or values that are not finite.

    References
    ----------
    Wellek S (2010), 6.2; Schuirmann DJ (1987), doi:10.1007/BF01068419.
    """
    a, b = np.asarray(x, np.float64).ravel(), np.asarray(y, np.float64).ravel()
    _check(margin, a, b)
    method = "two one-sided tests (TOST), Mann-Whitney, Hodges-Lehmann shift"
    if a.size == 0 or b.size == 0:
        nan = math.nan
        return Equivalence(a.size + b.size, nan, nan, nan, nan, nan, nan, method, "a group is empty")
    shift = mann_whitney(a, b, confidence)
    below, above = _mann_whitney_less(a - margin, b), _mann_whitney_less(-(a + margin), -b)
    return Equivalence(
        a.size + b.size, shift.estimate, shift.lower, shift.upper, below, above, max(below, above), method, shift.note
    )
