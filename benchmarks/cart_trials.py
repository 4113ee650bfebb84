"""How often the monitor bcell errs: null trials of the CAR-T design, and recovery as published.

    python benchmarks/cart_trials.py [trials of each kind, default 1000]

Tables are drawn, not cells: 20,000 cells a sample, B cells counted by a Poisson draw, eight visits every 30 days.
Kinds of trials:

- *no depletion* (5 patients): B cells vary around their baseline share and composition. To say ``met`` is wrong.
- *recovery* (5 and 12 patients): B cells vanish and return (day 110 +/- 32, normal) made of the same kinds as
  before. To say ``met`` is wrong; asked is besides whether the interval of the Turnbull median covers the true median,
  day 110, and (12 patients, a tenth of the trials) whether the intervals of the changes in composition cover 0.

The patients are called by the monitor in batches, and taken apart into trials: no call rests on another patient.

Writes benchmarks/results/cart_trials.json.
"""

from __future__ import annotations

import datetime
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from treset import profile
from treset.monitor import bcell
from treset.monitor.bcell import _primary
from treset.monitor.bcell_cohort import cohort_rows
from treset.stats import median_time
from treset.study.model import BcellMonitor

DAYS = {"baseline": -7, **{f"D{day}": day for day in (14, 30, 60, 90, 120, 150, 180, 210)}}
CELLS, SHARE, MEDIAN_DAY, SPREAD, GROWTH = 20_000, 0.08, 110.0, 32.0, 10.0
#: Kinds of B cells of active lupus (Mackensen et al. 2022); naive and transitional together 46 %.
KINDS = {
    "B naive": 0.40, "B transitional": 0.06, "B unswitched memory": 0.06, "B switched memory": 0.26, "B DN2": 0.16,
    "Plasmablast": 0.06,
}  # fmt: skip
#: s.d. of the log-odds of a kind among the B cells, between patients and between visits; of the log share of B cells.
PATIENT_SD, VISIT_SD, SHARE_SD = 0.25, 0.15, 0.2
SETTINGS = BcellMonitor()
#: Patients that the monitor calls at a time.
BATCH = 250
Share = Callable[[int, np.random.Generator], np.ndarray]


def skeleton(patients: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Profiles without values (count and percent of B and of each kind) and the sheet."""
    rows, samples = [], []
    for number in range(patients):
        for visit, day in DAYS.items():
            who = {"sample": f"P{number:03d}_{visit}", "patient": f"P{number:03d}", "visit": visit, "day": float(day),
                   "arm": "", "disease": "lupus", "batch": "", "stimulus": "", "dose": np.nan}  # fmt: skip
            samples.append(who | {"anchor": False, "exclude": ""})
            rows += [
                who | {"population": name, "parent": "cells" if name == "B" else "B", "origin": "gate",
                       "measure": measure, "marker": ""}
                for name in ("B", *KINDS) for measure in ("count", "percent_of_total")
            ]  # fmt: skip
    table = pd.DataFrame(rows).assign(value=np.nan, n_cells=0)
    return table[list(profile.COLUMNS)], pd.DataFrame(samples)


def fill(table: pd.DataFrame, share: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Counts of B cells, share (patients, visits) of the cells, and of their kinds, which differ between patients."""
    patients, visits = share.shape
    base = np.log(np.array(list(KINDS.values())))
    own = base + rng.normal(0, PATIENT_SD, (patients, 1, base.size))
    odds = np.exp(own + rng.normal(0, VISIT_SD, (patients, visits, base.size)))
    b = rng.poisson(CELLS * share)
    kinds = rng.multinomial(b, odds / odds.sum(axis=2, keepdims=True))
    count = np.concatenate([b[:, :, None], kinds], axis=2)
    value = np.stack([count, 100 * count / CELLS], axis=3)
    cells = np.stack([count, np.full(count.shape, CELLS)], axis=3)
    return table.assign(value=value.ravel().astype(float), n_cells=cells.ravel())


def returning(patients: int, rng: np.random.Generator) -> np.ndarray:
    """Share of B cells at each visit: none, then logistic growth that passes 1 % on the day of recovery."""
    day = rng.normal(MEDIAN_DAY, SPREAD, (patients, 1))
    days = np.array(list(DAYS.values()), dtype=float)
    ratio = SHARE / (SETTINGS.recovery_percent / 100) - 1
    share = SHARE / (1 + ratio * np.exp(-(days - day) / GROWTH))
    share = np.where(share < 0.0005, 0.0, share)
    share[:, 0] = SHARE * np.exp(rng.normal(0, SHARE_SD, patients))
    return share


def lasting(patients: int, rng: np.random.Generator) -> np.ndarray:
    """Share of B cells that only vary."""
    return SHARE * np.exp(rng.normal(0, SHARE_SD, (patients, 1)) + rng.normal(0, SHARE_SD, (patients, len(DAYS))))


def pool(patients: int, share: Share, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of patients.tsv of many patients, called by the monitor (a patient's call rests on no other patient)."""
    empty, samples = skeleton(BATCH)
    found = []
    for first in range(0, patients, BATCH):
        own = bcell(fill(empty, share(BATCH, rng), rng), samples, SETTINGS, "baseline").patients
        found.append(own.assign(patient=own["patient"] + f"_{first}"))
    return pd.concat(found, ignore_index=True)[:patients]


def trials(patients: pd.DataFrame, size: int, repeats: int) -> dict[str, float]:
    """Verdicts and the interval of the median, of the first ``repeats`` trials of ``size`` patients each."""
    seen: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        seen.setdefault(name, []).append(float(value))

    for first in range(0, repeats * size, size):
        own = patients[first : first + size].reset_index(drop=True)
        verdict = _primary(own, SETTINGS, "")["verdict"]
        for word in ("met", "not met", "not evaluable"):
            note(f"verdict_{word.replace(' ', '_')}", verdict == word)
        back = cohort_rows(own, SETTINGS)[-1]
        if back["n"]:
            note("median_coverage", back["lower"] <= MEDIAN_DAY <= back["upper"])
            note("median_bias_days", back["estimate"] - MEDIAN_DAY if np.isfinite(back["estimate"]) else np.nan)
            width = back["upper"] - back["lower"]
            note("median_interval_days", width if np.isfinite(width) else np.nan)
    calls = patients["call"][: repeats * size]
    rates = {f"patients_{word}": float((calls == word.replace("_", " ")).mean()) for word in ("reset", "not_reset")}
    return rates | {name: float(np.nanmean(values)) for name, values in seen.items()}


def composition(size: int, repeats: int, seed: int) -> dict[str, float]:
    """Changes of kinds at recovery that did not change: does their interval cover 0."""
    rng = np.random.default_rng(seed)
    empty, samples = skeleton(size)
    covered, estimates = [], []
    for _ in range(repeats):
        effects = bcell(fill(empty, returning(size, rng), rng), samples, SETTINGS, "baseline").effects
        rows = effects[(effects["contrast"] == "recovery vs baseline") & effects["lower"].notna()]
        covered += [row["lower"] <= 0 <= row["upper"] for _, row in rows.iterrows()]
        estimates += rows["estimate"].tolist()
    return {"coverage": float(np.mean(covered)), "bias_points": float(np.mean(estimates)), "intervals": len(covered)}


def dense(size: int, repeats: int, seed: int) -> dict[str, float]:
    """Coverage of the median's interval where visits are 3 days apart, so that the day of recovery is all but known.

    What is taken for granted of the days between two visits then hardly counts.
    """
    rng = np.random.default_rng(seed)
    covered = []
    for repeat in range(repeats):
        right = 3 * np.ceil(rng.normal(MEDIAN_DAY, SPREAD, size) / 3)
        found = median_time(right - 3, right, bootstrap=299, seed=repeat)
        covered.append(found.lower <= MEDIAN_DAY <= found.upper)
    return {"trials": repeats, "median_coverage": float(np.mean(covered))}


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    start = time.perf_counter()
    figures: dict[str, object] = {}
    for label, share, sizes in (("no_depletion", lasting, (5,)), ("recovery", returning, (5, 12))):
        most = max(sizes)
        # of the larger trials half as many
        found = pool(repeats * 5 if most == 5 else repeats * most // 2, share, np.random.default_rng(len(label)))
        for size in sizes:
            count = min(repeats, len(found) // size)
            own = {"trials": count} | trials(found, size, count)
            figures |= {f"{label}_n{size}_{name}": value for name, value in own.items()}
            print(f"{label}, {size} patients: {time.perf_counter() - start:.0f} s", flush=True)
    few = max(2, repeats // 10)
    figures |= {f"composition_n12_{k}": v for k, v in composition(12, few, 7).items()} | {"composition_trials": few}
    figures |= {f"visits_3_days_apart_n12_{k}": v for k, v in dense(12, repeats, 8).items()}
    figures["seconds"] = round(time.perf_counter() - start, 1)
    for name, value in figures.items():
        print(f"{name:60s} {value:.4g}")
    figures |= {"date": datetime.date.today().isoformat(), "machine": platform.machine()}
    path = Path(__file__).parent / "results" / "cart_trials.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
