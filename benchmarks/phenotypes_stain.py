"""Simulated trials (il2_open_label) whose stain drifts between visits, with and without a true effect on Treg.

    python benchmarks/phenotypes_stain.py [repeats] [events]

Writes benchmarks/results/phenotypes_stain.json. The null: nothing changes but the stain. The effects: IL-2 lifts CD25
on Treg by 2.17 and FOXP3 by 1.3 (MS-IL2), with the share of Treg unchanged or doubled, with and without drift, and with
and without FOXP3 in the panel: the share must not follow the brightness, nor must thresholds that follow the stain hide
the brightness.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from phenotypes_common import Columns, joined, per_sample, tree

from treset import simulate
from treset.phenotype import gates
from treset.simulate.cytometry import simulate_events
from treset.simulate.panel import ANTIBODIES, CHANNELS
from treset.stats import wilcoxon_signed_rank

DRIFT = (0.7, 1.4)
#: Folds on Treg: share, CD25, FOXP3.
NULL, BRIGHTER, DOUBLED = (1.0, 1.0, 1.0), (1.0, 2.17, 1.3), (2.0, 2.17, 1.3)


@dataclass(frozen=True)
class Drawn:
    """The cells of one simulated trial."""

    columns: Columns
    sample: np.ndarray
    batch: np.ndarray
    #: Patient -> sample, by visit.
    visits: pd.DataFrame
    #: Each patient's true log fold of the Treg share of CD4 T.
    true: np.ndarray


@dataclass(frozen=True)
class Reading:
    """What one way of setting thresholds says of a trial."""

    p_value: float
    #: Median over patients of the log fold of the share, and of that less the true one.
    change: float
    bias: float
    #: Median over patients of the difference of the median of CD25 on Treg.
    cd25: float


def draw(seed: int, folds: tuple[float, float, float], drifts: bool, patients: int, events: int) -> Drawn:
    """Simulate one trial of two visits; a drift is the same for all patients, so that they do not average it out."""
    share, cd25, foxp3 = ((1.0, fold) for fold in folds)
    plan = simulate.plan(
        "il2_open_label", patients=patients, events=events, seed=seed, visits=("D0", "D8"), days=(0, 8),
        treg_folds=share, cd25_folds=cd25, foxp3_folds=foxp3, nk_bright_folds=(1.0, 1.0),
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    size = len(ANTIBODIES)
    drift = {v: np.exp(rng.uniform(*np.log(DRIFT), size)) if drifts else np.ones(size) for v in ("D0", "D8")}
    parts, sample, batch = [], [], []
    for row in plan.sheet.itertuples(index=False):
        drawn = simulate_events(plan, row.sample)
        raw = drawn.values[drawn.kind == 0]
        parts.append({
            marker: np.arcsinh(raw[:, CHANNELS.index(channel)] * drift[row.visit][i] / 5)
            for i, (channel, marker, _) in enumerate(ANTIBODIES)
        })  # fmt: skip
        sample += [row.sample] * len(raw)
        batch += [str(row.batch)] * len(raw)
    truth = simulate.realised_composition(plan)
    truth = truth[truth["population"] == "Treg"].set_index("sample")["true_percent_of_parent"]
    visits = plan.sheet.pivot_table(index="patient", columns="visit", values="sample", aggfunc="first")
    true = np.log(truth[visits["D8"]].to_numpy() / truth[visits["D0"]].to_numpy())
    return Drawn(joined(parts), np.array(sample), np.array(batch), visits, true)


def read(drawn: Drawn, foxp3: bool = True) -> dict[str, Reading]:
    """Gate a trial by its batches' thresholds and by its samples'."""
    columns = {marker: v for marker, v in drawn.columns.items() if foxp3 or marker != "FOXP3"}
    nodes = tree(columns)
    thresholds = gates.fit_thresholds(columns, drawn.batch, nodes)
    masks = {
        "batch thresholds": gates.apply_gates(columns, drawn.batch, nodes, thresholds),
        "sample thresholds": per_sample(columns, drawn.batch, drawn.sample, nodes, thresholds),
    }
    first, second = drawn.visits["D0"], drawn.visits["D8"]
    out = {}
    for name, mask in masks.items():
        counts = pd.DataFrame({"treg": mask["Treg"], "cd4": mask["CD4 T"]}).groupby(drawn.sample).sum()
        share = np.log((counts["treg"] + 0.5) / (counts["cd4"] + 0.5))
        change = share[second].to_numpy() - share[first].to_numpy()
        inside = mask["Treg"]
        level = pd.Series(columns["CD25"][inside]).groupby(drawn.sample[inside]).median()
        cd25 = np.nanmedian(level.reindex(second).to_numpy() - level.reindex(first).to_numpy())
        p_value = wilcoxon_signed_rank(change).p_value
        out[name] = Reading(p_value, float(np.median(change)), float(np.median(change - drawn.true)), float(cd25))
    return out


def null(repeats: int, events: int, patients: int = 12) -> dict[str, float]:
    """Count the trials in which a change is called though only the stain changed."""
    done = [read(draw(seed, NULL, True, patients, events)) for seed in range(1, repeats + 1)]
    figures: dict[str, float] = {}
    print(f"\n{repeats} trials, {patients} patients, {events} events a sample, stain x{DRIFT[0]} to x{DRIFT[1]}")
    for name in done[0]:
        called = float(np.mean([one[name].p_value < 0.05 for one in done]))
        off = float(np.mean([abs(one[name].bias) for one in done]))
        print(f"{name:24s} Treg change called in {called:.1%}; mean |log fold - truth| {off:.4f}")
        figures |= {f"drift, {name}, called": called, f"drift, {name}, mean |bias|": off}
    return figures | {"drift repeats": repeats, "drift events": events}


def effects(repeats: int, events: int, patients: int = 12) -> dict[str, float]:
    """Bias of the Treg share and of CD25 on Treg where a drug lifts CD25 and FOXP3 on Treg."""
    rows: dict[str, dict[str, float]] = {}
    for share, folds in (("share kept", BRIGHTER), ("share doubled", DOUBLED)):
        for drifts in (False, True):
            drawn = [draw(seed, folds, drifts, patients, events) for seed in range(1, repeats + 1)]
            for foxp3 in (True, False):
                done = [read(one, foxp3)["sample thresholds"] for one in drawn]
                name = f"{share}, {'drift' if drifts else 'no drift'}, {'with' if foxp3 else 'without'} FOXP3"
                rows[name] = {
                    "bias of log share": float(np.mean([one.bias for one in done])),
                    "called": float(np.mean([one.p_value < 0.05 for one in done])),
                    "CD25 on Treg": float(np.mean([one.cd25 for one in done])),
                }
    print(f"\nCD25 on Treg x{BRIGHTER[1]} (log {np.log(BRIGHTER[1]):.2f}), FOXP3 x{BRIGHTER[2]}; {repeats} trials each")
    print(pd.DataFrame(rows).T.round(3).to_string())
    return {f"effect, {name}, {key}": value for name, row in rows.items() for key, value in row.items()}


def stain(repeats: int, events: int) -> dict[str, float]:
    """Run both and write the figures."""
    figures = null(repeats, events) | effects(max(repeats // 20, 2), events)
    path = Path(__file__).parent / "results" / "phenotypes_stain.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return figures


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:3]]
    stain(*(given + [200, 3000][len(given) :]))
