"""The table of effects that all monitors share."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from treset.report import text
from treset.report.blocks import Cell, Column, Notes, Table, download
from treset.report.context import Context

HEADINGS = (
    ("endpoint", False),
    ("what", False),
    ("contrast", False),
    ("n", True),
    ("estimate", True),
    ("95 % CI", True),
    ("p", True),
    ("q", True),
    ("verdict", False),
    ("method and notes", False),
)


def verdict(word: str) -> Cell:
    """Make the cell of a verdict: its word with a sign, and a colour."""
    sign = {"met": "\u2713 ", "called": "\u2713 ", "not met": "\u2715 ", "not evaluable": "? "}.get(word, "")
    style = {"met": "verdict v-met", "called": "verdict v-called", "not evaluable": "verdict v-open"}.get(
        word, "verdict"
    )
    return Cell(f"{sign}{word}" if word else text.DASH, style=style)


def effects_table(
    context: Context, effects: pd.DataFrame, title: str, name: str, caption: str, full: pd.DataFrame
) -> Table:
    """Make the table of effects, one row each, in the order given."""
    rows = []
    for row in effects.to_dict("records"):
        scale = str(row["scale"])
        failed = str(row["converged"]).lower() in ("false", "0", "0.0") and not text.missing(row["estimate"])
        reading = "cluster, adjusted" if row["origin"] == "adjusted" else row["origin"]
        origin = f"{row['role']}, {reading}".strip(", ")
        rows.append(
            [
                Cell(str(row["endpoint"]), style="head", under=origin),
                Cell(context.label(row)),
                Cell(str(row["contrast"])),
                Cell(text.count(row["n"]), repr(row["n"])),
                Cell(text.change(row["estimate"], scale), repr(row["estimate"]), tip=text.scale_name(scale)),
                Cell(
                    text.interval(row["lower"], row["upper"], scale) if not text.missing(row["estimate"]) else text.DASH
                ),
                Cell(text.p_value(row["p_value"]), repr(row["p_value"])),
                Cell(text.p_value(row["q_value"]), repr(row["q_value"])),
                verdict(str(row["verdict"])),
                Cell(
                    ". ".join(
                        w for w in (str(row["method"]), "did not converge" if failed else "", str(row["note"])) if w
                    )
                ),
            ]
        )
    columns = [Column(label, numeric, label == "method and notes") for label, numeric in HEADINGS]
    return Table(title, columns, [[_plain(c) for c in r] for r in rows], caption, download(name, full))


def _plain(cell: Cell) -> Cell:
    return replace(cell, sort="") if cell.sort == "nan" else cell


def notes(summary: dict) -> list[Notes]:
    """Give the monitor's own notes as a block, or nothing."""
    said = [str(n) for n in summary.get("notes") or []]
    return [Notes(said)] if said else []


SCALES = (
    "Fold changes are exponentials of the log ratio; differences are in the measure's own units. The primary endpoint "
    "is tested alone (p); secondary endpoints by q (Benjamini-Hochberg within their family); supporting and "
    "descriptive rows are not tests of the trial."
)
