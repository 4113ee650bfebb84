"""Patients and their samples: what all designs share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from treset.errors import TresetError
from treset.simulate.composition import Shares, leaf_shares, set_share, typical_shares, vary
from treset.simulate.panel import MARKERS, panel_table
from treset.simulate.populations import CELL_SD, LEAVES, RNA_PLATELETS, intensity_table, leaves_of
from treset.simulate.trial import TRUTH_COLUMNS, SamplePlan, Trial, generator

SHEET_COLUMNS = (
    "sample",
    "file",
    "patient",
    "visit",
    "day",
    "arm",
    "disease",
    "batch",
    "stimulus",
    "dose",
    "sex",
    "age",
)


@dataclass(frozen=True)
class Patient:
    """One simulated patient.

    Attributes
    ----------
    shares
        The patient's own usual shares, before visits and effects.
    marker_factors
        The patient's factor on each marker's intensity; shape (markers,).
    """

    patient: str
    arm: str
    disease: str
    batch: str
    sex: str
    age: int
    shares: Shares
    marker_factors: np.ndarray


def make_patients(
    values: Mapping[str, Any], arms: Sequence[str], diseases: Sequence[str], typical: Shares | None = None
) -> list[Patient]:
    """Make the patients of a trial, ``len(arms)`` of them.

    Parameters
    ----------
    values
        The design's parameters.
    arms
        Arm of each patient.
    diseases
        Disease of each patient.
    typical
        Usual shares around which the patients vary. Default: healthy blood.
    """
    typical = typical or typical_shares()
    if values["modality"] == "rna":
        set_share(typical, "Platelets", RNA_PLATELETS)
    made = []
    for number, (arm, disease) in enumerate(zip(arms, diseases, strict=True)):
        name = f"P{number + 1:02d}"
        rng = generator(values["seed"], "patient", name)
        made.append(
            Patient(
                patient=name,
                arm=arm,
                disease=disease,
                batch=f"plate{number % values['batches'] + 1}",
                sex=str(rng.choice(["F", "M"])),
                age=int(rng.integers(19, 75)),
                shares=vary(typical, rng, values["patient_sd"]),
                marker_factors=np.exp(rng.normal(0.0, values["marker_sd"], len(MARKERS))),
            )
        )
    return made


def visit_shares(values: Mapping[str, Any], patient: Patient, visit: str) -> Shares:
    """Give a patient's shares at a visit, before effects."""
    return vary(patient.shares, generator(values["seed"], "visit", patient.patient, visit), values["visit_sd"])


def marker_folds(patient: Patient, effects: Mapping[tuple[str, str], float]) -> np.ndarray:
    """Combine a patient's own marker factors with effects.

    Parameters
    ----------
    patient
        The patient.
    effects
        (population, marker) -> factor on the median count, for every leaf at or below the population.

    Returns
    -------
    Array of shape (leaves, markers).
    """
    folds = np.tile(patient.marker_factors, (len(LEAVES), 1))
    for (population, marker), factor in effects.items():
        rows = np.isin(LEAVES, leaves_of(population))
        folds[rows, MARKERS.index(marker)] *= factor
    return folds


def sheet_row(values: Mapping[str, Any], patient: Patient, sample: str, visit: str, day: float, **more: Any) -> dict:
    """Give one row of the sample sheet."""
    suffix = "fcs" if values["modality"] == "mass_cytometry" else "h5"
    row = dict.fromkeys(SHEET_COLUMNS, "")
    row.update(
        sample=sample,
        file=f"{values['prefix'].rstrip('/')}/{sample}.{suffix}" if values["prefix"] else f"{sample}.{suffix}",
        patient=patient.patient,
        visit=visit,
        day=day,
        arm=patient.arm,
        disease=patient.disease,
        batch=patient.batch,
        dose=np.nan,
        sex=patient.sex,
        age=patient.age,
    )
    return row | more


def plan_sample(patient: Patient, sample: str, shares: Shares, effects: Mapping[tuple[str, str], float]) -> SamplePlan:
    """Close a sample's plan."""
    return SamplePlan(sample, patient.batch, leaf_shares(shares), marker_folds(patient, effects))


def make_trial(
    design: str,
    values: Mapping[str, Any],
    rows: Sequence[dict],
    plans: Sequence[SamplePlan],
    truth: Sequence[tuple],
    patients: Sequence[dict],
) -> Trial:
    """Put a trial together and leave out the samples that were never collected.

    Raises
    ------
    TresetError
        When ``missing`` names a sample that the design has not.
    """
    known = [plan.sample for plan in plans]
    strangers = [name for name in values["missing"] if name not in known]
    if strangers:
        raise TresetError(
            f"simulate: parameter 'missing' names {strangers[0]!r}, which design '{design}' has not; "
            f"its samples are {', '.join(known[:6])}{' ...' if len(known) > 6 else ''}."
        )
    sheet = pd.DataFrame(rows, columns=list(SHEET_COLUMNS))
    rna = values["modality"] == "rna"
    truth_table = pd.DataFrame(truth, columns=list(TRUTH_COLUMNS))
    if rna:
        # What a median of arcsinh counts does is no statement about genes.
        truth_table = truth_table[truth_table["marker"] == ""].reset_index(drop=True)
    return Trial(
        design=design,
        modality=values["modality"],
        seed=values["seed"],
        parameters=dict(values),
        sheet=sheet[~sheet["sample"].isin(values["missing"])].reset_index(drop=True),
        panel=None if rna else panel_table(),
        truth=truth_table,
        patients=pd.DataFrame(patients),
        plans={plan.sample: plan for plan in plans if plan.sample not in values["missing"]},
    )


def typical_median(population: str, marker: str, fold: float = 1.0, cofactor: float = 5.0) -> float:
    """Give the median of a marker in a population of usual composition, in arcsinh units.

    Parameters
    ----------
    population
        A leaf or an inner node; its leaves are mixed as in healthy blood.
    marker
        The marker.
    fold
        Factor on its intensity.
    cofactor
        Cofactor of the arcsinh.
    """
    weights = leaf_shares(typical_shares())
    rows = [LEAVES.index(leaf) for leaf in leaves_of(population)]
    medians = intensity_table()[rows, MARKERS.index(marker)] * fold
    return float(np.arcsinh(_mixture_median(weights[rows] / weights[rows].sum(), medians) / cofactor))


def _mixture_median(weights: np.ndarray, medians: np.ndarray) -> float:
    """Median of a mixture of log-normals, by bisection of its distribution function."""
    centres = np.log(medians)
    low, high = float(centres.min()), float(centres.max())
    for _ in range(60):
        middle = (low + high) / 2
        below = sum(w * NormalDist(c, CELL_SD).cdf(middle) for w, c in zip(weights, centres, strict=True))
        low, high = (middle, high) if below < 0.5 else (low, middle)
    return float(np.exp((low + high) / 2))
