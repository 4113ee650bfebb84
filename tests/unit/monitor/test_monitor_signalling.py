"""Signalling: selectivity against the truth, censored values as such, and reasons where there is no number."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from signalling_tables import DOSES, EC50, dose_trial

from treset.monitor import signalling
from treset.monitor.common import EFFECT_COLUMNS
from treset.study.model import SignallingMonitor

SETTINGS = SignallingMonitor(bootstrap=299)


def selectivity(result, population):
    found = result.effects
    return found[(found["endpoint"] == "selectivity") & (found["population"] == population)].iloc[0]


def test_a_selective_drug_is_met_with_the_true_ratios():
    result = signalling(*dose_trial(patients=8), SETTINGS, "D0")
    assert tuple(result.effects.columns) == EFFECT_COLUMNS
    assert result.summary["verdict"] == "met"
    for name in ("Tconv", "CD8 T", "NK"):
        row = selectivity(result, name)
        assert row["role"] == "primary" and row["scale"] == "log10_ratio" and row["n"] == 8
        assert row["lower"] <= math.log10(EC50[name] / EC50["Treg"]) <= row["upper"]
    ec50 = result.effects[(result.effects["endpoint"] == "EC50") & (result.effects["contrast"] == "IL-2")]
    assert ec50.set_index("population").loc["Treg", "estimate"] == pytest.approx(0.01, rel=0.35)
    assert result.summary["primary"]["population"] == "Tconv"
    assert len(result.patients) == 8 * 4 and (result.patients["call"] == "fitted").all()


def test_an_unselective_drug_is_not_met():
    result = signalling(*dose_trial(ec50={"Treg": 0.05, "Tconv": 0.1, "CD8 T": 0.6, "NK": 1.5}), SETTINGS, "D0")
    assert result.summary["verdict"] == "not met" and selectivity(result, "Tconv")["verdict"] == "not met"
    assert "asked for: a lower limit of at least x10 for each" in result.summary["reason"]
    assert re.search(r"Tconv x[\d.]+ \(95 % CI [\d.]+ to [\d.]+, n = 6\)", result.summary["reason"])


def test_doses_without_a_value_are_said_together():
    profiles, samples = dose_trial()
    few = (profiles["patient"] == "P2") & (profiles["population"] == "NK") & (profiles["dose"] < 0.05)
    profiles.loc[few, "n_cells"] = [12, 14, 13, 19]
    result = signalling(profiles, samples, SETTINGS, "D0")
    why = result.patients.set_index(["patient", "population"]).loc[("P2", "NK"), "why"]
    assert "the unstimulated control has no value" in why
    assert "no value at dose 0, 0.001, 0.01, 0.03: 12 to 19 cells of NK, 20 needed" in why
    # the other five are fitted, and the sentence says how many are not
    assert "n = 5; 1 of 6 patients without: not evaluable (1)" in result.summary["reason"]


def test_beyond_the_doses_is_a_bound():
    result = signalling(*dose_trial(ec50={**EC50, "NK": 40.0}, noise=0.01), SETTINGS, "D0")
    nk = result.patients[result.patients["population"] == "NK"]
    assert (nk["call"] == "censored").all() and nk["ec50"].isna().all() and nk["ec50_text"].str.startswith("> ").all()
    # one dose that answers, the highest, does not show that the EC50 lies beyond it: the bound is the lower limit, true
    # in 97 to 100 % of simulated curves (test_stats_dose_response: "> 10" was claimed of a third whose EC50 is 5)
    assert (nk["bound"] <= 10).all() and (nk["bound"] == nk["lower"]).all()
    assert (nk["selectivity_side"] == ">").all()
    row = selectivity(result, "NK")
    assert math.isnan(row["estimate"]) and row["upper"] == math.inf and row["lower"] > 1 and row["verdict"] == "met"
    assert "bounds only" in row["note"]
    own = result.effects[(result.effects["endpoint"] == "EC50") & (result.effects["population"] == "NK")].iloc[0]
    assert math.isnan(own["estimate"]) and own["lower"] <= 40 and "bounds: > " in own["note"]


def test_silence_is_not_selectivity():
    result = signalling(*dose_trial(ec50={**EC50, "NK": 0.0}), SETTINGS, "D0")
    assert result.summary["verdict"] == "not evaluable" and "NK" in result.summary["reason"]
    row = selectivity(result, "NK")
    assert row["verdict"] == "not evaluable" and "no response (6)" in row["note"]
    assert selectivity(result, "Tconv")["verdict"] == "met"


def test_a_bound_below_another_bound_tells_nothing():
    result = signalling(*dose_trial(ec50={**EC50, "Treg": 100.0, "NK": 300.0}, noise=0.01), SETTINGS, "D0")
    assert selectivity(result, "NK")["verdict"] == "not evaluable"
    # Treg above the doses, Tconv within: the ratio is known to be small
    assert selectivity(result, "Tconv")["verdict"] == "not met"
    assert result.summary["verdict"] == "not met"


def test_diseases_differ_by_the_true_factor():
    settings = SignallingMonitor(bootstrap=299, reference_disease="healthy")
    result = signalling(*dose_trial(patients=20, fold=3.0, seed=2), settings, "D0")
    row = result.effects[result.effects["endpoint"] == "disease"].iloc[0]
    assert row["lower"] <= math.log10(3) <= row["upper"] and row["p_value"] < 0.001
    assert row["contrast"] == "IL-2: lupus vs healthy"


def test_several_stimuli_need_a_name():
    profiles, samples = dose_trial(stimuli=("IL-2", "mutein"), patients=4)
    result = signalling(profiles, samples, SETTINGS, "D0")
    assert result.summary["verdict"] == "not evaluable" and "several stimuli (IL-2, mutein)" in result.summary["reason"]
    named = signalling(profiles, samples, SignallingMonitor(bootstrap=299, stimulus="mutein"), "D0")
    assert named.summary["verdict"] == "met"
    assert set(named.effects.loc[named.effects["role"] == "primary", "contrast"]) == {
        f"mutein: {name} vs Treg" for name in ("Tconv", "CD8 T", "NK")
    }
    shared = signalling(
        profiles, samples, SignallingMonitor(bootstrap=299, stimulus="mutein", shared_asymptotes=True), "D0"
    )
    own = shared.patients[(shared.patients["patient"] == "P0") & (shared.patients["population"] == "Treg")]
    assert own["top"].nunique() == 1 and own["ec50"].nunique() == 2


def test_the_unstimulated_control_may_have_no_stimulus():
    profiles, samples = dose_trial()
    control = samples["dose"] == 0
    samples.loc[control, ["stimulus"]] = ""
    samples.loc[control, ["dose"]] = np.nan
    names = set(samples.loc[control, "sample"])
    profiles.loc[profiles["sample"].isin(names), "stimulus"] = ""
    profiles.loc[profiles["sample"].isin(names), "dose"] = np.nan
    blank = signalling(profiles, samples, SETTINGS, "D0")
    whole = signalling(*dose_trial(), SETTINGS, "D0")
    assert blank.effects.equals(whole.effects)
    without = signalling(*dose_trial(doses=DOSES[1:]), SETTINGS, "D0")
    assert any("no unstimulated control" in note for note in without.summary["notes"])
    assert without.summary["verdict"] == "met"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (SignallingMonitor(marker="pStat9"), "no"),
        (SignallingMonitor(stimulus="IL2"), "did you mean 'IL-2'?"),
        (SignallingMonitor(visit="D1"), "no dose series at visit 'D1'"),
        (SignallingMonitor(min_events=1000), "needed"),
        (SignallingMonitor(min_doses=9), "7 doses with a response, 9 needed"),
    ],
)
def test_what_is_lacking_is_said(settings, reason):
    result = signalling(*dose_trial(patients=3), settings, "D0")
    assert result.summary["verdict"] == "not evaluable"
    told = result.summary["reason"] + " ".join(result.summary["notes"])
    assert reason in told
    assert set(result.patients["patient"]) == {"P0", "P1", "P2"}
    assert (result.patients["call"] == "not evaluable").all()


def test_samples_without_doses_are_not_evaluable():
    profiles, samples = dose_trial(patients=3)
    result = signalling(profiles.assign(dose=np.nan), samples.assign(dose=np.nan), SETTINGS, "D0")
    assert "no sample has a dose above 0" in result.summary["reason"] and result.effects.empty
    assert any("a stimulus without its dose" in note for note in result.summary["notes"])


def test_the_same_twice():
    first, second = (signalling(*dose_trial(patients=2), SETTINGS, "D0") for _ in range(2))
    assert first.patients.equals(second.patients) and first.summary == second.summary


def test_a_ratio_that_lacks_its_other_half_says_so():
    profiles, samples = dose_trial()
    few = (profiles["patient"] == "P2") & (profiles["population"] == "Treg") & (profiles["dose"] < 0.05)
    profiles.loc[few, "n_cells"] = 12
    said = signalling(profiles, samples, SETTINGS, "D0").summary["reason"]
    assert "1 of 6 patients without: no EC50 of the reference (1)" in said
