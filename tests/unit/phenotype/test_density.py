import numpy as np
import pytest

from treset.phenotype.density import cut, density, main_mode, valleys
from treset.phenotype.histogram import Histogram
from treset.phenotype.mixture import _start, cut_bright, split


def mixture(seed, *parts):
    generator = np.random.default_rng(seed)
    return np.concatenate([generator.normal(mean, sd, n) for n, mean, sd in parts])


def test_the_valley_of_two_equal_normals_is_at_their_middle():
    found = cut(mixture(0, (5000, 0.0, 0.5), (5000, 4.0, 0.5)), "split")
    assert found.method == "valley"
    assert found.value == pytest.approx(2.0, abs=0.4)
    assert found.separation > 10


@pytest.mark.parametrize("share", [0.02, 0.005])
def test_a_rare_positive_population_is_found(share):
    n = int(20_000 * share)
    values = mixture(1, (20_000 - n, 0.5, 0.4), (n, 4.0, 0.4))
    found = cut(values, "split")
    assert found.method == "valley"
    assert np.mean(values >= found.value) == pytest.approx(share, rel=0.15)


@pytest.mark.parametrize("seed", range(20))
def test_one_normal_has_no_valley(seed):
    assert valleys(mixture(seed, (3000, 3.0, 0.7)), floor=0.5, min_distance=0.6) == []


def test_one_mode_takes_the_threshold_of_the_population_above():
    found = cut(mixture(2, (3000, 3.0, 0.5)), "split", fallback=1.5)
    assert (found.value, found.method) == (1.5, "parent")


def test_hi_takes_the_highest_valley_and_lo_the_lowest():
    values = mixture(3, (4000, 0.8, 0.3), (4000, 3.0, 0.3), (1000, 5.5, 0.3))
    assert cut(values, "hi").value == pytest.approx(4.3, abs=0.5)
    assert cut(values, "lo").value == pytest.approx(1.9, abs=0.5)


def test_one_mode_is_cut_at_its_tail():
    values = mixture(4, (10_000, 3.0, 0.5))
    # 2.5 standard deviations above the mode
    assert cut(values, "hi").value == pytest.approx(4.25, abs=0.2)
    assert cut(values, "hi").method == "tail"


def test_where_a_subset_has_one_mode_the_parent_decides():
    parent = mixture(5, (5000, 1.0, 0.3), (500, 5.0, 0.3))
    subset = parent[parent > 3.0]
    found = cut(subset, "hi", wider=parent)
    assert found.method == "valley"
    assert np.all(subset >= found.value)


def test_too_few_cells_or_no_spread_give_no_threshold():
    assert np.isnan(cut(np.arange(10.0), "split").value)
    assert cut(np.zeros(1000), "split").method == "none"
    assert cut(np.zeros(1000), "split", fallback=2.0).value == 2.0


def test_the_cut_moves_with_the_values():
    values = mixture(6, (5000, 1.0, 0.4), (3000, 4.5, 0.5))
    assert cut(values + 0.7, "split").value == pytest.approx(cut(values, "split").value + 0.7, abs=0.02)


def test_mode_and_spread_are_not_moved_by_a_far_minority():
    mode, left, right = main_mode(mixture(7, (10_000, 2.0, 0.5), (300, 6.0, 0.2)))
    assert mode == pytest.approx(2.0, abs=0.15)
    assert left == pytest.approx(0.5, abs=0.15)
    assert right == pytest.approx(0.5, abs=0.15)


def test_a_flat_valley_is_cut_where_the_negative_cells_end():
    """Central memory CD8 T cells are spread dimly between CCR7- and the bright naive cells: they are positive."""
    dim = np.random.default_rng(8).uniform(2.0, 4.0, 400)
    values = np.concatenate([mixture(8, (8000, 0.4, 0.4), (4000, 4.8, 0.35)), dim])
    found = cut(values, "split")
    assert found.method == "valley"
    assert 1.2 < found.value < 2.2


def test_an_empty_valley_is_cut_in_its_middle():
    assert cut(mixture(9, (5000, 0.5, 0.2), (3000, 5.5, 0.3)), "split").value == pytest.approx(2.9, abs=0.5)


def test_a_spike_of_zeros_does_not_hide_a_rare_positive_population():
    generator = np.random.default_rng(10)
    values = np.concatenate([np.zeros(20_000), generator.exponential(0.15, 10_000), generator.normal(3.5, 0.4, 60)])
    found = cut(values, "split")
    assert found.method == "valley"
    assert np.sum(values >= found.value) == pytest.approx(60, abs=3)


def test_a_valley_between_zero_and_one_ion_makes_no_positive_cell():
    generator = np.random.default_rng(11)
    values = np.concatenate([np.zeros(5000), generator.normal(0.7, 0.05, 3000), generator.normal(4.0, 0.4, 3000)])
    assert cut(values, "split").value >= 1.0
    # twice the floor is the noise of zero
    assert cut(values - 2.0, "split", floor=-np.inf).value < 1.0


def test_a_weak_valley_of_the_cells_themselves_comes_before_the_tail_of_the_parent():
    """CD56 of the CD16- NK cells: few cells, a shallow valley; their parent, mostly CD56dim, has one mode."""
    own = mixture(12, (60, 2.4, 0.5), (140, 4.6, 0.45))
    wider = np.concatenate([own, mixture(13, (6000, 2.6, 0.7))])
    found = cut(own, "hi", wider=wider)
    assert found.method == "valley"
    assert found.value == pytest.approx(3.5, abs=0.5)


def test_two_overlapping_bright_modes_are_told_apart():
    # CD45RA on CD4 T cells: no valley, and the tail of the one mode would lie beyond nearly all cells
    values = mixture(8, (600, 2.1, 0.65), (400, 3.6, 0.6))
    found = cut_bright(values, "split")
    assert (cut(values, "split").method, found.method) == ("tail", "mixture")
    # by hand: 0.6 N(2.1, 0.65) equals 0.4 N(3.6, 0.6) at 2.96
    assert found.value == pytest.approx(2.96, abs=0.25)
    assert cut_bright(values[::-1], "split") == found


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_one_bright_mode_and_the_noise_of_zero_have_no_mixture(seed):
    rng = np.random.default_rng(seed)
    assert cut_bright(mixture(seed, (3000, 3.0, 0.7)), "split").method == "tail"
    dim = np.abs(rng.normal(0, 0.4, 3000))
    assert cut_bright(dim, "split") == cut(dim, "split")


def test_a_mode_beside_the_parents_cut_is_no_population_of_positive_cells():
    """The parent's cut lies at about 2.5 here: a mode on it, either side by chance, gets a tail of its own."""
    parent = mixture(21, (20_000, 0.0, 1.0))
    outer = cut(parent, "split").value
    cuts = [
        cut(own, "split", wider=np.concatenate([parent, own])).value
        for own in (mixture(30 + k, (3000, outer + shift, 1.0)) for k, shift in enumerate((-0.2, 0.0, 0.2, 0.4)))
    ]
    assert min(cuts) > outer + 1.5
    # where nearly all are beyond it, the conditions before left the positive cells alone
    clear = mixture(40, (3000, outer + 2.5, 1.0))
    assert (clear > cut(clear, "split", wider=np.concatenate([parent, clear])).value).mean() > 0.9


def test_a_broad_modes_place_stands_stiller_than_its_highest_point():
    """The highest point of a broad top is a matter of chance; the tail of a mode moves 3.5 times as far."""
    found, highest = [], []
    for seed in range(40):
        values = mixture(100 + seed, (2000, 3.0, 0.7))
        estimate = density(values)
        highest.append(estimate.grid[int(np.argmax(estimate.counts))])
        found.append(main_mode(values)[0])
    assert np.mean(found) == pytest.approx(3.0, abs=0.03)
    assert np.std(found) < 0.6 * np.std(highest)


@pytest.mark.parametrize("side", ["split", "hi", "lo"])
def test_a_histogram_is_cut_as_its_values(side):
    values = mixture(51, (40_000, 0.8, 0.3), (20_000, 3.0, 0.5), (2_000, 5.5, 0.3))
    assert cut_bright(Histogram.of(values), side) == cut_bright(values, side)


def test_whether_two_modes_are_told_apart_does_not_hang_on_how_many_cells_were_measured():
    values = mixture(52, (12_000, 2.1, 0.65), (8_000, 3.6, 0.6))
    few, many = (split(Histogram.of(np.tile(values, times))) for times in (1, 20))
    assert few is not None and many is not None
    assert many.value == pytest.approx(few.value, abs=0.01)
    # by hand: 0.6 N(2.1, 0.65) equals 0.4 N(3.6, 0.6) at 2.96
    assert few.value == pytest.approx(2.96, abs=0.25)
    one = mixture(54, (20_000, 3.0, 0.7))
    assert [split(Histogram.of(np.tile(one, times))) for times in (1, 20)] == [None, None]


def test_the_start_of_the_mixture_is_the_best_cut_in_two():
    """By trying them all: the two groups with the least squared deviation."""
    values = mixture(53, (60, 1.0, 0.5), (25, 3.0, 0.7))
    ranked = np.sort(values)
    loss = [ranked[:k].var() * k + ranked[k:].var() * (len(ranked) - k) for k in range(1, len(ranked))]
    best = int(np.argmin(loss)) + 1
    found = _start(values)
    assert found["weights_init"] == pytest.approx([best / 85, 1 - best / 85])
    assert found["means_init"].ravel() == pytest.approx([ranked[:best].mean(), ranked[best:].mean()])
