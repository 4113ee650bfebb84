"""The cytometry filters, measured against the truth of simulated events."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from treset import simulate
from treset.errors import TresetError
from treset.quality.cytometry import flag
from treset.simulate.cytometry import simulate_events
from treset.simulate.panel import CHANNELS
from treset.simulate.trial import KINDS
from treset.study.model import CytometryQuality

FILTERS = ["beads", "gaussian", "event_length", "dna_singlets", "viability", "scatter_singlets"]


def simulated(seed=1, **parameters):
    """Events of one sample with roles, and what each is."""
    trial = simulate.plan("il2_open_label", patients=1, seed=seed, **parameters)
    drawn = simulate_events(trial, "P01_D0")
    roles = trial.panel.set_index("channel")["role"]
    adata = AnnData(drawn.values.copy(), obs=pd.DataFrame(index=np.arange(len(drawn.kind)).astype(str)))
    adata.var_names = list(CHANNELS)
    adata.var["role"] = [roles.get(channel, "ignore") for channel in CHANNELS]
    adata.var["cofactor"] = np.nan
    return adata, np.array(KINDS)[drawn.kind], drawn


@pytest.fixture(scope="module")
def sample():
    adata, kind, drawn = simulated()
    table = flag(adata, CytometryQuality())
    return adata, kind, drawn, table


def test_table_is_cumulative_and_complete(sample):
    adata, _, _, table = sample
    assert list(table.columns) == ["filter", "cells_in", "dropped", "kept", "threshold", "note"]
    assert list(table["filter"]) == FILTERS
    assert table["cells_in"].iloc[0] == adata.n_obs
    assert (table["cells_in"] - table["dropped"] == table["kept"]).all()
    assert (table["kept"].iloc[:-1].to_numpy() == table["cells_in"].iloc[1:].to_numpy()).all()
    assert table["kept"].iloc[-1] == adata.obs["keep"].sum()


def test_keep_is_that_no_filter_failed(sample):
    adata, *_ = sample
    failed = adata.obs[[f"qc_{name}" for name in FILTERS]]
    assert all(dtype.kind == "b" for dtype in failed.dtypes)
    assert (adata.obs["keep"] == ~failed.any(axis=1)).all()


@pytest.mark.parametrize(
    ("filters", "kind"), [(["beads"], "bead"), (["viability"], "dead"), (["dna_singlets"], "doublet")]
)
def test_recall_and_precision_against_the_truth(sample, filters, kind):
    adata, truth, _, _ = sample
    found = adata.obs[[f"qc_{name}" for name in filters]].any(axis=1).to_numpy()
    if kind == "doublet":  # the DNA filter removes beads and debris too, which are not doublets and rightly go
        found = found & ~np.isin(truth, ["bead", "debris"])
    assert (found & (truth == kind)).sum() / (truth == kind).sum() >= 0.9
    assert (found & (truth == kind)).sum() / found.sum() >= 0.95


def test_debris_is_found_by_dna(sample):
    adata, truth, _, _ = sample
    assert adata.obs["qc_dna_singlets"][truth == "debris"].mean() >= 0.95


def test_no_population_is_thrown_away(sample):
    adata, truth, drawn, _ = sample
    keep = adata.obs["keep"].to_numpy()
    assert keep[truth == "cell"].mean() > 0.99
    for leaf in np.unique(drawn.population[truth == "cell"]):
        cells = (truth == "cell") & (drawn.population == leaf)
        assert keep[cells].mean() > 0.9


@pytest.mark.parametrize(
    "parameters",
    [
        {"debris": 0.3},
        {"dead": 0.4},
        {"beads": 0.4},
        {"doublets": 0.2},
        {"doublets": 0.15, "debris": 0.15, "dead": 0.15, "beads": 0.15, "batch_sd": 0.4},
        {"events": 500},
    ],
    ids=str,
)
def test_hard_samples_are_cleaned_as_well(parameters):
    adata, truth, _ = simulated(seed=3, **parameters)
    flag(adata, CytometryQuality())
    keep = adata.obs["keep"].to_numpy()
    assert (truth[keep] == "cell").mean() > 0.98
    assert keep[truth == "cell"].mean() > 0.98


def test_clean_cells_are_left_alone():
    adata, _, _ = simulated(doublets=0.0, debris=0.0, dead=0.0, beads=0.0)
    flag(adata, CytometryQuality())
    assert adata.obs["keep"].mean() > 0.99


def test_a_second_dna_mode_with_the_same_event_length_is_not_doublets():
    adata, _, _ = simulated(doublets=0.0, debris=0.0, dead=0.0, beads=0.0)
    dna = ["Ir191Di", "Ir193Di"]
    columns = adata.var_names.get_indexer(dna)
    brighter = np.arange(adata.n_obs) < 0.12 * adata.n_obs
    adata.X[np.ix_(brighter, columns)] *= 2.0
    table = flag(adata, CytometryQuality()).set_index("filter")
    assert "not called doublets" in table.loc["dna_singlets", "note"]
    assert adata.obs["keep"][brighter].mean() > 0.97


def test_broad_dna_gives_no_doublet_cut():
    adata, _, _ = simulated(doublets=0.0, debris=0.0, dead=0.0, beads=0.0)
    columns = adata.var_names.get_indexer(["Ir191Di", "Ir193Di"])
    adata.X[:, columns] *= np.exp(np.random.default_rng(0).normal(0, 0.5, (adata.n_obs, 1)))
    table = flag(adata, CytometryQuality()).set_index("filter")
    assert "too broad" in table.loc["dna_singlets", "note"]
    assert adata.obs["keep"].mean() > 0.98


def test_absent_channels_are_a_note_and_drop_nothing():
    adata, _, _ = simulated()
    lineage = adata[:, adata.var["role"] == "lineage"].copy()
    table = flag(lineage, CytometryQuality())
    assert (table["dropped"] == 0).all()
    assert (table["note"] != "").all()
    assert lineage.obs["keep"].all()


def test_switched_off_filters_do_nothing_and_say_so():
    adata, _, _ = simulated()
    off = replace(CytometryQuality(), **dict.fromkeys(FILTERS, False))
    table = flag(adata, off)
    assert set(table["note"]) == {"switched off"}
    assert adata.obs["keep"].all()


@pytest.mark.parametrize("events", [0, 1, 7])
def test_a_handful_of_events_passes_unfiltered(events):
    adata, _, _ = simulated()
    few = adata[:events].copy()
    table = flag(few, CytometryQuality())
    assert few.obs["keep"].sum() == events
    assert table["note"].str.contains("fewer than 20 events").all()


def test_events_without_roles_are_refused():
    with pytest.raises(TresetError, match="apply the panel"):
        flag(AnnData(np.ones((3, 2), np.float32)), CytometryQuality())


def test_nan_in_a_channel_that_is_read_is_refused():
    adata, _, _ = simulated()
    adata.X[41, adata.var_names.get_loc("Ir193Di")] = np.nan
    with pytest.raises(TresetError, match=r"Ir193Di \(dna\) is nan in event 42"):
        flag(adata, CytometryQuality())


@pytest.mark.parametrize("second", ["FSC-H", "FSC-W"])
def test_flow_doublets_have_twice_the_area_at_the_same_height(second):
    rng = np.random.default_rng(5)
    singlets, doublets = 3000, 200
    size = rng.normal(90_000, 12_000, singlets + doublets)
    width = np.exp(rng.normal(0, 0.04, singlets + doublets))
    width[singlets:] *= 1.8
    area = size * width
    other = size if second == "FSC-H" else width * 65_536
    adata = AnnData(np.column_stack([area, other, rng.normal(500, 50, len(area))]).astype(np.float32))
    adata.var_names = ["FSC-A", second, "FITC-A"]
    adata.var["role"] = ["scatter", "scatter", "lineage"]
    table = flag(adata, CytometryQuality()).set_index("filter")
    fails = adata.obs["qc_scatter_singlets"].to_numpy()
    assert fails[singlets:].mean() > 0.98
    assert fails[:singlets].mean() < 0.01
    assert table.loc["scatter_singlets", "threshold"].startswith("FSC-A / FSC-H" if second == "FSC-H" else "FSC-W")


def test_event_order_does_not_matter(sample):
    adata, *_ = sample
    order = np.random.default_rng(0).permutation(adata.n_obs)
    again = adata[order].copy()
    flag(again, CytometryQuality())
    assert (again.obs["keep"].to_numpy() == adata.obs["keep"].to_numpy()[order]).all()


@pytest.mark.realdata
@pytest.mark.skipif("TRESET_DATA" not in os.environ, reason="TRESET_DATA names no data folder")
@pytest.mark.parametrize(("folder", "least"), [("himc_plate3", 0.90), ("bcrxl", 0.85), ("cytonorm", 0.90)])
def test_gated_real_cells_are_not_gutted(folder, least):
    from treset.io import read_sample
    from treset.io.panel import apply_panel, propose_panel

    for file in sorted((Path(os.environ["TRESET_DATA"]) / folder).glob("*.fcs"))[:28]:
        adata = read_sample(file, "mass_cytometry")
        panel = propose_panel({file.stem: (tuple(adata.var_names), tuple(adata.var["marker"]))})
        adata = apply_panel(adata, panel, {}, file.stem)
        flag(adata, CytometryQuality())
        assert adata.obs["keep"].mean() > least, file.name
