"""Size of a change against its p-value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from treset.report import text
from treset.report.svg import DOWN, INK, MUTED, SOFT, UP, Drawing, Linear

WIDTH, HEIGHT, TOP, LEFT = 600, 380, 20, 46


@dataclass(frozen=True)
class Cloud:
    """What is drawn: columns estimate, p_value, called (bool), label, origin."""

    title: str
    axis: str
    rows: pd.DataFrame


def volcano(cloud: Cloud, minimum: float) -> Markup:
    """Draw the changes; called ones are coloured, the first of them named, gates round and clusters square.

    ``minimum`` is the smallest change that is called; two dotted lines show it.
    """
    rows = cloud.rows.dropna(subset=["estimate", "p_value"])
    drawing = Drawing(WIDTH, HEIGHT, cloud.title, "Right: higher; left: lower; up: smaller p-value; coloured: called.")
    strength = -rows["p_value"].clip(lower=1e-300).map(math.log10)
    x = Linear(*_reach(rows["estimate"], minimum), LEFT, WIDTH - 10.0)
    y = Linear(0.0, max(float(strength.max()) if len(rows) else 1.0, 2.0) * 1.08, HEIGHT - 48.0, TOP)
    _frame(drawing, cloud, x, y, minimum)
    spots = [
        (x(e), y(s), bool(c), str(n), str(o), p)
        for e, s, c, n, o, p in zip(
            rows["estimate"], strength, rows["called"], rows["label"], rows["origin"], rows["p_value"], strict=True
        )
    ]
    drawing.dots([s[:2] for s in spots if not s[2] and s[4] != "cluster"], MUTED, 4)
    for s in spots:
        if not s[2] and s[4] == "cluster":
            drawing.rect(s[0] - 1.6, s[1] - 1.6, 3.2, 3.2, MUTED)
    named = sorted((s for s in spots if s[2]), key=lambda s: s[5])
    for s in named:
        colour = UP if s[0] > x(0) else DOWN
        drawing.mark(s[0], s[1], 2 if s[4] == "cluster" else 0, 3.8, colour, f"{s[3]} ({s[4]}), p {text.p_value(s[5])}")
    _names(drawing, named, x)
    return drawing.markup()


def _reach(estimates: pd.Series, minimum: float) -> tuple[float, float]:
    """Give an x axis that holds every estimate and both smallest called changes."""
    low, high = (float(estimates.min()), float(estimates.max())) if len(estimates) else (-1.0, 1.0)
    least = max(1.5 * minimum, 0.3 * max(abs(low), abs(high)), 1e-6)
    return 1.1 * min(low, -least), 1.1 * max(high, least)


def _frame(drawing: Drawing, cloud: Cloud, x: Linear, y: Linear, minimum: float) -> None:
    for tick in x.ticks(6):
        drawing.line(x(tick), TOP, x(tick), y.start)
        drawing.text(x(tick), y.start + 16, text.tick(tick, True), "middle", 11, SOFT)
    for tick in y.ticks(5):
        drawing.line(x.start, y(tick), x.end, y(tick))
        drawing.text(x.start - 6, y(tick) + 4, text.tick(tick), "end", 11, SOFT)
    drawing.line(x(0), TOP, x(0), y.start, INK, 1)
    for side in (-minimum, minimum) if minimum > 0 else ():
        drawing.line(x(side), TOP, x(side), y.start, SOFT, 1, stroke_dasharray="3 3")
    drawing.text((x.start + x.end) / 2, HEIGHT - 12, cloud.axis, "middle", 11.5, SOFT)
    drawing.text(2, 12, "\u2212log10 p", size=11.5, fill=SOFT)


def _names(drawing: Drawing, spots: Sequence[tuple], x: Linear) -> None:
    """Name spots, strongest first, right or left of them where nothing lies; others are left out (see the table)."""
    taken: list[tuple[float, float, float]] = [(px - 4, px + 4, py) for px, py, *_ in spots]
    for place, (px, py, _, name, _, _) in enumerate(spots[:14]):
        shown = text.cut(name, 190, 11)
        wide = len(shown) * 6.0
        others = taken[:place] + taken[place + 1 :]
        for start in (px + 7, px - 7 - wide):
            fits = start >= 0 and start + wide < x.end + 8
            if fits and not any(abs(py - ty) < 11 and start < te and start + wide > ts for ts, te, ty in others):
                taken.append((start, start + wide, py))
                drawing.text(start, py + 4, shown, size=11, label=name)
                break
