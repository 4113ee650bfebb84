import pytest

from treset.errors import TresetError
from treset.phenotype.tree import ancestors, resolve, rule_markers
from treset.study.model import Condition, Population


def population(name, parent=None, rule=(), without=(), optional=()):
    conditions = [Condition(tuple(k.split("|")), level) for k, level in rule]
    conditions += [Condition((k,), level, optional=True) for k, level in optional]
    return Population(name, parent, tuple(conditions), tuple(without))


T = population("T", rule=[("CD3", "+"), ("CD19|CD20", "-")])
CD4 = population("CD4 T", "T", [("CD4", "+")])
TREG = population("Treg", "CD4 T", [("CD127", "lo"), ("CD25", "hi")], optional=[("FOXP3", "+")])
TCONV = population("Tconv", "CD4 T", without=["Treg"])
NAIVE = population("CD4 naive", "Tconv", [("CD45RA", "+")])
TREE = [NAIVE, TCONV, TREG, CD4, T]  # children first: the order of the file does not matter


def by_name(nodes):
    return {node.name: node for node in nodes}


def test_parents_come_first_and_alternatives_take_the_first_that_was_measured():
    nodes = resolve(TREE, {"CD3", "CD20", "CD4", "CD25", "CD127", "CD45RA"})
    names = [node.name for node in nodes]
    assert names.index("T") < names.index("CD4 T") < names.index("Treg") < names.index("Tconv")
    assert by_name(nodes)["T"].text == "CD3+ CD20-"
    assert all(node.measurable for node in nodes)
    assert ancestors(nodes, "Treg") == ["CD4 T", "T", "cells"]


def test_an_optional_marker_that_is_missing_is_noted():
    treg = by_name(resolve(TREE, {"CD3", "CD19", "CD4", "CD25", "CD127"}))["Treg"]
    assert treg.measurable and treg.notes == ("FOXP3 was not measured and is passed over",)


def test_a_missing_marker_makes_the_population_and_its_children_not_measurable():
    nodes = by_name(resolve(TREE, {"CD3", "CD19", "CD25", "CD127", "CD45RA"}))
    assert nodes["CD4 T"].reason == "CD4 was not measured"
    assert nodes["Treg"].reason == "its parent CD4 T is not measurable: CD4 was not measured"


def test_what_is_only_told_by_a_sibling_that_cannot_be_measured_is_not_measurable_but_its_children_are():
    nodes = by_name(resolve(TREE, {"CD3", "CD19", "CD4", "CD45RA"}))
    assert nodes["Tconv"].reason == "it is CD4 T without Treg, which cannot be measured here"
    assert nodes["CD4 naive"].measurable
    assert nodes["CD4 naive"].parent == "CD4 T"
    assert "Tconv cannot be told from CD4 T here" in nodes["CD4 naive"].notes[0]


def test_markers_of_the_rules_are_those_of_measurable_populations():
    assert rule_markers(resolve(TREE, {"CD3", "CD19", "CD25"})) == ["CD19", "CD3"]


@pytest.mark.parametrize(
    "tree",
    [
        [population("A", "B")],
        [population("A", "B"), population("B", "A")],
        [population("A", without=["C"])],
    ],
)
def test_a_tree_that_does_not_lead_to_the_root_is_an_error(tree):
    with pytest.raises(TresetError, match="A"):
        resolve(tree, {"CD3"})


DIAGONAL = Population("Treg", "CD4 T", (Condition(("CD25",), "+"), Condition(("CD25", "CD127"), "pos", "difference")))


def test_a_difference_needs_both_markers():
    whole = {"CD3", "CD19", "CD4", "CD25", "CD127"}
    treg = by_name(resolve([T, CD4, DIAGONAL], whole))["Treg"]
    assert treg.text == "CD25+ (CD25 - CD127)+"
    assert treg.threshold_key(1) == ("CD4 T > CD25+", "CD25 - CD127")
    lacking = by_name(resolve([T, CD4, DIAGONAL], whole - {"CD127"}))["Treg"]
    assert lacking.reason == "CD127 was not measured"


def test_siblings_share_a_split_found_among_the_cells_of_the_same_conditions():
    tree = [
        population("B", rule=[("CD3", "-"), ("CD19", "hi")]),
        population("Myeloid", rule=[("CD3", "-"), ("HLA-DR", "pos")], without=["B"]),
        population("Basophils", rule=[("CD3", "-"), ("HLA-DR", "neg"), ("CD123", "pos")], without=["B"]),
    ]
    nodes = by_name(resolve(tree, {"CD3", "CD19", "HLA-DR", "CD123"}))
    assert nodes["Myeloid"].threshold_key(1) == ("cells without B > CD3-", "HLA-DR")
    assert nodes["Basophils"].threshold_key(1) == nodes["Myeloid"].threshold_key(1)
    assert nodes["Basophils"].threshold_key(2) == ("cells without B > CD3- HLA-DR-", "CD123")
    assert (nodes["Myeloid"].rules[1].above, nodes["Basophils"].rules[1].above) == (True, False)
