"""Power: rises with patients and effect, keeps the rate without one, and the same seed gives the same table."""

from __future__ import annotations

import pytest

from treset import profile, simulate
from treset.cli.power import power_table, sentences
from treset.errors import TresetError
from treset.monitor.power import COLUMNS, design_monitors, power, tables
from treset.study.model import Monitors


def test_the_profiles_of_a_plan_are_a_waist():
    trial = simulate.plan("il2_open_label", patients=3, events=2000)
    monitors, baseline = design_monitors("il2_open_label")
    profiles, samples = tables(trial, monitors)
    assert baseline == "D0" and len(profile.validate(profiles, "profiles")) == len(profiles)
    of = profiles[(profiles["population"] == "Treg") & (profiles["measure"] == "percent_of_parent")]
    count = profiles[(profiles["measure"] == "count")].set_index(["sample", "population"])["value"]
    first = of.iloc[0]
    assert first["parent"] == "CD4 T" and first["n_cells"] == count[first["sample"], "CD4 T"]
    assert first["value"] == pytest.approx(100 * count[first["sample"], "Treg"] / first["n_cells"])
    assert set(profiles.loc[profiles["measure"] == "median", "marker"]) == {"CD25", "FOXP3"}
    assert len(samples) == 9


def test_power_rises_with_patients_and_effect():
    known = {"repeats": 12, "cells": (3000,)}
    small = power("il2_open_label", [4, 12], effect={"treg_folds": (1.0, 1.3, 1.2)}, **known)
    assert tuple(small.columns) == COLUMNS
    # 4 pairs cannot reach p < 0.05 by the exact test: not evaluable, never met
    assert small["met"].tolist()[0] == 0 and small["not_evaluable"].tolist()[0] == 12
    assert small["power"].tolist()[1] >= 0.5
    # no effect: met (two-sided 0.05 and a rise) in 2.5 % of trials; 3 or more of 12 has p < 0.004
    none = power("il2_open_label", [12], effect={"treg_folds": (1.0, 1.0, 1.0)}, **known)
    assert none["met"].tolist()[0] < 3
    assert (none["met"] + none["not_met"] + none["not_evaluable"] == 12).all()


def test_the_other_designs_are_judged_by_their_own_monitor():
    cart = power("cart_lupus", [5], cells=(20_000,), repeats=3)
    assert cart["monitor"].tolist() == ["bcell"] and cart["power"].tolist() == [1.0]
    dose = power("pstat5_dose", [2], cells=(20_000,), repeats=1)
    assert dose["monitor"].tolist() == ["signalling"] and dose["patients_in_trial"].tolist() == [6]
    assert dose["met"].tolist() == [1]


def test_the_command(tmp_path):
    ask = ("il2_placebo", "6", "2000", ["treg_folds=[1.0, 2.0, 1.3]"], 3, 7, None, tmp_path / "power.tsv")
    first, second = power_table(*ask), power_table(*ask)
    assert first.equals(second) and (tmp_path / "power.tsv").read_text().startswith("design\tmonitor")
    assert sentences(first)[0].startswith("6 patients (12 in the trial), 2000 cells: met in")
    for wrong, said in (
        (("il2_placebo", "six", "2000", [], 3, 7, None, None), "--patients six: expected whole numbers"),
        (("il2_placebo", "6", "2000", ["seed=1"], 3, 7, None, None), "give it as --patients, --cells or --seed"),
        (("il2", "6", "2000", [], 3, 7, None, None), "no design 'il2'"),
    ):
        with pytest.raises(TresetError, match=said):
            power_table(*wrong)
    with pytest.raises(TresetError, match="power needs a verdict"):
        power("il2_placebo", [6], monitors=Monitors(), repeats=1)
