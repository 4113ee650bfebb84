"""Where each marker was cut: small histograms with their thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from treset.report import text
from treset.report.svg import PALETTE, SOFT, Drawing, Linear

CELL, HIGH, COLUMNS, BINS = 203, 118, 6, 48


@dataclass(frozen=True)
class Cut:
    """A marker within a parent: values of the parent's cells, the threshold of each batch, and how many cells each
    value stands for (None: one).
    """

    parent: str
    marker: str
    values: np.ndarray
    thresholds: Sequence[tuple[str, float]]
    weight: np.ndarray | None = None


def histograms(cuts: Sequence[Cut]) -> Markup:
    """Draw one small histogram a cut; a vertical line a batch."""
    rows = -(-len(cuts) // COLUMNS)
    drawing = Drawing(CELL * COLUMNS, HIGH * rows + 4, "Thresholds", "Bars: cells of the sketch; lines: thresholds.")
    for i, cut in enumerate(cuts):
        left, top = (i % COLUMNS) * CELL + 4.0, (i // COLUMNS) * HIGH + 4.0
        name = f"{cut.marker} in {cut.parent}"
        drawing.text(left, top + 12, text.cut(name, CELL - 20, 11.5), size=11.5, font_weight=600, label=name)
        if not len(cut.values):
            drawing.text(left, top + 50, "no cell of it in the sketch", size=11, fill=SOFT)
            continue
        _one(drawing, cut, left, top + 20)
    return drawing.markup()


def _one(drawing: Drawing, cut: Cut, left: float, top: float) -> None:
    held = [t for _, t in cut.thresholds if np.isfinite(t)]
    low = min(float(np.quantile(cut.values, 0.001)), *held) if held else float(np.quantile(cut.values, 0.001))
    high = max(float(np.quantile(cut.values, 0.999)), *held) if held else float(np.quantile(cut.values, 0.999))
    high = high if high > low else low + 1.0
    # cells beyond the ends stand in the last bars: none is left out
    counts, _ = np.histogram(np.clip(cut.values, low, high), BINS, (low, high), weights=cut.weight)
    x, bottom = Linear(low, high, left, left + CELL - 18), top + 66
    y = Linear(0, float(np.sqrt(counts.max())), bottom, top)
    wide = (CELL - 18) / BINS
    d = "".join(
        f"M{left + wide * i:.1f} {bottom:.1f}V{y(float(np.sqrt(c))):.1f}h{wide:.1f}V{bottom:.1f}Z"
        for i, c in enumerate(counts)
        if c
    )
    drawing.add("path", d=d, fill="#b9c7d3")
    for batch, threshold in cut.thresholds:
        if np.isfinite(threshold):
            drawing.line(x(threshold), top - 4, x(threshold), bottom, PALETTE[1], 1.4)
            tip = f"{cut.marker} in {cut.parent}, batch {batch}: {text.number(threshold)}"
            drawing.mark(x(threshold), top - 4, 4, 2.6, PALETTE[1], tip)
    for value, anchor in ((low, "start"), (high, "end")):
        drawing.text(x(value), bottom + 12, text.number(value, 2), anchor, 10, SOFT)
