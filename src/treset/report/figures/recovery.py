"""The share of patients whose B cells have not come back: Turnbull's estimate of interval-censored times."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from treset.report import text
from treset.report.svg import ACCENT, GRID, INK, SOFT, Drawing, Linear

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 620, 300, 52, 20, 46

#: left, right (day; inf: after the last visit) and the share of patients that recover in between.
Step = tuple[float, float, float]


def recovery(steps: Sequence[Step], title: str) -> Markup:
    """Draw the share not yet recovered; where it is not known when within an interval it falls, the area is shaded."""
    drawing = Drawing(WIDTH, HEIGHT, title, "Shaded: the days between two visits in which the share falls.")
    known = [day for left, right, _ in steps for day in (left, right) if math.isfinite(day)]
    x = Linear(0.0, max(known, default=1.0) * 1.06, float(LEFT), WIDTH - 14.0)
    y = Linear(0.0, 100.0, HEIGHT - float(BOTTOM), float(TOP))
    for tick in (0, 25, 50, 75, 100):
        drawing.line(LEFT, y(tick), WIDTH - 14, y(tick), SOFT if tick == 50 else GRID, 1)
        drawing.text(LEFT - 6, y(tick) + 4, f"{tick}", "end", 11, SOFT)
    for tick in x.ticks(6):
        drawing.text(x(tick), HEIGHT - BOTTOM + 16, text.number(tick), "middle", 11, SOFT)
    at, level = 0.0, 100.0
    for left, right, share in sorted(steps):
        drawing.path([(x(at), y(level)), (x(left), y(level))], INK, 1.8)
        if not math.isfinite(right):
            drawing.path([(x(left), y(level)), (x(x.high), y(level))], INK, 1.8, class_="open", stroke_dasharray="4 3")
            drawing.text(x(x.high), y(level) - 6, f"{level:.0f} % not seen to recover", "end", 11, SOFT)
            at = x.high
            break
        lower = max(0.0, level - 100 * share)
        told = f"{text.number(100 * share)} % recover between day {left:g} and day {right:g}"
        drawing.rect(x(left), y(level), x(right) - x(left), y(lower) - y(level), ACCENT, told, opacity="0.18")
        drawing.path([(x(left), y(level)), (x(right), y(lower))], ACCENT, 1, told, stroke_dasharray="3 3")
        at, level = right, lower
    if at < x.high:
        drawing.path([(x(at), y(level)), (x(x.high), y(level))], INK, 1.8)
    drawing.text((LEFT + WIDTH) / 2, HEIGHT - 8, "days from the infusion", "middle", 11, SOFT)
    return drawing.markup()
