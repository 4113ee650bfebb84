"""The Treg monitor: numbers by hand, verdicts and their reasons, what is absent, and the error rate of the test."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest
from monitor_tables import counted, row, sheet, table, treg_trial, visits
from scipy import stats as scipy_stats

from treset.errors import Faults, TresetError
from treset.monitor import run_monitor, treg, write
from treset.monitor.common import EFFECT_COLUMNS, prepare
from treset.monitor.effects import decide, paired
from treset.monitor.values import changes
from treset.stats import wilcoxon_signed_rank
from treset.study.model import Contrast, Endpoint, Monitors, TregMonitor

PRIMARY = Endpoint("expansion", "primary", "Treg", "percent_of_parent", "D8")
DAYS = {"D0": 0, "D8": 8}


def patients(n: int) -> list[str]:
    return [f"P{i + 1:02d}" for i in range(n)]


def settings(*endpoints: Endpoint, **more: object) -> TregMonitor:
    return TregMonitor(endpoints or (PRIMARY,), **more)


def run(change: np.ndarray, *endpoints: Endpoint, samples: pd.DataFrame | None = None, **more: object):
    samples = visits(patients(len(change)), DAYS) if samples is None else samples
    return treg(treg_trial(change, samples), samples, settings(*endpoints, **more), "D0")


def primary(result) -> pd.Series:
    return result.effects[result.effects["role"] == "primary"].iloc[0]


CHANGE = np.log([1.2, 2.4, 1.7, 1.9, 0.9, 2.1, 1.5, 3.0, 1.6, 1.8])


def test_an_expansion_is_found_with_its_size():
    result = run(CHANGE)
    found, expected = primary(result), scipy_stats.wilcoxon(CHANGE, method="exact").pvalue
    walsh = np.add.outer(CHANGE, CHANGE)[np.triu_indices(10)] / 2
    assert tuple(result.effects.columns) == EFFECT_COLUMNS
    assert found["verdict"] == "met" and found["n"] == 10 and found["scale"] == "log_ratio"
    assert found["estimate"] == pytest.approx(np.median(walsh), abs=1e-4)
    assert found["p_value"] == pytest.approx(expected)
    assert math.isnan(found["q_value"])
    told = f"x{math.exp(np.median(walsh)):.3g}"
    assert result.summary["headline"]["value"] == told
    # what was measured, the estimate with its interval, p, n, and what was asked
    assert result.summary["reason"] == (
        f"The primary endpoint {found['endpoint']} (Treg, percent of CD4 T), D8 vs D0: median fold change {told} "
        f"(95 % CI {math.exp(found['lower']):.3g} to {math.exp(found['upper']):.3g}), p = {expected:.2g}, n = 10; "
        "asked for: an increase at alpha 0.05."
    )
    assert "D8 vs D0" in result.summary["headline"]["caption"] and "n = 10" in result.summary["headline"]["caption"]
    assert result.summary["verdict"] == "met"


@pytest.mark.parametrize(
    ("change", "endpoint", "reason"),
    [
        (-CHANGE, {}, "is no increase"),
        (CHANGE, {"minimum_effect": math.log(2)}, "does not reach the minimum effect x2"),
        (np.tile([0.5, -0.52], 5), {}, "the change is not significant"),
        (CHANGE, {"direction": "decrease"}, "is no decrease"),
    ],
)
def test_not_met_says_why(change, endpoint, reason):
    result = run(change, Endpoint("expansion", "primary", "Treg", "percent_of_parent", "D8", **endpoint))
    assert result.summary["verdict"] == "not met"
    assert reason in result.summary["reason"] and reason in primary(result)["note"]


def test_either_direction_and_decrease_can_be_met():
    for direction in ("either", "decrease"):
        endpoint = Endpoint("e", "primary", "Treg", "percent_of_parent", "D8", direction=direction)
        assert run(-CHANGE, endpoint).summary["verdict"] == "met"


def test_too_few_patients_are_not_evaluable_and_get_no_interval():
    found = primary(result := run(CHANGE[:5]))
    assert found["verdict"] == "not evaluable" and result.summary["verdict"] == "not evaluable"
    assert "cannot be reached with fewer than 6" in found["note"]
    assert math.isnan(found["lower"]) and found["p_value"] == pytest.approx(0.125)
    assert run(CHANGE[:6]).summary["verdict"] != "not evaluable"


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ({"population": "Tregs"}, "population 'Tregs' is not in the profiles (gate); did you mean 'Treg'?"),
        ({"visit": "D9"}, "no sample of visit 'D9'; there are D0, D8"),
        ({"baseline": "screening"}, "no sample of baseline visit 'screening'"),
        ({"measure": "per_ul"}, "per_ul of Treg is not in the profiles"),
        ({"parent": "CD8 T"}, "share of 'CD8 T' is not in the profiles"),
    ],
)
def test_what_is_absent_is_not_evaluable_with_the_reason(endpoint, reason):
    known = {"name": "e", "role": "primary", "population": "Treg", "measure": "percent_of_parent", "visit": "D8"}
    result = run(CHANGE, Endpoint(**(known | endpoint)))
    assert result.summary["verdict"] == "not evaluable"
    assert reason in result.summary["reason"]
    assert len(result.patients) == 10 and (result.patients["call"] == "not evaluable").all()


def test_a_missing_marker_is_named():
    samples = visits(patients(7), DAYS)
    rows = [row(s, "Treg", "median", 1.0 + (s["visit"] == "D8"), 500, marker="CD25") for _, s in samples.iterrows()]
    waist = pd.concat([treg_trial(CHANGE[:7], samples), table(rows)])
    ask = Endpoint("cd25", "primary", "Treg", "median", "D8", marker="CD52", scale="difference")
    assert "did you mean 'CD25'?" in treg(waist, samples, settings(ask), "D0").summary["reason"]
    found = primary(treg(waist, samples, settings(Endpoint("cd25", "primary", "Treg", "median", "D8", marker="CD25",
                                                           scale="difference")), "D0"))  # fmt: skip
    assert (found["estimate"], found["verdict"]) == (1, "met")


def test_a_share_of_an_ancestor_is_the_ratio_of_counts():
    found = run(CHANGE, Endpoint("e", "primary", "Treg", "percent_of_parent", "D8", parent="T", scale="difference"))
    assert found.patients["baseline_value"].tolist() == pytest.approx([2.5] * 10)
    assert any("ratio of their counts" in note for note in found.summary["notes"])


def test_patients_without_value_are_listed_with_the_reason():
    samples = visits(patients(12), DAYS)
    samples = samples[samples["sample"] != "P01_D0"].copy()
    samples.loc[samples["sample"] == "P02_D8", "exclude"] = "clotted"
    waist = treg_trial(np.log(np.linspace(1.2, 3, 12)), samples)
    small = (waist["sample"] == "P03_D8") & (waist["measure"] == "percent_of_parent") & (waist["population"] == "Treg")
    waist.loc[small, "n_cells"] = 20
    result = treg(waist, samples, settings(responder_fold=1.5), "D0")
    why = result.patients.set_index("patient")["why"]
    assert primary(result)["n"] == 9
    assert why["P01"] == "no baseline: no sample at D0"
    assert why["P02"] == "no visit: no sample at D8 (P02_D8 excluded in the sheet: clotted)"
    assert why["P03"] == "at D8 20 cells of the parent, 50 needed (sample P03_D8)"
    assert result.patients["call"].value_counts().to_dict() == {"yes": 9, "not evaluable": 3}
    assert any("excluded in the sheet: clotted: P02_D8" in note for note in result.summary["notes"])
    responders = result.effects[result.effects["endpoint"] == "responders"].iloc[0]
    assert (responders["n"], responders["estimate"]) == (9, 100)


def test_zero_cells_stand_for_half_a_cell():
    samples = visits(patients(7), DAYS)
    rows = []
    for _, s in samples.iterrows():
        treg_cells = 0 if (s["patient"], s["visit"]) == ("P01", "D0") else 10 if s["visit"] == "D0" else 20
        rows += counted(s, {"T": 2000, "CD4 T": 1000, "Treg": treg_cells})
    result = treg(table(rows), samples, settings(), "D0")
    first = result.patients.iloc[0]
    assert first["baseline_value"] == 0 and first["fold"] == pytest.approx(20 / 0.5)
    assert "half a cell" in first["why"]
    assert any("half a cell in P01" in note for note in result.summary["notes"])
    rows_difference = settings(Endpoint("e", "primary", "Treg", "percent_of_parent", "D8", scale="difference"))
    plain = treg(table(rows), samples, rows_difference, "D0").patients
    assert plain["change"].iloc[0] == pytest.approx(2.0) and plain["why"].iloc[0] == ""


def test_two_arms_are_compared_and_the_reference_is_known():
    change = np.r_[CHANGE, np.random.default_rng(0).normal(0, 0.1, 10)]
    samples = visits(patients(20), DAYS)
    samples["arm"] = np.where(samples["patient"] <= "P10", "IL-2", "placebo")
    result = run(change, samples=samples)
    found = primary(result)
    assert found["contrast"] == "D8 vs D0, IL-2 vs placebo" and found["verdict"] == "met"
    shift = np.median(np.subtract.outer(change[:10], change[10:]))
    assert found["estimate"] == pytest.approx(shift, abs=1e-4)
    assert found["p_value"] == pytest.approx(scipy_stats.mannwhitneyu(change[:10], change[10:], method="exact").pvalue)
    support = result.effects[(result.effects["role"] == "supporting") & (result.effects["origin"] == "gate")]
    assert support["contrast"].tolist() == ["D8 vs D0, all patients", "D8 vs D0, arm IL-2", "D8 vs D0, arm placebo"]
    assert support["n"].tolist() == [20, 10, 10] and (support["verdict"] == "").all()


def test_the_reference_arm_is_not_guessed():
    samples = visits(patients(20), DAYS)
    samples["arm"] = np.where(samples["patient"] <= "P10", "A", "B")
    change = np.r_[CHANGE, CHANGE - 1]
    blind = run(change, samples=samples)
    assert blind.summary["verdict"] == "not evaluable"
    assert "which arm is the reference is not said (A, B)" in blind.summary["reason"]
    dosed = run(change, samples=samples.assign(dose=np.where(samples["arm"] == "A", 1.5, 0.3)))
    assert dosed.summary["verdict"] == "met" and "A vs B" in primary(dosed)["contrast"]


def test_three_arms_are_never_pooled_and_a_contrast_names_two():
    samples = visits(patients(21), DAYS)
    samples["arm"] = np.repeat(["placebo", "low", "high"], 14)
    result = run(np.r_[np.zeros(7) + 0.01, CHANGE[:7], 2 * CHANGE[:7]], samples=samples)
    assert primary(result)["verdict"] == "not evaluable" and math.isnan(primary(result)["estimate"])
    assert "3 arms (placebo, low, high), which are not pooled" in result.summary["reason"]
    contrasts = result.effects["contrast"].tolist()
    assert "D8 vs D0, low vs placebo" in contrasts and "D8 vs D0, arm high" in contrasts
    asked = dataclasses.replace(PRIMARY, contrast=Contrast("high", "placebo"))
    change = np.r_[np.zeros(7) + 0.01, CHANGE[:7], 2 * CHANGE[:7]]
    found = primary(run(change, asked, samples=samples))
    assert found["contrast"] == "D8 vs D0, high vs placebo" and found["n"] == 14
    shift = np.median(np.subtract.outer(2 * CHANGE[:7], np.zeros(7) + 0.01))
    assert found["estimate"] == pytest.approx(shift, abs=1e-4)


def test_secondary_endpoints_are_a_family_of_their_own():
    asked = [("Treg", "count"), ("Tconv", "count"), ("T", "percent_of_total"), ("X", "count")]
    other = [Endpoint(f"s{i}", "secondary", p, m, "D8", direction="either") for i, (p, m) in enumerate(asked)]
    result = run(CHANGE, PRIMARY, *other)
    rows = result.effects[result.effects["role"] == "secondary"].set_index("endpoint")
    tested = rows.loc[["s0", "s1", "s2"]]
    assert tested["q_value"].to_numpy(float) == pytest.approx(
        scipy_stats.false_discovery_control(tested["p_value"].to_numpy(float))
    )
    assert rows.loc["s3", "verdict"] == "not evaluable" and math.isnan(rows.loc["s3", "q_value"])
    assert rows.loc["s2", "verdict"] == "not met" and "exactly 0" in rows.loc["s2", "note"]
    assert primary(result)["p_value"] == pytest.approx(primary(run(CHANGE))["p_value"])


def test_the_other_origin_supports_and_never_decides():
    samples = visits(patients(10), DAYS)
    waist = pd.concat([treg_trial(CHANGE, samples), treg_trial(-CHANGE, samples, origin="cluster")])
    result = treg(waist, samples, settings(), "D0")
    again = result.effects[result.effects["origin"] == "cluster"]
    assert again["role"].tolist() == ["supporting"] and again["estimate"].iloc[0] < 0 and again["verdict"].iloc[0] == ""
    assert result.summary["verdict"] == "met"
    assert any(note.startswith("read by cluster instead: x0.5") for note in result.summary["notes"])


def test_always_shown_rows_and_other_visits_are_not_tested():
    samples = visits(patients(8), {"D0": 0, "D8": 8, "D28": 28})
    waist = treg_trial(CHANGE[:8], samples)
    ratio = [
        row(s, "Treg", "ratio", 0.05 if s["visit"] == "D0" else 0.1, 500, marker="Tconv") for _, s in samples.iterrows()
    ]
    result = treg(pd.concat([waist, table(ratio)]), samples, settings(), "D0")
    shown = result.effects[result.effects["role"] == "descriptive"].set_index("contrast")
    assert shown["population"].tolist() == ["Treg", "Treg", "NK CD56bright", "Eosinophils"]
    assert shown["p_value"].isna().all()
    assert shown["verdict"].tolist() == ["", "", "not evaluable", "not evaluable"]
    shown = shown[shown["population"] == "Treg"]
    assert shown.loc["D8 vs D0", "estimate"] == pytest.approx(math.log(2))
    assert shown.loc["D28 vs D0", "measure"] == "percent_of_parent"
    assert any("'NK CD56bright' is not in the profiles" in note for note in result.summary["notes"])


def test_several_samples_of_a_visit_are_an_error_and_stimulated_ones_are_left_out():
    samples = visits(patients(7), DAYS)
    double = pd.concat([samples, samples.iloc[[1]].assign(sample="again")], ignore_index=True)
    waist = treg_trial(CHANGE[:7], double)
    with pytest.raises(TresetError, match=r"patient 'P01' has 2 samples at visit 'D8' \(P01_D8, again\)"):
        treg(waist, double, settings(), "D0")
    double.loc[double["sample"] == "again", "stimulus"] = "IL-2"
    waist.loc[waist["sample"] == "again", "stimulus"] = "IL-2"
    result = treg(waist, double, settings(), "D0")
    assert primary(result)["n"] == 7
    assert any("stimulated" in note and "again" in note for note in result.summary["notes"])


def test_tables_that_do_not_fit_are_errors():
    samples = visits(patients(7), DAYS)
    waist = treg_trial(CHANGE[:7], samples)
    with pytest.raises(TresetError, match="'P01_D0' is not in the sample sheet"):
        treg(waist, samples.iloc[1:], settings(), "D0")
    with pytest.raises(TresetError, match="column patient: 'P01' for sample 'P01_D0', but the sample sheet says 'P99'"):
        treg(waist, samples.replace({"patient": {"P01": "P99"}}), settings(), "D0")
    with pytest.raises(Faults, match="row 1, column value"):
        treg(waist.assign(value="x"), samples, settings(), "D0")
    with pytest.raises(TresetError, match="e, f are all primary"):
        run(CHANGE, *(Endpoint(n, "primary", "Treg", "count", "D8") for n in "ef"))


def test_shared_controls_are_no_patients():
    samples = pd.concat(
        [visits(patients(7), DAYS), sheet([{"sample": "c", "patient": "HC", "visit": "D0", "anchor": True}])]
    )
    result = treg(treg_trial(np.r_[CHANGE[:7], 0], samples), samples, settings(), "D0")
    assert "HC" not in set(result.patients["patient"]) and primary(result)["n"] == 7


def test_files_are_whole_and_the_same(tmp_path):
    result = run(CHANGE, PRIMARY, Endpoint("x", "secondary", "nothing", "count", "D8"))
    write(result, tmp_path / "a")
    write(run(CHANGE, PRIMARY, Endpoint("x", "secondary", "nothing", "count", "D8")), tmp_path / "b")
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert names == ["effects.tsv", "patients.tsv", "summary.json"]
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in names)
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    assert set(summary) == {"monitor", "title", "verdict", "reason", "headline", "primary", "settings", "notes"}
    assert summary["primary"]["endpoint"] == "expansion" and summary["primary"]["q_value"] is None
    again = pd.read_csv(tmp_path / "a" / "effects.tsv", sep="\t")
    assert again["estimate"].iloc[0] == primary(result)["estimate"]


def test_run_monitor_names_what_there_is():
    samples = visits(patients(10), DAYS)
    waist = treg_trial(CHANGE, samples)
    assert run_monitor("treg", waist, samples, Monitors(treg=settings()), "D0").summary["verdict"] == "met"
    with pytest.raises(TresetError, match="did you mean 'treg'"):
        run_monitor("tregs", waist, samples, Monitors(), "D0")
    with pytest.raises(TresetError, match=r"add monitors\.bcell"):
        run_monitor("bcell", waist, samples, Monitors(), "D0")


def test_null_trials_are_rejected_no_more_than_alpha_and_a_shift_is_estimated_without_bias():
    rng = np.random.default_rng(20)
    samples = visits(patients(12), DAYS)
    cohort = prepare(treg_trial(np.zeros(12), samples), samples, resting=True)
    waist = cohort.profiles[cohort.profiles["population"] == "Treg"].assign(value=lambda t: t["value"] / 10)
    later = (waist["visit"] == "D8").to_numpy()
    either = Endpoint("e", "primary", "Treg", "percent_of_parent", "D8", direction="either")

    def judged(factor: np.ndarray) -> tuple[dict, str]:
        values = waist["value"].to_numpy(copy=True)
        values[later] *= np.repeat(factor, later.sum() // 12)
        trial = dataclasses.replace(cohort, profiles=waist.assign(value=values))
        found = paired(changes(trial, either, "gate", "D0", 50), either, "D8 vs D0", 0.05)
        return found, decide(found, either, 0.05, corrected=False)[0]

    repeats, rejected, estimates, covered = 250, 0, [], 0
    for _ in range(repeats):
        noise = rng.normal(0, 0.3, 12) * rng.choice([1, 3], 12)  # heavy tails
        rejected += judged(np.exp(noise))[1] == "met"
        shifted, _ = judged(np.exp(noise + 0.5))
        estimates.append(shifted["estimate"])
        covered += shifted["lower"] <= 0.5 <= shifted["upper"]
    # 12 pairs: the level of the test and the confidence of the interval that are attained
    level = 1 - wilcoxon_signed_rank(np.arange(1.0, 13)).confidence
    assert scipy_stats.binomtest(rejected, repeats, level).pvalue > 0.001
    assert scipy_stats.binomtest(covered, repeats, 1 - level).pvalue > 0.001
    assert np.mean(estimates) == pytest.approx(0.5, abs=4 * np.std(estimates) / math.sqrt(repeats))


def test_adjusted_shares_stand_beside_the_gates_and_medians_are_those_by_cluster():
    """The adjusted reading holds sizes only; set to it, a monitor finds medians where they are."""
    samples = visits(patients(10), DAYS)
    parts = [treg_trial(CHANGE, samples, origin=origin) for origin in ("gate", "cluster", "adjusted")]
    medians = [
        row(sample, "Treg", "median", 1.0 + 0.1 * i, 500, origin="cluster", marker="CD25", parent="CD4 T")
        for i, (_, sample) in enumerate(samples.iterrows())
    ]
    waist = pd.concat([*parts, table(medians)], ignore_index=True)
    found = treg(waist, samples, settings(), "D0").effects
    assert found.loc[(found["role"] == "supporting"), "origin"].tolist() == ["adjusted"]
    activation = Endpoint("activation", "secondary", "Treg", "median", "D8", marker="CD25", scale="difference")
    found = treg(waist, samples, settings(PRIMARY, activation, origin="adjusted"), "D0").effects
    main = found[found["role"].isin(["primary", "secondary"])].set_index("endpoint")
    assert main.loc["expansion", "verdict"] == "met" and main.loc["expansion", "origin"] == "adjusted"
    assert main.loc["activation", "n"] == 10 and main.loc["activation", "estimate"] == pytest.approx(0.1)
