import numpy as np
import pytest

from treset.phenotype.gates import apply_gates, deepest, fit_thresholds
from treset.phenotype.tree import resolve
from treset.study.model import Condition, GateOverride, Population

POPULATIONS = [
    Population("T", None, (Condition(("CD3",), "+"),)),
    Population("CD4 T", "T", (Condition(("CD4",), "+"),)),
    Population("Treg", "CD4 T", (Condition(("CD127",), "lo"), Condition(("CD25",), "hi"))),
    Population("Tconv", "CD4 T", (), without=("Treg",)),
    Population("B", None, (Condition(("CD3",), "-"), Condition(("CD19",), "+"))),
]
#          n, CD3, CD4, CD19, CD25, CD127
KINDS = {
    "Treg": (300, 5, 4, 0, 4, 1),
    "Tconv": (5000, 5, 4, 0, 1, 4),
    "CD127lo": (300, 5, 4, 0, 1, 1),
    "T": (3000, 5, 0, 0, 1, 4),
    "B": (1500, 0, 0, 5, 1, 1),
    "other": (1000, 0, 0, 0, 1, 1),
}
MARKERS = ["CD3", "CD4", "CD19", "CD25", "CD127"]


def cells(seed, gain=1.0):
    generator = np.random.default_rng(seed)
    values, labels = [], []
    for kind, (n, *means) in KINDS.items():
        values.append(generator.normal(gain * np.array(means, float), 0.35, (n, 5)))
        labels += [kind] * n
    return dict(zip(MARKERS, np.vstack(values).T, strict=True)), np.array(labels)


def test_gates_find_the_populations():
    columns, truth = cells(0)
    nodes = resolve(POPULATIONS, MARKERS)
    batch = np.full(len(truth), "1")
    thresholds = fit_thresholds(columns, batch, nodes)
    masks = apply_gates(columns, batch, nodes, thresholds)
    for name, members in {"Treg": {"Treg"}, "Tconv": {"Tconv", "CD127lo"}, "B": {"B"}}.items():
        true = np.isin(truth, list(members))
        assert (masks[name] & true).sum() / true.sum() > 0.97
        assert (masks[name] & true).sum() / masks[name].sum() > 0.97
    # a population's cells are its parent's
    for node in nodes:
        assert not np.any(masks[node.name] & ~masks[node.parent])


def test_a_batch_whose_stain_is_dimmer_gets_its_own_threshold():
    bright, truth = cells(1)
    dim, _ = cells(2, gain=0.6)
    columns = {m: np.concatenate([bright[m], dim[m]]) for m in MARKERS}
    batch = np.repeat(["a", "b"], len(truth))
    nodes = resolve(POPULATIONS, MARKERS)
    thresholds = fit_thresholds(columns, batch, nodes).set_index(["population_parent", "marker", "batch"])["threshold"]
    assert thresholds["cells", "CD3", "b"] < thresholds["cells", "CD3", ""] < thresholds["cells", "CD3", "a"] + 1e-9
    masks = apply_gates(columns, batch, nodes, thresholds.reset_index())
    true = np.tile(truth == "Treg", 2)
    for name in ("a", "b"):
        here = batch == name
        assert (masks["Treg"] & here).sum() == pytest.approx((true & here).sum(), rel=0.1)


def test_a_batch_that_was_not_in_the_sketch_takes_the_pooled_threshold():
    columns, truth = cells(3)
    nodes = resolve(POPULATIONS, MARKERS)
    thresholds = fit_thresholds(columns, np.full(len(truth), "a"), nodes)
    masks = apply_gates(columns, np.full(len(truth), "later"), nodes, thresholds)
    assert np.array_equal(masks["B"], apply_gates(columns, np.full(len(truth), "a"), nodes, thresholds)["B"])


def test_a_threshold_that_could_not_be_found_is_met_by_no_cell():
    columns, truth = cells(4)
    columns["CD19"] = np.zeros(len(truth))
    nodes = resolve(POPULATIONS, MARKERS)
    batch = np.full(len(truth), "1")
    masks = apply_gates(columns, batch, nodes, fit_thresholds(columns, batch, nodes))
    assert not masks["B"].any()


def test_every_cell_has_one_name_or_a_reason():
    columns, truth = cells(5)
    nodes = resolve(POPULATIONS, MARKERS)
    batch = np.full(len(truth), "1")
    name, reason = deepest(apply_gates(columns, batch, nodes, fit_thresholds(columns, batch, nodes)), nodes)
    assert set(name) <= {"T", "Treg", "Tconv", "B", "unassigned"}
    assert np.all((reason == "") == np.isin(name, ["Treg", "Tconv", "B"]))
    assert set(reason[name == "unassigned"]) == {"meets the rule of no population"}
    assert set(reason[name == "T"]) == {"meets the rule of no population of T"}


def test_a_cell_in_two_siblings_is_in_neither_and_says_so():
    tree = [
        Population("A", None, (Condition(("CD3",), "+"),)),
        Population("B", None, (Condition(("CD3",), "+"), Condition(("CD4",), "+"))),
    ]
    columns, truth = cells(6)
    nodes = resolve(tree, MARKERS)
    batch = np.full(len(truth), "1")
    name, reason = deepest(apply_gates(columns, batch, nodes, fit_thresholds(columns, batch, nodes)), nodes)
    both = np.isin(truth, ["Treg", "Tconv"])
    assert np.mean(name[both] == "unassigned") > 0.99
    assert "meets the rules of several populations of cells" in set(reason[both])


TREG = [Population("Treg", None, (Condition(("CD25",), "seed"), Condition(("CD25", "CD127"), "pos", "difference")))]


def test_a_seed_finds_the_diagonal_and_counts_no_more_cells_when_the_marker_brightens():
    """Treg dim in CD25 lie under a CD25 threshold, but over the diagonal: a drug that lifts CD25 makes no Treg."""
    generator = np.random.default_rng(0)
    # naive and effector Treg, Tconv dim in CD25, and cells with neither marker
    kinds = [(100, 2.6, 0.5), (200, 3.4, 0.5), (4000, 1.4, 3.2), (500, 0.1, 0.1)]
    cd25, cd127 = (np.concatenate([generator.normal(k[i], 0.35, k[0]) for k in kinds]).clip(0) for i in (1, 2))
    treg = np.arange(len(cd25)) < 300
    lifted = np.where(treg, cd25 + np.log(2.17), cd25)
    nodes = resolve(TREG, ["CD25", "CD127"])
    columns = {"CD25": np.concatenate([cd25, lifted]), "CD127": np.tile(cd127, 2)}
    batch = np.full(2 * len(cd25), "1")
    thresholds = fit_thresholds(columns, batch, nodes)
    assert list(thresholds["population_parent"])[:2] == ["cells", "cells > CD25+"]
    found = apply_gates(columns, batch, nodes, thresholds)["Treg"]
    before, after = found[: len(cd25)], found[len(cd25) :]
    assert before[treg].mean() > 0.98
    assert after.sum() / before.sum() == pytest.approx(1.0, abs=0.02)
    assert before[~treg].mean() < 0.002
    assert nodes[0].text == "CD25 above noise (CD25 - CD127)+"
    # a cell in the noise of CD25 is no member, however low its CD127
    alone = apply_gates({"CD25": np.array([0.9]), "CD127": np.array([-9.0])}, batch[:1], nodes, thresholds)
    assert not alone["Treg"][0]
    # a threshold set by hand is one that cells must reach, a seed's too
    by_hand = [GateOverride("CD25", 3.0, "Treg")]
    firm = fit_thresholds(columns, batch, nodes, overrides=by_hand)
    members = apply_gates(columns, batch, nodes, firm)["Treg"]
    assert columns["CD25"][members].min() >= 3.0
