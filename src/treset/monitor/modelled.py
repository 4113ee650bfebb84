"""An endpoint judged by a linear model of the change, as its formula says."""

from __future__ import annotations

import numpy as np
import pandas as pd

from treset.monitor import effects as fx
from treset.monitor.common import CONFIDENCE, NOT_EVALUABLE, Cohort, join
from treset.monitor.values import Changes
from treset.stats import linear_model
from treset.study.formula import InvalidFormula, check_formula, design_matrix, formula_columns
from treset.study.model import Endpoint

#: Stands in a formula for the patient's value at baseline, on the log scale where the change is a ratio.
BASELINE = "baseline"


def modelled(
    cohort: Cohort, changes: Changes, endpoint: Endpoint, contrast: str, column: str, arms: tuple[str, str],
    **more: object,
) -> dict:  # fmt: skip
    """Row of the change in ``arms[0]`` against that in ``arms[1]``, adjusted as the endpoint's formula says.

    ``changes`` has the labels of ``column`` as its arms. Covariates are columns of the sheet with one value a patient
    (the value at baseline where a patient has several), and ``baseline``; who lacks one is left out and named.
    """
    row = fx.blank(endpoint, f"{contrast}, {arms[0]} vs {arms[1]}", **more)
    refused = row | {"verdict": NOT_EVALUABLE, "method": "linear model"}
    if changes.problem:
        return refused | {"note": changes.problem}
    if endpoint.claim != "change":
        return refused | {"note": f"a formula serves the claim change, not {endpoint.claim}: leave one out"}
    known = [*map(str, cohort.sheet.columns), BASELINE]
    try:
        names = [name for name in check_formula(endpoint.formula, known, column) if name != column]
    except InvalidFormula as wrong:
        return refused | {"note": str(wrong)}
    table = changes.evaluable
    table = table[table["arm"].isin(arms)].reset_index(drop=True)
    data = pd.DataFrame({column: (table["arm"] == arms[0]).to_numpy(float)})
    for name in names:
        data[name] = _start(table, endpoint) if name == BASELINE else cohort.sheet[name].reindex(
            table["sample_baseline"]
        ).to_numpy()  # fmt: skip
    whole = (data.notna() & (data.astype("str") != "")).all(axis=1).to_numpy()
    lost = ", ".join(table.loc[~whole, "patient"].astype(str))
    said = f"without a value of the formula's columns, left out: {lost}" if lost else ""
    table, data = table[whole], data[whole].reset_index(drop=True)
    sizes = [int((data[column] == side).sum()) for side in (1.0, 0.0)]
    note = join([f"{arms[0]} n = {sizes[0]}, {arms[1]} n = {sizes[1]}", said])
    if min(sizes) < 2:
        return refused | {"n": sum(sizes), "note": join([note, "at least 2 and 2 patients are needed"])}
    try:
        matrix, at, _ = design_matrix(endpoint.formula, data, column)
    except InvalidFormula as wrong:
        return refused | {"n": sum(sizes), "note": join([note, str(wrong)])}
    found = linear_model(table["change"], matrix, at, CONFIDENCE, f"linear model, change {_spelled(endpoint.formula)}")
    return row | {
        "n": found.n, "estimate": found.estimate, "lower": found.lower, "upper": found.upper,
        "p_value": found.p_value, "method": found.method, "converged": found.converged,
        "verdict": "" if found.converged else NOT_EVALUABLE, "note": join([note, found.note]),
    }  # fmt: skip


def needs_groups(endpoint: Endpoint, **more: object) -> dict:
    """Row of an endpoint with a formula but without two groups."""
    row = fx.blank(endpoint, "", **more)
    columns = ", ".join(formula_columns(endpoint.formula))
    note = f"the formula ({columns}) compares two groups, and there is one: leave the formula out, or name a contrast"
    return row | {"verdict": NOT_EVALUABLE, "note": note, "method": "linear model"}


def _start(table: pd.DataFrame, endpoint: Endpoint) -> np.ndarray:
    start = table["start"].to_numpy(dtype=float)
    if endpoint.scale == "difference":
        return start
    return np.log(np.where(start > 0, start, np.nan))


def _spelled(formula: str) -> str:
    return formula.strip() if "~" in formula else f"~ {formula.strip()}"
