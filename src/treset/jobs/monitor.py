"""One monitor on the waist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from treset.io.table import read_profiles
from treset.monitor import read_clinical, run_monitor
from treset.monitor.common import write
from treset.study.model import Study


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
    result = run_monitor(name, read_profiles(profiles), study.samples, monitors, study.baseline, table)
    print(f"{name}: {result.summary['verdict']}: {result.summary['reason']}")
    write(result, folder)
