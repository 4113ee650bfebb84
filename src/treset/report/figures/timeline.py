"""The B-cell share of each patient over time, on a log axis with its limits of detection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup
from scipy.special import gammaincinv

from treset.report import text
from treset.report.svg import ACCENT, MUTED, PALETTE, SOFT, Drawing, Linear, Log

CELL, HIGH, COLUMNS, LEFT = 304, 178, 4, 50
WIDTH = CELL * COLUMNS + 8


@dataclass(frozen=True)
class Course:
    """One patient: rows with day (or visit order), visit, share, count, of, naive (percent of B, NaN: too few B)."""

    patient: str
    call: str
    why: str
    points: pd.DataFrame
    aplasia: float | None = None
    after: float | None = None
    recovery: float | None = None


def limits(count: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give exact 95 % Poisson limits of a share, in percent (Garwood 1936, doi:10.1093/biomet/28.3-4.437).

    Parameters
    ----------
    count, of
        Cells counted and cells they are a share of, shape ``(n,)``.
    """
    count, of = np.asarray(count, float), np.asarray(of, float)
    lower = np.where(count > 0, gammaincinv(np.maximum(count, 1e-9), 0.025), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return 100 * lower / of, 100 * gammaincinv(count + 1, 0.975) / of


def timeline(courses: Sequence[Course], lines: Sequence[tuple[float, str]], label: str, axis: str) -> Markup:
    """Draw one small panel a patient.

    Parameters
    ----------
    courses
        The patients in order.
    lines
        Horizontal thresholds: percent and name.
    label
        What the share is of.
    axis
        Name of the x axis: ``study day`` or ``visit``.
    """
    height = HIGH * math.ceil(len(courses) / COLUMNS) + 22
    drawing = Drawing(
        WIDTH, height, f"{label} of each patient over time", "Open triangles: no B cell seen; the upper limit."
    )
    y0 = _scale(courses, lines)
    days = pd.concat([c.points["day"] for c in courses])
    first, last = float(days.min()), float(days.max())
    for i, course in enumerate(courses):
        left, top = (i % COLUMNS) * CELL + LEFT, (i // COLUMNS) * HIGH + 30.0
        y = Log(y0.low, y0.high, top + 104, top)
        x = Linear(first, last if last > first else first + 1, left + 8.0, left + CELL - LEFT - 22.0)
        _frame(drawing, course, x, y, lines, i % COLUMNS == 0)
        _events(drawing, course, x, y)
        _points(drawing, course, x, y)
        _naive(drawing, course, x, top + 136, i % COLUMNS == 0)
    drawing.text(
        0, height - 6, f"{label}, % (log axis); x: {axis}; below: naive share of B cells, %", size=11, fill=SOFT
    )
    return drawing.markup()


def _scale(courses: Sequence[Course], lines: Sequence[tuple[float, str]]) -> Log:
    values = [v for v, _ in lines]
    for course in courses:
        _, upper = limits(course.points["count"].to_numpy(), course.points["of"].to_numpy())
        values += [v for v in (*course.points["share"], *upper) if v > 0 and math.isfinite(v)]
    return Log(
        10.0 ** math.floor(math.log10(min(values))), min(100.0, 10.0 ** math.ceil(math.log10(max(values)))), 0, 1
    )


def _frame(
    drawing: Drawing, course: Course, x: Linear, y: Log, lines: Sequence[tuple[float, str]], first: bool
) -> None:
    title = f"{course.patient}: {course.call}" if course.call else course.patient
    drawing.text(x.start - 8, y.end - 10, text.cut(title, CELL - LEFT), font_weight=600, label=f"{title}. {course.why}")
    for tick in y.ticks(4):
        drawing.line(x.start - 8, y(tick), x.end + 8, y(tick))
        if first:
            drawing.text(x.start - 12, y(tick) + 4, text.tick(tick), "end", 10.5, SOFT)
    for value, name in lines:
        drawing.line(x.start - 8, y(value), x.end + 8, y(value), MUTED, 1, stroke_dasharray="4 3")
        if first:
            drawing.text(x.end + 8, y(value) - 3, name, "end", 10, SOFT)


def _events(drawing: Drawing, course: Course, x: Linear, y: Log) -> None:
    """Mark the first visit in aplasia, and the interval in which the B cells came back."""
    if _inside(course.aplasia, x):
        at = x(course.aplasia)
        drawing.line(at, y.end, at, y.start, PALETTE[1], 1.4, stroke_dasharray="2 2")
        drawing.text(at + 3, y.end + 10, "aplasia", size=10)
    if _inside(course.recovery, x):
        at = x(course.recovery)
        if _inside(course.after, x):
            drawing.rect(x(course.after), y.end, at - x(course.after), y.start - y.end, PALETTE[2], fill_opacity=0.16)
        drawing.line(at, y.end, at, y.start, PALETTE[2], 1.4, stroke_dasharray="2 2")
        drawing.text(at - 3, y.end + 10, "recovery", "end", 10)


def _inside(day: float | None, x: Linear) -> bool:
    return day is not None and math.isfinite(day) and x.low <= day <= x.high


def _points(drawing: Drawing, course: Course, x: Linear, y: Log) -> None:
    rows = course.points.sort_values("day")
    lower, upper = limits(rows["count"].to_numpy(), rows["of"].to_numpy())
    seen = [
        (x(d), y(s if s > 0 else u))
        for d, s, u in zip(rows["day"], rows["share"], upper, strict=True)
        if math.isfinite(u)
    ]
    if len(seen) > 1:
        drawing.path(seen, ACCENT, 1.4)
    for row, low, high in zip(rows.to_dict("records"), lower, upper, strict=True):
        if not math.isfinite(high):
            continue
        at = x(row["day"])
        told = f"{text.count(row['count'])} of {text.count(row['of'])} cells"
        told += f"; 95 % limits {text.number(low)} to {text.number(high)} %"
        tip = f"{course.patient}, {row['visit']}: {text.number(row['share'])} %, {told}"
        if row["share"] > 0:
            drawing.line(at, y(max(low, y.low)), at, y(high), ACCENT, 1.4)
            drawing.mark(at, y(row["share"]), 0, 3.4, ACCENT, tip)
        else:
            drawing.mark(at, y(high), 4, 4, "#fff", tip, stroke=ACCENT, stroke_width=1.4)


def _naive(drawing: Drawing, course: Course, x: Linear, base: float, first: bool) -> None:
    """Write the naive share under each visit that has room; a hole where there are too few B cells."""
    if first:
        drawing.text(x.start - 12, base, "naive %", "end", 10, SOFT)
    room = -1.0
    for row in course.points.sort_values("day").to_dict("records"):
        at, visit = x(row["day"]), str(row["visit"])
        drawing.line(at, base - 30, at, base - 27, MUTED)
        if at - 13 < room:
            continue
        room = at + 13
        drawing.text(at, base - 15, text.cut(visit, 34, 10), "middle", 10, label=visit)
        told = "too few B cells" if pd.isna(row["naive"]) else f"naive {text.number(row['naive'])} % of B"
        shown = "\u2013" if pd.isna(row["naive"]) else f"{row['naive']:.0f}"
        drawing.text(at, base, shown, "middle", 11, label=f"{course.patient}, {visit}: {told}")
