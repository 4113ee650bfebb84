import numpy as np
import pytest

from treset.phenotype.concordance import concordance
from treset.phenotype.tree import resolve
from treset.study.model import Condition, Population

NODES = resolve(
    [
        Population("T", None, (Condition(("CD3",), "+"),)),
        Population("CD4 T", "T", (Condition(("CD4",), "+"),)),
        Population("B", None, (Condition(("CD19",), "+"),)),
        Population("NK", None, (Condition(("CD56",), "+"),)),
    ],
    {"CD3", "CD4", "CD19"},
)
GATE = np.array(["CD4 T"] * 4 + ["T"] * 2 + ["B"] * 3 + ["unassigned"], dtype=object)
CLUSTER = np.array(["CD4 T"] * 3 + ["T"] * 3 + ["CD4 T"] + ["unassigned"] * 3, dtype=object)
MASKS = {"cells": np.ones(10, bool), "T": np.isin(GATE, ["T", "CD4 T"]), "CD4 T": GATE == "CD4 T", "B": GATE == "B"}


def test_precision_recall_and_f1_by_hand():
    table = concordance(MASKS, GATE, CLUSTER, NODES).set_index("population")
    cd4 = table.loc["CD4 T"]
    assert (cd4["gate_cells"], cd4["cluster_cells"], cd4["both"]) == (4, 4, 3)
    assert (cd4["precision"], cd4["recall"], cd4["f1"]) == (0.75, 0.75, 0.75)
    # a parent holds the clusters of its descendants: 7 cells, of which 6 are T by gate, which are all
    assert (table.loc["T", "precision"], table.loc["T", "recall"]) == (pytest.approx(6 / 7), 1.0)


def test_a_population_without_a_cluster_has_no_precision_and_says_why():
    row = concordance(MASKS, GATE, CLUSTER, NODES).set_index("population").loc["B"]
    assert np.isnan(row["precision"]) and row["recall"] == 0.0 and np.isnan(row["f1"])
    assert row["note"] == "no cluster is named after it"


def test_a_population_that_cannot_be_measured_has_no_row():
    assert "NK" not in set(concordance(MASKS, GATE, CLUSTER, NODES)["population"])


def test_the_index_over_all_cells_is_in_the_roots_row():
    from sklearn.metrics import adjusted_rand_score

    table = concordance(MASKS, GATE, CLUSTER, NODES)
    assert table.loc[0, "population"] == "cells"
    assert table.loc[0, "ari"] == pytest.approx(adjusted_rand_score(GATE.astype(str), CLUSTER.astype(str)))
    assert table["ari"].iloc[1:].isna().all()


def test_weights_count_a_cell_as_many():
    weight = np.array([3, 1, 1, 1, 1, 1, 2, 1, 1, 1])
    light = concordance(MASKS, GATE, CLUSTER, NODES, weight.astype(float)).set_index("population")
    many = np.repeat(np.arange(10), weight)
    heavy = concordance({k: v[many] for k, v in MASKS.items()}, GATE[many], CLUSTER[many], NODES)
    heavy = heavy.set_index("population")
    for column in ("precision", "recall", "f1", "ari"):
        assert light[column].to_numpy() == pytest.approx(heavy[column].to_numpy(), nan_ok=True)


def test_what_the_vote_takes_from_a_population_is_told():
    voted = np.array(["CD4 T"] * 2 + ["T"] * 4 + ["CD4 T"] + ["unassigned"] * 3, dtype=object)
    assert concordance(MASKS, GATE, CLUSTER, NODES)["vote_ratio"].isna().all()
    table = concordance(MASKS, GATE, CLUSTER, NODES, None, voted).set_index("population")
    # three of four cells by cluster; a parent keeps what moves within it; no cluster, no ratio
    assert table.loc["CD4 T", "vote_ratio"] == 0.75 and table.loc["T", "vote_ratio"] == 1.0
    assert np.isnan(table.loc["B", "vote_ratio"])
    weight = np.array([1, 1, 2, 1, 1, 1, 1, 1, 1, 1], dtype=float)
    table = concordance(MASKS, GATE, CLUSTER, NODES, weight, voted).set_index("population")
    assert table.loc["CD4 T", "vote_ratio"] == pytest.approx(3 / 5)
