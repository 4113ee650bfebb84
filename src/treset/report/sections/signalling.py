"""The signalling monitor: dose-response curves with their EC50s, and the table of every endpoint."""

from __future__ import annotations

import pandas as pd

from treset.report import text
from treset.report.blocks import Block, Figure, Note, Section, download
from treset.report.context import Context
from treset.report.figures.dose_curves import Curve, Panel, dose_curves
from treset.report.sections.effects import notes
from treset.report.sections.tables import NAMES, every_effect

_NEEDED = ("patient", "stimulus", "population", "course", "call", "ec50_text", "bottom", "top", "hill", "ec50")


def signalling_section(context: Context) -> Section | None:
    """Make the section, or None where the study does not ask for it."""
    monitor = context.results.monitors.get("signalling")
    if context.study.monitors.signalling is None and monitor is None:
        return None
    title = NAMES["signalling"]
    if monitor is None:
        gap = context.results.gaps.get("monitors/signalling", "monitors/signalling is missing.")
        return Section("signalling", title, [Note(gap, "missing")], title)
    blocks: list[Block] = [*_figures(context, monitor.patients, monitor.effects)]
    blocks += [every_effect(context, "signalling"), *notes(monitor.summary)]
    return Section("signalling", str(monitor.summary.get("title", title)), blocks, title)


def _figures(context: Context, patients: pd.DataFrame, effects: pd.DataFrame) -> list[Block]:
    """One figure a stimulus; as the monitor wrote its fits, nothing is fitted here."""
    if not set(_NEEDED) <= set(patients.columns):
        return [Note("monitors/signalling/patients.tsv lacks the fitted curves: none is drawn.", "missing")]
    settings = context.study.monitors.signalling
    label = f"{settings.marker} ({settings.measure})" if settings is not None else "response"
    blocks: list[Block] = []
    for stimulus in dict.fromkeys(str(name) for name in patients["stimulus"] if str(name)):
        own = patients[patients["stimulus"] == stimulus]
        panels = [
            Panel(str(name), _told(effects, str(name), stimulus), [_curve(row) for row in part.to_dict("records")])
            for name, part in own.groupby("population", sort=False)
        ]
        drawn = dose_curves(panels, label, "nM", f"Dose and response, {stimulus}")
        caption = (
            "Points: samples; lines: four-parameter logistic; triangle and dashed line: EC50. A curve whose EC50 the "
            "doses do not reach is left without a line and its EC50 is a bound (>), never a number; open points were "
            "left out of the fit (high-dose hook)."
        )
        title = f"{label} against the dose of {stimulus}"
        blocks.append(Figure(title, drawn, caption, download(f"dose_response_{stimulus}", own), True))
    return blocks


def _told(effects: pd.DataFrame, population: str, stimulus: str) -> str:
    """What the monitor says of the population's EC50 over all patients."""
    rows = effects[
        (effects["endpoint"] == "EC50") & (effects["population"] == population) & (effects["contrast"] == stimulus)
    ]
    if rows.empty:
        return "no EC50"
    row = rows.iloc[0]
    if text.missing(row["estimate"]):
        lower = row["lower"]
        return f"EC50 > {text.number(lower)} nM" if not text.missing(lower) and float(lower) > 0 else "no EC50"
    limits = f"{text.number(row['lower'])} to {text.number(row['upper'])}"
    return f"EC50 {text.number(row['estimate'])} nM (95 % CI {limits}), n = {text.count(row['n'])}"


def _curve(row: dict) -> Curve:
    points = [tuple(float(v) for v in part.split(":")) for part in str(row["course"]).split(";") if ":" in part]
    numbers = [row[name] for name in ("bottom", "top", "ec50", "hill")]
    fit = None
    if row["call"] == "fitted" and not any(text.missing(value) for value in numbers):
        fit = tuple(float(value) for value in numbers)
    left_out = str(row.get("doses_left_out", "") or "")
    gone = tuple(float(dose) for dose in left_out.split(",") if dose.strip() and dose.strip() != "nan")
    said = str(row["ec50_text"]) if not text.missing(row["ec50_text"]) else ""
    return Curve(str(row["patient"]), points, fit, f"{said} nM" if said else "", str(row["call"]), gone)  # type: ignore[arg-type]
