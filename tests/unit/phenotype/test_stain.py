import numpy as np
import pytest

from treset.phenotype.stain import Gain, Location, cut_markers, gain, leaves, locations, shrunk, spread
from treset.phenotype.tree import resolve
from treset.study.model import Condition, Population

NODES = resolve(
    [
        Population("T", None, (Condition(("CD3",), "+"),)),
        Population("Treg", "T", (Condition(("CD25", "CD127"), "pos", "difference"),)),
        Population("Tconv", "T", (), without=("Treg",)),
        Population("B", None, (Condition(("CD19",), "+"),)),
    ],
    ["CD3", "CD25", "CD127", "CD19"],
)


def lognormal(seed, median, n=4000):
    """Intensities of a stain as arcsinh(x / 5)."""
    return np.arcsinh(median * np.exp(np.random.default_rng(seed).normal(0, 0.4, n)) / 5)


def test_leaves_and_the_markers_by_which_they_were_cut():
    assert leaves(NODES) == ["Treg", "Tconv", "B"]
    assert cut_markers(NODES)["Treg"] == {"CD3", "CD25", "CD127"}
    assert cut_markers(NODES)["Tconv"] == {"CD3"}


def test_a_gain_on_the_intensities_is_a_shift_of_the_location():
    masks = {"T": np.ones(4000, bool)}
    before = locations({"CD3": lognormal(0, 60)}, masks, ["T"], ["CD3"])["CD3"]["T"]
    after = locations({"CD3": lognormal(0, 60 * 1.4)}, masks, ["T"], ["CD3"])["CD3"]["T"]
    assert after.log_median - before.log_median == pytest.approx(np.log(1.4), abs=1e-6)
    # s.e. of the median of a normal: 1.2533 sd / sqrt(n)
    assert before.error == pytest.approx(1.2533 * 0.4 / np.sqrt(4000), rel=0.1)


def test_a_population_defined_by_the_marker_does_not_tell_its_stain_where_others_do():
    """A drug that doubles CD25 on Treg is not a doubled stain: Tconv's CD25 did not move."""
    reference = {"Treg": Location(3.0, 0.02, 500), "Tconv": Location(1.0, 0.02, 5000)}
    own = {"Treg": Location(3.0 + np.log(2), 0.02, 500), "Tconv": Location(1.0, 0.02, 5000)}
    found = gain(own, reference, "CD25", cut_markers(NODES))
    assert found is not None
    assert found.anchors == ("Tconv",)
    assert found.log_gain == pytest.approx(0.0)


def test_a_marker_that_one_population_alone_carries_has_no_gain():
    """FOXP3 twice as bright on naive and effector Treg: a drug or a stain, and the data cannot say which."""
    names = ["Treg naive", "Treg effector", "B"]
    reference = {"Treg naive": Location(2.0, 0.02, 500), "Treg effector": Location(3.0, 0.02, 500)}
    own = {name: Location(at.log_median + np.log(2), 0.02, 500) for name, at in reference.items()}
    cut = {name: {"FOXP3"} for name in names}
    assert gain(own, reference, "FOXP3", cut) is None
    third = {"B": Location(2.5, 0.02, 500)}
    found = gain(own | third, reference | third, "FOXP3", cut)
    assert found is not None
    assert found.anchors == ("B", "Treg effector", "Treg naive")


def test_without_a_bright_population_there_is_no_gain():
    dim = {"Tconv": Location(-2.0, 0.02, 5000)}
    assert gain(dim, dim, "CD25", cut_markers(NODES)) is None


def test_one_population_that_changed_by_itself_does_not_move_the_median_of_several():
    names = ["a", "b", "c", "d", "e"]
    cut = {name: set() for name in names}
    reference = {name: Location(2.0, 0.01, 1000) for name in names}
    own = {name: Location(2.2, 0.01, 1000) for name in names} | {"e": Location(4.0, 0.01, 1000)}
    assert gain(own, reference, "CD45RA", cut).log_gain == pytest.approx(0.2)


def test_spread_of_samples_by_hand():
    # equal errors: mean of squares less the squared error
    gains = [Gain(g, 0.1) for g in (-0.3, 0.1, 0.2)]
    assert spread(gains) == pytest.approx(np.sqrt((0.09 + 0.01 + 0.04) / 3 - 0.01))
    assert spread([Gain(0.05, 0.1), Gain(-0.05, 0.1)]) == 0.0
    assert spread([Gain(2.0, 0.1)]) == 0.0


def test_noise_is_drawn_to_zero_and_drift_is_kept():
    assert shrunk(Gain(0.3, 0.1), 0.1) == pytest.approx(0.15)
    assert shrunk(Gain(0.3, 0.01), 0.3) == pytest.approx(0.3, rel=0.01)
    assert shrunk(Gain(0.3, 0.1), 0.0) == 0.0
    assert shrunk(None, 0.3) == 0.0
    assert shrunk(Gain(0.3, 0.1), np.nan) == 0.0
