"""Weights by what a value rests on: few cells say less."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

Array = NDArray[np.float64]

#: Residuals needed to learn a trend from.
_LEAST = 20
#: Gain of log likelihood from which a trend is believed: half the 95 % point of chi-squared, 1 df.
_EVIDENCE = 1.9207


def precision_weights(residuals: ArrayLike, sampling: ArrayLike, *, common: bool) -> Array:
    """Weights of values whose variance is a biological part and a sampling part.

    Parameters
    ----------
    residuals
        Shape (tests, values): residuals of an unweighted fit; NaN: no value.
    sampling
        Shape (tests, values): what the sampling variance is proportional to, such as 1 / cells.
    common
        One biological variance for all tests (log shares: a count's own variance is the same law for all); else each
        test has its own scale (markers), and only the ratio of the two parts is common.

    Returns
    -------
    Weights, shape (tests, values), of mean 1 in each test; NaN where there is no value; all 1 where there are fewer
    than 20 residuals or no evidence of a trend. Variance of value j of test i = s_i (1 + k x_ij), with one k for all
    tests (and one s where ``common``), by maximum likelihood; k is 0 unless the likelihood ratio test rejects it at
    0.05. This is voom's trend of the variance in the form that counting gives it.

    References
    ----------
    Law CW et al. (2014), voom, Genome Biol 15:R29, doi:10.1186/gb-2014-15-2-r29.
    """
    r, x = np.asarray(residuals, dtype=np.float64), np.asarray(sampling, dtype=np.float64)
    present = np.isfinite(r) & np.isfinite(x)
    squares = np.where(present, r**2, 0.0)
    # a test without spread has no likelihood
    live = squares.sum(axis=1) > 1e-20
    flat = np.where(present, 1.0, np.nan)
    used = present & live[:, None]
    if used.sum() < _LEAST:
        return flat
    counts = used.sum(axis=1)

    def loss(log_k: float) -> float:
        v = 1 + np.exp(log_k) * np.where(used, x, 0.0)
        scaled = (np.where(used, squares, 0.0) / v).sum(axis=1)[live]
        own = counts[live].sum() * np.log(scaled.sum() / counts.sum()) if common else (
            counts[live] * np.log(scaled / counts[live])
        ).sum()  # fmt: skip
        return 0.5 * float(own + np.log(v).sum())

    typical = float(np.median(x[used]))
    if not typical > 0:
        return flat
    none = -np.log(typical) - 20.0
    found = minimize_scalar(loss, bounds=(-np.log(typical) - 7, -np.log(typical) + 7), method="bounded")
    if loss(none) - float(found.fun) < _EVIDENCE:
        return flat
    weights = np.where(present, 1 / (1 + np.exp(float(found.x)) * np.where(present, x, 0.0)), np.nan)
    return weights / _row_mean(weights)


def _row_mean(values: Array) -> Array:
    """Mean of each row over what is there, shape (rows, 1); NaN for an empty row."""
    there = np.isfinite(values)
    count = there.sum(axis=1, keepdims=True)
    total = np.where(there, values, 0.0).sum(axis=1, keepdims=True)
    return np.divide(total, count, where=count > 0, out=np.full(total.shape, np.nan))


def weighted_least_squares(y: Array, design: Array, weights: Array, coefficient: int) -> tuple[Array, ...]:
    """Coefficient, its unscaled standard error, residual variance, df and residuals of each row, over its values.

    Parameters
    ----------
    y, weights
        Shape (tests, samples); a value without a weight above 0 counts as missing.
    design
        Shape (samples, coefficients).
    coefficient
        The column that is asked for.
    """
    n_tests, p = y.shape[0], design.shape[1]
    estimate, unscaled, variance, df = (np.full(n_tests, np.nan) for _ in range(4))
    residuals = np.full(y.shape, np.nan)
    for row in range(n_tests):
        kept = np.isfinite(y[row]) & (np.nan_to_num(weights[row]) > 0)
        x = design[kept]
        if kept.sum() <= p or np.linalg.matrix_rank(x) < p:
            continue
        w = weights[row, kept]
        inverse = np.linalg.inv(x.T @ (w[:, None] * x))
        beta = inverse @ (x.T @ (w * y[row, kept]))
        rest = y[row, kept] - x @ beta
        estimate[row], unscaled[row] = beta[coefficient], np.sqrt(inverse[coefficient, coefficient])
        df[row] = kept.sum() - p
        variance[row] = (w * rest**2).sum() / df[row]
        residuals[row, kept] = rest
    return estimate, unscaled, variance, df, residuals
