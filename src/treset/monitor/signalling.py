"""Dose and response in vitro: the EC50 of each population, and how selective a drug is for Treg."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pandas as pd

from treset.monitor.common import (
    MET,
    NOT_EVALUABLE,
    NOT_MET,
    Cohort,
    MonitorResult,
    effects_table,
    join,
    number,
    prepare,
    summary,
)
from treset.monitor.signalling_effects import disease_rows, ec50_rows, selectivity_rows
from treset.monitor.signalling_series import no_control, points, series, stimuli
from treset.monitor.values import Measure, read
from treset.stats import DoseFit, fit_dose_responses
from treset.study.model import SignallingMonitor

TITLE = "Signalling"
#: Call in patients.tsv for each status of a fit.
_CALLS = {"fitted": "fitted", "above": "censored", "below": "censored", "no response": "no response"}
_PATIENT_COLUMNS = (
    "patient", "arm", "disease", "stimulus", "population", "ec50", "ec50_text", "lower", "upper", "censored", "bound",
    "bottom", "top", "hill", "lowest_dose", "highest_dose", "doses_left_out", "n", "residual_sd", "converged",
    "log10_selectivity", "selectivity_side", "call", "why", "course",
)  # fmt: skip


def signalling(
    profiles: pd.DataFrame, samples: pd.DataFrame, settings: SignallingMonitor, baseline: str
) -> MonitorResult:
    """Fit dose and response of a marker in each patient, stimulus and population; compare populations with Treg.

    Four-parameter logistic on log dose (:func:`treset.stats.fit_dose_response`), the unstimulated control as dose 0.
    An EC50 beyond the doses is censored; a curve that does not rise has none, and neither has a selectivity: a
    population may be silent for lack of the receptor or of a working assay. Over patients: geometric mean with a t
    interval on the log scale, censored values as such (Tobit). Selectivity: EC50 of a population over that of
    ``reference`` in the same patient.

    Parameters
    ----------
    profiles
        The waist.
    samples
        The sheet; ``dose`` in nM, ``stimulus`` the drug. Unstimulated: dose 0, or neither dose nor stimulus.
    settings
        Marker, populations and thresholds.
    baseline
        Where there are several visits, the one whose samples are used when the settings name none.

    Returns
    -------
    Effects: ``EC50`` (scale nM) for all patients and each disease, ``selectivity`` (log10_ratio), ``disease``
    (log10_ratio of EC50). Patients: one row a patient, stimulus and population. Verdict ``met``: for every population
    of ``against`` the lower 95 % limit of the selectivity is at least ``selectivity_min``; ``not evaluable`` where one
    has none.

    Raises
    ------
    TresetError
        For malformed tables.

    References
    ----------
    Farhat AM et al. (2021), Cell Rep 35:109025, doi:10.1016/j.celrep.2021.109025 (IL-2 and mutein dose responses by
    pSTAT5); Tobin J (1958), doi:10.2307/1907382.
    """
    cohort = prepare(profiles, samples, resting=False)
    notes = list(cohort.notes)
    sheet, problem = series(cohort, settings, baseline, notes)
    rows: list[dict] = []
    names = (settings.reference, *settings.against, *settings.populations)
    found: dict[str, pd.DataFrame] = {}
    for name in dict.fromkeys(names if not problem else ()):
        values = read(cohort, Measure(settings.origin, name, settings.measure, settings.marker), settings.min_events)
        if values.problem:
            notes.append(f"{name}: {values.problem}")
        notes.append(values.note)
        found[name] = values.table
        rows += _population(cohort, sheet, values.table, name, settings, values.problem)
    patients = pd.DataFrame(rows, columns=list(_PATIENT_COLUMNS))
    if problem:
        patients = _nobody(cohort, problem)
    else:
        _selectivity(patients, settings.reference)
        _say(patients, notes)
    effects = [
        *selectivity_rows(patients, settings), *ec50_rows(patients, settings), *disease_rows(patients, settings, notes),
    ] if not problem else []  # fmt: skip
    return MonitorResult(
        "signalling", effects_table(effects), patients, _summary(effects, patients, settings, problem, notes)
    )


def _population(
    cohort: Cohort, sheet: pd.DataFrame, values: pd.DataFrame, population: str, settings: SignallingMonitor,
    problem: str,
) -> list[dict]:  # fmt: skip
    """One row for each patient and stimulus."""
    rows = []
    for patient, identity in cohort.patients.to_dict("index").items():
        own = sheet[sheet["patient"] == patient]
        curves, said, names = [], [], stimuli(own)
        for name in names:
            part = own[(own["stimulus"] == name) | ((own["dose"] == 0) & (own["stimulus"] == ""))]
            dose, response, gaps = points(part, values)
            curves.append((dose, response))
            said.append(join([problem, "" if (dose == 0).any() or problem else no_control(part), *gaps]))
        seed = zlib.crc32(f"{patient}/{population}".encode())
        known = {
            "minimum_response": settings.min_response, "minimum_doses": settings.min_doses, "hook": settings.hook,
            "bootstrap": settings.bootstrap, "seed": seed,
        }  # fmt: skip
        if settings.shared_asymptotes:
            fits = fit_dose_responses(curves, **known)
        else:
            fits = [fit_dose_responses([curve], **known)[0] for curve in curves]
        for name, curve, remark, fit in zip(names, curves, said, fits, strict=True):
            who = {"patient": str(patient), **identity, "stimulus": name, "population": population}
            rows.append(who | _fit_row(fit, curve, remark))
        if not names:
            who = {"patient": str(patient), **identity, "stimulus": "", "population": population}
            empty = DoseFit("not fitted", why="no sample with a dose above 0")
            rows.append(who | _fit_row(empty, (np.empty(0), np.empty(0)), problem))
    return rows


def _fit_row(fit: DoseFit, curve: tuple[np.ndarray, np.ndarray], remark: str) -> dict[str, object]:
    text = {"above": f"> {fit.bound:.3g}", "below": f"< {fit.bound:.3g}"}.get(fit.status, "")
    return {
        "ec50": fit.ec50,
        "ec50_text": text or (number(fit.ec50) if fit.status == "fitted" else ""),
        "lower": fit.lower,
        "upper": fit.upper,
        "censored": {"above": ">", "below": "<"}.get(fit.status, ""),
        "bound": fit.bound,
        "bottom": fit.bottom,
        "top": fit.top,
        "hill": fit.hill,
        "lowest_dose": fit.low_dose,
        "highest_dose": fit.high_dose,
        "doses_left_out": ", ".join(f"{dose:g}" for dose in fit.left_out),
        "n": fit.n,
        "residual_sd": fit.sd,
        "converged": fit.converged,
        "log10_selectivity": math.nan,
        "selectivity_side": "",
        "call": _CALLS.get(fit.status, NOT_EVALUABLE),
        "why": join([fit.why, remark]),
        "course": "; ".join(f"{dose:g}: {value:.4g}" for dose, value in zip(*curve, strict=True)),
    }


def _selectivity(patients: pd.DataFrame, reference: str) -> None:
    """Fill in log10 of EC50 over that of the reference, with the side a bound lies on."""
    ours = patients[patients["population"] == reference].set_index(["patient", "stimulus"])
    for at, row in patients.iterrows():
        if row["population"] == reference:
            continue
        base = ours.loc[(row["patient"], row["stimulus"])]
        value, side = ratio(row, base)
        patients.loc[at, "log10_selectivity"] = value
        patients.loc[at, "selectivity_side"] = side


def bound(row: pd.Series) -> tuple[float, int]:
    """log10 EC50 or its bound, and the side (0, 1 above, -1 below); NaN without either."""
    if row["call"] == "fitted":
        return math.log10(row["ec50"]), 0
    side = {">": 1, "<": -1}.get(row["censored"], 0)
    # a bound of 0 bounds nothing
    return (math.log10(row["bound"]), side) if side and row["bound"] > 0 else (math.nan, 0)


def ratio(row: pd.Series, base: pd.Series) -> tuple[float, str]:
    """log10 EC50 over the reference's, and ``>`` or ``<`` where it is a bound; NaN where the bounds tell nothing."""
    (top, side), (bottom, other) = bound(row), bound(base)
    sides = {side, -other} - {0}
    if math.isnan(top) or math.isnan(bottom) or len(sides) > 1:
        return math.nan, ""
    return top - bottom, {1: ">", -1: "<"}.get(next(iter(sides), 0), "")


def _nobody(cohort: Cohort, problem: str) -> pd.DataFrame:
    rows = [
        {"patient": str(patient), **known, "call": NOT_EVALUABLE, "why": problem, "converged": False, "n": 0}
        for patient, known in cohort.patients.to_dict("index").items()
    ]
    table = pd.DataFrame(rows, columns=list(_PATIENT_COLUMNS))
    texts = ("stimulus", "population", "ec50_text", "censored", "doses_left_out", "selectivity_side", "course")
    return table.fillna(dict.fromkeys(texts, ""))


def _say(patients: pd.DataFrame, notes: list[str]) -> None:
    """Name every curve that gave no EC50, and every dose that was left out."""
    for row in patients.to_dict("records"):
        if row["call"] != "fitted" or row["doses_left_out"]:
            where = ", ".join(filter(None, (row["patient"], row["stimulus"], row["population"])))
            notes.append(f"{where}: {row['call']}, {row['why']}")
    known = patients["call"].isin(["fitted", "censored"])
    open_bottom = known & patients["why"].str.contains("unstimulated control")
    if open_bottom.any():
        count = int(open_bottom.sum())
        notes.append(f"{count} of {known.sum()} curves have no unstimulated control: their bottom is that of the fit")


def _summary(
    effects: list[dict], patients: pd.DataFrame, settings: SignallingMonitor, problem: str, notes: list[str]
) -> dict:
    primary = [row for row in effects if row["role"] == "primary"]
    notes = [
        *notes,
        f"met: for each of {', '.join(settings.against)} the lower 95 % limit of EC50 over that of "
        f"{settings.reference} is at least {settings.selectivity_min:g}",
    ]
    common = {"monitor": "signalling", "title": TITLE, "settings": settings, "notes": notes}
    names = [name for name in dict.fromkeys(patients["stimulus"]) if name]
    if not problem and not primary:
        problem = f"several stimuli ({', '.join(names)}): name the one of the primary endpoint (stimulus)"
    lacking = [row for row in primary if row["verdict"] == NOT_EVALUABLE]
    failing = [row for row in primary if row["verdict"] == NOT_MET]
    if problem or (lacking and not failing):
        why = problem or "; ".join(f"{row['population']}: {row['note']}" for row in lacking)
        weakest = lacking[0] if lacking else None
        return summary(
            verdict=NOT_EVALUABLE, reason=f"selectivity is not evaluable: {why}.", headline=("–", why), primary=weakest,
            **common,
        )  # fmt: skip
    weakest = min((row for row in primary if row not in lacking), key=lambda row: float(row["lower"]))
    told = "; ".join(f"{row['population']} {spoken(row)}" for row in primary)
    drug = str(primary[0]["contrast"]).split(":")[0]
    verdict = NOT_MET if failing else MET
    reason = (
        f"EC50 over that of {settings.reference}, {drug}: {told}; asked for: a lower limit of at least "
        f"x{settings.selectivity_min:g}{' for each' if len(primary) > 1 else ''}."
    )
    value = "x" + number(10 ** float(weakest["estimate"])) if math.isfinite(weakest["estimate"]) else (
        "> x" + number(10 ** float(weakest["lower"]))
    )  # fmt: skip
    caption = f"least selectivity, {weakest['population']} vs {settings.reference}, {spoken(weakest)}"
    return summary(verdict=verdict, reason=reason, headline=(value, caption), primary=weakest, **common)


def spoken(row: dict) -> str:
    """``x31 (95 % CI 22 to 44, n = 9)``, with what the row's note adds, or what is known."""
    if row["verdict"] == NOT_EVALUABLE:
        return f"not evaluable ({row['note']})"
    lower, upper = (10 ** float(row[name]) if float(row[name]) < 300 else math.inf for name in ("lower", "upper"))
    limits = f"95 % CI {number(lower)} to {number(upper)}" if math.isfinite(upper) else f"at least {number(lower)}"
    estimate = f"x{number(10 ** float(row['estimate']))} " if math.isfinite(float(row["estimate"])) else ""
    return f"{estimate}({join([f'{limits}, n = {row["n"]}', str(row['note'])])})"
