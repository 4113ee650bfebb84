"""B cells over the cohort: how deep and how long the aplasia is, and when they come back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from treset.monitor.common import CONFIDENCE, NOT_EVALUABLE, effect, join
from treset.stats import clopper_pearson, median_time
from treset.study.model import BcellMonitor

#: Columns of patients.tsv that are filled here.
TIMING_COLUMNS = (
    "depth_percent", "depth_upper_percent", "duration_at_least", "duration_at_most", "recovery_censored_day",
)  # fmt: skip


class Seen(Protocol):
    """What is read of a visit."""

    label: str
    sample: str
    day: float
    b: float

    @property
    def share(self) -> float:
        """Percent of the denominator."""

    @property
    def limits(self) -> tuple[float, float]:
        """Poisson limits of the share."""


def timing(
    after: Sequence[Seen], start: int, at: int | None, settings: BcellMonitor, row: Mapping[str, object]
) -> dict[str, float]:
    """Depth and duration of a patient's aplasia, and the day up to which recovery is excluded where none was seen.

    Parameters
    ----------
    after
        Visits after treatment, by day.
    start, at
        Positions of the first visit in aplasia and of the recovery (None: not seen).
    settings
        The recovery threshold.
    row
        The patient's row so far (``aplasia_day``, ``aplasia_after_day``).

    Returns
    -------
    ``TIMING_COLUMNS``: lowest share and its upper Poisson limit (percent); days of aplasia until recovery, at least and
    at most (inf: not recovered); day of the last visit under the threshold for a patient who is right-censored.
    """
    until = after[start : at if at is not None else None]
    deepest = min(until, key=lambda visit: (visit.limits[1], visit.day))
    if at is not None:
        left, right, censored = after[at - 1].day, after[at].day, math.nan
    else:
        left = max(visit.day for visit in until if visit.share < settings.recovery_percent)
        right, censored = math.inf, left
    return {
        "depth_percent": deepest.share,
        "depth_upper_percent": deepest.limits[1],
        "duration_at_least": max(0.0, left - float(row["aplasia_day"])),  # type: ignore[arg-type]
        "duration_at_most": right - float(row["aplasia_after_day"]),  # type: ignore[arg-type]
        "recovery_censored_day": censored,
    }


def cohort_rows(patients: pd.DataFrame, settings: BcellMonitor) -> list[dict]:
    """Share of patients with aplasia, its depth and duration, and the time to recovery (Turnbull).

    Times count from day 0 (the infusion); patients without aplasia have no recovery and are not in it.
    """
    common = {"population": settings.b, "role": "descriptive", "origin": settings.origin}
    common["measure"] = "percent_of_total" if settings.of == "cells" else "percent_of_parent"
    aplastic = patients[patients["aplasia_day"].notna()]
    known = patients[patients["last_day"].notna() & ~patients["why"].str.startswith("aplasia can be neither")]
    limits = clopper_pearson(len(aplastic), len(known), CONFIDENCE)
    share = effect(
        **common, endpoint="aplasia", contrast="patients with visits after treatment", n=len(known), scale="percent",
        method="share, Clopper-Pearson", estimate=100 * len(aplastic) / len(known) if len(known) else math.nan,
        lower=100 * limits.lower, upper=100 * limits.upper, converged=bool(len(known)),
        verdict="" if len(known) else NOT_EVALUABLE, note=f"{len(aplastic)} of {len(known)} patients",
    )  # fmt: skip
    depth = effect(**common, endpoint="aplasia depth", contrast="lowest share after treatment", scale="percent")
    depth |= _median(aplastic["depth_percent"].to_numpy(dtype=float))
    worst = float(aplastic["depth_upper_percent"].max()) if len(aplastic) else math.nan
    depth["note"] = join([str(depth["note"]), f"upper limits up to {worst:.2g} %" if math.isfinite(worst) else ""])
    duration = effect(**common, endpoint="aplasia duration", contrast="aplasia to recovery", scale="days")
    duration |= _time(aplastic["duration_at_least"], aplastic["duration_at_most"], "")
    back = effect(**common, endpoint="recovery", contrast="infusion to recovery", scale="days")
    left = aplastic["recovery_after_day"].fillna(aplastic["recovery_censored_day"])
    back |= _time(left, aplastic["recovery_day"].fillna(math.inf))
    return [share, depth, duration, back]


def _median(values: np.ndarray) -> dict[str, object]:
    if not values.size:
        return {"verdict": NOT_EVALUABLE, "note": "no patient in aplasia"}
    note = f"range {values.min():.3g} to {values.max():.3g}"
    return {"n": values.size, "estimate": float(np.median(values)), "method": "median", "converged": True, "note": note}


def _time(left: pd.Series, right: pd.Series, word: str = "day ") -> dict[str, object]:
    """Effect of an interval-censored time (``word`` "": a duration); a patient without an end on a side is named."""
    low, high = left.to_numpy(dtype=float), right.to_numpy(dtype=float)
    whole = np.isfinite(low) & (high > low)
    found = median_time(low[whole], high[whole], CONFIDENCE)
    lost = int((~whole).sum())
    said = f"median between {word}{found.left:g} and {word}{found.right:g}" if math.isfinite(found.estimate) else ""
    said += " days" if said and not word else ""
    wide = ""
    if math.isfinite(found.earliest):
        late = f"{word}{found.latest:g}" if math.isfinite(found.latest) else "no end"
        wide = f"limits that do not take days between visits as equally likely: {word}{found.earliest:g} to {late}"
    counts = f"{found.events} of {found.n} seen" if found.n else ""
    counts += ", the others censored" if found.events < found.n else ""
    note = join([said, wide, counts, found.note, f"{lost} without an interval left out" if lost else ""])
    return {
        "n": found.n, "estimate": found.estimate, "lower": found.lower, "upper": found.upper, "note": note,
        "method": "Turnbull NPMLE, score and bootstrap limits" if found.n else "", "converged": found.converged,
        "verdict": "" if found.n else NOT_EVALUABLE,
    }  # fmt: skip
