"""The B-cell monitor: share by visit with limits of detection, aplasia, recovery, naive share."""

from __future__ import annotations

import math

import pandas as pd

from treset.report.blocks import Block, Figure, Note, Section, download
from treset.report.context import Context, labels, visits
from treset.report.figures.recovery import recovery
from treset.report.figures.timeline import Course, timeline
from treset.report.sections.effects import effects_table, notes
from treset.study.model import BcellMonitor


def shares(context: Context, settings: BcellMonitor) -> pd.DataFrame:
    """Give the B-cell share by sample: patient, visit, day, count, of, share (percent), naive (percent of B).

    All are read from the waist; the share is percent_of_total when the denominator is ``cells``.
    """
    total = settings.of == "cells"
    share = context.values(
        settings.b,
        "percent_of_total" if total else "percent_of_parent",
        settings.origin,
        None if total else settings.of,
        resting=True,
    )
    counts = context.values(settings.b, "count", settings.origin, resting=True)
    table = share[["sample", "patient", "visit", "day", "value", "n_cells"]].rename(
        columns={"value": "share", "n_cells": "of"}
    )
    table = table.merge(counts[["sample", "value"]].rename(columns={"value": "count"}), on="sample", how="left")
    naive = table["sample"].map(_naive(context, settings))
    enough = (table["count"] >= settings.min_b_events) & (naive <= table["count"])
    table["naive"] = (100 * naive / table["count"]).where(enough)
    return table


def _naive(context: Context, settings: BcellMonitor) -> pd.Series:
    """Count the naive B cells by sample: those populations that are B cells, none counted inside another."""
    names = [
        p
        for p in settings.naive
        if settings.b in context.ancestors(p) and not set(context.ancestors(p)) & set(settings.naive)
    ]
    found = [context.values(p, "count", settings.origin, resting=True).set_index("sample")["value"] for p in names]
    found = [f for f in found if len(f)]
    return pd.concat(found, axis=1).sum(axis=1, min_count=1) if found else pd.Series(dtype=float)


def courses(context: Context, settings: BcellMonitor) -> tuple[Block, pd.DataFrame]:
    """Draw a panel a patient."""
    table = shares(context, settings)
    if table["share"].notna().sum() == 0:
        return Note(
            f"The profiles hold no share of {settings.b} of {settings.of}: no course can be drawn.", "missing"
        ), table
    order = visits(context.subjects(resting=True))
    by_day = bool(table["day"].notna().all())
    drawn = table.assign(day=table["day"] if by_day else table["visit"].map(order.index).astype(float))
    monitor = context.results.monitors.get("bcell")
    told = _told(monitor.patients) if monitor else {}
    lines = [(settings.aplasia_percent, "aplasia"), (settings.recovery_percent, "recovery")]
    made = []
    for patient in labels(context.subjects()["patient"]):
        rows = drawn[(drawn["patient"] == patient) & drawn["share"].notna()]
        if len(rows):
            own = told.get(patient, {})
            days = [own.get(k) if by_day else None for k in ("aplasia", "after", "recovery")]
            made.append(Course(patient, str(own.get("call", "")), str(own.get("why", "")), rows, *days))
    label = f"{settings.b}, % of {settings.of}"
    svg = timeline(made, lines, label, "study day" if by_day else "visit")
    caption = (
        "Bars: exact 95 % Poisson limits (Garwood 1936). Open triangle: none seen, drawn at the upper limit. Dashed: "
        f"thresholds. Green: recovery lies between these two visits. Naive = {' + '.join(settings.naive)}, % of "
        f"{settings.b}, written where {settings.min_b_events} or more {settings.b} cells were counted."
    )
    return Figure(f"{label}, patient by patient", svg, caption, download("bcell_courses", table), True), table


def _told(patients: pd.DataFrame) -> dict[str, dict]:
    """Read call, reason and days from patients.tsv by the names of its columns; what is not there is left out."""

    def column(*words: str) -> str | None:
        return next((c for w in words for c in patients.columns if c == w), None)

    call, why = column("call", "verdict"), column("why", "reason")
    aplasia, after, recovery = column("aplasia_day"), column("recovery_after_day"), column("recovery_day")
    found = {}
    for row in patients.to_dict("records") if "patient" in patients else []:
        own = {k: row[c] for k, c in (("call", call), ("why", why)) if c}
        own |= {
            k: float(row[c])
            for k, c in (("aplasia", aplasia), ("after", after), ("recovery", recovery))
            if c and isinstance(row[c], int | float) and not pd.isna(row[c])
        }
        found.setdefault(str(row["patient"]), own)
    return found


def recovery_block(summary: dict) -> list[Block]:
    """Draw the curve that the monitor left in its summary, or nothing where no patient was in aplasia."""
    found = summary.get("recovery_curve") or []
    steps = [
        (float(step["left"]), math.inf if step["right"] is None else float(step["right"]), float(step["share"]))
        for step in found
    ]
    if not steps:
        return []
    table = pd.DataFrame(steps, columns=["after_day", "until_day", "share_of_patients"])
    caption = (
        "Patients in aplasia whose B cells are not back, percent (Turnbull 1976). Recovery is only known to lie "
        "between two visits: there the area is shaded, and the line takes every day as equally likely, as do the "
        "median and its limits."
    )
    title = "Patients not yet recovered"
    return [Figure(title, recovery(steps, title), caption, download("bcell_recovery", table))]


def bcell_section(context: Context, lead: bool) -> Section | None:
    """Make the section, or None without a B-cell monitor; ``lead``: the courses are on the first screen."""
    settings = context.study.monitors.bcell
    monitor = context.results.monitors.get("bcell")
    if settings is None and monitor is None:
        return None
    blocks: list[Block] = []
    if settings is not None and not lead:
        blocks.append(courses(context, settings)[0])
    if monitor is None:
        blocks.append(Note(context.results.gaps.get("monitors/bcell", "monitors/bcell is missing."), "missing"))
    else:
        blocks += recovery_block(monitor.summary)
        caption = "Estimates are on the scale named beside them; descriptive rows are not tests of the trial."
        blocks.append(
            effects_table(
                context, monitor.effects, "Reset, and composition by visit", "bcell_effects", caption, monitor.effects
            )
        )
        blocks += notes(monitor.summary)
    title = str(monitor.summary.get("title", "B-cell reset")) if monitor else "B-cell reset"
    rule = ""
    if settings is not None:
        rule = (
            f"Aplasia: upper limit under {settings.aplasia_percent:g} % of {settings.of}; recovery: first of two "
            f"consecutive visits at or above {settings.recovery_percent:g} %; reset: naive share at recovery at or "
            f"above {settings.naive_percent:g} % of {settings.b}."
        )
    return Section("bcell", title, blocks, "B cells", rule)
