"""Means of normal values of which some are only known to lie above or below a bound."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats


@dataclass(frozen=True)
class CensoredMean:
    """A mean with its limits; ``estimate`` is NaN where most values are bounds (``note`` says so)."""

    n: int
    n_censored: int
    estimate: float
    lower: float
    upper: float
    sd: float
    method: str
    note: str = ""


def censored_mean(values: ArrayLike, side: ArrayLike | None = None, confidence: float = 0.95) -> CensoredMean:
    """Mean of normal values, censored ones included (Tobit).

    Parameters
    ----------
    values
        Shape (n,), finite: a value, or the bound of a censored one.
    side
        Shape (n,): 0 a value, 1 known to lie above, -1 known to lie below it. None: all are values.
    confidence
        Level of the interval.

    Returns
    -------
    Without censored values mean and t interval. With them, maximum likelihood and a profile-likelihood interval whose
    threshold is the squared t quantile with n - 1 degrees of freedom. Where half of the values or more are bounds of
    one side there is no estimate: the limit on the known side is that of the t interval with every bound taken for its
    value (the truth lies further out), the other is infinite.

    Raises
    ------
    ValueError
        For values that are not finite or arrays of different lengths.

    References
    ----------
    Tobin J (1958), Econometrica 26:24-36, doi:10.2307/1907382; Helsel DR (2012), Statistics for Censored Environmental
    Data, Wiley, doi:10.1002/9781118162729.
    """
    v = np.asarray(values, dtype=np.float64).ravel()
    c = np.zeros(v.size, dtype=int) if side is None else np.asarray(side, dtype=int).ravel()
    if v.shape != c.shape or not np.isfinite(v).all():
        raise ValueError("values must be finite, with one side each")
    n, censored, nan = v.size, int((c != 0).sum()), math.nan
    if n == 0:
        return CensoredMean(0, 0, nan, nan, nan, nan, "", "no values")
    mean, sd = float(v.mean()), float(v.std(ddof=1)) if n > 1 else nan
    half = float(stats.t.isf((1 - confidence) / 2, n - 1)) * sd / math.sqrt(n) if n > 1 else nan
    few = "1 value: no interval" if n == 1 else ""
    if censored == 0:
        return CensoredMean(n, 0, mean, mean - half, mean + half, sd, "mean, t interval", few)
    above, below = int((c > 0).sum()), int((c < 0).sum())
    if above and below:
        return CensoredMean(n, censored, nan, nan, nan, nan, "", "bounds on both sides: no estimate")
    if 2 * censored >= n:
        said = f"{censored} of {n} are known as bounds only: no estimate; bounds taken for values in the limit"
        lower, upper = (mean - half, math.inf) if above else (-math.inf, mean + half)
        return CensoredMean(n, censored, nan, lower, upper, nan, "bounds, t limit", few or said)
    return _tobit(v, c, confidence)


def _tobit(v: NDArray[np.float64], c: NDArray[np.int64], confidence: float) -> CensoredMean:
    n, exact = v.size, v[c == 0]
    least = max(1e-6, 1e-6 * float(np.abs(v).max()))

    def loss(mean: float, log_sd: float) -> float:
        sd = math.exp(log_sd)
        own = stats.norm.logpdf(exact, mean, sd).sum()
        return -float(own + stats.norm.logcdf(c[c != 0] * (mean - v[c != 0]) / sd).sum())

    def profile(mean: float) -> tuple[float, float]:
        centre = math.log(max(least, float(np.sqrt(((v - mean) ** 2).mean()))))
        found = optimize.minimize_scalar(lambda s: loss(mean, s), bounds=(centre - 3, centre + 3), method="bounded")
        return float(found.fun), float(found.x)

    width = max(float(np.ptp(v)), 10 * least)
    ends = (float(v.min()) - 3 * width, float(v.max()) + 3 * width)
    best = optimize.minimize_scalar(lambda m: profile(m)[0], bounds=ends, method="bounded", options={"xatol": 1e-8})
    mean, (lowest, log_sd) = float(best.x), profile(float(best.x))
    # the likelihood's divisor is n: as a t interval would have it, n - 1
    threshold = 0.5 * n * math.log1p(float(stats.t.isf((1 - confidence) / 2, n - 1)) ** 2 / (n - 1))

    def over(m: float) -> float:
        return profile(m)[0] - lowest - threshold

    limits = []
    for direction in (-1, 1):
        step, at = width, mean
        for _ in range(60):
            at = mean + direction * step
            if over(at) > 0:
                break
            step *= 1.5
        limits.append(optimize.brentq(over, *sorted((mean, at)), xtol=1e-8) if over(at) > 0 else direction * math.inf)
    sd = math.exp(log_sd) * math.sqrt(n / (n - 1))
    said = f"{int((c != 0).sum())} of {n} are known as bounds only"
    return CensoredMean(n, n - exact.size, mean, limits[0], limits[1], sd, "censored normal, profile likelihood", said)
