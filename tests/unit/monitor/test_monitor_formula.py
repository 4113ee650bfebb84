"""Endpoints and discovery by a formula: its model, covariates from the sheet, and reasons where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from monitor_tables import row, sheet, table
from test_monitor_trials import PRIMARY, rows_of, two_arms

from treset.monitor import discovery, treg
from treset.stats import ancova
from treset.study.model import DiscoveryMonitor, TregMonitor


def test_arm_and_baseline_is_ancova():
    samples, waist = two_arms()
    result = treg(waist, samples, TregMonitor((replace(PRIMARY, formula="~ arm + baseline"),)), "D0")
    found, patients = rows_of(result, "primary").iloc[0], result.patients
    expected = ancova(patients["change"], np.log(patients["baseline_value"]), (patients["arm"] == "IL-2").to_numpy())
    assert found["method"] == "linear model, change ~ arm + baseline" and found["verdict"] == "met"
    for name in ("estimate", "lower", "upper", "p_value"):
        assert found[name] == pytest.approx(getattr(expected, name))
    support = rows_of(result, "supporting")
    assert support["method"].str.contains("Mann-Whitney").any()


def test_a_covariate_of_the_sheet_takes_its_share():
    samples, waist = two_arms()
    patients = list(dict.fromkeys(samples["patient"]))
    age = {p: str(30 + (7 * i) % 40) for i, p in enumerate(patients)}
    samples["age"] = samples["patient"].map(age)
    asked = TregMonitor((replace(PRIMARY, formula="~ arm + age"),))
    found = treg(waist, samples, asked, "D0")
    changes = found.patients.set_index("patient")
    x = np.column_stack([np.ones(16), changes["arm"] == "IL-2", [float(age[p]) for p in changes.index]]).astype(float)
    beta = np.linalg.lstsq(x, changes["change"].to_numpy(float), rcond=None)[0]
    assert rows_of(found, "primary").iloc[0]["estimate"] == pytest.approx(beta[1])
    samples.loc[samples["patient"] == patients[0], "age"] = ""
    short = rows_of(treg(waist, samples, asked, "D0"), "primary").iloc[0]
    assert short["n"] == 15 and f"left out: {patients[0]}" in short["note"]


@pytest.mark.parametrize(
    ("formula", "reason"),
    [
        ("~ arm + agee", "names 'agee' (did you mean 'age'?)"),
        ("~ age", "lacks 'arm'"),
        ("~ arm + exec('1')", "which is no column"),
        ("~ arm + patient", "18 coefficients"),
    ],
)
def test_a_formula_that_cannot_be_used_is_not_evaluable(formula: str, reason: str):
    samples, waist = two_arms()
    samples["age"] = "40"
    result = treg(waist, samples, TregMonitor((replace(PRIMARY, formula=formula),)), "D0")
    if "patient" in formula:
        reason = "coefficients for 16 rows"
    assert result.summary["verdict"] == "not evaluable" and reason in result.summary["reason"]


def test_one_arm_has_no_groups_to_compare():
    samples, waist = two_arms()
    result = treg(waist.assign(arm=""), samples.assign(arm=""), TregMonitor((replace(PRIMARY, formula="~ arm"),)), "D0")
    assert "compares two groups, and there is one" in result.summary["reason"]


POPULATIONS = tuple(f"C{i:02d}" for i in range(8))


def series(patients: int = 8, fold: float = 2.0, spread: float = 0.1):
    """Two visits of each patient; the first population's share rises by ``fold`` (log2), a batch moves every median."""
    rng = np.random.default_rng(2)
    samples = sheet(
        [{"sample": f"P{i}_{v}", "patient": f"P{i}", "visit": v, "day": float(8 * j), "batch": f"b{(i + j) % 2}"}
         for i in range(patients) for j, v in enumerate(("V0", "V1"))]
    )  # fmt: skip
    rows, own = [], {p: rng.normal(0, 0.4, len(POPULATIONS)) for p in samples["patient"].unique()}
    for _, s in samples.iterrows():
        for k, name in enumerate(POPULATIONS):
            lift = fold if s["visit"] == "V1" and k == 0 else 0.0
            n = int(rng.poisson(200 * 2 ** (own[s["patient"]][k] + lift + rng.normal(0, spread))))
            rows.append(row(s, name, "percent_of_total", n / 200, 20_000, parent="cells"))
            level = 1.0 + 0.5 * (s["batch"] == "b1") + rng.normal(0, spread)
            rows.append(row(s, name, "median", level, n, parent="cells", marker="p1"))
    return table(rows), samples


def test_patient_in_the_formula_is_the_paired_test():
    profiles, samples = series()
    asked = DiscoveryMonitor("visit", "V0", "V1", origins=("gate",))
    paired = discovery(profiles, samples, asked).effects
    blocks = discovery(profiles, samples, replace(asked, pair=None, formula="~ patient + visit")).effects
    keys = ["population", "marker", "endpoint"]
    both = paired.merge(blocks, on=keys, suffixes=("", "_blocks"))
    share = both[both["endpoint"] == "abundance"]
    assert len(share) == 8 and share["p_value"].to_numpy() == pytest.approx(share["p_value_blocks"].to_numpy())
    assert share["estimate"].to_numpy() == pytest.approx(share["estimate_blocks"].to_numpy())
    assert blocks["method"].str.startswith("linear model, moderated t").all()
    assert blocks["method"].str.endswith("~ patient + visit").all()


def test_a_batch_in_the_formula_is_taken_out():
    profiles, samples = series()
    asked = DiscoveryMonitor("visit", "V0", "V1", origins=("gate",), pair=None)
    refused = discovery(profiles, samples, replace(asked, formula="~ visit"))
    assert "add patient to the formula" in refused.summary["reason"]
    widths = []
    for formula in ("~ patient + visit", "~ patient + visit + batch"):
        found = discovery(profiles, samples, replace(asked, formula=formula)).effects
        state = found[found["endpoint"] == "state"]
        widths.append((state["upper"] - state["lower"]).mean())
    # half of the patients go from one batch to the other, half the other way: 0.5 up or down without it
    assert widths[0] > 3 * widths[1]
    alone = discovery(profiles, samples.assign(batch=samples["visit"]), replace(asked, formula=formula))
    assert alone.summary["verdict"] == "not evaluable" and "cannot be told apart" in alone.summary["reason"]


@pytest.mark.parametrize("formula", ["", "~ patient + visit"])
def test_counts_by_the_negative_binomial(formula: str):
    pytest.importorskip("pyedger", reason="pyedger is not installed (pip install treset[edger])")
    profiles, samples = series()
    settings = DiscoveryMonitor(
        "visit", "V0", "V1", origins=("gate",), abundance="negative_binomial", pair=None if formula else "patient",
        formula=formula,
    )  # fmt: skip
    found = discovery(profiles, samples, settings).effects
    share = found[found["endpoint"] == "abundance"]
    assert share["method"].str.startswith("negative binomial, quasi-likelihood F").all() and share["converged"].all()
    called = share[share["verdict"] == "called"]
    assert called["population"].tolist() == ["C00"]
    assert called.iloc[0]["estimate"] == pytest.approx(2.0, abs=0.3) and "common dispersion" in called.iloc[0]["note"]
    few = profiles[profiles["population"].isin(POPULATIONS[:2])]
    short = discovery(few, samples, settings).effects
    short = short[short["endpoint"] == "abundance"]
    assert (short["verdict"] == "not evaluable").all() and "3 are needed to moderate" in short.iloc[0]["note"]
