"""The tree that comes with treset: complete, sourced, and visible where a panel cannot tell a population."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from treset.phenotype.gates import apply_gates, fit_thresholds
from treset.phenotype.tree import resolve
from treset.simulate.panel import MARKERS
from treset.study.faults import Collector
from treset.study.populations import packaged, read_populations

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


def default():
    faults = Collector()
    populations = read_populations(packaged("populations", "mass_cytometry"), faults)
    faults.stop()
    return populations


def nodes(measured):
    return {node.name: node for node in resolve(default(), measured)}


def test_every_population_has_a_source():
    assert all(p.source and p.source.startswith("doi:") for p in default())
    terms = {p.name: p.ontology for p in default()}
    assert (terms["Treg naive"], terms["Treg effector"]) == ("CL:0002677", "CL:0002678")


def test_the_simulated_panel_measures_all_of_it():
    assert [n.name for n in nodes(MARKERS).values() if not n.measurable] == []


@pytest.mark.parametrize(
    ("lacks", "falls", "because"),
    [
        ("CD127", {"Treg", "Treg naive", "Treg effector", "Tconv"}, "CD127 was not measured"),
        ("TCRgd", {"gdT"}, "TCRgd was not measured"),
        ("CD123", {"pDC", "mDC", "Basophils"}, "CD123 was not measured"),
        ("CD21", {"B DN2"}, "CD21 was not measured"),
        ("CD24", {"B transitional"}, "CD24 was not measured"),
    ],
)
def test_without_a_marker_its_populations_say_why_they_are_not_measurable(lacks, falls, because):
    found = nodes(set(MARKERS) - {lacks})
    assert {name for name, node in found.items() if not node.measurable} == falls
    assert any(because in found[name].reason for name in falls)


def test_cd56bright_is_told_without_cd16_and_says_so():
    bright = nodes(set(MARKERS) - {"CD16"})["NK CD56bright"]
    assert bright.measurable
    assert bright.notes == ("CD16 was not measured and is passed over",)
    assert nodes(MARKERS)["NK CD56bright"].text == "CD16- CD56hi"


@pytest.mark.realdata
@pytest.mark.skipif(not os.environ.get("TRESET_DATA"), reason="TRESET_DATA is not set")
def test_gates_against_manual_gates(monkeypatch, capsys):
    """The bars of the issue on himc_plate3."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    sys.modules.pop("phenotypes", None)
    import phenotypes

    figures = phenotypes.himc(Path(os.environ["TRESET_DATA"]) / "himc_plate3")
    short = {name for name, bar in phenotypes.BARS.items() if figures[name] < bar}
    assert short == set()
    assert figures["Basophil precision"] > 0.9


@pytest.mark.realdata
@pytest.mark.skipif(not os.environ.get("TRESET_DATA"), reason="TRESET_DATA is not set")
def test_any_half_of_the_cells_gives_the_same_share_of_treg(monkeypatch):
    """A cut beside a mode once fell on either side of it by chance: four times the Treg in three halves of eight."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import phenotypes_common as common

    files = sorted((Path(os.environ["TRESET_DATA"]) / "himc_plate3").glob("*.fcs"))
    columns = common.joined([common.read(path) for path in files])
    cells, found = len(columns["CD3"]), common.tree(columns)
    whole = share_of_treg(columns, np.arange(cells), found)
    for seed in range(8):
        half = np.sort(np.random.default_rng(100 + seed).choice(cells, cells // 2, replace=False))
        assert share_of_treg(columns, half, found) == pytest.approx(whole, rel=0.15)


def share_of_treg(columns, rows, found):
    part = {marker: values[rows] for marker, values in columns.items()}
    batch = np.full(len(rows), "")
    masks = apply_gates(part, batch, found, fit_thresholds(part, batch, found))
    return masks["Treg"].sum() / masks["CD4 T"].sum()
