"""Did the drug expand Treg: change of endpoints from each patient's own baseline."""

from __future__ import annotations

import math

import pandas as pd

from treset.errors import TresetError
from treset.monitor import crosssection, responders
from treset.monitor import effects as fx
from treset.monitor.common import (
    CONFIDENCE,
    MET,
    NOT_EVALUABLE,
    MonitorResult,
    effects_table,
    join,
    p_text,
    prepare,
    summary,
)
from treset.monitor.diseases import disease_rows
from treset.monitor.sensitivity import sensitivity_rows
from treset.monitor.trial import Trial
from treset.monitor.values import CHANGE_COLUMNS, Changes
from treset.stats import Noise, bh
from treset.study.model import Endpoint, TregMonitor

TITLE = "Treg expansion"
_PATIENT_COLUMNS = (
    "patient", "arm", "disease", "endpoint", "role", "population", "measure", "marker", "origin", "baseline", "visit",
    "sample_baseline", "sample_visit", "baseline_value", "visit_value", "change", "scale", "fold", "call", "why",
    *responders.COLUMNS, *crosssection.COLUMNS,
)  # fmt: skip
#: How the readings are called in a sentence.
_READ_BY = {"gate": "gate", "cluster": "cluster", "adjusted": "cluster (adjusted shares)", "external": "external"}


def treg(profiles: pd.DataFrame, samples: pd.DataFrame, settings: TregMonitor, baseline: str) -> MonitorResult:
    """Test the endpoints of a Treg-expansion trial.

    Each patient's change from the own baseline is the datum. One arm (open-label): all patients together, Wilcoxon
    signed rank with the Hodges-Lehmann estimate. Two arms, or the two groups of an endpoint's contrast: change in one
    against the other, Mann-Whitney with the Hodges-Lehmann shift. More arms without a contrast: not evaluable; arms are
    never pooled. The primary endpoint is tested alone at its alpha (two-sided); secondary ones are corrected by
    Benjamini-Hochberg within their family. ``met``: significant, in the stated direction and at least the minimum
    effect; of a claim of equivalence or non-inferiority: its one-sided tests against the margin.

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
    Effects with role ``primary``, ``secondary``, ``supporting`` (the other origin, each arm, more contrasts),
    ``sensitivity`` (ANCOVA, repeated measures, time average), ``subgroup`` and ``pooled`` (diseases),
    ``cross_section`` (healthy donors) and ``descriptive`` (not tested): only the first two have verdicts. Patients: one
    row a patient and endpoint, with the reason where there is no change. What is absent is ``not evaluable``, with the
    reason.

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
    cohort = prepare(profiles, samples, resting=True, replicate_column=settings.replicate_column)
    cohort, donors, no_donors = crosssection.without_donors(cohort, settings.cross_section)
    trial = Trial(cohort, settings, baseline)
    rows, beside, patients = [], [], []
    for endpoint in settings.endpoints:
        found = trial.changes(endpoint, settings.origin)
        rows += trial.endpoint_rows(endpoint, found)
        beside += sensitivity_rows(trial, endpoint)
        if endpoint.role == "primary":
            beside += disease_rows(trial, endpoint)
        noise, said = responders.assay_noise(trial, endpoint)
        trial.notes.append(said)
        table = _patients(endpoint, found, trial, noise)
        beside += responders.responder_rows(trial, endpoint, table, noise)
        if endpoint.role == "primary":
            beside += trial.descriptive_rows(endpoint)
            if settings.cross_section is not None:
                crossed, places = crosssection.cross_section(
                    trial, endpoint, found, settings.cross_section, donors, no_donors
                )
                beside += crossed
                table[list(crosssection.COLUMNS)] = places[list(crosssection.COLUMNS)]
        patients.append(table)
    _judge(rows, trial)
    rows += beside
    table = pd.concat(patients, ignore_index=True) if patients else pd.DataFrame(columns=list(_PATIENT_COLUMNS))
    return MonitorResult("treg", effects_table(rows), table, _summary(rows, primaries, trial))


def _judge(rows: list[dict], trial: Trial) -> None:
    """Set q values and verdicts of the primary and the secondary rows, in place."""
    by_name = {endpoint.name: endpoint for endpoint in trial.settings.endpoints}
    secondary = [row for row in rows if row["role"] == "secondary" and row["verdict"] != NOT_EVALUABLE]
    families: dict[str, list[dict]] = {}
    for row in secondary:
        families.setdefault(by_name[str(row["endpoint"])].family, []).append(row)
    for family in families.values():
        for row, q in zip(family, bh([float(row["p_value"]) for row in family]), strict=True):
            row["q_value"] = float(q)
    for row in rows:
        if row["role"] in ("primary", "secondary"):
            endpoint, corrected = by_name[str(row["endpoint"])], row["role"] == "secondary"
            verdict, why = fx.decide(row, endpoint, trial.alpha(endpoint), corrected)
            row["verdict"], row["note"] = verdict, join([why, str(row["note"])])


def _patients(endpoint: Endpoint, found: Changes, trial: Trial, noise: Noise) -> pd.DataFrame:
    table = found.table[list(CHANGE_COLUMNS)].copy()
    table["endpoint"], table["role"] = endpoint.name, endpoint.role
    table["population"], table["measure"], table["marker"] = (
        endpoint.population,
        endpoint.measure,
        endpoint.marker or "",
    )
    table["origin"], table["scale"] = trial.settings.origin, endpoint.scale
    table["baseline"], table["visit"] = trial.baseline(endpoint), endpoint.visit
    if endpoint.window:
        visits = trial.cohort.sheet["visit"]
        table["visit"] = [visits.get(sample, "") for sample in table["sample_visit"]]
    calls = [responders.call(row, endpoint, trial.settings, noise) for row in table.to_dict("records")]
    table["call"] = [called for called, _, _ in calls]
    table["beyond_noise"] = [beyond for _, beyond, _ in calls]
    table["noise_band"] = noise.band
    table["why"] = [join([why, str(old)]) for (_, _, why), old in zip(calls, table["why"], strict=True)]
    table[list(crosssection.COLUMNS)] = ""
    return table[list(_PATIENT_COLUMNS)]


def _summary(rows: list[dict], primaries: list[Endpoint], trial: Trial) -> dict:
    settings, notes = trial.settings, trial.notes
    notes.append(
        f"intervals are {100 * CONFIDENCE:g} %; tests are two-sided at alpha {settings.alpha:g}; a sample counts from "
        f"{settings.min_events} cells of the denominator; secondary endpoints are corrected by "
        "Benjamini-Hochberg within their family; "
        "rows of other roles decide nothing and their p values are not corrected"
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
        monitor="treg", title=TITLE, verdict=str(row["verdict"]), reason=_reason(row, endpoint, trial),
        headline=_headline(row, endpoint), primary=row, settings=settings, notes=notes,
    )  # fmt: skip


def _reason(row: dict, endpoint: Endpoint, trial: Trial) -> str:
    alpha = trial.alpha(endpoint)
    if row["verdict"] == NOT_EVALUABLE:
        return f"The primary endpoint {endpoint.name} is not evaluable: {row['note']}."
    numbers = (
        f"{_kind(row, endpoint)} {fx.say(float(row['estimate']), endpoint)} ({fx.interval(row, endpoint)}), "
        f"{p_text(float(row['p_value']))}"
    )
    found = (
        f"The primary endpoint {endpoint.name} ({_what(endpoint, trial)}), {row['contrast']}: {numbers}, {_sizes(row)}"
    )
    if endpoint.claim != "change":
        claim = endpoint.claim.replace("_", "-")
        shown = "is" if row["verdict"] == MET else "is not"
        return f"{found}; {claim} {shown} shown against a margin of {_margin(endpoint)} (alpha {alpha:g})."
    found += f"; asked for: {_asked(endpoint)}"
    if row["verdict"] == MET:
        return f"{found} at alpha {alpha:g}."
    _, why = fx.decide(row | {"verdict": ""}, endpoint, alpha, corrected=False)
    return f"{found}; {why}."


def _what(endpoint: Endpoint, trial: Trial) -> str:
    """``Treg, percent of CD4 T``, ``median CD25 of Treg``."""
    rows = trial.cohort.profiles
    own = (rows["population"] == endpoint.population) & (rows["origin"] == trial.settings.origin)
    parents = rows.loc[own, "parent"].unique()
    parent = endpoint.parent or (parents[0] if len(parents) == 1 and parents[0] else "the parent")
    of = {
        "percent_of_parent": f"percent of {parent}",
        "percent_of_total": "percent of all cells",
        "count": "cells counted",
        "per_ul": "cells per microlitre",
    }.get(endpoint.measure)
    if of:
        return f"{endpoint.population}, {of}"
    if endpoint.measure == "ratio":
        return f"ratio of {endpoint.population} to {endpoint.marker}"
    return f"{endpoint.measure.replace('_', ' ')} {endpoint.marker} of {endpoint.population}"


def _kind(row: dict, endpoint: Endpoint) -> str:
    """What the estimate is; a fitted or summarised difference is named by its method."""
    kind = {"log_ratio": "fold change", "percent_change": "percent change", "difference": "change"}[endpoint.scale]
    if " vs " in str(row["contrast"]).partition(",")[2]:
        return "ratio of fold changes" if endpoint.scale == "log_ratio" else f"difference in {kind}"
    return f"median {kind}"


def _asked(endpoint: Endpoint) -> str:
    """``an increase of at least x1.2``."""
    word = {"increase": "an increase", "decrease": "a decrease"}.get(endpoint.direction, "a change")
    if not endpoint.minimum_effect:
        return word
    least = abs(endpoint.minimum_effect)
    if endpoint.direction == "either":
        return f"{word} of at least {fx.say(least, endpoint)} or {fx.say(-least, endpoint)}"
    return f"{word} of at least {fx.say(-least if endpoint.direction == 'decrease' else least, endpoint)}"


def _sizes(row: dict) -> str:
    """``n = 30 (IL-2 n = 15, placebo n = 15)``; of one group its number alone."""
    groups = next((part for part in str(row["note"]).split("; ") if part.count(" n = ") == 2), "")
    return f"n = {row['n']}" + (f" ({groups})" if groups else "")


def _margin(endpoint: Endpoint) -> str:
    margin = float(endpoint.margin or 0.0)
    return fx.say(
        -margin if endpoint.claim == "non_inferiority" and endpoint.direction == "decrease" else margin, endpoint
    )


def _headline(row: dict, endpoint: Endpoint) -> tuple[str, str]:
    if row["verdict"] == NOT_EVALUABLE:
        return "–", str(row["note"])
    caption = f"{_kind(row, endpoint)} {row['contrast']} ({fx.interval(row, endpoint)}), {_sizes(row)}"
    return fx.say(float(row["estimate"]), endpoint), caption


def _second_reading(row: dict, endpoint: Endpoint) -> str:
    if math.isnan(float(row["estimate"])):
        return f"read by {_READ_BY[row['origin']]}: not evaluable, {row['note']}"
    value = fx.say(float(row["estimate"]), endpoint)
    p = p_text(float(row["p_value"]))
    return f"read by {_READ_BY[row['origin']]} instead: {value} ({fx.interval(row, endpoint)}), {p}, n = {row['n']}"
