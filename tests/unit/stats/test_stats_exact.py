"""Exact intervals and false discovery rate against published values and statsmodels' definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from treset.stats import bh, clopper_pearson, poisson_interval


@pytest.mark.parametrize(
    ("count", "lower", "upper"),
    # Garwood (1936), table of 95 % limits; the same in Pearson & Hartley, Biometrika Tables, table 40
    [(0, 0.0, 3.689), (1, 0.0253, 5.572), (5, 1.623, 11.668), (10, 4.795, 18.390), (50, 37.11, 65.92)],
)
def test_garwood(count, lower, upper):
    assert poisson_interval(count) == pytest.approx((lower, upper), abs=6e-3, rel=1e-4)


@given(st.integers(0, 400))
def test_poisson_limits_have_the_tails_they_promise(count):
    lower, upper = poisson_interval(count)
    assert scipy_stats.poisson.cdf(count, upper) == pytest.approx(0.025)
    if count:
        assert scipy_stats.poisson.sf(count - 1, lower) == pytest.approx(0.025)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_clopper_pearson_agrees_with_scipy(case):
    successes, trials = case
    expected = scipy_stats.binomtest(successes, trials).proportion_ci(method="exact")
    assert clopper_pearson(successes, trials) == pytest.approx((expected.low, expected.high))


def test_clopper_pearson_of_nothing_and_of_nonsense():
    assert math.isnan(clopper_pearson(0, 0).lower)
    # rule of three's exact form: 1 - 0.025^(1/n)
    assert clopper_pearson(0, 10).upper == pytest.approx(1 - 0.025 ** (1 / 10))
    with pytest.raises(ValueError, match="5 successes in 4 trials"):
        clopper_pearson(5, 4)
    with pytest.raises(ValueError, match="whole number"):
        poisson_interval(1.5)


def test_bh_of_the_original_paper():
    # Benjamini & Hochberg (1995), section 3.2: 15 p values, the first 4 are rejected at 0.05
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
         0.7590, 1.0]  # fmt: skip
    q = bh(p)
    assert (q < 0.05).sum() == 4
    assert q[:4] == pytest.approx([0.0015, 0.003, 0.0095, 0.035625])


def test_bh_leaves_out_what_was_not_tested():
    p = np.array([0.01, np.nan, 0.04, 0.03, np.nan])
    q = bh(p)
    assert np.isnan(q[[1, 4]]).all()
    assert q[[0, 2, 3]] == pytest.approx(scipy_stats.false_discovery_control([0.01, 0.04, 0.03]))
    assert bh([]).size == 0
    with pytest.raises(ValueError, match="outside"):
        bh([1.2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_bh_agrees_with_scipy_and_keeps_the_order(p):
    q = bh(p)
    assert q == pytest.approx(scipy_stats.false_discovery_control(p))
    order = np.argsort(p, kind="stable")
    assert (np.diff(q[order]) >= 0).all()
