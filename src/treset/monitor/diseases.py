"""Open-label trials of several diseases: the change in each, and pooled by random effects."""

from __future__ import annotations

import math

import numpy as np

from treset.monitor import effects as fx
from treset.monitor.common import CONFIDENCE, NOT_EVALUABLE, join, p_text
from treset.monitor.sensitivity import analysis_scale
from treset.monitor.trial import Trial, beside
from treset.stats import Pooled, from_t, random_effects
from treset.study.model import Endpoint

#: Fewest degrees of freedom of the variance within diseases.
MIN_DF = 3


def disease_rows(trial: Trial, endpoint: Endpoint) -> list[dict]:
    """Rows of a forest plot: role ``subgroup`` for each disease, role ``pooled`` for REML and DerSimonian-Laird.

    Only where all patients got the drug (no contrast between groups) and there are at least two diseases. The mean
    change of a disease has the variance within diseases, pooled over all of them, divided by its patients: with three
    or four patients a disease, weights from each one's own variance would be noise.
    """
    design = trial.design(endpoint)
    if design.pair is not None or design.problem or endpoint.claim != "change":
        return []
    names = [name for name in dict.fromkeys(trial.cohort.patients["disease"]) if name]
    if len(names) < 2:
        return []
    asked, origin, contrast = analysis_scale(endpoint), trial.settings.origin, trial.contrast(endpoint)
    found = trial.changes(asked, origin)
    table = found.evaluable
    values = {name: table.loc[table["disease"] == name, "change"].to_numpy(dtype=float) for name in names}
    have = {name: x for name, x in values.items() if x.size}
    blank = [str(p) for p in trial.cohort.patients.index[trial.cohort.patients["disease"] == ""]]
    told = f"without disease, in no subgroup: {', '.join(blank)}" if blank else ""
    pooled = beside(asked, "pooled", origin, f"{contrast}, diseases pooled")
    df = sum(x.size - 1 for x in have.values())
    squares = sum(float(((x - x.mean()) ** 2).sum()) for x in have.values())
    if found.problem or len(have) < 2 or df < MIN_DF or squares <= 0:
        why = found.problem or (
            f"{len(have)} diseases with {df} degrees of freedom within them: at least 2 and {MIN_DF} are needed"
        )
        return [pooled | {"verdict": NOT_EVALUABLE, "method": "random effects", "note": join([why, told])}]
    variance = squares / df
    rows = []
    for name, x in values.items():
        row = beside(asked, "subgroup", origin, f"{contrast}, {name}")
        if not x.size:
            rows.append(row | {"verdict": NOT_EVALUABLE, "note": "no patient with a change"})
            continue
        own = from_t(
            x.size, float(x.mean()), math.sqrt(variance / x.size), df, CONFIDENCE,
            "mean change, s.d. within diseases pooled",
        )  # fmt: skip
        rows.append(
            row
            | {
                "n": own.n,
                "estimate": own.estimate,
                "lower": own.lower,
                "upper": own.upper,
                "method": own.method,
                "converged": True,
                "note": "not tested",
            }
        )
    means = np.array([x.mean() for x in have.values()])
    variances = np.array([variance / x.size for x in have.values()])
    patients = sum(x.size for x in have.values())
    for tau in ("REML", "DL"):
        rows.append(_pooled_row(pooled, random_effects(means, variances, tau, CONFIDENCE), asked, patients, told))
    return rows


def _pooled_row(row: dict, found: Pooled, endpoint: Endpoint, patients: int, told: str) -> dict:
    said = [
        f"{found.groups} diseases",
        f"Q = {found.q:.3g} on {found.groups - 1} df ({p_text(found.q_p_value)})",
        f"I2 = {found.i2:.0f} %",
        f"tau = {math.sqrt(found.tau2):.3g}",
    ]
    if math.isfinite(found.predicted[0]):
        low, high = (fx.say(limit, endpoint) for limit in found.predicted)
        said.append(f"95 % prediction interval of a new disease {low} to {high}")
    return row | {
        "n": patients, "estimate": found.estimate, "lower": found.lower, "upper": found.upper,
        "p_value": found.p_value, "method": found.method, "converged": found.converged,
        "note": join([", ".join(said), found.note, told]),
    }  # fmt: skip
