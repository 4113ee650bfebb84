"""CAR-T cells against CD19 in lupus: B cells vanish, come back and are naive.

Mackensen et al. 2022 (doi:10.1038/s41591-022-02017-5): 5 patients; B cells back 110 +/- 32 days after infusion,
naive, where memory and CD11c+ double-negative B cells had been expanded before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from treset.errors import TresetError
from treset.simulate.cohort import Patient, make_patients, make_trial, plan_sample, sheet_row, visit_shares
from treset.simulate.composition import set_share, typical_shares, vary
from treset.simulate.trial import Trial, generator

LUPUS: dict[str, Any] = {
    "patients": 5,
    "visits": ("baseline", "D14", "D30", "D60", "D90", "D120", "D150", "D180"),
    "days": (-7, 14, 30, 60, 90, 120, 150, 180),
    # Day on which the share of B cells (of all living cells) passes `recovery_percent`: mean and s.d. between patients.
    "recovery_mean": 110.0,
    "recovery_sd": 32.0,
    "recovery_percent": 1.0,
    # Share of B cells after full recovery, and days in which they grow e-fold on the way.
    "plateau_percent": 8.0,
    "growth_days": 10.0,
    # Share of naive and of transitional among the B cells that come back.
    "naive_after": 0.70,
    "transitional_after": 0.22,
    # Patients in whom it goes otherwise: they are the last ones.
    "not_reset": 0,
    "not_recovered": 0,
    "no_aplasia": 0,
}

#: B cells of active lupus: memory, double-negative and plasmablasts expanded.
_BASELINE = {
    "B transitional": 0.06,
    "B naive": 0.40,
    "B unswitched memory": 0.06,
    "B switched memory": 0.26,
    "B double negative": 0.16,
    "Plasmablast": 0.06,
}
#: A share of B cells (of all living cells) below this is none.
_NONE = 0.0005


def lupus(values: Mapping[str, Any]) -> Trial:
    """Plan a trial of CD19 CAR-T cells in lupus; parameters in ``LUPUS``."""
    others = values["not_reset"] + values["not_recovered"] + values["no_aplasia"]
    if others > values["patients"]:
        raise TresetError(
            f"simulate: not_reset, not_recovered and no_aplasia are {others} patients together, but there are only "
            f"{values['patients']}."
        )
    if values["plateau_percent"] <= values["recovery_percent"]:
        raise TresetError(
            f"simulate: plateau_percent {values['plateau_percent']} is not above recovery_percent "
            f"{values['recovery_percent']}: B cells would never recover."
        )
    if values["naive_after"] + values["transitional_after"] >= 1:
        raise TresetError("simulate: naive_after and transitional_after together are 1 or more, lower one.")
    typical = typical_shares() | {"B": dict(_BASELINE)}
    count = values["patients"]
    patients = make_patients(values, ["CAR-T"] * count, ["systemic lupus erythematosus"] * count, typical)
    rows, plans, table = [], [], []
    for number, patient in enumerate(patients):
        course = _course(values, number)
        day_back = _recovery_day(values, patient) if course in ("reset", "not reset") else np.nan
        table.append(_patient_row(values, patient, course, day_back))
        for visit, day in zip(values["visits"], values["days"], strict=True):
            sample = f"{patient.patient}_{visit}"
            shares = visit_shares(values, patient, visit)
            if day >= 0 and course != "no aplasia":
                back = b_share(values, day, day_back)
                if course == "reset":
                    rng = generator(values["seed"], "reset", patient.patient, visit)
                    shares["B"] = vary({"B": _returned(values)}, rng, values["visit_sd"])["B"]
                set_share(shares, "B", back)
            plans.append(plan_sample(patient, sample, shares, {}))
            rows.append(sheet_row(values, patient, sample, visit, day))
    return make_trial("cart_lupus", values, rows, plans, _truth(values, table), table)


def b_share(values: Mapping[str, Any], day: float, day_back: float) -> float:
    """Give the share of B cells of all living cells on a day after the infusion.

    Logistic growth to the plateau that passes ``recovery_percent`` on ``day_back``; 0 while it is under 0.05 % and
    for ever when ``day_back`` is NaN.
    """
    if np.isnan(day_back):
        return 0.0
    plateau, threshold = values["plateau_percent"] / 100, values["recovery_percent"] / 100
    share = plateau / (1 + (plateau / threshold - 1) * np.exp(-(day - day_back) / values["growth_days"]))
    return float(share) if share >= _NONE else 0.0


def _course(values: Mapping[str, Any], number: int) -> str:
    from_last = values["patients"] - 1 - number
    for course in ("no_aplasia", "not_recovered", "not_reset"):
        if from_last < values[course]:
            return course.replace("_", " ")
        from_last -= values[course]
    return "reset"


def _recovery_day(values: Mapping[str, Any], patient: Patient) -> float:
    """Draw a recovery day late enough for aplasia to be seen and early enough for two visits after it."""
    rng = generator(values["seed"], "recovery", patient.patient)
    after = [day for day in values["days"] if day >= 0]
    earliest, latest = after[0] + 4 * values["growth_days"], after[-2] if len(after) > 1 else after[-1]
    for _ in range(1000):
        day = rng.normal(values["recovery_mean"], values["recovery_sd"])
        if earliest <= day <= latest:
            return float(day)
    raise TresetError(
        f"simulate: recovery_mean {values['recovery_mean']} +/- {values['recovery_sd']} days lies outside days "
        f"{earliest} to {latest}, in which aplasia and recovery can be seen with these visits; change recovery_mean or "
        "days."
    )


def _returned(values: Mapping[str, Any]) -> dict[str, float]:
    rest = 1 - values["naive_after"] - values["transitional_after"]
    memory = {"B unswitched memory": 0.25, "B switched memory": 0.45, "B double negative": 0.2, "Plasmablast": 0.1}
    young = {"B transitional": values["transitional_after"], "B naive": values["naive_after"]}
    return young | {name: rest * share for name, share in memory.items()}


def _patient_row(values: Mapping[str, Any], patient: Patient, course: str, day_back: float) -> dict:
    first_at = [day for day in values["days"] if day >= max(day_back, 0)] if not np.isnan(day_back) else []
    below = [day for day in values["days"] if 0 <= day < day_back]
    return {
        "patient": patient.patient,
        "course": course,
        "recovery_day": day_back,
        "recovery_after": below[-1] if below else np.nan,
        "recovery_by": first_at[0] if first_at else np.nan,
        "reset": {"reset": "reset", "not recovered": "not evaluable"}.get(course, "not reset"),
    }


def _truth(values: Mapping[str, Any], table: list[dict]) -> list[tuple]:
    base, *_ = values["visits"]
    days = [row["recovery_day"] for row in table if not np.isnan(row["recovery_day"])]
    share = np.mean([row["course"] == "reset" for row in table])
    young = 100 * (values["naive_after"] + values["transitional_after"])
    aplastic = [row["course"] != "no aplasia" for row in table]
    first = next(visit for visit, day in zip(values["visits"], values["days"], strict=True) if day >= 0)
    rows = [
        (
            "b_aplasia",
            "B",
            "percent_of_total",
            "",
            f"{first} vs {base}",
            "share_of_patients",
            float(np.mean(aplastic)),
            "",
        ),
        ("b_recovery", "B", "percent_of_total", "", "first day", "days", float(np.mean(days)) if days else np.nan, ""),
        ("b_naive", "B naive|B transitional", "percent_of_parent", "", "at recovery", "percent", young, ""),
        ("b_reset", "B", "percent_of_total", "", "at recovery", "share_of_patients", float(share), ""),
    ]
    verdicts = [all(aplastic), bool(days), young >= 70, share >= 0.5]
    return [(*row[:-1], "met" if good else "not met") for row, good in zip(rows, verdicts, strict=True)]
