"""One control on three plates (cytonorm): do the shares agree better with thresholds of each plate?

    TRESET_DATA=folder python benchmarks/phenotypes_plates.py [resamplings]

1,000 cells a file: counting alone makes most of the spread, so the difference between two ways of setting thresholds is
told with an interval (cells resampled within each file, thresholds found anew).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from phenotypes_common import Columns, joined, per_sample, read, tree

from treset.phenotype import gates
from treset.phenotype.tree import Node

Masks = Mapping[str, np.ndarray]
#: A population needs this many cells a file on average.
MIN_CELLS = 20


def readings(columns: Columns, plate: np.ndarray, sample: np.ndarray, nodes: list[Node]) -> dict[str, Masks]:
    """Gate with one set of thresholds for all plates (of one plate, or pooled) and with those of each plate."""
    one, out = np.full(len(sample), "1"), {}
    for name in np.unique(plate).tolist():
        rows = plate == name
        fixed = gates.fit_thresholds({m: values[rows] for m, values in columns.items()}, one[rows], nodes)
        out[f"fixed ({name})"] = gates.apply_gates(columns, one, nodes, fixed)
    pooled, by_plate = (gates.fit_thresholds(columns, batch, nodes) for batch in (one, plate))
    out["pooled"] = gates.apply_gates(columns, one, nodes, pooled)
    out["by plate"] = gates.apply_gates(columns, plate, nodes, by_plate)
    out["by plate and sample"] = per_sample(columns, plate, sample, nodes, by_plate)
    return out


def spread(found: Mapping[str, Masks], shown: list[str], plate: np.ndarray, control: np.ndarray) -> pd.DataFrame:
    """Standard deviation between plates of log2(share of all cells), mean over controls: populations x readings."""
    cells = [[(control == c) & (plate == p) for p in np.unique(plate)] for c in np.unique(control)]
    table = {
        reading: [
            np.mean([np.std([_log2(masks[name][i]) for i in group], ddof=1) for group in cells]) for name in shown
        ]
        for reading, masks in found.items()
    }
    return pd.DataFrame(table, index=shown)


def _beyond_counting(masks: Masks, shown: list[str], plate: np.ndarray, control: np.ndarray) -> float:
    """Root of the mean variance between plates less what counting the reading's own cells makes of it."""
    excess = []
    for name in shown:
        for one in np.unique(control):
            parts = [masks[name][(control == one) & (plate == p)] for p in np.unique(plate)]
            counted = np.mean([(1 - part.mean()) / max(part.sum(), 1) for part in parts]) / np.log(2) ** 2
            excess.append(np.var([_log2(part) for part in parts], ddof=1) - counted)
    return float(np.sqrt(max(np.mean(excess), 0.0)))


def _log2(inside: np.ndarray) -> float:
    return float(np.log2((inside.sum() + 0.5) / len(inside)))


def cytonorm(folder: Path, resamplings: int = 30) -> dict[str, float]:
    """Print the spread between plates by population, and how sure the difference is."""
    files = sorted(folder.glob("*.fcs"))
    parts = [read(path) for path in files]
    columns = joined(parts)
    sample = np.repeat([path.stem for path in files], [len(part["CD3"]) for part in parts])
    plate, control = (np.array([name.split("_")[i] for name in sample]) for i in (1, -1))
    nodes = tree(columns)
    found = readings(columns, plate, sample, nodes)
    shown = [n.name for n in nodes if n.measurable and found["pooled"][n.name].sum() >= MIN_CELLS * len(files)]
    table = spread(found, shown, plate, control)
    shares = np.array([found["pooled"][name].mean() for name in shown])
    counting = np.sqrt((1 - shares) / (shares * len(sample) / len(files))) / np.log(2)
    # a threshold beyond all cells leaves a population empty, which then differs between no plates
    alike = [n for n in shown if min(masks[n].sum() for masks in found.values()) >= MIN_CELLS * len(files)]
    beyond = {name: _beyond_counting(masks, alike, plate, control) for name, masks in found.items()}
    print("\nstandard deviation between plates of log2(share of all cells)")
    print(table.assign(**{"counting alone": counting}).round(2).to_string())
    figures = {f"between plates, {name}": float(value) for name, value in table.mean().items()}
    fixed = [name for name in table if name.startswith("fixed")]
    figures["between plates, fixed (mean of the three)"] = float(table[fixed].mean().mean())
    figures["between plates, counting alone"] = float(counting.mean())
    figures |= {f"between plates beyond counting, {name}": value for name, value in beyond.items()}
    figures["populations that every reading finds"] = float(len(alike))
    for name, value in figures.items():
        print(f"{name:44s} {value:.3f}")
    rng, gaps = np.random.default_rng(0), []
    groups = [np.flatnonzero(sample == one) for one in np.unique(sample)]
    for _ in range(resamplings):
        rows = np.concatenate([rng.choice(group, len(group)) for group in groups])
        again = readings({m: values[rows] for m, values in columns.items()}, plate, sample, nodes)
        mean = spread(again, shown, plate, control).mean()
        gaps.append(mean["by plate"] - mean[fixed].mean())
    if gaps:
        low, high = np.quantile(gaps, [0.025, 0.975])
        print(f"by plate less fixed, {resamplings} resamplings of the cells: {low:+.3f} to {high:+.3f}")
        figures |= {"between plates, gap, lower": float(low), "between plates, gap, upper": float(high)}
    return figures


if __name__ == "__main__":
    if "TRESET_DATA" not in os.environ:
        sys.exit("TRESET_DATA is not set: name the folder of the public data")
    cytonorm(Path(os.environ["TRESET_DATA"]) / "cytonorm", int(sys.argv[1]) if len(sys.argv) > 1 else 30)
