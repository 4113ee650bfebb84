"""What a trial asks: shares, estimates and verdicts of one backend beside those of the other."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

KEYS = ["endpoint", "population", "measure", "marker", "contrast", "role", "origin"]

#: The measure that shares are compared by, and what is read of it.
SHARE = "percent_of_parent"
SHARE_COLUMNS = ("origin", "population", "parent", "sample", "measure", "value", "n_cells")
#: Roles whose rows answer a question of the study; the others support or describe.
ASKED = ("primary", "secondary")


def shares(cpu: pd.DataFrame, gpu: pd.DataFrame, origins: Sequence[str], min_cells: int) -> list[dict[str, object]]:
    """The largest change of each population's share of its parent, over the samples.

    Parameters
    ----------
    cpu, gpu
        Profiles of the two runs.
    origins
        Readings that are compared; the ids of clusters mean nothing on the other backend and are left out.
    min_cells
        Samples whose denominator has fewer cells on both are not judged.

    Returns
    -------
    One row an origin and population, the sample with the largest change among those judged (or among all where none
    is): ``origin population parent sample cpu gpu change cells judged`` (percent, percentage points). A share that one
    backend has and the other has not is a change of None.
    """
    keys = ["origin", "population", "parent", "sample"]
    tables = []
    for table in (cpu, gpu):
        named = ~table["population"].astype(str).str.fullmatch(r"C\d+")
        asked = (table["measure"] == SHARE) & table["origin"].isin(origins) & named
        tables.append(table.loc[asked, [*keys, "value", "n_cells"]])
    both = tables[0].merge(tables[1], on=keys, how="outer", suffixes=("_cpu", "_gpu"))
    both["cells"] = both[["n_cells_cpu", "n_cells_gpu"]].max(axis=1).fillna(0)
    both["judged"] = both["cells"] >= min_cells
    both["change"] = both["value_gpu"] - both["value_cpu"]
    one_sided = both["value_cpu"].isna() != both["value_gpu"].isna()
    both["size"] = both["change"].abs().fillna(0.0).mask(one_sided, math.inf)
    both = both.sort_values(["judged", "size"], ascending=False, kind="stable")
    worst = both.drop_duplicates(["origin", "population"]).sort_values(["origin", "population"])
    return [
        {
            "origin": row["origin"], "population": row["population"], "parent": row["parent"], "sample": row["sample"],
            "cpu": number(row["value_cpu"]), "gpu": number(row["value_gpu"]),
            "change": None if math.isinf(row["size"]) else number(row["change"]),
            "cells": int(row["cells"]), "judged": bool(row["judged"]), "missing": math.isinf(row["size"]),
        }
        for row in worst.to_dict("records")
    ]  # fmt: skip


def effects(cpu: Path, gpu: Path, monitor: str, max_estimate: float) -> list[dict[str, object]]:
    """The estimates of a monitor's primary and secondary endpoints.

    Parameters
    ----------
    cpu, gpu
        The folders of the two runs.
    monitor
        Its name.
    max_estimate
        Allowed change, as a share of the half-width of the CPU's confidence interval. An estimate without an interval
        must be the same.

    Returns
    -------
    One row an endpoint: ``monitor`` and the columns of :data:`KEYS`, ``cpu gpu change allowed verdict_cpu verdict_gpu
    within``.
    """
    tables = [
        pd.read_csv(run / "monitors" / monitor / "effects.tsv", sep="\t", keep_default_na=True) for run in (cpu, gpu)
    ]
    tables = [table[table["role"].isin(ASKED)] for table in tables]
    for table in tables:
        table[KEYS] = table[KEYS].astype(object).where(table[KEYS].notna(), "").astype(str)
    both = tables[0].merge(tables[1], on=KEYS, how="outer", suffixes=("_cpu", "_gpu"))
    rows = []
    for row in both.to_dict("records"):
        mine, other = number(row["estimate_cpu"]), number(row["estimate_gpu"])
        half = (row["upper_cpu"] - row["lower_cpu"]) / 2.0
        allowed = max_estimate * half if math.isfinite(half) else 0.0
        change = other - mine if mine is not None and other is not None else None
        same = mine is None and other is None
        agree = same or (change is not None and abs(change) <= allowed + 1e-12)
        verdicts = [str(row[f"verdict_{side}"]) for side in ("cpu", "gpu")]
        rows.append(
            {"monitor": monitor, **{key: row[key] for key in KEYS}, "cpu": mine, "gpu": other, "change": change,
             "allowed": allowed, "verdict_cpu": verdicts[0], "verdict_gpu": verdicts[1],
             "within": agree and verdicts[0] == verdicts[1]}
        )  # fmt: skip
    return rows


def verdict(results: Path, monitor: str) -> str:
    """A monitor's verdict."""
    return str(json.loads((results / "monitors" / monitor / "summary.json").read_text(encoding="utf-8"))["verdict"])


def number(value: float) -> float | None:
    """A number for JSON: None where there is none."""
    return float(value) if math.isfinite(value) else None
