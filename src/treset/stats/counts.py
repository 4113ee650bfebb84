"""Negative-binomial tests of counts with moderated dispersion, by edgeR's quasi-likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from treset.errors import TresetError

Array = NDArray[np.float64]

#: Fewest rows that can inform each other's dispersion.
LEAST_ROWS = 3


@dataclass(frozen=True)
class CountFit:
    """Quasi-likelihood F tests of counts, arrays of shape (tests,); NaN for a test that did not converge.

    Attributes
    ----------
    estimate, lower, upper
        log2 ratio of the shares, and its Wald limits (t with ``df`` degrees of freedom). The test is by likelihood:
        near the level test and limits may differ.
    p_value
        Of the F test.
    df
        Residual and prior degrees of freedom together.
    dispersion
        Common negative-binomial dispersion (squared biological coefficient of variation), one for all tests.
    quasi_dispersion
        Moderated quasi-likelihood dispersion of each test.
    prior_df
        Prior degrees of freedom; infinite when the tests differ no more than by chance.
    converged
        Whether each test has a result.
    """

    estimate: Array
    lower: Array
    upper: Array
    p_value: Array
    df: Array
    dispersion: float
    quasi_dispersion: Array
    prior_df: float
    converged: NDArray[np.bool_]


def negative_binomial_f(
    counts: ArrayLike, totals: ArrayLike, design: ArrayLike, coefficient: int = -1, confidence: float = 0.95
) -> CountFit:
    """Test one coefficient of a log-linear negative-binomial model, many counts at once.

    Parameters
    ----------
    counts
        Shape (tests, samples): cells of each population; whole numbers >= 0.
    totals
        Shape (samples,): all cells of each sample, > 0; their log is the offset. They are taken as they are: no factors
        for composition (TMM), which with some ten populations would rest on the changed ones.
    design
        Shape (samples, coefficients), of full rank, with fewer coefficients than samples.
    coefficient
        The column of ``design`` that is tested.
    confidence
        Level of the limits.

    Returns
    -------
    The tests: edgeR's ``estimateDisp(trend.method = "none")``, ``glmQLFit(abundance.trend = FALSE, legacy = TRUE)`` and
    ``glmQLFTest``, computed by the package pyedger (LGPL), which is checked against edgeR 4.10.

    Raises
    ------
    TresetError
        Where pyedger is not installed.
    ValueError
        For shapes that do not fit, counts that are none, or fewer than 3 tests.

    References
    ----------
    Robinson MD, McCarthy DJ, Smyth GK (2010), doi:10.1093/bioinformatics/btp616; McCarthy DJ, Chen Y, Smyth GK (2012),
    doi:10.1093/nar/gks042; Lund SP et al. (2012), doi:10.1515/1544-6115.1826; Lun ATL, Chen Y, Smyth GK (2016),
    doi:10.1007/978-1-4939-3578-9_19.
    """
    y, n = np.asarray(counts, dtype=np.float64), np.asarray(totals, dtype=np.float64)
    x = np.asarray(design, dtype=np.float64)
    if y.ndim != 2 or n.shape != y.shape[1:] or x.shape[:1] != n.shape:
        raise ValueError(f"counts {y.shape}, totals {n.shape} and design {x.shape} do not fit")
    if not (np.isfinite(y).all() and (y >= 0).all() and np.isfinite(n).all() and (n > 0).all()):
        raise ValueError("counts must be finite and 0 or more, totals above 0")
    if len(y) < LEAST_ROWS:
        raise ValueError(f"{len(y)} tests: at least {LEAST_ROWS} are needed to moderate the dispersion")
    if x.shape[1] >= x.shape[0] or np.linalg.matrix_rank(x) < x.shape[1]:
        raise ValueError("the design must be of full rank, with fewer coefficients than samples")
    edger = _edger()
    coefficient %= x.shape[1]
    # pyedger multiplies infinite start values of groups without counts by 0 on the way
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        dispersed = edger.estimateDisp(edger.DGEList(counts=y, lib_size=n), design=x, trend_method="none")
        fit = edger.glmQLFit(dispersed, x, abundance_trend=False, legacy=True)
        found = edger.glmQLFTest(fit, coef=coefficient).table
    p_value = found["PValue"].to_numpy(dtype=np.float64)
    estimate = found["logFC"].to_numpy(dtype=np.float64)
    common = float(np.atleast_1d(dispersed.common_dispersion)[0])
    quasi = np.broadcast_to(np.asarray(fit.s2_post, dtype=np.float64), p_value.shape)
    residual_df = np.asarray(fit.df_residual_zeros, dtype=np.float64)
    prior_df = float(np.max(fit.df_prior))
    # as glmQLFTest has it: never more degrees of freedom than all tests together have
    df = np.minimum(residual_df + prior_df, float(np.sum(fit.df_residual)))
    fitted = np.asarray(fit.fitted_values, dtype=np.float64)
    # nor, as there, surer than counting alone (Poisson) allows
    error = np.maximum(
        np.sqrt(quasi) * _standard_errors(fitted, common, x, coefficient), _standard_errors(fitted, 0.0, x, coefficient)
    )
    half = stats.t.isf((1 - confidence) / 2, df) * error / np.log(2)
    made = np.isfinite(p_value) & np.isfinite(half) & (residual_df > 0)
    values = (np.where(made, v, np.nan) for v in (estimate, estimate - half, estimate + half, p_value))
    return CountFit(*values, df, common, np.array(quasi), prior_df, made)


def _standard_errors(fitted: Array, dispersion: float, design: Array, coefficient: int) -> Array:
    """Standard error of the coefficient (natural log) at quasi-likelihood dispersion 1; NaN without information."""
    errors = np.full(len(fitted), np.nan)
    for row, mean in enumerate(fitted):
        weight = mean / (1 + dispersion * mean)
        information = design.T @ (weight[:, None] * design)
        if np.linalg.cond(information) < 1e12:
            errors[row] = np.sqrt(np.linalg.inv(information)[coefficient, coefficient])
    return errors


def _edger() -> ModuleType:
    """Import pyedger, which only those who ask for this test need."""
    try:
        import pyedger
    except ImportError as missing:
        raise TresetError(
            "monitors.discovery.abundance is negative_binomial, which needs the package pyedger: "
            "install treset[edger], or set abundance: moderated_t"
        ) from missing
    return pyedger
