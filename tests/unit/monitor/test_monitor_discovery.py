"""Discovery: a planted change is found and nothing else, what is left out is said, the null is kept."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from monitor_tables import row, sheet, table
from scipy import stats as scipy_stats

from treset.monitor import discovery
from treset.monitor.common import EFFECT_COLUMNS
from treset.study.model import Contrast, DiscoveryMonitor

POPULATIONS = ("B", "T", "NK", "Mono")
MARKERS = tuple(f"p{i}" for i in range(10))
SETTINGS = DiscoveryMonitor("stimulus", "Reference", "BCR-XL")


def study(seed: int = 0, patients: int = 8, effect: float = 0.0, spread: float = 0.2):
    """Bodenmiller-like: two stimuli of each patient; p3 of B and log2 of B's share rise by ``effect``."""
    rng = np.random.default_rng(seed)
    samples = sheet(
        [{"sample": f"P{i}_{s}", "patient": f"P{i}", "visit": "V1", "day": 0.0, "stimulus": s}
         for i in range(patients) for s in ("Reference", "BCR-XL")]
    )  # fmt: skip
    own = {p: rng.normal(2, 1, (len(POPULATIONS), len(MARKERS))) for p in samples["patient"].unique()}
    rows = []
    for _, s in samples.iterrows():
        hit = s["stimulus"] == "BCR-XL"
        for k, population in enumerate(POPULATIONS):
            n = round(1000 * 2 ** (rng.normal(0, spread) + (effect if hit and population == "B" else 0)))
            rows.append(row(s, population, "count", float(n), n, parent="cells"))
            rows.append(row(s, population, "percent_of_total", n / 100, 10_000, parent="cells"))
            for m, marker in enumerate(MARKERS):
                lift = effect if hit and (population, marker) == ("B", "p3") else 0.0
                value = own[s["patient"]][k, m] + lift + rng.normal(0, spread)
                rows.append(row(s, population, "median", value, n, parent="cells", marker=marker))
    return table(rows), samples


def test_a_planted_change_is_called_first_and_alone():
    result = discovery(*study(effect=2.0), SETTINGS)
    found = result.effects
    assert tuple(found.columns) == EFFECT_COLUMNS
    called = found[found["verdict"] == "called"]
    assert set(zip(called["population"], called["marker"], strict=True)) == {("B", "p3"), ("B", "")}
    assert found["p_value"].is_monotonic_increasing
    top = called[called["endpoint"] == "state"].iloc[0]
    assert top["estimate"] == pytest.approx(2.0, abs=0.3) and "up in 8 of 8 pairs" in top["note"]
    share = called[called["endpoint"] == "abundance"].iloc[0]
    assert share["scale"] == "log2_ratio" and share["estimate"] == pytest.approx(2.0, abs=0.3)
    assert (result.summary["verdict"], result.summary["headline"]["value"]) == ("met", "2")
    assert "of 44 tested, BCR-XL vs Reference, n = 8 patients" in result.summary["headline"]["caption"]
    # families: 40 medians, 4 shares
    for endpoint in ("state", "abundance"):
        family = found[found["endpoint"] == endpoint]
        assert family["q_value"].to_numpy(float) == pytest.approx(
            scipy_stats.false_discovery_control(family["p_value"].to_numpy(float))
        )


def test_a_small_change_is_not_called_and_says_so():
    result = discovery(*study(effect=2.0), DiscoveryMonitor("stimulus", "Reference", "BCR-XL", min_state_effect=3.0))
    top = result.effects[(result.effects["population"] == "B") & (result.effects["marker"] == "p3")].iloc[0]
    assert top["verdict"] == "not called" and "under the minimum of 3" in top["note"]


def test_null_studies_call_no_more_than_the_rate():
    """FDR under the complete null is the chance to call anything at all: at most 5 % of studies and kinds."""
    calls, repeats = 0, 40
    profiles, samples = study()
    lean = profiles[profiles["measure"] == "median"].reset_index(drop=True)
    rng = np.random.default_rng(1)
    settings = DiscoveryMonitor("stimulus", "Reference", "BCR-XL", min_state_effect=0.0)
    p_values = []
    for _ in range(repeats):
        found = discovery(lean.assign(value=rng.normal(size=len(lean))), samples, settings).effects
        calls += (found["verdict"] == "called").any()
        p_values += found["p_value"].tolist()
    assert scipy_stats.binom.sf(calls - 1, repeats, 0.05) > 0.001
    assert scipy_stats.binomtest(int((np.array(p_values) < 0.05).sum()), len(p_values), 0.05).pvalue > 0.001


def test_unpaired_groups():
    profiles, samples = study(effect=2.0, patients=12)
    keep = [f"P{i}_{'Reference' if i % 2 else 'BCR-XL'}" for i in range(12)]
    samples = samples[samples["sample"].isin(keep)].assign(arm=lambda s: s["stimulus"], stimulus="")
    profiles = profiles[profiles["sample"].isin(keep)].assign(stimulus="", arm="")
    result = discovery(profiles, samples, DiscoveryMonitor("arm", "Reference", "BCR-XL", pair=None))
    top = result.effects[(result.effects["population"] == "B") & (result.effects["marker"] == "p3")].iloc[0]
    assert top["method"] == "moderated t" and top["n"] == 12
    paired = discovery(profiles, samples, DiscoveryMonitor("arm", "Reference", "BCR-XL"))
    assert "fewer than 3 complete pairs" in paired.summary["reason"]
    both, sheet_of_both = study()
    mixed = discovery(both, sheet_of_both, DiscoveryMonitor("stimulus", "Reference", "BCR-XL", pair=None))
    assert "not independent" in mixed.summary["reason"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (DiscoveryMonitor("stimulis", "Reference", "BCR-XL"), "no column 'stimulis'; did you mean 'stimulus'?"),
        (DiscoveryMonitor("stimulus", "reference", "BCR-XL"), "has stimulus 'reference' (reference); did you mean"),
        (DiscoveryMonitor("stimulus", "Reference", "BCRXL"), "has stimulus 'BCRXL' (test); did you mean 'BCR-XL'?"),
        (DiscoveryMonitor("stimulus", "", "BCR-XL"), "the reference label of column stimulus is not set"),
        (DiscoveryMonitor("stimulus", "Reference", "BCR-XL", pair="donor"), "no column 'donor'"),
        (DiscoveryMonitor("stimulus", "BCR-XL", "BCR-XL"), "reference and test are both"),
        (DiscoveryMonitor("stimulus", "Reference", "BCR-XL", origins=("external",)), "no population or marker"),
    ],
)  # fmt: skip
def test_what_is_absent_is_not_evaluable(settings, reason):
    result = discovery(*study(), settings)
    assert result.summary["verdict"] == "not evaluable" and reason in result.summary["reason"]
    assert result.effects.empty and tuple(result.effects.columns) == EFFECT_COLUMNS
    assert len(result.patients) == 8


def test_thin_samples_and_incomplete_pairs_are_left_out_and_said():
    profiles, samples = study(effect=2.0)
    thin = (profiles["population"] == "NK") & (profiles["measure"] == "median")
    profiles.loc[thin & profiles["sample"].isin([f"P{i}_BCR-XL" for i in range(6)]), "n_cells"] = 5
    profiles.loc[(profiles["population"] == "Mono") & (profiles["measure"] == "percent_of_total"), "value"] = 0.05
    profiles.loc[(profiles["population"] == "T") & (profiles["marker"] == "p0"), "value"] = 0.0
    samples = samples[samples["sample"] != "P7_BCR-XL"]
    profiles = profiles[profiles["sample"] != "P7_BCR-XL"]
    result = discovery(profiles, samples, SETTINGS)
    rows = result.effects.set_index(["population", "marker"])
    assert rows.loc[("NK", "p0"), "verdict"] == "not evaluable"
    assert rows.loc[("NK", "p0"), "note"] == "1 complete pairs, 3 needed"
    assert "fewer than 20 cells" in rows.loc[("Mono", ""), "note"]
    assert rows.loc[("T", "p0"), "note"] == "the same value in all samples"
    assert rows.loc[("T", "p1"), "n"] == 7 and math.isnan(rows.loc[("NK", "p0"), "q_value"])
    patients = result.patients.set_index("patient")
    assert (patients.loc["P7", "call"], patients.loc["P7", "why"]) == ("left out", "no sample with stimulus BCR-XL")
    notes = result.summary["notes"]
    assert any(n.startswith("state of NK (gate): under 20 cells in 6 of 14 samples: P0_BCR-XL") for n in notes)


def test_a_change_seen_in_half_of_the_patients_does_not_lead_one_seen_in_all():
    profiles, samples = study(effect=2.0)
    half = (profiles["population"] == "T") & (profiles["measure"] == "median")
    few = profiles["sample"].str[:2].isin([f"P{i}" for i in range(4)])
    profiles.loc[half & few, "n_cells"] = 5
    lifted = half & (profiles["marker"] == "p5") & profiles["sample"].str.endswith("BCR-XL")
    profiles.loc[lifted, "value"] += 3.0
    found = discovery(profiles, samples, SETTINGS).effects
    state = found[found["endpoint"] == "state"].set_index(["population", "marker"])
    first, second = state.loc[("B", "p3")], state.loc[("T", "p5")]
    assert (first["n"], second["n"], second["verdict"]) == (8, 4, "called")
    assert second["lower"] > first["lower"] and list(state.index[:2]) == [("B", "p3"), ("T", "p5")]


def test_several_samples_of_a_condition_are_not_averaged():
    profiles, samples = study()
    more = profiles[profiles["sample"] == "P0_BCR-XL"].assign(sample="again")
    double = pd.concat([samples, samples[samples["sample"] == "P0_BCR-XL"].assign(sample="again")], ignore_index=True)
    result = discovery(pd.concat([profiles, more]), double, SETTINGS)
    assert result.summary["verdict"] == "not evaluable"
    assert "patient P0 has several samples (P0_Reference, P0_BCR-XL, again)" in result.summary["reason"]


def arms(effect: float, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """As ``study``, 8 patients of each arm: p1 of all populations rises by 1 in both, p3 of B by ``effect`` on drug."""
    drug, samples = study(seed, 8, effect)
    placebo, others = study(seed + 1, 8, 0.0)
    parts = []
    for table_, sheet_, arm in ((drug, samples, "drug"), (placebo, others, "placebo")):
        ids = {"sample": arm + "_" + table_["sample"], "patient": arm + "_" + table_["patient"]}
        whole = table_.assign(**ids, arm=arm)
        both = (whole["stimulus"] == "BCR-XL") & (whole["marker"] == "p1")
        whole.loc[both, "value"] += 1.0
        own = {name: arm + "_" + sheet_[name] for name in ("sample", "patient")}
        parts.append((whole, sheet_.assign(**own, arm=arm)))
    return tuple(pd.concat(found, ignore_index=True) for found in zip(*parts, strict=True))


BETWEEN = DiscoveryMonitor("stimulus", "Reference", "BCR-XL", between=Contrast("drug", "placebo"))


def test_changes_of_two_arms_are_compared_and_what_moves_in_both_is_not_called():
    profiles, samples = arms(1.5)
    pooled = discovery(profiles, samples, SETTINGS).effects
    assert {"p1", "p3"} <= set(pooled.loc[pooled["verdict"] == "called", "marker"])
    found = discovery(profiles, samples, BETWEEN).effects
    called = found[found["verdict"] == "called"]
    assert set(zip(called["population"], called["marker"], strict=True)) == {("B", "p3"), ("B", "")}
    first = found[(found["population"] == "B") & (found["marker"] == "")].iloc[0]
    assert first["contrast"] == "BCR-XL vs Reference, drug vs placebo"
    assert first["n"] == 16 and first["method"].startswith("moderated t of the changes")
    assert "drug: up in 8 of 8 pairs, placebo: " in first["note"]
    # the estimate is the difference of the mean changes of log2 shares
    share = profiles[(profiles["measure"] == "percent_of_total") & (profiles["population"] == "B")]
    logs = share.assign(log=np.log2((share["value"] * 100 + 0.5) / 10_001))
    change = logs.pivot_table(index=["arm", "patient"], columns="stimulus", values="log").eval("`BCR-XL` - Reference")
    means = change.groupby("arm").mean()
    assert first["estimate"] == pytest.approx(means["drug"] - means["placebo"])


def test_changes_of_arms_that_do_not_differ_are_not_called():
    called = [(discovery(*arms(0.0, seed), BETWEEN).effects["verdict"] == "called").any() for seed in range(0, 40, 2)]
    assert sum(called) <= 4


def test_counts_of_two_arms_agree_with_log_shares():
    pytest.importorskip("pyedger")
    settings = replace(BETWEEN, abundance="negative_binomial", min_state_effect=9.0)
    found = discovery(*arms(1.5), settings).effects
    share = found[(found["endpoint"] == "abundance") & (found["population"] == "B")].iloc[0]
    plain = discovery(*arms(1.5), BETWEEN).effects
    other = plain[(plain["endpoint"] == "abundance") & (plain["population"] == "B")].iloc[0]
    assert share["p_value"] != other["p_value"] and share["estimate"] == pytest.approx(other["estimate"], abs=0.15)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"between": Contrast("drug", "sham")}, "no sample has arm 'sham'"),
        ({"between": Contrast("a", "b", "site")}, "no column 'site'"),
        ({"pair": None}, "set pair"),
        ({"formula": "~ stimulus + patient"}, "no formula"),
    ],
)
def test_groups_that_cannot_be_compared_are_not_evaluable(change: dict, told: str):
    result = discovery(*arms(1.0), replace(BETWEEN, **change))
    assert result.summary["verdict"] == "not evaluable" and told in result.summary["reason"]


def test_patients_of_a_third_arm_are_left_out_and_said_so():
    profiles, samples = arms(1.0)
    for frame in (profiles, samples):
        frame.loc[frame["patient"] == "drug_P0", "arm"] = "open"
    result = discovery(profiles, samples, BETWEEN)
    fate = result.patients.set_index("patient").loc["drug_P0"]
    assert (fate["call"], fate["why"]) == ("left out", "arm is 'open', not placebo or drug")
    assert result.effects["n"].max() == 15
    few = discovery(profiles[profiles["patient"].str[-1] < "2"], samples, BETWEEN)
    assert "complete pairs in one group, 3 needed" in few.summary["reason"]
