"""A measure by visit: thin patients, thick median with quartiles, one panel a reading."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from treset.report import text
from treset.report.svg import INK, MUTED, PALETTE, SOFT, Drawing, Linear, nice_ticks

WIDTH, PLOT, LEFT, TOP, ROW = 620, 226, 96, 44, 16
BELOW = TOP + PLOT + 44


@dataclass(frozen=True)
class Panel:
    """One reading: rows of the waist (one a sample) and what they are called."""

    title: str
    rows: pd.DataFrame


@dataclass(frozen=True)
class Group:
    """Patients that share a thick line."""

    name: str
    colour: str
    shape: int
    shift: float


@dataclass(frozen=True)
class _Plane:
    """The drawing with the scales of one panel."""

    drawing: Drawing
    x: dict[str, float]
    y: Linear
    left: float
    width: float
    min_events: int


def longitudinal(
    panels: Sequence[Panel],
    visits: Sequence[str],
    label: str,
    group: str | None = None,
    min_events: int = 0,
    colour: str | None = None,
) -> Markup:
    """Draw the panels side by side on one y axis.

    Parameters
    ----------
    panels
        Each with columns patient, visit, day, value, n_cells and those named by ``group`` and ``colour``.
    visits
        The study's visits in order; a patient without a value at one has a hole there.
    label
        What the values are, with their denominator.
    group
        Column of the thick lines (arm); None: all patients together.
    min_events
        Values that rest on fewer cells are drawn hollow and stay out of lines and medians.
    colour
        Column that colours the thin lines when there is no group (disease).
    """
    every = pd.concat([p.rows for p in panels], ignore_index=True)
    names = _labels(every, group) if group else ["all patients"]
    kinds = _labels(every, colour) if colour and not group else []
    groups = [
        Group(n, PALETTE[k % len(PALETTE)] if group else INK, k, (k - (len(names) - 1) / 2) * 5)
        for k, n in enumerate(names)
    ]
    height = BELOW + ROW * (len(groups) + (1 if len(kinds) > 1 else 0)) + 2
    drawing = Drawing(WIDTH, height, f"{label}, by visit", "Thin lines: patients. Thick line: median; bars: quartiles.")
    y, ticks = _vertical(every["value"].dropna())
    gap = 30
    width = (WIDTH - LEFT - 10 - gap * (len(panels) - 1)) / len(panels)
    drawing.text(LEFT - 96, 13, text.cut(label, WIDTH - 60), fill=SOFT, label=label)
    for i, panel in enumerate(panels):
        left = LEFT + i * (width + gap)
        plane = _Plane(drawing, _places(every, visits, left, width), y, left, width, min_events)
        _frame(plane, ticks, visits, panel.title, first=i == 0)
        for patient, own in panel.rows.groupby("patient", sort=False):
            _patient(plane, str(patient), own, visits, _shade(own, group, names, colour, kinds))
        for k, one in enumerate(groups):
            rows = panel.rows[panel.rows[group].astype(str) == one.name] if group else panel.rows
            _median(plane, rows, visits, one, BELOW + ROW * k + 4)
    _key(drawing, groups, kinds)
    return drawing.markup()


def _labels(rows: pd.DataFrame, column: str | None) -> list[str]:
    return [v for v in rows[column].astype(str).drop_duplicates() if v not in ("", "nan")] if column else []


def _vertical(values: pd.Series) -> tuple[Linear, list[float]]:
    """Start at zero, unless the values lie far above it."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    span = (high - low) or abs(high) or 1.0
    bottom = low - 0.15 * span if low > 2 * span or low < 0 else 0.0
    ticks = nice_ticks(bottom, high + 0.05 * span, 5)
    return Linear(bottom, max(high + 0.05 * span, ticks[-1]), TOP + PLOT, TOP), ticks


def _places(rows: pd.DataFrame, visits: Sequence[str], left: float, width: float) -> dict[str, float]:
    """Place the visits by median day where every visit has its own, else evenly."""
    days = rows.groupby("visit")["day"].median().reindex(list(visits))
    inside = (
        [float(d) for d in days] if days.notna().all() and days.is_unique else [float(i) for i in range(len(visits))]
    )
    scale = Linear(min(inside), max(inside) if len(inside) > 1 else min(inside) + 1, left + 14, left + width - 14)
    return {v: scale(d) for v, d in zip(visits, inside, strict=True)}


def _frame(plane: _Plane, ticks: list[float], visits: Sequence[str], title: str, first: bool) -> None:
    drawing, room = plane.drawing, plane.left - 30.0
    drawing.text(plane.left, TOP - 12, text.cut(title, plane.width), font_weight=600, label=title)
    for tick in ticks:
        drawing.line(plane.left, plane.y(tick), plane.left + plane.width, plane.y(tick))
        if first:
            drawing.text(plane.left - 8, plane.y(tick) + 4, text.tick(tick), "end", 11, SOFT)
    for visit in visits:
        at = plane.x[visit]
        drawing.line(at, TOP + PLOT, at, TOP + PLOT + 4, MUTED)
        shown = text.cut(visit, 70, 11)
        half = len(shown) * 3.3
        if at - half >= room:
            drawing.text(at, TOP + PLOT + 18, shown, "middle", 11, label=visit)
            room = at + half + 2


def _shade(own: pd.DataFrame, group: str | None, names: list[str], colour: str | None, kinds: list[str]) -> str:
    column, order = (group, names) if group else (colour, kinds)
    name = str(own[column].iloc[0]) if column else ""
    return PALETTE[order.index(name) % len(PALETTE)] if name in order and len(order) > 1 else MUTED


def _patient(plane: _Plane, patient: str, own: pd.DataFrame, visits: Sequence[str], colour: str) -> None:
    at: dict[str, list[float]] = {}
    columns = (own["visit"].astype(str), own["value"], own["n_cells"])
    for visit, value, cells in zip(*columns, strict=True):
        if math.isnan(value):
            continue
        if cells < plane.min_events:
            tip = f"{patient}, {visit}: {text.number(value)} on {text.count(cells)} cells, too few"
            plane.drawing.mark(plane.x[visit], plane.y(value), 0, 3.0, "#fff", tip, stroke=colour)
        else:
            at.setdefault(visit, []).append(value)
    run: list[tuple[float, float]] = []
    for visit in [*visits, None]:
        if visit is not None and visit in at:
            run.append((plane.x[visit], plane.y(statistics.median(at[visit]))))
        elif run:
            if len(run) == 1:
                plane.drawing.mark(*run[0], 0, 2.0, colour, patient, class_="thin")
            else:
                plane.drawing.path(run, colour, 1.2, patient, class_="thin")
            run = []


def _median(plane: _Plane, rows: pd.DataFrame, visits: Sequence[str], group: Group, below: float) -> None:
    held = rows[(rows["n_cells"] >= plane.min_events) & rows["value"].notna()]
    points = []
    for visit in visits:
        here = held.loc[held["visit"] == visit, "value"]
        at = plane.x[visit]
        plane.drawing.text(at, below, len(here), "middle", 11)
        if here.empty:
            continue
        low, middle, high = (float(q) for q in here.quantile([0.25, 0.5, 0.75]))
        shifted = at + group.shift
        plane.drawing.line(shifted, plane.y(low), shifted, plane.y(high), group.colour, 2.2)
        points.append(
            (shifted, plane.y(middle), f"{group.name}, {visit}: median {text.number(middle)}, n = {len(here)}")
        )
    plane.drawing.path([p[:2] for p in points], group.colour, 2.6) if len(points) > 1 else None
    for x, y, tip in points:
        plane.drawing.mark(x, y, group.shape, 4.5, group.colour, tip, stroke="#fff")


def _key(drawing: Drawing, groups: Sequence[Group], kinds: list[str]) -> None:
    drawing.text(LEFT - 14, BELOW - 12, "n", "end", 11, SOFT, label="patients with a value")
    for k, group in enumerate(groups):
        drawing.mark(8, BELOW + ROW * k, group.shape, 4, group.colour)
        drawing.text(17, BELOW + ROW * k + 4, text.cut(group.name, 84, 11), size=11, label=group.name)
    at, base = float(LEFT), BELOW + ROW * len(groups)
    if len(kinds) > 1:
        for i, kind in enumerate(kinds):
            shown = text.cut(kind, 90, 11)
            if at + 24 + len(shown) * 6.2 > WIDTH:
                drawing.text(at, base + 4, f"+{len(kinds) - i} more", size=11, fill=SOFT, label=", ".join(kinds[i:]))
                break
            drawing.line(at, base, at + 14, base, PALETTE[i % len(PALETTE)], 2)
            drawing.text(at + 18, base + 4, shown, size=11, label=kind)
            at += 32 + len(shown) * 6.2
