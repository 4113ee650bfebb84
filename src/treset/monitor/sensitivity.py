"""Rows of role sensitivity: the same question of two arms asked by other models; they never decide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from treset.monitor.common import CONFIDENCE, NOT_EVALUABLE, join
from treset.monitor.trial import Design, Trial, beside
from treset.monitor.values import Changes
from treset.stats import Estimate, ancova, mann_whitney, repeated_measures, time_averaged
from treset.study.model import Endpoint

ROLE = "sensitivity"


def analysis_scale(endpoint: Endpoint) -> Endpoint:
    """The endpoint on the scale on which models are fitted: the log for ratios and percent changes."""
    scale = "difference" if endpoint.scale == "difference" else "log_ratio"
    return replace(endpoint, scale=scale, claim="change", margin=None)


def sensitivity_rows(trial: Trial, endpoint: Endpoint) -> list[dict]:
    """ANCOVA at the endpoint's visit; for the primary endpoint also its maintenance over the visits."""
    design = trial.design(endpoint)
    if not design.between or endpoint.claim != "change":
        return []
    rows = [_ancova_row(trial, analysis_scale(endpoint), design)]
    if endpoint.role == "primary":
        rows += maintenance_rows(trial, analysis_scale(endpoint), design)
    return rows


def _two(trial: Trial, found: Changes, design: Design) -> pd.DataFrame:
    """Evaluable patients of the two groups, with ``treated`` and ``base`` (on the scale of the analysis)."""
    table = trial.grouped(found, design).evaluable
    assert design.pair is not None
    table = table[table["arm"].isin(design.pair)]
    return table.assign(treated=(table["arm"] == design.pair[0]).to_numpy())


def _base(table: pd.DataFrame, endpoint: Endpoint) -> np.ndarray:
    start = table["start"].to_numpy(dtype=float)
    return np.log(start) if endpoint.scale == "log_ratio" else start


def _contrast(trial: Trial, endpoint: Endpoint, design: Design, time: str) -> str:
    assert design.pair is not None
    return f"{time} vs {trial.baseline(endpoint)}, {design.pair[0]} vs {design.pair[1]}"


def _numbers(found: Estimate, *notes: str) -> dict:
    made = found.converged
    return {
        "n": found.n, "estimate": found.estimate, "lower": found.lower, "upper": found.upper,
        "p_value": found.p_value, "method": found.method, "converged": made,
        "verdict": "" if made else NOT_EVALUABLE, "note": join([*notes, found.note]),
    }  # fmt: skip


def _ancova_row(trial: Trial, endpoint: Endpoint, design: Design) -> dict:
    found = trial.changes(endpoint, trial.settings.origin)
    assert design.pair is not None
    contrast = f"{trial.contrast(endpoint)}, {design.pair[0]} vs {design.pair[1]}"
    row = beside(endpoint, ROLE, trial.settings.origin, contrast)
    if found.problem:
        return row | {"verdict": NOT_EVALUABLE, "note": found.problem, "method": "ANCOVA with baseline"}
    table = _two(trial, found, design)
    fitted = ancova(table["change"], _base(table, endpoint), table["treated"], CONFIDENCE)
    scale = "on the log scale" if endpoint.scale == "log_ratio" else ""
    return row | _numbers(replace(fitted, method=join([fitted.method + (f" {scale}" if scale else "")])))


def maintenance_rows(trial: Trial, endpoint: Endpoint, design: Design) -> list[dict]:
    """Repeated measures over the visits after the baseline, and the time-averaged change (AUC)."""
    visits, problem = _visits(trial, endpoint)
    if problem:
        trial.notes.append(f"maintenance: {problem}")
    if len(visits) < 2:
        return []
    tables = []
    for visit in visits:
        found = trial.changes(replace(endpoint, visit=visit, window=()), trial.settings.origin)
        table = _two(trial, found, design)
        tables.append(table.assign(visit=visit, base=_base(table, endpoint)))
    rows = pd.concat(tables, ignore_index=True)
    return [*_mixed_rows(trial, endpoint, design, visits, rows), _auc_row(trial, endpoint, design, visits, rows)]


def _visits(trial: Trial, endpoint: Endpoint) -> tuple[list[str], str]:
    """Visits after the baseline by their day, or those of the config, in their order."""
    sheet = trial.cohort.sheet[trial.cohort.sheet["patient"].isin(trial.cohort.patients.index)]
    days = sheet.groupby("visit")["day"].median()
    start = trial.baseline(endpoint)
    asked = trial.settings.maintenance
    missing = [visit for visit in asked if visit not in days.index]
    problem = f"no sample of the visits {', '.join(missing)}" if missing else ""
    if asked:
        return [visit for visit in asked if visit in days.index and visit != start], problem
    if start not in days.index or np.isnan(days[start]):
        return [], "which visits are after the baseline is not known: the baseline has no day"
    return [visit for visit in trial.cohort.visits() if visit in days.index and days[visit] > days[start]], problem


def _mixed_rows(trial: Trial, endpoint: Endpoint, design: Design, visits: list[str], rows: pd.DataFrame) -> list[dict]:
    fitted = repeated_measures(
        rows["change"], rows["visit"], rows["patient"], rows["base"], rows["treated"], CONFIDENCE
    )
    mean = f"mean of {', '.join(visits)}"
    out = []
    for visit in [*visits, None]:
        found = fitted.get(visit)
        if found is None:
            continue
        row = beside(endpoint, ROLE, trial.settings.origin, _contrast(trial, endpoint, design, visit or mean))
        out.append(row | _numbers(found))
    if not fitted[None].converged:
        # the stated fallback: each patient's own mean over the visits, as one number a patient
        own = rows.groupby("patient", sort=False).agg({"change": "mean", "base": "first", "treated": "first"})
        again = ancova(own["change"], own["base"], own["treated"], CONFIDENCE)
        row = beside(endpoint, ROLE, trial.settings.origin, _contrast(trial, endpoint, design, mean))
        said = "stands in for the mixed model, which gave no result: each patient's mean change over the visits"
        out.append(row | _numbers(replace(again, method=f"fallback: {again.method} of the mean change"), said))
    return out


def _auc_row(trial: Trial, endpoint: Endpoint, design: Design, visits: list[str], rows: pd.DataFrame) -> dict:
    """Time-averaged change to the last visit; a patient without that visit has none, visits between may be missing."""
    last = visits[-1]
    contrast = _contrast(trial, endpoint, design, f"time average to {last}")
    row = beside(endpoint, ROLE, trial.settings.origin, contrast) | {
        "method": "time-averaged change (AUC), Mann-Whitney"
    }
    day = trial.cohort.sheet["day"]
    sides: dict[bool, list[float]] = {True: [], False: []}
    absent: list[str] = []
    rows = rows.assign(day=day[rows["sample_visit"]].to_numpy() - day[rows["sample_baseline"]].to_numpy())
    for patient, own in rows.sort_values("day", kind="stable").groupby("patient", sort=False):
        if last not in set(own["visit"]) or own["day"].isna().any() or (own["day"] <= 0).any():
            absent.append(str(patient))
            continue
        sides[bool(own["treated"].iloc[0])].append(time_averaged(own["day"], own["change"]))
    told = f"without value or day at {last}, left out: {', '.join(absent)}" if absent else ""
    if not (sides[True] and sides[False]):
        return row | {"verdict": NOT_EVALUABLE, "note": join(["an arm has no patient with a time average", told])}
    test = mann_whitney(sides[True], sides[False], CONFIDENCE)
    return row | {
        "n": test.n, "estimate": test.estimate, "lower": test.lower, "upper": test.upper, "p_value": test.p_value,
        "method": f"time-averaged change (AUC), {test.method}", "converged": True, "note": join([told, test.note]),
    }  # fmt: skip
