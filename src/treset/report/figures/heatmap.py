"""Clusters by markers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from treset.report import text
from treset.report.svg import INK, SOFT, Drawing

#: Viridis at 16 levels (Smith & van der Walt 2015, CC0): even in lightness, also for colour-blind readers.
VIRIDIS = (
    *("#440154", "#481a6c", "#472f7d", "#414487", "#39568c", "#31688e", "#2a788e", "#23888e"),
    *("#1f988b", "#22a884", "#35b779", "#54c568", "#7ad151", "#a5db36", "#d2e21b", "#fde725"),
)


@dataclass(frozen=True)
class Line:
    """One cluster: id, the name it was given, its size and confidence, values scaled to 0..1 and as measured."""

    cluster: str
    name: str
    told: str
    scaled: np.ndarray
    values: np.ndarray


def heatmap(lines: Sequence[Line], markers: Sequence[str], unit: str) -> Markup:
    """Draw clusters (rows) by markers (columns); NaN is left white."""
    left, side, row = 236.0, 12.0, 18.0
    # the names lean to the right: the last one needs room beside the last column
    right = 14 + 3.7 * min(len(markers[-1]), 18) if len(markers) else 20.0
    wide = min(46.0, (1200 - left - right) / max(1, len(markers)))
    head = 16 + 6.4 * max((min(len(m), 18) for m in markers), default=4)
    drawing = Drawing(
        1220, head + row * len(lines) + 40, "Clusters by markers", f"Colour: median ({unit}), scaled by marker."
    )
    for j, marker in enumerate(markers):
        at = left + wide * (j + 0.5) + 4
        turned = f"rotate(-60 {at:.1f} {head - 6:.1f})"
        drawing.text(at, head - 6, text.cut(marker, 110, 11), size=11, label=marker, transform=turned)
    for i, line in enumerate(lines):
        top = head + row * i
        drawing.text(0, top + 13, text.cut(line.cluster, 52), size=11.5, font_weight=600, label=line.cluster)
        drawing.text(48, top + 13, text.cut(line.name, 118, 11.5), size=11.5, label=line.name)
        drawing.text(left - 8, top + 13, line.told, "end", 10.5, SOFT)
        for j, (shade, value) in enumerate(zip(line.scaled, line.values, strict=True)):
            if np.isfinite(shade):
                fill = VIRIDIS[round(float(np.clip(shade, 0, 1)) * 15)]
                tip = f"{line.cluster} {line.name}, {markers[j]}: {text.number(float(value))}"
                drawing.rect(left + wide * j, top, wide - 1, row - 1, fill, tip)
    _scale(drawing, left, head + row * len(lines) + 12, side)
    return drawing.markup()


def _scale(drawing: Drawing, left: float, top: float, side: float) -> None:
    drawing.text(left - 8, top + 10, "lowest cluster", "end", 11, SOFT)
    for k, colour in enumerate(VIRIDIS):
        drawing.rect(left + side * k, top, side, 12, colour)
    drawing.text(left + side * 16 + 8, top + 10, "highest cluster, for each marker", size=11, fill=INK)
