"""Stretches of time that are off, against simulated faults of known place."""

from __future__ import annotations

import numpy as np
import pytest

from treset.clean.flow_rate import flow_rate
from treset.clean.peaks import unstable


def acquisition(seed=0, events=30_000, channels=6):
    rng = np.random.default_rng(seed)
    positive = rng.random((events, channels)) < np.linspace(0.2, 0.8, channels)
    values = np.where(positive, rng.normal(4, 0.5, (events, channels)), rng.normal(0.5, 0.4, (events, channels)))
    return values, np.sort(rng.uniform(0, 600, events))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_steady_acquisition_is_left_alone(seed):
    values, time = acquisition(seed)
    assert unstable(values, np.arange(len(values))).events.mean() < 0.01
    assert not flow_rate(time).events(time).any()


def score(found, truth):
    return (found & truth).sum() / truth.sum(), (found & truth).sum() / max(found.sum(), 1)


@pytest.mark.parametrize("shift", [1.0, -1.0])
def test_a_shifted_stretch_is_found(shift):
    values, _ = acquisition()
    truth = np.zeros(len(values), dtype=bool)
    truth[12_000:15_000] = True
    values[truth, 2] += shift
    found = unstable(values, np.arange(len(values)))
    recall, precision = score(found.events, truth)
    assert recall >= 0.9
    assert precision >= 0.9
    assert found.channels.argmax() == 2


def test_drift_at_the_end_is_found():
    values, _ = acquisition(1)
    late = np.clip((np.arange(30_000) - 24_000) / 6_000, 0, None)
    values += (late * 2.5)[:, None]
    found = unstable(values, np.arange(len(values)))
    assert found.events[late > 0.5].mean() > 0.9
    assert found.events[late == 0].mean() < 0.05


def test_the_order_of_the_file_does_not_matter():
    values, time = acquisition(2)
    values[5_000:8_000, 0] += 1.5
    shuffled = np.random.default_rng(0).permutation(len(values))
    first = unstable(values, np.argsort(time, kind="stable")).events
    second = unstable(values[shuffled], np.argsort(time[shuffled], kind="stable")).events
    np.testing.assert_array_equal(first[shuffled], second)


def test_zeros_of_mass_cytometry_can_be_left_out():
    values, _ = acquisition(3)
    values[values < 0.5] = 0
    assert unstable(np.maximum(values, 0), np.arange(len(values)), skip_zeros=True).events.mean() < 0.01


def test_too_few_events_are_not_judged():
    found = unstable(np.zeros((500, 3)), np.arange(500))
    assert found.bins == 0
    assert not found.events.any()
    assert len(flow_rate(np.arange(100.0)).counts) == 0
    assert len(flow_rate(np.zeros(5000)).counts) == 0


def test_constant_channels_are_passed_over():
    values, _ = acquisition()
    values[:, 1] = 3.0
    assert unstable(values, np.arange(len(values))).events.mean() < 0.01


@pytest.mark.parametrize("left", [0.0, 0.1])
def test_clogged_seconds_are_found(left):
    _, time = acquisition(4)
    rng = np.random.default_rng(1)
    clogs = [(100.0, 110.0), (400.0, 403.0)]
    inside = np.any([(time >= a) & (time < b) for a, b in clogs], axis=0)
    time = time[~inside | (rng.random(len(time)) < left)]
    found = flow_rate(time)
    middle = (found.edges[1:] + found.edges[:-1]) / 2
    truth = np.any([(middle >= a) & (middle < b) for a, b in clogs], axis=0)
    assert found.low[truth].mean() >= 0.9
    assert found.low[~truth].sum() <= 2  # a stretch that a clog begins or ends in
    assert found.lost == pytest.approx(13, abs=1.5)


def test_a_burst_is_found_and_a_slow_change_of_rate_is_not():
    rng = np.random.default_rng(2)
    slow = np.sort(600 * rng.beta(1.3, 1.0, 40_000))
    # the first seconds of this sample are near empty by themselves
    assert flow_rate(slow[slow > 60]).events(slow[slow > 60]).mean() < 0.005
    burst = np.sort(np.concatenate([rng.uniform(0, 600, 30_000), rng.uniform(300, 303, 1500)]))
    found = flow_rate(burst)
    inside = (burst >= 300) & (burst < 303)
    assert found.events(burst)[inside].mean() > 0.9
    assert found.events(burst)[~inside].mean() < 0.01
