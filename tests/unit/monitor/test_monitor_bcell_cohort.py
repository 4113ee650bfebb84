"""Aplasia, recovery over the cohort, isotypes: by hand and against the simulated truth."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from monitor_tables import row, sheet, table

from treset import simulate
from treset.monitor import bcell
from treset.profile import ISOTYPES
from treset.study.model import BcellMonitor


def planned(**parameters):
    """The waist of a simulated CAR-T trial with its real composition, without drawing cells."""
    trial = simulate.plan("cart_lupus", **parameters)
    samples = sheet([{**r, "dose": np.nan} for r in trial.sheet.drop(columns="file").to_dict("records")])
    truth = simulate.realised_composition(trial)
    truth = truth[truth["population"].isin(["B", "B naive", "B transitional"])]
    by_sample = samples.set_index("sample", drop=False)
    rows = []
    for r in truth.to_dict("records"):
        s, count, name = by_sample.loc[r["sample"]], int(r["true_count"]), r["population"]
        total = round(100 * count / r["true_percent_of_total"]) if count else trial.events
        rows.append(row(s, name, "count", float(count), count, parent=r["parent"]))
        rows.append(row(s, name, "percent_of_total", 100 * count / total, total, parent=r["parent"]))
    return table(rows), samples, trial


def effect_of(result, endpoint: str, contrast: str | None = None) -> pd.Series:
    rows = result.effects[result.effects["endpoint"] == endpoint]
    return (rows if contrast is None else rows[rows["contrast"] == contrast]).iloc[0]


def test_recovery_of_the_lupus_trial_covers_the_truth():
    """Recovery on day 110 +/- 32, 5 patients as published: the interval holds the patients' true median."""
    covered = 0
    for seed in range(1, 11):
        profiles, samples, trial = planned(seed=seed, events=20_000)
        result = bcell(profiles, samples, BcellMonitor(), "baseline")
        found = effect_of(result, "recovery")
        assert found["scale"] == "days" and found["n"] == 5 and found["converged"]
        truth = float(trial.patients["recovery_day"].median())
        covered += found["lower"] <= truth <= found["upper"] and found["lower"] <= 110 <= found["upper"]
        assert effect_of(result, "aplasia")["estimate"] == 100
    # 93.75 % for 5 patients at most; under 7 of 10 has p < 0.003
    assert covered >= 7


def test_depth_and_duration_by_hand():
    days = {"base": -7, "D14": 14, "D30": 30, "D60": 60, "D90": 90, "D120": 120}
    counts = {"P1": [1600, 2, 0, 5, 400, 900], "P2": [1600, 3, 1, 4, 6, 5], "P3": [1600, 2, 2, 500, 600, 700]}
    samples = sheet(
        [{"sample": f"{p}_{v}", "patient": p, "visit": v, "day": float(d)} for p in counts for v, d in days.items()]
    )
    rows = []
    for _, s in samples.iterrows():
        b = counts[s["patient"]][list(days).index(s["visit"])]
        for name, parent, n in (("B", "cells", b), ("B naive", "B", round(0.9 * b))):
            rows.append(row(s, name, "count", float(n), n, parent=parent))
            rows.append(row(s, name, "percent_of_total", n / 200, 20_000, parent=parent))
    result = bcell(table(rows), samples, BcellMonitor(), "base")
    first, second, third = (result.patients.iloc[i] for i in range(3))
    # 0 of 20,000: upper Poisson limit 3.689 cells
    assert first["depth_percent"] == 0 and first["depth_upper_percent"] == pytest.approx(3.689 / 200, rel=1e-3)
    # in aplasia from between -7 and 14 until between 60 and 90
    assert (first["duration_at_least"], first["duration_at_most"]) == (46, 97)
    assert (second["duration_at_least"], second["duration_at_most"], second["recovery_censored_day"]) == (
        106, math.inf, 120,
    )  # fmt: skip
    assert (third["duration_at_least"], third["duration_at_most"]) == (16, 67)
    recovery = effect_of(result, "recovery")
    # (30, 60], (60, 90] and later than 120: the median lies in (60, 90]
    assert recovery["estimate"] == 75 and "between day 60 and day 90" in recovery["note"]
    assert "2 of 3 seen" in recovery["note"] and recovery["upper"] == math.inf
    assert effect_of(result, "aplasia depth")["estimate"] == pytest.approx(0.005)


def test_no_aplasia_leaves_no_recovery():
    samples = sheet([{"sample": f"P_{d}", "patient": "P", "visit": f"D{d}", "day": float(d)} for d in (0, 14, 30)])
    rows = []
    for _, s in samples.iterrows():
        for name, parent, n in (("B", "cells", 1000), ("B naive", "B", 500)):
            rows.append(row(s, name, "count", float(n), n, parent=parent))
            rows.append(row(s, name, "percent_of_total", n / 200, 20_000, parent=parent))
    result = bcell(table(rows), samples, BcellMonitor(), "D0")
    assert effect_of(result, "recovery")["verdict"] == "not evaluable"
    assert effect_of(result, "aplasia")["estimate"] == 0


def test_isotypes_turn_back_at_recovery():
    days = {"base": -7, "D14": 14, "D60": 60, "D90": 90}
    counts = [800, 0, 300, 400]
    samples = sheet(
        [{"sample": f"P{i}_{v}", "patient": f"P{i}", "visit": v, "day": float(d)} for i in range(6)
         for v, d in days.items()]
    )  # fmt: skip
    rows = []
    for _, s in samples.iterrows():
        b = counts[list(days).index(s["visit"])]
        late = s["visit"] in ("D60", "D90")
        for name, parent, n in (("B", "cells", b), ("B naive", "B", round(0.9 * b))):
            rows.append(row(s, name, "count", float(n), n, parent=parent))
            rows.append(row(s, name, "percent_of_total", n / 100, 10_000, parent=parent))
        if b:
            for gene, value in (("IGHM", 3.0 if late else 2.0), ("IGHD", 2.0 if late else 1.0), ("IGHG1", 0.5),
                                ("IGHA1", 0.1 if late else 1.5)):  # fmt: skip
                rows.append(row(s, "B", "mean", value, b, parent="cells", marker=gene))
            # 80 of 100 cells have an isotype: 60 + 20 at recovery, 32 + 48 before
            for name, percent in zip(ISOTYPES, (60.0, 20.0) if late else (32.0, 48.0), strict=True):
                rows.append(row(s, "B", "percent_positive", percent, b, parent="cells", marker=name))
    result = bcell(table(rows), samples, BcellMonitor(), "base")
    change = effect_of(result, "isotype index", "recovery vs baseline")
    # by hand: 2.5 - 0.3 at recovery, 1.5 - 1.0 before
    assert (change["n"], change["estimate"]) == (6, pytest.approx(1.7))
    share = effect_of(result, "isotype share", "recovery vs baseline")
    assert (share["n"], share["scale"], share["estimate"]) == (6, "difference", pytest.approx(75.0 - 40.0))
    assert effect_of(result, "isotype share", "baseline")["estimate"] == pytest.approx(40.0)
    # 240 of 300 cells have an isotype: fewer than asked for
    few = effect_of(bcell(table(rows), samples, BcellMonitor(min_b_events=250), "base"), "isotype share", "recovery")
    assert (few["n"], few["verdict"]) == (0, "not evaluable")
    genes = [r for r in rows if r["measure"] != "percent_positive"]
    said = effect_of(bcell(table(genes), samples, BcellMonitor(), "base"), "isotype share")
    assert said["verdict"] == "not evaluable" and "percent_positive" in said["note"]
    # cytometry: nothing is asked, nothing is said
    without = bcell(table([r for r in genes if r["measure"] != "mean"]), samples, BcellMonitor(), "base")
    assert not without.effects["endpoint"].str.startswith("isotype").any()


def test_composition_at_recovery_by_hand():
    """Six patients of 10,000 cells: 800 B before, 300 at recovery; DN2 8 % to 2 %, plasmablasts not measured."""
    days = {"base": -7, "D14": 14, "D60": 60, "D90": 90}
    b_cells = dict(zip(days, (800, 0, 300, 400), strict=True))
    parts = {"B naive": (0.5, 0.9), "B unswitched memory": (0.2, 0.04), "B switched memory": (0.22, 0.04),
             "B DN2": (0.08, 0.02)}  # fmt: skip
    samples = sheet(
        [{"sample": f"P{i}_{v}", "patient": f"P{i}", "visit": v, "day": float(d)} for i in range(6)
         for v, d in days.items()]
    )  # fmt: skip
    rows = []
    for _, s in samples.iterrows():
        b, late = b_cells[s["visit"]], s["visit"] in ("D60", "D90")
        for name, parent, n in (("B", "cells", b), *((k, "B", round(v[late] * b)) for k, v in parts.items())):
            rows.append(row(s, name, "count", float(n), n, parent=parent))
            rows.append(row(s, name, "percent_of_total", n / 100, 10_000, parent=parent))
    result = bcell(table(rows), samples, BcellMonitor(), "base")
    found = result.effects[result.effects["endpoint"].str.endswith(" at recovery")]
    found = found.set_index(["population", "contrast"])
    for name, (before, after) in parts.items():
        change = found.loc[(name, "recovery vs baseline")]
        assert (change["n"], change["estimate"]) == (6, pytest.approx(100 * (after - before), abs=0.2))
        assert found.loc[(name, "recovery"), "estimate"] == pytest.approx(100 * after, abs=0.2)
        assert found.loc[(name, "baseline"), "scale"] == "percent" and "not tested" in change["note"]
    absent = found.loc[("Plasmablast", "recovery vs baseline")]
    assert absent["verdict"] == "not evaluable" and "not in the profiles" in absent["note"]
    # all six recover between day 14 and day 60
    assert result.summary["recovery_curve"] == [{"left": 14.0, "right": 60.0, "share": 1.0}]
