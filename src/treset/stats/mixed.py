"""Repeated measures of two arms: a mixed model, and the time-averaged change."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from treset.stats.estimate import Estimate, from_t, no_estimate

_METHOD = "mixed model for repeated measures (visit x arm + baseline, patient random, REML)"
#: Variance between patients over that within beyond which the fit is said not to converge.
_LARGEST_RATIO = 1e6


def repeated_measures(
    change: ArrayLike, visit: ArrayLike, patient: ArrayLike, baseline: ArrayLike, treated: ArrayLike,
    confidence: float = 0.95,
) -> dict[object, Estimate]:  # fmt: skip
    """Difference of the treated arm at each visit and over all visits, by a linear mixed model.

    Parameters
    ----------
    change, baseline
        Shape (rows,), finite: change from baseline and value at baseline, one row a patient and visit.
    visit, patient
        Shape (rows,): labels; a missing visit has no row.
    treated
        Shape (rows,): bool, the same in all rows of a patient.
    confidence
        Level of the intervals.

    Returns
    -------
    Visit label (in the order of first appearance) -> treated minus not treated, in the unit of the change; the key None
    holds the mean over the visits. Fixed effects: visit, visit x arm, baseline (centred); random: the patient's
    intercept (compound symmetry). Tests by t with patients - 3 degrees of freedom (between patients), since the normal
    approximation is too sure of itself in small trials. Where the fit does not converge every ``converged`` is False,
    no number is given, and the note says why: the caller states its fallback.

    Raises
    ------
    ValueError
        For values that are not finite or of unlike lengths.

    References
    ----------
    Mallinckrodt CH et al. (2008), doi:10.1177/009286150804200402; Schluchter MD, Elashoff JT (1990),
    doi:10.1080/00949659008811295.
    """
    y, start = np.asarray(change, np.float64), np.asarray(baseline, np.float64)
    who, when, arm = np.asarray(patient), np.asarray(visit), np.asarray(treated, np.bool_)
    if not (y.shape == start.shape == who.shape == when.shape == arm.shape and y.ndim == 1):
        raise ValueError("change, visit, patient, baseline and treated must be of one length")
    if not (np.isfinite(y).all() and np.isfinite(start).all()):
        raise ValueError("values must be finite: leave missing ones out first and say so")
    labels = list(dict.fromkeys(when.tolist()))
    n = np.unique(who).size
    problem = _cannot(who, when, arm, labels)
    if not problem:
        design = _design(when, labels, start, arm)
        if np.linalg.matrix_rank(design) < design.shape[1]:
            problem = "the model's columns are not independent (a baseline without spread?)"
    if problem:
        return dict.fromkeys([*labels, None], no_estimate(n, _METHOD, problem))
    beta, covariance, note, converged = _fit(y, design, who)
    if not converged:
        return dict.fromkeys([*labels, None], no_estimate(n, _METHOD, note))
    visits, found = len(labels), {}
    contrasts = {label: np.eye(visits)[i] for i, label in enumerate(labels)} | {None: np.full(visits, 1 / visits)}
    for label, weights in contrasts.items():
        c = np.concatenate([np.zeros(visits), weights, [0.0]])
        seen = np.unique(who[when == label]).size if label is not None else n
        estimate = from_t(seen, float(c @ beta), math.sqrt(float(c @ covariance @ c)), n - 3, confidence, _METHOD)
        found[label] = replace(estimate, note=note)
    return found


def _cannot(who: NDArray, when: NDArray, arm: NDArray[np.bool_], labels: list) -> str:
    for label in labels:
        sizes = [np.unique(who[(when == label) & (arm == side)]).size for side in (True, False)]
        if min(sizes) < 2:
            return f"at {label} the arms have {sizes[0]} and {sizes[1]} patients: at least 2 and 2 are needed"
    return "" if len(labels) > 1 else "repeated measures need at least 2 visits after the baseline"


def _design(
    when: NDArray, labels: list, start: NDArray[np.float64], arm: NDArray[np.bool_]
) -> NDArray[np.float64]:  # fmt: skip
    visits = np.column_stack([when == label for label in labels]).astype(np.float64)
    return np.column_stack([visits, visits * arm[:, None], start - start.mean()])


def _fit(
    y: NDArray[np.float64], design: NDArray[np.float64], who: NDArray
) -> tuple[NDArray[np.float64], NDArray[np.float64], str, bool]:
    """Coefficients, their covariance, what to say and whether the fit converged.

    The restricted likelihood is profiled down to one number, the ratio of the variances between and within patients,
    and that is searched from 0 on. statsmodels' MixedLM (0.15) is not used: where the variance between patients is 0
    it returns coefficients of 0 without a word.
    """
    _, place, sizes = np.unique(who, return_inverse=True, return_counts=True)
    free = y.size - design.shape[1]
    if free < 1:
        return np.zeros(0), np.zeros((0, 0)), "more coefficients than values", False

    def solve(ratio: float) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]:
        """Least squares after taking each patient's share of the random intercept out; -2 log restricted likelihood."""
        weight = 1 - 1 / np.sqrt(1 + sizes * ratio)
        x, z = _less_means(design, place, sizes, weight), _less_means(y[:, None], place, sizes, weight)[:, 0]
        gram = x.T @ x
        beta = np.linalg.solve(gram, x.T @ z)
        variance = float(((z - x @ beta) ** 2).sum()) / free
        if variance <= 0:
            return beta, gram, 0.0, math.inf
        value = free * math.log(variance) + np.log1p(sizes * ratio).sum() + np.linalg.slogdet(gram)[1]
        return beta, gram, variance, float(value)

    grid = np.concatenate([[0.0], np.geomspace(1e-4, _LARGEST_RATIO, 61)])
    values = [solve(float(ratio))[3] for ratio in grid]
    best = int(np.argmin(values))
    if best == grid.size - 1 or not math.isfinite(values[best]):
        return np.zeros(0), np.zeros((0, 0)), "the mixed model did not converge", False
    lower, upper = float(grid[max(best - 1, 0)]), float(grid[best + 1])
    search = minimize_scalar(
        lambda ratio: solve(ratio)[3], bounds=(lower, upper), method="bounded", options={"xatol": 1e-9 * (1 + upper)}
    )
    ratio = float(search.x) if search.fun < values[0] else 0.0
    beta, gram, variance, _ = solve(ratio)
    note = f"s.d. between patients {math.sqrt(ratio * variance):.3g}, within {math.sqrt(variance):.3g}"
    if ratio == 0:
        note += "; the variance between patients is at its limit 0"
    return beta, variance * np.linalg.inv(gram), note, bool(search.success)


def _less_means(
    values: NDArray[np.float64], place: NDArray[np.intp], sizes: NDArray[np.intp], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Rows minus ``weight`` times the mean of their patient."""
    sums = np.zeros((sizes.size, values.shape[1]))
    np.add.at(sums, place, values)
    return values - ((weight / sizes)[:, None] * sums)[place]


def time_averaged(days: ArrayLike, changes: ArrayLike) -> float:
    """Time-averaged change: area under the change by the trapezoid rule, divided by the time.

    Parameters
    ----------
    days
        Shape (visits,): days from the baseline, above 0, increasing.
    changes
        Shape (visits,): change from baseline; at day 0 it is 0 by definition.

    Returns
    -------
    In the unit of the change.

    Raises
    ------
    ValueError
        For no visits, days that do not increase from 0, or values that are not finite.

    References
    ----------
    Matthews JNS et al. (1990), doi:10.1136/bmj.300.6719.230.
    """
    t, y = np.asarray(days, np.float64), np.asarray(changes, np.float64)
    if t.size == 0 or t.shape != y.shape or not (np.isfinite(t).all() and np.isfinite(y).all()):
        raise ValueError("days and changes must be finite and of one length, at least 1")
    t, y = np.concatenate([[0.0], t]), np.concatenate([[0.0], y])
    if (np.diff(t) <= 0).any():
        raise ValueError("days must increase from above 0")
    return float(np.trapezoid(y, t) / t[-1])
