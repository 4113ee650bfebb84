"""Profile tables of dose series with a known truth, for the tests of the monitor signalling."""

from __future__ import annotations

import numpy as np
import pandas as pd
from monitor_tables import row, sheet, table

from treset.stats import logistic4

DOSES = (0.0, 0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0)
EC50 = {"Treg": 0.01, "Tconv": 0.3, "CD8 T": 0.6, "NK": 0.8}


def dose_trial(
    seed: int = 0, patients: int = 6, ec50: dict[str, float] | None = None, noise: float = 0.04,
    between: float = 0.2, fold: float = 1.0, doses: tuple[float, ...] = DOSES, stimuli: tuple[str, ...] = ("IL-2",),
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """pSTAT5 medians of four populations; half of the patients have lupus, with every EC50 changed by ``fold``."""
    rng = np.random.default_rng(seed)
    rows, samples = [], []
    for i in range(patients):
        sick = i >= patients // 2
        shift = np.exp(rng.normal(0, between)) * (fold if sick else 1.0)
        for stimulus in stimuli:
            for dose in doses:
                name = f"P{i}_{stimulus}_{dose:g}"
                who = {"sample": name, "patient": f"P{i}", "visit": "D0", "day": 0.0, "stimulus": stimulus,
                       "dose": dose, "disease": "lupus" if sick else "healthy"}  # fmt: skip
                samples.append(who)
                full = sheet([who]).iloc[0]
                for population, at in (ec50 or EC50).items():
                    level = float(logistic4(dose, 0.5, 2.6, at * shift, 1.0)) if at > 0 else 0.5
                    value = level + rng.normal(0, noise)
                    rows.append(row(full, population, "median", value, 500, parent="cells", marker="pSTAT5"))
    return table(rows), sheet(samples)
