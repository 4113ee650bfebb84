"""Data quality: events kept and dropped, flags, exclusions, panels."""

from __future__ import annotations

import re

import pandas as pd

from treset.report import text
from treset.report.blocks import Block, Card, Figure, Note, Section, download, table
from treset.report.context import Context
from treset.report.figures.bars import Bar, bars
from treset.report.sections.clean import clean_blocks

#: A number of a sentence; not a digit of a name such as Ce140Di or D8.
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\w)")


def by_sample(context: Context) -> pd.DataFrame:
    """Give one row a sample: events, one column a filter (dropped), kept, percent kept, flag."""
    rows = context.results.quality
    if rows.empty:
        return pd.DataFrame(columns=["sample", "events", "kept", "kept_percent", "flag"])
    dropped = rows.pivot_table(index="sample", columns="filter", values="dropped", aggfunc="sum", sort=False)
    dropped = dropped[list(dict.fromkeys(rows["filter"]))]
    ends = rows.groupby("sample", sort=False).agg(events=("cells_in", "first"), kept=("kept", "last"))
    table = ends[["events"]].join(dropped).join(ends[["kept"]])
    table["kept_percent"] = 100 * table["kept"] / table["events"].where(table["events"] > 0)
    few = context.study.quality.min_cells
    table["flag"] = [f"under {few} cells" if k < few else "" for k in table["kept"]]
    return table.reset_index()


def quality_card(context: Context) -> Card:
    """Make the card: samples that pass of those analysed."""
    table, study = by_sample(context), context.study
    excluded = int((study.samples["exclude"] != "").sum())
    analysed = len(study.included)
    few = table.loc[table["flag"] != "", "sample"].tolist() if len(table) else []
    rule = f"pass: every analysed sample has at least {study.quality.min_cells} kept cells"
    if table.empty:
        reason = "quality.tsv is missing: what was kept and dropped is not known."
        return Card(
            "Data quality", "not evaluable", text.DASH, f"{text.plural(analysed, 'sample')} analysed", reason, rule
        )
    lacking = sorted(set(study.included["sample"]) - set(table["sample"]))
    kept, events = float(table["kept"].sum()), float(table["events"].sum())
    share = f"{100 * kept / events:.1f} % of {text.count(events)} events kept" if events else "no events"
    said = []
    if few:
        said.append(f"few cells: {', '.join(few[:3])}" + (f" and {len(few) - 3} more" if len(few) > 3 else ""))
    if lacking:
        said.append(
            f"no quality rows: {', '.join(lacking[:3])}" + (f" and {len(lacking) - 3} more" if len(lacking) > 3 else "")
        )
    if excluded:
        said.append(f"{text.plural(excluded, 'sample')} excluded by the sheet")
    if study.warnings:
        said.append(f"{text.plural(len(study.warnings), 'warning')} about the study")
    word = "check" if few or lacking or study.warnings else "pass"
    passed = analysed - len(set(few) & set(study.included["sample"])) - len(lacking)
    reason = "; ".join(said) or "no sample is flagged"
    value = f"{passed} / {analysed}"
    return Card(
        "Data quality", word, value, f"samples pass; {share}", f"{reason[0].upper()}{reason[1:]}.", rule, "quality"
    )


def _panels(context: Context) -> Block | None:
    panel = context.results.panel
    if context.study.modality == "rna":
        return None
    if panel.empty:
        return Note(
            context.results.gaps.get("cohort/panel.tsv", "No channel is listed in cohort/panel.tsv."), "missing"
        )
    odd = panel[panel["how"] != "channel"]
    if odd.empty:
        return Note("Every marker was found under its channel's own name in every file.")
    grouped = (
        odd.groupby(["marker", "channel", "how"], sort=False)["sample"]
        .agg(lambda s: ", ".join(dict.fromkeys(s)))
        .reset_index()
    )
    grouped["n_samples"] = [len(s.split(", ")) for s in grouped["sample"]]
    grouped = grouped.rename(columns={"sample": "samples"})
    title = "Markers that were not found under their channel's name"
    return table(title, grouped, "panel", {"n_samples": text.count}, {}, "", panel, ("samples",), len(grouped) > 24)  # type: ignore[dict-item]


def _mapping(context: Context) -> Block:
    """Cells unlike anything in the sketch, which no cluster can be told for, and cells in no population."""
    rows = context.results.mapping
    if rows.empty:
        return Note(context.results.gaps.get("mapping.tsv", "mapping.tsv holds no row."), "missing")
    shown = rows.assign(
        unlike_percent=100 * rows["unlike_sketch"] / rows["cells"].clip(lower=1),
        unassigned_percent=100 * rows["unassigned"] / rows["cells"].clip(lower=1),
    )
    worst = shown.loc[shown["unlike_percent"].idxmax()]
    frozen = context.study.cohort.frozen
    whose = "the sketch" if frozen is None else f"the frozen cohort {frozen}"
    caption = (
        f"Cells further from {whose} than its own cells are from each other have no cluster: at most "
        f"{worst['unlike_percent']:.2g} % ({worst['sample']}). Unassigned: in no population by gate."
    )
    whole = dict.fromkeys(("cells", "unlike_sketch", "unassigned"), text.count)
    labels = {"unlike_sketch": f"unlike {'sketch' if frozen is None else 'cohort'}", "unlike_percent": "%",
              "unassigned_percent": "unassigned, %", "median_confidence": "median confidence"}  # fmt: skip
    order = ["sample", "cells", "unlike_sketch", "unlike_percent", "unassigned", "unassigned_percent"]
    return table(
        "Cells mapped", shown[[*order, "median_confidence"]], "mapping", whole, labels, caption, rows,
        folded=len(rows) > 12,
    )  # type: ignore[arg-type]  # fmt: skip


def _notes(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a filter and sentence: sentences that differ in numbers alone are told once, with the ranges."""
    found = []
    alike = rows["note"].str.replace(NUMBER, "#", regex=True)
    for (name, _), own in rows.groupby(["filter", alike], sort=False):
        columns = list(zip(*(NUMBER.findall(note) for note in own["note"]), strict=True))
        ends = [(min(c, key=float), max(c, key=float)) for c in columns]
        spans = iter([low if float(low) == float(high) else f"{low} to {high}" for low, high in ends])
        said = NUMBER.sub(lambda _, spans=spans: next(spans), str(own["note"].iloc[0]))
        found.append((name, said, own["sample"].nunique()))
    return pd.DataFrame(found, columns=["filter", "note", "samples"])


def _out(context: Context) -> Block:
    """List every sample that is excluded, fails quality or left no result: none is dropped in silence."""
    study, quality = context.study, by_sample(context).set_index("sample")
    known = set(context.profiles["sample"].unique())
    rows = []
    for row in study.samples.to_dict("records"):
        own = quality.loc[row["sample"]] if row["sample"] in quality.index else None
        if row["exclude"]:
            what, why = "excluded", str(row["exclude"])
        elif own is None and len(quality):
            what, why = "not known", "quality.tsv holds no row of it"
        elif own is not None and own["flag"]:
            what, why = "fails", f"{own['flag']}: {text.count(own['kept'])} of {text.count(own['events'])} kept"
        elif row["sample"] not in known:
            what, why = "no result", "the profiles hold no row of it"
        else:
            continue
        rows.append((row["sample"], row["patient"], row["visit"], what, why))
    if not rows:
        return Note("No sample of the sheet is excluded, fails quality or lacks a result.")
    shown = pd.DataFrame(rows, columns=["sample", "patient", "visit", "quality", "reason"])
    caption = "Excluded samples take part in nothing; those that fail stay in: read their values with care."
    return table("Samples that are excluded or fail quality", shown, "samples_out", caption=caption, wide=("reason",))


def quality_section(context: Context) -> Section:
    """Make the section."""
    study, rows = context.study, context.results.quality
    blocks: list[Block] = [Note(w, "warning") for w in study.warnings]
    blocks.append(_out(context))
    per_sample = by_sample(context)
    if per_sample.empty:
        blocks.append(Note(context.results.gaps.get("quality.tsv", "quality.tsv holds no row."), "missing"))
    else:
        filters = [c for c in per_sample.columns if c in set(rows["filter"])]
        drawn = [
            Bar(r["sample"], r["kept"], [0.0 if pd.isna(r[f]) else r[f] for f in filters], bool(r["flag"]))
            for r in per_sample.to_dict("records")
        ]
        caption = (
            f"Flagged: fewer than {study.quality.min_cells} cells kept. An event counts at the first filter it fails."
        )
        title = "Events kept and dropped"
        for start in range(0, len(drawn), 60):
            part = f", samples {start + 1} to {min(start + 60, len(drawn))}" if len(drawn) > 60 else ""
            svg = bars(drawn[start : start + 60], filters)
            blocks.append(Figure(title + part, svg, caption, download("quality", rows), True))
        whole = dict.fromkeys(("events", "kept", *filters), text.count)
        labels = {"kept_percent": "kept, %"}
        blocks.append(table("Samples", per_sample, "quality_by_sample", whole, labels, folded=len(per_sample) > 12))  # type: ignore[arg-type]
        notes = _notes(rows[rows["note"] != ""])
        if len(notes):
            blocks.append(
                table("Notes of the filters", notes, "quality_notes", {"samples": text.count}, wide=("note",))
            )  # type: ignore[dict-item]
    blocks.append(_mapping(context))
    blocks += clean_blocks(context)
    panels = _panels(context)
    return Section("quality", "Data quality", [*blocks, panels] if panels else blocks, "Quality")
