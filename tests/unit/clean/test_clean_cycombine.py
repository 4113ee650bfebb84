"""Batches without anchors: ComBat by hand, cyCombine on simulated batches and on public plates."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from treset.clean.combat import combat
from treset.clean.cycombine import _dealt, _patients_differ, apply_combined, combine, combine_and_judge, deals
from treset.clean.distances import emd
from treset.errors import TresetError
from treset.io.h5ad import read_h5ad, write_h5ad
from treset.jobs.batches import apply, learn

NAMES = ["CD3", "CD19", "CD4", "CD25"]


def sample(seed, shift=0.0, scale=1.0, share=0.6, cells=800):
    """T and B cells, whose patients differ a little; the batch moves CD3 and CD19, never CD4 and CD25."""
    rng = np.random.default_rng(seed)
    t_cell = rng.random(cells) < share + rng.normal(0, 0.03)
    values = rng.normal(np.where(t_cell[:, None], [4.0, 0.6, 3.0, 1.0], [0.6, 4.0, 0.6, 0.8]), 0.4)
    values[:, :2] = values[:, :2] * scale + shift
    return values + rng.normal(0, 0.05, 4), t_cell


def test_combat_of_many_cells_brings_mean_and_variance_together():
    rng = np.random.default_rng(0)
    batches = [rng.normal([1, 2, 3, 4], [1, 1, 2, 1], (20_000, 4)), rng.normal([2, 2, 4, 3], [2, 1, 2, 3], (20_000, 4))]
    slope, intercept = combat(batches)
    done = [slope[n] * values + intercept[n] for n, values in enumerate(batches)]
    np.testing.assert_allclose(done[0].mean(axis=0), done[1].mean(axis=0), atol=0.01)
    np.testing.assert_allclose(done[0].std(axis=0), done[1].std(axis=0), rtol=0.01)
    # batches of one size meet half way
    np.testing.assert_allclose(done[0].mean(axis=0), [1.5, 2, 3.5, 3.5], atol=0.03)


def test_combat_solves_the_equations_of_the_paper():
    rng = np.random.default_rng(1)
    batches = [rng.normal(0, 1, (12, 5)), rng.normal([0.2, 1, -1, 0, 2], [1, 2, 1, 0.5, 1], (15, 5))]
    slope, intercept = combat(batches)
    counts = np.array([12, 15])
    means = np.stack([b.mean(axis=0) for b in batches])
    centre = counts @ means / 27
    sd = np.sqrt(sum(((b - m) ** 2).sum(axis=0) for b, m in zip(batches, means, strict=True)) / 27)
    for number, values in enumerate(batches):
        z = (values - centre) / sd
        variance = 1 / slope[number] ** 2
        shift = ((centre - intercept[number]) / slope[number] - centre) / sd
        # Johnson 2007, eq. 3.1 and 3.2, with the priors by their moments
        seen, spread = z.mean(axis=0), z.var(axis=0, ddof=1)
        tau, n = seen.var(ddof=1), counts[number]
        np.testing.assert_allclose(shift, (n * tau * seen + variance * seen.mean()) / (n * tau + variance), rtol=1e-4)
        m, s2 = spread.mean(), spread.var(ddof=1)
        a, b = (2 * s2 + m**2) / s2, (m * s2 + m**3) / s2
        expected = (b + 0.5 * ((z - shift) ** 2).sum(axis=0)) / (n / 2 + a - 1)
        np.testing.assert_allclose(variance, expected, rtol=1e-4)


def test_a_marker_without_spread_is_left_as_it_is():
    values = np.column_stack([np.random.default_rng(0).normal(size=50), np.zeros(50)])
    slope, intercept = combat([values, values + np.array([1.0, 0])])
    assert slope[:, 1].tolist() == [1, 1]
    assert intercept[:, 1].tolist() == [0, 0]


def drawn(shifts):
    """Four samples a batch: values, batch, T cells."""
    parts = [(sample(10 * n + k, *shift), f"b{n}") for n, shift in enumerate(shifts) for k in range(4)]
    return [values for (values, _), _ in parts], [batch for _, batch in parts], [kind for (_, kind), _ in parts]


def test_simulated_batches_come_closer_and_shares_are_kept():
    samples, batch, kinds = drawn([(0, 1), (0.9, 0.9)])
    learnt, table = combine_and_judge(samples, batch, NAMES)
    whole = table[table["population"] == "cells"].set_index("marker")
    assert learnt.markers[:2].all()
    assert (whole["emd_after"] < 0.4 * whole["emd_before"])[:2].all()
    assert not learnt.markers[2:].all()
    np.testing.assert_array_equal(apply_combined(samples[0], "b0", learnt)[:, 2:][:, ~learnt.markers[2:]],
                                  samples[0][:, 2:][:, ~learnt.markers[2:]])  # fmt: skip
    # a T cell is one after as before
    for values, b, kind in zip(samples, batch, kinds, strict=True):
        done = apply_combined(values, b, learnt)
        assert ((done[:, 0] > 2.6) == kind).mean() > 0.99


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_batches_that_differ_no_more_than_samples_are_left_alone(seed):
    samples = [sample(100 * seed + n)[0] for n in range(8)]
    learnt, table = combine_and_judge(samples, ["a", "b"] * 4, NAMES)
    assert learnt.markers.sum() <= 1
    assert "no difference beyond chance" in set(table["reason"])


def test_visits_of_one_patient_are_no_evidence_of_a_batch():
    rng = np.random.default_rng(0)
    samples, batch, patient = [], [], []
    for p in range(8):
        own = rng.normal(0, 0.3, 4)
        for visit in range(6):
            samples.append(sample(10 * p + visit)[0] + own)
            batch.append("a" if p < 4 else "b")
            patient.append(f"P{p}")
    dealt = combine_and_judge(samples, batch, NAMES, 0, patient)[0].markers.sum()
    as_samples = combine_and_judge(samples, batch, NAMES, 0)[0].markers.sum()
    assert dealt <= 1 < as_samples


def test_four_patients_against_four_can_tell_a_batch_by_every_draw():
    """There are 35 ways to deal them: all are looked at, for draws would hold the true one 0 to 15 times of 200."""
    samples = [sample(seed, 1.5 * (seed % 2))[0] for seed in range(8)]
    batch = ["a" if seed % 2 == 0 else "b" for seed in range(8)]
    for seed in range(40):
        assert _patients_differ(samples, batch, None, seed)[:2].all()


def test_every_arrangement_is_dealt_once():
    every = [tuple(dealt) for dealt in _dealt(np.array(list("aabbbc")))]
    assert len(every) == len(set(every)) == 60
    assert {tuple(sorted(dealt)) for dealt in every} == {tuple("aabbbc")}


def test_values_stay_within_what_was_measured_and_zero_is_never_passed():
    rng = np.random.default_rng(0)
    batches = {b: np.maximum(rng.normal(n, 1, (600, 4)), 0) for n, b in enumerate("ab")}
    learnt = combine(batches)
    for b, values in batches.items():
        done = apply_combined(values, b, learnt)
        assert done.min() >= 0
        assert done.max() <= max(v.max() for v in batches.values())


def test_ways_to_deal():
    assert deals(["a", "a", "b", "b", "c", "c"]) == 15
    assert deals(["a"] * 4 + ["b"] * 4) == 35
    assert deals(["a", "b", "b"]) == 3


def test_faults():
    with pytest.raises(TresetError, match="at least two batches"):
        combine({"a": sample(0)[0]})
    with pytest.raises(TresetError, match="at least 100 cells"):
        combine({"a": sample(0)[0], "b": sample(1)[0][:40]})
    learnt = combine({"a": sample(0)[0], "b": sample(1)[0]})
    with pytest.raises(TresetError, match="batch 'z'"):
        apply_combined(sample(2)[0], "z", learnt)


def test_the_jobs_give_the_same_bytes_and_the_same_values(tmp_path: Path):
    samples, batch, _ = drawn([(0, 1), (0.9, 0.9)])
    files = []
    for n, (values, b) in enumerate(zip(samples, batch, strict=True)):
        obs = pd.DataFrame({"batch": b, "keep": True}, index=[f"c{i}" for i in range(len(values))])
        var = pd.DataFrame({"role": "lineage"}, index=NAMES)
        files.append(tmp_path / f"{n}.h5ad")
        write_h5ad(AnnData(values.astype(np.float32), obs=obs, var=var), files[-1])
    for name in ("m", "n"):
        learn(files, 0, tmp_path / f"{name}.npz", tmp_path / f"{name}.tsv", "cycombine")
    assert (tmp_path / "m.npz").read_bytes() == (tmp_path / "n.npz").read_bytes()
    apply(files[-1], tmp_path / "m.npz", tmp_path / "out.h5ad")
    exact = [values.astype(np.float32).astype(float) for values in samples]
    learnt, _ = combine_and_judge(exact, batch, NAMES)
    np.testing.assert_allclose(read_h5ad(tmp_path / "out.h5ad").X, apply_combined(exact[-1], "b1", learnt), atol=1e-5)


@pytest.mark.realdata
@pytest.mark.skipif("TRESET_DATA" not in os.environ, reason="TRESET_DATA is not set")
def test_public_plates_as_if_they_had_no_anchor():
    from treset.io.fcs import read_fcs

    samples, batch, names = [], [], []
    for path in sorted((Path(os.environ["TRESET_DATA"]) / "cytonorm").glob("*.fcs")):
        header, events = read_fcs(path)
        used = [n for n, m in enumerate(header.markers) if m and not m.startswith(("BC", "DNA", "beadDist"))]
        samples.append(np.arcsinh(events[:, used] / 5).astype(float))
        batch.append(path.name.split("_")[1])
        names = [header.markers[n] for n in used]
    learnt, table = combine_and_judge(samples, batch, names)
    whole = table[table["population"] == "cells"]
    done = whole[whole["corrected"]]
    assert done["emd_after"].mean() <= 0.6 * done["emd_before"].mean()
    assert abs(done["mad_after"].mean() / done["mad_before"].mean() - 1) < 0.1
    assert emd(samples[0][:, 0], apply_combined(samples[0], batch[0], learnt)[:, 0]) < 1
