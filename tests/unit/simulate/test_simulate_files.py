"""Files: what is written is what was planned, to the byte."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from treset import simulate
from treset.errors import TresetError
from treset.simulate.cytometry import simulate_events
from treset.simulate.panel import BEAD_METALS, CHANNELS, MARKERS, panel_table
from treset.simulate.populations import LEAVES, intensity_table
from treset.simulate.rna import simulate_counts
from treset.simulate.trial import KINDS, draw_counts

SMALL = {"patients": 2, "events": 600, "seed": 4}


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("modality", ["mass_cytometry", "rna"])
def test_same_seed_same_bytes_and_samples_alone_are_the_same(tmp_path, modality):
    small = SMALL | {"modality": modality, "events": 200}
    simulate.write(simulate.plan("il2_open_label", **small), tmp_path / "a")
    simulate.write(simulate.plan("il2_open_label", **small), tmp_path / "b")
    first = digests(tmp_path / "a")
    assert first == digests(tmp_path / "b")
    assert {"truth.tsv", "truth/composition.tsv", "truth/patients.tsv", "truth/P01_D8.parquet"} <= set(first)
    simulate.write(simulate.plan("il2_open_label", **small), tmp_path / "c", samples=["P02_D8"])
    alone = digests(tmp_path / "c")
    assert set(alone) < set(first)
    assert all(first[name] == digest for name, digest in alone.items())
    simulate.write(simulate.plan("il2_open_label", **small | {"seed": 9}), tmp_path / "d", samples=["P02_D8"])
    other = digests(tmp_path / "d")
    assert all(first[name] != other[name] for name in other if "P02" in name)


def test_fcs_holds_the_events_and_the_panel_finds_its_channels(tmp_path):
    from treset.io.fcs import read_fcs

    trial = simulate.plan("il2_open_label", **SMALL)
    simulate.write(trial, tmp_path, samples=["P01_D0"])
    header, events = read_fcs(tmp_path / "P01_D0.fcs")
    np.testing.assert_array_equal(events, simulate_events(trial, "P01_D0").values)
    assert tuple(header.channels) == CHANNELS
    assert set(trial.panel["channel"]) < set(header.channels)
    assert header.notes == ()
    cells = pd.read_parquet(tmp_path / "truth" / "P01_D0.parquet")
    assert list(cells.columns) == ["kind", "population", "partner"]
    assert len(cells) == 600


def test_composition_tsv_counts_the_cells_of_the_files(tmp_path):
    trial = simulate.plan("il2_open_label", **SMALL)
    simulate.write(trial, tmp_path)
    table = pd.read_csv(tmp_path / "truth" / "composition.tsv", sep="\t")
    assert set(table["sample"]) == set(trial.plans)
    for sample in trial.plans:
        cells = pd.read_parquet(tmp_path / "truth" / f"{sample}.parquet")
        living = cells[cells["kind"] == "cell"]["population"].astype(str)
        rows = table[table["sample"] == sample].set_index("population")
        treg = living.isin(["Treg naive", "Treg effector"]).sum()
        cd4 = (living.str.startswith("CD4") | living.str.startswith("Treg")).sum()
        assert rows.loc["Treg", "true_count"] == treg
        assert rows.loc["Treg", "parent"] == "CD4 T"
        assert rows.loc["Treg", "true_percent_of_parent"] == pytest.approx(100 * treg / cd4)
        assert rows.loc["B naive", "true_percent_of_total"] == pytest.approx(100 * (living == "B naive").mean())


def test_rna_composition_has_the_populations_genes_can_tell():
    trial = simulate.plan("cart_lupus", modality="rna", patients=1)
    table = simulate.realised_composition(trial)
    rows = table[table["sample"] == "P01_baseline"].set_index("population")
    _, leaves = draw_counts(trial, "P01_baseline")
    counts = dict(zip(LEAVES, leaves, strict=True))
    assert rows.loc["B naive", "true_count"] == counts["B naive"] + counts["B transitional"]
    assert rows.loc["B naive", "true_count"] + rows.loc["B memory", "true_count"] == rows.loc["B", "true_count"]
    assert rows.loc["Platelets", "true_count"] == counts["Platelets"]


def test_realised_shares_scatter_around_the_plan():
    trial = simulate.plan("il2_open_label", patients=6, events=4000)
    for sample in trial.plans:
        kinds, leaves = draw_counts(trial, sample)
        expected = trial.plans[sample].composition * kinds[0]
        z = (leaves - expected) / np.sqrt(np.maximum(expected, 1))
        assert np.abs(z).max() < 5


@pytest.fixture(scope="module")
def drawn():
    trial = simulate.plan("il2_open_label", patients=1, events=20_000, marker_sd=0.0, batch_sd=0.0)
    return trial, simulate_events(trial, "P01_D0")


def test_counts_are_dual_counts_in_time_order(drawn):
    _, events = drawn
    assert events.values.dtype == np.float32
    assert (events.values >= 0).all()
    assert np.isfinite(events.values).all()
    assert (np.diff(events.values[:, CHANNELS.index("Time")]) >= 0).all()
    unstained = events.values[:, CHANNELS.index("Yb173Di")]
    assert (unstained == 0).mean() > 0.5


def test_medians_are_those_of_the_table(drawn):
    _, events = drawn
    channel = dict(zip(panel_table()["marker"], panel_table()["channel"], strict=True))
    table = intensity_table()
    cells = events.kind == 0
    for leaf, marker in (("CD4 naive", "CD4"), ("B naive", "IgD"), ("Treg effector", "CD25"), ("NK CD56dim", "CD16")):
        values = events.values[cells & (events.population == LEAVES.index(leaf)), CHANNELS.index(channel[marker])]
        expected = table[LEAVES.index(leaf), MARKERS.index(marker)]
        error = 1.2533 * 0.45 / np.sqrt(len(values))
        # The randomisation takes half a count off.
        assert np.log((np.median(values) + 0.5) / expected) == pytest.approx(0, abs=4 * error)


def test_kinds_are_what_physics_makes_them(drawn):
    _, events = drawn
    kind = np.array(KINDS)[events.kind]

    def median(what, channel):
        return np.median(events.values[kind == what, CHANNELS.index(channel)])

    assert median("doublet", "Ir191Di") == pytest.approx(2 * median("cell", "Ir191Di"), rel=0.05)
    assert median("doublet", "Event_length") > median("cell", "Event_length") + 5
    assert median("debris", "Ir193Di") < 0.35 * median("cell", "Ir193Di")
    assert median("dead", "Pt195Di") > 20 * median("cell", "Pt195Di")
    for metal in BEAD_METALS:
        assert median("bead", metal) > 800
    assert median("bead", "Ir191Di") < 2
    assert (events.population[kind == "bead"] == -1).all()
    assert (events.partner[kind == "doublet"] >= 0).all()
    assert (events.partner[kind != "doublet"] == -1).all()


def test_treg_intensity_rises_by_the_fold():
    trial = simulate.plan(
        "il2_open_label", patients=1, events=40_000, batch_sd=0.0, marker_fold_sd=0.0, cd25_folds=[1, 2.17, 1]
    )
    medians = []
    for visit in ("D0", "D8"):
        events = simulate_events(trial, f"P01_{visit}")
        treg = (events.kind == 0) & (events.population == LEAVES.index("Treg effector"))
        medians.append(np.median(events.values[treg, CHANNELS.index("Tm169Di")]))
    assert medians[1] / medians[0] == pytest.approx(2.17, rel=0.12)


def test_batches_shift_whole_channels():
    trial = simulate.plan("il2_open_label", patients=2, events=8000, batch_sd=0.5, marker_sd=0.0)
    medians = []
    for sample in ("P01_D0", "P01_D8", "P02_D0"):
        events = simulate_events(trial, sample)
        bead = events.kind == 4
        medians.append(np.median(events.values[bead][:, [CHANNELS.index(metal) for metal in BEAD_METALS]], axis=0))
    assert medians[0] == pytest.approx(medians[1], rel=0.03)
    assert np.abs(np.log(medians[0] / medians[2])).max() > 0.2


def test_rna_counts_show_the_populations_and_the_dying(tmp_path):
    trial = simulate.plan("il2_open_label", patients=1, modality="rna", events=1500, batch_sd=0.0)
    assert trial.panel is None
    drawn = simulate_counts(trial, "P01_D0")
    counts = pd.DataFrame(drawn.matrix.toarray(), columns=drawn.genes)
    kind, leaf = np.array(KINDS)[drawn.kind], np.array([*LEAVES, ""])[drawn.population]
    shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    cell = kind == "cell"
    b, treg = cell & np.char.startswith(leaf, "B "), cell & np.char.startswith(leaf, "Treg")
    assert shares.loc[b, "MS4A1"].mean() > 20 * shares.loc[cell & ~b, "MS4A1"].mean()
    assert shares.loc[treg, "FOXP3"].mean() > 20 * shares.loc[cell & ~treg, "FOXP3"].mean()
    mito = shares[[gene for gene in drawn.genes if gene.startswith("MT-")]].sum(axis=1)
    assert mito[kind == "dead"].min() > mito[cell].median() * 2
    assert counts[kind == "doublet"].sum(axis=1).median() > 1.6 * counts[cell].sum(axis=1).median()
    assert len(set(drawn.barcodes)) == 1500
    # Negative binomial: more variance than Poisson in a well expressed gene.
    b2m = counts.loc[cell, "B2M"]
    assert b2m.var() > 2 * b2m.mean()


def test_10x_file_is_read_back(tmp_path):
    from treset.io.tenx import read_10x

    trial = simulate.plan("cart_lupus", patients=1, modality="rna", events=150, genes=500)
    simulate.write(trial, tmp_path, samples=["P01_D14"])
    adata = read_10x(tmp_path / "P01_D14.h5")
    assert adata.shape == (150, 500)
    np.testing.assert_array_equal(adata.X.toarray(), simulate_counts(trial, "P01_D14").matrix.toarray())


def test_an_unknown_sample_is_a_sentence(tmp_path):
    with pytest.raises(TresetError, match="did you mean 'P01_D0'"):
        simulate.write(simulate.plan("il2_open_label", **SMALL), tmp_path, samples=["P01_D00"])
