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

from treset.stats.logistic import Array, Problem, Solution, estimate, predict, profile_limits

Status = Literal["fitted", "above", "below", "no response", "not fitted"]

#: Level at which a rise with dose, or a fall at high dose (hook), is believed.
_RISE_LEVEL, _HOOK_LEVEL = 0.01, 0.01
_NULLS, _HOOK_NULLS = 999, 20_000
#: Bottom, top, EC50, slope.
_PARAMETERS = 4


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
        Where a censored EC50 is known to lie beyond, NaN where it is not censored: the highest (lowest) dose, or the
        confidence limit on that side where the data do not exclude an EC50 within the doses.
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
    The fit. The loss is soft-L1 with its scale from the residuals' median absolute deviation. The interval is the
    wider, on each side, of the bootstrap of the residuals, inflated by sqrt(n / (n - 4)), with quantiles widened from
    normal to t (n - 4 degrees of freedom), and the robust profile likelihood. An EC50 outside the tested doses is
    censored, never a number; so is one above the second-highest dose whose interval is open. What is said of it
    (``bound``) is no more than its interval grants.

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
    unit = (y - middle) / spread
    solution = estimate(problem, unit, bootstrap, seed)
    for position, i in enumerate(members):
        profile = profile_limits(problem, unit, solution, position, confidence)
        fits[i] = _conclude(
            fits[i], solution, profile, position, len(members), (middle, spread), y.size, confidence, minimum_response
        )
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

    A response that only rises has no dose above which all doses lie lower by more than noise. The statistic is the
    largest, over all blocks of neighbouring doses, of the block's mean minus the highest mean above it, in units of its
    standard error; the noise is that of the residuals around the best rise (a logistic) and fall, of their upper half
    where that is noisier. Its null distribution is simulated for a flat response, the worst of those that do not
    fall: the level (0.01) holds whatever the curve. No fall is too small, only too uncertain; what is left out begins
    above the peak of the best rise and fall (umbrella) by isotonic regression. A dip that recovers is no hook: the
    robust loss bears it.

    Parameters
    ----------
    dose, response
        Shape (points,), finite.
    seed
        Unused by the test, which draws nothing; kept for the solver.

    References
    ----------
    Robertson T, Wright FT, Dykstra RL (1988), Order Restricted Statistical Inference, Wiley (the umbrella).
    """
    x, y = np.asarray(dose, dtype=np.float64), np.asarray(response, dtype=np.float64)
    doses, counts = np.unique(x, return_counts=True)
    means = np.array([y[x == d].mean() for d in doses])
    if doses.size < 6 or means.argmax() == means.size - 1:
        return ()
    peak, fitted = _umbrella(means)
    freedom = int((x <= doses[peak]).sum()) - _PARAMETERS
    if peak == means.size - 1 or np.ptp(fitted) == 0 or freedom < 1:
        return ()
    noise = _noise(x, y, doses[peak], seed)
    statistic = _largest_fall(means[None], counts)
    if noise == 0 or statistic[0] / noise <= _fall_quantile(tuple(counts.tolist()), freedom):
        return ()
    return tuple(doses[peak + 1 :].tolist())


def _noise(x: Array, y: Array, peak: float, seed: int) -> float:
    """Residual standard deviation of a rise and fall: all of the rise, or of its upper half and the fall where larger.

    The rise is a logistic up to the peak; the fall needs only go down: doses above the peak that go up and down again
    tell how noisy plateaus are.
    """
    rise, fall = x <= peak, x > peak
    spread = float(np.ptp(y[rise])) or 1.0
    with np.errstate(divide="ignore"):
        problem = Problem(np.log10(x[rise]), np.zeros(int(rise.sum()), dtype=np.int64), 1)
    unit = (y[rise] - y[rise].min()) / spread
    curve = predict(problem, estimate(problem, unit, 0, seed).best[None])[0][0]
    squares = (unit - curve) ** 2 * unit.size / (unit.size - _PARAMETERS)
    upper = squares[curve >= (curve.min() + curve.max()) / 2]
    down = isotonic_regression(y[fall], increasing=False).x
    scatter, freedom = float((((y[fall] - down) / spread) ** 2).sum()), int(fall.sum()) - np.unique(down).size
    above = (float(upper.sum()) + scatter) / (upper.size + freedom)
    return spread * math.sqrt(max(float(squares.mean()), above))


def _largest_fall(means: Array, counts: ArrayLike) -> Array:
    """Largest standardised fall, shape (curves,), from a block of doses to all doses above it.

    Parameters
    ----------
    means
        Shape (curves, doses), noise of standard deviation 1 a point.
    counts
        Points of each dose.
    """
    n = np.asarray(counts, dtype=np.float64)
    doses = means.shape[1]
    above = np.maximum.accumulate(means[:, ::-1], axis=1)[:, ::-1]
    worst = np.full(len(means), -np.inf)
    total = np.cumsum(np.column_stack([np.zeros(len(means)), means * n]), axis=1)
    points = np.concatenate([[0.0], np.cumsum(n)])
    for last in range(doses - 1):
        for first in range(last + 1):
            size = points[last + 1] - points[first]
            block = (total[:, last + 1] - total[:, first]) / size
            # the standard error of the smallest dose above: the highest mean may be any of them
            fall = (block - above[:, last + 1]) / math.sqrt(1 / size + 1 / n[last + 1 :].min())
            worst = np.maximum(worst, fall)
    return worst


@lru_cache(maxsize=64)
def _fall_quantile(counts: tuple[int, ...], freedom: int) -> float:
    """Fall that a flat response exceeds with probability ``_HOOK_LEVEL``; the noise has ``freedom`` residuals."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(_HOOK_NULLS, len(counts))) / np.sqrt(np.asarray(counts, dtype=np.float64))
    fall = _largest_fall(noise, counts)
    return float(np.quantile(fall / np.sqrt(rng.chisquare(freedom, _HOOK_NULLS) / freedom), 1 - _HOOK_LEVEL))


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
    fit: DoseFit, solution: Solution, profile: tuple[float, float], position: int, curves: int,
    unit: tuple[float, float], n: int, confidence: float, minimum_response: float,
) -> DoseFit:  # fmt: skip
    """Turn parameters into a fit, with the EC50 censored where the doses do not reach it."""
    (middle, spread), best, converged = unit, solution.best, solution.converged
    log_ec50, hill = float(best[2 + position]), 10 ** float(best[2 + curves + position])
    bottom, top = middle + spread * float(best[0]), middle + spread * float(best[1])
    low, high = math.log10(fit.low_dose), math.log10(fit.high_dose)
    known = {
        "bottom": bottom, "top": top, "hill": hill, "low_dose": fit.low_dose, "high_dose": fit.high_dose,
        "second_dose": fit.second_dose, "left_out": fit.left_out, "sd": solution.sd * spread,
        "n": fit.n, "converged": converged,
    }  # fmt: skip
    seen = float(logistic4(fit.high_dose, bottom, top, 10**log_ec50, hill) - bottom)
    if seen <= 0 or seen < minimum_response:
        said = f"the response rises by {seen:.3g} up to {fit.high_dose:g}, {minimum_response:g} needed"
        return DoseFit("no response", **known, why=_said(said, fit.why))
    inside = low <= log_ec50 <= high
    if inside and not converged:
        return DoseFit("not fitted", **known, why=_said("the fit did not come to rest", fit.why))
    tail = float(stats.norm.cdf(stats.t.ppf((1 - confidence) / 2, max(1, n - best.size))))
    values = solution.drawn[:, 2 + position]
    lower, upper = (float(v) for v in np.quantile(values, [tail, 1 - tail]))
    # the wider of the two: the bootstrap is too sure of itself near the highest dose, the profile where points are few
    lower, upper = min(lower, profile[0]), max(upper, profile[1])
    limits = {"lower": 10**lower if lower >= low else 0.0, "upper": 10**upper if upper <= high else math.inf}
    over = math.isinf(limits["upper"])
    # one dose above the EC50 does not show a plateau: with an open limit the number would be the last point's noise
    unseen = inside and over and fit.second_dose < 10**log_ec50
    if unseen or log_ec50 > high:
        # no more is claimed than the interval grants: an estimate beyond the doses does not exclude an EC50 within
        bound = min(limits["lower"], fit.high_dose)
        said = f"no plateau up to {fit.high_dose:g}" if unseen or bound < fit.high_dose else "beyond the tested doses"
        # top and slope hang on what lies beyond the doses
        known |= {"top": math.nan, "hill": math.nan, "bound": bound}
        limits = {"lower": bound, "upper": math.inf}
        return DoseFit("above", **known, **limits, why=_said(f"EC50 > {bound:.3g}, {said}", fit.why))
    if log_ec50 < low:
        bound = max(limits["upper"], fit.low_dose)
        known |= {"bottom": math.nan, "hill": math.nan, "bound": bound}
        limits = {"lower": 0.0, "upper": bound}
        said = "beyond the tested doses" if bound == fit.low_dose else f"no bottom down to {fit.low_dose:g}"
        return DoseFit("below", **known, **limits, why=_said(f"EC50 < {bound:.3g}, {said}", fit.why))
    open_ended = "the upper limit lies beyond the highest dose" if over else ""
    return DoseFit(
        "fitted", 10**log_ec50, **limits, **known, log10_se=float(values.std(ddof=1)), why=_said(open_ended, fit.why)
    )


def _said(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
