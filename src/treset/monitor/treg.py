"""Did the drug expand Treg: change of endpoints from each patient's own baseline."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd

from treset.errors import TresetError
from treset.monitor import effects as fx
from treset.monitor.common import (
    CONFIDENCE,
    MET,
    NOT_EVALUABLE,
    Cohort,
    MonitorResult,
    effect,
    effects_table,
    join,
    p_text,
    prepare,
    summary,
)
from treset.monitor.values import CHANGE_COLUMNS, Changes, Measure, changes, read
from treset.stats import bh, clopper_pearson
from treset.study.model import Endpoint, TregMonitor

TITLE = "Treg expansion"
#: Shown with every trial where they were measured, never tested: population, measure, marker.
DESCRIPTIVE = (
    ("Treg naive", "percent_of_parent", ""),
    ("Treg effector", "percent_of_parent", ""),
    ("Treg", "ratio", "Tconv"),
    ("NK CD56bright", "percent_of_parent", ""),
    ("CD8 T", "percent_of_parent", ""),
)
_OTHER = {"gate": "cluster", "cluster": "gate"}
_PATIENT_COLUMNS = (
    "patient", "arm", "disease", "endpoint", "role", "population", "measure", "marker", "origin", "baseline", "visit",
    "sample_baseline", "sample_visit", "baseline_value", "visit_value", "change", "scale", "fold", "call", "why",
)  # fmt: skip


def treg(profiles: pd.DataFrame, samples: pd.DataFrame, settings: TregMonitor, baseline: str) -> MonitorResult:
    """Test the endpoints of a Treg-expansion trial.

    Each patient's change from the own baseline is the datum. Open-label (or more than two arms): all patients together,
    Wilcoxon signed rank with the Hodges-Lehmann estimate. Exactly two arms: change in one against the other,
    Mann-Whitney with the Hodges-Lehmann shift. The primary endpoint is tested alone at ``settings.alpha`` (two-sided);
    the secondary ones are a family of their own, corrected by Benjamini-Hochberg. ``met``: significant, in the stated
    direction and at least the minimum effect.

    Parameters
    ----------
    profiles
        The waist.
    samples
        The sheet (``Study.samples``).
    settings
        Endpoints and thresholds.
    baseline
        The study's baseline visit, for endpoints that name none.

    Returns
    -------
    Effects with role ``primary``, ``secondary``, ``supporting`` (the other origin, each arm, more contrasts: never
    decide) and ``descriptive`` (not tested); patients: one row a patient and endpoint, with the reason where there is
    no change. What is absent is ``not evaluable``, with the reason.

    Raises
    ------
    TresetError
        For malformed tables, several samples of a patient at a visit, or more than one primary endpoint.
    """
    primaries = [e for e in settings.endpoints if e.role == "primary"]
    if len(primaries) > 1:
        names = ", ".join(e.name for e in primaries)
        raise TresetError(
            f"config, monitors.treg.endpoints: {names} are all primary; expected is one; make the others secondary"
        )
    cohort = prepare(profiles, samples, resting=True)
    trial = _Trial(cohort, settings, baseline)
    rows, patients = [], []
    for endpoint in settings.endpoints:
        found = trial.changes(endpoint, settings.origin)
        rows += trial.endpoint_rows(endpoint, found)
        patients.append(_patients(endpoint, found, settings, trial.baseline(endpoint)))
    _judge(rows, settings)
    if primaries:
        rows += trial.descriptive_rows(primaries[0])
        responders = _responders(primaries[0], patients[settings.endpoints.index(primaries[0])], settings, trial)
        rows += responders
    table = pd.concat(patients, ignore_index=True) if patients else pd.DataFrame(columns=list(_PATIENT_COLUMNS))
    return MonitorResult("treg", effects_table(rows), table, _summary(rows, primaries, trial))


class _Trial:
    """The cohort, its arms and what is said on the way."""

    def __init__(self, cohort: Cohort, settings: TregMonitor, baseline: str) -> None:
        self.cohort, self.settings, self.study_baseline = cohort, settings, baseline
        self.arms = [arm for arm in dict.fromkeys(cohort.patients["arm"]) if arm]
        self.reference, self.how = fx.reference_arm(cohort, self.arms) if len(self.arms) > 1 else (None, "")
        self.notes = list(cohort.notes)
        if len(self.arms) > 2:
            self.notes.append(
                f"{len(self.arms)} arms: the primary contrast is the change of all patients together, arms beside it"
            )
        if len(self.arms) > 1:
            self.notes.append(self.how)
            if blank := [str(p) for p in cohort.patients.index[cohort.patients["arm"] == ""]]:
                self.notes.append(f"without arm, in no contrast between arms: {', '.join(blank)}")

    def baseline(self, endpoint: Endpoint) -> str:
        return endpoint.baseline or self.study_baseline

    def contrast(self, endpoint: Endpoint) -> str:
        return f"{endpoint.visit} vs {self.baseline(endpoint)}"

    def changes(self, endpoint: Endpoint, origin: str) -> Changes:
        found = changes(self.cohort, endpoint, origin, self.study_baseline, self.settings.min_events)
        if origin == self.settings.origin:
            self.notes += found.notes
        return found

    def main(self, endpoint: Endpoint, found: Changes, **more: object) -> dict:
        """Row of the contrast the endpoint is judged by."""
        contrast, alpha = self.contrast(endpoint), self.settings.alpha
        if len(self.arms) != 2:
            return fx.paired(found, endpoint, contrast, alpha, **more)
        row = fx.between(found, endpoint, contrast, self._two_arms(), alpha, **more)
        if self.reference is None:
            row |= {"verdict": NOT_EVALUABLE, "note": join([self.how, str(row["note"])])}
        return row

    def _two_arms(self) -> tuple[str, str]:
        first, second = self.arms
        return (first, second) if self.reference in (second, None) else (second, first)

    def endpoint_rows(self, endpoint: Endpoint, found: Changes) -> list[dict]:
        origin, contrast, alpha = self.settings.origin, self.contrast(endpoint), self.settings.alpha
        rows = [self.main(endpoint, found, role=endpoint.role, origin=origin)]
        support = {"role": "supporting", "origin": origin}
        if len(self.arms) == 2:
            rows.append(fx.paired(found, endpoint, f"{contrast}, all patients", alpha, **support))
        if len(self.arms) > 1:
            for arm in self.arms:
                own = replace(found, table=found.table[found.table["arm"] == arm])
                rows.append(fx.paired(own, endpoint, f"{contrast}, arm {arm}", alpha, **support))
        if len(self.arms) > 2:
            for pair in self._pairs():
                rows.append(fx.between(found, endpoint, contrast, pair, alpha, **support))
        if other := _OTHER.get(origin):
            again = self.changes(endpoint, other)
            rows.append(self.main(endpoint, again, role="supporting", origin=other))
        for row in rows[1:]:
            # supporting rows decide nothing; only that they could not be made is said
            row["verdict"] = NOT_EVALUABLE if row["verdict"] == NOT_EVALUABLE else ""
        return rows

    def _pairs(self) -> list[tuple[str, str]]:
        if self.reference is not None:
            return [(arm, self.reference) for arm in self.arms if arm != self.reference]
        return [(b, a) for i, a in enumerate(self.arms) for b in self.arms[i + 1 :]]

    def descriptive_rows(self, primary: Endpoint) -> list[dict]:
        """The always-shown populations at the primary visit, and the primary measure at every other visit."""
        shown, absent = [], []
        for population, measure, marker in DESCRIPTIVE:
            name = f"{population} {measure}" + (f" {marker}" if marker else "")
            what = Measure(self.settings.origin, population, measure, marker)
            if problem := read(self.cohort, what, self.settings.min_events).problem:
                absent.append(f"not shown: {problem}")
                continue
            shown.append(
                Endpoint(
                    name,
                    "secondary",
                    population,
                    measure,
                    primary.visit,
                    marker=marker or None,
                    baseline=primary.baseline,
                )
            )
        self.notes += absent
        skip = {primary.visit, self.baseline(primary)}
        shown += [replace(primary, visit=visit) for visit in self.cohort.visits() if visit not in skip]
        rows = []
        for endpoint in shown:
            found = self.changes(endpoint, self.settings.origin)
            row = self.main(endpoint, found, role="descriptive", origin=self.settings.origin)
            note = join(["not tested", str(row["note"])])
            rows.append(row | {"p_value": math.nan, "verdict": "", "note": note})
        return rows


def _judge(rows: list[dict], settings: TregMonitor) -> None:
    """Set q values and verdicts of the primary and the secondary rows, in place."""
    by_name = {endpoint.name: endpoint for endpoint in settings.endpoints}
    secondary = [row for row in rows if row["role"] == "secondary"]
    tested = [row for row in secondary if row["verdict"] != NOT_EVALUABLE]
    for row, q in zip(tested, bh([float(row["p_value"]) for row in tested]), strict=True):
        row["q_value"] = float(q)
    for row in rows:
        if row["role"] in ("primary", "secondary"):
            corrected = row["role"] == "secondary"
            verdict, why = fx.decide(row, by_name[str(row["endpoint"])], settings.alpha, corrected)
            row["verdict"], row["note"] = verdict, join([why, str(row["note"])])


def _patients(endpoint: Endpoint, found: Changes, settings: TregMonitor, baseline: str) -> pd.DataFrame:
    table = found.table[list(CHANGE_COLUMNS)].copy()
    table["endpoint"], table["role"] = endpoint.name, endpoint.role
    table["population"], table["measure"], table["marker"] = (
        endpoint.population,
        endpoint.measure,
        endpoint.marker or "",
    )
    table["origin"], table["scale"] = settings.origin, endpoint.scale
    table["baseline"], table["visit"] = baseline, endpoint.visit
    calls = [_call(row, endpoint, settings) for row in table.to_dict("records")]
    table["call"] = [call for call, _ in calls]
    table["why"] = [join([why, str(old)]) for (_, why), old in zip(calls, table["why"], strict=True)]
    return table[list(_PATIENT_COLUMNS)]


def _call(row: dict, endpoint: Endpoint, settings: TregMonitor) -> tuple[str, str]:
    """Responder: yes, no or not evaluable; "" where the question is not asked."""
    if math.isnan(row["change"]):
        return NOT_EVALUABLE, ""
    asked = settings.responder_fold
    if endpoint.role != "primary" or asked is None:
        return "", ""
    fold = row["fold"]
    if not math.isfinite(fold):
        return NOT_EVALUABLE, "no fold change on this scale"
    up, down = max(asked, 1 / asked), min(asked, 1 / asked)
    reached = {
        "increase": fold >= asked,
        "decrease": fold <= down,
        "either": fold >= up or fold <= down,
    }[endpoint.direction]
    least = {"increase": f"x{asked:g}", "decrease": f"x{down:g}", "either": f"x{up:g} or x{down:g}"}[endpoint.direction]
    return ("yes" if reached else "no"), f"x{fold:.3g}, {'reaches' if reached else 'does not reach'} {least}"


def _responders(primary: Endpoint, patients: pd.DataFrame, settings: TregMonitor, trial: _Trial) -> list[dict]:
    if settings.responder_fold is None:
        return []
    rows = []
    for arm in [None, *trial.arms] if len(trial.arms) > 1 else [None]:
        group = patients if arm is None else patients[patients["arm"] == arm]
        yes, n = int((group["call"] == "yes").sum()), int(group["call"].isin(["yes", "no"]).sum())
        limits = clopper_pearson(yes, n, CONFIDENCE)
        contrast = trial.contrast(primary) + (f", arm {arm}" if arm else "")
        rows.append(
            effect(
                endpoint="responders", population=primary.population, measure=primary.measure,
                marker=primary.marker or "", contrast=contrast, n=n, estimate=100 * yes / n if n else math.nan,
                scale="percent", lower=100 * limits.lower, upper=100 * limits.upper, method="share, Clopper-Pearson",
                converged=bool(n), verdict="" if n else NOT_EVALUABLE, role="descriptive", origin=settings.origin,
                note=f"{yes} of {n} evaluable patients change at least x{settings.responder_fold:g}",
            )
        )  # fmt: skip
    return rows


def _summary(rows: list[dict], primaries: list[Endpoint], trial: _Trial) -> dict:
    settings, notes = trial.settings, trial.notes
    notes.append(
        f"intervals are {100 * CONFIDENCE:g} %; tests are two-sided at alpha {settings.alpha:g}; a sample counts from "
        f"{settings.min_events} cells of the denominator; secondary endpoints are corrected by Benjamini-Hochberg"
    )
    if not primaries:
        reason = "no primary endpoint is set"
        return summary(monitor="treg", title=TITLE, verdict=NOT_EVALUABLE, reason=reason, headline=("–", reason),
                       primary=None, settings=settings, notes=notes)  # fmt: skip
    endpoint = primaries[0]
    row = next(row for row in rows if row["role"] == "primary")
    other = next((r for r in rows if r["role"] == "supporting" and r["endpoint"] == endpoint.name
                  and r["origin"] != settings.origin), None)  # fmt: skip
    if other is not None:
        notes.append(_second_reading(other, endpoint))
    return summary(
        monitor="treg", title=TITLE, verdict=str(row["verdict"]), reason=_reason(row, endpoint, settings.alpha),
        headline=_headline(row, endpoint), primary=row, settings=settings, notes=notes,
    )  # fmt: skip


def _reason(row: dict, endpoint: Endpoint, alpha: float) -> str:
    if row["verdict"] == NOT_EVALUABLE:
        return f"The primary endpoint {endpoint.name} is not evaluable: {row['note']}."
    numbers = (
        f"{fx.say(float(row['estimate']), endpoint)} ({fx.interval(row, endpoint)}), {p_text(float(row['p_value']))}"
    )
    found = f"The primary endpoint {endpoint.name}, {row['contrast']}: {numbers}, n = {row['n']}"
    if row["verdict"] == MET:
        least = fx.say(math.copysign(endpoint.minimum_effect, float(row["estimate"])), endpoint)
        asked = (
            "a change"
            if endpoint.direction == "either"
            else f"{'an' if endpoint.direction == 'increase' else 'a'} {endpoint.direction}"
        )
        return f"{found}; asked for was {asked}" + (f" of at least {least}." if endpoint.minimum_effect else ".")
    _, why = fx.decide(row | {"verdict": ""}, endpoint, alpha, corrected=False)
    return f"{found}; {why}."


def _headline(row: dict, endpoint: Endpoint) -> tuple[str, str]:
    if row["verdict"] == NOT_EVALUABLE:
        return "–", str(row["note"])
    kind = {"log_ratio": "fold change", "percent_change": "percent change", "difference": "change"}[endpoint.scale]
    if str(row["method"]).startswith("Mann-Whitney"):
        kind = "ratio of fold changes" if endpoint.scale == "log_ratio" else f"difference in {kind}"
    else:
        kind = f"median {kind}"
    caption = f"{kind} {row['contrast']} ({fx.interval(row, endpoint)}), n = {row['n']}"
    return fx.say(float(row["estimate"]), endpoint), caption


def _second_reading(row: dict, endpoint: Endpoint) -> str:
    if math.isnan(float(row["estimate"])):
        return f"read by {row['origin']}: not evaluable, {row['note']}"
    value = fx.say(float(row["estimate"]), endpoint)
    p = p_text(float(row["p_value"]))
    return f"read by {row['origin']} instead: {value} ({fx.interval(row, endpoint)}), {p}, n = {row['n']}"
