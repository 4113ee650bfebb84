"""Effects of the monitor signalling: EC50 and selectivity over patients and diseases."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import stats

from treset.monitor.common import CONFIDENCE, MET, NOT_EVALUABLE, NOT_MET, effect, join
from treset.stats import CensoredMean, bh, censored_mean
from treset.study.model import SignallingMonitor

_SIDES = {">": 1, "<": -1, "": 0}


def selectivity_rows(patients: pd.DataFrame, settings: SignallingMonitor) -> list[dict]:
    """log10 of EC50 over the reference's for each stimulus and population; with a verdict for ``against``."""
    rows = []
    stimuli = _stimuli(patients)
    asked = settings.stimulus or (stimuli[0] if len(stimuli) == 1 else None)
    names = dict.fromkeys((*settings.against, *settings.populations))
    for stimulus in stimuli:
        for name in (name for name in names if name != settings.reference):
            own = patients[(patients["stimulus"] == stimulus) & (patients["population"] == name)]
            known = own[own["log10_selectivity"].notna()]
            found = censored_mean(known["log10_selectivity"], known["selectivity_side"].map(_SIDES), CONFIDENCE)
            primary = stimulus == asked and name in settings.against
            row = _row("selectivity", name, f"{stimulus}: {name} vs {settings.reference}", settings, found)
            row |= {"scale": "log10_ratio", "role": "primary" if primary else "descriptive"}
            row["note"] = join([str(row["note"]), _short(own, known)])
            if row["verdict"] != NOT_EVALUABLE and primary:
                row["verdict"] = _verdict(found, settings)
            rows.append(row)
    return rows


def _verdict(found: CensoredMean, settings: SignallingMonitor) -> str:
    if math.isnan(found.lower):
        return NOT_EVALUABLE
    # a lower limit of -inf (most are bounds below) reaches no threshold
    return MET if found.lower >= math.log10(settings.selectivity_min) else NOT_MET


def ec50_rows(patients: pd.DataFrame, settings: SignallingMonitor) -> list[dict]:
    """Geometric mean EC50 for each stimulus and population, of all patients and of each disease."""
    rows = []
    for stimulus in _stimuli(patients):
        for name in dict.fromkeys(patients["population"]):
            own = patients[(patients["stimulus"] == stimulus) & (patients["population"] == name)]
            rows.append(_ec50(own, name, stimulus, settings))
            diseases = [disease for disease in dict.fromkeys(own["disease"]) if disease]
            if len(diseases) > 1:
                rows += [
                    _ec50(own[own["disease"] == disease], name, f"{stimulus}, {disease}", settings)
                    for disease in diseases
                ]
    return rows


def _ec50(own: pd.DataFrame, population: str, contrast: str, settings: SignallingMonitor) -> dict:
    values, sides = _log_ec50(own)
    known = np.isfinite(values)
    found = censored_mean(values[known], sides[known], CONFIDENCE)
    row = _row("EC50", population, contrast, settings, found) | {"scale": "nM", "role": "descriptive"}
    for name in ("estimate", "lower", "upper"):
        row[name] = float(np.power(10.0, row[name]))
    bounds = [text for text, side in zip(own["ec50_text"], sides, strict=True) if side]
    said = f"bounds: {', '.join(dict.fromkeys(bounds))} nM" if bounds else ""
    row["note"] = join([str(row["note"]), said, _short(own, own[known])])
    return row


def _log_ec50(own: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    sides = own["censored"].map(_SIDES).to_numpy(dtype=int)
    values = np.where(sides != 0, own["bound"].to_numpy(dtype=float), own["ec50"].to_numpy(dtype=float))
    # a bound of 0 bounds nothing
    return np.log10(np.where(values > 0, values, np.nan)), sides


def disease_rows(patients: pd.DataFrame, settings: SignallingMonitor, notes: list[str]) -> list[dict]:
    """Shift of log10 EC50 in each disease against ``reference_disease``, over all populations.

    A random intercept for each patient: in the balanced case that is Welch's t test of each patient's mean over the
    populations in which every patient has an EC50 (a censored one has no place in a mean; the population is left out).
    """
    known = [disease for disease in dict.fromkeys(patients["disease"]) if disease]
    reference = settings.reference_disease
    if not reference:
        return []
    if reference not in known or len(known) < 2:
        notes.append(f"no comparison of diseases: {reference!r} and another are needed, there are {', '.join(known)}")
        return []
    rows = []
    for stimulus in _stimuli(patients):
        part = patients[(patients["stimulus"] == stimulus) & (patients["disease"] != "")]
        part = part.assign(log10=np.log10(part["ec50"].to_numpy(dtype=float)))
        wide = part.pivot(index="patient", columns="population", values="log10")  # noqa: PD010
        whole = wide.dropna(axis=1)
        of = part.drop_duplicates("patient").set_index("patient")["disease"].reindex(whole.index)
        level = whole.mean(axis=1)
        left = [str(name) for name in wide.columns if name not in whole.columns]
        note = f"left out, not every patient has an EC50: {', '.join(left)}" if left else ""
        for disease in (name for name in known if name != reference):
            row = effect(
                endpoint="disease", population=", ".join(map(str, whole.columns)), measure=settings.measure,
                marker=settings.marker, contrast=f"{stimulus}: {disease} vs {reference}", scale="log10_ratio",
                role="secondary", origin=settings.origin, method="random intercept a patient, Welch t",
            )  # fmt: skip
            rows.append(row | _welch(level[of == disease], level[of == reference], note))
    for row, q in zip(rows, bh([row["p_value"] for row in rows]), strict=True):
        row["q_value"] = float(q)
    return rows


def _welch(x: pd.Series, y: pd.Series, note: str) -> dict:
    n = len(x) + len(y)
    if min(len(x), len(y)) < 2 or x.isna().any() or y.isna().any():
        short = "fewer than 2 patients of a disease, or no population in which all have an EC50"
        return {"n": n, "verdict": NOT_EVALUABLE, "note": join([short, note])}
    found = stats.ttest_ind(x, y, equal_var=False)
    limits = found.confidence_interval(CONFIDENCE)
    return {
        "n": n, "estimate": float(x.mean() - y.mean()), "lower": float(limits.low), "upper": float(limits.high),
        "p_value": float(found.pvalue), "converged": True, "note": note,
    }  # fmt: skip


def _row(endpoint: str, population: str, contrast: str, settings: SignallingMonitor, found: CensoredMean) -> dict:
    row = effect(
        endpoint=endpoint, population=population, measure=settings.measure, marker=settings.marker, contrast=contrast,
        n=found.n, estimate=found.estimate, lower=found.lower, upper=found.upper, converged=bool(found.method),
        method=f"4-parameter logistic; {found.method}" if found.method else "", origin=settings.origin, note=found.note,
    )  # fmt: skip
    if math.isnan(found.estimate) and math.isnan(found.lower):
        row |= {"verdict": NOT_EVALUABLE, "note": found.note if found.n else "no patient has an EC50"}
    return row


def _short(own: pd.DataFrame, known: pd.DataFrame) -> str:
    """``2 of 9 patients without: no response (2)``."""
    lost = own.loc[~own.index.isin(known.index), "call"]
    if lost.empty:
        return ""
    # a ratio may lack its other half
    lost = lost.where(~lost.isin(["fitted", "censored"]), "no EC50 of the reference")
    counts = ", ".join(f"{call} ({count})" for call, count in lost.value_counts().items())
    return f"{len(lost)} of {len(own)} patients without: {counts}"


def _stimuli(patients: pd.DataFrame) -> list[str]:
    return [name for name in dict.fromkeys(patients["stimulus"]) if name]
