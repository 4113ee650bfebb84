from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from treset.phenotype.sketch import allocate, draw, sample_seed


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
