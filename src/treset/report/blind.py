"""A blinded study: nothing in the report tells the arms apart.

Rows stay, so that nothing is silently dropped: their numbers are removed and their note says why.
"""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd

from treset.report.context import Context, labels
from treset.report.read import Monitor
from treset.study.model import Study

WITHHELD = "withheld: the study is blinded"
#: Columns of the sheet that are kept; any other could tell the arm.
KEPT = ("sample", "file", "patient", "visit", "day", "arm", "disease", "batch", "anchor", "stimulus", "dose",
        "cells_per_ul", "counted_population", "exclude")  # fmt: skip
#: Columns that may be contrasted without telling the arms apart.
OPEN = ("patient", "visit", "day", "disease", "batch", "stimulus")
NUMBERS = ["estimate", "lower", "upper", "p_value", "q_value", "n"]


def blind(context: Context) -> Context:
    """Withhold arms, doses, covariates, and every effect and sentence that names an arm; an open study is unchanged."""
    study = context.study
    if not study.blinded:
        return context
    arms = labels(study.samples["arm"])
    results = context.results
    return Context(
        replace(study, samples=_mask(study.samples), warnings=tuple(_say(w, arms) for w in study.warnings)),
        replace(
            results,
            profiles=_mask(results.profiles),
            monitors={name: _monitor(monitor, arms, study) for name, monitor in results.monitors.items()},
        ),
    )


def names(value: object, arms: list[str]) -> bool:
    """Tell whether a text names an arm (as a whole word, in any case)."""
    text = _words(str(value))
    return any(_words(arm) in text for arm in arms)


def _words(text: str) -> str:
    return " " + " ".join(re.split(r"[\s,;:()\[\]'\"]+", text.casefold())).strip() + " "


def _say(value: object, arms: list[str]) -> str:
    return WITHHELD if names(value, arms) else str(value)


def _mask(table: pd.DataFrame) -> pd.DataFrame:
    table = table[[c for c in table.columns if c in KEPT]] if "file" in table else table
    return table.assign(arm="", dose=float("nan"))


def _monitor(monitor: Monitor, arms: list[str], study: Study) -> Monitor:
    contrasted = study.monitors.discovery.column if study.monitors.discovery else ""
    by_arm = monitor.name == "discovery" and contrasted not in OPEN
    effects = monitor.effects.copy()
    text = effects[["endpoint", "contrast", "note"]].agg(" ; ".join, axis=1) if len(effects) else pd.Series(dtype=str)
    hidden = text.map(lambda t: by_arm or names(t, arms)).astype(bool)
    effects[NUMBERS] = effects[NUMBERS].astype("float64").mask(hidden)
    effects.loc[hidden, "contrast"] = "between arms"
    effects.loc[hidden, "verdict"] = "not evaluable"
    effects.loc[hidden, "note"] = WITHHELD
    patients = monitor.patients.drop(columns=[c for c in ("arm", "dose") if c in monitor.patients])
    for column in patients.columns.difference(["patient"]):
        if not pd.api.types.is_numeric_dtype(patients[column]):
            patients[column] = patients[column].map(lambda v: _say(v, arms))
    return replace(monitor, effects=effects, patients=patients, summary=_summary(monitor.summary, arms, by_arm))


def _summary(summary: dict, arms: list[str], by_arm: bool) -> dict:
    primary = summary.get("primary")
    headline = summary.get("headline")
    told = [summary.get("reason", ""), *(headline.values() if isinstance(headline, dict) else ())]
    told += list(primary.values()) if isinstance(primary, dict) else []
    hidden = dict(summary) | {"notes": [_say(n, arms) for n in summary.get("notes") or []]}
    if by_arm or any(names(t, arms) for t in told):
        hidden |= {"verdict": "not evaluable", "reason": f"The comparison of the arms is {WITHHELD}.", "primary": None}
        hidden["headline"] = {"value": "blinded", "caption": WITHHELD}
    return hidden
