"""Analysis of covariance of two groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from treset.stats.estimate import Estimate, from_t, no_estimate

_METHOD = "ANCOVA with baseline"
#: Share of the spread of y under which residuals are rounding noise.
_NOISE = 1e-12


def ancova(y: ArrayLike, baseline: ArrayLike, treated: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Difference of two groups in ``y``, adjusted for the baseline, by ordinary least squares.

    Parameters
    ----------
    y
        Shape (patients,): value at the visit, or its change (the estimate is the same), on the scale of the analysis.
    baseline
        Shape (patients,): value at baseline on the same scale. Without spread it is left out and the note says so.
    treated
        Shape (patients,): bool.
    confidence
        Level of the interval.

    Returns
    -------
    Treated minus not treated, in the unit of ``y``, with the t interval of n - 3 degrees of freedom. NaN, and a note,
    with fewer than 2 patients in a group or no degree of freedom.

    Raises
    ------
    ValueError
        For values that are not finite or of unlike shapes.

    References
    ----------
    Vickers AJ, Altman DG (2001), doi:10.1136/bmj.323.7321.1123.
    """
    outcome, start = np.asarray(y, np.float64), np.asarray(baseline, np.float64)
    group = np.asarray(treated, np.bool_)
    if not (outcome.shape == start.shape == group.shape and outcome.ndim == 1):
        raise ValueError("y, baseline and treated must be of one length")
    if not (np.isfinite(outcome).all() and np.isfinite(start).all()):
        raise ValueError("values must be finite: leave missing ones out first and say so")
    n, n_treated = outcome.size, int(group.sum())
    if min(n_treated, n - n_treated) < 2 or n < 4:
        return no_estimate(n, _METHOD, f"groups of {n_treated} and {n - n_treated}: at least 2 and 2 are needed")
    columns, note = [np.ones(n), group.astype(np.float64)], ""
    centred = start - start.mean()
    if np.ptp(start) > _NOISE * max(1.0, float(np.abs(start).max())):
        columns.append(centred)
    else:
        note = "the baseline has no spread and is left out"
    design = np.column_stack(columns)
    beta, _, rank, _ = np.linalg.lstsq(design, outcome, rcond=None)
    if rank < design.shape[1]:
        return no_estimate(n, _METHOD, "the baseline tells the groups apart completely: no adjusted difference exists")
    residual = outcome - design @ beta
    df = n - design.shape[1]
    variance = float(residual @ residual) / df
    if variance <= (_NOISE * max(1.0, float(np.abs(outcome).max()))) ** 2:
        variance = 0.0
    se = float(np.sqrt(variance * np.linalg.inv(design.T @ design)[1, 1]))
    return from_t(n, float(beta[1]), se, df, confidence, _METHOD, note=note)


def linear_model(
    y: ArrayLike, design: ArrayLike, coefficient: int, confidence: float = 0.95, method: str = "linear model"
) -> Estimate:
    """One coefficient of a linear model by ordinary least squares.

    Parameters
    ----------
    y
        Shape (patients,), finite.
    design
        Shape (patients, coefficients), of full rank.
    coefficient
        The column of ``design`` that is asked for.
    confidence
        Level of the interval.
    method
        What to call it.

    Returns
    -------
    The coefficient with the t interval of n - coefficients degrees of freedom; NaN, and a note, without any.

    Raises
    ------
    ValueError
        For values that are not finite or shapes that do not fit.
    """
    outcome, x = np.asarray(y, np.float64), np.asarray(design, np.float64)
    if outcome.ndim != 1 or x.ndim != 2 or x.shape[0] != outcome.size:
        raise ValueError(f"the design has shape {x.shape}, y {outcome.shape}")
    if not (np.isfinite(outcome).all() and np.isfinite(x).all()):
        raise ValueError("values must be finite: leave missing ones out first and say so")
    df = x.shape[0] - x.shape[1]
    if df < 1:
        return no_estimate(outcome.size, method, f"{x.shape[1]} coefficients for {outcome.size} patients")
    beta, _, rank, _ = np.linalg.lstsq(x, outcome, rcond=None)
    if rank < x.shape[1]:
        return no_estimate(outcome.size, method, "the model's columns are not independent")
    residual = outcome - x @ beta
    variance = float(residual @ residual) / df
    if variance <= (_NOISE * max(1.0, float(np.abs(outcome).max()))) ** 2:
        variance = 0.0
    se = float(np.sqrt(variance * np.linalg.inv(x.T @ x)[coefficient, coefficient]))
    return from_t(outcome.size, float(beta[coefficient]), se, df, confidence, method)
