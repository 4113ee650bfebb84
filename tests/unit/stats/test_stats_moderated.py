"""Moderated t against limma's own reference output, and against the plain t test where they must agree."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from treset.stats import fit_f_dist, moderated_t, paired_t, squeeze_variances
from treset.stats.moderated import trigamma_inverse

# R: set.seed(123); rnorm(45)
NORMALS = [
    -0.56047565, -0.23017749, 1.55870831, 0.07050839, 0.12928774, 1.71506499, 0.46091621, -1.26506123, -0.68685285,
    -0.44566197, 1.2240818, 0.35981383, 0.40077145, 0.11068272, -0.55584113, 1.78691314, 0.49785048, -1.96661716,
    0.7013559, -0.47279141, -1.06782371, -0.21797491, -1.02600445, -0.72889123, -0.62503927, -1.68669331, 0.83778704,
    0.15337312, -1.13813694, 1.25381492, 0.42646422, -0.29507148, 0.89512566, 0.87813349, 0.82158108, 0.68864025,
    0.55391765, -0.06191171, -0.30596266, -0.380471, -0.69470698, -0.20791728, -1.26539635, 2.16895597, 1.207962,
]  # fmt: skip


@pytest.fixture
def limma():
    """Data of limma's regression test "Similar to Mette Langaas": 5 genes, 9 arrays, 3 groups, two values missing."""
    group = np.repeat([0, 1, 2], 3)
    y = np.reshape(NORMALS, (5, 9), order="F") + np.array([0, 2, -2])[group]
    y[4, :2] = np.nan
    # columns mu+alpha, and what has to be added for mu and mu+beta: column 0 is the contrast mu+alpha of limma's test
    design = np.column_stack([np.ones(9), group == 0, group == 2]).astype(float)
    return y, design


def test_ebayes_of_limma(limma):
    """Values from tests/limma-Tests.Rout.save of limma 3.36 (R 3.5.0), contrast mu+alpha."""
    y, design = limma
    fit = moderated_t(y, design, coefficient=0)
    assert fit.estimate == pytest.approx([1.677465, 2.372554, 1.053584, 1.611443, 2.051995], abs=1e-6)
    assert np.sqrt(fit.variance) == pytest.approx([1.3425032, 0.4647155, 1.1993444, 0.9428569, 0.9421509], abs=1e-6)
    assert fit.residual_df.tolist() == [6, 6, 6, 6, 4]
    assert fit.n.tolist() == [9, 9, 9, 9, 7]
    assert fit.prior_df == pytest.approx(9.306153, abs=1e-4)
    assert fit.prior_variance == pytest.approx(0.923179, abs=1e-6)
    assert fit.posterior_variance == pytest.approx([1.2677996, 0.6459499, 1.1251558, 0.9097727, 0.9124980], abs=1e-6)
    assert fit.df == pytest.approx([15.30615] * 4 + [13.30615], abs=1e-4)
    assert fit.t[:4] == pytest.approx([2.580411, 5.113018, 1.720376, 2.926234], abs=1e-5)
    assert fit.p_value[:4] == pytest.approx([0.0206493481, 0.0001195844, 0.1055117477, 0.0102514264], rel=1e-4)
    # limma's contrasts.fit takes row 5's standard error for as if nothing were missing (its manual says so);
    # the exact one is that of three values in the group
    assert fit.t[4] == pytest.approx(2.051995 / math.sqrt(0.9124980 / 3), abs=1e-5)


def test_trigamma_inverse_of_limma():
    # tests/limma-Tests.Rout.save: trigammaInverse(c(1e-6, NA, 5, 1e6))
    assert [trigamma_inverse(y) for y in (1e-6, 5, 1e6)] == pytest.approx([1e6, 0.4961687, 0.001000001], rel=1e-6)
    with pytest.raises(ValueError, match="above 0"):
        trigamma_inverse(0)


def test_limits_belong_to_the_test(limma):
    y, design = limma
    fit = moderated_t(y, design, coefficient=0)
    excludes = (fit.lower > 0) | (fit.upper < 0)
    assert (excludes == (fit.p_value < 0.05)).all()


def test_prior_is_found_again():
    """Variances drawn from the model give back its parameters (Smyth 2004, section 3)."""
    rng = np.random.default_rng(4)
    variance = 0.7 * 8 / rng.chisquare(8, 20_000)
    s2 = variance * rng.chisquare(5, 20_000) / 5
    prior_variance, prior_df = fit_f_dist(s2, 5)
    assert prior_variance == pytest.approx(0.7, rel=0.03)
    assert prior_df == pytest.approx(8, rel=0.1)


def test_equal_variances_are_pooled():
    prior_variance, prior_df = fit_f_dist([1.0, 1.0, 1.1, 0.9], 4)
    assert math.isinf(prior_df) and prior_variance == pytest.approx(1.0)
    assert squeeze_variances([1.0, 2.0], 4, 1.5, math.inf) == pytest.approx([1.5, 1.5])
    # by hand: (4 x 2 + 6 x 1) / 10
    assert squeeze_variances([2.0], 4, 1.0, 6) == pytest.approx([1.4])


def test_two_tests_are_too_few_to_learn_from():
    d = np.random.default_rng(1).normal(0.4, 1, (2, 7))
    fit = moderated_t(d)
    assert fit.prior_df == 0
    assert fit.p_value == pytest.approx([scipy_stats.ttest_1samp(row, 0).pvalue for row in d])


def test_differences_are_the_block_design():
    """A block for each patient (limma's ~ patient + condition) is the same as the test of differences."""
    rng = np.random.default_rng(2)
    before, after = rng.normal(size=(2, 30, 6)) * rng.gamma(2, 1, (30, 1))
    blocks = np.column_stack([np.tile(np.eye(6), (2, 1)), np.repeat([0.0, 1.0], 6)])
    block = moderated_t(np.hstack([before, after]), blocks)
    paired = moderated_t(after - before)
    assert block.t == pytest.approx(paired.t)
    assert block.p_value == pytest.approx(paired.p_value)
    assert block.lower == pytest.approx(paired.lower)


def test_missing_values_and_tests_without_freedom():
    y = np.random.default_rng(3).normal(size=(6, 5))
    y[0, 1:] = np.nan
    y[1, :2] = np.nan
    fit = moderated_t(y)
    assert np.isnan([fit.p_value[0], fit.estimate[0]]).all()
    assert fit.residual_df[1] == 2 and np.isfinite(fit.p_value[1:]).all()
    with pytest.raises(ValueError, match="5 samples"):
        moderated_t(y, np.ones((4, 1)))


def test_null_p_values_are_uniform():
    rng = np.random.default_rng(8)
    spread = np.sqrt(6 / rng.chisquare(6, (4000, 1)))
    p = moderated_t(rng.normal(size=(4000, 5)) * spread).p_value
    assert scipy_stats.kstest(p, "uniform").pvalue > 0.001


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-50, 50), min_size=3, max_size=12).filter(lambda v: np.std(v) > 1e-3))
def test_paired_t_agrees_with_scipy(d):
    found, expected = paired_t(d), scipy_stats.ttest_1samp(d, 0)
    limits = expected.confidence_interval(0.95)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.lower, found.upper) == pytest.approx((limits.low, limits.high))


def test_paired_t_without_spread_gives_no_p_value():
    assert math.isnan(paired_t([1.0, 1.0, 1.0]).p_value)
    assert "no spread" in paired_t([1.0, 1.0, 1.0]).note
    assert "fewer than 2" in paired_t([1.0]).note
