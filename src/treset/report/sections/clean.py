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
        blocks += _batches(batches)
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


def _batches(batches: pd.DataFrame) -> list[Block]:
    whole = batches[batches["population"] == "cells"].drop(columns="population")
    used = whole["corrected"].astype(str) == "True"
    before, after = whole.loc[used, "emd_before"].mean(), whole.loc[used, "emd_after"].mean()
    sentence = f"Batches were levelled by their anchors in {int(used.sum())} of {len(whole)} markers"
    if used.any():
        sentence += (
            f": the largest earth mover's distance between batches fell from {before:.3g} to {after:.3g} on average "
            "(judged on cells that did not teach it)"
        )
    else:
        sentence += ": no marker came closer, so that all values are as they were"
    caption = "Anchors only; transformed units. Other markers were left as they were, for the reason given."
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
