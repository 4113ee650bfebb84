from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from treset import simulate
from treset.quality.rna import flag
from treset.simulate.rna import simulate_counts
from treset.simulate.trial import KINDS
from treset.study.model import RnaQuality

FILTERS = ["min_counts", "min_genes", "outliers", "mito", "doublets"]


def cells(matrix, genes=None, types=None):
    matrix = sp.csr_matrix(np.asarray(matrix, np.float32))
    adata = AnnData(matrix)
    adata.var_names = genes or [f"G{number}" for number in range(matrix.shape[1])]
    if types:
        adata.var["feature_type"] = types
    return adata


@pytest.fixture(scope="module")
def sample():
    trial = simulate.plan("il2_open_label", patients=1, modality="rna", events=1000)
    drawn = simulate_counts(trial, "P01_D0")
    return cells(drawn.matrix.toarray(), drawn.genes), np.array(KINDS)[drawn.kind]


def test_simulated_debris_and_dying_cells_go_and_cells_stay(sample):
    adata, truth = sample[0].copy(), sample[1]
    table = flag(adata, RnaQuality())
    keep = adata.obs["keep"].to_numpy()
    assert list(table["filter"]) == FILTERS
    assert (table["cells_in"] - table["dropped"] == table["kept"]).all()
    assert (table["kept"].iloc[:-1].to_numpy() == table["cells_in"].iloc[1:].to_numpy()).all()
    assert keep[truth == "cell"].mean() > 0.98
    assert keep[truth == "debris"].mean() < 0.05
    assert keep[truth == "dead"].mean() < 0.05
    assert table.set_index("filter").loc["doublets", "note"] == "no doublet caller given"


def test_the_caller_sees_the_cells_left_and_its_threshold_decides(sample):
    adata, seen = sample[0].copy(), {}

    def scrublet(counts, seed):
        seen.update(shape=counts.shape, seed=seed)
        return np.linspace(0, 1, counts.shape[0]), 0.9

    table = flag(adata, RnaQuality(), scrublet, seed=11).set_index("filter")
    assert seen == {"shape": (table.loc["doublets", "cells_in"], adata.n_vars), "seed": 11}
    assert table.loc["doublets", "dropped"] == pytest.approx(0.1 * seen["shape"][0], abs=2)
    assert adata.obs["doublet_score"].isna().sum() == adata.n_obs - seen["shape"][0]


def test_without_a_threshold_no_doublet_is_dropped_and_it_is_said(sample):
    adata = sample[0].copy()
    table = flag(adata, RnaQuality(), lambda counts, seed: (np.zeros(counts.shape[0]), None)).set_index("filter")
    assert table.loc["doublets", "dropped"] == 0
    assert "no threshold" in table.loc["doublets", "note"]


def test_switched_off_doublets_are_not_called(sample):
    adata = sample[0].copy()

    def never(counts, seed):
        raise AssertionError

    table = flag(adata, RnaQuality(doublets=False), never).set_index("filter")
    assert table.loc["doublets", "note"] == "switched off"


def test_minimum_counts_and_genes_by_hand():
    # counts 12, 5, 6; genes 3, 1, 2
    adata = cells([[4, 4, 4], [5, 0, 0], [3, 3, 0]])
    flag(adata, RnaQuality(min_counts=6, min_genes=3))
    assert adata.obs["qc_min_counts"].tolist() == [False, True, False]
    assert adata.obs["qc_min_genes"].tolist() == [False, True, True]
    assert adata.obs["keep"].tolist() == [True, False, False]
    assert adata.obs["n_counts"].tolist() == [12, 5, 6]
    assert adata.obs["n_genes"].tolist() == [3, 1, 2]


@pytest.mark.parametrize("prefix", ["MT-", "mt-"])
def test_mitochondrial_share_of_man_and_mouse(prefix):
    rng = np.random.default_rng(0)
    matrix = rng.poisson(20, (60, 40))
    matrix[:, 0] = rng.poisson(40, 60)  # about 5 %
    matrix[0, 0] = 600  # far above
    adata = cells(matrix, [f"{prefix}ND1", *(f"G{number}" for number in range(39))])
    table = flag(adata, RnaQuality(min_genes=1)).set_index("filter")
    assert adata.obs["percent_mito"].iloc[1] == pytest.approx(100 * matrix[1, 0] / matrix[1].sum(), rel=1e-6)
    assert adata.obs["qc_mito"].iloc[0]
    assert table.loc["mito", "dropped"] <= 3


def test_the_cap_holds_when_shares_do_not_vary():
    matrix = np.full((30, 10), 100)
    matrix[:3, 0] = 5_000
    adata = cells(matrix, ["MT-CO1", *(f"G{number}" for number in range(9))])
    table = flag(adata, RnaQuality(min_genes=1)).set_index("filter")
    assert adata.obs["qc_mito"].tolist() == [True] * 3 + [False] * 27
    assert "does not vary" in table.loc["mito", "note"]


def test_no_mitochondrial_genes_is_a_note(sample):
    adata = sample[0].copy()
    adata = adata[:, ~adata.var_names.str.startswith("MT-")].copy()
    table = flag(adata, RnaQuality()).set_index("filter")
    assert table.loc["mito", "dropped"] == 0
    assert "no mitochondrial genes" in table.loc["mito", "note"]
    assert adata.obs["percent_mito"].isna().all()


def test_a_limit_that_guts_a_file_of_few_genes_is_said():
    adata = cells(np.ones((200, 80)))
    table = flag(adata, RnaQuality()).set_index("filter")
    assert "check min_counts" in table.loc["min_counts", "note"]
    assert "80 genes" in table.loc["min_counts", "note"]
    assert not adata.obs["keep"].any()


def test_antibodies_are_not_counted():
    adata = cells(
        [[300, 300, 9_000], [400, 250, 1]],
        ["A", "B", "CD3"],
        ["Gene Expression", "Gene Expression", "Antibody Capture"],
    )
    flag(adata, RnaQuality())
    assert adata.obs["n_counts"].tolist() == [600, 650]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_handful_of_cells_works(count):
    adata = AnnData(
        sp.csr_matrix((count, 50), dtype=np.float32), obs=pd.DataFrame(index=[str(i) for i in range(count)])
    )
    adata.X = sp.csr_matrix(np.full((count, 50), 20, np.float32))
    table = flag(adata, RnaQuality(min_genes=10))
    assert adata.obs["keep"].sum() == count
    assert (table["dropped"] == 0).all()


@pytest.mark.realdata
@pytest.mark.skipif("TRESET_DATA" not in os.environ, reason="TRESET_DATA names no data folder")
def test_pbmc3k_keeps_nearly_all():
    from treset.io import read_sample

    adata = read_sample(Path(os.environ["TRESET_DATA"]) / "rna" / "pbmc3k_mtx", "rna")
    flag(adata, RnaQuality())
    assert adata.n_obs == 2700
    assert 0.93 < adata.obs["keep"].mean() < 1.0
