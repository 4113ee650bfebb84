import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from treset.compute import open_backend
from treset.phenotype import gates, rna
from treset.phenotype.mixture import cut_pooled, split
from treset.phenotype.rna_calls import confidence, membership
from treset.phenotype.tree import Node, Rule, resolve
from treset.study.model import Condition, Population

CPU = open_backend("cpu")


def population(name, parent, rule, without=()):
    conditions = tuple(Condition(tuple(k.split(",")), v, "mean" if "," in k else "first") for k, v in rule.items())
    return Population(name, parent, conditions, without)


TREE = (
    population("T", None, {"CD3D,CD3E": "+"}),
    population("CD4 T", "T", {"CD8A": "-"}),
    population("Treg", "CD4 T", {"FOXP3,IL2RA": "hi"}),
    population("Tconv", "CD4 T", {}, ("Treg",)),
    population("CD8 T", "T", {"CD8A": "+"}),
    population("B", None, {"CD79A": "+"}),
)


def blood(seed, n=900):
    """Half B, half T; of the T cells a third CD8, a tenth Treg; markers drop out, 40 programme genes tell each type."""
    generator = np.random.default_rng(seed)
    kind = generator.choice(["B", "CD8", "Treg", "CD4"], n, p=[0.4, 0.2, 0.08, 0.32])
    genes = ["CD3D", "CD3E", "CD8A", "FOXP3", "IL2RA", "CD79A", *(f"g{i}" for i in range(160))]
    rate = np.full((n, len(genes)), 0.02)
    rate[:, 6:] = 0.3
    for name, columns, block in (("B", [5], 0), ("CD8", [0, 1, 2], 1), ("Treg", [0, 1], 2), ("CD4", [0, 1], 3)):
        rows = np.flatnonzero(kind == name)
        rate[np.ix_(rows, columns)] = 1.0
        rate[np.ix_(rows, range(6 + 40 * block, 46 + 40 * block))] = 1.5
    rate[np.ix_(np.flatnonzero(kind == "Treg"), [3, 4])] = 0.3
    return sparse.csr_matrix(np.log1p(generator.poisson(rate)).astype(np.float32)), genes, kind


def fitted(seed=0):
    x, genes, kind = blood(seed)
    space = CPU.pca(x, 10, 0).scores
    neighbors = CPU.knn(space, space, 15)[0]
    nodes, batch = resolve(TREE, genes, str), np.full(x.shape[0], "1")
    return x, genes, kind, neighbors, batch, nodes, rna.fit(x, genes, neighbors, batch, nodes, CPU, seed=0)


def test_a_rule_is_read_in_the_space_of_the_nearest_population_above_all_that_read_it():
    nodes = resolve(TREE, blood(0)[1], str)
    assert rna.scopes(nodes) == {"CD3D,CD3E": "cells", "CD8A": "T", "FOXP3,IL2RA": "CD4 T", "CD79A": "cells"}


def test_a_rule_read_on_two_branches_is_read_at_their_common_ancestor():
    tree = (*TREE, population("B act", "B", {"IL2RA": "+"}), population("Treg act", "Treg", {"IL2RA": "+"}))
    assert rna.scopes(resolve(tree, blood(0)[1], str))["IL2RA"] == "cells"


def test_pooling_finds_cells_whose_own_transcripts_dropped_out():
    x, _, kind, _, batch, nodes, (pooled, thresholds, spaces) = fitted()
    single, _ = rna.joined(nodes)
    called, _ = gates.deepest(gates.apply_gates(pooled.columns, batch, single, thresholds), single)
    treg = kind == "Treg"
    silent = treg & (np.asarray(x[:, [3, 4]].sum(axis=1)).ravel() == 0)
    assert silent.sum() > 20
    assert (called[silent] == "Treg").mean() > 0.9
    assert (called[~treg] == "Treg").mean() < 0.02
    assert [space.population for space in spaces] == ["T", "CD4 T"]
    assert np.mean(called[kind == "B"] == "B") > 0.99


def test_mapped_cells_are_read_as_the_sketch_was():
    x, genes, _, neighbors, batch, nodes, (_, thresholds, spaces) = fitted()
    new, _, kind = blood(7)
    components = CPU.pca(x, 10, 0)
    place = (new @ components.components.T - components.mean @ components.components.T).astype(np.float32)
    around = CPU.knn(components.scores, place, 14)[0]
    pooled = rna.read(new, genes, x, around, batch, nodes, thresholds, spaces, CPU)
    single, _ = rna.joined(nodes)
    called, _ = gates.deepest(gates.apply_gates(pooled.columns, batch, single, thresholds), single)
    assert (called[kind == "Treg"] == "Treg").mean() > 0.9
    assert (called[kind == "CD4"] == "Tconv").mean() > 0.95
    del neighbors


def test_the_same_seed_gives_the_same_bytes():
    first, second = fitted()[-1], fitted()[-1]
    assert first[1].equals(second[1])
    assert all(first[0].columns[c].tobytes() == second[0].columns[c].tobytes() for c in first[0].columns)


def test_enriched_is_the_mean_and_two_and_a_half_standard_errors():
    values = np.array([0.0, 0.0, 1.0, 1.0])
    assert rna.enriched(values, 25) == pytest.approx(0.5 + 2.5 * 0.5 / 5)


def test_membership_is_the_normal_probability_of_the_weakest_rule():
    nodes = [
        Node("A", "cells", (Rule(("x",), "+"),), (), "", ""),
        Node("A1", "A", (Rule(("y",), "-"),), (), "", ""),
        Node("A2", "A", (), ("A1",), "", ""),
    ]
    pooled = rna.Pooled({"x": np.array([2.0]), "y": np.array([0.5])}, {"x": np.array([0.5]), "y": np.array([0.5])})
    thresholds = pd.DataFrame(
        [("cells", "x", "", 1.0), ("A", "y", "", 1.0)], columns=["population_parent", "marker", "batch", "threshold"]
    )
    sure = membership(pooled, np.array(["1"]), nodes, thresholds)
    # by hand: pnorm(2) and pnorm(1) of R
    assert sure["A"][0] == pytest.approx(0.9772499)
    assert sure["A1"][0] == pytest.approx(0.8413447)
    assert sure["A2"][0] == pytest.approx(1 - 0.8413447)
    assert confidence(sure, np.array(["A1"], dtype=object))[0] == pytest.approx(0.8413447)
    assert np.isnan(confidence(sure, np.array(["unassigned"], dtype=object))[0])


def test_a_cell_with_a_threshold_that_was_not_found_belongs_to_no_side():
    nodes = [Node("A", "cells", (Rule(("x",), "+"),), (), "", ""), Node("B", "cells", (Rule(("x",), "-"),), (), "", "")]
    thresholds = pd.DataFrame(
        [("cells", "x", "", np.nan)], columns=["population_parent", "marker", "batch", "threshold"]
    )
    pooled = rna.Pooled({"x": np.ones(1)}, {"x": np.ones(1)})
    sure = membership(pooled, np.array(["1"]), nodes, thresholds)
    assert sure["A"][0] == 0.0 and sure["B"][0] == 0.0


@pytest.mark.parametrize("draw", ["normal", "exponential", "standard_gamma", "lognormal"])
def test_one_mode_is_not_split(draw):
    generator = np.random.default_rng(3)
    shape = {"standard_gamma": (2.0,), "lognormal": (0.0, 0.5)}.get(draw, ())
    assert split(getattr(generator, draw)(*shape, size=1500)) is None


def test_two_overlapping_modes_are_split_where_they_are_equally_likely():
    generator = np.random.default_rng(0)
    values = np.concatenate([generator.normal(0.5, 0.2, 1000), generator.normal(1.5, 0.2, 1000)])
    found = split(values)
    assert found.method == "mixture"
    assert found.value == pytest.approx(1.0, abs=0.03)
    # Ashman's D of the parameters drawn from: sqrt(2) / sqrt(0.04 + 0.04)
    assert found.separation == pytest.approx(5.0, abs=0.3)


def test_too_few_cells_take_the_threshold_of_the_whole_parent():
    generator = np.random.default_rng(0)
    wide = np.concatenate([generator.normal(0.2, 0.05, 500), generator.normal(2.0, 0.1, 500)])
    assert 0.4 < cut_pooled(wide[:10], "lo", wider=wide, floor=0.05, min_distance=0.2).value < 1.8
