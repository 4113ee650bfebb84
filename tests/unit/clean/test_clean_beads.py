"""Bead normalisation against drifts of known size, and the public files."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.stats import spearmanr

from treset.clean.beads import BEADS, bead_columns, bead_slopes, find_beads, running_median
from treset.clean.prepare import clean_sample
from treset.errors import TresetError
from treset.study.model import Clean

CHANNELS = ["Time", "Ce140Di", "Eu151Di", "Eu153Di", "Ho165Di", "Lu175Di"]
CHANNELS += ["Ir191Di", "Ir193Di", "Nd142Di"]


def acquisition(drift, events=20_000, share=0.03, seed=0):
    """Seen counts, the true Nd142 of each event, what each is (cell, bead, both)."""
    rng = np.random.default_rng(seed)
    time = np.sort(rng.uniform(0, 1.8e6, events))
    kind = rng.choice(["cell", "bead", "both"], events, p=[1 - share - 0.002, share, 0.002])
    has_bead, has_cell = kind != "cell", kind != "bead"
    true = np.zeros((events, 8))
    level = np.array([2800, 2200, 2900, 2850, 2700.0])
    true[:, :5] = has_bead[:, None] * level * rng.lognormal(0, 0.08, (events, 5)) + rng.exponential(0.3, (events, 5))
    true[:, 5:7] = has_cell[:, None] * np.array([150, 280.0]) * rng.lognormal(0, 0.2, (events, 1))
    true[:, 7] = has_cell * rng.lognormal(4, 0.5, events)
    seen = rng.poisson(true * drift(time / time.max())[:, None]).astype(float)
    return np.column_stack([time, seen]), true[:, 7], kind


DRIFTS = {
    "none": np.ones_like,
    "loss of 40 %": lambda x: 1 - 0.4 * x,
    "loss and retuning": lambda x: np.where(x < 0.6, 1 - 0.5 * x, 0.95 - 0.2 * (x - 0.6)),
    "wave": lambda x: 1 + 0.2 * np.sin(6 * x),
}


@pytest.mark.parametrize("name", DRIFTS)
def test_true_intensities_come_back_within_3_percent(name):
    drift = DRIFTS[name]
    values, truth, kind = acquisition(drift)
    found = find_beads(values[:, 1:6], values[:, 6:8])
    slopes = bead_slopes(values[found.single, 1:6], values[found.single, 0])
    time = values[:, 0]
    levelled = values[:, 8] * slopes.at(time)
    # the baseline is the median of the beads as they were seen: the whole may be off by one factor, time may not
    cells = (kind == "cell") & ~found.any
    edges = np.quantile(time, np.linspace(0, 1, 21))
    ratio = np.array(
        [
            levelled[cells & (time >= a) & (time < b)].mean() / truth[cells & (time >= a) & (time < b)].mean()
            for a, b in itertools.pairwise(edges)
        ]
    )
    # within 3 %, but for the stretch in which the tuning jumps: the median bridges it
    off = np.abs(ratio / np.median(ratio) - 1)
    assert (off < 0.03).sum() >= (20 if "retuning" not in name else 19)
    singles = found.single
    rho = spearmanr(time[singles], (values[singles, 1:6] * slopes.at(time)[singles, None]).mean(1)).statistic
    assert abs(rho) < 0.1


def test_a_given_baseline_is_reached():
    values, *_ = acquisition(DRIFTS["loss of 40 %"])
    found = find_beads(values[:, 1:6], values[:, 6:8])
    target = np.array([2800, 2200, 2900, 2850, 2700.0])
    slopes = bead_slopes(values[found.single, 1:6], values[found.single, 0], baseline=target)
    after = values[found.single, 1:6] * slopes.at(values[found.single, 0])[:, None]
    assert np.median(after, axis=0) == pytest.approx(target, rel=0.03)


def test_beads_and_doublets_are_found_and_no_cell_is():
    values, _, kind = acquisition(DRIFTS["wave"])
    found = find_beads(values[:, 1:6], values[:, 6:8])
    assert (found.any & (kind == "cell")).sum() == 0
    assert found.single[kind == "bead"].mean() > 0.97
    assert found.any[kind == "both"].mean() > 0.9
    assert not found.single[kind == "both"].any()
    assert (found.doublets == (found.any & ~found.single)).all()


def test_no_beads_are_no_beads():
    values, *_ = acquisition(DRIFTS["none"], share=0)
    values = values[values[:, 1] < 100]
    assert not find_beads(values[:, 1:6], values[:, 6:8]).any.any()
    assert len(find_beads(np.empty((0, 5)), np.empty((0, 2))).any) == 0


def test_slope_by_hand():
    beads = np.tile([[100.0, 50.0]], (60, 1))
    slopes = bead_slopes(beads, np.arange(60), baseline=np.array([200.0, 100.0]))
    assert slopes.factor == pytest.approx(np.full(60, 2.0))
    assert slopes.at(np.array([-5.0, 70.0])) == pytest.approx([2, 2])


def test_running_median_is_that_of_pandas():
    values = np.random.default_rng(1).normal(size=(80, 2))
    expected = pd.DataFrame(values).rolling(11, center=True, min_periods=1).median().to_numpy()
    assert running_median(values, 11) == pytest.approx(expected)


def test_faults():
    with pytest.raises(TresetError, match="12 single beads are too few"):
        bead_slopes(np.ones((12, 5)), np.arange(12))
    with pytest.raises(TresetError, match="no channel of mass 165, 175"):
        bead_columns(["Ce140Di", "Eu151Di", "Eu153Di"], "dvs")


def sample(values):
    roles = ["time", *["lineage"] * 5, "dna", "dna", "lineage"]
    var = pd.DataFrame({"marker": CHANNELS, "role": roles, "cofactor": np.nan}, index=CHANNELS)
    return AnnData(values.astype(np.float32), var=var)


def test_prepare_levels_flags_and_tells():
    values, _, _ = acquisition(DRIFTS["loss of 40 %"])
    adata = sample(values)
    done = clean_sample(adata, Clean(beads="dvs"), "mass_cytometry", "s")
    table = pd.DataFrame(done.rows, columns=["step", "measure", "channel", "before", "after", "note"])
    cv = table[table["measure"] == "cv"]
    assert (cv["after"] < 0.8 * cv["before"]).all()
    rho = table[table["measure"] == "spearman with time"].iloc[0]
    assert rho["before"] < -0.5
    assert abs(rho["after"]) < 0.1
    assert done.flags["bead_events"][0].sum() > 0.02 * len(values)
    np.testing.assert_array_equal(adata.X[:, 0], values[:, 0].astype(np.float32))


def test_too_few_beads_change_nothing_and_say_so():
    values, *_ = acquisition(DRIFTS["wave"], events=500, share=0.01)
    adata = sample(values)
    done = clean_sample(adata, Clean(beads="dvs"), "mass_cytometry", "s")
    assert done.rows[0][-1].startswith("not applied: ")
    assert done.flags == {}
    np.testing.assert_array_equal(adata.X, values.astype(np.float32))


@pytest.mark.realdata
@pytest.mark.skipif("TRESET_DATA" not in os.environ, reason="TRESET_DATA is not set")
@pytest.mark.parametrize("name", ["raw_data_V1", "raw_data_V2"])
def test_public_files_have_no_drift_left(name):
    from treset.io.fcs import read_fcs

    header, events = read_fcs(Path(os.environ["TRESET_DATA"]) / "catalyst" / f"{name}.fcs")
    channels = list(header.channels)
    columns, dna = bead_columns(channels, "dvs"), [channels.index("Ir191Di"), channels.index("Ir193Di")]
    found = find_beads(events[:, columns], events[:, dna])
    assert found.single.sum() > 50
    beads, time = events[np.ix_(found.single, columns)].astype(float), events[found.single, 0].astype(float)
    after = beads * bead_slopes(beads, time).at(time)[:, None]
    assert (after.std(0) / after.mean(0)).mean() < (beads.std(0) / beads.mean(0)).mean()
    assert abs(spearmanr(time, after.mean(axis=1)).statistic) < 0.1


def test_the_isotopes_are_those_of_the_paper():
    assert BEADS["dvs"] == (140, 151, 153, 165, 175)
    assert BEADS["beta"] == (139, 141, 159, 169, 175)
