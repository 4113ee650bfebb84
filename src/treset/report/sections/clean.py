"""What was done to raw cytometry before its filters: each step before and after."""

from __future__ import annotations

import pandas as pd

from treset.report import text
from treset.report.blocks import Block, Note, table
from treset.report.context import Context
from treset.study.model import Study

BEADS = (
    "Signals were levelled over time by normalisation beads ({kind}; Finck 2013, doi:10.1002/cyto.a.22271): running "
    "median of the bead intensities, slope against the baseline, interpolated in time."
)
FLOW = (
    "Spillover was taken out of flow cytometry by the inverse of the matrix ({source}; Bagwell & Adams 1993, "
    "doi:10.1111/j.1749-6632.1993.tb38775.x) before any transformation."
)
MASS = (
    "Spillover was taken out by non-negative least squares in each cell ({source}; Chevrier 2018, "
    "doi:10.1016/j.cels.2018.02.010)."
)
TIME = (
    "Stretches of the acquisition with a changed flow rate, or whose density peaks left their place (PeacoQC, Emmaneel "
    "2022, doi:10.1002/cyto.a.24501), were flagged."
)
BATCH = (
    "Batches were levelled by their anchors (CytoNorm, Van Gassen 2020, doi:10.1002/cyto.a.23904), each marker only "
    "where its batches differed beyond chance and cells that did not teach it came closer."
)
COMBINED = (
    "Batches were levelled without anchors by clusters of like cells of all samples (cyCombine, Pedersen 2022, "
    "doi:10.1038/s41467-022-29383-5; ComBat, Johnson 2007, doi:10.1093/biostatistics/kxj037), each marker only where "
    "its batches differed beyond chance and cells that did not teach it came closer. What differs between the "
    "patients of the batches is taken out with it."
)


def cleaning(study: Study) -> list[str]:
    """Write the methods of the steps that were asked for."""
    asked, said = study.clean, []
    if asked.beads != "none":
        said.append(BEADS.format(kind=asked.beads))
    flow = study.modality == "flow_cytometry"
    if asked.spillover != "none" and (flow or asked.spillover != "auto"):
        source = "that of each file, where it carries one" if asked.spillover == "auto" else asked.spillover
        said.append((FLOW if flow else MASS).format(source=source))
    if asked.time:
        said.append(TIME)
    if asked.batch == "cytonorm":
        said.append(BATCH)
    if asked.batch == "cycombine":
        said.append(COMBINED)
    return said


def clean_blocks(context: Context) -> list[Block]:
    """Make the blocks: notes of the steps, medians before and after, batches before and after."""
    steps, batches = context.results.clean, context.results.batches
    blocks: list[Block] = []
    if len(steps):
        notes = steps[steps["note"] != ""].groupby(["step", "note"], sort=False)["sample"].nunique()
        told = notes.reset_index(name="samples")
        blocks.append(
            table("Steps before the filters", told, "clean_notes", {"samples": text.count}, wide=("note",))  # type: ignore[dict-item]
        )
        measured = steps[steps["measure"] != ""]
        if len(measured):
            blocks.append(_before_after(measured))
    if len(batches):
        blocks += _batches(batches, context.study.clean.batch)
    return blocks


def _before_after(measured: pd.DataFrame) -> Block:
    """Medians over the samples, one row a step, measure and channel; every sample is in the download."""
    grouped = measured.groupby(["step", "measure", "channel"], sort=False)
    shown = grouped.agg(before=("before", "median"), after=("after", "median"), samples=("sample", "nunique"))
    caption = "Median over the samples. Every sample is in the table to save."
    return table(
        "Before and after", shown.reset_index(), "clean", {"samples": text.count}, {}, caption, measured,
        folded=len(shown) > 24,
    )  # type: ignore[arg-type]  # fmt: skip


def _batches(batches: pd.DataFrame, method: str) -> list[Block]:
    whole = batches[batches["population"] == "cells"].drop(columns="population")
    used = whole["corrected"].astype(str) == "True"
    before, after = whole.loc[used, "emd_before"].mean(), whole.loc[used, "emd_after"].mean()
    by, cells = (
        ("clusters of all samples", "Kept cells of all samples")
        if method == "cycombine"
        else ("their anchors", "Anchors only")
    )
    sentence = f"Batches were levelled by {by} in {int(used.sum())} of {len(whole)} markers"
    if used.any():
        sentence += (
            f": the largest earth mover's distance between batches fell from {before:.3g} to {after:.3g} on average "
            "(judged on cells that did not teach it)"
        )
    else:
        sentence += ": no marker came closer, so that all values are as they were"
    caption = f"{cells}; transformed units. Other markers were left as they were, for the reason given."
    labels = {
        "emd_before": "EMD before",
        "emd_after": "EMD after",
        "mad_before": "MAD before",
        "mad_after": "MAD after",
    }
    return [
        Note(sentence + ".", "text" if used.any() else "warning"),
        table("Batches before and after", whole, "batches", {}, labels, caption, batches, ("reason",), len(whole) > 24),
    ]
