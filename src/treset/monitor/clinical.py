"""Clinical outcomes between arms, and their association with the immune response."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from treset.errors import TresetError
from treset.monitor import crosssection
from treset.monitor import effects as fx
from treset.monitor.clinical_table import check_patients, outcome_of
from treset.monitor.common import (
    CONFIDENCE,
    NOT_EVALUABLE,
    MonitorResult,
    effect,
    effects_table,
    join,
    p_text,
    prepare,
    summary,
)
from treset.monitor.trial import Design, Trial
from treset.stats import (
    Estimate,
    bh,
    hazard_ratio,
    km_median,
    mann_whitney,
    mann_whitney_attainable,
    rate_ratio,
    spearman,
)
from treset.stats.outcomes import cox
from treset.study.model import ClinicalMonitor, Endpoint, Outcome, TregMonitor

TITLE = "Clinical outcomes"
_PATIENT_COLUMNS = ("patient", "arm", "disease", "endpoint", "role", "measure", "kind", "value", "time", "call", "why")


def clinical(
    profiles: pd.DataFrame, samples: pd.DataFrame, table: pd.DataFrame, settings: ClinicalMonitor,
    treg: TregMonitor | None, baseline: str,
) -> MonitorResult:  # fmt: skip
    """Compare the arms on clinical outcomes and relate these to the immune response.

    Scores: change by Mann-Whitney with the Hodges-Lehmann shift. Counts: ratio of rates by negative-binomial
    regression. Events: log-rank test and Cox hazard ratio. Association with the change of the monitor treg's primary
    endpoint, within each arm: Spearman's correlation with its interval, for events the hazard ratio for one unit of the
    change, from the immune visit on.

    Parameters
    ----------
    profiles, samples
        The waist and the sheet.
    table
        Of :func:`treset.monitor.clinical_table.read_clinical`.
    settings
        The outcomes.
    treg
        Gives the immune response and the healthy donors; None: no association.
    baseline
        The study's baseline visit.

    Returns
    -------
    Effects with role ``primary``, ``secondary``, ``supporting`` (each arm by itself) and ``association``. Fewer or more
    than two arms without a contrast: not evaluable. A patient all of whose samples are excluded in the sheet is shown
    with the reason and takes no part.

    Raises
    ------
    TresetError
        For malformed tables, a patient that the sheet does not know, more than one primary outcome.
    """
    primaries = [outcome for outcome in settings.outcomes if outcome.role == "primary"]
    if len(primaries) > 1:
        names = ", ".join(outcome.name for outcome in primaries)
        raise TresetError(f"config, monitors.clinical.outcomes: {names} are all primary; expected is at most one")
    cohort = prepare(profiles, samples, resting=True)
    check_patients(table, cohort.patients.index)
    cohort, _, _ = crosssection.without_donors(cohort, treg.cross_section if treg is not None else None)
    asked = treg if treg is not None else TregMonitor(())
    asked = replace(asked, reference_arm=settings.reference_arm or asked.reference_arm, alpha=settings.alpha)
    trial = Trial(cohort, asked, baseline)
    response = _immune(trial, treg)
    excluded = _excluded(trial, samples)
    rows, beside, patients = [], [], []
    for outcome in settings.outcomes:
        found = _of_patients(trial, table, outcome, excluded)
        design = trial.design(_endpoint(outcome, settings))
        rows.append(_main_row(found, outcome, design, settings))
        beside += _arm_rows(found, outcome, trial)
        beside += _association_rows(found, outcome, trial, response)
        patients.append(found)
    _judge(rows, settings)
    listed = pd.concat(patients, ignore_index=True)[list(_PATIENT_COLUMNS)]
    said = _summary(rows, primaries, trial, settings)
    return MonitorResult("clinical", effects_table([*rows, *beside]), listed, said)


def _endpoint(outcome: Outcome, settings: ClinicalMonitor) -> Endpoint:
    """The outcome as the rules of a verdict see it."""
    scale = "difference" if outcome.kind == "score" else "log_ratio"
    return Endpoint(outcome.name, outcome.role, "", outcome.measure, scale=scale, direction=outcome.direction,
                    minimum_effect=outcome.minimum_effect, contrast=settings.contrast)  # fmt: skip


def _excluded(trial: Trial, samples: pd.DataFrame) -> dict[str, str]:
    """Patient -> reason, where every sample is excluded in the sheet."""
    if "exclude" not in samples.columns:
        return {}
    reasons = samples["exclude"].astype("object").where(samples["exclude"].notna(), "").astype("str")
    found = {}
    for patient, own in reasons.groupby(samples["patient"].astype("str"), sort=False):
        if (own != "").all() and patient in trial.cohort.patients.index:
            found[str(patient)] = f"excluded in the sheet: {join(own)}"
    return found


def _of_patients(trial: Trial, table: pd.DataFrame, outcome: Outcome, excluded: dict[str, str]) -> pd.DataFrame:
    of_measure = table[table["measure"] == outcome.measure]
    rows = []
    for patient, known in trial.cohort.patients.iterrows():
        found = outcome_of(of_measure[of_measure["patient"] == patient], outcome)
        why, value = excluded.get(str(patient), found.why), found.value
        if str(patient) in excluded:
            value = math.nan
        rows.append(
            {"patient": str(patient), "arm": known["arm"], "disease": known["disease"], "endpoint": outcome.name,
             "role": outcome.role, "measure": outcome.measure, "kind": outcome.kind, "value": value,
             "time": found.time, "call": NOT_EVALUABLE if math.isnan(value) else "", "why": why}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _row(outcome: Outcome, role: str, contrast: str) -> dict:
    scale = "difference" if outcome.kind == "score" else "log_ratio"
    return effect(endpoint=outcome.name, measure=outcome.measure, contrast=contrast, scale=scale, role=role)


def _main_row(found: pd.DataFrame, outcome: Outcome, design: Design, settings: ClinicalMonitor) -> dict:
    problem = design.problem or ("" if design.pair else "one arm: there is nothing to compare with")
    if design.pair is None:
        return _row(outcome, outcome.role, "") | {"verdict": NOT_EVALUABLE, "note": problem}
    row = _row(outcome, outcome.role, f"{design.pair[0]} vs {design.pair[1]}")
    usable = found[found["value"].notna()]
    group = usable["patient"].map(design.labels).fillna("")
    usable, group = usable[group.isin(design.pair)], group[group.isin(design.pair)]
    treated = (group == design.pair[0]).to_numpy()
    sizes = f"{design.pair[0]} n = {int(treated.sum())}, {design.pair[1]} n = {int((~treated).sum())}"
    row["n"] = len(usable)
    if problem or not treated.any() or treated.all():
        why = problem or "an arm has no patient with a value"
        return row | {"verdict": NOT_EVALUABLE, "note": join([why, sizes])}
    return row | _compare(usable, treated, outcome, sizes, settings.alpha)


def _compare(usable: pd.DataFrame, treated: np.ndarray, outcome: Outcome, sizes: str, alpha: float) -> dict:
    value, time = usable["value"].to_numpy(dtype=float), usable["time"].to_numpy(dtype=float)
    if outcome.kind == "score":
        test = mann_whitney(value[treated], value[~treated], CONFIDENCE)
        enough = mann_whitney_attainable(int(treated.sum()), int((~treated).sum()), alpha)
        short = "" if enough else f"p < {alpha:g} cannot be reached with so few patients"
        return {
            "n": test.n, "estimate": test.estimate, "lower": test.lower, "upper": test.upper,
            "p_value": test.p_value, "method": test.method, "converged": True,
            "verdict": "" if enough else NOT_EVALUABLE, "note": join([short, sizes, test.note]),
        }  # fmt: skip
    if outcome.kind == "count":
        return _numbers(rate_ratio(value, time, treated, CONFIDENCE), sizes)
    return _numbers(hazard_ratio(time, value == 1, treated, CONFIDENCE), sizes)


def _numbers(found: Estimate, *notes: str) -> dict:
    made = found.converged and not math.isnan(found.estimate)
    return {
        "n": found.n, "estimate": found.estimate, "lower": found.lower, "upper": found.upper,
        "p_value": found.p_value, "method": found.method, "converged": found.converged,
        "verdict": "" if made else NOT_EVALUABLE, "note": join([found.note, *notes]),
    }  # fmt: skip


def _arm_rows(found: pd.DataFrame, outcome: Outcome, trial: Trial) -> list[dict]:
    """Each arm by itself: median change, rate a year, or Kaplan-Meier median; described, not tested."""
    rows = []
    for arm in trial.arms or [""]:
        own = found[(found["arm"] == arm) & found["value"].notna()] if arm else found[found["value"].notna()]
        row = _row(outcome, "supporting", f"arm {arm}" if arm else "all patients") | {"n": len(own)}
        if own.empty:
            rows.append(row | {"verdict": NOT_EVALUABLE, "note": "no patient with a value"})
            continue
        value, time = own["value"].to_numpy(dtype=float), own["time"].to_numpy(dtype=float)
        if outcome.kind == "score":
            known = {"estimate": float(np.median(value)), "scale": "difference", "method": "median change"}
        elif outcome.kind == "count":
            rate = 365.25 * float(value.sum()) / float(time.sum())
            known = {"estimate": rate, "scale": "rate a year", "method": "events over time observed",
                     "note": f"{value.sum():g} events in {time.sum():g} days"}  # fmt: skip
        else:
            median = km_median(time, value == 1)
            reached = math.isfinite(median.time)
            known = {"estimate": median.time if reached else math.nan, "scale": "days", "method": "Kaplan-Meier median",
                     "note": f"{median.events} events" + ("" if reached else ", median not reached")}  # fmt: skip
        rows.append(row | {"converged": True} | known)
    return rows


def _immune(trial: Trial, treg: TregMonitor | None) -> pd.DataFrame | None:
    """Change of treg's primary endpoint by patient, with the day of its visit."""
    primary = next((e for e in treg.endpoints if e.role == "primary"), None) if treg is not None else None
    if primary is None:
        trial.notes.append("no association: the monitor treg, which gives the immune response, has no primary endpoint")
        return None
    found = trial.changes(primary, trial.settings.origin)
    if found.problem:
        trial.notes.append(f"no association with {primary.name}: {found.problem}")
        return None
    table = found.evaluable.set_index("patient")
    day = trial.cohort.sheet["day"].reindex(table["sample_visit"]).to_numpy(dtype=float)
    return table[["change"]].assign(day=day, name=primary.name)


def _association_rows(
    found: pd.DataFrame, outcome: Outcome, trial: Trial, response: pd.DataFrame | None
) -> list[dict]:  # fmt: skip
    """Within each arm: across arms, an effect of the drug on both would pass for an association."""
    if response is None or response.empty:
        return []
    rows = []
    joined = found[found["value"].notna()].join(response, on="patient", how="inner")
    for arm in trial.arms or [""]:
        own = joined[joined["arm"] == arm] if arm else joined
        name = str(response["name"].iloc[0])
        contrast = f"with {name}" + (f", arm {arm}" if arm else "")
        row = _row(outcome, "association", contrast)
        if outcome.kind == "event":
            rows.append(row | _event_association(own))
            continue
        value = own["value"] / own["time"] if outcome.kind == "count" else own["value"]
        fitted = spearman(own["change"], value, CONFIDENCE)
        rows.append(row | {"scale": "correlation"} | _with_interval(fitted, ""))
    return rows


def _event_association(own: pd.DataFrame) -> dict:
    """Hazard ratio for one unit of the immune change, time counted from the immune visit (a landmark)."""
    late = own[own["time"] > own["day"]]
    gone = len(own) - len(late)
    told = f"{gone} with the event or the end of observation before the immune visit: left out" if gone else ""
    if len(late) < 5 or not (late["value"] == 1).any():
        return {"n": len(late), "scale": "log_ratio", "verdict": NOT_EVALUABLE, "method": "Cox proportional hazards",
                "note": join(["fewer than 5 patients or no event after the immune visit", told])}  # fmt: skip
    time = (late["time"] - late["day"]).to_numpy(dtype=float)
    fitted = cox(time, (late["value"] == 1).to_numpy(), late["change"].to_numpy(dtype=float), CONFIDENCE)
    return {"scale": "log_ratio"} | _with_interval(fitted, join(["hazard for one unit of the change", told]))


def _with_interval(found: Estimate, *notes: str) -> dict:
    """Numbers of an association; a p value without an interval is not shown."""
    row = _numbers(found, *notes)
    return row | ({"p_value": math.nan} if math.isnan(found.lower) else {})


def _judge(rows: list[dict], settings: ClinicalMonitor) -> None:
    by_name = {outcome.name: _endpoint(outcome, settings) for outcome in settings.outcomes}
    tested = [row for row in rows if row["role"] == "secondary" and row["verdict"] != NOT_EVALUABLE]
    for row, q in zip(tested, bh([float(row["p_value"]) for row in tested]), strict=True):
        row["q_value"] = float(q)
    for row in rows:
        endpoint = by_name[str(row["endpoint"])]
        verdict, why = fx.decide(row, endpoint, settings.alpha, row["role"] == "secondary")
        row["verdict"], row["note"] = verdict, join([why, str(row["note"])])


def _summary(rows: list[dict], primaries: list[Outcome], trial: Trial, settings: ClinicalMonitor) -> dict:
    notes = [
        *trial.notes,
        f"intervals are {100 * CONFIDENCE:g} %; tests are two-sided at alpha {settings.alpha:g}; secondary outcomes "
        "are corrected by Benjamini-Hochberg; associations are within arms and not corrected",
    ]
    if not primaries:
        reason = "no primary outcome is set"
        return summary(monitor="clinical", title=TITLE, verdict=NOT_EVALUABLE, reason=reason, headline=("–", reason),
                       primary=None, settings=settings, notes=notes)  # fmt: skip
    row = next(row for row in rows if row["role"] == "primary")
    endpoint = _endpoint(primaries[0], settings)
    if row["verdict"] == NOT_EVALUABLE:
        reason, headline = f"the primary outcome {endpoint.name} is not evaluable: {row['note']}", ("–", row["note"])
    else:
        value, limits = fx.say(float(row["estimate"]), endpoint), fx.interval(row, endpoint)
        words = {"score": "difference of the change", "count": "ratio of rates", "event": "hazard ratio"}
        caption = f"{words[primaries[0].kind]}, {row['contrast']} ({limits}), n = {row['n']}"
        reason = f"the primary outcome {endpoint.name}, {row['contrast']}: {value} ({limits}), "
        reason += f"{p_text(float(row['p_value']))}; {row['verdict']}: {row['note']}"
        headline = (value, caption)
    return summary(monitor="clinical", title=TITLE, verdict=str(row["verdict"]), reason=reason, headline=headline,
                   primary=row, settings=settings, notes=notes)  # fmt: skip
