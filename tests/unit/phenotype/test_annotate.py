import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treset.phenotype.annotate import cluster_names, merge_by_tree, name_clusters
from treset.phenotype.tree import resolve
from treset.study.model import Condition, Population

NODES = resolve(
    [
        Population("T", None, (Condition(("CD3",), "+"),)),
        Population("CD4 T", "T", (Condition(("CD4",), "+"),)),
        Population("CD8 T", "T", (Condition(("CD8",), "+"),)),
        Population("B", None, (Condition(("CD19",), "+"),)),
    ],
    {"CD3", "CD4", "CD8", "CD19"},
)


def named(population, min_purity=0.5):
    population = np.array(population, dtype=object)
    values = pd.DataFrame({"CD3": np.linspace(0, 5, len(population))})
    return name_clusters(np.full(len(population), "C01"), population, NODES, values, min_purity).iloc[0]


def test_a_cluster_takes_the_most_specific_population_that_is_pure_enough():
    row = named(["CD4 T"] * 8 + ["CD8 T"] * 2)
    assert (row["population"], row["confidence"], row["n_cells"]) == ("CD4 T", pytest.approx(0.8), 10)


def test_a_cluster_of_two_siblings_takes_their_parent():
    assert named(["CD4 T"] * 5 + ["CD8 T"] * 5, 0.6)["population"] == "T"


def test_a_mixed_cluster_stays_unassigned_with_the_reason():
    row = named(["CD4 T"] * 3 + ["B"] * 3 + ["unassigned"] * 4)
    assert row["population"] == "unassigned"
    assert row["reason"].startswith("no population holds 50% of its cells")


def test_ids_are_as_wide_as_they_need_to_be():
    assert cluster_names(np.array([0, 8]))[1] == "C09"
    assert cluster_names(np.array([0, 120]))[0] == "C001"


def test_the_marker_that_decided_is_the_one_that_the_rest_of_the_parent_lacks():
    generator = np.random.default_rng(0)
    kind = np.repeat(["CD4 T", "CD8 T", "B"], 100)
    level = {"CD3": kind != "B", "CD4": kind == "CD4 T", "CD8": kind == "CD8 T", "CD19": kind == "B"}
    values = pd.DataFrame({m: generator.normal(np.where(up, 5.0, 0.0), 0.1) for m, up in level.items()})
    values.loc[:9, "CD3"] = 0.0  # a tenth of the CD4 cluster has lost CD3
    scopes = [("cells", "CD3"), ("T", "CD4"), ("T", "CD8"), ("cells", "CD19")]
    thresholds = pd.DataFrame(
        [(scope, marker, "", 2.5) for scope, marker in scopes],
        columns=["population_parent", "marker", "batch", "threshold"],
    )
    cluster = np.where(kind == "CD4 T", "C01", np.where(kind == "CD8 T", "C02", "C03"))
    table = name_clusters(cluster, kind.astype(object), NODES, values, 0.5, thresholds=thresholds)
    first = table.set_index("cluster").loc["C01"]
    assert first["population"] == "CD4 T"
    assert first["decided_by"] == "CD4+: 100% of the cluster, 0% of the rest of T"
    assert "fewest meet CD3+ (90%)" in first["evidence"]


def test_evidence_of_a_diagonal_is_read_on_the_difference():
    rules = (Condition(("CD25",), "seed"), Condition(("CD25", "CD127"), "pos", "difference"))
    nodes = resolve([Population("Treg", None, rules)], {"CD25", "CD127"})
    # the mean of both markers is the same in all cells, their difference is not
    values = pd.DataFrame({"CD25": np.repeat([3.0, 1.5], 50), "CD127": np.repeat([0.0, 1.5], 50)})
    thresholds = pd.DataFrame(
        [("cells", "CD25", "", 2.0), ("cells > CD25+", "CD25 - CD127", "", 1.0)],
        columns=["population_parent", "marker", "batch", "threshold"],
    )
    cluster, population = np.repeat(["C01", "C02"], 50), np.repeat(np.array(["Treg", "unassigned"], dtype=object), 50)
    first = name_clusters(cluster, population, nodes, values, 0.5, thresholds=thresholds).iloc[0]
    assert first["decided_by"] == "(CD25 - CD127)+: 100% of the cluster, 0% of the rest of all cells"


def test_confidence_is_weighted():
    population = np.array(["CD4 T"] * 6 + ["CD8 T"] * 4, dtype=object)
    weight = np.array([0.5] * 6 + [2.0] * 4)
    values = pd.DataFrame({"CD3": np.linspace(0, 5, 10)})
    row = name_clusters(np.full(10, "C01"), population, NODES, values, 0.5, weight=weight).iloc[0]
    assert (row["population"], row["confidence"], row["n_cells"]) == ("CD8 T", pytest.approx(8 / 11), 10)


def test_a_rare_population_that_the_clusters_missed_gets_a_cluster_of_its_own():
    coarse = np.zeros(500, int)
    fine = np.repeat([0, 1, 2], [300, 190, 10])
    population = np.repeat(np.array(["CD4 T", "CD4 T", "B"], dtype=object), [300, 190, 10])
    merged = merge_by_tree(coarse, fine, population, NODES, 0.5)
    # the two small clusters of one name are one again, the ten B cells stand apart
    assert len(set(merged[:490].tolist())) == 1 and len(set(merged.tolist())) == 2


def test_subsets_that_the_tree_does_not_know_stay_apart_but_for_fragments():
    coarse = np.repeat([0, 1, 2], [500, 400, 10])
    population = np.array(["CD4 T"] * 910, dtype=object)
    merged = merge_by_tree(coarse, np.arange(910) // 5, population, NODES, 0.5)
    assert merged[0] != merged[600]
    assert set(merged[900:].tolist()) == {merged[0]}  # 10 of 910 is under 5 %


def test_a_name_with_four_cells_in_all_makes_no_cluster():
    coarse = np.repeat([0, 1], [300, 200])
    population = np.array(["CD4 T"] * 300 + ["CD8 T"] * 196 + ["B"] * 4, dtype=object)
    merged = merge_by_tree(coarse, np.repeat([0, 1, 2], [300, 196, 4]), population, NODES, 0.5)
    assert set(merged[496:].tolist()) == {merged[300]} and len(set(merged.tolist())) == 2


def test_pieces_that_no_population_claims_stay_apart():
    coarse = np.repeat([0, 1], [2000, 40])
    nobody = np.array(["unassigned"] * 2040, dtype=object)
    assert len(set(merge_by_tree(coarse, coarse, nobody, NODES, 0.5).tolist())) == 2


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_merging_keeps_every_cell_and_never_joins_two_names(seed):
    generator = np.random.default_rng(seed)
    fine, coarse = generator.integers(0, 12, 200), generator.integers(0, 3, 200)
    names = np.array(["CD4 T", "CD8 T", "B", "unassigned"], dtype=object)
    population = names[(fine + (generator.random(200) < 0.1)) % 4]
    merged = merge_by_tree(coarse, fine, population, NODES, 0.5)
    values = pd.DataFrame({"CD3": np.linspace(0, 5, 200)})
    small = name_clusters(fine.astype(str), population, NODES, values, 0.5).set_index("cluster")["population"]
    name = np.array([small[str(f)] for f in fine])
    assert len(merged) == 200 and sorted(set(merged.tolist())) == list(range(merged.max() + 1))
    assert all(len(set(name[merged == k].tolist())) == 1 for k in set(merged.tolist()))
