"""The B-cell monitor: aplasia, recovery and reset of single courses by hand, and the cohort's verdict."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from monitor_tables import PARENTS, row, sheet, table
from scipy import stats as scipy_stats

from treset.errors import TresetError
from treset.monitor import bcell
from treset.study.model import BcellMonitor

PARENTS |= {"B naive": "B", "B transitional": "B", "B memory": "B"}
DAYS = {"base": -7, "D14": 14, "D30": 30, "D60": 60, "D90": 90, "D120": 120}
TOTAL = 20_000


def waist(courses: dict[str, list[tuple[int, float]]], total: int = TOTAL, days: dict[str, int] = DAYS):
    """B cells and their naive share (0 to 1) at each visit of each patient; None: no sample."""
    samples, rows = [], []
    for patient, course in courses.items():
        for (visit, day), at in zip(days.items(), course, strict=False):
            if at is None:
                continue
            samples.append({"sample": f"{patient}_{visit}", "patient": patient, "visit": visit, "day": float(day)})
    samples = sheet(samples)
    labels = list(days)
    for _, s in samples.iterrows():
        b, naive = courses[s["patient"]][labels.index(s["visit"])]
        parts = {"B naive": round(b * naive * 0.8), "B transitional": round(b * naive) - round(b * naive * 0.8)}
        rows.append(row(s, "B", "count", float(b), b, parent="cells"))
        rows.append(row(s, "B", "percent_of_total", 100 * b / total, total, parent="cells"))
        rows.append(row(s, "B", "percent_of_parent", 100 * b / total, total, parent="cells"))
        for name, n in parts.items():
            rows.append(row(s, name, "count", float(n), n, parent="B"))
            rows.append(row(s, name, "percent_of_parent", 100 * n / b if b else math.nan, b, parent="B"))
    return table(rows), samples


def run(courses, settings: BcellMonitor | None = None, **more):
    profiles, samples = waist(courses, **more)
    return bcell(profiles, samples, settings or BcellMonitor(), "base")


def one(course, settings: BcellMonitor | None = None, **more) -> pd.Series:
    return run({"P": course}, settings, **more).patients.iloc[0]


RESET = [(1600, 0.4), (2, 0.5), (0, 0), (5, 0.5), (400, 0.85), (900, 0.9)]


def test_a_reset_with_its_days_and_shares():
    found = one(RESET)
    assert found["call"] == "reset"
    # upper Poisson limits by hand: 2 cells -> 7.22, i.e. 0.0361 % of 20,000: already aplasia on day 14
    assert (found["aplasia_after_day"], found["aplasia_day"]) == (-7, 14)
    assert (found["recovery_after_day"], found["recovery_day"], found["recovery_visit"]) == (60, 90, "D90")
    assert found["naive_percent"] == pytest.approx(85) and found["naive_baseline"] == pytest.approx(40)
    assert found["naive_change"] == pytest.approx(45)
    limits = scipy_stats.binomtest(340, 400).proportion_ci(method="exact")
    assert (found["naive_lower"], found["naive_upper"]) == pytest.approx((100 * limits.low, 100 * limits.high))
    assert found["why"] == (
        "aplasia by day 14, recovery between day 60 and day 90; 85.0 % of 400 B cells naive at recovery, at least 70 %"
    )
    assert "D14 (day 14): 0.01 % [0.0012 to 0.036] of cells" in found["course"]


@pytest.mark.parametrize(
    ("course", "call", "why"),
    [
        ([(1600, 0.4), (0, 0), (0, 0), (2, 0), (400, 0.5), (900, 0.5)], "not reset", "50.0 % of 400 B cells naive"),
        ([(1600, 0.4), (1500, 0.4), (1500, 0.4), (1500, 0.4)], "not reset", "no aplasia: B cells never under 0.1 %"),
        ([(1600, 0.4), (0, 0), (0, 0), (2, 0), (2, 0), (9, 0)], "not evaluable", "not recovered by day 120 (censored)"),
        ([(1600, 0.4), (0, 0), (0, 0), (2, 0), (2, 0), (900, 0.9)], "not evaluable", "recovery not confirmed"),
        # back once, gone again, back for good: the first of TWO consecutive visits counts
        ([(1600, 0.4), (0, 0), (400, 0.1), (9, 0), (400, 0.9), (400, 0.9)], "reset", "between day 60 and day 90"),
        ([(1600, 0.4)], "not evaluable", "no visit after treatment"),
        ([None, (0, 0), (0, 0), (400, 0.9), (400, 0.9)], "reset", "no baseline visit"),
        ([(1600, 0.4), (0, 0), None, (400, 0.9), (400, 0.9)], "reset", "recovery between day 14 and day 60"),
    ],
)
def test_calls_and_their_reasons(course, call, why):
    found = one(course)
    assert found["call"] == call
    assert why in found["why"]


def test_too_few_cells_neither_show_nor_exclude_aplasia():
    # 0 of 2,000: upper limit 3.689 / 2,000 = 0.18 %
    found = one([(160, 0.4), (0, 0), (0, 0), (40, 0.9), (40, 0.9)], total=2000)
    assert found["call"] == "not evaluable"
    assert "neither shown nor excluded: 0 B cells of 2000 on day 14, upper limit 0.18 %" in found["why"]
    # 3,689 cells are the fewest that can
    assert "neither" in one([(160, 0.4), (0, 0), (80, 0.9), (80, 0.9)], total=3688)["why"]
    assert one([(160, 0.4), (0, 0), (80, 0.9), (80, 0.9)], total=3689)["call"] == "reset"


def test_few_b_cells_at_recovery_are_not_evaluable():
    found = one([(160, 0.4), (0, 0), (0, 0), (25, 0.9), (40, 0.9)], BcellMonitor(recovery_percent=0.1))
    assert found["call"] == "not evaluable" and "25 B cells at recovery, 30 needed" in found["why"]
    assert math.isnan(found["naive_percent"])


def test_before_the_infusion_is_no_aplasia_of_the_drug():
    days = {"base": -14, "D-1": -1, "D30": 30, "D60": 60}
    found = one([(1600, 0.4), (0, 0), (900, 0.9), (900, 0.9)], days=days)
    assert found["call"] == "not reset" and "no aplasia" in found["why"]


def test_the_cohort_is_judged_by_its_share():
    courses = {f"P{i}": RESET for i in range(4)}
    courses["P4"] = [(1600, 0.4), (0, 0), (0, 0), (2, 0), (400, 0.5), (900, 0.5)]
    courses["P5"] = [(1600, 0.4), (0, 0), (0, 0), (2, 0), (2, 0), (9, 0)]
    result = run(courses)
    first = result.effects.iloc[0]
    limits = scipy_stats.binomtest(4, 5).proportion_ci(method="exact")
    assert (first["role"], first["n"], first["estimate"], first["verdict"]) == ("primary", 5, 80, "met")
    assert (first["lower"], first["upper"]) == pytest.approx((100 * limits.low, 100 * limits.high))
    assert result.summary["headline"]["value"] == "4 / 5"
    assert "1 of 6 not evaluable" in result.summary["reason"]
    assert run(courses, BcellMonitor(min_reset_share=0.9)).summary["verdict"] == "not met"
    assert run({"P5": courses["P5"]}).summary["verdict"] == "not evaluable"


@pytest.mark.parametrize(("reset", "waiting", "verdict"), [(1, 4, "not evaluable"), (3, 2, "met"), (2, 2, "met")])
def test_the_verdict_holds_whatever_those_not_evaluable_would_be(reset: int, waiting: int, verdict: str):
    late = [(1600, 0.4), (0, 0), (0, 0), (2, 0), (2, 0), (9, 0)]
    courses = {f"P{i}": RESET for i in range(reset)} | {f"Q{i}": late for i in range(waiting)}
    result = run(courses)
    assert result.summary["verdict"] == verdict
    said = (
        f"{reset} of {reset} evaluable patients reset, {waiting} of {reset + waiting} not evaluable: the others decide"
    )
    assert (said in result.effects.iloc[0]["note"]) == (verdict == "not evaluable")


def test_composition_by_visit_is_paired_and_not_tested():
    result = run({f"P{i}": RESET for i in range(7)})
    rows = result.effects[result.effects["role"] == "descriptive"].set_index(["endpoint", "contrast"])
    naive = rows.loc[("naive share of B", "D90 vs base")]
    assert (naive["n"], naive["scale"]) == (7, "difference") and naive["estimate"] == pytest.approx(45)
    assert rows["p_value"].isna().all()
    assert rows.loc[("B-cell share", "D90"), "estimate"] == pytest.approx(2.0)
    # with 5 or fewer B cells there is no naive share
    assert ("naive share of B", "D60") not in rows.index or rows.loc[("naive share of B", "D60"), "n"] == 0


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (BcellMonitor(b="B cells"), "population 'B cells' is not in the profiles (gate)"),
        (BcellMonitor(of="leukocytes"), "as a share of 'leukocytes' is not in the profiles"),
        (BcellMonitor(naive=("naive B",)), "none of naive B is in the profiles (gate)"),
        (BcellMonitor(origin="cluster"), "the profiles have no rows of origin 'cluster'"),
        (BcellMonitor(naive=("B",)), "B is not a part of B"),
    ],
)
def test_what_is_absent_is_not_evaluable(settings, reason):
    result = run({"P1": RESET, "P2": RESET}, settings)
    assert result.summary["verdict"] == "not evaluable"
    assert reason in result.summary["reason"]
    assert (result.patients["call"] == "not evaluable").all() and len(result.patients) == 2


def test_naive_populations_that_overlap_give_no_share():
    profiles, samples = waist({"P": RESET})
    more = (profiles["population"] == "B transitional") & (profiles["measure"] == "count")
    profiles.loc[more & (profiles["sample"] == "P_D120"), "value"] = 500.0
    result = bcell(profiles, samples, BcellMonitor(), "base")
    assert "they overlap" in result.patients["why"].iloc[0] and result.patients["call"].iloc[0] == "not evaluable"


def test_a_missing_naive_population_is_said_and_left_out():
    result = run({"P": RESET}, BcellMonitor(naive=("B naive", "B immature")))
    assert result.patients["naive_percent"].iloc[0] == pytest.approx(68)
    assert result.patients["call"].iloc[0] == "not reset"
    assert any("without B immature" in note for note in result.summary["notes"])


def test_gaps_are_said():
    profiles, samples = waist({"P": RESET})
    samples.loc[samples["visit"] == "D120", "exclude"] = "lost"
    samples.loc[samples["visit"] == "D60", "day"] = math.nan
    profiles.loc[profiles["visit"] == "D60", "day"] = math.nan
    found = bcell(profiles, samples, BcellMonitor(), "base").patients.iloc[0]
    assert "D60 has no day" in found["why"] and "D120 (P_D120) excluded in the sheet: lost" in found["why"]
    assert found["call"] == "not evaluable" and "not confirmed" in found["why"]


def test_two_samples_of_a_visit_are_an_error():
    profiles, samples = waist({"P": RESET})
    double = pd.concat([samples, samples.iloc[[1]].assign(sample="again")], ignore_index=True)
    more = profiles[profiles["sample"] == "P_D14"].assign(sample="again")
    with pytest.raises(TresetError, match="has 2 samples at visit 'D14'"):
        bcell(pd.concat([profiles, more]), double, BcellMonitor(), "base")
