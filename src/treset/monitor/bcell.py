"""Did the B cells reset: gone (aplasia), back (recovery), and naive when they came back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from treset.monitor.bcell_cohort import TIMING_COLUMNS, cohort_rows, timing
from treset.monitor.bcell_composition import composition_rows, recovery_curve
from treset.monitor.bcell_isotypes import isotype_rows
from treset.monitor.common import (
    CONFIDENCE,
    MET,
    NOT_EVALUABLE,
    NOT_MET,
    Cohort,
    MonitorResult,
    effect,
    effects_table,
    join,
    plain,
    prepare,
    summary,
)
from treset.monitor.values import Measure, Values, ancestors, counts, read
from treset.stats import clopper_pearson, poisson_interval, wilcoxon_signed_rank
from treset.study.model import BcellMonitor

TITLE = "B-cell reset"
RESET, NOT_RESET = "reset", "not reset"
_PATIENT_COLUMNS = (
    "patient", "arm", "disease", "aplasia_after_day", "aplasia_day", "recovery_after_day", "recovery_day",
    "recovery_visit", "last_day", "naive_percent", "naive_lower", "naive_upper", "naive_baseline", "naive_change",
    "call", "why", "course", *TIMING_COLUMNS,
)  # fmt: skip


@dataclass(frozen=True)
class Visit:
    """B cells of one sample: share of the denominator with its Poisson limits, and the naive share of the B cells."""

    label: str
    day: float
    sample: str
    b: float
    of: float
    naive: float

    @property
    def share(self) -> float:
        """Percent of the denominator."""
        return 100 * self.b / self.of

    @property
    def limits(self) -> tuple[float, float]:
        """Exact 95 % Poisson limits of the share, percent."""
        found = poisson_interval(self.b, CONFIDENCE)
        return 100 * found.lower / self.of, 100 * found.upper / self.of

    @property
    def naive_percent(self) -> float:
        """Naive share of the B cells, percent."""
        return 100 * self.naive / self.b if self.b else math.nan


@dataclass
class Course:
    """A patient's B cells over time, and what is concluded."""

    patient: str
    baseline: Visit | None = None
    after: list[Visit] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    row: dict[str, object] = field(default_factory=dict)


def bcell(profiles: pd.DataFrame, samples: pd.DataFrame, settings: BcellMonitor, baseline: str) -> MonitorResult:
    """Call B-cell reset in each patient of a depletion trial (CAR-T, bispecific antibodies).

    Aplasia: first visit after treatment (day above 0 and above the baseline's) at which the upper exact Poisson limit
    of the B-cell share lies under ``aplasia_percent``: too few cells cannot show it (0 B cells show 0.1 % from 3,689
    cells). Recovery: first of two consecutive visits after aplasia at or above ``recovery_percent``; it happened
    between the last visit below and that visit. Reset: at recovery, at least ``naive_percent`` of at least
    ``min_b_events`` B cells are naive.

    Parameters
    ----------
    profiles
        The waist.
    samples
        The sheet (``Study.samples``); visits are ordered by ``day``.
    settings
        Populations and thresholds (percent).
    baseline
        The baseline visit.

    Returns
    -------
    Patients: ``reset``, ``not reset`` or ``not evaluable`` with the reason; days of aplasia and recovery as intervals.
    Effects: share of evaluable patients that reset (Clopper-Pearson; role ``primary``); descriptive ones: share in
    aplasia, its depth and duration, time to recovery (interval-censored, Turnbull, median with bootstrap limits), naive
    and B-cell share by visit with their paired change, the composition of the B cells at recovery against the own
    baseline, and for scRNA the isotype share and index.
    Verdict ``met``: at least ``min_reset_share`` of all patients are reset, were those that are not evaluable not reset
    either; ``not met``: fewer are, were all of those reset; else ``not evaluable``.

    Raises
    ------
    TresetError
        For malformed tables or several samples of a patient at a visit.

    References
    ----------
    Mackensen A et al. (2022), Nat Med 28:2124-2132, doi:10.1038/s41591-022-02017-5 (aplasia, recovery after 110 days,
    naive B cells); Garwood F (1936), doi:10.1093/biomet/28.3-4.437; Turnbull BW (1976),
    doi:10.1111/j.2517-6161.1976.tb01597.x.
    """
    cohort = prepare(profiles, samples, resting=True)
    notes = list(cohort.notes)
    table, naive_names, problem = _b_cells(cohort, settings, notes)
    courses = [_course(cohort, table, str(patient), baseline) for patient in cohort.patients.index]
    for course in courses:
        course.row = _row(cohort, course, settings, problem or naive_names.problem)
    patients = pd.DataFrame([course.row for course in courses], columns=list(_PATIENT_COLUMNS))
    primary = _primary(patients, settings, problem or naive_names.problem)
    rows = [primary]
    if not problem:
        rows += cohort_rows(patients, settings)
        rows += _composition(cohort, courses, settings, baseline, naive=naive_names.names)
        pairs = {course.patient: (course.baseline, _recovered(course)) for course in courses}
        rows += composition_rows(cohort, pairs, naive_names.names, settings)
        rows += isotype_rows(cohort, pairs, settings)
    told = _summary(primary, patients, settings, notes)
    # null: later than any visit
    told["recovery_curve"] = plain(recovery_curve(patients))
    return MonitorResult("bcell", effects_table(rows), patients, told)


@dataclass(frozen=True)
class _Naive:
    names: tuple[str, ...]
    problem: str = ""


def _b_cells(cohort: Cohort, settings: BcellMonitor, notes: list[str]) -> tuple[pd.DataFrame, _Naive, str]:
    """Counts of B cells, of their denominator and of naive B cells, by sample; why there are none."""
    empty = pd.DataFrame(columns=["b", "of", "naive"], dtype="float64")
    measure = "percent_of_total" if settings.of == "cells" else "percent_of_parent"
    share = read(cohort, Measure(settings.origin, settings.b, measure, "", settings.of), 1)
    if share.problem:
        return empty, _Naive(()), share.problem
    if share.note:
        notes.append(share.note)
    rows = cohort.rows(settings.origin)
    b = _whole_counts(rows, settings.b, share)
    naive = _naive_names(rows, settings, notes)
    table = pd.DataFrame({"b": b, "of": share.table["cells"]})
    table["naive"] = sum(
        (counts(rows, name).reindex(table.index) for name in naive.names), start=pd.Series(0.0, table.index)
    )
    if not naive.names:
        table["naive"] = np.nan
    # more naive B cells than B cells: the populations overlap, their sum is no share
    over = table["naive"] > table["b"]
    if over.any():
        listed = ", ".join(map(str, table.index[over]))
        naive = _Naive(
            naive.names, f"{' + '.join(naive.names)} have more cells than {settings.b} (samples {listed}): they overlap"
        )
    return table, naive, ""


def _whole_counts(rows: pd.DataFrame, population: str, share: Values) -> pd.Series:
    """Count rows, or where a table has none, the count that the percentage and its denominator give."""
    found = counts(rows, population).reindex(share.table.index)
    implied = share.table["value"] * share.table["cells"] / 100
    whole = implied.round().where((implied - implied.round()).abs() < 1e-3)
    return found.fillna(whole)


def _naive_names(rows: pd.DataFrame, settings: BcellMonitor, notes: list[str]) -> _Naive:
    measured = [name for name in settings.naive if not counts(rows, name).empty]
    missing = [name for name in settings.naive if name not in measured]
    if not measured:
        return _Naive((), f"none of {', '.join(settings.naive)} is in the profiles ({settings.origin})")
    if missing:
        notes.append(f"naive share without {', '.join(missing)}: not in the profiles ({settings.origin})")
    nested = [name for name in measured if set(ancestors(rows, name)) & set(measured)]
    outside = [name for name in measured if settings.b not in ancestors(rows, name)]
    if outside:
        return _Naive((), f"{', '.join(outside)} is not a part of {settings.b} in the profiles ({settings.origin})")
    return _Naive(tuple(name for name in measured if name not in nested))


def _course(cohort: Cohort, table: pd.DataFrame, patient: str, baseline: str) -> Course:
    course = Course(patient)
    own = cohort.sheet[cohort.sheet["patient"] == patient]
    first_day = math.nan
    visits: list[Visit] = []
    for label in own["visit"].unique():
        sample, _ = cohort.sample(patient, str(label))
        assert sample is not None  # the label is one of this patient's
        day = float(own.loc[sample, "day"])
        if label == baseline:
            first_day = day
        known = sample in table.index and np.isfinite(table.loc[sample, ["b", "of"]].to_numpy(dtype=float)).all()
        if not known or table.loc[sample, "of"] <= 0:
            course.gaps.append(f"{label} has no B-cell share")
            continue
        b, of, naive = (float(table.loc[sample, name]) for name in ("b", "of", "naive"))
        visit = Visit(str(label), day, str(sample), b, of, naive)
        if label == baseline:
            course.baseline = visit
        elif math.isnan(day):
            course.gaps.append(f"{label} has no day")
        else:
            visits.append(visit)
    for sample, reason in cohort.left_out.items():
        if cohort.identity(sample)[0] == patient:
            course.gaps.append(f"{cohort.identity(sample)[1]} ({sample}) {reason}")
    # treatment is on day 0: a visit between the baseline and it shows the lymphodepletion, not the drug
    start = max(0.0, first_day) if math.isfinite(first_day) else 0.0
    course.after = sorted((v for v in visits if v.day > start), key=lambda v: (v.day, v.label))
    return course


def _recovered(course: Course) -> Visit | None:
    """The visit of recovery."""
    return next((visit for visit in course.after if visit.label == course.row["recovery_visit"]), None)


def _row(cohort: Cohort, course: Course, settings: BcellMonitor, problem: str) -> dict[str, object]:
    row: dict[str, object] = {"patient": course.patient, **cohort.patients.loc[course.patient].to_dict()}
    row |= {name: math.nan for name in _PATIENT_COLUMNS if name.endswith(("_day", "percent", "lower", "upper"))}
    row |= {"naive_baseline": math.nan, "naive_change": math.nan, "recovery_visit": ""}
    row |= dict.fromkeys(TIMING_COLUMNS, math.nan)
    row["course"] = "; ".join(
        _visit_text(v, settings) for v in ([course.baseline] if course.baseline else []) + course.after
    )
    if course.baseline and course.baseline.b >= settings.min_b_events:
        row["naive_baseline"] = course.baseline.naive_percent
    call, why = (NOT_EVALUABLE, problem) if problem else _call(course, settings, row)
    return row | {"call": call, "why": join([why, *course.gaps, "" if course.baseline else "no baseline visit"])}


def _visit_text(visit: Visit, settings: BcellMonitor) -> str:
    low, high = visit.limits
    return f"{visit.label} (day {visit.day:g}): {visit.share:.3g} % [{low:.2g} to {high:.2g}] of {settings.of}"


def _call(course: Course, settings: BcellMonitor, row: dict[str, object]) -> tuple[str, str]:
    """Reset, not reset or not evaluable, and why; fills the days and shares of ``row``."""
    after = course.after
    if not after:
        return NOT_EVALUABLE, "no visit after treatment"
    row["last_day"] = after[-1].day
    start = next((i for i, v in enumerate(after) if v.limits[1] < settings.aplasia_percent), None)
    if start is None:
        return _no_aplasia(after, settings)
    row["aplasia_day"] = after[start].day
    row["aplasia_after_day"] = after[start - 1].day if start else (course.baseline.day if course.baseline else math.nan)
    at = next(
        (i for i in range(start + 1, len(after) - 1)
         if min(after[i].share, after[i + 1].share) >= settings.recovery_percent), None,
    )  # fmt: skip
    row |= timing(after, start, at, settings, row)
    if at is None:
        return NOT_EVALUABLE, _not_recovered(after[start:], settings)
    recovery = after[at]
    row |= {"recovery_day": recovery.day, "recovery_after_day": after[at - 1].day, "recovery_visit": recovery.label}
    when = f"aplasia by day {after[start].day:g}, recovery between day {after[at - 1].day:g} and day {recovery.day:g}"
    if recovery.b < settings.min_b_events:
        return NOT_EVALUABLE, f"{when}; {recovery.b:.0f} B cells at recovery, {settings.min_b_events} needed"
    naive = recovery.naive_percent
    if not math.isfinite(naive):
        return NOT_EVALUABLE, f"{when}; no naive share at recovery"
    limits = clopper_pearson(recovery.naive, recovery.b, CONFIDENCE)
    row |= {"naive_percent": naive, "naive_lower": 100 * limits.lower, "naive_upper": 100 * limits.upper}
    row["naive_change"] = naive - float(row["naive_baseline"])  # type: ignore[arg-type]
    reached = naive >= settings.naive_percent
    compared = f"{'at least' if reached else 'under'} {settings.naive_percent:g} %"
    said = f"{naive:.1f} % of {recovery.b:.0f} B cells naive at recovery, {compared}"
    return (RESET if reached else NOT_RESET), f"{when}; {said}"


def _no_aplasia(after: list[Visit], settings: BcellMonitor) -> tuple[str, str]:
    """No aplasia, or too few cells to tell."""
    open_visits = [v for v in after if v.limits[0] < settings.aplasia_percent]
    if not open_visits:
        return NOT_RESET, f"no aplasia: B cells never under {settings.aplasia_percent:g} % of {settings.of}"
    shown = min(open_visits, key=lambda v: v.limits[1])
    return NOT_EVALUABLE, (
        f"aplasia can be neither shown nor excluded: {shown.b:.0f} B cells of {shown.of:.0f} on day {shown.day:g}, "
        f"upper limit {shown.limits[1]:.2g} %, threshold {settings.aplasia_percent:g} %"
    )


def _not_recovered(since: list[Visit], settings: BcellMonitor) -> str:
    last = since[-1]
    if len(since) > 1 and last.share >= settings.recovery_percent:
        return (
            f"recovery not confirmed: at or above {settings.recovery_percent:g} % at the last visit only, "
            f"day {last.day:g} (censored)"
        )
    return f"not recovered by day {last.day:g} (censored)"


def _primary(patients: pd.DataFrame, settings: BcellMonitor, problem: str) -> dict:
    reset, n = int((patients["call"] == RESET).sum()), int(patients["call"].isin([RESET, NOT_RESET]).sum())
    limits = clopper_pearson(reset, n, CONFIDENCE)
    row = effect(
        endpoint="reset", population=settings.b, measure="patients reset", contrast="evaluable patients", n=n,
        estimate=100 * reset / n if n else math.nan, scale="percent", lower=100 * limits.lower,
        upper=100 * limits.upper, method="share, Clopper-Pearson", converged=bool(n), role="primary",
        origin=settings.origin,
        note=f"{reset} of {n} evaluable patients reset, {len(patients) - n} of {len(patients)} not evaluable",
    )  # fmt: skip
    if not n:
        return row | {"verdict": NOT_EVALUABLE, "note": problem or "no patient is evaluable"}
    # a verdict must hold whatever the others would have been called: one evaluable patient of five decides nothing
    total = len(patients)
    if reset / total >= settings.min_reset_share:
        return row | {"verdict": MET}
    if (reset + total - n) / total < settings.min_reset_share:
        return row | {"verdict": NOT_MET}
    few = f"{row['note']}: the others decide whether {100 * settings.min_reset_share:g} % are reached"
    return row | {"verdict": NOT_EVALUABLE, "note": few}


def _composition(
    cohort: Cohort, courses: list[Course], settings: BcellMonitor, baseline: str, *, naive: tuple[str, ...]
) -> list[dict]:
    """Naive share of B cells and B-cell share: level at each visit, and paired change from baseline."""
    by_visit: dict[str, dict[str, Visit]] = {}
    for course in courses:
        for visit in ([course.baseline] if course.baseline else []) + course.after:
            by_visit.setdefault(visit.label, {})[course.patient] = visit
    kinds = (
        ("naive share of B", " + ".join(naive or settings.naive), "percent_of_parent", settings.min_b_events),
        ("B-cell share", settings.b, "percent_of_total" if settings.of == "cells" else "percent_of_parent", 0),
    )
    rows = []
    for name, population, measure, min_b in kinds:
        values = {
            label: {
                patient: visit.naive_percent if min_b else visit.share
                for patient, visit in visits.items()
                if visit.b >= min_b and (min_b == 0 or math.isfinite(visit.naive_percent))
            }
            for label, visits in by_visit.items()
        }
        common = {"endpoint": name, "population": population, "measure": measure, "role": "descriptive"}
        common |= {"origin": settings.origin}
        asked = f"patients with at least {min_b} B cells" if min_b else ""
        for label in (visit for visit in cohort.visits() if visit in values):
            level = list(values[label].values())
            rows.append(_described(level, effect(**common, contrast=label, scale="percent"), asked))
            if label != baseline:
                start = values.get(baseline, {})
                moved = [values[label][p] - start[p] for p in values[label] if p in start]
                change = effect(**common, contrast=f"{label} vs {baseline}", scale="difference")
                rows.append(_described(moved, change, asked))
    return rows


def _described(values: list[float], row: dict, asked: str) -> dict:
    test = wilcoxon_signed_rank(values, CONFIDENCE)
    row |= {"n": test.n, "estimate": test.estimate, "lower": test.lower, "upper": test.upper}
    # zeros matter to the test only, and nothing is tested here
    short = "" if test.n else "no patient has a value"
    if test.n and math.isnan(test.lower):
        short = f"no {100 * CONFIDENCE:g} % interval with {test.n} patients"
    row |= {"method": "Hodges-Lehmann", "converged": bool(test.n), "note": join(["not tested", asked, short])}
    return row | {"verdict": "" if test.n else NOT_EVALUABLE}


def _summary(primary: dict, patients: pd.DataFrame, settings: BcellMonitor, notes: list[str]) -> dict:
    reset, n, total = int((patients["call"] == RESET).sum()), int(primary["n"]), len(patients)
    notes = [
        *notes,
        f"aplasia: upper {100 * CONFIDENCE:g} % Poisson limit of the B-cell share under {settings.aplasia_percent:g} % "
        f"of {settings.of}; recovery: first of two consecutive visits at {settings.recovery_percent:g} % or more; "
        f"reset: at least {settings.naive_percent:g} % naive of at least {settings.min_b_events} B cells at recovery",
        *(f"{row['patient']}: {row['call']}, {row['why']}" for row in patients.to_dict("records")),
    ]
    asked = f"asked for: at least {100 * settings.min_reset_share:g} % of them"
    if primary["verdict"] == NOT_EVALUABLE:
        reason, headline = f"B-cell reset is not evaluable: {primary['note']}.", ("–", str(primary["note"]))
    else:
        told = f"{reset} of {n} evaluable patients are reset"
        limits = f"{100 * CONFIDENCE:g} % CI {float(primary['lower']):.0f} to {float(primary['upper']):.0f} %"
        reason = (
            f"{told} ({float(primary['estimate']):.0f} %, {limits}; {asked}); {total - n} of {total} not evaluable."
        )
        headline = (f"{reset} / {n}", f"evaluable patients reset ({limits}); {total - n} of {total} not evaluable")
    return summary(
        monitor="bcell", title=TITLE, verdict=str(primary["verdict"]), reason=reason, headline=headline,
        primary=primary, settings=settings, notes=notes,
    )  # fmt: skip
