"""How often the Treg monitor errs: false positives and coverage of each primary design, and MS-IL2 as published.

    python benchmarks/trials.py [null repeats, default 1000] [MS-IL2 repeats, default 200]

Each repeat is a profiles table drawn directly (log-normal Treg shares of CD4 T cells, counted among 100,000 cells) and
put through the monitor, so that reading, zero handling, contrasts and verdicts are measured with the statistics. Prints
the figures and writes benchmarks/results/trials.json.
"""

from __future__ import annotations

import datetime
import json
import math
import platform
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from treset import profile
from treset.monitor import treg
from treset.stats import equivalence_between, equivalence_paired, hazard_ratio, rate_ratio
from treset.study.model import Endpoint, TregMonitor

PRIMARY = Endpoint("expansion", "primary", "Treg", "percent_of_parent", "V1", direction="either")
SHIFT = 0.4
CD4 = 100_000


def sheet(patients: int, visits: dict[str, float], arms: list[str], diseases: list[str]) -> pd.DataFrame:
    rows = [
        {"sample": f"P{p:03d}_{v}", "patient": f"P{p:03d}", "visit": v, "day": float(d), "arm": arms[p % len(arms)],
         "disease": diseases[p % len(diseases)], "anchor": False, "stimulus": "", "exclude": ""}
        for p in range(patients)
        for v, d in visits.items()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def profiles(
    samples: pd.DataFrame, log_treg: np.ndarray, cd25: np.ndarray | None, rng: np.random.Generator
) -> pd.DataFrame:
    """Rows of the waist: Treg percent of CD4 T (binomial around its log share) and, where given, CD25 on Treg."""
    count = rng.binomial(CD4, np.clip(np.exp(log_treg), 1e-6, 0.5))
    base = samples[["sample", "patient", "visit", "day", "arm", "disease"]].assign(
        batch="", stimulus="", dose=math.nan, population="Treg", parent="CD4 T", origin="gate"
    )
    share = base.assign(measure="percent_of_parent", marker="", value=100 * count / CD4, n_cells=CD4)
    if cd25 is None:
        return share[list(profile.COLUMNS)]
    median = base.assign(measure="median", marker="CD25", value=cd25, n_cells=count)
    return pd.concat([share, median], ignore_index=True)[list(profile.COLUMNS)]


def levels(
    rng: np.random.Generator, samples: pd.DataFrame, folds: dict[tuple[str, str], float], sd: float
) -> np.ndarray:
    """Log share of each sample: the patient's own level, the fold of its arm and visit, and noise of the change."""
    own = dict(
        zip(samples["patient"].unique(), rng.normal(math.log(0.05), 0.35, samples["patient"].nunique()), strict=True)
    )
    lift = np.array(
        [math.log(folds.get((arm, visit), 1.0)) for arm, visit in zip(samples["arm"], samples["visit"], strict=True)]
    )
    return samples["patient"].map(own).to_numpy(float) + lift + rng.normal(0, sd / math.sqrt(2), len(samples))


DESIGNS = {
    "open_label_n10": (10, {"V0": 0, "V1": 8}, [""], [""]),
    "open_label_n46_11_diseases": (46, {"V0": 0, "V1": 8}, [""], [f"disease {i}" for i in range(11)]),
    "placebo_15_15": (30, {"V0": 0, "V1": 5, "V2": 15}, ["IL-2", "placebo"], [""]),
}


def null_trials(name: str, repeats: int, seed: int) -> dict[str, float]:
    """Rejections without an effect, and coverage and bias with one, of the primary and of the models beside it."""
    patients, visits, arms, diseases = DESIGNS[name]
    rng = np.random.default_rng(seed)
    samples = sheet(patients, visits, arms, diseases)
    asked = TregMonitor((PRIMARY,))
    seen: dict[str, dict[str, list[float]]] = {}
    for repeat in range(2 * repeats):
        shifted = repeat >= repeats
        folds = {(arms[0], visit): math.exp(SHIFT) for visit in visits if visit != "V0"} if shifted else {}
        if shifted and len(diseases) > 1:
            # diseases differ in their true effect (s.d. 0.1): the pooled rows are to cover the mean over all diseases
            # there could be, the primary that over the trial's own patients
            own = dict(zip(diseases, rng.normal(0, 0.1, len(diseases)), strict=True))
            extra = np.where(samples["visit"] != "V0", samples["disease"].map(own).to_numpy(float), 0.0)
        else:
            extra = np.zeros(len(samples))
        own_mean = float(extra[(samples["visit"] != "V0").to_numpy()].mean())
        table = profiles(samples, levels(rng, samples, folds, 0.3) + extra, None, rng)
        result = treg(table, samples, asked, "V0")
        for row in result.effects[result.effects["role"].isin(["primary", "sensitivity", "pooled"])].to_dict("records"):
            lists = seen.setdefault(label(row), {"wrong": [], "covered": [], "estimate": []})
            note(lists, row, shifted, 0.0 if row["role"] == "pooled" else own_mean)
    figures = {}
    for what, lists in seen.items():
        figures |= {
            f"{name}_{what}_false_positive": float(np.mean(lists["wrong"])),
            f"{name}_{what}_coverage": float(np.mean(lists["covered"])),
            f"{name}_{what}_bias": float(np.mean(lists["estimate"]) - SHIFT),
        }
    return figures


def label(row: dict) -> str:
    """Short name of a row."""
    if row["role"] == "primary":
        return "primary"
    if row["role"] == "pooled":
        return "pooled_reml" if "REML" in row["method"] else "pooled_dl"
    kind = "ancova" if "ANCOVA" in row["method"] else "auc" if "AUC" in row["method"] else "mmrm"
    return kind + (
        "" if kind != "mmrm" else "_mean" if row["contrast"].startswith("mean") else "_" + row["contrast"][:2]
    )


def note(lists: dict[str, list[float]], row: dict, shifted: bool, extra: float) -> None:
    if not shifted:
        lists["wrong"].append(row["p_value"] < 0.05)
        return
    # the time average rises over the first of the visits: its truth is smaller
    truth = SHIFT * (5 / 2 + 10) / 15 if "AUC" in row["method"] else SHIFT + extra
    lists["covered"].append(row["lower"] <= truth <= row["upper"])
    lists["estimate"].append(row["estimate"] - truth + SHIFT)


def alone(repeats: int, seed: int) -> dict[str, float]:
    """Tests that no trial above makes primary: equivalence at its margin, rates of counts, times to an event."""
    rng = np.random.default_rng(seed)
    arm = np.arange(30) < 15
    wrong: dict[str, list[bool]] = {
        name: [] for name in ("equivalence_paired_12", "equivalence_15_15", "rates", "hazards")
    }
    covered: dict[str, list[bool]] = {"rates": [], "hazards": []}
    refused = 0
    for _ in range(repeats):
        # the truth is at the margin: to claim equivalence is wrong
        wrong["equivalence_paired_12"].append(equivalence_paired(rng.normal(0.3, 0.2, 12), 0.3).p_value < 0.05)
        wrong["equivalence_15_15"].append(
            equivalence_between(rng.normal(0.3, 0.2, 15), rng.normal(0, 0.2, 15), 0.3).p_value < 0.05
        )
        for truth in (0.0, math.log(0.5)):
            counts = rng.poisson(rng.gamma(1.0, 4 * np.where(arm, math.exp(truth), 1.0)))
            rates = rate_ratio(counts, np.ones(30), arm)
            times = rng.exponential(100 / np.where(arm, math.exp(truth), 1.0))
            hazards = hazard_ratio(np.minimum(times, 180), times <= 180, arm)
            refused += math.isnan(rates.p_value)
            if truth == 0.0:
                wrong["rates"].append(rates.p_value < 0.05)
                wrong["hazards"].append(hazards.p_value < 0.05)
            else:
                covered["rates"].append(rates.lower <= truth <= rates.upper)
                covered["hazards"].append(hazards.lower <= truth <= hazards.upper)
    figures = {f"{name}_false_positive": float(np.mean(found)) for name, found in wrong.items()}
    return figures | {f"{name}_coverage": float(np.mean(found)) for name, found in covered.items()} | {
        "rates_without_a_result": refused / (2 * repeats)
    }  # fmt: skip


def ms_il2(repeats: int, seed: int) -> dict[str, float]:
    """MS-IL2 as published (NCT02424396): Treg unchanged at day 5, x1.26 at day 15, CD25 on Treg x2.17 at day 5.

    Patients' spread from the published interquartile ranges, divided by 1.349 on the log scale: Treg 1.21-1.33 and
    0.95-1.05, CD25 1.70-3.55 and 0.86-1.28. CD25 is read as the median of arcsinh(x / 5), at 8 counts without drug.
    """
    rng = np.random.default_rng(seed)
    days = {"V0": 0, "D5": 5, "D15": 15}
    samples = sheet(30, days, ["IL-2", "placebo"], ["MS"])
    treg_sd, drug_sd, placebo_sd = (
        math.log(1.33 / 1.21) / 1.349,
        math.log(3.55 / 1.70) / 1.349,
        math.log(1.28 / 0.86) / 1.349,
    )
    asked = TregMonitor((
        Endpoint("treg_d5", "primary", "Treg", "percent_of_parent", "D5", scale="percent_change"),
        Endpoint("treg_d15", "secondary", "Treg", "percent_of_parent", "D15"),
        Endpoint("cd25_d5", "secondary", "Treg", "median", "D5", marker="CD25", scale="difference"),
    ))  # fmt: skip
    asked_note = {"primary": 0, "d15": 0, "cd25": 0, "all": 0}
    folds, drug = [], (samples["arm"] == "IL-2").to_numpy()
    for _ in range(repeats):
        log_treg = levels(rng, samples, {("IL-2", "D15"): 1.26}, treg_sd)
        spread = np.where(drug, drug_sd, placebo_sd)
        level = math.log(8) + np.where(drug & (samples["visit"] == "D5"), math.log(2.17), 0.0)
        level = level + np.where(samples["visit"] == "D5", rng.normal(0, 1, len(samples)) * spread, 0.0)
        result = treg(profiles(samples, log_treg, np.arcsinh(np.exp(level) / 5), rng), samples, asked, "V0")
        rows = result.effects[result.effects["role"].isin(["primary", "secondary"])].set_index("endpoint")
        verdicts = rows["verdict"]
        hits = {
            "primary": verdicts["treg_d5"] == "not met", "d15": verdicts["treg_d15"] == "met",
            "cd25": verdicts["cd25_d5"] == "met",
        }  # fmt: skip
        for name, hit in hits.items():
            asked_note[name] += hit
        asked_note["all"] += all(hits.values())
        folds.append(math.exp(rows.loc["treg_d15", "estimate"]))
    return {
        "ms_il2_primary_not_met": asked_note["primary"] / repeats, "ms_il2_day_15_found": asked_note["d15"] / repeats,
        "ms_il2_activation_found": asked_note["cd25"] / repeats, "ms_il2_all_as_published": asked_note["all"] / repeats,
        "ms_il2_day_15_fold": float(np.mean(folds)),
    }  # fmt: skip


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    published = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    start = time.perf_counter()
    figures: dict[str, float] = {}
    for seed, name in enumerate(DESIGNS):
        figures |= null_trials(name, repeats, seed)
    figures |= alone(repeats, 11)
    figures |= ms_il2(published, 7)
    figures |= {"repeats": repeats, "ms_il2_repeats": published, "seconds": round(time.perf_counter() - start, 1)}
    for name, value in figures.items():
        print(f"{name:60s} {value:.4g}")
    about = {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), "machine": platform.machine()}
    target = Path(__file__).parent / "results" / "trials.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures | about, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
