import numpy as np
import pandas as pd
import pytest

from treset.phenotype.measures import (
    ROW_COLUMNS,
    Values,
    cluster_groups,
    gate_groups,
    resized,
    sample_rows,
)
from treset.phenotype.tree import resolve
from treset.study.model import Condition, Population

NODES = resolve(
    [
        Population("CD4 T", None, (Condition(("CD4",), "+"),)),
        Population("Treg", "CD4 T", (Condition(("CD25",), "hi"),)),
        Population("Tconv", "CD4 T", (), without=("Treg",)),
        Population("B", None, (Condition(("CD19",), "+"),)),
    ],
    {"CD4", "CD25"},
)
CD4 = np.array([1, 1, 1, 1, 0, 0, 0, 0], bool)
TREG = np.array([1, 0, 0, 0, 0, 0, 0, 0], bool)
MASKS = {"cells": np.ones(8, bool), "CD4 T": CD4, "Treg": TREG, "Tconv": CD4 & ~TREG}
VALUES = Values({"CD25": np.arange(8.0)}, {"CD25": np.arange(8) >= 2}, {"Activation": np.arange(8.0) / 10})


def rows(groups, origin="gate"):
    table = sample_rows("S1", origin, groups, VALUES, 8)
    assert list(table.columns) == ROW_COLUMNS
    return table.set_index(["population", "measure", "marker"])


def test_shares_medians_and_ratios():
    table = rows(gate_groups(MASKS, NODES))
    assert table.loc[("cells", "count", ""), "value"] == 8
    assert table.loc[("CD4 T", "percent_of_total", ""), "value"] == 50
    assert table.loc[("Treg", "percent_of_parent", ""), ["value", "n_cells"]].tolist() == [25, 4]
    assert table.loc[("Tconv", "median", "CD25"), ["value", "n_cells"]].tolist() == [2, 3]
    assert table.loc[("CD4 T", "percent_positive", "CD25"), "value"] == 50
    assert table.loc[("Tconv", "signature", "Activation"), "value"] == pytest.approx(0.2)
    assert table.loc[("Treg", "ratio", "Tconv"), "value"] == pytest.approx(1 / 3)


def test_a_population_that_cannot_be_measured_has_no_row():
    assert "B" not in rows(gate_groups(MASKS, NODES)).index.get_level_values("population")


def test_an_empty_population_has_count_zero_and_no_median():
    masks = {**MASKS, "Treg": np.zeros(8, bool), "Tconv": CD4}
    table = rows(gate_groups(masks, NODES))
    assert table.loc[("Treg", "count", ""), "value"] == 0
    assert table.loc[("Treg", "percent_of_parent", ""), "value"] == 0
    assert np.isnan(table.loc[("Treg", "median", "CD25"), "value"])
    assert np.isnan(table.loc[("Treg", "percent_positive", "CD25"), "value"])


def test_a_named_population_by_clusters_holds_its_descendants_clusters():
    names = pd.DataFrame({"cluster": ["C01", "C02", "C03"], "population": ["Tconv", "Treg", "unassigned"]})
    cluster = np.array(["C01", "C01", "C02", "C01", "C03", "C03", "", "C03"], dtype=object)
    table = rows(cluster_groups(cluster, names, NODES), "cluster")
    assert table.loc[("CD4 T", "count", ""), "value"] == 4
    assert table.loc[("Treg", "percent_of_parent", ""), "value"] == 25
    assert table.loc[("C01", "percent_of_parent", ""), "value"] == 100
    assert table.loc[("C03", "percent_of_total", ""), "value"] == pytest.approx(37.5)
    assert ("C03", "percent_of_parent", "") not in table.index


def test_estimated_sizes_move_shares_and_ratios_and_leave_medians():
    names = pd.DataFrame({"cluster": ["C01", "C02", "C03"], "population": ["Tconv", "Treg", "unassigned"]})
    cluster = np.array(["C01", "C01", "C02", "C01", "C03", "C03", "", "C03"], dtype=object)
    sizes = {"Tconv": 2.5, "Treg": 1.5, "unassigned": 3.0}
    table = rows(resized(cluster_groups(cluster, names, NODES), NODES, sizes), "adjusted")
    assert table.loc[("CD4 T", "count", ""), ["value", "n_cells"]].tolist() == [4, 4]
    assert table.loc[("Treg", "percent_of_parent", ""), ["value", "n_cells"]].tolist() == [37.5, 4]
    assert table.loc[("Treg", "percent_of_total", ""), ["value", "n_cells"]].tolist() == [18.75, 8]
    assert table.loc[("Treg", "count", ""), "value"] == 2
    assert table.loc[("Treg", "ratio", "Tconv"), "value"] == pytest.approx(0.6)
    assert table.loc[("Treg", "median", "CD25"), ["value", "n_cells"]].tolist() == [2, 1]
    assert "C01" not in table.index.get_level_values("population")
