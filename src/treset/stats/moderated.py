"""Paired t test, and t tests that share what they know about the variance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from treset.stats.weighted import weighted_least_squares

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PairedT:
    """A paired t test: ``estimate`` is the mean change, NaN where a number cannot be given (``note`` says why)."""

    n: int
    statistic: float
    df: float
    p_value: float
    estimate: float
    lower: float
    upper: float
    note: str = ""


@dataclass(frozen=True)
class ModeratedFit:
    """Moderated t tests, arrays of shape (tests,); NaN for a test that could not be made.

    Attributes
    ----------
    n
        Values used.
    estimate, lower, upper
        The coefficient and its limits.
    t, df, p_value
        Moderated statistic, its degrees of freedom (residual + prior) and the two-sided p value.
    variance, residual_df
        Residual variance of each test by itself.
    posterior_variance
        The same, squeezed toward the prior.
    prior_variance, prior_df
        The prior, one for all tests; ``prior_df`` is infinite when the tests' variances differ no more than by chance,
        0 when there are too few tests to learn from.
    """

    n: NDArray[np.int64]
    estimate: Array
    lower: Array
    upper: Array
    t: Array
    df: Array
    p_value: Array
    variance: Array
    residual_df: Array
    posterior_variance: Array
    prior_variance: float
    prior_df: float


def paired_t(differences: ArrayLike, confidence: float = 0.95) -> PairedT:
    """Two-sided paired t test of the mean change.

    Parameters
    ----------
    differences
        Shape (pairs,), finite.
    confidence
        Level of the interval.

    Returns
    -------
    The test. With fewer than 2 pairs, or when all changes are the same, there is no spread to test against: p and
    limits are NaN and the note says so.

    Raises
    ------
    ValueError
        For values that are not finite.

    References
    ----------
    Student (1908), Biometrika 6:1-25, doi:10.1093/biomet/6.1.1.
    """
    d = np.asarray(differences, dtype=np.float64).ravel()
    if not np.isfinite(d).all():
        raise ValueError("differences must be finite: leave missing values out first and say so")
    nan, n = math.nan, d.size
    if n < 2:
        return PairedT(n, nan, nan, nan, float(d[0]) if n else nan, nan, nan, "fewer than 2 pairs")
    mean, spread = float(d.mean()), float(d.std(ddof=1))
    if spread <= 1e-12 * np.abs(d).max():
        return PairedT(n, nan, n - 1, nan, mean, nan, nan, "all changes are the same: no spread to test against")
    error = spread / math.sqrt(n)
    half = stats.t.isf((1 - confidence) / 2, n - 1) * error
    t = mean / error
    return PairedT(n, t, n - 1, float(2 * stats.t.sf(abs(t), n - 1)), mean, float(mean - half), float(mean + half))


def trigamma_inverse(y: float) -> float:
    """Solve trigamma(x) = ``y`` for x > 0 by Newton's method on 1 / trigamma (Smyth 2004, appendix)."""
    if not y > 0:
        raise ValueError(f"trigamma takes values above 0 only, not {y}")
    if y > 1e7:
        return 1 / math.sqrt(y)
    if y < 1e-6:
        return 1 / y
    x = 0.5 + 1 / y
    for _ in range(50):
        tri = special.polygamma(1, x)
        step = tri * (1 - tri / y) / special.polygamma(2, x)
        x += step
        if -step / x < 1e-8:
            break
    return float(x)


def fit_f_dist(variances: ArrayLike, df: ArrayLike) -> tuple[float, float]:
    """Scale and second degrees of freedom of the F distribution that sample variances follow.

    Parameters
    ----------
    variances
        Shape (tests,): sample variances, >= 0. NaN are left out.
    df
        Their degrees of freedom, a number or shape (tests,). Tests with none are left out.

    Returns
    -------
    (prior variance, prior degrees of freedom), by moments of the log variances: infinite degrees of freedom when the
    log variances scatter no more than chance makes them (then the prior variance is the mean variance); (NaN, 0) when
    fewer than 3 variances are left to learn from.

    References
    ----------
    Smyth GK (2004), Stat Appl Genet Mol Biol 3:3, section 6.2, doi:10.2202/1544-6115.1027.
    """
    s2 = np.asarray(variances, dtype=np.float64)
    d = np.broadcast_to(np.asarray(df, dtype=np.float64), s2.shape)
    used = np.isfinite(s2) & np.isfinite(d) & (d > 0)
    s2, d = s2[used], d[used]
    if s2.size < 3:
        return math.nan, 0.0
    middle = float(np.median(s2))
    # the log of a variance of exactly 0 does not exist: lift it to a hair above
    s2 = np.maximum(s2, 1e-5 * (middle if middle > 0 else 1.0))
    e = np.log(s2) - special.digamma(d / 2) + np.log(d / 2)
    excess = float(e.var(ddof=1) - special.polygamma(1, d / 2).mean())
    if excess <= 0:
        return float(s2.mean()), math.inf
    prior_df = 2 * trigamma_inverse(excess)
    return float(np.exp(e.mean() + special.digamma(prior_df / 2) - np.log(prior_df / 2))), prior_df


def squeeze_variances(variances: ArrayLike, df: ArrayLike, prior_variance: float, prior_df: float) -> Array:
    """Posterior variances: mean of each and of the prior, weighted by degrees of freedom (Smyth 2004, section 3)."""
    s2 = np.asarray(variances, dtype=np.float64)
    d = np.broadcast_to(np.asarray(df, dtype=np.float64), s2.shape)
    if prior_df == 0:
        return np.where(d > 0, s2, np.nan)
    if math.isinf(prior_df):
        return np.full(s2.shape, prior_variance)
    own = np.where(d > 0, d * s2, 0.0)
    return (own + prior_df * prior_variance) / (d + prior_df)


def _least_squares(y: Array, design: Array, coefficient: int) -> tuple[Array, Array, Array, Array]:
    """Coefficient, its unscaled standard error, residual variance and df of each row, over the values it has."""
    n_tests = y.shape[0]
    estimate, unscaled, variance, df = (np.full(n_tests, np.nan) for _ in range(4))
    present = np.isfinite(y)
    patterns, which = np.unique(present, axis=0, return_inverse=True)
    for index, kept in enumerate(patterns):
        x, rows = design[kept], np.flatnonzero(which.ravel() == index)
        if np.linalg.matrix_rank(x) < design.shape[1] or kept.sum() <= design.shape[1]:
            continue
        inverse = np.linalg.inv(x.T @ x)
        values = y[np.ix_(rows, np.flatnonzero(kept))]
        beta = values @ x @ inverse
        freedom = kept.sum() - design.shape[1]
        estimate[rows], unscaled[rows] = beta[:, coefficient], math.sqrt(inverse[coefficient, coefficient])
        variance[rows], df[rows] = ((values - beta @ x.T) ** 2).sum(axis=1) / freedom, freedom
    return estimate, unscaled, variance, df


def moderated_t(
    values: ArrayLike, design: ArrayLike | None = None, coefficient: int = -1, confidence: float = 0.95,
    weights: ArrayLike | None = None,
) -> ModeratedFit:  # fmt: skip
    """Moderated t tests of one coefficient of a linear model, many tests at once (limma's eBayes).

    Parameters
    ----------
    values
        Shape (tests, samples); NaN: missing, the test goes on without it. For paired data give the differences, one
        column a patient, and no design: the same statistic as a block for each patient.
    design
        Shape (samples, coefficients), of full rank. None: one mean, tested against 0.
    coefficient
        The column of ``design`` that is tested.
    confidence
        Level of the limits.
    weights
        Shape of ``values``, > 0 (inverse variances but for a factor a test); None: all the same. A value without a
        weight is missing.

    Returns
    -------
    The tests. A test without residual degrees of freedom is NaN.

    Raises
    ------
    ValueError
        When the shapes do not fit.

    References
    ----------
    Smyth GK (2004), Stat Appl Genet Mol Biol 3:3, doi:10.2202/1544-6115.1027.
    """
    y = np.atleast_2d(np.asarray(values, dtype=np.float64))
    x = np.ones((y.shape[1], 1)) if design is None else np.asarray(design, dtype=np.float64)
    if x.ndim != 2 or x.shape[0] != y.shape[1]:
        raise ValueError(f"the design has shape {x.shape}, the values have {y.shape[1]} samples")
    if weights is None:
        estimate, unscaled, variance, df = _least_squares(y, x, coefficient)
    else:
        w = np.atleast_2d(np.asarray(weights, dtype=np.float64))
        if w.shape != y.shape:
            raise ValueError(f"the weights have shape {w.shape}, the values {y.shape}")
        estimate, unscaled, variance, df, _ = weighted_least_squares(y, x, w, coefficient)
        y = np.where(np.nan_to_num(w) > 0, y, np.nan)
    prior_variance, prior_df = fit_f_dist(variance, df)
    posterior = squeeze_variances(variance, df, prior_variance, prior_df)
    # never more degrees of freedom than all tests together have
    total_df = np.minimum(df + prior_df, np.nansum(df))
    error = np.sqrt(posterior) * unscaled
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(error > 0, estimate / error, np.nan)
    half = stats.t.isf((1 - confidence) / 2, total_df) * error
    p_value = 2 * stats.t.sf(np.abs(t), total_df)
    n = np.isfinite(y).sum(axis=1)
    return ModeratedFit(
        n, estimate, estimate - half, estimate + half, t, total_df, p_value, variance, df, posterior,
        prior_variance, prior_df,
    )  # fmt: skip
