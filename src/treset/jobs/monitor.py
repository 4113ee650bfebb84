"""One monitor on the waist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from treset.io.table import read_profiles
from treset.monitor import read_clinical, run_monitor
from treset.monitor.common import MonitorResult, write
from treset.monitor.withhold import blind_effects, blind_summary, compares_arms
from treset.study.model import Study
from treset.texts import recoded


def monitor(name: str, profiles: Path, study: Study, folder: Path, markers: Sequence[str] = ()) -> None:
    """Run one monitor and write ``effects.tsv``, ``patients.tsv`` and ``summary.json``.

    Parameters
    ----------
    name
        One of ``treset.monitor.MONITORS``.
    profiles
        Any table of the waist's form.
    study
        Gives the sheet, the settings and the baseline.
    folder
        Written.
    markers
        Those of role state in the panel: discovery tests them unless its settings name others.
    """
    monitors = study.monitors
    if name == "discovery" and monitors.discovery is not None and not monitors.discovery.markers and markers:
        monitors = replace(monitors, discovery=replace(monitors.discovery, markers=tuple(markers)))
    table = None
    if name == "clinical" and monitors.clinical is not None:
        table = read_clinical(study.root / monitors.clinical.file)
    waist = read_profiles(profiles, compact=True)
    if study.blinded:
        waist = _coded(waist, study)
    result = run_monitor(name, waist, study.samples, monitors, study.baseline, table)
    if study.blinded:
        result = _withheld(name, result, study)
    print(f"{name}: {result.summary['verdict']}: {result.summary['reason']}")
    write(result, folder)


def _coded(profiles: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The table with the blinded sheet's codes as arms, also where it comes from elsewhere."""
    arms = dict(zip(study.samples["patient"], study.samples["arm"], strict=True))
    in_vitro = profiles["stimulus"] != ""
    arm = recoded(profiles["patient"], lambda p: str(arms.get(p, "")))
    return profiles.assign(arm=arm, dose=profiles["dose"].where(in_vitro))


def _withheld(name: str, result: MonitorResult, study: Study) -> MonitorResult:
    arms = sorted(set(study.samples["arm"]) - {""})
    by_arm = name == "discovery" and compares_arms(study.monitors.discovery)
    return replace(
        result,
        effects=blind_effects(result.effects, arms, by_arm),
        summary=blind_summary(result.summary, arms, by_arm),
    )
