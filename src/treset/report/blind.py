"""A blinded study: the page shows arms by code and nothing that says which is which."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from treset.monitor.withhold import blind_effects, blind_summary, compares_arms, names, say
from treset.report.context import Context, labels
from treset.report.read import Monitor
from treset.study.blind import blind_study
from treset.study.model import Study
from treset.texts import recoded

__all__ = ["blind", "names"]

#: Columns of the sheet that are kept; any other could tell the arm.
KEPT = ("sample", "file", "patient", "visit", "day", "arm", "disease", "batch", "anchor", "stimulus", "dose",
        "cells_per_ul", "counted_population", "exclude")  # fmt: skip


def blind(context: Context) -> Context:
    """Show arms by code; withhold doses, covariates, and every effect and sentence that names an arm.

    An open study is unchanged. A study that was read as blinded holds codes already; this is the second door.
    """
    study = context.study
    if not study.blinded:
        return context
    coded = blind_study(study)
    kept = coded.samples[[c for c in coded.samples.columns if c in KEPT]]
    arms = list(dict.fromkeys([*labels(study.samples["arm"]), *labels(kept["arm"])]))
    named = [arm for arm in labels(study.samples["arm"]) if arm not in set(kept["arm"])]
    of_patient = dict(zip(kept["patient"].astype(str), kept["arm"].astype(str), strict=True))
    results = context.results
    return Context(
        replace(coded, samples=kept, warnings=tuple(say(w, named) for w in coded.warnings)),
        replace(
            results,
            profiles=_profiles(results.profiles, kept),
            monitors={n: _monitor(m, arms, named, of_patient, study) for n, m in results.monitors.items()},
        ),
    )


def _profiles(profiles: pd.DataFrame, sheet: pd.DataFrame) -> pd.DataFrame:
    """The waist with the sheet's codes, whatever it was gathered with."""
    codes = dict(zip(sheet["sample"].astype(str), sheet["arm"].astype(str), strict=True))
    arm = recoded(profiles["sample"], lambda sample: codes.get(sample, ""))
    return profiles.assign(arm=arm, dose=profiles["dose"].where(profiles["stimulus"] != ""))


def _monitor(monitor: Monitor, arms: list[str], named: list[str], of_patient: dict[str, str], study: Study) -> Monitor:
    by_arm = monitor.name == "discovery" and compares_arms(study.monitors.discovery)
    patients = monitor.patients.drop(columns=[c for c in ("dose",) if c in monitor.patients])
    if "arm" in patients:
        patients["arm"] = [of_patient.get(str(p), "") for p in patients["patient"]]
    for column in patients.columns.difference(["patient", "arm"]):
        if not pd.api.types.is_numeric_dtype(patients[column]):
            patients[column] = patients[column].map(lambda v: say(v, named))
    effects = blind_effects(monitor.effects, arms, by_arm)
    return replace(monitor, effects=effects, patients=patients, summary=blind_summary(monitor.summary, arms, by_arm))
