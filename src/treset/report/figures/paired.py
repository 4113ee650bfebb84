"""Two conditions of the same patients, joined by a line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from treset.report import text
from treset.report.svg import INK, MUTED, PALETTE, SOFT, UP, Drawing, Linear, nice_ticks

WIDTH, HEIGHT, TOP, LEFT = 620, 350, 44, 52


@dataclass(frozen=True)
class Pairs:
    """Values of one feature: columns ``pair``, ``reference``, ``test`` (NaN where a pair is incomplete)."""

    title: str
    label: str
    values: pd.DataFrame


def direction(pairs: pd.DataFrame) -> str:
    """Say in how many pairs a value rises or falls: ``rises in 8 of 8 patients`` (of complete pairs)."""
    full = pairs.dropna(subset=["reference", "test"])
    rises, falls = int((full["test"] > full["reference"]).sum()), int((full["test"] < full["reference"]).sum())
    word, k = ("rises", rises) if rises >= falls else ("falls", falls)
    return f"{word} in {k} of {text.plural(len(full), 'patient')}" if len(full) else "no complete pair"


#: Of all pairs; where groups are compared each group's count stands behind its name.
NOTED = re.compile(r"(?<!: )\b(up|down) in (\d+) of (\d+) pairs")


def noted(note: str) -> str:
    """Read the direction that the monitor counted from a row's note, or ""."""
    found = NOTED.search(note)
    if not found:
        return ""
    word = "rises" if found[1] == "up" else "falls"
    return f"{word} in {found[2]} of {text.plural(int(found[3]), 'patient')}"


def paired(features: Sequence[Pairs], reference: str, test: str, title: str, one_scale: bool = False) -> Markup:
    """Draw one panel a feature: a line a patient from ``reference`` to ``test``, the medians as bars.

    ``one_scale``: all panels have the same axis, because they show one feature.
    """
    drawing = Drawing(WIDTH, HEIGHT, title, "Each line is a patient; bars are medians.")
    gap = 58
    width = (WIDTH - LEFT - gap * (len(features) - 1)) / max(1, len(features))
    for i, feature in enumerate(features):
        left = LEFT + i * (width + gap)
        shown = features if one_scale else [feature]
        _panel(drawing, feature, (reference, test), left, min(width, 260.0), shown)
    return drawing.markup()


def _panel(
    drawing: Drawing, feature: Pairs, names: tuple[str, str], left: float, width: float, scaled: Sequence[Pairs]
) -> None:
    held = pd.concat([f.values[name] for f in scaled for name in ("reference", "test")]).dropna()
    low, high = (float(held.min()), float(held.max())) if len(held) else (0.0, 1.0)
    pad = 0.08 * ((high - low) or 1.0)
    y = Linear(low - pad, high + pad, HEIGHT - 44.0, float(TOP))
    x = (left + width * 0.22, left + width * 0.78)
    drawing.text(left - 36, 14, text.cut(feature.title, width + 40), font_weight=600, label=feature.title)
    drawing.text(left - 36, 30, text.cut(feature.label, width + 44, 11), size=11, fill=SOFT, label=feature.label)
    for tick in nice_ticks(y.low, y.high, 5):
        drawing.line(left, y(tick), left + width, y(tick))
        drawing.text(left - 6, y(tick) + 4, text.tick(tick), "end", 11, SOFT)
    for row in feature.values.to_dict("records"):
        _pair(drawing, row, x, y)
    for at, column, name in zip(x, ("reference", "test"), names, strict=True):
        middle = feature.values[column].median()
        if not pd.isna(middle):
            drawing.line(at - 20, y(middle), at + 20, y(middle), INK, 3)
        drawing.text(at, HEIGHT - 24, text.cut(name, width / 2), "middle", label=name)
        drawing.text(at, HEIGHT - 9, f"n = {int(feature.values[column].notna().sum())}", "middle", 11, SOFT)


def _pair(drawing: Drawing, row: dict, x: tuple[float, float], y: Linear) -> None:
    points = [(at, y(row[c])) for at, c in zip(x, ("reference", "test"), strict=True) if not pd.isna(row[c])]
    rises = len(points) == 2 and row["test"] > row["reference"]
    colour = (UP if rises else PALETTE[0]) if len(points) == 2 else MUTED
    tip = f"{row['pair']}: {text.number(row['reference'])} to {text.number(row['test'])}"
    if len(points) == 2:
        drawing.path(points, colour, 1.3, tip, class_="thin")
    for point in points:
        drawing.mark(*point, 0, 3.4, colour, tip)
