"""Plans: the truth, the sheet, the parameters; no cell is drawn here."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treset import simulate
from treset.errors import Faults, TresetError
from treset.simulate.cart import b_share
from treset.simulate.cohort import typical_median
from treset.simulate.composition import apply_folds, leaf_shares, set_share, typical_shares, vary
from treset.simulate.dose import answer
from treset.simulate.genes import EXPRESSION, HOUSEKEEPING, expression_table, gene_names
from treset.simulate.panel import CHANNELS, MARKERS, channel_labels, panel_table
from treset.simulate.populations import INTENSITIES, LEAVES, PARENT, TREE, intensity_table, leaves_of, parse_levels
from treset.study.model import ROLES

DESIGNS = simulate.DESIGNS


def share_of(trial, sample, population, parent):
    row = trial.composition.loc[sample]
    return row[list(leaves_of(population))].sum() / row[list(leaves_of(parent))].sum()


@pytest.mark.parametrize("design", DESIGNS)
def test_published_sizes_and_columns(design):
    trial = simulate.plan(design)
    sizes = {"il2_open_label": 46 * 3, "il2_placebo": 30 * 3, "cart_lupus": 5 * 8, "pstat5_dose": 9 * 8}
    assert len(trial.sheet) == len(trial.plans) == sizes[design]
    assert trial.sheet["sample"].is_unique
    assert list(trial.truth.columns) == [
        "endpoint", "population", "measure", "marker", "contrast", "scale", "value", "verdict",
    ]  # fmt: skip
    assert set(trial.truth["verdict"]) <= {"met", "not met"}
    named = {name for names in trial.truth["population"] for name in names.split("|")}
    assert named <= set(PARENT)
    assert np.allclose(trial.composition.sum(axis=1), 1)
    assert (trial.composition >= 0).all(axis=None)


@pytest.mark.parametrize("design", DESIGNS)
def test_plans_are_pure(design):
    one, two = simulate.plan(design, seed=5), simulate.plan(design, seed=5)
    pd.testing.assert_frame_equal(one.sheet, two.sheet)
    pd.testing.assert_frame_equal(one.composition, two.composition)
    pd.testing.assert_frame_equal(one.patients, two.patients)
    other = simulate.plan(design, seed=6)
    assert not np.allclose(one.composition, other.composition)


def test_a_patient_does_not_depend_on_the_others():
    few, many = simulate.plan("il2_open_label", patients=3), simulate.plan("il2_open_label", patients=20)
    pd.testing.assert_frame_equal(few.composition, many.composition.loc[few.composition.index])


def test_expected_sheet_is_text_with_files_under_the_prefix():
    trial = simulate.plan("pstat5_dose", prefix="raw/day 1", patients=1)
    sheet = simulate.expected_sheet(trial)
    assert all(isinstance(value, str) for column in sheet for value in sheet[column])
    assert sheet["file"].iloc[1] == "raw/day 1/P01_0.001nM.fcs"
    assert sheet["dose"].tolist()[:3] == ["0", "0.001", "0.01"]
    assert simulate.expected_sheet(simulate.plan("cart_lupus"))["dose"].eq("").all()


def test_treg_fold_is_exact_on_the_share_of_cd4():
    trial = simulate.plan("il2_open_label", visit_sd=0.0, patients=12)
    for row in trial.patients.itertuples():
        before = share_of(trial, f"{row.patient}_D0", "Treg", "CD4 T")
        after = share_of(trial, f"{row.patient}_D8", "Treg", "CD4 T")
        assert after / before == pytest.approx(row.treg_fold_D8)
        for untouched, parent in (("CD8 T", "T"), ("CD4 T", "T"), ("B naive", "B")):
            assert share_of(trial, f"{row.patient}_D0", untouched, parent) == pytest.approx(
                share_of(trial, f"{row.patient}_D8", untouched, parent)
            )


def test_the_true_log_ratio_is_the_median_over_patients():
    trial = simulate.plan("il2_open_label", patients=150)
    truth = trial.truth.set_index("endpoint").loc["treg_expansion"]
    changes = [
        np.log(share_of(trial, f"{name}_D8", "Treg", "CD4 T") / share_of(trial, f"{name}_D0", "Treg", "CD4 T"))
        for name in trial.patients["patient"]
    ]
    error = 1.2533 * np.std(changes) / np.sqrt(len(changes))  # of a median, for normal changes
    assert truth["value"] == pytest.approx(np.log(2))
    assert np.median(changes) == pytest.approx(truth["value"], abs=4 * error)


def test_a_null_trial_has_no_change():
    ones = {name: [1, 1, 1] for name in ("treg_folds", "cd25_folds", "foxp3_folds", "nk_bright_folds")}
    trial = simulate.plan("il2_open_label", patients=4, visit_sd=0.0, **ones)
    assert (trial.truth["value"] == 0).all()
    assert (trial.truth["verdict"] == "not met").all()
    for name in trial.patients["patient"]:
        assert np.allclose(trial.plans[f"{name}_D0"].composition, trial.plans[f"{name}_D8"].composition)
        assert np.allclose(trial.plans[f"{name}_D0"].folds, trial.plans[f"{name}_D8"].folds)


def test_placebo_trial_has_the_published_effects_in_one_arm_only():
    trial = simulate.plan("il2_placebo")
    truth = trial.truth.set_index("endpoint")
    assert truth.loc["treg_expansion", ["value", "verdict"]].tolist() == [0.0, "not met"]
    assert truth.loc["treg_expansion_D15", "value"] == pytest.approx(np.log(1.26))
    assert truth.loc["treg_cd25", "verdict"] == "met"
    arms = trial.patients.groupby("arm")
    assert arms.size().to_dict() == {"IL-2": 15, "placebo": 15}
    assert arms["treg_fold_D15"].median()["placebo"] == 1
    assert arms["treg_fold_D15"].median()["IL-2"] == pytest.approx(1.26, rel=0.1)
    assert arms["cd25_fold_D5"].median()["placebo"] == 1
    assert (trial.sheet.groupby("batch")["arm"].nunique() == 2).all()


def test_cd25_truth_follows_from_the_fold_by_hand():
    """Treg naive (25 %) at 40, effector (75 %) at 80 counts: the mixture's median lies between; arcsinh is near log."""
    base, doubled = typical_median("Treg", "CD25"), typical_median("Treg", "CD25", 2.0)
    assert np.arcsinh(40 / 5) < base < np.arcsinh(80 / 5)
    assert doubled - base == pytest.approx(np.log(2), abs=0.005)
    assert typical_median("Treg effector", "CD25") == pytest.approx(np.arcsinh(80 / 5), abs=1e-6)


def test_b_cells_vanish_and_come_back_naive():
    trial = simulate.plan("cart_lupus", seed=3)
    truth = trial.truth.set_index("endpoint")
    assert truth.loc["b_recovery", "value"] == pytest.approx(trial.patients["recovery_day"].mean())
    for row in trial.patients.itertuples():
        assert trial.composition.loc[f"{row.patient}_baseline", list(leaves_of("B"))].sum() > 0.04
        assert trial.composition.loc[f"{row.patient}_D14", list(leaves_of("B"))].sum() == 0
        assert row.recovery_after < row.recovery_day <= row.recovery_by
        first = f"{row.patient}_D{row.recovery_by:.0f}"
        assert trial.composition.loc[first, list(leaves_of("B"))].sum() >= 0.0099
        young = [share_of(trial, first, name, "B") for name in ("B naive", "B transitional")]
        assert sum(young) > 0.8
        assert share_of(trial, f"{row.patient}_baseline", "B naive", "B") < 0.6


def test_courses_that_go_otherwise():
    trial = simulate.plan("cart_lupus", patients=6, not_reset=1, not_recovered=2, no_aplasia=1)
    assert trial.patients["course"].value_counts().to_dict() == {
        "reset": 2, "not recovered": 2, "not reset": 1, "no aplasia": 1,
    }  # fmt: skip
    for row in trial.patients.itertuples():
        last = trial.composition.loc[f"{row.patient}_D180", list(leaves_of("B"))].sum()
        assert (last == 0) == (row.course == "not recovered")


def test_b_share_passes_the_threshold_on_the_day():
    values = simulate.defaults("cart_lupus")
    assert b_share(values, 100, 100) == pytest.approx(0.01)
    assert b_share(values, 10_000, 100) == pytest.approx(0.08)
    assert b_share(values, 50, 100) == 0
    assert b_share(values, 500, np.nan) == 0


def test_dose_response_is_a_logistic_with_the_true_ec50():
    """At the EC50 the median lies half way between bottom and top in arcsinh units (definition of the 4PL)."""
    assert answer(0.3, 1.0, 3.0, 0.3, 2.0) == 2.0
    assert answer(0.0, 1.0, 3.0, 0.3, 2.0) == 1.0
    assert answer(1e9, 1.0, 3.0, 0.3, 2.0) == pytest.approx(3.0)
    trial = simulate.plan("pstat5_dose", doses=[0, 0.3, 1e9], ec50_sd=0.0, marker_sd=0.0, patients=1)
    table, column = intensity_table(), MARKERS.index("pSTAT5")
    row = LEAVES.index("CD4 CM")
    levels = [np.arcsinh(table[row, column] * plan.folds[row, column] / 5) for plan in list(trial.plans.values())[:3]]
    assert levels[1] == pytest.approx((levels[0] + levels[2]) / 2)
    truth = trial.truth.query("endpoint == 'treg_selectivity'").set_index("population")["value"]
    assert truth["CD8 T"] == pytest.approx(2.0)
    assert truth["Tconv"] > truth["NK CD56bright"] > 0


def test_missing_samples_are_left_out():
    trial = simulate.plan("il2_open_label", patients=2, missing=["P01_D0"])
    assert "P01_D0" not in trial.plans
    assert "P01_D0" not in trial.sheet["sample"].tolist()
    with pytest.raises(TresetError, match="P09_D0"):
        simulate.plan("il2_open_label", patients=2, missing=["P09_D0"])


@pytest.mark.parametrize(
    ("design", "parameters", "message"),
    [
        ("il2_openlabel", {}, "did you mean 'il2_open_label'"),
        ("il2_open_label", {"patient": 3}, "did you mean 'patients'"),
        ("il2_open_label", {"patients": "many"}, "expected a whole number"),
        ("il2_open_label", {"patients": 0}, "at least 1"),
        ("il2_open_label", {"doublets": -0.1}, "at least 0"),
        ("il2_open_label", {"dead": 0.95}, "lower them"),
        ("il2_open_label", {"treg_folds": [1, 2]}, "one factor above 0 a visit"),
        ("il2_open_label", {"treg_folds": [2, 2, 2]}, "1 at the first"),
        ("il2_open_label", {"days": [0, 8]}, "one day a visit"),
        ("il2_open_label", {"days": [0, "8", 28]}, "list of numbers"),
        ("il2_open_label", {"visits": ["D0", "D8", "D8"]}, "different names"),
        ("il2_open_label", {"genes": 10}, "at least"),
        ("cart_lupus", {"plateau_percent": 0.5}, "plateau_percent"),
        ("pstat5_dose", {"hill": 0.0}, "above 0"),
        ("il2_open_label", {"modality": "imaging"}, "modality"),
        ("cart_lupus", {"not_reset": 9}, "only 5"),
        ("cart_lupus", {"recovery_mean": 900.0, "recovery_sd": 1.0}, "recovery_mean"),
        ("pstat5_dose", {"doses": [1, 2]}, "no 0"),
        ("pstat5_dose", {"modality": "rna"}, "phospho"),
    ],
)
def test_wrong_parameters_are_sentences(design, parameters, message):
    with pytest.raises(TresetError, match=message):
        simulate.plan(design, **parameters)


def test_all_wrong_parameters_are_listed_at_once():
    with pytest.raises(Faults) as fault:
        simulate.plan("il2_open_label", patient=3, visits=3, seed="x")
    assert len(fault.value.messages) == 3


def test_tree_is_whole():
    for parent, children in TREE.items():
        assert sum(children.values()) == pytest.approx(1), parent
    assert set(INTENSITIES) | {"Tconv", "Platelets"} >= set(PARENT)
    assert set(EXPRESSION) <= set(PARENT)
    used = {marker for text in INTENSITIES.values() for marker in parse_levels(text)}
    assert used <= set(MARKERS)
    treg = leaf_shares(typical_shares())[np.isin(LEAVES, leaves_of("Treg"))].sum()
    assert treg == pytest.approx(0.6 * 0.6 * 0.05)


def test_panel_is_a_valid_panel_of_forty_channels():
    panel = panel_table()
    assert len(CHANNELS) == len(set(CHANNELS)) == 40
    assert set(panel["role"]) <= set(ROLES)
    assert panel["marker"].is_unique
    labels = dict(zip(CHANNELS, channel_labels(), strict=True))
    assert labels["Nd142Di"] == "142Nd_CD19"
    assert labels["Yb173Di"] == ""
    assert labels["Time"] == "Time"


@given(seed=st.integers(0, 2**32), sd=st.floats(0, 1.5), fold=st.floats(0.01, 20))
@settings(max_examples=40, deadline=None)
def test_shares_stay_shares(seed, sd, fold):
    shares = vary(typical_shares(), np.random.default_rng(seed), sd)
    before = {name: dict(children) for name, children in shares.items()}
    apply_folds(shares, {"Treg": fold})
    assert leaf_shares(shares).sum() == pytest.approx(1)
    assert sum(shares["CD4 T"].values()) == pytest.approx(1)
    assert shares["T"] == before["T"]
    assert 0 < shares["CD4 T"]["Treg"] <= 0.9 + 1e-12


def test_siblings_keep_their_proportions():
    shares = typical_shares()
    set_share(shares, "B", 0.5)
    assert shares["cells"]["T"] / shares["cells"]["NK"] == pytest.approx(0.60 / 0.11)
    assert sum(shares["cells"].values()) == pytest.approx(1)


def test_genes_are_unique_and_expressed_where_they_belong():
    names = gene_names(1000)
    assert len(names) == len(set(names)) == 1000
    table = pd.DataFrame(expression_table(names), index=list(LEAVES), columns=names)
    assert np.allclose(table.sum(axis=1), 1)
    for gene, leaf in {
        "CTLA4": "Treg effector", "TCL1A": "B transitional", "GNLY": "NK CD56dim", "S100A8": "Monocytes classical",
        "FCGR3A": "Monocytes non-classical", "FCER1A": "mDC", "PPBP": "Platelets", "IGHM": "B transitional",
    }.items():  # fmt: skip
        assert table[gene].idxmax() == leaf, gene
    assert set(parse_levels(HOUSEKEEPING)) <= set(names)
    share = table[[name for name in names if name.startswith("MT-")]].sum(axis=1)
    assert share.between(0.03, 0.12).all()
