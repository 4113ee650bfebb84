"""A measure by visit: thin patients, thick median with quartiles, one panel a reading."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from treset.report import text
from treset.report.svg import INK, MUTED, PALETTE, SOFT, Drawing, Linear, nice_ticks

#: Arms differ by colour, dash, marker and name, so that no one of these must be seen.
DASHES = (None, "8 4", "2 3", "10 3 2 3", "5 2")
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

    @property
    def dash(self) -> str | None:
        """How the thick line is broken."""
        return DASHES[self.shape % len(DASHES)]


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
    dosing: Sequence[float] = (),
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
    dosing
        Days of a dose, marked on the axis where the visits are placed by day.
    """
    every = pd.concat([p.rows for p in panels], ignore_index=True)
    names = _labels(every, group) if group else ["patients"]
    kinds = _labels(every, colour) if colour and not group else []
    groups = [
        Group(n, PALETTE[k % len(PALETTE)] if group else INK, k, (k - (len(names) - 1) / 2) * 5)
        for k, n in enumerate(names)
    ]
    height = BELOW + ROW * (len(groups) + (1 if len(kinds) > 1 else 0)) + 2
    drawing = Drawing(WIDTH, height, f"{label}, by visit", "Thin lines: patients. Thick line: median; bars: quartiles.")
    y, ticks = _vertical(every["value"].dropna())
    gap = 30
    margin = min(96.0, 20 + 6.6 * max(map(len, names))) if len(names) > 1 else 0.0
    width = (WIDTH - LEFT - 10 - margin - gap * (len(panels) - 1)) / len(panels)
    drawing.text(LEFT - 96, 13, text.cut(label, WIDTH - 60), fill=SOFT, label=label)
    for i, panel in enumerate(panels):
        left = LEFT + i * (width + gap)
        plane = _Plane(drawing, _places(every, visits, left, width), y, left, width, min_events)
        _frame(plane, ticks, visits, panel.title, first=i == 0)
        _doses(plane, every, visits, dosing)
        for patient, own in panel.rows.groupby("patient", sort=False):
            _patient(plane, str(patient), own, visits, _shade(own, group, names, colour, kinds))
        ends = {}
        for k, one in enumerate(groups):
            rows = panel.rows[panel.rows[group].astype(str) == one.name] if group else panel.rows
            ends[one] = _median(plane, rows, visits, one, BELOW + ROW * k + 4)
        if margin and i == len(panels) - 1:
            _name_lines(drawing, left + width - 4, ends, margin)
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


def _median(plane: _Plane, rows: pd.DataFrame, visits: Sequence[str], group: Group, below: float) -> float | None:
    """Draw an arm's median and quartiles; give the height at which its line ends."""
    held = rows[(rows["n_cells"] >= plane.min_events) & rows["value"].notna()]
    runs: list[list[tuple[float, float, str]]] = [[]]
    for visit in visits:
        here = held.loc[held["visit"] == visit, "value"]
        at = plane.x[visit]
        plane.drawing.text(at, below, len(here), "middle", 11)
        if here.empty:
            # a visit that nobody has is a hole, not a straight line
            runs.append([])
            continue
        low, middle, high = (float(q) for q in here.quantile([0.25, 0.5, 0.75]))
        shifted = at + group.shift
        plane.drawing.line(shifted, plane.y(low), shifted, plane.y(high), group.colour, 2.2)
        said = f"{group.name}, {visit}: median {text.number(middle)}, n = {len(here)}"
        runs[-1].append((shifted, plane.y(middle), said))
    for run in runs:
        if len(run) > 1:
            plane.drawing.path([p[:2] for p in run], group.colour, 2.6, stroke_dasharray=group.dash)
        for x, y, tip in run:
            plane.drawing.mark(x, y, group.shape, 4.5, group.colour, tip, stroke="#fff")
    points = [point for run in runs for point in run]
    return points[-1][1] if points else None


def _name_lines(drawing: Drawing, left: float, ends: Mapping[Group, float | None], room: float) -> None:
    """Write each arm's name at the end of its line, at least a line of text apart."""
    at = -math.inf
    for group, y in sorted(((g, y) for g, y in ends.items() if y is not None), key=lambda pair: pair[1]):
        at = max(y + 4, at + 13)
        drawing.mark(left + 4, at - 4, group.shape, 3.4, group.colour)
        drawing.text(left + 11, at, text.cut(group.name, room - 14, 11), size=11, font_weight=600, label=group.name)


def _doses(plane: _Plane, rows: pd.DataFrame, visits: Sequence[str], dosing: Sequence[float]) -> None:
    """Mark the days of a dose under the axis, where visits stand at their days."""
    days = rows.groupby("visit")["day"].median().reindex(list(visits))
    if not dosing or days.isna().any() or not days.is_unique or len(visits) < 2:
        return
    first, last = days.idxmin(), days.idxmax()
    scale = Linear(float(days[first]), float(days[last]), plane.x[str(first)], plane.x[str(last)])
    for day in dosing:
        if days[first] <= day <= days[last]:
            plane.drawing.mark(scale(day), TOP + PLOT + 5, 1, 3.2, INK, f"dose on day {day:g}")


def _key(drawing: Drawing, groups: Sequence[Group], kinds: list[str]) -> None:
    drawing.text(LEFT - 14, BELOW - 12, "n", "end", 11, SOFT, label="patients with a value")
    for k, group in enumerate(groups):
        if len(groups) > 1:
            drawing.line(0, BELOW + ROW * k, 22, BELOW + ROW * k, group.colour, 2.4, stroke_dasharray=group.dash)
        drawing.mark(11, BELOW + ROW * k, group.shape, 4, group.colour, stroke="#fff")
        drawing.text(26, BELOW + ROW * k + 4, text.cut(group.name, 66, 11), size=11, label=group.name)
    at, base = 0.0, BELOW + ROW * len(groups)
    # names are cut only where they do not fit whole beside each other
    whole = sum(32 + 6.4 * len(kind) for kind in kinds) <= WIDTH
    for i, kind in enumerate(kinds if len(kinds) > 1 else ()):
        shown = kind if whole else text.cut(kind, (WIDTH - 4) / len(kinds) - 34, 11)
        drawing.line(at, base, at + 14, base, PALETTE[i % len(PALETTE)], 2)
        drawing.text(at + 18, base + 4, shown, size=11, label=kind)
        at += 32 + len(shown) * 6.4
