"""Patients: who was seen when, and what each monitor says of each."""

from __future__ import annotations

import pandas as pd

from treset.report import text
from treset.report.blocks import Block, Cell, Column, Note, Pages, Section, Table, download, table
from treset.report.context import Context, labels, visits
from treset.report.read import Monitor
from treset.report.sections.measured import Place
from treset.report.sections.patient_pages import Seen, flags, pages

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
    cells = context.profiles["sample"].unique()
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
    caption = "Cells kept at each visit, several samples of a visit one by one; hatched: no sample."
    hidden = " Arms are shown by code: the study is blinded." if context.study.blinded else ""
    return Table("Who was seen when", columns, rows, caption + hidden, download("samples", _public(sheet)))


def _public(sheet: pd.DataFrame) -> pd.DataFrame:
    """Leave out the files' places: a report travels."""
    return sheet.drop(columns=["file"], errors="ignore")


def _visit(samples: pd.DataFrame, totals: pd.Series, profiled: set, few: int) -> Cell:
    if samples.empty:
        return Cell(text.DASH, style="hole", tip="no sample")
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


def overview(seen: Seen) -> Table:
    """Make the table of patients: facts, samples, a course, calls, flags; each name leads to its page."""
    sheet, context = seen.sheet, seen.context
    known = [c for c in ("arm", "disease", "batch") if len(labels(sheet[c]))]
    drawn = bool(seen.measures) and len(seen.places) > 1
    called = {name: m for name, m in context.results.monitors.items() if _one_a_patient(m) is not None}
    rows = []
    for patient in seen.patients:
        own = sheet[sheet["patient"] == patient]
        line = [Cell(patient, style="head", link=seen.link(patient))]
        line += [Cell(", ".join(labels(own[c])) or text.DASH) for c in known]
        there = sum(any(not r["exclude"] for r in seen.samples(patient, p)) for p in seen.places)
        whole = there == len(seen.places)
        line.append(Cell(f"{there} of {len(seen.places)}", str(there), "" if whole else "flag"))
        if drawn:
            last = [v for p in seen.places for _, v, n in seen.values(0, patient, p) if n >= seen.measures[0].minimum]
            line.append(Cell("", repr(last[-1]) if last else text.DASH, drawing=seen.line(0, patient)))
        line += [_call(m, patient) for m in called.values()]
        said = flags(seen, patient)
        line.append(Cell(text.count(len(said)), str(len(said)), "flag" if said else "", " ".join(said)))
        rows.append(line)
    columns = [Column("patient"), *[Column(c) for c in known], Column("samples", True)]
    columns += [Column(seen.measures[0].label)] if drawn else []
    columns += [Column(str(m.summary.get("title", name))) for name, m in called.items()]
    ends = f"{seen.places[0].name} to {seen.places[-1].name}" if drawn else ""
    course = (
        f" Course: {ends}, all patients on one scale; sorted by the last value; open ring: no value." if drawn else ""
    )
    caption = f"A name opens the patient's page. Samples: not excluded, of the study's visits and stimuli.{course}"
    return Table(
        "Patient by patient", [*columns, Column("flags", True)], rows, caption, download("patients", tidy(seen))
    )


def tidy(seen: Seen) -> pd.DataFrame:
    """Give every value of the pages, one a row; a hole is a row without a sample."""
    rows = []
    for patient in seen.patients:
        for place in seen.places:
            for sample in seen.samples(patient, place) or [{"sample": "", "exclude": ""}]:
                kept = seen.quality.get(sample["sample"], {}).get("kept")
                head = (patient, place.visit, place.stimulus, place.dose, sample["sample"], sample["exclude"], kept)
                rows += _values(seen, patient, place, sample["sample"], head)
    names = ["patient", "visit", "stimulus", "dose", "sample", "exclude", "cells_kept"]
    return pd.DataFrame(rows, columns=[*names, "measure", "value", "n_cells", "enough_cells"])


def _values(seen: Seen, patient: str, place: Place, sample: str, head: tuple) -> list[tuple]:
    found = []
    for which, m in enumerate(seen.measures):
        own = [(v, n) for s, v, n in seen.values(which, patient, place) if s == sample]
        value, cells = own[0] if own else (float("nan"), float("nan"))
        found.append((*head, m.label, value, cells, "" if not own else "yes" if cells >= m.minimum else "no"))
    return found or [(*head, "", float("nan"), float("nan"), "")]


def _one_a_patient(monitor: Monitor) -> pd.DataFrame | None:
    """Give the monitor's row of each patient (of the primary endpoint), or None where it makes no call of patients."""
    rows = monitor.patients
    if rows.empty or not {"patient", "call"} <= set(rows.columns) or monitor.name == "discovery":
        return None
    rows = rows[rows["role"] == "primary"] if "role" in rows else rows
    return None if rows.empty or rows["patient"].duplicated().any() else rows


def _call(monitor: Monitor, patient: str) -> Cell:
    rows = _one_a_patient(monitor)
    own = rows[rows["patient"].astype(str) == patient].to_dict("records") if rows is not None else []
    if not own:
        return Cell(text.DASH)
    row = own[0]
    told = text.change(row["change"], str(row["scale"])) if {"change", "scale"} <= row.keys() else ""
    why = str(row.get("why", ""))
    return Cell(str(row["call"]), tip=why, under=told if told != text.DASH else why)


def patients_section(context: Context) -> Section:
    """Make the overview, attendance, a table a monitor and a page a patient."""
    seen = Seen(context)
    blocks: list[Block] = [overview(seen), attendance(context)]
    for name, monitor in context.results.monitors.items():
        title = f"{monitor.summary.get('title', name)}: patient by patient"
        if monitor.patients.empty:
            blocks.append(Note(f"{title}: monitors/{name}/patients.tsv holds no row.", "missing"))
            continue
        if name == "discovery" and set(monitor.patients.get("call", ())) == {"used"}:
            blocks.append(Note(f"{monitor.summary.get('title', name)}: every patient is used."))
            continue
        shown = _shown(monitor.patients)
        rest = [c for c in monitor.patients.columns if c not in shown]
        caption = f"Only in the TSV: {', '.join(rest)}." if rest else ""
        wide = [c for c in shown.columns if c in SENTENCES]
        blocks.append(table(title, shown, f"{name}_patients", {}, {}, caption, monitor.patients, wide, len(shown) > 80))
    if seen.patients:
        blocks.append(Pages("A page for each patient", pages(seen)))
    return Section("patients", "Patients", blocks)
