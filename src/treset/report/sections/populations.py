"""The tree of populations: measurable or not, their rules and thresholds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from treset.report import text
from treset.report.blocks import Block, Cell, Column, Figure, Note, Section, Table, download, table
from treset.report.context import Context
from treset.report.figures.histograms import Cut, histograms
from treset.report.sections.clusters import _tree
from treset.texts import spelled


def _true(value: object) -> bool:
    return str(value).strip().lower() in ("true", "1", "yes")


def _depth(name: str, parents: dict[str, str]) -> int:
    depth, at = 0, parents.get(name, "cells")
    while at in parents and depth < 6:
        depth, at = depth + 1, parents[at]
    return depth


def tree_table(context: Context) -> Table:
    """Make the tree with the median share of each population over samples."""
    rows = context.results.populations.drop_duplicates("population").set_index("population")
    shares = context.profiles
    asked = (shares["measure"] == "percent_of_parent") & (shares["origin"] == "gate")
    shares = spelled(shares.loc[asked, ["population", "parent", "value"]])
    shares = shares[shares["parent"] == shares["population"].map(context.parents)]
    middle = shares.groupby("population")["value"].median()
    cells = []
    ordered = [p for p in _tree(context) if p in rows.index]
    for name in ordered + [p for p in rows.index if p not in set(ordered)]:
        row = rows.loc[name]
        good = _true(row["measurable"])
        why = "measurable" + (f" ({row['reason']})" if row["reason"] else "")
        cells.append(
            [
                Cell(str(name), style=f"head depth{min(5, _depth(name, context.parents))}"),
                Cell(str(row["parent"]) or "cells"),
                Cell(
                    text.number(middle.get(name)), "" if text.missing(middle.get(name)) else repr(float(middle[name]))
                ),
                Cell(
                    why if good else f"not measurable here, because {row['reason'] or 'no reason was given'}",
                    style="" if good else "flag",
                ),
                Cell(str(row["rule"])),
                Cell(str(row["ontology"]) or text.DASH),
                Cell(str(row["source"]) or text.DASH),
            ]
        )
    heads = ("population", "parent", "median % of parent", "measurable", "rule", "Cell Ontology", "source")
    columns = [Column(h, h.startswith("median"), h == "measurable") for h in heads]
    caption = (
        "Median over samples, by the gates. A population that is not measurable has no number anywhere in this report."
    )
    full = context.results.populations
    return Table("Populations", columns, cells, caption, download("populations", full))


#: Histograms drawn at most; the table has every threshold.
DRAWN = 60


def cuts(context: Context) -> list[Cut]:
    """Give each cut marker with the sketch's cells of its parent (by the gates) and its thresholds."""
    sketch, table = context.results.sketch, context.results.thresholds
    if sketch is None or "population" not in sketch.obs:
        return []
    gated = sketch.obs["population"].to_numpy()
    found = []
    for (parent, marker), rows in table.groupby(["population_parent", "marker"], sort=False):
        if marker not in sketch.markers:
            continue
        within = [p for p in set(gated) if parent in ("cells", p) or parent in context.ancestors(p)]
        inside = np.isin(gated, within)
        values = sketch.X[inside, sketch.markers.index(marker)]
        weight = None if sketch.weight is None else sketch.weight[inside]
        marks = pd.to_numeric(rows["threshold"], errors="coerce")
        found.append(Cut(str(parent), str(marker), values, list(zip(rows["batch"], marks, strict=True)), weight))
    return found


def _histograms(context: Context) -> list[Block]:
    drawn = cuts(context)
    if not drawn:
        return []
    caption = "Cells of the sketch that the gates put in the parent; height: square root of the count; a line a batch."
    if len(drawn) > DRAWN:
        caption += f" {DRAWN} of {len(drawn)} are drawn; the table has all."
    svg = histograms(drawn[:DRAWN])
    return [
        Figure("Where the markers were cut", svg, caption, download("thresholds", context.results.thresholds), True)
    ]


def populations_section(context: Context) -> Section:
    """Make the tree and the thresholds."""
    blocks: list[Block] = []
    if context.results.populations.empty:
        blocks.append(Note(context.results.gaps.get("cohort/populations.tsv", "No population is listed."), "missing"))
    else:
        blocks.append(tree_table(context))
    thresholds = context.results.thresholds
    if thresholds.empty:
        blocks.append(Note(context.results.gaps.get("cohort/thresholds.tsv", "No threshold was needed."), "missing"))
    else:
        labels = {"population_parent": "within"}
        caption = (
            "Where each marker was cut, on its transformed scale. Separation: how well the two sides come apart "
            "(as the method reports it); a low one is a gate to look at."
        )
        blocks += _histograms(context)
        shown = thresholds.assign(threshold=pd.to_numeric(thresholds["threshold"], errors="coerce"))
        blocks.append(table("Thresholds", shown, "thresholds", {}, labels, caption, thresholds, folded=len(shown) > 24))
    return Section("populations", "Populations", blocks)
