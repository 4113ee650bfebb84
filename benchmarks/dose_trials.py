"""How often the monitor signalling errs: null trials of the dose-response design, and bounds near the highest dose.

    python benchmarks/dose_trials.py [null trials, default 1000] [patients, default 1800] [curves a bound, default 400]

A null trial has 9 patients in 3 diseases, each with the 8 doses of config/pstat5_dose.yaml. Treg and Tconv share
one EC50 in every disease (selectivity 1, the smallest that is asked for: to say *met* is wrong), B cells do not answer.
Patients are fitted once by the monitor and drawn into trials, without replacement within a trial.
A bound is tried on single curves of the same doses whose EC50 lies around the highest dose. Medians are drawn, not
cells: 0.5 to 2.6 on the arcsinh scale, residual s.d. 0.04, patients' log EC50 varies by 0.2. Writes
benchmarks/results/dose_trials.json.
"""

from __future__ import annotations

import datetime
import json
import math
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from treset import profile
from treset.monitor import signalling
from treset.monitor.signalling_effects import disease_rows, ec50_rows, selectivity_rows
from treset.stats import fit_dose_response, logistic4
from treset.study.model import SignallingMonitor

DOSES = (0.0, 0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0)
DISEASES = ("healthy", "type 1 diabetes", "lupus")
BOTTOM, TOP, NOISE, BETWEEN, EC50 = 0.5, 2.6, 0.04, 0.2, 0.05
#: Position of the EC50 as a multiple of the highest dose.
POSITIONS = (0.5, 1.0, 2.0, 4.0)
SETTINGS = SignallingMonitor(
    against=("Tconv",), populations=("B",), selectivity_min=1.0, reference_disease="healthy", bootstrap=99
)


def skeleton(populations: Sequence[str], per_disease: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Profiles without values (rows: patient, population, dose) and the sheet."""
    rows, samples = [], []
    for number, disease in enumerate(np.repeat(DISEASES, per_disease)):
        for dose in DOSES:
            who = {"sample": f"P{number:04d}_{dose:g}", "patient": f"P{number:04d}", "visit": "D0", "day": 0.0,
                   "arm": "", "disease": str(disease), "batch": "", "stimulus": "IL-2", "dose": dose}  # fmt: skip
            samples.append(who | {"anchor": False, "exclude": ""})
            rows += [
                who | {"population": name, "parent": "cells", "origin": "gate", "measure": "median",
                       "marker": "pSTAT5", "value": math.nan, "n_cells": 500}
                for name in populations
            ]  # fmt: skip
    return pd.DataFrame(rows)[list(profile.COLUMNS)], pd.DataFrame(samples)


def pool(patients: int, rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """Fits of many patients without selectivity, by the monitor, and their true EC50s."""
    names = ("Treg", "Tconv", "B")
    table, samples = skeleton(names, patients // len(DISEASES))
    who = table["patient"].str[1:].astype(int).to_numpy()
    own = EC50 * np.exp(rng.normal(0, BETWEEN, patients))
    level = logistic4(table["dose"].to_numpy(), BOTTOM, TOP, own[who], 1.0)
    silent = (table["population"] == "B").to_numpy()
    table["value"] = np.where(silent, BOTTOM, level) + rng.normal(0, NOISE, len(table))
    return signalling(table, samples, SETTINGS, "D0").patients, own


def null_trials(patients: int, repeats: int, seed: int) -> dict[str, float]:
    """Trials of 9 patients, drawn from the pool, without selectivity and without a difference between diseases."""
    rng = np.random.default_rng(seed)
    fitted, truth = pool(patients, rng)
    names = fitted["patient"].drop_duplicates().to_numpy()
    by_patient = dict(list(fitted.groupby("patient")))
    seen: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        seen.setdefault(name, []).append(float(value))

    treg = fitted[fitted["population"] == "Treg"]
    note("curve_coverage", ((treg["lower"] <= truth) & (truth <= treg["upper"])).mean())
    quiet = fitted[fitted["population"] == "B"]
    note("silent_curves_with_an_ec50", quiet["call"].isin(["fitted", "censored"]).mean())
    for _ in range(repeats):
        drawn = rng.choice(names, 9, replace=False)
        # no disease has an effect, so which disease a patient has is free
        trial = pd.concat([by_patient[name].assign(disease=DISEASES[i // 3]) for i, name in enumerate(drawn)])
        trial = trial.reset_index(drop=True)
        row = next(r for r in selectivity_rows(trial, SETTINGS) if r["population"] == "Tconv")
        note("selectivity_coverage", row["lower"] <= 0 <= row["upper"])
        note("selectivity_bias_log10", row["estimate"])
        note("met_at_the_bound", row["verdict"] == "met")
        note("called_less_selective", row["upper"] < 0)
        ec50 = {r["population"]: r for r in ec50_rows(trial, SETTINGS) if r["contrast"] == "IL-2"}
        note("ec50_coverage", ec50["Treg"]["lower"] <= EC50 <= ec50["Treg"]["upper"])
        note("ec50_bias_log10", math.log10(ec50["Treg"]["estimate"] / EC50))
        note("silent_population_with_an_ec50", math.isfinite(ec50["B"]["estimate"]))
        diseases = disease_rows(trial, SETTINGS, [])
        for found in diseases:
            note("disease_false_positive", found["p_value"] < 0.05)
            note("disease_coverage", found["lower"] <= 0 <= found["upper"])
        note("disease_any_q_under_0.05", any(found["q_value"] < 0.05 for found in diseases))
    return {f"null_{name}": float(np.mean(values)) for name, values in seen.items()}


def bounds(repeats: int, seed: int) -> dict[str, float]:
    """Single curves whose EC50 lies around the highest dose: what is claimed, and how often it is true."""
    rng = np.random.default_rng(seed)
    figures: dict[str, float] = {}
    highest = max(DOSES)
    for position in POSITIONS:
        truth = position * highest
        curve = logistic4(DOSES, BOTTOM, TOP, truth, 1.0)
        fits = [
            fit_dose_response(DOSES, curve + rng.normal(0, NOISE, len(DOSES)), bootstrap=199, seed=i)
            for i in range(repeats)
        ]
        answers = [fit for fit in fits if fit.status in ("fitted", "above")]
        above = [fit for fit in fits if fit.status == "above"]
        lower = [fit.lower if fit.status == "fitted" else fit.bound for fit in answers]
        share = {
            "answers": len(answers) / repeats,
            "bounds": len(above) / repeats,
            # one-sided: what is said to lie under the EC50 does
            "lower_limit_true": float(np.mean([limit <= truth for limit in lower])) if answers else math.nan,
            "bound_true": float(np.mean([fit.bound <= truth for fit in above])) if above else math.nan,
            "bound_is_highest_dose": float(np.mean([fit.bound == highest for fit in above])) if above else math.nan,
            "median_bound_over_truth": float(np.median([fit.bound / truth for fit in above])) if above else math.nan,
        }
        numbers = [fit for fit in answers if fit.status == "fitted"]
        covered = [fit.lower <= truth <= fit.upper for fit in numbers]
        share["two_sided_coverage_of_numbers"] = float(np.mean(covered)) if numbers else math.nan
        share["coverage_of_all"] = float(np.mean([fit.lower <= truth <= fit.upper for fit in answers]))
        figures |= {f"bound_at_{position:g}_{name}": value for name, value in share.items()}
    return figures


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    patients = int(sys.argv[2]) if len(sys.argv) > 2 else 1800
    curves = int(sys.argv[3]) if len(sys.argv) > 3 else 400
    start = time.perf_counter()
    figures: dict[str, object] = dict(bounds(curves, 3) if curves else {})
    figures |= null_trials(patients, repeats, 1) if repeats else {}
    figures |= {
        "null_trials": repeats,
        "null_patients": patients,
        "curves_a_bound": curves,
        "seconds": round(time.perf_counter() - start, 1),
    }
    for name, value in figures.items():
        print(f"{name:60s} {value:.4g}")
    figures |= {"date": datetime.date.today().isoformat(), "machine": platform.machine()}
    path = Path(__file__).parent / "results" / "dose_trials.json"
    path.parent.mkdir(exist_ok=True)
    plain = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in figures.items()}
    path.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
