"""Clinical outcomes of two arms: counts, times to an event, and the association of two measures."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.optimize import brentq

from treset.stats.estimate import Estimate, from_t, no_estimate

_COUNTS = "negative binomial, dispersion by moments"
#: Dispersion beyond which no model is said to fit.
_LARGEST_DISPERSION = 1e6
#: Distance from the estimate beyond which an interval is said to have no end.
_LARGEST_LOG_RATIO = 8.0
_HAZARD = "log-rank, Cox proportional hazards"


def rate_ratio(counts: ArrayLike, exposure: ArrayLike, treated: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Log ratio of the event rates of two arms by negative-binomial regression.

    Parameters
    ----------
    counts
        Shape (patients,): whole numbers, 0 or more.
    exposure
        Shape (patients,): time under observation, above 0.
    treated
        Shape (patients,): bool.
    confidence
        Level of the interval.

    Returns
    -------
    Natural log of treated / not treated; test and interval by the score test against t with patients - 2 degrees of
    freedom (``se`` is Wald's). Counts that vary no more
    than Poisson counts have no negative-binomial dispersion: a Poisson model then, and the method says so. An arm
    without any event has no ratio: NaN and a note.

    Raises
    ------
    ValueError
        For counts that are negative or not whole, exposures not above 0, unlike lengths.

    References
    ----------
    Breslow NE (1984), doi:10.2307/2347661; Hilbe JM (2011), Negative Binomial Regression,
    doi:10.1017/CBO9780511973420; score tests: Rao CR (1948), doi:10.1017/S0305004100023987; for lesion counts:
    Sormani MP et al. (1999), doi:10.1016/S0022-510X(99)00015-5.
    """
    y, time = np.asarray(counts, np.float64), np.asarray(exposure, np.float64)
    arm = np.asarray(treated, np.bool_)
    if not (y.shape == time.shape == arm.shape and y.ndim == 1):
        raise ValueError("counts, exposure and treated must be of one length")
    if not (np.isfinite(y).all() and (y >= 0).all() and (y == np.floor(y)).all()):
        raise ValueError("counts must be whole numbers, 0 or more")
    if not (np.isfinite(time).all() and (time > 0).all()):
        raise ValueError("exposures must be above 0")
    n = y.size
    if min(int(arm.sum()), int((~arm).sum())) < 2:
        return no_estimate(n, _COUNTS, "at least 2 patients in each arm are needed")
    if y[arm].sum() == 0 or y[~arm].sum() == 0:
        return no_estimate(n, _COUNTS, "an arm has no event: no ratio of rates exists")
    fitted = np.where(arm, y[arm].sum() / time[arm].sum(), y[~arm].sum() / time[~arm].sum()) * time
    pearson = float(((y - fitted) ** 2 / fitted).sum()) / (n - 2)
    if pearson > 1:
        return _negative_binomial(y, time, arm, confidence)
    rate = math.log(y[arm].sum() / time[arm].sum()) - math.log(y[~arm].sum() / time[~arm].sum())
    se = math.sqrt(1 / y[arm].sum() + 1 / y[~arm].sum())
    note = f"counts vary no more than Poisson counts (Pearson {pearson:.2g})"
    plain = from_t(n, rate, se, n - 2, confidence, "Poisson rates (no overdispersion)", note=note)
    return _by_score(plain, y, time, arm, confidence)


def _negative_binomial(
    y: NDArray[np.float64], time: NDArray[np.float64], arm: NDArray[np.bool_], confidence: float
) -> Estimate:
    """Dispersion by moments (Pearson's statistic equals its degrees of freedom), rates by likelihood given it."""
    df = y.size - 2

    def rates(dispersion: float) -> NDArray[np.float64]:
        """Expected count of each patient."""
        expected = np.empty_like(y)
        for side in (arm, ~arm):
            events, observed = y[side], time[side]

            def score(rate: float, events: NDArray = events, observed: NDArray = observed) -> float:
                mean = rate * observed
                return float(((events - mean) / (1 + dispersion * mean)).sum())

            each = events / observed
            most = float(each.max())
            least = most if np.ptp(each) == 0 else float(each.min())
            expected[side] = observed * (most if least == most else brentq(score, least, most, xtol=1e-14, rtol=1e-13))
        return expected

    def excess(dispersion: float) -> float:
        mean = rates(dispersion)
        return float(((y - mean) ** 2 / (mean + dispersion * mean**2)).sum()) - df

    if excess(_LARGEST_DISPERSION) > 0:
        return no_estimate(y.size, _COUNTS, f"the dispersion is beyond {_LARGEST_DISPERSION:g}: no model fits")
    dispersion = float(brentq(excess, 0.0, _LARGEST_DISPERSION, xtol=1e-12))
    mean = rates(dispersion)
    weight = mean / (1 + dispersion * mean)
    ratio = math.log(mean[arm][0] / time[arm][0]) - math.log(mean[~arm][0] / time[~arm][0])
    se = math.sqrt(1 / float(weight[arm].sum()) + 1 / float(weight[~arm].sum()))
    plain = from_t(y.size, ratio, se, df, confidence, _COUNTS, note=f"dispersion {dispersion:.2g}")
    return _by_score(plain, y, time, arm, confidence)


def _score(y: NDArray[np.float64], time: NDArray[np.float64], arm: NDArray[np.bool_], ratio: float) -> float:
    """Score statistic of a log ratio of rates; its own common rate and dispersion (by moments) under that ratio."""
    exposed = time * np.where(arm, math.exp(ratio), 1.0)

    def mean(dispersion: float) -> NDArray[np.float64]:
        each = y / exposed
        return exposed * float(
            brentq(
                lambda rate: float(((y - rate * exposed) / (1 + dispersion * rate * exposed)).sum()),
                float(each.min()), float(each.max()), xtol=1e-14, rtol=1e-12,
            )
        )  # fmt: skip

    def excess(dispersion: float) -> float:
        m = mean(dispersion)
        return float(((y - m) ** 2 / (m + dispersion * m**2)).sum()) - (y.size - 1)

    dispersion = 0.0
    if excess(0.0) > 0:
        dispersion = float(brentq(excess, 0.0, _LARGEST_DISPERSION, xtol=1e-10))
    m = mean(dispersion)
    weight = m / (1 + dispersion * m)
    treated, other = float(weight[arm].sum()), float(weight[~arm].sum())
    return float(((y - m) / (1 + dispersion * m))[arm].sum()) / math.sqrt(treated * other / (treated + other))


def _by_score(
    plain: Estimate, y: NDArray[np.float64], time: NDArray[np.float64], arm: NDArray[np.bool_], confidence: float
) -> Estimate:
    """Test and interval by the score test, which Wald's on the log ratio is not: that rejects 7 % of null trials."""
    if math.isnan(plain.lower) or np.ptp(y / time) == 0:
        return plain
    quantile = float(stats.t.isf((1 - confidence) / 2, plain.df))
    p_value = float(2 * stats.t.sf(abs(_score(y, time, arm, 0.0)), plain.df))
    limits = []
    for side in (-1.0, 1.0):
        # the score falls from + to - as the ratio asked about grows
        far = plain.estimate + side * plain.se
        while -side * _score(y, time, arm, far) <= quantile:
            far += side * plain.se
            if abs(far - plain.estimate) > _LARGEST_LOG_RATIO:
                # one or two counts that outweigh all others keep the score below its quantile for any ratio
                return no_estimate(plain.n, plain.method, "the interval of the ratio of rates has no end")
        limits.append(
            float(brentq(lambda r, s=side: _score(y, time, arm, r) + s * quantile, plain.estimate, far, xtol=1e-9))
        )
    return replace(plain, lower=limits[0], upper=limits[1], p_value=p_value)


def hazard_ratio(
    days: ArrayLike, event: ArrayLike, treated: ArrayLike, confidence: float = 0.95
) -> Estimate:  # fmt: skip
    """Compare two arms' times to an event: p by the log-rank test, log hazard ratio with interval by Cox regression.

    Parameters
    ----------
    days
        Shape (patients,): time to the event or to the end of observation, above 0.
    event
        Shape (patients,): bool; False: censored.
    treated
        Shape (patients,): bool.
    confidence
        Level of the interval (Wald, normal).

    Returns
    -------
    Natural log of the hazard of treated / not treated. Where an arm has no event no ratio exists; the log-rank p value
    still does.

    Raises
    ------
    ValueError
        For times that are not above 0 or unlike lengths.

    References
    ----------
    Mantel N (1966), Cancer Chemother Rep 50:163-170; Cox DR (1972), doi:10.1111/j.2517-6161.1972.tb00899.x.
    """
    t, seen, arm = np.asarray(days, np.float64), np.asarray(event, np.bool_), np.asarray(treated, np.bool_)
    if not (t.shape == seen.shape == arm.shape and t.ndim == 1):
        raise ValueError("days, event and treated must be of one length")
    if not (np.isfinite(t).all() and (t > 0).all()):
        raise ValueError("times must be finite and above 0")
    n, told = t.size, f"{int(seen[arm].sum())} and {int(seen[~arm].sum())} events"
    if min(int(arm.sum()), int((~arm).sum())) < 2:
        return no_estimate(n, _HAZARD, "at least 2 patients in each arm are needed")
    if not seen.any():
        return no_estimate(n, _HAZARD, "no event in either arm")
    p_value = logrank(t, seen, arm)
    if not (seen[arm].any() and seen[~arm].any()):
        nan = math.nan
        note = f"{told}: an arm has no event, no hazard ratio exists"
        return Estimate(n, nan, nan, nan, p_value, nan, math.inf, _HAZARD, True, note)
    found = cox(t, seen, arm.astype(np.float64), confidence)
    return Estimate(n, found.estimate, found.lower, found.upper, p_value, found.se, math.inf, _HAZARD,
                    found.converged, f"{told}{'; ' + found.note if found.note else ''}")  # fmt: skip


def logrank(days: NDArray[np.float64], event: NDArray[np.bool_], treated: NDArray[np.bool_]) -> float:
    """Two-sided p value of the log-rank test of two groups (chi-squared, 1 degree of freedom)."""
    observed = expected = variance = 0.0
    for time in np.unique(days[event]):
        at_risk, now = days >= time, (days == time) & event
        n, n_treated, d = int(at_risk.sum()), int((at_risk & treated).sum()), int(now.sum())
        observed += int((now & treated).sum())
        expected += d * n_treated / n
        if n > 1:
            variance += d * (n_treated / n) * (1 - n_treated / n) * (n - d) / (n - 1)
    return float(stats.chi2.sf((observed - expected) ** 2 / variance, 1)) if variance > 0 else 1.0


def cox(
    days: NDArray[np.float64], event: NDArray[np.bool_], covariate: NDArray[np.float64], confidence: float = 0.95
) -> Estimate:
    """Log hazard ratio for one unit of a covariate by Cox regression (Efron ties), with its Wald interval."""
    from statsmodels.duration.hazard_regression import PHReg

    method = "Cox proportional hazards"
    if np.ptp(covariate) == 0:
        return no_estimate(days.size, method, "the covariate has no spread")
    fitted = PHReg(days, covariate[:, None], status=event.astype(int), ties="efron").fit(disp=0)
    estimate, se = float(fitted.params[0]), float(fitted.bse[0])
    gradient = float(np.abs(fitted.model.score(fitted.params)).max())
    # a likelihood that rises for ever (perfect separation) ends at an absurd standard error
    if not (math.isfinite(estimate) and math.isfinite(se)) or se > 100 or gradient > 1e-3 * days.size:
        return no_estimate(days.size, method, "the Cox model did not converge")
    return from_t(days.size, estimate, se, math.inf, confidence, method)


@dataclass(frozen=True)
class Median:
    """Kaplan-Meier median of one group; ``time`` inf: not reached."""

    time: float
    n: int
    events: int


def km_median(days: ArrayLike, event: ArrayLike) -> Median:
    """Kaplan-Meier median time: the first time at which half or less are without the event.

    Parameters
    ----------
    days, event
        Shape (patients,): time, and whether it ended in the event.

    References
    ----------
    Kaplan EL, Meier P (1958), doi:10.1080/01621459.1958.10501452.
    """
    t, seen = np.asarray(days, np.float64), np.asarray(event, np.bool_)
    free = 1.0
    for time in np.unique(t[seen]):
        free *= 1 - float(((t == time) & seen).sum()) / float((t >= time).sum())
        if free <= 0.5 + 1e-12:
            return Median(float(time), t.size, int(seen.sum()))
    return Median(math.inf, t.size, int(seen.sum()))


def spearman(x: ArrayLike, y: ArrayLike, confidence: float = 0.95) -> Estimate:
    """Spearman's rank correlation with an interval.

    Parameters
    ----------
    x, y
        Shape (patients,), finite.
    confidence
        Level of the interval.

    Returns
    -------
    The correlation; interval on Fisher's z with the variance (1 + r^2 / 2) / (n - 3) of Bonett and Wright. NaN, and a
    note, with fewer than 5 patients or a measure without spread.

    Raises
    ------
    ValueError
        For values that are not finite or of unlike lengths.

    References
    ----------
    Bonett DG, Wright TA (2000), doi:10.1007/BF02294183.
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if a.shape != b.shape or a.ndim != 1 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("x and y must be finite and of one length")
    method, n = "Spearman correlation", a.size
    if n < 5:
        return no_estimate(n, method, f"{n} patients with both: at least 5 are needed")
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return no_estimate(n, method, "a measure without spread has no correlation")
    r, p_value = (float(v) for v in stats.spearmanr(a, b))
    if abs(r) >= 1 - 1e-12:
        return Estimate(n, r, math.nan, math.nan, p_value, math.nan, math.nan, method, True,
                        "perfect rank order: no interval exists")  # fmt: skip
    half = float(stats.norm.isf((1 - confidence) / 2)) * math.sqrt((1 + r**2 / 2) / (n - 3))
    z = math.atanh(r)
    return Estimate(n, r, math.tanh(z - half), math.tanh(z + half), p_value, math.nan, math.nan, method)
