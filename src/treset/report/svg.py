"""A few helpers to draw figures as SVG; every text and attribute is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

#: Okabe & Ito (2008), https://jfly.uni-koeln.de/color: told apart by colour-blind readers; the pale yellow is last,
#: and two neutral ones close the ten.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7b5ea7", "#6b4c2a", "#f0e442", "#1a1a1a")
INK, SOFT, GRID, MUTED = "#1b2733", "#51606f", "#dfe5eb", "#9aa5b1"
ACCENT, UP, DOWN = "#0b4f8a", "#b34a00", "#0b5fa5"

Point = tuple[float, float]


def at(value: float) -> str:
    """Write a coordinate with at most one decimal."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """Make an element; ``_`` in attribute names becomes ``-``, a trailing one is dropped, None leaves it out."""
    parts = []
    for key, value in attributes.items():
        if value is None:
            continue
        shown = at(value) if isinstance(value, float) else value
        parts.append(f' {key.rstrip("_").replace("_", "-")}="{escape(shown)}"')
    inside = "".join(str(escape(child)) for child in children)
    return Markup(f"<{name}{''.join(parts)}>{inside}</{name}>" if inside else f"<{name}{''.join(parts)}/>")


@dataclass(frozen=True)
class Linear:
    """A linear scale from data ``low..high`` to pixels ``start..end``."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Give the pixel of a value."""
        span = self.high - self.low or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)

    def ticks(self, n: int = 5) -> list[float]:
        """Give about ``n`` round values inside the scale."""
        return nice_ticks(self.low, self.high, n)


@dataclass(frozen=True)
class Log:
    """A logarithmic scale from positive data ``low..high`` to pixels ``start..end``."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Give the pixel of a value, held inside the scale."""
        span = math.log(self.high / self.low) or 1.0
        return self.start + math.log(min(max(value, self.low), self.high) / self.low) / span * (self.end - self.start)

    def ticks(self, n: int = 5) -> list[float]:
        """Give the powers of ten, or 1-2-5 steps where the scale spans less than about two decades."""
        lowest, highest = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        for steps in (
            (1,),
            (1, 3),
            (1, 2, 5),
            (1, 1.5, 2, 3, 4, 5, 7),
            (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 4, 5, 6, 7, 8, 9),
        ):
            values = [s * 10.0**e for e in range(lowest, highest + 1) for s in steps]
            inside = [v for v in values if self.low * 0.999 <= v <= self.high * 1.001]
            if len(inside) >= min(n, 3):
                break
        return inside[:: max(1, math.ceil(len(inside) / (n + 1)))]


def nice_ticks(low: float, high: float, n: int = 5) -> list[float]:
    """Give about ``n`` round values in ``low..high`` (steps of 1, 2 or 5 times a power of ten)."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low] if math.isfinite(low) else []
    raw = (high - low) / max(1, n)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


@dataclass
class Drawing:
    """A figure being drawn.

    Parameters
    ----------
    width, height
        Size in px of the view box.
    title, description
        Accessible name and description (read by screen readers; not drawn).
    """

    width: float
    height: float
    title: str
    description: str = ""
    parts: list[Markup] = field(default_factory=list)

    def add(self, name: str, *children: object, **attributes: object) -> None:
        """Add any element."""
        self.parts.append(tag(name, *children, **attributes))

    def line(
        self, x1: float, y1: float, x2: float, y2: float, stroke: str = GRID, width: float = 1, **more: object
    ) -> None:
        """Add a straight line."""
        self.add(
            "path", d=f"M{at(x1)} {at(y1)}L{at(x2)} {at(y2)}", stroke=stroke, stroke_width=width, fill="none", **more
        )

    def path(
        self, points: Iterable[Point], stroke: str = INK, width: float = 1, label: str = "", **more: object
    ) -> None:
        """Add a line through points; ``label`` is its tooltip."""
        d = "M" + "L".join(f"{at(x)} {at(y)}" for x, y in points)
        self.add(
            "path",
            *tooltip(label),
            d=d,
            stroke=stroke,
            stroke_width=width,
            fill="none",
            stroke_linejoin="round",
            **more,
        )

    def rect(self, x: float, y: float, width: float, height: float, fill: str, label: str = "", **more: object) -> None:
        """Add a rectangle; ``label`` is its tooltip."""
        shape = {"x": at(x), "y": at(y), "width": at(max(0.0, width)), "height": at(max(0.0, height))}
        self.add("rect", *tooltip(label), fill=fill, **shape, **more)

    def text(
        self,
        x: float,
        y: float,
        text: object,
        anchor: str = "start",
        size: float = 12,
        fill: str = INK,
        label: str = "",
        **more: object,
    ) -> None:
        """Add a text; ``label`` is its tooltip (the full name of a shortened one)."""
        self.add(
            "text",
            text,
            *tooltip(label),
            x=at(x),
            y=at(y),
            text_anchor=None if anchor == "start" else anchor,
            font_size=None if size == 12 else size,
            fill=None if fill == INK else fill,
            **more,
        )

    def mark(
        self, x: float, y: float, shape: int = 0, size: float = 4, fill: str = INK, label: str = "", **more: object
    ) -> None:
        """Add a marker: 0 circle, 1 triangle, 2 square, 3 diamond, 4 downward triangle (others start again)."""
        s = size
        if shape % 5 == 0:
            self.add("circle", *tooltip(label), cx=at(x), cy=at(y), r=at(s), fill=fill, **more)
            return
        corners: Sequence[Point] = (
            ((0, -s * 1.2), (s * 1.1, s * 0.9), (-s * 1.1, s * 0.9)),
            ((-s, -s), (s, -s), (s, s), (-s, s)),
            ((0, -s * 1.3), (s * 1.3, 0), (0, s * 1.3), (-s * 1.3, 0)),
            ((0, s * 1.2), (s * 1.1, -s * 0.9), (-s * 1.1, -s * 0.9)),
        )[shape % 5 - 1]
        d = "M" + "L".join(f"{at(x + dx)} {at(y + dy)}" for dx, dy in corners) + "Z"
        self.add("path", *tooltip(label), d=d, fill=fill, **more)

    def dots(self, points: Iterable[Point], fill: str, size: float = 4) -> None:
        """Add many round dots as one path, which keeps the file small."""
        d = "".join(f"M{at(x)} {at(y)}h0" for x, y in points)
        if d:
            self.add("path", d=d, stroke=fill, stroke_width=size, stroke_linecap="round", fill="none")

    def markup(self) -> Markup:
        """Give the SVG element."""
        names = [tag("title", self.title)] + ([tag("desc", self.description)] if self.description else [])
        return tag(
            "svg",
            *names,
            *self.parts,
            viewBox=f"0 0 {at(self.width)} {at(self.height)}",
            role="img",
            aria_label=self.title,
            xmlns="http://www.w3.org/2000/svg",
            font_size=12,
            fill=INK,
        )


def tooltip(label: str) -> list[Markup]:
    """Give the ``title`` child that browsers show as a tooltip, or nothing."""
    return [tag("title", label)] if label else []
