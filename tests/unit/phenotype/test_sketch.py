from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treset.compute import open_backend
from treset.phenotype.sketch import allocate, draw, draw_dense, inclusion, sample_seed, systematic


def test_allocate_gives_the_small_sample_all_and_shares_the_rest():
    assert allocate({"a": 10, "b": 1000, "c": 1000}, 500) == {"a": 10, "b": 245, "c": 245}


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=20), st.integers(0, 20_000))
def test_allocate_sums_to_the_budget_and_never_exceeds_a_sample(sizes, budget):
    available = {f"s{i}": size for i, size in enumerate(sizes)}
    shares = allocate(available, budget)
    assert sum(shares.values()) == min(budget, sum(sizes))
    assert all(0 <= shares[s] <= available[s] for s in available)
    # no sample gets less than another that has fewer cells, but for rounding
    ordered = sorted(available, key=lambda s: available[s])
    assert all(shares[a] <= shares[b] + 1 for a, b in pairwise(ordered))


def test_draw_is_seeded_sorted_and_without_repeats():
    rows = draw(1000, 100, 3)
    assert np.array_equal(rows, draw(1000, 100, 3))
    assert not np.array_equal(rows, draw(1000, 100, 4))
    assert len(set(rows.tolist())) == 100 and np.all(np.diff(rows) > 0)
    assert np.array_equal(draw(5, 100, 0), np.arange(5))


def test_a_samples_seed_depends_on_its_id_and_the_studys_seed_only():
    assert sample_seed(1, "a") == sample_seed(1, "a")
    assert len({sample_seed(1, "a"), sample_seed(1, "b"), sample_seed(2, "a")}) == 3


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=200), st.floats(0.01, 1.0), st.integers(0, 99))
def test_a_systematic_draw_has_the_size_asked_for_and_no_repeats(weights, share, seed):
    size = max(1, int(share * len(weights)))
    chance = inclusion(np.array(weights), size)
    assert chance.sum() == pytest.approx(size) and chance.min() >= 0 and chance.max() <= 1
    rows = systematic(chance, np.random.default_rng(seed))
    assert len(rows) == size == len(set(rows.tolist()))


def test_inclusion_by_hand():
    # the heavy cell is certain, the others share the rest
    assert inclusion(np.array([8.0, 1.0, 1.0, 2.0]), 2) == pytest.approx([1.0, 0.25, 0.25, 0.5])


def test_cells_are_drawn_as_often_as_their_probability_says():
    chance = inclusion(np.array([8.0, 1.0, 1.0, 2.0]), 2)
    generator = np.random.default_rng(0)
    hits = np.bincount(np.concatenate([systematic(chance, generator) for _ in range(4000)]), minlength=4) / 4000
    assert hits == pytest.approx(chance, abs=0.03)


@pytest.fixture(scope="module")
def pool():
    """20,000 cells of three dense populations and ten (0.05 %) far from them."""
    generator = np.random.default_rng(1)
    label = np.append(generator.integers(0, 3, 19_990), np.full(10, 3))
    return generator.normal(4.0 * np.eye(8)[label], 0.5).astype(np.float32), label


def test_a_population_of_a_twentieth_percent_survives_the_sketch(pool):
    x, label = pool
    drawn = draw_dense(x, 4000, 5, open_backend("cpu"))
    assert len(drawn.rows) == 4000 == len(set(drawn.rows.tolist()))
    assert (label[drawn.rows] == 3).sum() == 10
    assert (label[draw(len(x), 4000, 5)] == 3).sum() < 6  # a fifth of ten is two


def test_weights_give_back_the_shares(pool):
    x, label = pool
    backend = open_backend("cpu")
    rare, first = [], []
    for seed in range(4):
        drawn = draw_dense(x, 4000, seed, backend)
        share = np.bincount(label[drawn.rows], weights=drawn.weight, minlength=4) / drawn.weight.sum()
        rare.append(share[3])
        first.append(share[0])
    assert drawn.weight.mean() == pytest.approx(1.0)
    assert np.mean(rare) == pytest.approx(0.0005, rel=0.05)
    assert np.mean(first) == pytest.approx((label == 0).mean(), rel=0.03)


def test_a_draw_by_density_repeats_and_gives_all_of_a_small_sample(pool):
    x, _ = pool
    backend = open_backend("cpu")
    one, two = draw_dense(x[:3000], 500, 9, backend), draw_dense(x[:3000], 500, 9, backend)
    assert one.rows.tobytes() == two.rows.tobytes() and one.weight.tobytes() == two.weight.tobytes()
    whole = draw_dense(x[:30], 50, 9, backend)
    assert np.array_equal(whole.rows, np.arange(30)) and np.all(whole.weight == 1.0)
