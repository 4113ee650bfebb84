"""Rank tests against R, scipy, brute force and their own symmetries."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from treset.stats import mann_whitney, mann_whitney_attainable, pairs_needed, wilcoxon_signed_rank

# Hollander & Wolfe (1973), 29f: Hamilton depression scale factor; the example of R's ?wilcox.test
BEFORE = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
AFTER = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])
# Hollander & Wolfe (1973), 69f: permeability constants; the example of R's ?wilcox.test
TERM = np.array([0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46])
EARLY = np.array([1.15, 0.88, 0.90, 0.74, 1.21])


def test_signed_rank_of_the_depression_data():
    found = wilcoxon_signed_rank(BEFORE - AFTER)
    # V = 40, one-sided p 0.01953 in ?wilcox.test, hence 0.03906 two-sided
    assert found.statistic == 40
    assert found.p_value == pytest.approx(20 / 512)
    # W = 5 of 45 Walsh averages may be cut for 95 %: Hollander & Wolfe table A.4, P(T >= 40) = 0.0195
    walsh = sorted((a + b) / 2 for a, b in itertools.combinations_with_replacement(BEFORE - AFTER, 2))
    assert found.estimate == pytest.approx(walsh[22]) == pytest.approx(0.46)
    assert (found.lower, found.upper) == pytest.approx((walsh[5], walsh[39]))
    assert found.confidence == pytest.approx(1 - 2 * 10 / 512)


def test_mann_whitney_of_the_permeability_data():
    found = mann_whitney(TERM, EARLY)
    # W = 35, one-sided p 0.1272 in ?wilcox.test
    assert found.statistic == 35
    assert found.p_value / 2 == pytest.approx(0.1272, abs=5e-5)
    assert found.estimate == pytest.approx(0.305)
    assert (found.lower, found.upper) == pytest.approx((-0.15, 0.76))


@pytest.mark.parametrize("n", [6, 7, 12, 25, 50])
def test_signed_rank_agrees_with_scipy_exact(n):
    d = np.random.default_rng(n).normal(0.3, 1, n)
    assert wilcoxon_signed_rank(d).p_value == pytest.approx(scipy_stats.wilcoxon(d, method="exact").pvalue)


@pytest.mark.parametrize(("n", "zeros", "theirs"), [(80, "drop", "wilcox"), (200, "pratt", "pratt")])
def test_signed_rank_agrees_with_scipy_normal(n, zeros, theirs):
    d = np.round(np.random.default_rng(n).normal(0.2, 1, n), 1)  # ties and zeros
    expected = scipy_stats.wilcoxon(d, zero_method=theirs, correction=True, method="approx").pvalue
    assert wilcoxon_signed_rank(d, zeros=zeros).p_value == pytest.approx(expected)


@pytest.mark.parametrize("zeros", ["pratt", "drop"])
def test_signed_rank_with_ties_and_zeros_is_the_share_of_all_signs(zeros):
    d = np.array([1.0, 1.0, -1.0, 2.0, 0.0, 3.0, 3.0, 0.0, 4.0])
    ranked = d if zeros == "pratt" else d[d != 0]
    ranks = scipy_stats.rankdata(np.abs(ranked))[ranked != 0]
    signs = np.array(list(itertools.product([0, 1], repeat=ranks.size)))
    sums, seen = signs @ ranks, float(ranks[ranked[ranked != 0] > 0].sum())
    expected = 2 * min((sums >= seen).mean(), (sums <= seen).mean())
    found = wilcoxon_signed_rank(d, zeros=zeros)
    assert found.p_value == pytest.approx(expected)
    assert "2 changes of exactly 0" in found.note


def test_mann_whitney_with_ties_is_the_share_of_all_groupings():
    x, y = np.array([1.0, 2, 2, 5, 5]), np.array([2.0, 3, 1, 1])
    ranks = scipy_stats.rankdata(np.concatenate([x, y]))
    sums = np.array([ranks[list(pick)].sum() for pick in itertools.combinations(range(9), 5)])
    expected = 2 * min((sums >= ranks[:5].sum()).mean(), (sums <= ranks[:5].sum()).mean())
    assert mann_whitney(x, y).p_value == pytest.approx(expected)


def test_mann_whitney_agrees_with_scipy():
    rng = np.random.default_rng(5)
    x, y = rng.normal(0.5, 1, 14), rng.normal(0, 1, 11)
    assert mann_whitney(x, y).p_value == pytest.approx(scipy_stats.mannwhitneyu(x, y, method="exact").pvalue)
    x, y = rng.normal(0.5, 1, 40).round(1), rng.normal(0, 1, 35).round(1)
    expected = scipy_stats.mannwhitneyu(x, y, method="asymptotic", use_continuity=True).pvalue
    assert mann_whitney(x, y).p_value == pytest.approx(expected)


def test_too_few_pairs_give_no_interval_and_say_so():
    five = wilcoxon_signed_rank([1.0, 2, 3, 4, 5])
    assert math.isnan(five.lower) and math.isnan(five.upper) and math.isnan(five.confidence)
    assert five.p_value == pytest.approx(2 / 32)
    assert five.note == "no 95 % interval: it needs 6 pairs, there are 5"
    six = wilcoxon_signed_rank([1.0, 2, 3, 4, 5, 6])
    assert (six.lower, six.upper, six.confidence) == (1, 6, pytest.approx(1 - 2 / 64))
    assert math.isnan(mann_whitney([1.0, 2, 3], [4.0, 5, 6]).lower)
    assert math.isfinite(mann_whitney([1.0, 2, 3, 4], [5.0, 6, 7, 8]).lower)


def test_what_can_be_reached_at_all():
    assert pairs_needed(0.05) == 6
    assert pairs_needed(0.01) == 8
    assert not mann_whitney_attainable(3, 3, 0.05)
    assert mann_whitney_attainable(3, 4, 0.06) and not mann_whitney_attainable(3, 4, 0.05)
    assert mann_whitney_attainable(4, 4, 0.05)
    assert not mann_whitney_attainable(0, 9, 0.05)


def test_without_values_there_is_no_number():
    assert math.isnan(wilcoxon_signed_rank([]).p_value)
    assert math.isnan(mann_whitney([], [1.0]).estimate)
    assert wilcoxon_signed_rank(np.zeros(8)).p_value == 1


def test_missing_values_are_refused():
    with pytest.raises(ValueError, match="finite"):
        wilcoxon_signed_rank([1.0, math.nan])
    with pytest.raises(ValueError, match="finite"):
        mann_whitney([1.0], [math.inf])


def test_rounding_noise_is_a_tie():
    assert wilcoxon_signed_rank([0.3 - 0.1, 0.2, -0.2]).p_value == wilcoxon_signed_rank([2.0, 2, -2]).p_value


values = st.lists(st.integers(-40, 40), min_size=6, max_size=14).map(lambda v: np.asarray(v, dtype=float) / 4)


@settings(max_examples=60, deadline=None)
@given(values, st.integers(-20, 20))
def test_shift_moves_estimate_and_interval_with_it(d, shift):
    here, there = wilcoxon_signed_rank(d), wilcoxon_signed_rank(d + shift)
    assert there.estimate == pytest.approx(here.estimate + shift)
    assert (there.lower, there.upper) == pytest.approx((here.lower + shift, here.upper + shift))
    assert here.lower <= here.estimate <= here.upper


@settings(max_examples=60, deadline=None)
@given(values)
def test_sign_change_mirrors_everything(d):
    here, there = wilcoxon_signed_rank(d), wilcoxon_signed_rank(-d)
    assert there.p_value == pytest.approx(here.p_value)
    assert (there.estimate, there.lower, there.upper) == pytest.approx((-here.estimate, -here.upper, -here.lower))


@settings(max_examples=60, deadline=None)
@given(values, values, st.integers(-20, 20))
def test_mann_whitney_is_symmetric_and_moves_with_a_shift(x, y, shift):
    here, swapped, moved = mann_whitney(x, y), mann_whitney(y, x), mann_whitney(x + shift, y)
    assert swapped.p_value == pytest.approx(here.p_value)
    assert swapped.estimate == pytest.approx(-here.estimate)
    assert moved.estimate == pytest.approx(here.estimate + shift)
    assert moved.lower == pytest.approx(here.lower + shift)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 10**6), min_size=6, max_size=12, unique=True), st.randoms(use_true_random=False))
def test_interval_leaves_zero_out_exactly_where_the_test_rejects(d, random):
    """Without ties and zeros, test and interval are the same statement (Walsh averages of odd sums: never 0)."""
    d = np.array([random.choice([-1, 1]) * (2 * v + 1) for v in d]) + 0.25
    found = wilcoxon_signed_rank(d)
    assert (found.p_value <= 0.05) == (found.lower > 0 or found.upper < 0)


def test_p_is_never_too_small_under_all_signs():
    """Over all signs of one sample, P(p <= a) <= a: the test is exact, with ties and zeros too."""
    size = np.array([0.0, 1, 1, 2, 3, 3, 5, 8])
    p = np.array([wilcoxon_signed_rank(size * signs).p_value for signs in itertools.product([-1, 1], repeat=8)])
    for level in np.unique(p):
        assert (p <= level + 1e-12).mean() <= level + 1e-12


def test_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(11)
    hits = 0
    for _ in range(600):
        found = wilcoxon_signed_rank(rng.normal(1.5, 1, 9))
        hits += found.lower <= 1.5 <= found.upper
    low, high = scipy_stats.binom.ppf([0.0005, 0.9995], 600, found.confidence) / 600
    assert low <= hits / 600 <= high
