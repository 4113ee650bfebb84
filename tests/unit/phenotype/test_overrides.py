import numpy as np
import pytest

from treset.errors import TresetError
from treset.phenotype.gates import apply_gates, fit_thresholds
from treset.phenotype.tree import resolve
from treset.study.model import Condition, GateOverride, Population

NODES = resolve(
    [
        Population("T", None, (Condition(("CD3",), "+"),)),
        Population("Treg", "T", (Condition(("CD25",), "hi"),)),
        Population("B", None, (Condition(("CD3",), "-"), Condition(("CD25",), "-"))),
    ],
    ["CD3", "CD25"],
)


def draw():
    generator = np.random.default_rng(0)
    columns = {
        m: np.concatenate([generator.normal(0.5, 0.3, 900), generator.normal(4, 0.4, 900)]) for m in ("CD3", "CD25")
    }
    columns["CD25"] = generator.permutation(columns["CD25"])
    return columns, np.tile(["a", "b"], 900), np.tile(["s1", "s2", "s1", "s3"], 450)


def fit(*overrides):
    columns, batch, sample = draw()
    table = fit_thresholds(columns, batch, NODES, sample=sample, overrides=overrides)
    return columns, batch, sample, table


def found(table, marker):
    rows = table[table["marker"] == marker]
    return {
        (p, b, s): (t, m)
        for p, b, s, t, m in zip(
            rows["population_parent"], rows["batch"], rows["sample"], rows["threshold"], rows["method"], strict=True
        )
    }


def test_an_override_of_a_marker_holds_wherever_it_is_cut():
    *_, table = fit(GateOverride("CD25", 3.0))
    assert set(found(table, "CD25").values()) == {(3.0, "manual")}
    assert {method for _, method in found(table, "CD3").values()} == {"valley"}


def test_an_override_for_a_population_leaves_the_others():
    for name in ("Treg", "T > Treg"):
        *_, table = fit(GateOverride("CD25", 3.0, population=name))
        cut = found(table, "CD25")
        assert cut["T > Treg", "", ""] == (3.0, "manual")
        assert cut["cells", "", ""][1] != "manual"


def test_the_more_specific_override_wins_whatever_their_order():
    *_, table = fit(
        GateOverride("CD3", 1.0, sample="s3"), GateOverride("CD3", 2.0, batch="b"), GateOverride("CD3", 3.0)
    )
    assert found(table, "CD3") == {
        ("cells", "", ""): (3.0, "manual"),
        ("cells", "a", ""): (3.0, "manual"),
        ("cells", "b", ""): (2.0, "manual"),
        ("cells", "", "s3"): (1.0, "manual"),
    }


def test_cells_are_gated_by_their_own_samples_threshold():
    columns, batch, sample, table = fit(GateOverride("CD3", 9.0, sample="s2"))
    inside = apply_gates(columns, batch, NODES, table, sample)["T"]
    assert not inside[sample == "s2"].any()
    assert inside[sample == "s3"].mean() == pytest.approx(0.5, abs=0.05)


def test_an_override_that_matches_nothing_is_an_error():
    with pytest.raises(TresetError, match=r"CD4.*no rule of the tree reads.*CD25, CD3"):
        fit(GateOverride("CD4", 1.0))
    with pytest.raises(TresetError, match="CD25 for Monocytes"):
        fit(GateOverride("CD25", 1.0, population="Monocytes"))
