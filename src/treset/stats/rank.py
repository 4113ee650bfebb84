"""Rank tests with Hodges-Lehmann estimates: exact where the groups are small."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

#: Up to this many values (pairs; both groups together) the null distribution is enumerated, also with ties.
EXACT_UP_TO = 50
#: Values closer together than this share of the largest are ties: 0.3 - 0.1 and 0.2 differ in the last bit only.
_TIE = 1e-12


@dataclass(frozen=True)
class RankTest:
    """A rank test and the shift that belongs to it.

    Attributes
    ----------
    n
        Values used (pairs; both groups together).
    statistic
        Signed rank: sum of the ranks of positive differences. Mann-Whitney: U of the first group.
    p_value
        Two-sided; NaN where no test is possible (no values).
    estimate
        Hodges-Lehmann estimate of the shift, in the unit of the values; NaN without values.
    lower, upper
        Limits of the shift; NaN where ``n`` is too small for the confidence asked for.
    confidence
        The level the interval really has: at least the one asked for (exact), about it (normal); NaN without interval.
    method
        What was computed, in words.
    note
        What must be said of it ("" when nothing).
    """

    n: int
    statistic: float
    p_value: float
    estimate: float
    lower: float
    upper: float
    confidence: float
    method: str
    note: str = ""


def _finite(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64).ravel()
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite: leave missing values out first and say so")
    return array


def _snap(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values on a grid so fine that only rounding noise disappears: what is equal ties, what is nothing is 0."""
    largest = np.abs(values).max(initial=0.0)
    return values if largest == 0 else np.round(values / largest / _TIE) * _TIE * largest


def _subset_sums(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Chance of each sum of ranks when every rank is in or out with probability one half."""
    chance = np.zeros(int(ranks.sum()) + 1)
    chance[0] = 1.0
    for rank in ranks:
        moved = np.zeros_like(chance)
        moved[rank:] = chance[: chance.size - rank]
        chance = (chance + moved) / 2
    return chance


@lru_cache(maxsize=256)
def _signed_rank_quantile(n: int, tail: float) -> tuple[int, float]:
    """Most Walsh averages that may be cut at each end, plus 1, and the confidence attained (0: none attainable)."""
    cumulative = np.cumsum(_subset_sums(np.arange(1, n + 1)))
    cut = int(np.searchsorted(cumulative, tail * (1 + 1e-12), side="right"))
    return cut, float(1 - 2 * cumulative[cut - 1]) if cut else 0.0


def pairs_needed(alpha: float) -> int:
    """Fewest pairs with which an exact two-sided signed-rank test can reach p < ``alpha`` (6 at 0.05)."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha}")
    n = 1
    while 2.0 ** (1 - n) >= alpha:
        n += 1
    return n


def mann_whitney_attainable(n_x: int, n_y: int, alpha: float) -> bool:
    """Whether an exact two-sided Mann-Whitney test of such groups can reach p < ``alpha`` (3 and 3 cannot at 0.05)."""
    return n_x > 0 and n_y > 0 and 2 / math.comb(n_x + n_y, n_x) < alpha


def _walsh_interval(d: NDArray[np.float64], confidence: float) -> tuple[float, float, float, float]:
    """Hodges-Lehmann estimate, its limits and the confidence attained, from the averages of all pairs."""
    i, j = np.triu_indices(d.size)
    walsh = np.sort((d[i] + d[j]) / 2)
    estimate = float(np.median(walsh))
    tail = (1 - confidence) / 2
    if d.size <= EXACT_UP_TO:
        cut, attained = _signed_rank_quantile(d.size, tail)
    else:
        n = d.size
        spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        cut, attained = math.floor(n * (n + 1) / 4 - stats.norm.isf(tail) * spread), confidence
    if cut < 1:
        return estimate, math.nan, math.nan, math.nan
    return estimate, float(walsh[cut - 1]), float(walsh[walsh.size - cut]), attained


def wilcoxon_signed_rank(
    differences: ArrayLike, confidence: float = 0.95, zeros: Literal["pratt", "drop"] = "pratt"
) -> RankTest:
    """Two-sided Wilcoxon signed-rank test with the Hodges-Lehmann estimate and its distribution-free interval.

    Parameters
    ----------
    differences
        Shape (pairs,), finite: one change a pair.
    confidence
        Level of the interval asked for.
    zeros
        ``pratt`` (default): a difference of 0 takes part in the ranking and has no sign; ``drop``: it is left out of
        the test. Estimate and interval always use all pairs.

    Returns
    -------
    The test. Up to 50 pairs the p value is exact, also with ties (mid-ranks) and zeros: the distribution of the
    rank sum over all signs, by convolution. Beyond, it is normal with continuity correction. The interval is made of
    ordered Walsh averages; with ties it covers at least as often as it says. With fewer than 6 pairs no 95 % interval
    exists: the limits are NaN and the note says so.

    Notes
    -----
    The null hypothesis is that the changes are symmetric about 0. A change that baseline and visit could have swapped
    (difference, log ratio) is; a percent change is not, and a skewed one is rejected more often than it should be.

    Raises
    ------
    ValueError
        For values that are not finite.

    References
    ----------
    Wilcoxon F (1945), doi:10.2307/3001968; Pratt JW (1959), doi:10.1080/01621459.1959.10501526; Hodges JL,
    Lehmann EL (1963), doi:10.1214/aoms/1177704172; Hollander M, Wolfe DA, Chicken E (2014), Nonparametric
    Statistical Methods, 3.1-3.3.
    """
    changes = _finite(differences, "differences")
    d, n = _snap(changes), changes.size
    if n == 0:
        nan = math.nan
        return RankTest(0, nan, nan, nan, nan, nan, nan, "Wilcoxon signed-rank", "no pairs")
    ranked = d if zeros == "pratt" else d[d != 0]
    doubled = np.rint(2 * stats.rankdata(np.abs(ranked))).astype(np.int64)
    signed = ranked != 0
    ranks, positive = doubled[signed], ranked[signed] > 0
    total = int(ranks[positive].sum())
    exact = n <= EXACT_UP_TO
    p_value = _signed_rank_p(ranks, total, exact)
    estimate, lower, upper, attained = _walsh_interval(changes, confidence)
    notes = []
    if n_zero := int((d == 0).sum()):
        how = "ranked without a sign (Pratt)" if zeros == "pratt" else "left out of the test"
        notes.append(f"{n_zero} change{'s' if n_zero > 1 else ''} of exactly 0 {how}")
    if math.isnan(lower):
        notes.append(f"no {100 * confidence:g} % interval: it needs {_pairs_for(confidence)} pairs, there are {n}")
    method = f"Wilcoxon signed-rank ({'exact' if exact else 'normal approximation'}), Hodges-Lehmann"
    return RankTest(n, total / 2, p_value, estimate, lower, upper, attained, method, "; ".join(notes))


def _pairs_for(confidence: float) -> int:
    n = 1
    while 2.0 ** (1 - n) > (1 - confidence) * (1 + 1e-12):
        n += 1
    return n


def _signed_rank_p(ranks: NDArray[np.int64], total: int, exact: bool) -> float:
    if ranks.size == 0:
        return 1.0
    if exact:
        chance = _subset_sums(ranks)
        # the distribution is symmetric: the smaller tail, doubled
        smaller = min(total, int(ranks.sum()) - total)
        return float(min(1.0, 2 * chance[: smaller + 1].sum()))
    distance = max(abs(total - ranks.sum() / 2) - 1.0, 0.0)  # ranks are doubled: half a rank is 1
    return float(2 * stats.norm.sf(distance / math.sqrt((ranks.astype(float) ** 2).sum() / 4)))


def _group_sums(ranks: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """Chance of each sum of ``size`` ranks drawn without replacement."""
    ways = np.zeros((size + 1, int(np.sort(ranks)[-size:].sum()) + 1))
    ways[0, 0] = 1.0
    for rank in ranks:
        grown = ways.copy()
        grown[1:, rank:] += ways[:-1, : ways.shape[1] - rank]
        ways = grown
    return ways[size] / math.comb(ranks.size, size)


@lru_cache(maxsize=256)
def _u_quantile(n_x: int, n_y: int, tail: float) -> tuple[int, float]:
    chance = _group_sums(np.arange(1, n_x + n_y + 1), n_x)[n_x * (n_x + 1) // 2 :]
    cumulative = np.cumsum(chance)
    cut = int(np.searchsorted(cumulative, tail * (1 + 1e-12), side="right"))
    return cut, float(1 - 2 * cumulative[cut - 1]) if cut else 0.0


def _shift_interval(
    x: NDArray[np.float64], y: NDArray[np.float64], confidence: float
) -> tuple[float, float, float, float]:
    shifts = np.sort((x[:, None] - y[None, :]).ravel())
    estimate = float(np.median(shifts))
    tail = (1 - confidence) / 2
    if x.size + y.size <= EXACT_UP_TO:
        cut, attained = _u_quantile(x.size, y.size, tail)
    else:
        spread = math.sqrt(x.size * y.size * (x.size + y.size + 1) / 12)
        cut, attained = math.floor(x.size * y.size / 2 - stats.norm.isf(tail) * spread), confidence
    if cut < 1:
        return estimate, math.nan, math.nan, math.nan
    return estimate, float(shifts[cut - 1]), float(shifts[shifts.size - cut]), attained


def mann_whitney(x: ArrayLike, y: ArrayLike, confidence: float = 0.95) -> RankTest:
    """Two-sided Mann-Whitney test with the Hodges-Lehmann shift of ``x`` against ``y`` and its interval.

    Parameters
    ----------
    x, y
        Shapes (n_x,) and (n_y,), finite, independent of each other.
    confidence
        Level of the interval asked for.

    Returns
    -------
    The test; ``estimate`` is the median of all differences x - y. With up to 50 values in all the p value is exact,
    also with ties (all ways to give the mid-ranks to the groups; the smaller tail doubled); beyond, it is normal with
    tie and continuity correction. Where the groups are too small for the confidence asked for, the limits are NaN.

    Raises
    ------
    ValueError
        For values that are not finite.

    References
    ----------
    Mann HB, Whitney DR (1947), doi:10.1214/aoms/1177730491; Hollander M, Wolfe DA, Chicken E (2014), 4.1-4.3.
    """
    a, b = _finite(x, "x"), _finite(y, "y")
    both = _snap(np.concatenate([a, b]))
    n = both.size
    nan = math.nan
    if a.size == 0 or b.size == 0:
        return RankTest(n, nan, nan, nan, nan, nan, nan, "Mann-Whitney", "a group is empty")
    doubled = np.rint(2 * stats.rankdata(both)).astype(np.int64)
    total = int(doubled[: a.size].sum())
    exact = n <= EXACT_UP_TO
    p_value = _mann_whitney_p(doubled, a.size, total, exact)
    estimate, lower, upper, attained = _shift_interval(a, b, confidence)
    note = ""
    if math.isnan(lower):
        note = f"no {100 * confidence:g} % interval with groups of {a.size} and {b.size}"
    method = f"Mann-Whitney ({'exact' if exact else 'normal approximation'}), Hodges-Lehmann shift"
    u = total / 2 - a.size * (a.size + 1) / 2
    return RankTest(n, u, p_value, estimate, lower, upper, attained, method, note)


def _mann_whitney_p(doubled: NDArray[np.int64], n_x: int, total: int, exact: bool) -> float:
    n = doubled.size
    n_y = n - n_x
    if exact:
        chance = _group_sums(doubled, n_x)
        return float(min(1.0, 2 * min(chance[: total + 1].sum(), chance[total:].sum())))
    _, ties = np.unique(doubled, return_counts=True)
    variance = n_x * n_y / 12 * (n + 1 - (ties.astype(float) ** 3 - ties).sum() / (n * (n - 1)))
    if variance == 0:
        return 1.0
    distance = max(abs(total / 2 - n_x * (n + 1) / 2) - 0.5, 0.0)
    return float(2 * stats.norm.sf(distance / math.sqrt(variance)))
