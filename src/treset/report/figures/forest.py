"""Effects with their intervals and numbers, one axis for each scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup

from treset.report import text
from treset.report.svg import ACCENT, INK, SOFT, Drawing, Linear, Log

WIDTH, LABEL, PLOT, ROW = 620, 214, 160, 26
NUMBERS = LABEL + PLOT + 14


@dataclass(frozen=True)
class Row:
    """One effect.

    ``estimate``, ``lower`` and ``upper`` are on ``scale`` (natural log for ``log_ratio``); ``told`` is the
    p- or q-value as text; ``filled`` rows passed their test; ``note`` stands in place of numbers that do not exist.
    """

    label: str
    under: str
    estimate: float
    lower: float
    upper: float
    scale: str
    told: str
    filled: bool
    note: str = ""


def rows_of(effects: pd.DataFrame, labels: Sequence[str], alpha: float) -> list[Row]:
    """Make rows from effects.tsv.

    A primary endpoint is tested by its p-value, all others by their q-value (p where there is no q), against ``alpha``.
    """
    rows = []
    for label, row in zip(labels, effects.to_dict("records"), strict=True):
        corrected = row["role"] != "primary" and not pd.isna(row["q_value"])
        value = row["q_value"] if corrected else row["p_value"]
        n = "" if pd.isna(row["n"]) else f"n = {text.count(row['n'])}"
        tested = row["role"] in ("primary", "secondary", "discovery")
        rows.append(
            Row(
                label=label,
                under=", ".join(
                    w
                    for w in (row["contrast"], n, row["role"] if row["role"] != "discovery" else "", row["origin"])
                    if w
                ),
                estimate=row["estimate"],
                lower=row["lower"],
                upper=row["upper"],
                scale=row["scale"],
                told=f"{'q' if corrected else 'p'} {text.p_value(value)}".replace("p <", "p<").replace("q <", "q<"),
                filled=tested and not pd.isna(value) and value < alpha and row["verdict"] != "not evaluable",
                note=str(row["note"] or row["verdict"]),
            )
        )
    return rows


def forest(rows: Sequence[Row], title: str) -> Markup:
    """Draw rows grouped by scale; each scale has its own axis, so that unlike units are never compared."""
    scales = list(dict.fromkeys(r.scale for r in rows if math.isfinite(r.estimate)))
    blank = [r for r in rows if not math.isfinite(r.estimate)]
    groups = [(s, [r for r in rows if r.scale == s and math.isfinite(r.estimate)]) for s in scales]
    height = sum(len(g) * (ROW + 6) + 50 for _, g in groups) + len(blank) * (ROW + 6) + 8
    drawing = Drawing(
        WIDTH, height, title, "Squares: estimates; lines: confidence intervals; filled squares passed their test."
    )
    top = 4.0
    for scale, group in groups:
        top = _group(drawing, scale, group, top)
    for row in blank:
        _names(drawing, row, top + 14)
        what = f"not evaluable: {row.note}" if row.note and row.note != "not evaluable" else "not evaluable"
        drawing.text(LABEL + 10, top + 14, text.cut(what, WIDTH - LABEL - 16, 11), size=11, fill="#8a4b00", label=what)
        top += ROW + 6
    return drawing.markup()


def _names(drawing: Drawing, row: Row, y: float) -> None:
    drawing.text(0, y, text.cut(row.label, LABEL + 4), size=12, label=row.label)
    drawing.text(0, y + 12, text.cut(row.under, LABEL + 6, 10.5), size=10.5, fill=SOFT, label=row.under)


def _group(drawing: Drawing, scale: str, rows: Sequence[Row], top: float) -> float:
    axis, ticks, null = _axis(scale, rows)
    name = text.scale_name(scale)
    drawing.text(NUMBERS, top + 10, f"{name} [95 % CI]", size=11, fill=SOFT, font_weight=600)
    top += 18
    bottom = top + len(rows) * (ROW + 6)
    for tick in ticks:
        at = axis(tick)
        drawing.line(at, top, at, bottom)
        drawing.text(at, bottom + 14, text.tick(tick, scale != "log_ratio"), "middle", 11, SOFT)
    drawing.line(axis(null), top, axis(null), bottom, INK, 1.2)
    drawing.text(LABEL - 6, bottom + 14, text.cut(name, 70, 11), "end", 11, SOFT)
    for i, row in enumerate(rows):
        _row(drawing, row, axis, top + i * (ROW + 6) + 14)
    return bottom + 32


def _row(drawing: Drawing, row: Row, axis: Linear | Log, y: float) -> None:
    back = math.exp if row.scale == "log_ratio" else float
    colour = ACCENT if row.filled else SOFT
    _names(drawing, row, y)
    ends = [axis(back(v)) if math.isfinite(v) else None for v in (row.lower, row.upper)]
    if ends[0] is not None and ends[1] is not None:
        drawing.line(ends[0], y, ends[1], y, colour, 2)
    tip = f"{row.label}: {text.change(row.estimate, row.scale)}, {text.interval(row.lower, row.upper, row.scale)}"
    drawing.mark(
        axis(back(row.estimate)), y, 2, 4.0, colour if row.filled else "#fff", tip, stroke=colour, stroke_width=1.6
    )
    numbers = text.change(row.estimate, row.scale)
    if math.isfinite(row.lower) and math.isfinite(row.upper):
        numbers += f" [{text.change(row.lower, row.scale)}, {text.change(row.upper, row.scale)}]".replace("\u00d7", "")
    else:
        numbers += " [no interval]"
    drawing.text(NUMBERS, y + 4, numbers, size=11.5, font_weight=600 if row.filled else None)
    drawing.text(WIDTH, y + 4, row.told, "end", 11.5)


def _axis(scale: str, rows: Sequence[Row]) -> tuple[Linear | Log, list[float], float]:
    values = np.array([v for r in rows for v in (r.estimate, r.lower, r.upper) if math.isfinite(v)] + [0.0])
    low, high = float(values.min()), float(values.max())
    pad = 0.06 * ((high - low) or 1.0)
    start, end = LABEL + 8.0, LABEL + PLOT - 2.0
    if scale == "log_ratio":
        log = Log(math.exp(low - pad), math.exp(high + pad), start, end)
        ticks = log.ticks(4)
        return log, ticks if any(abs(t - 1) < 1e-9 for t in ticks) else [1.0], 1.0
    linear = Linear(low - pad, high + pad, start, end)
    return linear, linear.ticks(4), 0.0
