"""Dose and response: EC50 with its interval, censored where the doses do not reach it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.optimize import isotonic_regression

from treset.stats.logistic import Array, Problem, estimate, predict

Status = Literal["fitted", "above", "below", "no response", "not fitted"]

#: Level at which a rise with dose, or a fall at high dose (hook), is believed.
_RISE_LEVEL, _HOOK_LEVEL = 0.01, 0.01
#: A hook takes away at least this share of the range.
_HOOK_SHARE = 0.25
_NULLS = 999
#: Noise that is always reckoned with in that test, as a share of the range: plateaus are noisier than bottoms.
_LEAST_NOISE = 0.03


@dataclass(frozen=True)
class DoseFit:
    """One fitted curve.

    Attributes
    ----------
    status
        ``fitted``; ``above`` / ``below``: the EC50 lies beyond the highest / lowest dose and is censored at ``bound``;
        ``no response``: nothing rises; ``not fitted``.
    ec50, lower, upper
        In the unit of the dose. ``ec50`` is NaN where censored or not fitted; a limit beyond the doses is 0 or inf.
    bound
        Where a censored EC50 is known to lie beyond (NaN where it is not censored): the highest or lowest dose; or the
        lower limit, where the fit puts the EC50 between the two highest doses but no upper limit can be given.
    log10_se
        Bootstrap standard error of log10 EC50 (NaN where censored).
    bottom, top, hill
        The other parameters; a top that no dose comes near is an extrapolation.
    low_dose, high_dose, second_dose
        Lowest, highest and second-highest dose (after doses were left out).
    left_out
        Doses above the peak of a high-dose hook.
    sd
        Residual standard deviation (robust), in the unit of the response.
    why
        Reason or remark, "" when there is none.
    """

    status: Status
    ec50: float = math.nan
    lower: float = math.nan
    upper: float = math.nan
    bound: float = math.nan
    log10_se: float = math.nan
    bottom: float = math.nan
    top: float = math.nan
    hill: float = math.nan
    low_dose: float = math.nan
    high_dose: float = math.nan
    second_dose: float = math.nan
    left_out: tuple[float, ...] = ()
    sd: float = math.nan
    n: int = 0
    converged: bool = False
    why: str = ""


def logistic4(dose: ArrayLike, bottom: float, top: float, ec50: float, hill: float) -> Array:
    """Four-parameter logistic: ``bottom`` at dose 0, ``top`` at saturation, half way between at ``ec50``."""
    x = np.asarray(dose, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return bottom + (top - bottom) / (1 + (ec50 / x) ** hill)


def fit_dose_response(
    dose: ArrayLike, response: ArrayLike, *, minimum_response: float = 0.0, minimum_doses: int = 5,
    hook: bool = True, bootstrap: int = 999, confidence: float = 0.95, seed: int = 0,
) -> DoseFit:  # fmt: skip
    """Fit a four-parameter logistic on log dose to one curve.

    Parameters
    ----------
    dose, response
        Shape (points,): doses >= 0 (0: unstimulated control) with replicates if any; NaN responses are left out.
    minimum_response
        Smallest rise between the fitted ends of the tested range that is a response, in the unit of the response.
    minimum_doses
        Fewest different doses above 0 (control not counted).
    hook
        Leave out the doses above the peak where the response falls again (test in :func:`hook_doses`).
    bootstrap
        Resamplings for the interval.
    confidence
        Level of the interval.
    seed
        Of the resampling.

    Returns
    -------
    The fit. The loss is soft-L1 with its scale from the residuals' median absolute deviation. The interval is by
    bootstrap of the residuals, inflated by sqrt(n / (n - 4)), with quantiles widened from normal to t (n - 4 degrees
    of freedom). An EC50 outside the tested doses is censored, never a number; so is one above
    the second-highest dose whose interval is open.

    Raises
    ------
    ValueError
        For a negative dose or arrays of different lengths.

    References
    ----------
    DeLean A et al. (1978), doi:10.1152/ajpendo.1978.235.2.E97 (the logistic); Hesterberg TC (2015),
    doi:10.1080/00031305.2015.1089789 (widened percentiles).
    """
    return fit_dose_responses(
        [(dose, response)], minimum_response=minimum_response, minimum_doses=minimum_doses, hook=hook,
        bootstrap=bootstrap, confidence=confidence, seed=seed,
    )[0]  # fmt: skip


def fit_dose_responses(
    curves: Sequence[tuple[ArrayLike, ArrayLike]], *, minimum_response: float = 0.0, minimum_doses: int = 5,
    hook: bool = True, bootstrap: int = 999, confidence: float = 0.95, seed: int = 0,
) -> list[DoseFit]:  # fmt: skip
    """Fit several curves with one bottom and one top (full agonists on the same cells of a donor).

    Parameters as in :func:`fit_dose_response`; ``curves`` are pairs of dose and response. A curve that cannot be fitted
    (too few doses) or does not rise is left out of the family and says so.
    """
    prepared = [_prepare(dose, response, minimum_doses, hook, seed) for dose, response in curves]
    members = [i for i, (_, _, fit) in enumerate(prepared) if fit.status == "fitted"]
    fits = [fit for _, _, fit in prepared]
    if not members:
        return fits
    x = np.concatenate([prepared[i][0] for i in members])
    y = np.concatenate([prepared[i][1] for i in members])
    which = np.repeat(np.arange(len(members)), [prepared[i][0].size for i in members])
    with np.errstate(divide="ignore"):
        problem = Problem(np.log10(x), which, len(members))
    spread = float(np.ptp(y))
    middle = float(y.min())
    best, drawn, sd, converged = estimate(problem, (y - middle) / spread, bootstrap, seed)
    for position, i in enumerate(members):
        fits[i] = _conclude(
            fits[i], best, drawn, position, len(members), (middle, spread), (sd, converged), y.size, confidence,
            minimum_response,
        )  # fmt: skip
    return fits


def _prepare(
    dose: ArrayLike, response: ArrayLike, minimum_doses: int, hook: bool, seed: int
) -> tuple[Array, Array, DoseFit]:
    """Sorted finite points without a hook, and a fit that says what is known so far."""
    x, y = np.asarray(dose, dtype=np.float64).ravel(), np.asarray(response, dtype=np.float64).ravel()
    if x.shape != y.shape:
        raise ValueError(f"{x.size} doses but {y.size} responses")
    if (x < 0).any() or not np.isfinite(x).all():
        raise ValueError("doses must be finite and 0 or more")
    order = np.lexsort((y, x))
    order = order[np.isfinite(y[order])]
    x, y = x[order], y[order]
    tested = np.unique(x[x > 0])
    if tested.size < minimum_doses or x.size < 5:
        return x, y, DoseFit("not fitted", n=x.size, why=f"{tested.size} doses with a response, {minimum_doses} needed")
    if np.ptp(y) == 0:
        return x, y, DoseFit("no response", n=x.size, why="the same response at every dose")
    # asked of all doses, before any is left out: what is left below a peak of noise always rises
    if (p := _rise(x, y)) >= _RISE_LEVEL:
        ends = {"low_dose": float(tested[0]), "high_dose": float(tested[-1])}
        said = f"no rise with dose up to {tested[-1]:g} (p = {p:.2g})"
        return x, y, DoseFit("no response", n=x.size, **ends, why=said)
    over = hook_doses(x, y, seed) if hook else ()
    why = ""
    if over:
        kept = x < min(over)
        if np.unique(x[kept & (x > 0)]).size < minimum_doses:
            why = f"the response falls again from {min(over):g}: the peak has too few doses below it"
            return x, y, DoseFit("not fitted", n=x.size, left_out=over, why=why)
        x, y = x[kept], y[kept]
        why = f"high-dose hook: doses above the peak are left out ({', '.join(f'{d:g}' for d in over)})"
    tested = np.unique(x[x > 0])
    known = {"n": int(x.size), "low_dose": float(tested[0]), "high_dose": float(tested[-1]), "left_out": over}
    known["second_dose"] = float(tested[-2])
    return x, y, DoseFit("fitted", **known, why=why)


def _rise(x: Array, y: Array) -> float:
    """p value of a rise with dose: isotonic regression against a flat line (the E-bar squared test)."""
    _, first, counts = np.unique(x, return_index=True, return_counts=True)
    means = np.add.reduceat(y, first) / counts
    rising = isotonic_regression(means, weights=counts).x
    explained = float((counts * (rising - y.mean()) ** 2).sum() / ((y - y.mean()) ** 2).sum())
    null = _flat_null(tuple(counts.tolist()))
    return (1 + int((null >= explained).sum())) / (null.size + 1)


@lru_cache(maxsize=64)
def _flat_null(counts: tuple[int, ...]) -> Array:
    """Share that isotonic regression explains of pure normal noise, with so many replicates at each dose."""
    weights = np.asarray(counts, dtype=np.float64)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(_NULLS, int(weights.sum())))
    noise -= noise.mean(axis=1, keepdims=True)
    first = np.concatenate([[0], np.cumsum(weights[:-1])]).astype(int)
    means = np.add.reduceat(noise, first, axis=1) / weights
    fitted = np.array([isotonic_regression(row, weights=weights).x for row in means])
    return (weights * fitted**2).sum(axis=1) / (noise**2).sum(axis=1)


def hook_doses(dose: ArrayLike, response: ArrayLike, seed: int = 0) -> tuple[float, ...]:
    """Doses above the peak, where the response falls again at high dose (the hook or prozone), else none.

    The peak is that of the best rise-and-fall (umbrella) by isotonic regression. A logistic fitted up to the peak says
    what a plateau would be and how noisy the points are; the highest dose must lie a quarter of the range under the
    plateau, by more than chance (t test, level 0.01). A dip that recovers is no hook: the robust loss bears it.

    Parameters
    ----------
    dose, response
        Shape (points,), finite.
    seed
        Unused by the test, which draws nothing; kept for the solver.

    References
    ----------
    Robertson T, Wright FT, Dykstra RL (1988), Order Restricted Statistical Inference, Wiley.
    """
    x, y = np.asarray(dose, dtype=np.float64), np.asarray(response, dtype=np.float64)
    doses = np.unique(x)
    means = np.array([y[x == d].mean() for d in doses])
    if doses.size < 6 or means.argmax() == means.size - 1:
        return ()
    peak, fitted = _umbrella(means)
    spread = float(np.ptp(fitted))
    # the last point of the fall must be among the lowest of the tail: a fall that goes on, not one bad point
    if peak == means.size - 1 or spread == 0 or means[-1] > np.median(means[peak:]):
        return ()
    kept = x <= doses[peak]
    if kept.sum() < 5:
        return ()
    with np.errstate(divide="ignore"):
        problem = Problem(np.log10(x[kept]), np.zeros(int(kept.sum()), dtype=np.int64), 1)
    best, _, sd, _ = estimate(problem, (y[kept] - y.min()) / spread, 0, seed)
    plateau = y.min() + spread * float(predict(problem, best[None])[0].max())
    last = y[x == doses[-1]]
    fall = plateau - float(last.mean())
    error = max(sd, _LEAST_NOISE) * spread * math.sqrt(1 / last.size + 1 / max(1, kept.sum() // 3))
    p = float(stats.t.sf(fall / error, max(1, int(kept.sum()) - 4)))
    return tuple(doses[peak + 1 :].tolist()) if fall >= _HOOK_SHARE * spread and p < _HOOK_LEVEL else ()


def _umbrella(means: Array) -> tuple[int, Array]:
    """Peak and values of the best rise and fall."""
    best, peak, fitted = math.inf, means.size - 1, means
    for at in range(2, means.size):
        up = isotonic_regression(means[: at + 1]).x
        down = isotonic_regression(means[at + 1 :], increasing=False).x if at + 1 < means.size else means[:0]
        if down.size and down[0] > up[-1]:
            continue
        both = np.concatenate([up, down])
        squares = float(((means - both) ** 2).sum())
        if squares < best - 1e-12:
            best, peak, fitted = squares, at, both
    return peak, fitted


def _conclude(
    fit: DoseFit, best: Array, drawn: Array, position: int, curves: int, unit: tuple[float, float],
    quality: tuple[float, bool], n: int, confidence: float, minimum_response: float,
) -> DoseFit:  # fmt: skip
    """Turn parameters into a fit, with the EC50 censored at the ends of the tested doses."""
    (middle, spread), (sd, converged) = unit, quality
    log_ec50, hill = float(best[2 + position]), 10 ** float(best[2 + curves + position])
    bottom, top = middle + spread * float(best[0]), middle + spread * float(best[1])
    low, high = math.log10(fit.low_dose), math.log10(fit.high_dose)
    known = {
        "bottom": bottom, "top": top, "hill": hill, "low_dose": fit.low_dose, "high_dose": fit.high_dose,
        "second_dose": fit.second_dose, "left_out": fit.left_out, "sd": sd * spread, "n": fit.n, "converged": converged,
    }  # fmt: skip
    seen = float(logistic4(fit.high_dose, bottom, top, 10**log_ec50, hill) - bottom)
    if seen <= 0 or seen < minimum_response:
        said = f"the response rises by {seen:.3g} up to {fit.high_dose:g}, {minimum_response:g} needed"
        return DoseFit("no response", **known, why=_said(said, fit.why))
    inside = low <= log_ec50 <= high
    if inside and not converged:
        return DoseFit("not fitted", **known, why=_said("the fit did not come to rest", fit.why))
    tail = float(stats.norm.cdf(stats.t.ppf((1 - confidence) / 2, max(1, n - best.size))))
    values = drawn[:, 2 + position]
    lower, upper = (float(v) for v in np.quantile(values, [tail, 1 - tail]))
    limits = {"lower": 10**lower if lower >= low else 0.0, "upper": 10**upper if upper <= high else math.inf}
    over = math.isinf(limits["upper"])
    # one dose above the EC50 does not show a plateau: with an open limit the number would be the last point's noise
    unseen = inside and over and fit.second_dose < 10**log_ec50
    if unseen or log_ec50 > high:
        bound = limits["lower"] if unseen else fit.high_dose
        said = f"no plateau up to {fit.high_dose:g}" if unseen else "beyond the tested doses"
        # top and slope hang on what lies beyond the doses
        known |= {"top": math.nan, "hill": math.nan, "bound": bound}
        limits = {"lower": min(limits["lower"], fit.high_dose), "upper": math.inf}
        return DoseFit("above", **known, **limits, why=_said(f"EC50 > {bound:.3g}, {said}", fit.why))
    if log_ec50 < low:
        known |= {"bottom": math.nan, "hill": math.nan, "bound": fit.low_dose}
        limits = {"lower": 0.0, "upper": max(limits["upper"], fit.low_dose)}
        return DoseFit(
            "below", **known, **limits, why=_said(f"EC50 < {fit.low_dose:g}, beyond the tested doses", fit.why)
        )
    open_ended = "the upper limit lies beyond the highest dose" if over else ""
    return DoseFit(
        "fitted", 10**log_ec50, **limits, **known, log10_se=float(values.std(ddof=1)), why=_said(open_ended, fit.why)
    )


def _said(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
