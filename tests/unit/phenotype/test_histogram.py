"""What is read of a fine histogram is what numpy reads of the values, to within a bin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treset.phenotype.histogram import Histogram, histograms

VALUES = st.lists(st.floats(-8.0, 12.0, width=32), min_size=2, max_size=300)


@settings(deadline=None, max_examples=60)
@given(values=VALUES, share=st.floats(0.0, 1.0))
def test_quantiles_and_spread_are_those_of_the_values_to_within_a_bin(values: list[float], share: float) -> None:
    x = np.array(values, dtype=np.float32)
    found = Histogram.of(x)
    assert found.size == len(x)
    assert found.quantile(share) == pytest.approx(float(np.quantile(x, share)), abs=1.001 * found.step)
    assert found.std == pytest.approx(float(x.astype(float).std()), abs=found.step)


@given(values=VALUES)
def test_bins_are_fine_and_their_edges_do_not_follow_single_values(values: list[float]) -> None:
    found = Histogram.of(np.array(values))
    spread = max(values) - min(values)
    assert found.step <= max(spread / 8_190, 1e-9)
    assert np.log2(found.step) == round(np.log2(found.step))
    assert found.low / found.step == round(found.low / found.step)
    assert found.low <= min(values) and max(values) < found.low + found.step * (len(found.counts) + 1)


@given(values=VALUES, at=st.floats(-9.0, 13.0))
def test_values_below_a_place_and_above_a_floor_are_counted(values: list[float], at: float) -> None:
    x = np.array(values)
    found = Histogram.of(x)
    assert np.sum(x < at - found.step) <= found.below(at) <= np.sum(x <= at + found.step)
    assert np.sum(x > at + found.step) <= found.above(at).size <= np.sum(x >= at - found.step)


@given(values=VALUES, seed=st.integers(0, 99))
def test_groups_are_counted_at_once_as_one_by_one_and_add_up(values: list[float], seed: int) -> None:
    x = np.array(values)
    group = np.random.default_rng(seed).integers(0, 3, len(x))
    found = histograms(x, group, 3)
    assert [one.size for one in found] == np.bincount(group, minlength=3).tolist()
    total = sum(found[1:], start=found[0])
    assert np.array_equal(total.counts, Histogram.of(x).counts)
    for k, one in enumerate(found):
        for value in x[group == k]:
            assert one.counts[int((value - one.low) / one.step)] > 0


def test_more_values_than_are_counted_at_a_time() -> None:
    x = np.random.default_rng(0).normal(3.0, 1.0, 700_001).astype(np.float32)
    found = Histogram.of(x)
    assert found.size == len(x)
    assert found.quantile(0.5) == pytest.approx(float(np.median(x)), abs=found.step)
    assert found.std == pytest.approx(float(x.std()), abs=found.step)


def test_one_value_is_flat_and_what_is_not_finite_is_left_out() -> None:
    assert Histogram.of(np.array([2.0, 2.0, np.nan, np.inf])).flat
    assert Histogram.of(np.array([2.0, 2.0, np.nan, np.inf])).size == 2
    assert Histogram.of(np.array([])).flat
    assert not Histogram.of(np.array([2.0, 2.5])).flat
    # the quartiles of a spike are one value
    spike = Histogram.of(np.concatenate([np.zeros(90), np.linspace(0, 5, 10)]))
    assert spike.quantile(0.75) - spike.quantile(0.25) <= spike.step
