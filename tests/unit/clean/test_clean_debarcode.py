"""Debarcoding against simulated barcodes of known samples, and the public file."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from treset.clean.debarcode import Key, apply_cutoffs, assign, cutoffs, single_stain_key, yields
from treset.clean.key import read_key
from treset.cli.commands import app
from treset.errors import TresetError
from treset.io.fcs import read_fcs, write_fcs

CHANNELS = tuple(f"(Pd{mass})Di" for mass in (102, 104, 105, 106, 108, 110))
CODES = np.array([[place in code for place in range(6)] for code in itertools.combinations(range(6), 3)])
KEY = Key(tuple(f"s{number}" for number in range(20)), CHANNELS, CODES)


def barcoded(seed=0, events=4000, doublets=0.1):
    """Counts, the sample of each event (-1: a doublet of two samples)."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 20, events)
    brightness = rng.lognormal(5, 0.3, 20)

    def counts(samples):
        cell = rng.lognormal(0, 0.35, (len(samples), 1))
        bright = brightness[samples][:, None] * cell * rng.lognormal(0, 0.25, (len(samples), 6))
        return np.where(KEY.codes[samples], bright, rng.exponential(2, (len(samples), 6)))

    values = counts(truth)
    double = rng.random(events) < doublets
    other = (truth + rng.integers(1, 20, events)) % 20
    values[double] += counts(other[double])
    return values, np.where(double, -1, truth)


def test_singlets_are_found_and_doublets_left_out():
    values, truth = barcoded()
    first = assign(values, KEY)
    last = apply_cutoffs(first, cutoffs(first, 20))
    single = truth >= 0
    assert (last.sample[single] == truth[single]).mean() > 0.85
    assert ((last.sample != truth) & (last.sample >= 0) & single).sum() == 0
    assert (last.sample[~single] == -1).mean() > 0.95


def test_top_rule_by_hand():
    key = Key(("a", "b"), ("x", "y", "z"), np.array([[1, 1, 0], [0, 1, 1]], dtype=bool))
    values = np.array([[100.0, 90, 1], [2, 80, 70], [50, 1, 50]])
    assert assign(values, key).sample.tolist() == [0, 1, -1]


def test_codes_of_different_numbers_go_by_the_largest_gap():
    key = Key(("one", "two"), ("x", "y", "z"), np.array([[1, 0, 0], [1, 1, 0]], dtype=bool))
    assert assign(np.array([[200.0, 2, 1], [200.0, 180, 1]]), key).sample.tolist() == [0, 1]


def test_separation_is_the_gap_scaled_by_the_positives():
    values = np.tile([[np.sinh(2.0) * 10, np.sinh(0.5) * 10]], (30, 1))
    done = assign(values, single_stain_key(["x", "y"]))
    assert done.separation == pytest.approx(np.full(30, (2.0 - 0.5) / 2.0))


def test_yields_fall_from_one_and_cutoffs_sit_on_the_plateau():
    values, _ = barcoded(doublets=0.2)
    first = assign(values, KEY)
    curves = yields(first, 20)
    assert (curves[:, 0] == 1).all()
    assert (np.diff(curves, axis=1) <= 0).all()
    found = cutoffs(first, 20)
    assert ((found > 0.1) & (found < 0.7)).all()


def test_too_few_events_have_the_default_cutoff_and_no_distance():
    values, _ = barcoded(events=60)
    first = assign(values, KEY)
    assert (cutoffs(first, 20) == 0.3).all()
    assert np.isnan(apply_cutoffs(first, np.zeros(20)).distance).all()


def test_an_event_far_from_its_population_is_taken_back():
    values, _ = barcoded(doublets=0, events=6000)
    outlier = np.array([[5000.0, 5000, 5000, 0, 0, 0]])
    first = assign(np.vstack([values, outlier]), KEY)
    assert first.sample[-1] == 0
    assert apply_cutoffs(first, np.zeros(20)).sample[-1] == -1


@pytest.mark.parametrize(
    ("samples", "codes", "sentence"),
    [
        (("a", "b"), [[1, 0], [1, 0]], "have the same code"),
        (("a", "a"), [[1, 0], [0, 1]], "occurs twice"),
        (("a", "b"), [[0, 0], [0, 1]], "no positive or no negative"),
        (("a",), [[1, 0], [0, 1]], "one row a sample"),
    ],
)
def test_a_key_that_tells_nothing_apart_is_refused(samples, codes, sentence):
    with pytest.raises(TresetError, match=sentence):
        Key(samples, ("x", "y"), np.array(codes, dtype=bool))


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(TresetError, match="not finite"):
        assign(np.full((3, 6), np.nan), KEY)


def write_key(path: Path, header=("102", "104", "105", "106", "108", "110")) -> Path:
    lines = [",".join(["", *header])]
    lines += [",".join([name, *map(str, code.astype(int))]) for name, code in zip(KEY.samples, KEY.codes, strict=True)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_key_by_mass_and_by_marker(tmp_path: Path):
    markers = [f"BC{mass}" for mass in (102, 104, 105, 106, 108, 110)]
    for header in (("102", "104", "105", "106", "108", "110"), tuple(markers), CHANNELS):
        key = read_key(write_key(tmp_path / "key.csv", header), CHANNELS, markers)
        assert key.channels == CHANNELS
        assert (key.codes == KEY.codes).all()
    with pytest.raises(TresetError, match="'99' is not in the file"):
        read_key(write_key(tmp_path / "key.csv", ("99", *markers[1:])), CHANNELS, markers)


def test_command_writes_every_event_once(tmp_path: Path):
    values, _ = barcoded(events=2500)
    events = np.column_stack([values, np.arange(2500)]).astype(np.float32)
    source, out = tmp_path / "pool.fcs", tmp_path / "out"
    write_fcs(source, events, [*CHANNELS, "Event"], [*[""] * 6, "number"], {"$CYT": "CyTOF", "SPILL": "1,a,1"})
    result = CliRunner().invoke(
        app, ["debarcode", str(source), "--key", str(write_key(tmp_path / "k.csv")), "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    table = pd.read_csv(out / "yields.tsv", sep="\t")
    assert table["assigned"].sum() == 2500
    assert (table["events"] - table["below_separation"] - table["beyond_distance"] == table["assigned"])[:-1].all()
    seen = []
    for row in table.itertuples():
        header, part = read_fcs(out / row.file)
        assert len(part) == row.assigned
        assert header.text["$CYT"] == "CyTOF"
        seen += part[:, -1].tolist()
        np.testing.assert_array_equal(part, events[part[:, -1].astype(int)])
    assert sorted(seen) == list(range(2500))


@pytest.mark.realdata
@pytest.mark.skipif("TRESET_DATA" not in os.environ, reason="TRESET_DATA is not set")
def test_the_public_file_has_1000_events_of_each_of_20_barcodes(tmp_path: Path):
    folder = Path(os.environ["TRESET_DATA"]) / "catalyst"
    header, events = read_fcs(folder / "sample_ff.fcs")
    key = read_key(folder / "sample_key.csv", header.channels, header.markers)
    first = assign(events, key)
    assert np.bincount(first.sample, minlength=20).tolist() == [1000] * 20
    last = apply_cutoffs(first, cutoffs(first, 20))
    kept = last.sample >= 0
    # every positive channel of the key is brighter than every negative one
    codes = key.codes[last.sample[kept]]
    assert (np.where(codes, events[kept], np.inf).min(1) > np.where(codes, -np.inf, events[kept]).max(1)).all()
    assert 0.5 < kept.mean() < 0.95
