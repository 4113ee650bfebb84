"""Clusters: what they are, and whether gates and clusters tell the same."""

from __future__ import annotations

import numpy as np
import pandas as pd

from treset.report import text
from treset.report.blocks import Block, Figure, Note, Section, download, table
from treset.report.context import Context
from treset.report.figures.heatmap import Line, heatmap
from treset.texts import spelled


def cluster_values(context: Context) -> tuple[pd.DataFrame, str]:
    """Give clusters by markers: medians of the sketch's cells (means for RNA, whose medians are mostly zero).

    Without a sketch: the median over samples of the waist's medians.
    """
    sketch = context.results.sketch
    if sketch is not None and "cluster" in sketch.obs and sketch.markers:
        frame = pd.DataFrame(sketch.X, columns=list(sketch.markers)).groupby(sketch.obs["cluster"].to_numpy())
        if context.study.modality == "rna":
            return frame.mean(), "mean log-normalised expression of the sketch's cells"
        return frame.median(), "median arcsinh intensity of the sketch's cells"
    rows = context.profiles
    known = set(context.results.clusters["cluster"])
    asked = (rows["origin"] == "cluster") & (rows["measure"] == "median") & rows["population"].isin(known)
    rows = spelled(rows.loc[asked, ["population", "marker", "value"]])
    wide = rows.pivot_table(index="population", columns="marker", values="value", aggfunc="median", sort=False)
    return wide, "median over samples of the sample medians"


def scale(values: pd.DataFrame) -> pd.DataFrame:
    """Scale each marker to 0 (lowest cluster) .. 1 (highest); a marker that is the same everywhere is 0."""
    span = (values.max() - values.min()).replace(0, np.nan)
    return ((values - values.min()) / span).where(values.isna(), other=lambda d: d.fillna(0.0))


def order(context: Context, values: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Order clusters by the tree of populations then size, and markers by where along that order they are high."""
    rank = {p: i for i, p in enumerate(_tree(context))}
    clusters = context.results.clusters
    rows = clusters.assign(rank=clusters["population"].map(lambda p: rank.get(p, len(rank))))
    names = rows.sort_values(["rank", "n_cells"], ascending=[True, False], kind="stable")["cluster"].tolist()
    names = [n for n in names if n in values.index] + [n for n in values.index if n not in set(names)]
    scaled = scale(values.loc[names]).to_numpy() ** 2
    weight = scaled.sum(axis=0)
    centre = (scaled * np.arange(len(names))[:, None]).sum(axis=0) / np.where(weight > 0, weight, 1)
    markers = [values.columns[j] for j in np.argsort(centre, kind="stable")]
    panel = context.study.panel
    roles = dict(zip(panel["marker"], panel["role"], strict=True)) if panel is not None else {}
    return names, sorted(markers, key=lambda m: roles.get(m) == "state")


def _tree(context: Context) -> list[str]:
    """List the populations, parents before children, siblings together."""
    children: dict[str, list[str]] = {}
    for name, parent in context.parents.items():
        children.setdefault(parent, []).append(name)
    found: list[str] = []
    stack = [p for p in reversed(children.get("cells", []))]
    while stack:
        name = stack.pop()
        if name not in found:
            found.append(name)
            stack += reversed(children.get(name, []))
    return found


def _heatmap(context: Context) -> Block:
    values, unit = cluster_values(context)
    if values.empty:
        return Note("Neither the sketch nor the profiles hold cluster medians: no heat map can be drawn.", "missing")
    names, markers = order(context, values)
    values = values.loc[names, markers]
    shaded = scale(values)
    known = context.results.clusters.drop_duplicates("cluster").set_index("cluster")
    lines = []
    for name in names:
        called, told = "", ""
        if name in known.index:
            row = known.loc[name]
            called = str(row["population"])
            sure = "" if text.missing(row["confidence"]) else f"{100 * float(row['confidence']):.0f} %, "
            told = f"{sure}{text.count(row['n_cells'])}"
        lines.append(Line(str(name), called, told, shaded.loc[name].to_numpy(), values.loc[name].to_numpy()))
    svg = heatmap(lines, markers, unit)
    caption = (
        f"Colour: {unit}, scaled by marker over the clusters. Beside each name: confidence and cells in the sketch."
    )
    return Figure(
        "What the clusters express",
        svg,
        caption,
        download("cluster_values", values.rename_axis("cluster").reset_index()),
        True,
    )


def concordance(context: Context) -> pd.DataFrame:
    """Compare the two readings of each population over samples.

    Returns
    -------
    Columns population, parent, samples, gate, cluster and adjusted (median share in percent of parent; the last where
    the profiles hold it), difference (median absolute difference of gates and clusters, adjusted where they are, in
    percentage points) and r (Pearson, of the same; NaN under 3 samples or without spread).
    """
    rows, other = context.profiles, context.unsupervised
    shown = ["gate", *dict.fromkeys(("cluster", other))]
    columns = ["population", "parent", "samples", *shown, "difference", "r"]
    asked = (rows["measure"] == "percent_of_parent") & rows["origin"].isin(shown)
    rows = spelled(rows.loc[asked, ["population", "parent", "sample", "origin", "value"]])
    both = rows.pivot_table(index=["population", "parent", "sample"], columns="origin", values="value", sort=False)
    if not {"gate", "cluster"} <= set(both.columns):
        return pd.DataFrame(columns=columns)
    found = []
    for (population, parent), pair in both.dropna().groupby(level=["population", "parent"], sort=False):
        spread = len(pair) > 2 and pair["gate"].std() > 0 and pair[other].std() > 0
        found.append(
            {
                "population": population,
                "parent": parent,
                "samples": len(pair),
                **{origin: pair[origin].median() for origin in shown},
                "difference": (pair["gate"] - pair[other]).abs().median(),
                "r": float(np.corrcoef(pair["gate"], pair[other])[0, 1]) if spread else np.nan,
            }
        )
    return pd.DataFrame(found, columns=columns)


def _percent(value: object) -> str:
    return text.DASH if text.missing(value) else f"{100 * float(str(value)):.0f}\u202f%"


def agreement(context: Context) -> list[Block]:
    """Make the table of both readings cell by cell, and say how the clusters came about."""
    table_ = context.results.concordance
    if table_.empty:
        return [Note(context.results.gaps.get("cohort/concordance.tsv", "No concordance was computed."), "missing")]
    ari = table_.loc[table_["population"] == "cells", "ari"]
    caption = (
        "Cells of the sketch in both readings. Precision: share of the clusters' cells that the gates confirm; recall: "
        "share of the gate's cells that its clusters find; F1: their harmonic mean."
    )
    if len(ari) and not text.missing(ari.iloc[0]):
        caption += f" Adjusted Rand index over all cells: {float(ari.iloc[0]):.2f}."
    caption += (
        " Clusters take their names from the gates of their cells, so agreement shows that the cells of a gate lie "
        "together, not that the gate is right."
    )
    shown = table_[table_["population"] != "cells"].drop(columns=["ari"])
    labels = {"gate_cells": "cells by gate", "cluster_cells": "cells by cluster", "both": "cells by both", "f1": "F1"}
    if "vote_ratio" in table_:  # not in results of earlier versions
        labels["vote_ratio"] = "cells by vote / by cluster"
        caption += (
            " By vote: what its neighbours in the sketch would call each cell, as they do the cells that are mapped; "
            "under 1 the shares by cluster are too low by about that factor, because the population overlaps with a "
            "larger one, over 1 too high; the adjusted shares are freed of it. Shares by gate are read on every cell."
        )
    formats = {c: text.count for c in ("gate_cells", "cluster_cells", "both")}
    formats |= {c: _percent for c in ("precision", "recall", "f1")}  # type: ignore[dict-item]
    blocks: list[Block] = [
        table("Gates and clusters cell by cell", shown, "concordance_cells", formats, labels, caption, full=table_,
              wide=("note",))  # type: ignore[arg-type]
    ]  # fmt: skip
    return blocks


def stability(context: Context) -> list[Block]:
    """Make the table of how well repeated draws agree; nothing where the config set the resolution."""
    rows = context.results.stability
    if len(rows) < 2:
        return []
    labels = {"ari_mean": "ARI, mean", "ari_min": "ARI, lowest", "pairs": "pairs of draws"}
    caption = (
        "Adjusted Rand index between the clusters of repeated draws of 80 % of the sketch, before the tree splits and "
        "merges them. Setting: Leiden's resolution, or the number of metaclusters."
    )
    return [table("How stable the clusters are", rows, "stability", {}, labels, caption, wide=("note",), folded=True)]


def clusters_section(context: Context) -> Section:
    """Make the heat map, the clusters' names with their evidence, and the concordance."""
    clusters = context.results.clusters
    blocks: list[Block] = [_heatmap(context)]
    agree = concordance(context)
    if agree.empty:
        blocks.append(Note("The profiles do not hold both readings: gates and clusters cannot be compared.", "missing"))
    else:
        labels = {
            "gate": "gates, median %",
            "cluster": "clusters, median %",
            "adjusted": "clusters adjusted, median %",
            "difference": "median |difference|, points",
        }
        caption = "Share of the parent by both readings of the same cells, over samples. r: Pearson correlation."
        if "adjusted" in agree:
            caption += (
                " Adjusted: freed of what the vote of a cell's neighbours gets wrong where populations overlap, as "
                "measured on the sketch; the difference and r are of these."
            )
        blocks.append(
            table("Do gates and clusters agree?", agree, "concordance", {"samples": text.count}, labels, caption)  # type: ignore[dict-item]
        )
    blocks += agreement(context)
    if clusters.empty:
        blocks.append(Note(context.results.gaps.get("cohort/clusters.tsv", "No cluster was named."), "missing"))
    else:
        percent = {
            "confidence": lambda v: "\u2013" if text.missing(v) else f"{100 * float(v):.0f} %",
            "n_cells": text.count,
        }  # type: ignore[arg-type]
        labels = {"n_cells": "cells in the sketch", "decided_by": "decided by"}
        blocks.append(
            table(
                "How the clusters were named",
                clusters,
                "clusters",
                percent,
                labels,
                wide=("decided_by", "evidence", "reason"),
                folded=True,
            )  # type: ignore[arg-type]
        )
    blocks += stability(context)
    return Section("clusters", "Clusters", blocks)
