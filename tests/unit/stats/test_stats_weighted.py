"""Weights by precision: least squares against statsmodels, the trend against the truth, none where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from treset.stats import bh, moderated_t, precision_weights
from treset.stats.weighted import weighted_least_squares


def test_weighted_least_squares_of_statsmodels():
    import statsmodels.api as sm

    rng = np.random.default_rng(0)
    design = np.column_stack([np.ones(9), np.repeat([0, 1, 0], 3), rng.normal(size=9)])
    y, weights = rng.normal(size=(4, 9)), rng.uniform(0.2, 3, (4, 9))
    y[1, 2] = np.nan
    estimate, unscaled, variance, df, _ = weighted_least_squares(y, design, weights, 1)
    for i in range(4):
        kept = np.isfinite(y[i])
        fit = sm.WLS(y[i, kept], design[kept], weights=weights[i, kept]).fit()
        assert [estimate[i], variance[i], df[i]] == pytest.approx([fit.params[1], fit.scale, fit.df_resid])
        assert unscaled[i] * np.sqrt(variance[i]) == pytest.approx(fit.bse[1])


def test_equal_weights_are_no_weights():
    y = np.random.default_rng(1).normal(size=(30, 8))
    plain, weighted = moderated_t(y), moderated_t(y, weights=np.full(y.shape, 3.0))
    assert weighted.t == pytest.approx(plain.t) and weighted.p_value == pytest.approx(plain.p_value)
    with pytest.raises(ValueError, match="the weights have shape"):
        moderated_t(y, weights=np.ones((30, 7)))


def test_the_trend_is_found():
    """Variance s_i (0.04 + 4 / cells): the weights are its inverse, to the factor of the row."""
    rng = np.random.default_rng(2)
    cells = np.exp(rng.uniform(np.log(20), np.log(2000), (300, 10)))
    true = 0.04 + 4 / cells
    scale = np.exp(rng.normal(0, 0.5, (300, 1)))
    residuals = scale * np.sqrt(true) * rng.normal(size=true.shape)
    weights = precision_weights(residuals, 1 / cells, common=False)
    expected = (1 / true) / (1 / true).mean(axis=1, keepdims=True)
    assert np.nanmean(weights, axis=1) == pytest.approx(1)
    assert np.corrcoef(np.log(weights.ravel()), np.log(expected.ravel()))[0, 1] > 0.99
    assert np.abs(np.log(weights / expected)).max() < 0.7


def test_no_trend_no_weights():
    rng = np.random.default_rng(3)
    flat = 0
    for _ in range(60):
        cells = np.exp(rng.uniform(np.log(20), np.log(2000), (40, 8)))
        flat += np.ptp(precision_weights(rng.normal(size=(40, 8)), 1 / cells, common=False)) == 0
    # level 0.05, one-sided half of it: 52 or fewer of 60 has p < 0.01
    assert flat > 52
    few = precision_weights([[1.0, -1.0, np.nan]], [[1.0, 2.0, 3.0]], common=True)
    assert few[0, :2].tolist() == [1, 1] and np.isnan(few[0, 2])


def test_null_states_with_unequal_cells_keep_the_rate():
    """Any call in a null family is a false one: at most 5 % of families; 16 or more of 120 has p < 0.001."""
    rng = np.random.default_rng(4)
    wrong = 0
    for _ in range(120):
        cells = np.exp(rng.uniform(np.log(20), np.log(2000), (60, 8)))
        y = rng.normal(size=(60, 8)) * np.sqrt(0.01 + 2 / cells)
        weights = precision_weights(y - y.mean(axis=1, keepdims=True), 1 / cells, common=False)
        wrong += (bh(moderated_t(y, weights=weights).p_value) < 0.05).any()
    assert wrong < 16
