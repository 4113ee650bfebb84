"""A planned trial: plain data, before any cell is drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from treset.simulate.populations import LEAVES, PARENT, leaves_of

#: Columns of ``truth.tsv``.
TRUTH_COLUMNS = ("endpoint", "population", "measure", "marker", "contrast", "scale", "value", "verdict")

#: Kinds of events.
KINDS = ("cell", "doublet", "debris", "dead", "bead")


@dataclass(frozen=True)
class SamplePlan:
    """What one file is drawn from.

    Attributes
    ----------
    composition
        Share of each leaf population among living single cells; shape (leaves,), sums to 1.
    folds
        Factor on the median count of each marker in each leaf; shape (leaves, markers).
    """

    sample: str
    batch: str
    composition: np.ndarray
    folds: np.ndarray


@dataclass(frozen=True)
class Trial:
    """A simulated trial with a known truth.

    Attributes
    ----------
    design, modality, seed, parameters
        What was asked for; ``parameters`` holds every parameter with its value.
    sheet
        Columns of ``samples.tsv``, one row a sample.
    panel
        Columns of ``panel.tsv``; None for RNA.
    truth
        Columns ``TRUTH_COLUMNS``: statements that hold for the trial's population of patients.
    patients
        One row a patient: true parameters of that patient.
    plans
        Sample id -> what its file is drawn from.
    """

    design: str
    modality: str
    seed: int
    parameters: Mapping[str, Any]
    sheet: pd.DataFrame
    panel: pd.DataFrame | None
    truth: pd.DataFrame
    patients: pd.DataFrame
    plans: Mapping[str, SamplePlan]

    @property
    def events(self) -> int:
        """Events in each file."""
        return self.parameters["events"] or (5_000 if self.modality == "mass_cytometry" else 1_500)

    @cached_property
    def composition(self) -> pd.DataFrame:
        """Planned shares: one row a sample, one column a leaf population, rows sum to 1."""
        return pd.DataFrame(
            [plan.composition for plan in self.plans.values()],
            index=pd.Index(list(self.plans), name="sample"),
            columns=list(LEAVES),
        )


def generator(seed: int, *names: str) -> np.random.Generator:
    """Give the random generator of one thing (a patient, a sample's cells), independent of all others.

    Parameters
    ----------
    seed
        The trial's seed.
    names
        What the generator is for, such as ``("sample", "P01_D8")``.
    """
    digest = hashlib.sha256("\x1f".join((str(seed), *names)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def draw_counts(trial: Trial, sample: str) -> tuple[np.ndarray, np.ndarray]:
    """Draw how many events of each kind, and living single cells of each leaf population, a sample has.

    A draw of its own, so that the realised composition is known without drawing any cell.

    Returns
    -------
    Counts by kind, shape (5,), in the order of ``KINDS``; counts by leaf, shape (leaves,), summing to the cells.
    """
    rng = generator(trial.seed, "counts", sample)
    value = trial.parameters
    beads = value["beads"] if trial.modality == "mass_cytometry" else 0.0
    shares = np.array([value["doublets"], value["debris"], value["dead"], beads])
    kinds = rng.multinomial(trial.events, [1 - shares.sum(), *shares])
    return kinds, rng.multinomial(kinds[0], trial.plans[sample].composition)


def realised_composition(trial: Trial) -> pd.DataFrame:
    """Count the living single cells that every file really holds.

    Returns
    -------
    Columns sample, population, parent, true_percent_of_parent (percent; NaN where the parent is empty),
    true_percent_of_total (percent of living single cells), true_count; every sample and population, leaves and
    inner nodes.
    """
    rows = []
    members = {name: np.isin(LEAVES, leaves_of(name)) for name in (*PARENT, "cells")}
    parents = dict(PARENT)
    if trial.modality == "rna":
        # Genes tell naive from memory B cells and no more: transitional count as naive.
        parents = {name: parent for name, parent in parents.items() if parent != "B"}
        parents |= {"B naive": "B", "B memory": "B"}
        young = np.isin(LEAVES, ("B naive", "B transitional"))
        members |= {"B naive": young, "B memory": members["B"] & ~young}
    else:
        del parents["Platelets"]
    for sample in trial.plans:
        _, leaves = draw_counts(trial, sample)
        count = {name: int(leaves[member].sum()) for name, member in members.items()}
        for name, parent in parents.items():
            of_parent = 100 * count[name] / count[parent] if count[parent] else np.nan
            of_total = 100 * count[name] / count["cells"] if count["cells"] else np.nan
            rows.append((sample, name, parent, of_parent, of_total, count[name]))
    columns = ["sample", "population", "parent", "true_percent_of_parent", "true_percent_of_total", "true_count"]
    return pd.DataFrame(rows, columns=columns)
