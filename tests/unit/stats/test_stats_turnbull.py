"""Interval-censored times: published estimates, hand calculation, coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest

from treset.stats import median_time, turnbull
from treset.stats.turnbull import _near_half

INF = math.inf
#: Months to breast retraction after radiotherapy alone, 46 women: Finkelstein DM, Wolfe RA (1985), Biometrics
#: 41:933-945, doi:10.2307/2530965; data set bcos of the R package interval.
LEFT = [45, 6, 0, 46, 46, 7, 17, 7, 37, 0, 4, 15, 11, 22, 46, 46, 25, 46, 26, 46, 27, 36, 46, 36, 37, 40, 17, 46, 11,
        38, 5, 37, 0, 18, 24, 36, 5, 19, 17, 24, 32, 33, 19, 37, 34, 36]  # fmt: skip
RIGHT = [INF, 10, 7, INF, INF, 16, INF, 14, 44, 8, 11, INF, 15, INF, INF, INF, 37, INF, 40, INF, 34, 44, INF, 48, INF,
         INF, 25, INF, 18, INF, 12, INF, 5, INF, INF, INF, 11, 35, 25, INF, INF, INF, 26, INF, INF, INF]  # fmt: skip


def test_the_published_estimate_of_the_breast_cosmesis_trial():
    """Masses as icfit of the R package interval prints them: Fay MP, Shaw PA (2010), doi:10.18637/jss.v036.i02."""
    found = turnbull(LEFT, RIGHT)
    assert found.converged
    assert found.left.tolist() == [4, 6, 7, 11, 24, 33, 38, 46]
    assert found.right.tolist()[:-1] == [5, 7, 8, 12, 25, 34, 40]
    assert found.mass == pytest.approx([0.0463, 0.0334, 0.0887, 0.0708, 0.0926, 0.0818, 0.1209, 0.4656], abs=6e-5)


def test_by_hand():
    # (0, 2] and (1, 3] share (1, 2]; the third is alone
    found = turnbull([0, 1, 4], [2, 3, 5])
    assert (found.left.tolist(), found.right.tolist()) == ([1, 4], [2, 5])
    assert found.mass == pytest.approx([2 / 3, 1 / 3])
    assert found.quantile() == (1, 2)


def test_short_intervals_are_the_kaplan_meier_estimate():
    """Times 1, 2, 4 seen to the day and one lost at 3: by hand 1/4, 1/4 and the rest, 1/2, at 4."""
    found = turnbull([0.99, 1.99, 3.99, 3.0], [1, 2, 4, INF])
    assert found.mass == pytest.approx([0.25, 0.25, 0.5])


def test_the_median_that_is_not_reached():
    found = median_time([30, 60, 60, 60], [60, INF, INF, INF])
    assert math.isnan(found.estimate) and found.right == INF and found.upper == INF and "not reached" in found.note
    assert (found.n, found.events) == (4, 1)
    assert median_time([], []).n == 0
    with pytest.raises(ValueError, match="right one above"):
        turnbull([2], [1])


def test_few_patients_are_told_what_their_limits_hold():
    assert "93.8 %" in median_time([0, 10, 20, 30, 40], [10, 20, 30, 40, 50]).note
    assert median_time([0, 10, 20, 30, 40, 50], [10, 20, 30, 40, 50, 60]).note == ""


def test_limits_cover_the_median():
    """Recovery on day 110 +/- 32 seen at visits a month apart, 12 patients; 95 % asked for, under 88 of 100 a fault."""
    rng = np.random.default_rng(1)
    visits = np.array([14, 30, 60, 90, 120, 150, 180, 210, 240])
    covered = 0
    for seed in range(100):
        at = np.searchsorted(visits, rng.normal(110, 32, 12))
        left = np.where(at > 0, visits[at - 1], 0)
        right = np.append(visits, INF)[at]
        found = median_time(left, right, bootstrap=299, seed=seed)
        covered += found.lower <= 110 <= found.upper
    assert covered >= 88


def test_half_way_between_two_visits_by_hand():
    """Two of eight by day 30, six by day 60, all by day 90: half of the four in between by day 45."""
    found = turnbull([0, 0, 30, 30, 30, 30, 60, 60], [30, 30, 60, 60, 60, 60, 90, 90])
    assert found.spread() == pytest.approx((45, 45), abs=0.01)
    assert found.spread(0.125) == pytest.approx((15, 15), abs=0.01)
    # nobody between day 60 and day 90: from the one to the other half have recovered
    assert turnbull([0, 30, 90, 90], [30, 60, 120, 120]).spread() == pytest.approx((60, 90))


def test_the_score_limits_by_hand():
    """Known times 1 to 16 (to 0.01): with z = 2 a share from 1/4 to 3/4 is not far from one half: times 4 to 13."""
    times = np.arange(1.0, 17.0)
    low, high = _near_half(turnbull(times - 0.01, times), 16, 2.0)
    assert (low, high) == pytest.approx((4.0, 12.99), abs=1e-6)


def test_where_every_patient_is_back_between_the_same_visits_the_limits_are_these():
    """The visits do not tell where in between, and an even spread would claim to know it to the day."""
    found = median_time([90] * 20, [120] * 20, bootstrap=99)
    assert (found.lower, found.estimate, found.upper) == (90, 105, 120)
    assert (found.earliest, found.latest) == (90, 120)


def test_limits_within_visits_a_month_apart_cover_as_asked():
    """Day 110 +/- 32, 12 patients: 95 % asked for; 400 repeats outside 92 to 99 would be a fault at p < 0.01."""
    rng = np.random.default_rng(5)
    visits = np.arange(30, 361, 30)
    at = np.searchsorted(visits, np.clip(rng.normal(110, 32, (400, 12)), 1, 359))
    ends = [(np.where(row > 0, visits[row - 1], 0), visits[row]) for row in at]
    found = [median_time(*both, bootstrap=99, seed=i) for i, both in enumerate(ends)]
    assert 0.92 < np.mean([f.lower <= 110 <= f.upper for f in found]) < 0.99
    assert np.mean([f.upper - f.lower for f in found]) < 0.8 * np.mean([f.latest - f.earliest for f in found])


def test_a_shift_shifts_and_the_order_does_not_matter():
    one = median_time(LEFT, RIGHT, bootstrap=49)
    late = median_time(np.array(LEFT) + 100, np.array(RIGHT) + 100, bootstrap=49)
    assert (late.left, late.lower) == (one.left + 100, one.lower + 100)
    again = turnbull(LEFT[::-1], RIGHT[::-1])
    assert again.mass == pytest.approx(turnbull(LEFT, RIGHT).mass)


def test_the_median_of_an_even_number_lies_between_two():
    """Three of six by day 30, the next by day 60: any day from the third's interval to the fourth's is a median."""
    left, right = np.array([0.0, 0, 0, 30, 60, 60]), np.array([30.0, 30, 30, 60, 90, 90])
    assert turnbull(left, right).quantile() == (0.0, 60.0)
    assert turnbull(left[1:], right[1:]).quantile() == (30.0, 60.0)


@pytest.mark.parametrize(("n", "order"), [(7, 1), (9, 2), (12, 3), (20, 6)])
def test_the_limits_hold_the_order_statistics(n, order):
    """Times known to the hour: at least [T(k), T(n + 1 - k)], k from the binomial (David and Nagaraja 2003, 7.1)."""
    times = np.sort(np.random.default_rng(n).normal(110.0, 32.0, n))
    found = median_time(times - 0.01, times, bootstrap=199)
    assert found.earliest <= times[order - 1] and found.latest >= times[n - order]
    assert found.earliest <= found.lower <= found.left and found.right <= found.upper <= found.latest
    assert found.left <= np.median(times) <= found.right


def test_the_limits_cover_where_visits_are_close():
    """95 % asked for; of 200 repeats of 7 and of 12 patients 180 or fewer would be a fault at p < 0.002."""
    for n in (7, 12):
        rng = np.random.default_rng(n)
        ends = [3 * np.ceil(rng.normal(110.0, 32.0, n) / 3) for _ in range(200)]
        found = [median_time(right - 3, right, bootstrap=99, seed=i) for i, right in enumerate(ends)]
        assert sum(f.lower <= 110 <= f.upper for f in found) > 180
