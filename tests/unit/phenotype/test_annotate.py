import numpy as np
import pandas as pd
import pytest

from treset.phenotype.annotate import cluster_names, name_clusters
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
