"""How many patients and cells an effect needs: a simulated design, repeated, and how often its verdict is "met"."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
import yaml

from treset import profile
from treset.errors import TresetError
from treset.monitor.common import CONFIDENCE, MET, NOT_EVALUABLE, NOT_MET
from treset.plain import from_plain
from treset.simulate import DESIGNS, Trial, plan, realised_composition
from treset.simulate.panel import MARKERS
from treset.simulate.populations import CELL_SD, LEAVES, intensity_table, leaves_of
from treset.simulate.trial import generator
from treset.stats import clopper_pearson
from treset.study.model import Monitors

#: Columns of the table of ``power``.
COLUMNS = (
    "design", "monitor", "patients", "patients_in_trial", "cells", "repeats", "met", "not_met", "not_evaluable",
    "power", "lower", "upper",
)  # fmt: skip
_COFACTOR = 5.0


def power(
    design: str, patients: Sequence[int], *, cells: Sequence[int] = (5_000,),
    effect: Mapping[str, Any] | None = None, monitors: Monitors | None = None, repeats: int = 100, seed: int = 1,
) -> pd.DataFrame:  # fmt: skip
    """Repeat a simulated trial and count how often its primary verdict is met.

    Parameters
    ----------
    design
        A design of :mod:`treset.simulate`.
    patients
        Values of the design's parameter ``patients`` (all, in each arm, or for each disease: the design says which).
    cells
        Events in each file.
    effect
        Other parameters of the design, effect sizes among them; the rest keep their defaults.
    monitors
        The questions; None: those that come with the design. The first of treg, bcell, signalling is judged.
    repeats
        Trials for each number of patients and cells.
    seed
        Of the first trial.

    Returns
    -------
    One row a number of patients and of cells, columns ``COLUMNS``: how many trials were met, not met and not evaluable,
    and the share met with its exact (Clopper-Pearson) interval. With an effect of none the share is the rate of false
    positives.

    Raises
    ------
    TresetError
        For an unknown design or parameter, repeats below 1, or no monitor to judge by.

    Notes
    -----
    Profiles are drawn, no files are written and no gates are set: patients and visits vary as in
    :mod:`treset.simulate`, cells are counted by a multinomial, medians have the error of their cells. What gating and
    batches add is not in it, so that a real trial needs somewhat more.
    """
    if repeats < 1:
        raise TresetError(f"power: repeats is {repeats}, expected at least 1")
    if design not in DESIGNS:
        raise TresetError(f"power: there is no design '{design}'; known are {', '.join(DESIGNS)}")
    asked, baseline = design_monitors(design)
    asked = monitors or asked
    name = next((m for m in ("treg", "bcell", "signalling") if getattr(asked, m) is not None), None)
    if name is None:
        raise TresetError("power: none of the monitors treg, bcell and signalling is set; power needs a verdict")
    rows = []
    for n in patients:
        for events in cells:
            seen = {MET: 0, NOT_MET: 0, NOT_EVALUABLE: 0}
            in_trial = 0
            for repeat in range(repeats):
                known = {**(effect or {}), "patients": n, "events": events, "seed": _seed(seed, repeat)}
                trial = plan(design, **known)
                in_trial = trial.sheet["patient"].nunique()
                seen[_verdict(name, trial, asked, baseline)] += 1
            limits = clopper_pearson(seen[MET], repeats, CONFIDENCE)
            counts = (seen[MET], seen[NOT_MET], seen[NOT_EVALUABLE])
            share = seen[MET] / repeats
            rows.append((design, name, n, in_trial, events, repeats, *counts, share, limits.lower, limits.upper))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def design_monitors(design: str) -> tuple[Monitors, str]:
    """Give the monitors and the baseline that come with a design."""
    text = (files("treset") / "data" / "designs" / f"{design}.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    return from_plain(Monitors, values["monitors"]), str(values.get("baseline", ""))


def _seed(seed: int, repeat: int) -> int:
    """A seed for each trial that two studies do not share."""
    return int.from_bytes(hashlib.sha256(f"power\x1f{seed}\x1f{repeat}".encode()).digest()[:4], "little") >> 1


def _verdict(name: str, trial: Trial, monitors: Monitors, baseline: str) -> str:
    from treset.monitor import run_monitor

    profiles, samples = tables(trial, monitors)
    return str(run_monitor(name, profiles, samples, monitors, baseline).summary["verdict"])


def tables(trial: Trial, monitors: Monitors) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Profiles (the waist) and sheet of a planned trial, as perfect gates would give them.

    Parameters
    ----------
    trial
        A planned trial.
    monitors
        Decide which populations and markers get medians.
    """
    samples = trial.sheet.drop(columns="file")
    samples = samples.assign(
        anchor=False, exclude="", cells_per_ul=np.nan, counted_population="",
        day=pd.to_numeric(samples["day"]).astype("float64"), dose=pd.to_numeric(samples["dose"]).astype("float64"),
    )  # fmt: skip
    truth = realised_composition(trial)
    totals = truth[truth["parent"] == "cells"].groupby("sample")["true_count"].sum()
    count = truth.set_index(["sample", "population"])["true_count"]
    parent = pd.MultiIndex.from_arrays([truth["sample"], truth["parent"]])
    whole = truth["sample"].map(totals).to_numpy()
    above = np.where(truth["parent"] == "cells", whole, count.reindex(parent).to_numpy())
    common = truth[["sample", "population", "parent"]]
    parts = [
        common.assign(measure="count", marker="", value=truth["true_count"].astype(float), n_cells=truth["true_count"]),
        common.assign(measure="percent_of_parent", marker="", value=truth["true_percent_of_parent"], n_cells=above),
        common.assign(measure="percent_of_total", marker="", value=truth["true_percent_of_total"], n_cells=whole),
    ]
    if wanted := _medians(monitors):
        parts.append(_median_rows(trial, common.assign(n=truth["true_count"]), wanted))
    rows = pd.concat(parts, ignore_index=True).assign(origin="gate")
    sheet = samples[["sample", "patient", "visit", "day", "arm", "disease", "batch", "stimulus", "dose"]]
    table = rows.merge(sheet, on="sample", how="left", validate="many_to_one")
    return table.astype({"n_cells": "int64"})[list(profile.COLUMNS)], samples


def _medians(monitors: Monitors) -> set[tuple[str, str]]:
    """Population and marker of every median that is asked for."""
    wanted: set[tuple[str, str]] = set()
    if monitors.treg is not None:
        wanted |= {(e.population, e.marker) for e in monitors.treg.endpoints if e.measure == "median" and e.marker}
    if (asked := monitors.signalling) is not None and asked.measure == "median":
        wanted |= {(name, asked.marker) for name in (asked.reference, *asked.against, *asked.populations)}
    return wanted


def _median_rows(trial: Trial, truth: pd.DataFrame, wanted: set[tuple[str, str]]) -> pd.DataFrame:
    """Medians in arcsinh units: log means of a population's leaves, with the error of a median of so many cells."""
    intensity = intensity_table()
    rows = []
    for sample, own in truth.groupby("sample", sort=False):
        plan_of = trial.plans[str(sample)]
        rng = generator(trial.seed, "medians", str(sample))
        parents = own.set_index("population")
        for population, marker in sorted(wanted):
            if population not in parents.index or marker not in MARKERS:
                continue
            members = [LEAVES.index(leaf) for leaf in leaves_of(population)]
            column, weight = MARKERS.index(marker), plan_of.composition[members]
            level = np.log(intensity[members, column] * plan_of.folds[members, column])
            n = int(parents.loc[population, "n"])
            noise = rng.normal()
            value = np.nan
            if n and weight.sum() > 0:
                centre = float(level @ weight / weight.sum()) + 1.2533 * CELL_SD / np.sqrt(n) * noise
                value = float(np.arcsinh(np.exp(centre) / _COFACTOR))
            parent = parents.loc[population, "parent"]
            rows.append((sample, population, parent, "median", marker, value, n))
    names = ["sample", "population", "parent", "measure", "marker", "value", "n_cells"]
    return pd.DataFrame(rows, columns=names)
