"""Gates out as GatingML 2.0 and back; FlowKit, where it is installed, reads the same cells out of the file."""

import numpy as np
import pandas as pd
import pytest

from treset.errors import TresetError
from treset.io.gatingml import Asinh, Dimension, Intersection, Polygon, Rectangle, Unread, read_gatingml, write_gatingml
from treset.phenotype.gate_export import Axis, export_gates, half_plane
from treset.phenotype.gate_import import import_gates
from treset.phenotype.gates import apply_gates, fit_thresholds
from treset.phenotype.tree import resolve
from treset.study.model import Condition, GateOverride, Population

TREE = [
    Population("T cells", None, (Condition(("CD3",), "+"),)),
    Population("CD4 T", "T cells", (Condition(("CD4",), "+"),)),
    Population("Treg", "CD4 T", (Condition(("CD25",), "seed"), Condition(("CD25", "CD127"), "pos", "difference"))),
    Population("Tconv", "CD4 T", (), without=("Treg",)),
    Population("B/other", None, (Condition(("CD3",), "-"),)),
]
MARKERS = ["CD3", "CD4", "CD25", "CD127"]
AXES = {marker: Axis(f"Ch{i}Di", 5.0) for i, marker in enumerate(MARKERS)}
NODES = resolve(TREE, MARKERS)


@pytest.fixture(scope="module")
def cells():
    """Raw ion counts (n, 4)."""
    generator = np.random.default_rng(0)
    kinds = [(150, 180, 150, 60, 6), (2000, 180, 150, 7, 45), (1000, 180, 1, 1, 30), (800, 1, 1, 8, 1)]
    expected = np.concatenate([
        np.array(medians) * np.exp(generator.normal(0, 0.42, (n, 4))) for n, *medians in kinds
    ])  # fmt: skip
    return np.maximum(generator.poisson(expected) - generator.random(expected.shape), 0)


@pytest.fixture(scope="module")
def gated(cells):
    columns = {m: np.arcsinh(cells[:, i] / 5.0) for i, m in enumerate(MARKERS)}
    batch = np.full(len(cells), "1")
    thresholds = fit_thresholds(columns, batch, NODES)
    return columns, batch, thresholds, apply_gates(columns, batch, NODES, thresholds)


def test_asinh_of_a_cofactor_is_arcsinh():
    scale = Asinh.of_cofactor(5.0)
    # Gating-ML 2.0, section 6.4: (asinh(x sinh(M ln 10) / T) + A ln 10) / ((M + A) ln 10)
    raw = np.array([-3.0, 0.0, 12.0, 4000.0])
    top = np.arcsinh(raw * np.sinh(scale.m * np.log(10)) / scale.t) + scale.a * np.log(10)
    np.testing.assert_allclose(top / ((scale.m + scale.a) * np.log(10)), np.arcsinh(raw / 5.0))
    assert scale.inverse(np.arcsinh(12.0 / 5.0)) == pytest.approx(12.0)
    # the specification's usual parameters
    assert Asinh(1000.0, 4.0, 1.0).inverse(1.0) == pytest.approx(1000.0)


def test_out_and_back_are_the_same_cells(gated, tmp_path):
    columns, batch, thresholds, masks = gated
    done = export_gates(NODES, thresholds, AXES)
    assert done.left_out == []
    write_gatingml(done.gates, tmp_path / "gates.xml", "a note")
    back = import_gates(read_gatingml(tmp_path / "gates.xml"), {a.channel: (m, a.cofactor) for m, a in AXES.items()})
    assert back.refused == []
    names = [entry["name"] for entry in back.populations]
    # a name with a slash cannot be a population: the gate's id stands in
    assert names == ["T cells", "B_other", "CD4 T", "Treg", "Tconv"]
    tree = [
        Population(
            entry["name"], entry.get("parent"),
            tuple(
                Condition(tuple(k.split(" - ")), level, "difference" if " - " in k else "first")
                for k, level in entry["rule"].items()
            ),
            tuple(entry.get("without", ())),
        )
        for entry in back.populations
    ]  # fmt: skip
    nodes = resolve(tree, MARKERS)
    again = fit_thresholds(columns, batch, nodes, overrides=[GateOverride(**o) for o in back.overrides])
    found = apply_gates(columns, batch, nodes, again)
    for name in ("T cells", "CD4 T", "Treg", "Tconv"):
        np.testing.assert_array_equal(found[name], masks[name], err_msg=name)
    np.testing.assert_array_equal(found["B_other"], masks["B/other"])


def test_flowkit_reads_the_same_cells(gated, cells, tmp_path):
    flowkit = pytest.importorskip("flowkit", reason="FlowKit is not installed (it asks for pandas < 3)")
    _, _, thresholds, masks = gated
    done = export_gates(NODES, thresholds, AXES)
    write_gatingml(done.gates, tmp_path / "gates.xml", "a note")
    strategy = flowkit.parse_gating_xml(str(tmp_path / "gates.xml"))
    table = pd.DataFrame(cells, columns=[AXES[m].channel for m in MARKERS])
    result = strategy.gate_sample(flowkit.Sample(table, sample_id="s"))
    for gate, name in {"T_cells": "T cells", "CD4_T": "CD4 T", "Treg": "Treg", "Tconv": "Tconv"}.items():
        theirs = np.asarray(result.get_gate_membership(gate), dtype=bool)
        # FlowKit keeps events in single precision: a cell on the threshold may change sides
        assert (theirs != masks[name]).sum() <= 1


def test_the_file_is_valid_by_the_schema_of_the_standard(gated, tmp_path):
    etree = pytest.importorskip("lxml.etree", reason="lxml is not installed")
    flowkit = pytest.importorskip("flowkit", reason="FlowKit, which carries the schema, is not installed")
    from pathlib import Path

    done = export_gates(NODES, gated[2], AXES)
    write_gatingml(done.gates, tmp_path / "gates.xml", "a note")
    folder = Path(flowkit.__file__).parent / "_resources"
    schema = etree.XMLSchema(etree.parse(str(folder / "Gating-ML.v2.0.xsd")))
    schema.assertValid(etree.parse(str(tmp_path / "gates.xml")))


@pytest.mark.parametrize("above", [True, False])
@pytest.mark.parametrize("limit", [-2.5, 0.0, 1.3])
def test_the_corners_of_a_diagonal_hold_the_cells_on_its_side(limit, above):
    from matplotlib.path import Path

    x, y = np.random.default_rng(1).uniform(-6, 12, (2, 500))
    inside = Path(half_plane(limit, above)).contains_points(np.column_stack([x, y]))
    np.testing.assert_array_equal(inside, (y - x >= limit) == above)


def test_what_no_gate_can_be_is_said(gated):
    thresholds = gated[2].copy()
    lost = (thresholds["population_parent"] == "T cells") & (thresholds["marker"] == "CD4")
    thresholds.loc[lost, "threshold"] = np.nan
    done = export_gates(NODES, thresholds, AXES)
    assert [gate.id for gate in done.gates] == ["T_cells", "B_other"]
    assert done.left_out[0] == "CD4 T is not exported: no threshold was found for CD4"
    assert done.left_out[1] == "Treg is not exported: CD4 T is not, on which it rests"
    few = export_gates(NODES, gated[2], {m: AXES[m] for m in MARKERS if m != "CD127"})
    assert any("no channel of CD127 is known" in sentence for sentence in few.left_out)


SCALE = Asinh.of_cofactor(5.0)
PANEL = {"A": ("CD3", 5.0), "B": ("CD19", 150.0)}


def test_a_bound_on_another_scale_is_brought_over_by_its_raw_intensity():
    linear = Rectangle("lymph", None, (Dimension("A", None, low=50.0), Dimension("B", SCALE, high=2.0)))
    found = import_gates([linear], PANEL)
    assert found.populations == [
        {"name": "lymph", "rule": {"CD3": "hi", "CD19": "lo"}, "source": "GatingML gate lymph"}
    ]
    assert found.overrides[0]["threshold"] == pytest.approx(np.arcsinh(50.0 / 5.0))
    assert found.overrides[1]["threshold"] == pytest.approx(np.arcsinh(5.0 * np.sinh(2.0) / 150.0))


@pytest.mark.parametrize(
    ("gate", "because"),
    [
        (Rectangle("g", None, (Dimension("A", SCALE, 1.0, 2.0),)), "two bounds on CD3"),
        (Rectangle("g", None, (Dimension("FSC-A", None, 1.0),)), "no lineage or state marker"),
        (Rectangle("g", None, (Dimension("A", SCALE, 1.0, None, "M1"),)), "compensated by the matrix M1"),
        (Rectangle("g", "gone", (Dimension("A", SCALE, 1.0),)), "there is no gate gone"),
        (Polygon("g", None, (Dimension("A", SCALE), Dimension("B", SCALE)), ((0, 0), (1, 2), (2, 0))), "a polygon"),
        (Unread("g", None, "it is a EllipsoidGate"), "EllipsoidGate"),
        (Intersection("g", None, ("x", "y"), ()), "there is no gate x"),
    ],
)
def test_what_no_rule_can_be_is_refused_with_what_rests_on_it(gate, because):
    child = Rectangle("child", "g", (Dimension("A", SCALE, 1.0),))
    found = import_gates([gate, child], PANEL)
    assert found.populations == []
    assert because in found.refused[0]
    assert found.refused[1] == "child is not imported: g is not, on which it rests"


def test_parents_in_a_circle_end():
    one, two = (Rectangle(a, b, (Dimension("A", SCALE, 1.0),)) for a, b in (("a", "b"), ("b", "a")))
    assert [sentence.split(":")[1] for sentence in import_gates([one, two], PANEL).refused] == [
        " its parents run in a circle"
    ] * 2


def test_gates_on_the_files_own_compensation_are_listed():
    gate = Rectangle("g", None, (Dimension("A", SCALE, 1.0, None, "FCS"),))
    assert import_gates([gate], PANEL).compensated == ["g"]


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("no xml", "is no XML file"),
        ("<Workspace/>", "no GatingML 2.0"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a/>', "document type or entities"),
        (
            '<g:Gating-ML xmlns:g="http://www.isac-net.org/std/Gating-ML/v2.0/gating" '
            'xmlns:d="http://www.isac-net.org/std/Gating-ML/v2.0/datatypes"><g:RectangleGate g:id="x">'
            '<g:dimension g:min="high"><d:fcs-dimension d:name="A"/></g:dimension></g:RectangleGate></g:Gating-ML>',
            "expected a number",
        ),
    ],
)
def test_a_file_that_is_none_is_a_sentence(text, because, tmp_path):
    (tmp_path / "gates.xml").write_text(text, encoding="utf-8")
    with pytest.raises(TresetError, match=because):
        read_gatingml(tmp_path / "gates.xml")
