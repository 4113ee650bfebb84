"""Trial designs on profile tables with a known truth: windows, contrasts, claims, models, diseases, donors, noise."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from monitor_tables import counted, sheet, table, treg_trial, visits

from treset.errors import TresetError
from treset.monitor import EFFECT_COLUMNS, treg
from treset.stats import ancova, equivalence_paired, random_effects
from treset.study.model import Contrast, CrossSection, Endpoint, TregMonitor

PRIMARY = Endpoint("expansion", "primary", "Treg", "percent_of_parent", "D8")
CHANGE = np.log([1.2, 2.4, 1.7, 1.9, 0.9, 2.1, 1.5, 3.0, 1.6, 1.8])


def names(n: int) -> list[str]:
    return [f"P{i + 1:02d}" for i in range(n)]


def shares(samples: pd.DataFrame, percent: dict[str, float]) -> pd.DataFrame:
    """Treg percent of a million CD4 T cells by sample."""
    rows = []
    for _, sample in samples.iterrows():
        cells = round(10_000 * percent[sample["sample"]])
        rows += counted(
            sample, {"T": 2_000_000, "CD4 T": 1_000_000, "Treg": cells, "Tconv": 1_000_000 - cells}, total=4_000_000
        )
    return table(rows)


def rows_of(result, role: str) -> pd.DataFrame:
    assert tuple(result.effects.columns) == EFFECT_COLUMNS
    return result.effects[result.effects["role"] == role]


def two_arms(seed: int = 0, days: dict[str, float] | None = None, effect: float = 0.5, n: int = 8):
    """Samples and profiles; the effect grows with the visit, baselines differ between patients."""
    days = days or {"D0": 0, "D8": 8}
    rng = np.random.default_rng(seed)
    samples = visits(names(2 * n), days)
    samples["arm"] = np.where(samples["patient"] <= f"P{n:02d}", "IL-2", "placebo")
    base = dict(zip(names(2 * n), rng.normal(1.5, 0.3, 2 * n), strict=True))
    own = dict(zip(names(2 * n), rng.normal(0, 0.1, 2 * n), strict=True))
    percent = {}
    for _, s in samples.iterrows():
        lift = 0.0 if s["visit"] == "D0" else own[s["patient"]] + rng.normal(0, 0.05) + effect * (s["arm"] == "IL-2")
        percent[s["sample"]] = math.exp(base[s["patient"]] + lift)
    return samples, shares(samples, percent)


def test_a_window_takes_the_sample_nearest_its_middle():
    rows = []
    for patient, days in (("P1", {"V1": 4, "V2": 6}), ("P2", {"V1": 7, "V2": 9}), ("P3", {"V1": 30})):
        rows += [{"sample": f"{patient}_{v}", "patient": patient, "visit": v, "day": float(d)}
                 for v, d in ({"D0": 0} | days).items()]  # fmt: skip
    samples = sheet(rows)
    asked = replace(PRIMARY, visit="", window=(3.0, 7.0))
    waist = shares(samples, dict.fromkeys(samples["sample"], 5.0))
    result = treg(waist, samples, TregMonitor((asked,)), "D0")
    found = result.patients.set_index("patient")
    # day 4 and 6 are as near to 5: the earlier; P2 has day 7 only; P3 none
    assert found["sample_visit"].tolist() == ["P1_V1", "P2_V1", ""] and found["visit"].tolist() == ["V1", "V1", ""]
    assert "no sample in the days 3 to 7" in found.loc["P3", "why"]
    assert rows_of(result, "primary")["contrast"].tolist() == ["days 3 to 7 vs D0"]
    twice = samples.assign(day=samples["day"].replace({6.0: 4.0}))
    again = waist.assign(day=waist["day"].replace({6.0: 4.0}))
    with pytest.raises(TresetError, match="several samples on day 4"):
        treg(again, twice, TregMonitor((asked,)), "D0")
    far = replace(asked, window=(90.0, 100.0))
    assert "no sample in the days 90 to 100" in treg(waist, samples, TregMonitor((far,)), "D0").summary["reason"]


def test_a_contrast_of_a_covariate_and_labels_that_are_not_there():
    samples, waist = two_arms()
    samples["sex"] = np.where(samples["patient"].isin(names(16)[::2]), "f", "m")
    asked = replace(PRIMARY, contrast=Contrast("f", "m", "sex"))
    found = rows_of(treg(waist, samples, TregMonitor((asked,)), "D0"), "primary").iloc[0]
    assert found["contrast"] == "D8 vs D0, f vs m" and found["n"] == 16 and found["verdict"] == "not met"
    wrong = replace(PRIMARY, contrast=Contrast("IL2", "placebo"))
    reason = treg(waist, samples, TregMonitor((wrong,)), "D0").summary["reason"]
    assert "no patient's arm is 'IL2'; did you mean 'IL-2'?" in reason


def test_the_reference_arm_of_the_config_decides():
    samples, waist = two_arms()
    turned = treg(waist, samples, TregMonitor((PRIMARY,), reference_arm="IL-2"), "D0")
    found = rows_of(turned, "primary").iloc[0]
    assert found["contrast"] == "D8 vs D0, placebo vs IL-2" and found["estimate"] < 0
    lost = treg(waist, samples, TregMonitor((PRIMARY,), reference_arm="plcebo"), "D0")
    assert lost.summary["verdict"] == "not evaluable" and "did you mean 'placebo'" in lost.summary["reason"]


def test_alpha_events_and_families_are_each_endpoints_own():
    samples = visits(names(10), {"D0": 0, "D8": 8})
    waist = treg_trial(CHANGE, samples)
    strict = replace(PRIMARY, alpha=0.001)
    assert (
        "cannot be reached with fewer than 11" in treg(waist, samples, TregMonitor((strict,)), "D0").summary["reason"]
    )
    many = replace(PRIMARY, min_events=2_000_000)
    assert treg(waist, samples, TregMonitor((many,)), "D0").summary["verdict"] == "not evaluable"
    second = [
        Endpoint(f"s{i}", "secondary", p, "count", "D8", direction="either", family=family)
        for i, (p, family) in enumerate([("Treg", "a"), ("Tconv", "b"), ("Treg", "b")])
    ]
    found = rows_of(treg(waist, samples, TregMonitor((PRIMARY, *second)), "D0"), "secondary").set_index("endpoint")
    assert found.loc["s0", "q_value"] == pytest.approx(found.loc["s0", "p_value"])
    assert found.loc["s1", "q_value"] >= found.loc["s1", "p_value"]


@pytest.mark.parametrize(
    ("claim", "margin", "verdict"),
    [("equivalence", 0.2, "met"), ("equivalence", 0.05, "not met"), ("non_inferiority", 0.2, "met")],
)
def test_no_activation_is_a_claim_against_a_margin(claim, margin, verdict):
    samples = visits(names(10), {"D0": 0, "D8": 8})
    change = np.linspace(-0.1, 0.12, 10)
    asked = replace(PRIMARY, claim=claim, margin=margin)
    result = treg(treg_trial(change, samples), samples, TregMonitor((asked,)), "D0")
    found = rows_of(result, "primary").iloc[0]
    test = equivalence_paired(change, margin)
    assert found["verdict"] == verdict and "margin" in found["note"]
    assert found["p_value"] == pytest.approx(test.p_below if claim == "non_inferiority" else test.p_value)
    assert ("is shown against a margin" in result.summary["reason"]) == (verdict == "met")


def test_absence_of_evidence_is_no_evidence_of_absence():
    # four patients without any change: not significant, and no equivalence either
    samples = visits(names(4), {"D0": 0, "D8": 8})
    waist = treg_trial(np.array([0.01, -0.01, 0.02, -0.02]), samples)
    asked = replace(PRIMARY, claim="equivalence", margin=0.3)
    assert treg(waist, samples, TregMonitor((asked,)), "D0").summary["verdict"] == "not evaluable"
    bare = replace(PRIMARY, claim="equivalence")
    assert "without a margin" in treg(waist, samples, TregMonitor((bare,)), "D0").summary["reason"]


def test_ancova_is_shown_beside_and_does_not_decide():
    samples, waist = two_arms()
    result = treg(waist, samples, TregMonitor((PRIMARY,)), "D0")
    row = rows_of(result, "sensitivity").iloc[0]
    patients = result.patients
    theirs = ancova(patients["change"], np.log(patients["baseline_value"]), patients["arm"] == "IL-2")
    assert row["contrast"] == "D8 vs D0, IL-2 vs placebo" and row["verdict"] == "" and row["scale"] == "log_ratio"
    assert (row["estimate"], row["p_value"]) == pytest.approx((theirs.estimate, theirs.p_value))
    # on the log scale too where the endpoint is a percent change
    percent = treg(waist, samples, TregMonitor((replace(PRIMARY, scale="percent_change"),)), "D0")
    assert rows_of(percent, "sensitivity")["estimate"].iloc[0] == pytest.approx(theirs.estimate)


def test_maintenance_by_repeated_measures_and_time_average():
    days = {"D0": 0, "D8": 8, "D28": 28, "D56": 56}
    samples, waist = two_arms(days=days)
    result = treg(waist, samples, TregMonitor((PRIMARY,)), "D0")
    found = rows_of(result, "sensitivity").set_index("contrast")
    mean = found.loc["mean of D8, D28, D56 vs D0, IL-2 vs placebo"]
    assert mean["converged"] and mean["lower"] < 0.5 < mean["upper"] and "mixed model" in mean["method"]
    assert found.loc["D56 vs D0, IL-2 vs placebo", "n"] == 16
    auc = found.loc["time average to D56 vs D0, IL-2 vs placebo"]
    # the change rises over the first 8 of 56 days: 0.5 * (4 + 48) / 56
    assert auc["lower"] < 0.5 * 52 / 56 < auc["upper"] and auc["n"] == 16
    lost = samples[samples["sample"] != "P01_D56"]
    again = rows_of(treg(waist[waist["sample"] != "P01_D56"], lost, TregMonitor((PRIMARY,)), "D0"), "sensitivity")
    auc = again.set_index("contrast").loc["time average to D56 vs D0, IL-2 vs placebo"]
    assert auc["n"] == 15 and "left out: P01" in auc["note"]
    asked = TregMonitor((PRIMARY,), maintenance=("D28", "D56"))
    assert any(
        "mean of D28, D56 vs" in c for c in rows_of(treg(waist, samples, asked, "D0"), "sensitivity")["contrast"]
    )


def test_a_mixed_model_that_fails_is_said_and_its_fallback_named(monkeypatch):
    from treset.monitor import sensitivity
    from treset.stats import no_estimate

    def fails(change, visit, *_):
        return dict.fromkeys([*dict.fromkeys(visit), None], no_estimate(16, "mixed model", "did not converge"))

    monkeypatch.setattr(sensitivity, "repeated_measures", fails)
    samples, waist = two_arms(days={"D0": 0, "D8": 8, "D28": 28})
    found = rows_of(treg(waist, samples, TregMonitor((PRIMARY,)), "D0"), "sensitivity")
    failed = found[found["method"] == "mixed model"]
    assert not failed["converged"].any() and (failed["verdict"] == "not evaluable").all()
    fallback = found[found["method"].str.startswith("fallback")].iloc[0]
    assert fallback["converged"] and "stands in for the mixed model" in fallback["note"]
    assert fallback["lower"] < 0.5 < fallback["upper"]


def test_diseases_are_shown_and_pooled():
    samples = visits(names(10), {"D0": 0, "D8": 8})
    disease = dict(zip(names(10), ["RA"] * 4 + ["SLE"] * 3 + ["AIH"] * 2 + ["Crohn"], strict=True))
    samples["disease"] = samples["patient"].map(disease)
    result = treg(treg_trial(CHANGE, samples), samples, TregMonitor((PRIMARY,)), "D0")
    each = rows_of(result, "subgroup").set_index("contrast")
    groups = [CHANGE[:4], CHANGE[4:7], CHANGE[7:9], CHANGE[9:]]
    assert each["estimate"].tolist() == pytest.approx([g.mean() for g in groups], abs=1e-4)
    variance = sum(((g - g.mean()) ** 2).sum() for g in groups) / 6
    expected = random_effects([g.mean() for g in groups], [variance / g.size for g in groups])
    pooled = rows_of(result, "pooled")
    assert pooled["estimate"].iloc[0] == pytest.approx(expected.estimate, abs=1e-4)
    assert pooled["method"].str.contains("Hartung-Knapp").all() and pooled["n"].tolist() == [10, 10]
    assert "REML" in pooled["method"].iloc[0] and "DerSimonian-Laird" in pooled["method"].iloc[1]
    assert "I2 = " in pooled["note"].iloc[0] and "4 diseases" in pooled["note"].iloc[0]
    few = samples.assign(disease=samples["patient"])
    lone = rows_of(treg(treg_trial(CHANGE, few), few, TregMonitor((PRIMARY,)), "D0"), "pooled").iloc[0]
    assert lone["verdict"] == "not evaluable" and "0 degrees of freedom" in lone["note"]


def healthy_trial(donors: int = 10):
    rng = np.random.default_rng(4)
    samples = pd.concat(
        [
            visits(names(8), {"D0": 0, "D8": 8}, disease="SLE"),
            visits([f"H{i}" for i in range(donors)], {"D0": 0}, disease="healthy"),
        ],
        ignore_index=True,
    )
    percent = {}
    for _, s in samples.iterrows():
        level = 6.0 if s["disease"] == "healthy" else 2.0 if s["visit"] == "D0" else 6.0
        percent[s["sample"]] = level * math.exp(rng.normal(0, 0.15))
    return samples, shares(samples, percent)


def test_patients_against_healthy_donors_and_back_in_their_range():
    samples, waist = healthy_trial()
    settings = TregMonitor((PRIMARY,), cross_section=CrossSection())
    result = treg(waist, samples, settings, "D0")
    found = rows_of(result, "cross_section").set_index(["endpoint", "contrast"])
    level = found.loc[("baseline level", "patients vs healthy at D0")]
    assert level["lower"] < math.log(2 / 6) < level["upper"] and level["p_value"] < 0.001 and level["n"] == 18
    assert found.loc[("in the healthy range", "at D0"), "estimate"] == 0
    back = found.loc[("back in the healthy range", "D8 vs D0")]
    assert back["n"] == 8 and back["estimate"] >= 75 and "10 donors" in back["note"]
    # donors are no patients of the trial
    assert set(result.patients["patient"]) == set(names(8)) and rows_of(result, "primary")["n"].iloc[0] == 8
    assert (result.patients["range_baseline"] == "below").all()
    assert any(note.startswith("healthy donors") for note in result.summary["notes"])


def test_a_healthy_range_needs_donors():
    samples, waist = healthy_trial(donors=4)
    found = rows_of(treg(waist, samples, TregMonitor((PRIMARY,), cross_section=CrossSection()), "D0"), "cross_section")
    last = found.iloc[-1]
    assert last["verdict"] == "not evaluable" and "4 donors with a value, a healthy range needs 8" in last["note"]
    none = TregMonitor((PRIMARY,), cross_section=CrossSection(healthy="volunteer"))
    reason = rows_of(treg(waist, samples, none, "D0"), "cross_section")["note"].iloc[0]
    assert "no sample's disease is 'volunteer'" in reason


def test_responders_lie_beyond_the_noise_of_controls_and_replicates():
    samples = visits(names(7), {"D0": 0, "D8": 8})
    controls = visits(["ctrl"], {"B1": 0, "B2": 1, "B3": 2}).assign(anchor=True)
    copies = visits(["P01"], {"D0b": 0}).assign(sample="P01_D0_again", visit="D0", replicate_of="P01_D0")
    samples = pd.concat([samples, controls, copies], ignore_index=True)
    samples["replicate_of"] = samples["replicate_of"].fillna("")
    samples["anchor"] = samples["anchor"].astype(bool)
    folds = dict(zip(names(7), [1.6, 2.5, 1.3, 3.0, 1.1, 2.0, 4.0], strict=True))
    percent = {
        s["sample"]: 4.0 * (folds[s["patient"]] if s["visit"] == "D8" else 1) for _, s in samples[:14].iterrows()
    }
    percent |= {"ctrl_B1": 4.0, "ctrl_B2": 5.0, "ctrl_B3": 4.5, "P01_D0_again": 4.4}
    result = treg(shares(samples, percent), samples, TregMonitor((PRIMARY,), responder_fold=1.2), "D0")
    found = result.patients.set_index("patient")
    logs = [np.log([4.0, 5.0, 4.5]), np.log([4.0, 4.4])]
    sd = math.sqrt(sum(((x - x.mean()) ** 2).sum() for x in logs) / 3)
    band = 3.182446 * math.sqrt(2) * sd
    assert found["noise_band"].iloc[0] == pytest.approx(band, rel=1e-4)
    assert found["beyond_noise"].tolist() == ["yes" if math.log(f) > band else "no" for f in folds.values()]
    assert found.loc["P03", "call"] == "no" and "reaches x1.2; not beyond the assay's noise" in found.loc["P03", "why"]
    assert found.loc["P02", "call"] == "yes" and found.loc["P05", "call"] == "no"
    # a secondary endpoint is held against its own noise: the controls' CD25 repeats within 0.1, so +0.5 is a change
    cd25 = {name: 2.5 if name.endswith("D8") else 2.0 for name in percent} | {"ctrl_B2": 2.1, "ctrl_B3": 2.05}
    base = shares(samples, percent)
    base = base[(base["population"] == "Treg") & (base["measure"] == "percent_of_parent")]
    medians = base.assign(measure="median", marker="CD25", n_cells=4000, value=base["sample"].map(cd25))
    asked = Endpoint("cd25", "secondary", "Treg", "median", "D8", marker="CD25", scale="difference")
    both = pd.concat([shares(samples, percent), medians], ignore_index=True)
    again = treg(both, samples, TregMonitor((PRIMARY, asked), responder_fold=1.2), "D0")
    own = again.patients[again.patients["endpoint"] == "cd25"]
    logs = [np.array([2.0, 2.1, 2.05]), np.array([2.0, 2.0])]
    sd = math.sqrt(sum(((x - x.mean()) ** 2).sum() for x in logs) / 3)
    assert own["noise_band"].iloc[0] == pytest.approx(3.182446 * math.sqrt(2) * sd, rel=1e-4)
    assert (own["beyond_noise"] == "yes").all() and (own["call"] == "").all()
    beyond = again.effects[again.effects["endpoint"] == "beyond the assay's noise"].set_index("marker")
    assert beyond.loc["CD25", "estimate"] == 100 and "7 of 7 evaluable patients" in beyond.loc["CD25", "note"]
    assert (again.effects["endpoint"] == "responders").sum() == 1
    assert any(note.startswith("cd25: the assay's noise rests on 2 materials") for note in again.summary["notes"])
    assert any("P01_D0_again" in note and "technical replicate of P01_D0" in note for note in result.summary["notes"])
    wrong = samples.assign(replicate_of=samples["replicate_of"].replace("P01_D0", "P1_D0"))
    with pytest.raises(TresetError, match="column replicate_of: 'P1_D0' cannot be replicated"):
        treg(shares(samples, percent), wrong, TregMonitor((PRIMARY,)), "D0")


def test_the_sentence_of_two_arms_names_both_and_what_was_asked():
    samples, waist = two_arms(effect=0.05)
    ask = replace(PRIMARY, minimum_effect=math.log(1.5))
    said = treg(waist, samples, TregMonitor((ask,)), "D0").summary["reason"]
    assert "D8 vs D0, IL-2 vs placebo: ratio of fold changes x1." in said and "95 % CI" in said
    assert "n = 16 (IL-2 n = 8, placebo n = 8); asked for: an increase of at least x1.5; " in said
    assert said.endswith("does not reach the minimum effect x1.5.")


def test_the_same_trial_gives_the_same_bytes(tmp_path):
    from treset.monitor import write

    samples, waist = two_arms(days={"D0": 0, "D8": 8, "D28": 28})
    for name in ("a", "b"):
        write(treg(waist, samples, TregMonitor((PRIMARY,)), "D0"), tmp_path / name)
    for file in ("effects.tsv", "patients.tsv", "summary.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
