"""Batches levelled by anchors, judged on what did not teach; confounding found first."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.stats import fisher_exact, wasserstein_distance

from treset.clean.cytonorm import train, train_and_judge
from treset.clean.distances import compare, emd, mad
from treset.clean.levelling import by_clusters, level
from treset.errors import TresetError
from treset.io.h5ad import read_h5ad, write_h5ad
from treset.jobs.batches import apply, learn
from treset.study.confounding import confounded, cramers_v, permutation_p

NAMES = ["CD3", "CD19", "CD25"]


def control(seed, shift=(0, 0, 0), scale=(1, 1, 1), cells=3000):
    rng = np.random.default_rng(seed)
    kind = rng.random(cells) < 0.6
    centre = np.where(kind[:, None], [4.0, 0.5, 1.0], [0.5, 4.5, 2.0])
    return rng.normal(centre, 0.4) * np.array(scale) + np.array(shift)


SHIFTS = {"p1": ((0, 0, 0), (1, 1, 1)), "p2": ((0.8, 0, 0), (1, 0.8, 1)), "p3": ((-0.5, 0.3, 0), (1, 1.1, 1))}


def test_emd_by_hand():
    assert emd(np.array([0.0, 1]), np.array([2.0, 3])) == pytest.approx(2)
    assert mad(np.array([1.0, 2, 4, 10])) == pytest.approx(1.5)


def test_a_second_control_comes_closer_and_keeps_its_width():
    learnt = train({b: control(n, *SHIFTS[b]) for n, b in enumerate(SHIFTS)})
    unseen = {b: control(n + 50, *SHIFTS[b]) for n, b in enumerate(SHIFTS)}
    done = {b: level(values, b, learnt) for b, values in unseen.items()}
    labels = {b: np.full(len(v), "x") for b, v in unseen.items()}
    table = compare(unseen, done, labels, NAMES)
    whole = table[table["population"] == "cells"].set_index("marker")
    assert (whole.loc[["CD3", "CD19"], "emd_after"] < 0.25 * whole.loc[["CD3", "CD19"], "emd_before"]).all()
    truth = {b: control(n + 50) for n, b in enumerate(SHIFTS)}
    # an unmixed control of no shift: what is left is the goal, the mean of the batches
    assert wasserstein_distance(done["p2"][:, 0], truth["p2"][:, 0]) < 0.3
    assert (abs(whole["mad_after"] / whole["mad_before"] - 1) < 0.1).all()


def test_order_of_values_within_a_cluster_is_kept():
    learnt = train({b: control(n, *SHIFTS[b]) for n, b in enumerate(SHIFTS)})
    values = control(9, *SHIFTS["p2"])
    done, cluster = level(values, "p2", learnt), learnt.clusters_of(values)
    for number in np.unique(cluster):
        inside = cluster == number
        order = np.argsort(values[inside, 0])
        assert (np.diff(done[inside, 0][order]) >= -1e-9).all()


def test_a_batch_that_is_the_goal_does_not_move():
    values = control(0)
    learnt = train({"a": values, "b": values})
    assert level(values, "a", learnt) == pytest.approx(values, abs=1e-9)


def test_beyond_the_quantiles_values_move_in_parallel():
    learnt = train({"a": control(0), "b": control(1, (1.0, 0, 0))}, clusters=1)
    far = np.array([[100.0, 0, 0], [101.0, 0, 0]])
    done = level(far, "a", learnt)
    assert np.diff(done[:, 0]) == pytest.approx(1.0)


def test_what_does_not_help_is_taken_back():
    same = {"a": control(0), "b": control(1), "c": control(2)}
    # no batch effect: a third marker that is pure noise of the same distribution in all
    learnt, table = train_and_judge({**same, "d": control(3, (1.5, 0, 0))}, NAMES)
    whole = table[table["population"] == "cells"].set_index("marker")
    assert learnt.markers[0]
    assert (whole["corrected"] == learnt.markers).all()
    worse = whole["emd_after"] >= whole["emd_before"]
    assert not whole.loc[worse, "corrected"].any()
    assert (whole.loc[~whole["corrected"], "reason"] != "").all()
    values = control(8)
    np.testing.assert_array_equal(level(values, "a", learnt)[:, ~learnt.markers], values[:, ~learnt.markers])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_without_an_effect_of_the_batch_next_to_nothing_is_corrected(seed):
    rng = np.random.default_rng(seed)

    def drawn(cells=1500):
        positive = rng.random((cells, 1)) < 0.5
        return np.where(positive, rng.normal(3, 1, (cells, 20)), np.maximum(rng.normal(0.3, 0.5, (cells, 20)), 0))

    learnt, table = train_and_judge({"a": drawn(), "b": drawn()}, [f"m{n}" for n in range(20)])
    assert learnt.markers.sum() <= 4
    assert "no difference beyond chance" in set(table["reason"])


def test_the_judgement_is_on_cells_that_did_not_teach():
    anchors = {b: control(n, *SHIFTS[b], cells=600) for n, b in enumerate(SHIFTS)}
    _, table = train_and_judge(anchors, NAMES)
    whole = table[table["population"] == "cells"].set_index("marker")
    # two draws of 300 cells of one distribution lie as far apart as this: no levelling brings them closer
    truth = control(90, cells=3000)
    floor = np.mean([emd(truth[n : n + 300, 0], truth[n + 300 : n + 600, 0]) for n in range(0, 3000, 600)])
    assert whole.loc["CD3", "emd_after"] > 0.5 * floor


def test_a_small_cluster_goes_with_all_cells():
    rng = np.random.default_rng(0)
    codes, cluster = np.array([[0.0], [6.0]]), np.array([0, 1])
    # the small cluster's own cells would say +1.5, all cells say +1
    small, big = rng.normal(6, 0.3, (25, 1)), rng.normal(0, 0.3, (3000, 1))
    first, second = np.vstack([big, small]), np.vstack([big + 1, small + 1.5])
    learnt = by_clusters({"a": first, "b": second}, codes, cluster)
    moved = float(np.mean(level(small, "a", learnt) - small))
    # 25 cells weigh 0.2: half of 0.2 * 1.5 + 0.8 * what the spline of all cells says
    alone = by_clusters({"a": first, "b": second}, codes[:1], cluster[:1])
    everyone = float(np.mean(level(small, "a", alone) - small))
    assert moved == pytest.approx(0.2 * 0.75 + 0.8 * everyone, abs=0.03)


def test_same_seed_same_result():
    anchors = {b: control(n, *SHIFTS[b]) for n, b in enumerate(SHIFTS)}
    np.testing.assert_array_equal(train(anchors, seed=3).goal, train(anchors, seed=3).goal)


def test_faults():
    with pytest.raises(TresetError, match="fewer than two batches"):
        train({"a": control(0)})
    with pytest.raises(TresetError, match="at least 100 cells"):
        train({"a": control(0), "b": control(0, cells=40)})
    learnt = train({"a": control(0), "b": control(1)})
    with pytest.raises(TresetError, match="batch 'z' has no anchor"):
        level(control(2), "z", learnt)


def prepared(path: Path, values, batch, names=NAMES):
    obs = pd.DataFrame({"batch": batch, "keep": True}, index=[f"c{i}" for i in range(len(values))])
    var = pd.DataFrame({"role": "lineage"}, index=names)
    write_h5ad(AnnData(values.astype(np.float32), obs=obs, var=var), path)
    return path


def test_jobs_level_samples_and_write_the_same_bytes_twice(tmp_path: Path):
    anchors = [prepared(tmp_path / f"{b}.h5ad", control(n, *SHIFTS[b]), b) for n, b in enumerate(SHIFTS)]
    learn(anchors, 0, tmp_path / "m.npz", tmp_path / "t.tsv")
    learn(anchors, 0, tmp_path / "m2.npz", tmp_path / "t2.tsv")
    assert (tmp_path / "m.npz").read_bytes() == (tmp_path / "m2.npz").read_bytes()
    # another order of markers in the file
    values = control(7, *SHIFTS["p2"])
    turned = prepared(tmp_path / "s.h5ad", values[:, ::-1], "p2", NAMES[::-1])
    apply(turned, tmp_path / "m.npz", tmp_path / "out.h5ad")
    done = read_h5ad(tmp_path / "out.h5ad")
    learnt, _ = train_and_judge({b: control(n, *SHIFTS[b]).astype(np.float32).astype(float)
                                 for n, b in enumerate(SHIFTS)}, NAMES)  # fmt: skip
    expected = level(values.astype(np.float32), "p2", learnt)
    assert pytest.approx(expected, abs=1e-5) == done[:, NAMES].X


def test_cramers_v():
    assert cramers_v(np.array([[50, 0], [0, 50]])) == pytest.approx(1.0)
    assert cramers_v(np.array([[25, 25], [25, 25]])) == 0
    # Bergsma 2013: phi2 corrected for its expectation under independence
    table = np.array([[20, 10], [5, 15]])
    phi = (20 * 15 - 10 * 5) ** 2 / (30 * 20 * 25 * 25)
    expected = np.sqrt((phi - 1 / 49) / (2 - 1 / 49 - 1))
    assert cramers_v(table) == pytest.approx(expected)
    assert cramers_v(np.ones((1, 5))) == 0


def sheet(batches, arms, visits=("D0", "D8")):
    rows = [
        {"sample": f"P{p}_{v}", "patient": f"P{p}", "visit": v, "arm": arm, "disease": "SLE", "anchor": False,
         "batch": batch if isinstance(batch, str) else batch[v]}
        for p, (batch, arm) in enumerate(zip(batches, arms, strict=True)) for v in visits
    ]  # fmt: skip
    rows.append({**rows[0], "sample": "ctrl", "anchor": True, "batch": "b9", "arm": ""})
    return pd.DataFrame(rows)


def test_arm_by_batch_is_confounded():
    found = confounded(sheet(["b1"] * 5 + ["b2"] * 5, ["drug"] * 5 + ["placebo"] * 5))
    assert [f.column for f in found] == ["arm"]
    assert found[0].complete
    assert "cannot be told from a difference between the arms" in found[0].sentence


def test_visit_by_batch_is_confounded():
    found = confounded(sheet([{"D0": "b1", "D8": "b2"}] * 6, ["drug", "placebo"] * 3))
    assert [(f.column, f.complete) for f in found] == [("visit", True)]


def test_the_p_of_an_association_is_that_of_all_orders():
    # 7 patients, diseases 2 + 2 + 2 + 1, plates of 4 and 3: of the 35 ways to fill the first plate 3 split no disease
    batches = np.eye(2)[[0, 1, 0, 1, 0, 1, 0]]
    diseases = np.array(["vasculitis", "lupus", "arthritis", "Behcet", "vasculitis", "lupus", "arthritis"])
    assert permutation_p(batches, diseases) == pytest.approx(3 / 35, abs=0.01)
    # two balanced groups: the order of the statistic is that of the probability, so Fisher's exact test agrees
    arms = np.array(["drug"] * 10 + ["placebo"] * 10)
    batches = np.eye(2)[[0] * 8 + [1] * 2 + [0] * 2 + [1] * 8]
    assert permutation_p(batches, arms) == pytest.approx(fisher_exact([[8, 2], [2, 8]]).pvalue, abs=0.005)
    # within patients: each of six has one visit in each batch, 2 of the 2 ** 6 orders are as extreme
    pairs = np.tile(np.eye(2), (6, 1))
    visits, patients = np.array(["D0", "D8"] * 6), np.repeat(np.arange(6), 2)
    assert permutation_p(pairs, visits, patients) == pytest.approx(2 / 64, abs=0.005)
    # all visits of a patient in one batch: nothing can change places
    assert permutation_p(np.repeat(np.eye(2)[[0, 1, 0, 1, 0, 1]], 2, axis=0), visits, patients) == 1.0


def test_few_patients_that_chance_may_have_dealt_so_are_not_told():
    diseases = ["vasculitis", "lupus", "arthritis", "Behcet", "vasculitis", "lupus", "arthritis"]
    few = sheet(["p1", "p2"] * 3 + ["p1"], ["IL-2"] * 7)
    few["disease"] = few["patient"].str[1:].astype(int).map(lambda n: diseases[n])
    few.loc[few["anchor"], "disease"] = ""
    one_each = few[~few["anchor"]].drop_duplicates("patient")
    # by hand: phi2 = 1, corrected 1 - 3 / 6 = 0.5; rows 4 - 9 / 6, columns 2 - 1 / 6, so V = sqrt(0.5 / (5 / 6))
    assert cramers_v(pd.crosstab(one_each["disease"], one_each["batch"]).to_numpy()) == pytest.approx(np.sqrt(0.6))
    assert confounded(few) == []
    # the same division of 42 patients is no chance
    many = pd.concat([few[~few["anchor"]].assign(patient=few["patient"] + f"_{k}", sample=few["sample"] + f"_{k}")
                      for k in range(6)], ignore_index=True)  # fmt: skip
    (found,) = confounded(many)
    assert (found.column, found.n) == ("disease", 42) and found.p < 0.001


def test_a_design_that_cannot_tell_them_apart_is_told_however_few_the_patients():
    (found,) = confounded(sheet(["b1", "b1", "b2", "b2"], ["drug", "drug", "placebo", "placebo"]))
    assert found.complete and found.p == pytest.approx(2 / 6, abs=0.02) and found.n == 4


def test_a_patient_of_two_batches_counts_once():
    batches = [{"D0": "b1", "D8": "b2"}] * 4 + ["b1", "b1", "b2", "b2"]
    assert confounded(sheet(batches, ["drug"] * 4 + ["placebo"] * 4)) == []


def test_a_batch_for_each_patient_or_mixed_batches_are_not():
    assert confounded(sheet([f"b{n}" for n in range(10)], ["drug"] * 5 + ["placebo"] * 5)) == []
    assert confounded(sheet(["b1", "b2"] * 5, ["drug"] * 5 + ["placebo"] * 5)) == []
    assert confounded(sheet(["b1"] * 10, ["drug"] * 5 + ["placebo"] * 5)) == []


@pytest.mark.realdata
@pytest.mark.skipif("TRESET_DATA" not in os.environ, reason="TRESET_DATA is not set")
def test_public_plates_come_closer_by_40_percent_on_average():
    from treset.io.fcs import read_fcs

    def replicate(number):
        plates = {}
        for plate in ("021", "028", "034"):
            path = Path(os.environ["TRESET_DATA"]) / "cytonorm" / f"Gates_PTLG{plate}_Unstim_Control_{number}.fcs"
            header, events = read_fcs(path)
            used = [n for n, m in enumerate(header.markers) if m and not m.startswith(("BC", "DNA", "beadDist"))]
            plates[plate] = np.arcsinh(events[:, used] / 5).astype(float)
        return plates, [header.markers[n] for n in used]

    (anchors, names), (unseen, _) = replicate(1), replicate(2)
    everything = {plate: np.full(len(values), "x") for plate, values in unseen.items()}

    def judged(learnt):
        done = {plate: level(values, plate, learnt) for plate, values in unseen.items()}
        table = compare(unseen, done, everything, names)
        return table[table["population"] == "cells"]

    whole = judged(train(anchors))
    assert whole["emd_after"].mean() <= 0.6 * whole["emd_before"].mean()
    assert abs(whole["mad_after"].mean() / whole["mad_before"].mean() - 1) < 0.1
    # as a study does it, after the markers whose batches differ by chance only are taken back, it holds all the same
    whole = judged(train_and_judge(anchors, names)[0])
    assert whole["emd_after"].mean() <= 0.6 * whole["emd_before"].mean()
    assert abs(whole["mad_after"].mean() / whole["mad_before"].mean() - 1) < 0.1
