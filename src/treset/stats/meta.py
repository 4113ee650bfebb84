"""Random-effects pooling of groups (diseases, centres)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

_ITERATIONS = 200
_PRECISION = 1e-10


@dataclass(frozen=True)
class Pooled:
    """A random-effects summary.

    Attributes
    ----------
    groups
        Groups pooled.
    estimate, se, lower, upper, p_value
        Mean of the distribution of true effects, its Hartung-Knapp-Sidik-Jonkman standard error, interval and test
        (t with groups - 1 degrees of freedom), in the unit of the effects; NaN with fewer than 2 groups.
    tau2
        Variance of the true effects between groups.
    q, q_p_value
        Cochran's Q and its p value (chi-squared with groups - 1 degrees of freedom).
    i2
        Percent of the variance of the estimates that is between groups (Higgins and Thompson; of ``tau2``).
    predicted
        95 % prediction interval (at ``confidence``) of a new group's true effect; NaN with fewer than 3 groups.
    method
        In words.
    converged
        Whether the estimation of ``tau2`` reached its end; where REML does not, DerSimonian-Laird stands in its place
        and ``method`` and ``note`` say so.
    """

    groups: int
    estimate: float
    se: float
    lower: float
    upper: float
    p_value: float
    tau2: float
    q: float
    q_p_value: float
    i2: float
    predicted: tuple[float, float]
    method: str
    converged: bool
    note: str = ""


def _dersimonian_laird(y: NDArray[np.float64], v: NDArray[np.float64]) -> tuple[float, float]:
    """Tau2 by moments, and Q."""
    w = 1 / v
    mean = float(w @ y / w.sum())
    q = float(w @ (y - mean) ** 2)
    scale = float(w.sum() - (w**2).sum() / w.sum())
    return max(0.0, (q - (y.size - 1)) / scale), q


def _reml(y: NDArray[np.float64], v: NDArray[np.float64], start: float) -> tuple[float, bool]:
    """Tau2 by Fisher scoring on the restricted likelihood; steps that leave [0, inf) end at 0."""
    tau2 = start
    for _ in range(_ITERATIONS):
        w = 1 / (v + tau2)
        total = w.sum()
        residual = y - w @ y / total
        trace = total - (w**2).sum() / total
        information = (w**2).sum() - 2 * (w**3).sum() / total + ((w**2).sum() / total) ** 2
        step = float(((w * residual) ** 2).sum() - trace) / float(information)
        new = max(0.0, tau2 + step)
        if abs(new - tau2) <= _PRECISION * max(1.0, new):
            return new, True
        tau2 = new
    return tau2, False


def random_effects(
    effects: ArrayLike, variances: ArrayLike, tau: Literal["REML", "DL"] = "REML", confidence: float = 0.95
) -> Pooled:
    """Pool effects of groups by random effects with the Hartung-Knapp-Sidik-Jonkman interval.

    Parameters
    ----------
    effects
        Shape (groups,), finite.
    variances
        Shape (groups,): sampling variance of each effect, above 0.
    tau
        Estimator of the variance between groups: restricted maximum likelihood or DerSimonian-Laird.
    confidence
        Level of the intervals.

    Returns
    -------
    The summary. With one group there is nothing to pool: estimate, no interval, and the note says so.

    Raises
    ------
    ValueError
        For no groups, values that are not finite, variances that are not above 0, unlike shapes.

    References
    ----------
    DerSimonian R, Laird N (1986), doi:10.1016/0197-2456(86)90046-2; Viechtbauer W (2005),
    doi:10.3102/10769986030003261; Hartung J, Knapp G (2001), doi:10.1002/sim.791; Sidik K, Jonkman JN (2002),
    doi:10.1002/sim.1262; Higgins JPT, Thompson SG (2002), doi:10.1002/sim.1186; prediction interval: Higgins JPT,
    Thompson SG, Spiegelhalter DJ (2009), doi:10.1111/j.1467-985X.2008.00552.x.
    """
    y, v = np.asarray(effects, np.float64), np.asarray(variances, np.float64)
    if y.ndim != 1 or y.shape != v.shape or y.size == 0:
        raise ValueError("effects and variances must be of one length, above 0")
    if not (np.isfinite(y).all() and np.isfinite(v).all() and (v > 0).all()):
        raise ValueError("effects must be finite and variances above 0")
    nan = math.nan
    if y.size == 1:
        return Pooled(1, float(y[0]), nan, nan, nan, nan, nan, nan, nan, nan, (nan, nan), "random effects", False,
                      "one group: nothing to pool")  # fmt: skip
    tau2, q = _dersimonian_laird(y, v)
    converged, name, note = True, "DerSimonian-Laird", ""
    if tau == "REML":
        found, converged = _reml(y, v, tau2)
        if converged:
            tau2, name = found, "REML"
        else:
            note = "REML did not converge: DerSimonian-Laird instead"
    k = y.size
    w = 1 / (v + tau2)
    mean = float(w @ y / w.sum())
    se = math.sqrt(float(w @ (y - mean) ** 2) / (k - 1) / float(w.sum()))
    t = float(stats.t.isf((1 - confidence) / 2, k - 1))
    p_value = float(2 * stats.t.sf(abs(mean) / se, k - 1)) if se > 0 else nan
    lower, upper = (mean - t * se, mean + t * se) if se > 0 else (nan, nan)
    fixed = 1 / v
    typical = (k - 1) * fixed.sum() / (fixed.sum() ** 2 - (fixed**2).sum())
    i2 = 100 * tau2 / (tau2 + float(typical))
    predicted = (nan, nan)
    if k >= 3:
        half = float(stats.t.isf((1 - confidence) / 2, k - 2)) * math.sqrt(tau2 + se**2)
        predicted = (mean - half, mean + half)
    method = f"random effects ({name}), Hartung-Knapp-Sidik-Jonkman"
    q_p_value = float(stats.chi2.sf(q, k - 1))
    return Pooled(k, mean, se, lower, upper, p_value, tau2, q, q_p_value, float(i2), predicted, method, converged, note)
