"""An estimate with its interval and test: what the models of this package give back."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Estimate:
    """A number, how sure it is, and how it was found.

    Attributes
    ----------
    n
        Patients (or pairs, or groups) that it rests on.
    estimate, lower, upper
        In the unit of what was estimated (natural log for ratios); NaN where there is none.
    p_value
        Two-sided, of the null hypothesis that the truth is 0; NaN where no test is possible.
    se
        Standard error; NaN where the method has none.
    df
        Degrees of freedom of the t distribution; inf: normal.
    method
        What was computed, in words.
    converged
        Whether an iterative fit reached its end (True for closed forms); False where nothing was computed.
    note
        What must be said of it ("" when nothing).
    """

    n: int
    estimate: float
    lower: float
    upper: float
    p_value: float
    se: float
    df: float
    method: str
    converged: bool = True
    note: str = ""


def no_estimate(n: int, method: str, note: str) -> Estimate:
    """Give the estimate that could not be made, and why."""
    nan = math.nan
    return Estimate(n, nan, nan, nan, nan, nan, nan, method, False, note)


def from_t(
    n: int, estimate: float, se: float, df: float, confidence: float, method: str, *, converged: bool = True,
    note: str = "",
) -> Estimate:  # fmt: skip
    """Give interval and two-sided p value of an estimate with a t (``df`` inf: normal) distribution.

    Without spread (``se`` 0) there is no interval and no test, and the note says so.
    """
    if not (math.isfinite(estimate) and math.isfinite(se) and se > 0 and df > 0):
        nan, why = math.nan, "no interval and no test: no spread that could be estimated"
        return Estimate(n, estimate, nan, nan, nan, nan, df, method, False, f"{note}; {why}" if note else why)
    half = float(stats.t.isf((1 - confidence) / 2, df)) * se
    p_value = float(2 * stats.t.sf(abs(estimate) / se, df))
    return Estimate(n, estimate, estimate - half, estimate + half, p_value, se, df, method, converged, note)
