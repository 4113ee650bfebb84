"""Profile tables of small trials, built directly, for the tests of the monitors."""

from __future__ import annotations

import numpy as np
import pandas as pd

from treset import profile

PARENTS = {"B": "cells", "T": "cells", "CD4 T": "T", "Treg": "CD4 T", "Tconv": "CD4 T"}


def sheet(rows: list[dict]) -> pd.DataFrame:
    """Rows with sample, patient, visit ... as ``Study.samples``."""
    blank = {"day": np.nan, "arm": "", "disease": "", "batch": "", "anchor": False, "stimulus": "", "dose": np.nan,
             "cells_per_ul": np.nan, "counted_population": "", "exclude": ""}  # fmt: skip
    return pd.DataFrame([blank | row for row in rows])


def visits(patients: list[str], days: dict[str, float], **more: object) -> pd.DataFrame:
    """One sample for each patient and visit."""
    return sheet(
        [
            {"sample": f"{p}_{v}", "patient": p, "visit": v, "day": float(d), **more}
            for p in patients
            for v, d in days.items()
        ]
    )


def row(sample: pd.Series, population: str, measure: str, value: float, n_cells: int, **more: object) -> dict:
    """One row of the waist."""
    known = {"sample", "patient", "visit", "day", "arm", "disease", "batch", "stimulus", "dose"}
    base = {name: sample[name] for name in known}
    base |= {"population": population, "parent": PARENTS.get(population, ""), "origin": "gate", "measure": measure}
    return base | {"marker": "", "value": value, "n_cells": n_cells} | more


def counted(sample: pd.Series, cells: dict[str, int], origin: str = "gate", total: int = 10_000) -> list[dict]:
    """Count and percentages of populations; ``cells`` holds every parent too (except the root)."""
    rows = []
    whole = {"cells": total, **cells}
    for name, count in cells.items():
        parent = PARENTS.get(name, "cells")
        below = whole[parent]
        common = {"parent": parent, "origin": origin}
        share = 100 * count / below if below else float("nan")
        rows += [
            row(sample, name, "count", float(count), count, **common),
            row(sample, name, "percent_of_parent", share, below, **common),
            row(sample, name, "percent_of_total", 100 * count / total, total, **common),
        ]
    return rows


def table(rows: list[dict]) -> pd.DataFrame:
    """Rows as a table of the waist."""
    return pd.DataFrame(rows)[list(profile.COLUMNS)]


def treg_trial(
    log_change: np.ndarray, samples: pd.DataFrame, cd4: int = 1_000_000, origin: str = "gate"
) -> pd.DataFrame:
    """Treg 5 % of CD4 T at D0 and changed by ``log_change`` (one a patient) at all later visits."""
    rows = []
    change = dict(zip(samples["patient"].unique(), log_change, strict=True))
    for _, sample in samples.iterrows():
        lift = 0.0 if sample["visit"] == "D0" else change[sample["patient"]]
        treg = round(0.05 * cd4 * np.exp(lift))
        rows += counted(sample, {"T": 2 * cd4, "CD4 T": cd4, "Treg": treg, "Tconv": cd4 - treg}, origin, 4 * cd4)
    return table(rows)
