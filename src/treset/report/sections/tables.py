"""Monitors that are shown as their table of effects: signalling and clinical."""

from __future__ import annotations

from treset.report.blocks import Block, Note, Section, Table
from treset.report.context import Context
from treset.report.sections.effects import effects_table, notes

#: Monitor -> its name on the page.
NAMES = {"signalling": "Signalling", "clinical": "Clinical"}


def table_section(context: Context, name: str) -> Section | None:
    """Make a monitor's section, or None where the study does not ask for it."""
    monitor = context.results.monitors.get(name)
    if getattr(context.study.monitors, name) is None and monitor is None:
        return None
    title = NAMES[name]
    if monitor is None:
        gap = context.results.gaps.get(f"monitors/{name}", f"monitors/{name} is missing.")
        return Section(name, title, [Note(gap, "missing")], title)
    blocks: list[Block] = [every_effect(context, name), *notes(monitor.summary)]
    return Section(name, str(monitor.summary.get("title", title)), blocks, title)


def every_effect(context: Context, name: str, rows: int | None = None) -> Table:
    """Make the table of a monitor's effects, the first ``rows`` of them (None: all)."""
    effects = context.results.monitors[name].effects
    shown = effects if rows is None else effects.head(rows)
    return effects_table(context, shown, f"{NAMES[name]}: every endpoint", f"{name}_effects", "", effects)
