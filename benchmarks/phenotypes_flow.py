"""Mouse T cells by fluorescence flow cytometry (flow_tcell) against the manual gates.

    TRESET_DATA=folder python benchmarks/phenotypes_flow.py

The file holds values that were transformed already (logicle, in decades from -2 to 4.5), so they are taken as they are:
no noise of zero ions, and modes lie apart by 0.6 of a natural logarithm as elsewhere. Labels are for scoring only.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from treset.io import read_sample
from treset.phenotype import gates
from treset.phenotype.tree import resolve
from treset.study.faults import Collector
from treset.study.populations import read_populations

TREE = Path(__file__).parent / "populations_mouse_t.yaml"
MANUAL = {
    "CD4 T cells": "CD4 T", "CD8 T cells": "CD8 T", "gd T cells": "gdT", "NK T cells": "NKT", "NK cells": "NK",
    "B cells": "B",
}  # fmt: skip
BAR = 0.80


def flow(folder: Path) -> dict[str, float]:
    """Score each gate against the manual gate."""
    cells = read_sample(folder / "ff.fcs", "flow_cytometry")
    values = np.asarray(cells.X, dtype=np.float64)
    columns = {marker: values[:, i] for i, marker in enumerate(cells.var["marker"]) if marker}
    label = pd.read_csv(folder / "gating_result.csv", header=None)[0].to_numpy(dtype=str)
    faults = Collector()
    populations = read_populations(TREE, faults)
    faults.stop()
    nodes, batch = resolve(populations or (), columns), np.full(len(label), "1")
    found = gates.fit_thresholds(columns, batch, nodes, floor=-np.inf, min_distance=0.6 / np.log(10))
    masks = gates.apply_gates(columns, batch, nodes, found)
    figures = {}
    print(f"\n{'manual gate':28s}{'cells':>7s}{'gated':>7s}{'P':>7s}{'R':>7s}{'F1':>7s}")
    for name, population in MANUAL.items():
        mine, true = masks[population], label == name
        both = float((mine & true).sum())
        precision, recall, f1 = both / max(mine.sum(), 1), both / true.sum(), 2 * both / (mine.sum() + true.sum())
        print(f"{name:28s}{true.sum():7d}{mine.sum():7d}{precision:7.2f}{recall:7.2f}{f1:7.2f}")
        figures[f"flow_tcell {name} F1"] = float(f1)
    figures["flow_tcell mean F1 of 6"] = mean = float(np.mean(list(figures.values())))
    print(f"flow_tcell mean F1 of 6      {mean:.3f} (bar {BAR:.2f}): {'met' if mean >= BAR else 'NOT MET'}")
    return figures


if __name__ == "__main__":
    if "TRESET_DATA" not in os.environ:
        sys.exit("TRESET_DATA is not set: name the folder of the public data")
    flow(Path(os.environ["TRESET_DATA"]) / "flow_tcell")
