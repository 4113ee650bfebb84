"""What the returned B cells are made of, each patient against the own baseline; and the curve of their return."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from treset.monitor.bcell_cohort import Seen
from treset.monitor.common import CONFIDENCE, NOT_EVALUABLE, Cohort, effect, join
from treset.monitor.values import ancestors, counts
from treset.stats import turnbull, wilcoxon_signed_rank
from treset.study.model import BcellMonitor


def composition_rows(
    cohort: Cohort, pairs: Mapping[str, tuple[Seen | None, Seen | None]], naive: Sequence[str], settings: BcellMonitor
) -> list[dict]:
    """Share of the B cells of each kind at baseline, at recovery, and its change within patients; not tested.

    Parameters
    ----------
    cohort
        The samples.
    pairs
        Patient -> visit at baseline and at recovery (None: there is none).
    naive
        Populations that are naive together (those measured).
    settings
        Names, origin, and the fewest B cells of a visit.

    Returns
    -------
    Three rows a kind (percent of B cells; the change in points), role descriptive. A kind that was not measured, or
    that is no part of the B cells, is not evaluable and says why. Kinds may lie within each other (DN2 in double
    negative): the shares need not add up to 100.
    """
    rows = cohort.rows(settings.origin)
    kinds = {" + ".join(naive): tuple(naive)} if naive else {}
    kinds |= {name: (name,) for name in settings.composition}
    found = []
    for kind, members in kinds.items():
        found += _kind(rows, pairs, kind, members, settings)
    return found


def _kind(
    rows: pd.DataFrame, pairs: Mapping[str, tuple[Seen | None, Seen | None]], kind: str, members: Sequence[str],
    settings: BcellMonitor,
) -> list[dict]:  # fmt: skip
    common = {
        "endpoint": f"{kind} at recovery", "population": kind, "measure": "percent_of_parent", "role": "descriptive",
        "origin": settings.origin, "method": "Hodges-Lehmann",
    }  # fmt: skip
    cells = [counts(rows, name) for name in members]
    problem = ""
    if any(series.empty for series in cells):
        problem = f"{kind} is not in the profiles ({settings.origin})"
    elif outside := [name for name in members if settings.b not in ancestors(rows, name)]:
        problem = f"{', '.join(outside)} is not a part of {settings.b} in the profiles ({settings.origin})"
    if problem:
        row = effect(**common, contrast="recovery vs baseline", scale="difference")
        return [row | {"verdict": NOT_EVALUABLE, "note": problem}]
    total = sum(cells[1:], start=cells[0])
    levels: list[dict[str, float]] = [{}, {}]
    for patient, visits in pairs.items():
        for side, visit in zip(levels, visits, strict=True):
            if (
                visit is not None
                and visit.b >= settings.min_b_events
                and math.isfinite(total.get(visit.sample, np.nan))
            ):
                side[patient] = 100 * float(total[visit.sample]) / visit.b
    before, after = levels
    changes = [after[patient] - before[patient] for patient in after if patient in before]
    return [
        _described(common, contrast, values, scale, settings)
        for contrast, values, scale in (
            ("baseline", list(before.values()), "percent"),
            ("recovery", list(after.values()), "percent"),
            ("recovery vs baseline", changes, "difference"),
        )
    ]


def _described(common: dict, contrast: str, values: list[float], scale: str, settings: BcellMonitor) -> dict:
    test = wilcoxon_signed_rank(values, CONFIDENCE)
    row = effect(**common, contrast=contrast, scale=scale, n=test.n, estimate=test.estimate, lower=test.lower,
                 upper=test.upper, converged=bool(test.n), verdict="" if test.n else NOT_EVALUABLE)  # fmt: skip
    short = "" if test.n else "no patient has a value"
    if test.n and math.isnan(test.lower):
        short = f"no {100 * CONFIDENCE:g} % interval with {test.n} patients"
    asked = f"percent of {settings.b}, patients with at least {settings.min_b_events} of them"
    return row | {"note": join(["not tested", asked, short])}


def recovery_curve(patients: pd.DataFrame) -> list[dict[str, float]]:
    """Turnbull's estimate of the share of patients not yet recovered, for the report to draw.

    Parameters
    ----------
    patients
        Rows of patients.tsv; those in aplasia with a known interval are used, as for the median.

    Returns
    -------
    One entry an interval that carries mass: ``left``, ``right`` (days; inf: not seen) and ``share``, the part of the
    patients that recovers in it.

    References
    ----------
    Turnbull BW (1976), doi:10.1111/j.2517-6161.1976.tb01597.x.
    """
    aplastic = patients[patients["aplasia_day"].notna()]
    left = aplastic["recovery_after_day"].fillna(aplastic["recovery_censored_day"]).to_numpy(dtype=float)
    right = aplastic["recovery_day"].fillna(math.inf).to_numpy(dtype=float)
    whole = np.isfinite(left) & (right > left)
    if not whole.any():
        return []
    fit = turnbull(left[whole], right[whole])
    return [
        {"left": float(a), "right": float(b), "share": float(share)}
        for a, b, share in zip(fit.left, fit.right, fit.mass, strict=True)
    ]
