"""Patients: who was seen when, and what each monitor says of each."""

from __future__ import annotations

import pandas as pd

from treset.report import text
from treset.report.blocks import Block, Cell, Column, Note, Section, Table, download, table
from treset.report.context import Context, labels, visits

#: Columns that hold sentences.
SENTENCES = ("course", "why", "reason", "note", "notes", "evidence")


#: Columns that are left to the download: they say the same in each row of an endpoint, or name files.
DETAILS = (
    *("role", "population", "measure", "marker", "origin", "scale"),
    *("sample_baseline", "sample_visit", "reference_samples", "test_samples"),
)


def attendance(context: Context) -> Table:
    """Make the table of patients by visit: kept cells, a dash where there is no sample, the reason where excluded."""
    sheet = context.samples[~context.samples["anchor"].astype(bool)]
    cells = context.profiles.drop_duplicates("sample").set_index("sample").index
    totals = (
        context.results.quality.groupby("sample")["kept"].last()
        if len(context.results.quality)
        else pd.Series(dtype=float)
    )
    order = visits(sheet)
    facts = [c for c in ("arm", "disease", "batch") if len(labels(sheet[c]))]
    rows = []
    for patient in labels(sheet["patient"]):
        own = sheet[sheet["patient"] == patient]
        line = [Cell(patient, style="head"), *[Cell(", ".join(labels(own[f])) or text.DASH) for f in facts]]
        for visit in order:
            line.append(_visit(own[own["visit"] == visit], totals, set(cells), context.study.quality.min_cells))
        rows.append(line)
    columns = [Column("patient"), *[Column(f) for f in facts], *[Column(v, True) for v in order]]
    caption = "Cells kept at each visit, several samples of a visit one by one; \u2013: no sample."
    hidden = " Arms are shown by code: the study is blinded." if context.study.blinded else ""
    return Table("Who was seen when", columns, rows, caption + hidden, download("samples", _public(sheet)))


def _public(sheet: pd.DataFrame) -> pd.DataFrame:
    """Leave out the files' places: a report travels."""
    return sheet.drop(columns=["file"], errors="ignore")


def _visit(samples: pd.DataFrame, totals: pd.Series, profiled: set, few: int) -> Cell:
    if samples.empty:
        return Cell(text.DASH)
    said, flagged = [], False
    for row in samples.to_dict("records"):
        name = f"{row['stimulus']}: " if row["stimulus"] else ""
        if row["exclude"]:
            said.append(f"{name}excluded: {row['exclude']}")
            flagged = True
        elif row["sample"] not in profiled:
            said.append(f"{name}not in the results")
            flagged = True
        else:
            kept = totals.get(row["sample"])
            said.append(name + (text.count(kept) if not text.missing(kept) else "analysed"))
            flagged |= not text.missing(kept) and kept < few
    return Cell("; ".join(said), style="flag" if flagged else "")


def _shown(patients: pd.DataFrame) -> pd.DataFrame:
    """Choose the columns a page has room for, a change written on its scale; blank columns are left to the TSV."""
    shown = patients.drop(columns=[c for c in DETAILS if c in patients])
    if {"change", "scale"} <= set(patients.columns):
        pairs = zip(patients["change"], patients["scale"].astype(str), strict=True)
        shown["change"] = [text.change(c, s) for c, s in pairs]
    filled = [c for c in shown.columns if not shown[c].map(text.missing).all()]
    return shown[filled]


def patients_section(context: Context) -> Section:
    """Make attendance and a table a monitor."""
    blocks: list[Block] = [attendance(context)]
    for name, monitor in context.results.monitors.items():
        title = f"{monitor.summary.get('title', name)}: patient by patient"
        if monitor.patients.empty:
            blocks.append(Note(f"{title}: monitors/{name}/patients.tsv holds no row.", "missing"))
            continue
        shown = _shown(monitor.patients)
        rest = [c for c in monitor.patients.columns if c not in shown]
        caption = f"Only in the TSV: {', '.join(rest)}." if rest else ""
        wide = [c for c in shown.columns if c in SENTENCES]
        blocks.append(table(title, shown, f"{name}_patients", {}, {}, caption, monitor.patients, wide, len(shown) > 80))
    return Section("patients", "Patients", blocks)
