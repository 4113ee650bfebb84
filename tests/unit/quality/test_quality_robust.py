from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import median_abs_deviation

from treset.quality.robust import Peak, doublet_cut, mad_sd, main_peak


def test_mad_sd_agrees_with_scipy():
    values = np.random.default_rng(1).gamma(2, 3, 1001)
    assert mad_sd(values) == pytest.approx(median_abs_deviation(values) * 1.4826)


def test_peak_of_a_normal_sample_is_its_mean_and_sd():
    peak = main_peak(np.random.default_rng(2).normal(3.0, 0.2, 20_000))
    assert peak.mode == pytest.approx(3.0, abs=0.04)
    assert peak.below == pytest.approx(0.2, rel=0.2)
    assert peak.above == pytest.approx(0.2, rel=0.2)


def test_a_population_beyond_a_gap_does_not_widen_the_peak():
    rng = np.random.default_rng(3)
    clean = main_peak(rng.normal(6.0, 0.15, 5000))
    dirty = main_peak(np.concatenate([rng.normal(6.0, 0.15, 5000), rng.uniform(2.5, 4.8, 2500)]))
    assert dirty.mode == pytest.approx(clean.mode, abs=0.05)
    assert dirty.below == pytest.approx(clean.below, rel=0.25)


@given(shift=st.floats(-5, 5), scale=st.floats(0.1, 10))
@settings(max_examples=30, deadline=None)
def test_peak_moves_and_stretches_with_the_values(shift, scale):
    values = np.random.default_rng(4).normal(0, 1, 2000)
    base, moved = main_peak(values), main_peak(shift + scale * values)
    # Equal up to one bin of the histogram, in which rounding may put a value on either side of an edge.
    assert moved.mode == pytest.approx(shift + scale * base.mode, abs=0.05 * scale)
    assert moved.below == pytest.approx(scale * base.below, rel=0.06)


def test_a_constant_has_no_spread_but_the_least():
    assert main_peak(np.full(50, 2.0)) == Peak(2.0, 0.0, 0.0)
    assert main_peak(np.full(50, 2.0), least_sd=0.1) == Peak(2.0, 0.1, 0.1)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.25])
def test_doublet_share_is_estimated(share):
    rng = np.random.default_rng(5)
    count = int(share * 20_000)
    values = np.concatenate([rng.normal(0, 0.14, 20_000 - count), rng.normal(np.log(2), 0.1, count)])
    cut = doublet_cut(values, Peak(0.0, 0.14, 0.14))
    assert cut.share == pytest.approx(share, rel=0.1)
    assert 0.28 < cut.cut < np.log(2)


def test_doublet_cut_is_where_both_are_equally_likely():
    """Hand calculation: equal normals at 0 and log 2 would be cut half way; fewer and tighter doublets cut later."""
    rng = np.random.default_rng(6)
    values = np.concatenate([rng.normal(0, 0.1, 10_000), rng.normal(np.log(2), 0.1 / np.sqrt(2), 10_000)])
    cut = doublet_cut(values, Peak(0.0, 0.1, 0.1)).cut
    densities = [np.exp(-0.5 * (cut / 0.1) ** 2) / 0.1, np.exp(-((cut - np.log(2)) ** 2) / 0.1**2) * np.sqrt(2) / 0.1]
    assert densities[0] == pytest.approx(densities[1], rel=0.15)


def test_no_doublets_no_cut_or_a_harmless_one():
    values = np.random.default_rng(7).normal(0, 0.14, 5000)
    assert (values > doublet_cut(values, Peak(0.0, 0.14, 0.14)).cut).mean() < 0.002


def test_too_broad_or_too_few_say_so():
    values = np.random.default_rng(8).normal(0, 0.5, 5000)
    assert doublet_cut(values, Peak(0.0, 0.5, 0.5)).cut == np.inf
    assert "too broad" in doublet_cut(values, Peak(0.0, 0.5, 0.5)).note
    assert "too few" in doublet_cut(values[:50], Peak(0.0, 0.1, 0.1)).note
