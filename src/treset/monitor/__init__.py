"""Monitors: a profiles table in, effects and a verdict out; a monitor never sees a cell."""

from __future__ import annotations

import pandas as pd

from treset.errors import TresetError
from treset.monitor.bcell import bcell
from treset.monitor.clinical import clinical
from treset.monitor.clinical_table import read_clinical
from treset.monitor.common import EFFECT_COLUMNS, MonitorResult, suggest, write
from treset.monitor.discovery import discovery
from treset.monitor.signalling import signalling
from treset.monitor.treg import treg
from treset.study.model import Monitors

#: The monitors there are, in the order of the report.
MONITORS = ("treg", "bcell", "signalling", "clinical", "discovery")

__all__ = [
    "EFFECT_COLUMNS",
    "MONITORS",
    "MonitorResult",
    "bcell",
    "clinical",
    "discovery",
    "read_clinical",
    "run_monitor",
    "signalling",
    "treg",
    "write",
]


def run_monitor(
    name: str,
    profiles: pd.DataFrame,
    samples: pd.DataFrame,
    monitors: Monitors,
    baseline: str,
    clinical_table: pd.DataFrame | None = None,
) -> MonitorResult:
    """Run one monitor.

    Parameters
    ----------
    name
        One of ``MONITORS``.
    profiles
        The waist.
    samples
        The sheet (``Study.samples``).
    monitors
        The study's monitors.
    baseline
        The study's baseline visit.
    clinical_table
        Of ``read_clinical``; needed by the monitor clinical.

    Raises
    ------
    TresetError
        For an unknown monitor, one that the config does not set, or malformed tables.
    """
    if name not in MONITORS:
        raise TresetError(f"there is no monitor {name!r}{suggest(name, MONITORS)}")
    if name == "treg" and monitors.treg is not None:
        return treg(profiles, samples, monitors.treg, baseline)
    if name == "bcell" and monitors.bcell is not None:
        return bcell(profiles, samples, monitors.bcell, baseline)
    if name == "signalling" and monitors.signalling is not None:
        return signalling(profiles, samples, monitors.signalling, baseline)
    if name == "clinical" and monitors.clinical is not None:
        if clinical_table is None:
            raise TresetError("monitor clinical needs the table that monitors.clinical.file names; read it first")
        return clinical(profiles, samples, clinical_table, monitors.clinical, monitors.treg, baseline)
    if name == "discovery" and monitors.discovery is not None:
        return discovery(profiles, samples, monitors.discovery)
    raise TresetError(f"monitor {name} is not set in the config; add monitors.{name} to use it")
