"""Effects of a change endpoint: paired, within an arm, between two arms; and the verdict on them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from treset.monitor.common import (
    CONFIDENCE,
    MET,
    NOT_EVALUABLE,
    NOT_MET,
    Cohort,
    effect,
    join,
    number,
    p_text,
    suggest,
)
from treset.monitor.values import Changes
from treset.stats import (
    Equivalence,
    RankTest,
    equivalence_between,
    equivalence_paired,
    mann_whitney,
    mann_whitney_attainable,
    pairs_needed,
    wilcoxon_signed_rank,
)
from treset.study.model import Endpoint

#: Names by which an arm is known to be the one compared against.
REFERENCE_ARMS = ("placebo", "control", "controls", "vehicle", "sham", "untreated", "standard of care", "soc")


#: Levels asked of the functions of two-sided tests lie under 1.
_NEARLY_ONE = 1 - 1e-9


def reference_arm(cohort: Cohort, arms: Sequence[str], given: str | None = None) -> tuple[str | None, str]:
    """Find the arm the others are compared against.

    The one ``given`` in the config; else by name (placebo, control ...), or, where every sample has a ``dose``, the arm
    whose highest dose is lowest. None when neither decides it: which of two arms is the drug is not guessed.

    Returns
    -------
    The arm or None, and how it was found or why not.
    """
    if given is not None:
        if given in arms:
            return given, f"arm {given} is the reference by the config"
        return None, f"the config's reference arm {given!r} is no arm of the sheet{suggest(given, arms)}"
    named = [arm for arm in arms if arm.strip().casefold() in REFERENCE_ARMS]
    if len(named) == 1:
        return named[0], f"arm {named[0]} is the reference by its name"
    highest = {}
    for arm in arms:
        patients = cohort.patients.index[cohort.patients["arm"] == arm]
        highest[arm] = float(cohort.sheet.loc[cohort.sheet["patient"].isin(patients), "dose"].max())
    lowest = min(highest.values(), default=math.nan)
    if not named and all(map(math.isfinite, highest.values())) and list(highest.values()).count(lowest) == 1:
        arm = next(arm for arm, dose in highest.items() if dose == lowest)
        return arm, f"arm {arm} is the reference by its dose, the lowest"
    listed = ", ".join(arms)
    return None, f"which arm is the reference is not said ({listed}): set reference_arm in the config"


def say(value: float, endpoint: Endpoint, signed: bool = True) -> str:
    """An estimate or limit on the scale of the endpoint, for a sentence."""
    if math.isnan(value):
        return "?"
    if endpoint.scale == "log_ratio":
        return f"{'x' if signed else ''}{number(math.exp(value))}"
    text = f"{value:+.3g}" if signed else f"{value:.3g}"
    if endpoint.scale == "percent_change":
        return f"{text} %" if signed else text
    return f"{text} points" if signed and endpoint.measure.startswith("percent") else text


def interval(row: dict, endpoint: Endpoint) -> str:
    """``95 % CI 1.6 to 2.3``, or that there is none."""
    level = f"{100 * CONFIDENCE:g} % CI"
    if math.isnan(float(row["lower"])):
        return f"no {level} with so few patients"
    return f"{level} {say(float(row['lower']), endpoint, False)} to {say(float(row['upper']), endpoint, False)}"


def paired(changes: Changes, endpoint: Endpoint, contrast: str, alpha: float, **more: object) -> dict:
    """Row of the paired change of all patients in ``changes``."""
    row = _row(endpoint, contrast, more)
    found = changes.evaluable["change"].to_numpy(dtype=float)
    if changes.problem:
        return row | {"verdict": NOT_EVALUABLE, "note": changes.problem}
    if found.size == 0:
        return row | {"verdict": NOT_EVALUABLE, "note": "no patient has a value at both visits"}
    least = pairs_needed(alpha)
    if endpoint.claim == "change":
        row |= _numbers(wilcoxon_signed_rank(found, CONFIDENCE))
    elif endpoint.margin is None:
        return row | {"verdict": NOT_EVALUABLE, "note": f"{endpoint.claim} is claimed without a margin"}
    else:
        row |= _claim(equivalence_paired(found, endpoint.margin, CONFIDENCE), endpoint)
        least = pairs_needed(min(2 * alpha, _NEARLY_ONE))
    if found.size < least:
        short = (
            f"{found.size} patient{'s' if found.size > 1 else ''} with a change: "
            f"p < {alpha:g} cannot be reached with fewer than {least}"
        )
        row |= {"verdict": NOT_EVALUABLE, "note": join([short, str(row["note"])])}
    return row


def between(
    changes: Changes, endpoint: Endpoint, contrast: str, arms: tuple[str, str], alpha: float, **more: object
) -> dict:
    """Row of the change in ``arms[0]`` against that in ``arms[1]``."""
    row = _row(endpoint, f"{contrast}, {arms[0]} vs {arms[1]}", more)
    if changes.problem:
        return row | {"verdict": NOT_EVALUABLE, "note": changes.problem}
    table = changes.evaluable
    x, y = (table.loc[table["arm"] == arm, "change"].to_numpy(dtype=float) for arm in arms)
    sizes = f"{arms[0]} n = {x.size}, {arms[1]} n = {y.size}"
    row["n"] = x.size + y.size
    if x.size == 0 or y.size == 0:
        return row | {"verdict": NOT_EVALUABLE, "note": f"an arm has no patient with a change ({sizes})"}
    level = alpha
    if endpoint.claim == "change":
        row |= _numbers(mann_whitney(x, y, CONFIDENCE))
    elif endpoint.margin is None:
        return row | {"verdict": NOT_EVALUABLE, "note": f"{endpoint.claim} is claimed without a margin"}
    else:
        row |= _claim(equivalence_between(x, y, endpoint.margin, CONFIDENCE), endpoint)
        level = min(2 * alpha, _NEARLY_ONE)
    row["note"] = join([sizes, str(row["note"])])
    if not mann_whitney_attainable(x.size, y.size, level):
        short = f"p < {alpha:g} cannot be reached with so few patients"
        row |= {"verdict": NOT_EVALUABLE, "note": join([short, str(row["note"])])}
    return row


def _row(endpoint: Endpoint, contrast: str, more: dict) -> dict:
    return effect(
        endpoint=endpoint.name,
        population=endpoint.population,
        measure=endpoint.measure,
        marker=endpoint.marker or "",
        scale=endpoint.scale,
        contrast=contrast,
        **more,
    )


def _numbers(test: RankTest) -> dict:
    return {
        "n": test.n,
        "estimate": test.estimate,
        "lower": test.lower,
        "upper": test.upper,
        "p_value": test.p_value,
        "method": test.method,
        "converged": True,
        "note": test.note,
    }


def _claim(test: Equivalence, endpoint: Endpoint) -> dict:
    """Numbers of a claim that there is no change beyond the margin; p is that of the claim."""
    margin = float(endpoint.margin or 0.0)
    p_value, method = test.p_value, test.method
    most = f"the margin is {say(margin, endpoint)} either way"
    if endpoint.claim == "non_inferiority":
        harm = "decrease" if endpoint.direction == "decrease" else "increase"
        p_value = test.p_above if harm == "decrease" else test.p_below
        method = method.replace("two one-sided tests (TOST)", "non-inferiority, one-sided")
        most = f"the margin is {say(-margin if harm == 'decrease' else margin, endpoint)}, an {harm} is the harm"
        most = most.replace("an decrease", "a decrease")
    return {
        "n": test.n, "estimate": test.estimate, "lower": test.lower, "upper": test.upper, "p_value": p_value,
        "method": method, "converged": True, "note": join([most, test.note]),
    }  # fmt: skip


def decide(row: dict, endpoint: Endpoint, alpha: float, corrected: bool) -> tuple[str, str]:
    """Verdict on a tested row and why: p (or q) below alpha, the stated direction, and the minimum effect.

    The test is two-sided; direction and minimum effect are asked of the estimate.
    """
    if row["verdict"] == NOT_EVALUABLE:
        return NOT_EVALUABLE, str(row["note"])
    p = float(row["q_value"] if corrected else row["p_value"])
    estimate = float(row["estimate"])
    if endpoint.claim != "change":
        level = p_text(p).replace("p", "q", 1) if corrected else p_text(p)
        return (MET, "") if p < alpha else (NOT_MET, f"{endpoint.claim} is not shown ({level}, alpha {alpha:g})")
    faults = []
    if not p < alpha:
        level = p_text(p).replace("p", "q", 1) if corrected else p_text(p)
        faults.append(f"the change is not significant ({level}, alpha {alpha:g})")
    sign = {"increase": 1.0, "decrease": -1.0}.get(endpoint.direction, math.copysign(1.0, estimate))
    if not sign * estimate > 0:
        faults.append(f"the estimate {say(estimate, endpoint)} is no {_word(endpoint)}")
    elif sign * estimate < abs(endpoint.minimum_effect):
        least = say(sign * abs(endpoint.minimum_effect), endpoint)
        faults.append(f"the estimate {say(estimate, endpoint)} does not reach the minimum effect {least}")
    return (NOT_MET, "; ".join(faults)) if faults else (MET, "")


def _word(endpoint: Endpoint) -> str:
    return {"increase": "increase", "decrease": "decrease"}.get(endpoint.direction, "change")


def blank(endpoint: Endpoint, contrast: str, **more: object) -> dict:
    """Row of an endpoint without numbers."""
    return _row(endpoint, contrast, more)
