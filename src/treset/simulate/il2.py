"""Low-dose interleukin-2: open-label and against placebo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

import numpy as np

from treset.errors import Faults
from treset.simulate.cohort import (
    Patient,
    make_patients,
    make_trial,
    plan_sample,
    sheet_row,
    typical_median,
    visit_shares,
)
from treset.simulate.composition import apply_folds
from treset.simulate.trial import Trial, generator

#: TRANSREG: 46 patients with one of 11 autoimmune diseases, no placebo arm (Rosenzwajg et al. 2019,
#: doi:10.1136/annrheumdis-2018-214229).
OPEN_LABEL: dict[str, Any] = {
    "patients": 46,
    "diseases": (
        "rheumatoid arthritis",
        "ankylosing spondylitis",
        "systemic lupus erythematosus",
        "psoriasis",
        "Behcet's disease",
        "granulomatosis with polyangiitis",
        "Takayasu's disease",
        "Crohn's disease",
        "ulcerative colitis",
        "autoimmune hepatitis",
        "sclerosing cholangitis",
    ),
    "visits": ("D0", "D8", "D28"),
    "days": (0, 8, 28),
    # Median fold of each visit over the first, on the share of the parent (Treg of CD4 T, CD56bright of NK) or on the
    # intensity of the marker on Treg.
    "treg_folds": (1.0, 2.0, 1.5),
    "cd25_folds": (1.0, 1.8, 1.3),
    "foxp3_folds": (1.0, 1.3, 1.1),
    "nk_bright_folds": (1.0, 1.2, 1.1),
    # s.d. between patients of the log fold.
    "treg_fold_sd": 0.25,
    "marker_fold_sd": 0.15,
}

#: MS-IL2 (NCT02424396): 15 against 15; Treg unchanged at day 5, x1.26 at day 15; CD25 on Treg x2.17 at day 5.
PLACEBO: dict[str, Any] = {
    **OPEN_LABEL,
    # In each arm.
    "patients": 15,
    "diseases": ("multiple sclerosis",),
    "visits": ("D0", "D5", "D15"),
    "days": (0, 5, 15),
    "treg_folds": (1.0, 1.0, 1.26),
    "cd25_folds": (1.0, 2.17, 1.2),
    "foxp3_folds": (1.0, 1.2, 1.0),
    "nk_bright_folds": (1.0, 1.0, 1.1),
    # From the published interquartile ranges: 1.21-1.33 for Treg, 1.70-3.55 for CD25 (log, divided by 1.349).
    "treg_fold_sd": 0.07,
    "marker_fold_sd": 0.5,
}

_FOLDS = ("treg_folds", "cd25_folds", "foxp3_folds", "nk_bright_folds")
_MARKERS = {"cd25_folds": "CD25", "foxp3_folds": "FOXP3"}
_SHARES = {"treg_folds": "Treg", "nk_bright_folds": "NK CD56bright"}
_ENDPOINTS = {
    "treg_folds": "treg_expansion",
    "nk_bright_folds": "nk_bright_expansion",
    "cd25_folds": "treg_cd25",
    "foxp3_folds": "treg_foxp3",
}
#: Shares that the drug does not touch (Treg expand inside CD4 T, so the share of CD4 T among T stays).
_UNTOUCHED = ("CD8 T", "CD4 T", "B naive", "Monocytes classical")


def open_label(values: Mapping[str, Any]) -> Trial:
    """Plan an open-label trial of low-dose IL-2; parameters in ``OPEN_LABEL``."""
    return _plan("il2_open_label", values, ["IL-2"] * values["patients"])


def placebo(values: Mapping[str, Any]) -> Trial:
    """Plan a trial of low-dose IL-2 against placebo; parameters in ``PLACEBO``."""
    return _plan("il2_placebo", values, ["IL-2", "placebo"] * values["patients"])


def _plan(design: str, values: Mapping[str, Any], arms: list[str]) -> Trial:
    _check_folds(values)
    diseases = list(islice(cycle(values["diseases"]), len(arms)))
    rows, plans, table = [], [], []
    for patient in _balanced(values, arms, diseases):
        folds = _patient_folds(values, patient)
        table.append(_patient_row(values, patient, folds))
        for number, (visit, day) in enumerate(zip(values["visits"], values["days"], strict=True)):
            sample = f"{patient.patient}_{visit}"
            shares = visit_shares(values, patient, visit)
            apply_folds(shares, {_SHARES[name]: folds[name][number] for name in _SHARES})
            effects = {("Treg", _MARKERS[name]): folds[name][number] for name in _MARKERS}
            plans.append(plan_sample(patient, sample, shares, effects))
            rows.append(sheet_row(values, patient, sample, visit, day))
    return make_trial(design, values, rows, plans, _truth(values, set(arms)), table)


def _balanced(values: Mapping[str, Any], arms: list[str], diseases: list[str]) -> list[Patient]:
    """Make the patients and put one of each arm on a plate in turn, so that arms are balanced over plates."""
    patients = make_patients(values, arms, diseases)
    step = len(set(arms))
    return [
        replace(patient, batch=f"plate{number // step % values['batches'] + 1}")
        for number, patient in enumerate(patients)
    ]


def _check_folds(values: Mapping[str, Any]) -> None:
    faults = [
        f"simulate: {len(values['visits'])} visits but '{name}' is {list(values[name])}, give one factor above 0 a "
        "visit and 1 at the first."
        for name in _FOLDS
        if len(values[name]) != len(values["visits"])
        or not all(isinstance(fold, (int, float)) and fold > 0 for fold in values[name])
        or values[name][0] != 1
    ]
    if faults:
        raise Faults(faults)


def _patient_folds(values: Mapping[str, Any], patient: Patient) -> dict[str, np.ndarray]:
    """Each patient's own folds by visit; a visit without effect has none in any patient."""
    rng = generator(values["seed"], "response", patient.patient)
    noise = {name: rng.normal() * values["treg_fold_sd" if name in _SHARES else "marker_fold_sd"] for name in _FOLDS}
    folds = {}
    for name in _FOLDS:
        log_fold = np.log(np.asarray(values[name], float))
        active = (log_fold != 0) & (patient.arm != "placebo")
        folds[name] = np.where(active, np.exp(log_fold + noise[name]), 1.0)
    return folds


def _patient_row(values: Mapping[str, Any], patient: Patient, folds: Mapping[str, np.ndarray]) -> dict:
    row: dict[str, Any] = {"patient": patient.patient, "arm": patient.arm, "disease": patient.disease}
    for name, by_visit in folds.items():
        row |= {
            f"{name.removesuffix('s')}_{visit}": fold for visit, fold in zip(values["visits"], by_visit, strict=True)
        }
    return row


def _truth(values: Mapping[str, Any], arms: set[str]) -> list[tuple]:
    first, *later = values["visits"]
    rows = []
    for number, visit in enumerate(later, start=1):
        contrast = f"{visit} vs {first}" if len(arms) == 1 else f"{visit} vs {first}, IL-2 vs placebo"
        suffix = "" if number == 1 else f"_{visit}"
        for name in _FOLDS:
            fold = float(values[name][number])
            verdict = "met" if fold > 1 else "not met"
            if name in _SHARES:
                measure, marker, scale, value = "percent_of_parent", "", "log_ratio", float(np.log(fold))
                population = _SHARES[name]
            else:
                population, measure, marker, scale = "Treg", "median", _MARKERS[name], "difference"
                value = typical_median("Treg", marker, fold) - typical_median("Treg", marker)
            rows.append((_ENDPOINTS[name] + suffix, population, measure, marker, contrast, scale, value, verdict))
        rows += [
            ("untouched" + suffix, name, "percent_of_parent", "", contrast, "log_ratio", 0.0, "not met")
            for name in _UNTOUCHED
        ]
    return rows
