"""Which patients respond: against a stated fold change and against the assay's noise."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from treset.monitor.common import CONFIDENCE, NOT_EVALUABLE, effect, join
from treset.monitor.trial import Trial
from treset.monitor.values import TRANSFORMED, measure_of, read
from treset.stats import Noise, clopper_pearson, noise_band
from treset.study.model import Endpoint, TregMonitor

#: Columns that it adds to patients.tsv.
COLUMNS = ("noise_band", "beyond_noise")


def assay_noise(trial: Trial, endpoint: Endpoint) -> tuple[Noise, str]:
    """Noise of a measure from shared controls and technical replicates, and what it rests on.

    On the log scale for shares, counts and ratios, else in the measure's unit. NaN where nothing was repeated. Every
    endpoint has its own: a median is noisy in another way than a share.
    """
    none = Noise(math.nan, 0, 0, math.nan)
    if trial.cohort.repeats is None or trial.cohort.repeats[1].empty:
        return none, "no shared control and no technical replicate: the assay's noise is not known"
    profiles, sheet = trial.cohort.repeats
    minimum = trial.settings.min_events if endpoint.min_events is None else endpoint.min_events
    again = replace(trial.cohort, profiles=profiles, sheet=sheet)
    found = read(again, measure_of(endpoint, trial.settings.origin), minimum)
    if found.problem:
        return none, f"{endpoint.name}: the assay's noise is not known: {found.problem}"
    usable = found.table[found.table["why"] == ""]
    values = usable["value"].astype("float64")
    if endpoint.measure not in TRANSFORMED:
        values = np.log(values.where(values > 0, usable["half"].astype("float64")))
    values = values[np.isfinite(values)]
    noise = noise_band([group.to_numpy() for _, group in values.groupby(sheet["material"].reindex(values.index))])
    if not noise.groups:
        return none, f"{endpoint.name}: no control or sample was measured twice, the assay's noise is not known"
    band = f"x{math.exp(noise.band):.3g}" if endpoint.measure not in TRANSFORMED else f"{noise.band:.3g}"
    materials = f"{noise.groups} material{'s' if noise.groups > 1 else ''}"
    said = (
        f"{endpoint.name}: the assay's noise rests on {materials} measured again ({noise.df} degrees of freedom): "
        f"a change within {band} either way is within it"
    )
    return noise, said


def call(row: dict, endpoint: Endpoint, settings: TregMonitor, noise: Noise) -> tuple[str, str, str]:
    """Call a patient.

    Returns
    -------
    Responder (yes, no, not evaluable, or "" where it is not asked), beyond the noise (the same words), and why.
    A responder's change reaches the stated fold and, where the noise is known, lies beyond it. The stated fold is that
    of the primary endpoint; a secondary one is held against its noise alone.
    """
    if math.isnan(row["change"]):
        return NOT_EVALUABLE, "", ""
    beyond, told = _beyond(row, endpoint, noise)
    asked = settings.responder_fold if endpoint.role == "primary" else None
    if asked is None:
        return "", beyond, told
    fold = row["fold"]
    if not math.isfinite(fold):
        return NOT_EVALUABLE, beyond, "no fold change on this scale"
    up, down = max(asked, 1 / asked), min(asked, 1 / asked)
    reached = {
        "increase": fold >= asked,
        "decrease": fold <= down,
        "either": fold >= up or fold <= down,
    }[endpoint.direction]
    least = {"increase": f"x{asked:g}", "decrease": f"x{down:g}", "either": f"x{up:g} or x{down:g}"}[endpoint.direction]
    why = f"x{fold:.3g}, {'reaches' if reached else 'does not reach'} {least}"
    return ("yes" if reached and beyond != "no" else "no"), beyond, join([why, told])


def _beyond(row: dict, endpoint: Endpoint, noise: Noise) -> tuple[str, str]:
    if not math.isfinite(noise.band):
        return "", ""
    if endpoint.measure in TRANSFORMED:
        change = row["visit_value"] - row["baseline_value"]
    else:
        change = math.log(row["fold"]) if math.isfinite(row["fold"]) and row["fold"] > 0 else math.nan
    if math.isnan(change):
        return NOT_EVALUABLE, "no ratio to hold against the assay's noise"
    sign = {"increase": change, "decrease": -change}.get(endpoint.direction, abs(change))
    return ("yes", "") if sign > noise.band else ("no", "not beyond the assay's noise")


def responder_rows(trial: Trial, endpoint: Endpoint, patients: pd.DataFrame, noise: Noise) -> list[dict]:
    """Share of responders (primary endpoint) and of patients beyond the noise, of all patients and in each arm."""
    fold = trial.settings.responder_fold
    asked = [] if fold is None or endpoint.role != "primary" else [("responders", "call", f"change at least x{fold:g}")]
    if math.isfinite(noise.band):
        asked.append(("beyond the assay's noise", "beyond_noise", "change beyond the assay's noise"))
    rows = []
    for name, column, words in asked:
        for arm in [None, *trial.arms] if len(trial.arms) > 1 else [None]:
            group = patients if arm is None else patients[patients["arm"] == arm]
            yes, n = int((group[column] == "yes").sum()), int(group[column].isin(["yes", "no"]).sum())
            limits = clopper_pearson(yes, n, CONFIDENCE)
            contrast = trial.contrast(endpoint) + (f", arm {arm}" if arm else "")
            rows.append(
                effect(
                    endpoint=name, population=endpoint.population, measure=endpoint.measure,
                    marker=endpoint.marker or "", contrast=contrast, n=n, estimate=100 * yes / n if n else math.nan,
                    scale="percent", lower=100 * limits.lower, upper=100 * limits.upper,
                    method="share, Clopper-Pearson", converged=bool(n), verdict="" if n else NOT_EVALUABLE,
                    role="descriptive", origin=trial.settings.origin, note=f"{yes} of {n} evaluable patients {words}",
                )
            )  # fmt: skip
    return rows
