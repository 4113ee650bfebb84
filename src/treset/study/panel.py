"""``panel.tsv``: channels, their markers and roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from treset.study.faults import Collector, folded, shown
from treset.study.table import Table, read_table

#: Roles whose channels are phenotype: they need a marker, and each marker once.
PHENOTYPE = ("lineage", "state")


def read_panel(
    path: Path, faults: Collector, aliases: Mapping[str, Sequence[str]] | None = None, where: str | None = None
) -> pd.DataFrame | None:
    """Read and check a panel.

    Parameters
    ----------
    path
        The file: tab-delimited columns channel, marker, role, and optionally cofactor.
    faults
        Receives every fault.
    aliases
        Other names of markers; two rows that name one marker differently are a fault.
    where
        The place that named the file, for a file that is missing.

    Returns
    -------
    Columns channel, marker, role (text) and cofactor (float64, NaN where blank); None when it cannot be read.
    """
    table = read_table(path, "panel", faults, where, covariates=False)
    if table is None:
        return None
    _unique_channels(table, faults)
    _unique_markers(table, faults, aliases or {})
    roles = [row.typed.get("role") for row in table.rows]
    if table.rows and None not in roles and "lineage" not in roles:
        faults.add(
            shown(path), "no channel has the role lineage: populations need lineage markers, set their role to lineage"
        )
    return pd.DataFrame(
        {
            "channel": pd.array([row.cells["channel"] for row in table.rows], dtype="str"),
            "marker": pd.array([row.cells.get("marker", "") for row in table.rows], dtype="str"),
            "role": pd.array([row.typed.get("role", "ignore") for row in table.rows], dtype="str"),
            "cofactor": np.array([row.typed.get("cofactor", np.nan) for row in table.rows], dtype=np.float64),
        }
    )


def _unique_channels(table: Table, faults: Collector) -> None:
    lines: dict[str, int] = {}
    for row in table.rows:
        channel = row.cells["channel"]
        if not channel:
            continue
        if channel in lines:
            sentence = f"the channel '{channel}' was already given in line {lines[channel]}: keep one of the two"
            faults.cell(table.file, row.line, "channel", sentence, "twice")
        lines.setdefault(channel, row.line)


def _unique_markers(table: Table, faults: Collector, aliases: Mapping[str, Sequence[str]]) -> None:
    canonical = {folded(other): marker for marker, others in aliases.items() for other in others}
    seen: dict[str, tuple[str, int]] = {}
    for row in table.rows:
        marker = row.cells.get("marker", "")
        if not marker or row.typed.get("role") not in PHENOTYPE:
            continue
        key = folded(canonical.get(folded(marker), marker)) or marker
        if key in seen:
            other, line = seen[key]
            same = f"the marker '{marker}' was" if other == marker else f"the marker '{marker}' is '{other}', which was"
            sentence = f"{same} already given in line {line}: keep one, or set the role of the other to ignore"
            faults.cell(table.file, row.line, "marker", sentence, "twice")
        seen.setdefault(key, (marker, row.line))
