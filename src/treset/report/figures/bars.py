"""Events kept and dropped, a bar a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from treset.report import text
from treset.report.svg import INK, PALETTE, SOFT, Drawing, Linear

KEPT = "#5b7f95"


@dataclass(frozen=True)
class Bar:
    """A sample: cells kept, cells dropped by each filter in order, and whether it is flagged."""

    name: str
    kept: float
    dropped: Sequence[float]
    flagged: bool


def bars(rows: Sequence[Bar], filters: Sequence[str]) -> Markup:
    """Draw stacked bars; the same filter has the same colour in all."""
    left, right, row, head = 220.0, 110.0, 17.0, 30.0
    drawing = Drawing(
        1220, head + row * len(rows) + 24, "Events kept and dropped by sample", "First part of a bar: kept."
    )
    most = max((r.kept + sum(r.dropped) for r in rows), default=1.0) or 1.0
    x = Linear(0, most, left, 1220 - right)
    at = left
    for i, name in enumerate(["kept", *filters]):
        drawing.rect(at, 6, 11, 11, KEPT if i == 0 else PALETTE[(i - 1) % len(PALETTE)])
        drawing.text(at + 16, 16, name, size=11.5)
        at += 34 + len(name) * 6.4
    for i, bar in enumerate(rows):
        top, start = head + row * i, 0.0
        drawing.text(left - 8, top + 12, text.cut(bar.name, left - 20, 11), "end", 11, label=bar.name)
        for k, cells in enumerate([bar.kept, *bar.dropped]):
            if cells > 0:
                word = "kept" if k == 0 else f"dropped by {filters[k - 1]}"
                colour = KEPT if k == 0 else PALETTE[(k - 1) % len(PALETTE)]
                tip = f"{bar.name}: {text.count(cells)} {word}"
                drawing.rect(x(start), top + 1, x(start + cells) - x(start), row - 3, colour, tip)
                start += cells
        drawing.text(x(start) + 6, top + 12, text.count(bar.kept), size=11, fill="#8a4b00" if bar.flagged else INK)
        if bar.flagged:
            drawing.text(1220, top + 12, "few cells", "end", 11, "#8a4b00", font_weight=600)
    for tick in x.ticks(6):
        drawing.text(x(tick), head + row * len(rows) + 16, text.count(tick), "middle", 11, SOFT)
    return drawing.markup()
