"""A patient's course as a line of a word's size (Tufte 2006, Beautiful Evidence, ISBN 978-0-9613921-7-8)."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from markupsafe import Markup

from treset.report import text
from treset.report.svg import INK, MUTED, SOFT, Linear, at, tag

WIDTH, HEIGHT, EDGE = 118.0, 26.0, 4.0


def spark(
    name: str, courses: Sequence[Sequence[tuple[float, bool]]], places: Sequence[str], low: float, high: float
) -> Markup:
    """Draw one patient's values.

    Parameters
    ----------
    name
        What is drawn, for screen readers.
    courses
        For each place the values there, each with whether it rests on enough cells; none: a hole.
    places
        Names of the places, evenly spaced.
    low, high
        Ends of the scale, shared by all patients; a value on too few cells beyond them stands at the end.

    Returns
    -------
    An SVG: a line through the values (the median of several samples of one place), broken at holes, which are open
    rings on the base line; values that rest on too few cells are open circles off the line.
    """
    step = (WIDTH - 2 * EDGE) / max(1, len(places) - 1)
    height = Linear(low, high, HEIGHT - EDGE, EDGE)
    parts: list[Markup] = [_line([(0.0, HEIGHT - 1), (WIDTH, HEIGHT - 1)], "#dfe5eb", 1)]
    run: list[tuple[float, float]] = []
    said = []
    for i, values in enumerate([*courses, []]):
        x = EDGE + i * step
        held = [value for value, enough in values if enough]
        if held:
            run.append((x, height(statistics.median(held))))
        elif run:
            parts += _run(run)
            run = []
        if i == len(courses):
            break
        few = [value for value, enough in values if not enough]
        parts += [_ring(x, height(min(max(v, low), high)), INK) for v in few]
        if not values:
            parts.append(_ring(x, HEIGHT - 3.0, MUTED))
        said.append(f"{places[i]} {_said(held, few)}")
    return tag(
        "svg", *parts, class_="spark", viewBox=f"0 0 {at(WIDTH)} {at(HEIGHT)}", role="img",
        aria_label=f"{name}: {', '.join(said)}", fill="none",
    )  # fmt: skip


def _said(held: list[float], few: list[float]) -> str:
    words = [text.number(value) for value in held] + [f"{text.number(value)} (too few cells)" for value in few]
    return " and ".join(words) or "no value"


def _line(points: Sequence[tuple[float, float]], colour: str, width: float) -> Markup:
    return tag("path", d="M" + "L".join(f"{at(x)} {at(y)}" for x, y in points), stroke=colour, stroke_width=width)


def _run(points: Sequence[tuple[float, float]]) -> list[Markup]:
    dots = "".join(f"M{at(x)} {at(y)}h0" for x, y in points)
    drawn = [_line(points, SOFT, 1.3)] if len(points) > 1 else []
    return [*drawn, tag("path", d=dots, stroke=INK, stroke_width=4, stroke_linecap="round")]


def _ring(x: float, y: float, colour: str) -> Markup:
    return tag("circle", cx=at(x), cy=at(y), r=2, stroke=colour)
