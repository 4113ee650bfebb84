"""Patients against healthy donors: the deficit at baseline, and who is back in the healthy range after therapy."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from treset.monitor.common import CONFIDENCE, NOT_EVALUABLE, Cohort, effect, join, suggest
from treset.monitor.trial import Trial
from treset.monitor.values import TRANSFORMED, Changes, measure_of, read
from treset.stats import clopper_pearson, mann_whitney, reference_range
from treset.study.model import CrossSection, Endpoint

ROLE = "cross_section"
#: Columns that it adds to patients.tsv.
COLUMNS = ("range_baseline", "range_visit")


def without_donors(cohort: Cohort, settings: CrossSection | None) -> tuple[Cohort, list[str], str]:
    """Take the healthy donors out of the trial's patients; their samples stay readable.

    Returns
    -------
    The cohort, the donors, and why there are none ("" where there are, or where none are asked for).
    """
    if settings is None:
        return cohort, [], ""
    sheet = cohort.sheet
    if settings.column not in sheet.columns:
        return cohort, [], f"the sheet has no column {settings.column!r}{suggest(settings.column, sheet.columns)}"
    values = sheet[settings.column].astype("object")
    donors = list(dict.fromkeys(sheet.loc[values == settings.healthy, "patient"]))
    if not donors:
        known = [str(v) for v in pd.unique(values.dropna()) if str(v)]
        return cohort, [], f"no sample's {settings.column} is {settings.healthy!r}{suggest(settings.healthy, known)}"
    kept = cohort.patients[~cohort.patients.index.isin(donors)]
    note = f"healthy donors, in the cross-section only: {', '.join(donors)}"
    return replace(cohort, patients=kept, notes=(*cohort.notes, note)), donors, ""


@dataclass(frozen=True)
class _Levels:
    """Values on the scale of the comparison (log where a ratio has a meaning)."""

    donors: list[float]
    table: pd.DataFrame
    log: bool
    notes: tuple[str, ...]


def cross_section(
    trial: Trial, endpoint: Endpoint, found: Changes, settings: CrossSection, donors: list[str], problem: str
) -> tuple[list[dict], pd.DataFrame]:
    """Rows of role ``cross_section`` and, by patient, where baseline and visit lie against the healthy range.

    The level at baseline is compared by Mann-Whitney with the Hodges-Lehmann shift (a ratio where the measure has one).
    The healthy range is a prediction interval from the donors, on the log scale for shares, counts and ratios. Patients
    back in the range: outside it at baseline and inside it at the visit, of those outside at baseline.
    """
    base = effect(
        endpoint="", population=endpoint.population, measure=endpoint.measure, marker=endpoint.marker or "",
        role=ROLE, origin=trial.settings.origin,
    )  # fmt: skip
    blank = pd.DataFrame("", index=found.table.index, columns=list(COLUMNS))
    level = base | {"endpoint": "baseline level", "contrast": f"patients vs healthy at {trial.baseline(endpoint)}"}
    levels = None if problem else _levels(trial, endpoint, found, donors)
    if isinstance(levels, str) or levels is None:
        return [level | {"verdict": NOT_EVALUABLE, "note": problem or str(levels)}], blank
    rows = [_level_row(level, levels)]
    if len(levels.donors) < settings.min_donors:
        why = f"{len(levels.donors)} donors with a value, a healthy range needs {settings.min_donors}"
        rows.append(base | {"endpoint": "in the healthy range", "verdict": NOT_EVALUABLE, "note": why})
        return rows, blank
    limits = reference_range(levels.donors, settings.range_percent / 100)
    blank["range_baseline"] = _places(levels.table["baseline"], limits)
    blank["range_visit"] = _places(levels.table["visit"], limits)
    back = math.exp if levels.log else float
    said = (
        f"healthy range ({settings.range_percent:g} %, {len(levels.donors)} donors) {back(limits.lower):.3g} to "
        f"{back(limits.upper):.3g}"
    )
    return rows + _range_rows(base, trial, endpoint, found, blank, said), blank


def _levels(trial: Trial, endpoint: Endpoint, found: Changes, donors: list[str]) -> _Levels | str:
    """Donors' and patients' values, or why there are none."""
    settings = trial.settings
    minimum = settings.min_events if endpoint.min_events is None else endpoint.min_events
    values = read(trial.cohort, measure_of(endpoint, settings.origin), minimum)
    if values.problem:
        return values.problem
    log = endpoint.measure not in TRANSFORMED
    usable = values.table[values.table["why"] == ""]
    level = usable["value"].astype("float64")
    if log:
        level = np.log(level.where(level > 0, usable["half"].astype("float64")))
    level = level[np.isfinite(level)]
    mine, several, none = [], [], []
    for donor in donors:
        samples = _donor_samples(trial, donor, trial.baseline(endpoint))
        if len(samples) > 1:
            several.append(donor)
        elif not samples or samples[0] not in level.index:
            none.append(donor)
        else:
            mine.append(float(level[samples[0]]))
    if not mine:
        return "no healthy donor has a value"
    sides = {
        name: found.table[f"sample_{name}"].map(level).astype("float64") for name in ("baseline", "visit")
    }  # fmt: skip
    # a patient without a change still has a level where the baseline was measured
    start = [trial.cohort.sample(str(p), trial.baseline(endpoint))[0] for p in found.table["patient"]]
    sides["baseline"] = pd.Series([level.get(s, math.nan) if s else math.nan for s in start], index=found.table.index)
    notes = (
        f"several samples, not used: {', '.join(several)}" if several else "",
        f"donors without value: {', '.join(none)}" if none else "",
    )
    return _Levels(mine, pd.DataFrame(sides), log, notes)


def _donor_samples(trial: Trial, donor: str, baseline: str) -> list[str]:
    """The donor's sample at the baseline visit, else all it has."""
    sheet = trial.cohort.sheet
    own = sheet[sheet["patient"] == donor]
    first = own[own["visit"] == baseline]
    return [str(sample) for sample in (own if first.empty else first).index]


def _level_row(row: dict, levels: _Levels) -> dict:
    patients = levels.table["baseline"].dropna().to_numpy(dtype=float)
    row = row | {"scale": "log_ratio" if levels.log else "difference", "n": patients.size + len(levels.donors)}
    sizes = f"patients n = {patients.size}, healthy n = {len(levels.donors)}"
    if not patients.size:
        return row | {"verdict": NOT_EVALUABLE, "note": join(["no patient has a value at baseline", *levels.notes])}
    test = mann_whitney(patients, levels.donors, CONFIDENCE)
    return row | {
        "estimate": test.estimate, "lower": test.lower, "upper": test.upper, "p_value": test.p_value,
        "method": test.method, "converged": True, "note": join([sizes, *levels.notes, test.note]),
    }  # fmt: skip


def _places(values: pd.Series, limits: tuple[float, float]) -> list[str]:
    """``below``, ``within`` or ``above`` the range; "" without a value."""
    lower, upper = limits
    return ["" if math.isnan(v) else "below" if v < lower else "above" if v > upper else "within" for v in values]


def _range_rows(
    base: dict, trial: Trial, endpoint: Endpoint, found: Changes, places: pd.DataFrame, said: str
) -> list[dict]:
    first, second = places["range_baseline"], places["range_visit"]
    out = first.isin(["below", "above"]) & (second != "")
    shares = [
        ("in the healthy range", f"at {trial.baseline(endpoint)}", first == "within", first != ""),
        ("in the healthy range", f"at {trial.contrast(endpoint).split(' vs ')[0]}", second == "within", second != ""),
        ("back in the healthy range", trial.contrast(endpoint), out & (second == "within"), out),
    ]
    rows = []
    arms: list[str | None] = [None, *trial.arms] if len(trial.arms) > 1 else [None]
    for arm in arms:
        chosen = pd.Series(True, index=places.index) if arm is None else found.table["arm"] == arm
        for name, contrast, yes, asked in shares:
            hits, n = int((yes & asked & chosen).sum()), int((asked & chosen).sum())
            limits = clopper_pearson(hits, n, CONFIDENCE)
            rows.append(
                base | {
                    "endpoint": name, "contrast": contrast + (f", arm {arm}" if arm else ""), "scale": "percent",
                    "n": n, "estimate": 100 * hits / n if n else math.nan, "lower": 100 * limits.lower,
                    "upper": 100 * limits.upper, "method": "share, Clopper-Pearson", "converged": bool(n),
                    "verdict": "" if n else NOT_EVALUABLE, "note": f"{hits} of {n} patients; {said}",
                }
            )  # fmt: skip
    return rows
