"""Dose and response: the points, the fitted curves, and where their EC50s lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from treset.report import text
from treset.report.svg import GRID, INK, MUTED, PALETTE, SOFT, Drawing, Linear, Log, nice_ticks

COLUMNS, WIDTH, GAP, PANEL, TOP, BOTTOM, LEFT = 3, 940, 66, 210, 52, 34, 56


@dataclass(frozen=True)
class Curve:
    """One patient's curve: points (dose, response; dose 0 is the control) and the fit, None where there is none.

    ``fit`` holds bottom, top, EC50 and Hill slope; ``ec50`` is what the monitor says of it (``0.012`` or ``> 10``),
    ``left_out`` the doses that the fit did not use.
    """

    patient: str
    points: Sequence[tuple[float, float]]
    fit: tuple[float, float, float, float] | None
    ec50: str
    call: str
    left_out: tuple[float, ...] = ()


@dataclass(frozen=True)
class Panel:
    """The curves of a population, and what is said of them."""

    title: str
    told: str
    curves: Sequence[Curve]


def dose_curves(panels: Sequence[Panel], label: str, unit: str, title: str) -> Markup:
    """Draw one panel a population, a colour a patient, all on the same doses."""
    rows = math.ceil(len(panels) / COLUMNS)
    drawing = Drawing(
        WIDTH, rows * (PANEL + TOP + BOTTOM) + 16, title, "A colour is a patient, the same in all panels."
    )
    doses = sorted({dose for panel in panels for curve in panel.curves for dose, _ in curve.points if dose > 0})
    if not doses:
        return drawing.markup()
    patients = list(dict.fromkeys(curve.patient for panel in panels for curve in panel.curves))
    width = (WIDTH - COLUMNS * LEFT - (COLUMNS - 1) * (GAP - LEFT)) / COLUMNS
    for i, panel in enumerate(panels):
        left = LEFT + (i % COLUMNS) * (width + GAP)
        top = TOP + (i // COLUMNS) * (PANEL + TOP + BOTTOM)
        _panel(drawing, panel, patients, (left, top, width), (doses[0], doses[-1]))
    drawing.text(
        WIDTH / 2, drawing.height - 4, f"dose, {unit} (c: unstimulated control); up: {label}", "middle", 11, SOFT
    )
    return drawing.markup()


def _panel(
    drawing: Drawing, panel: Panel, patients: list[str], box: tuple[float, float, float], ends: tuple[float, float]
) -> None:
    left, top, width = box
    shown = [value for curve in panel.curves for _, value in curve.points]
    low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
    pad = 0.06 * ((high - low) or 1.0)
    y = Linear(low - pad, high + pad, top + PANEL, top)
    # the control has no place on a logarithmic scale: it stands apart on the left
    x = Log(ends[0], ends[1] * 1.0001, left + 44, left + width - 8)
    drawing.text(left - 40, top - 34, text.cut(panel.title, width + 40), font_weight=600, label=panel.title)
    drawing.text(left - 40, top - 18, text.cut(panel.told, width + 62, 11), size=11, fill=SOFT, label=panel.told)
    for tick in nice_ticks(y.low, y.high, 5):
        drawing.line(left, y(tick), left + width, y(tick))
        drawing.text(left - 6, y(tick) + 4, text.tick(tick), "end", 11, SOFT)
    for tick in x.ticks(4):
        drawing.line(x(tick), top + PANEL, x(tick), top + PANEL + 4, SOFT)
        drawing.text(x(tick), top + PANEL + 16, f"{tick:g}", "middle", 11, SOFT)
    if any(dose == 0 for curve in panel.curves for dose, _ in curve.points):
        drawing.text(left + 10, top + PANEL + 16, "c", "middle", 11, SOFT)
        drawing.line(left + 24, top, left + 24, top + PANEL, GRID, 1, stroke_dasharray="2 3")
    for curve in panel.curves:
        _curve(drawing, curve, PALETTE[patients.index(curve.patient) % len(PALETTE)], (x, y), left + 10, top + PANEL)
    if not shown:
        drawing.text(left + width / 2, top + PANEL / 2, "no values", "middle", fill=MUTED)


def _curve(
    drawing: Drawing, curve: Curve, colour: str, scales: tuple[Log, Linear], control: float, floor: float
) -> None:
    x, y = scales
    tip = f"{curve.patient}: {curve.call}" + (f", EC50 {curve.ec50}" if curve.ec50 else "")
    for dose, value in curve.points:
        out = dose in curve.left_out
        at = (x(dose) if dose > 0 else control, y(value))
        fill, edge = ("none", colour) if out else (colour, None)
        told = f"{tip}; {text.number(dose)}: {text.number(value)}" + (", left out of the fit" if out else "")
        drawing.mark(*at, 0, 2.6, fill, told, stroke=edge)
    if curve.fit is None:
        return
    bottom, top, ec50, hill = curve.fit
    steps = [x.low * (x.high / x.low) ** (i / 60) for i in range(61)]
    line = [(x(dose), y(bottom + (top - bottom) / (1 + (ec50 / dose) ** hill))) for dose in steps]
    drawing.path(line, colour, 1.3, tip, class_="thin")
    half = y((bottom + top) / 2)
    drawing.line(x(ec50), half, x(ec50), floor, colour, 0.8, stroke_dasharray="2 2")
    drawing.mark(x(ec50), floor, 1, 4, colour, tip, stroke=INK, stroke_width=0.5)
