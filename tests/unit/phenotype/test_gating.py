"""Thresholds are found on more cells than the sketch has, as many of every sample, within a bound."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treset.errors import TresetError
from treset.io.h5ad import write_h5ad
from treset.jobs.cohort import CohortSettings, cohort
from treset.jobs.gating import find_thresholds, read_gate_cells
from treset.phenotype.gates import apply_gates
from treset.phenotype.samples import reference, reference_of, reference_table
from treset.phenotype.tree import resolve
from treset.study.model import Cohort, Condition, GateOverride, Population

MARKERS = ["CD3", "CD19", "CD27"]
TREE = (
    Population("T", None, (Condition(("CD3",), "+"),)),
    Population("B", None, (Condition(("CD3",), "-"), Condition(("CD19",), "+"))),
    Population("memory B", "B", (Condition(("CD27",), "+"),)),
)
NODES = resolve(TREE, MARKERS)
SIZES = {"s1": 6_000, "s2": 30_000, "s3": 30_000}
BATCH = {"s1": "p1", "s2": "p1", "s3": "p2"}


def write(path: Path, sample: str, n: int, seed: int, share_b: float = 0.1) -> Path:
    """T and B cells, memory B a third of them with the valley of CD27 at 2; every tenth cell is dropped."""
    generator = np.random.default_rng(seed)
    b = generator.random(n) < share_b
    memory = b & (generator.random(n) < 1 / 3)
    level = np.column_stack([np.where(b, 0.0, 4.0), np.where(b, 4.0, 0.0), np.where(memory, 3.0, 1.0)])
    x = (level + generator.normal(0, 0.45, (n, 3))).astype(np.float32)
    keep = np.arange(n) % 10 > 0
    x[~keep] = 99.0  # would be seen at once
    obs = pd.DataFrame(
        {"sample": pd.Categorical([sample] * n), "batch": pd.Categorical([BATCH.get(sample, "p1")] * n), "keep": keep},
        index=[f"{sample}:{i}" for i in range(n)],
    )
    cells = anndata.AnnData(x, obs=obs, var=pd.DataFrame({"role": "lineage"}, index=MARKERS))
    cells.uns["treset_panel"] = {}
    write_h5ad(cells, path)
    return path


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("gating")
    return {name: write(folder / f"{name}.h5ad", name, n, i) for i, (name, n) in enumerate(SIZES.items())}


@settings(max_examples=10, deadline=None)
@given(budget=st.integers(1_000, 80_000), seed=st.integers(0, 99))
def test_no_more_cells_than_the_bound_and_every_sample_alike(samples: dict[str, Path], budget: int, seed: int) -> None:
    drawn = read_gate_cells(samples, ["CD27", "CD3"], budget, seed)
    counts = dict(zip(*np.unique(drawn.sample, return_counts=True), strict=True))
    kept = {name: n - n // 10 for name, n in SIZES.items()}
    assert list(drawn.columns) == ["CD27", "CD3"]
    assert {len(v) for v in drawn.columns.values()} == {len(drawn.batch)} == {min(budget, sum(kept.values()))}
    assert all(v.dtype == np.float32 and v.max() < 90 for v in drawn.columns.values())
    # the small sample gives what it has, the others share the rest
    assert counts["s1"] == min(budget // 3, kept["s1"]) and abs(int(counts["s2"]) - int(counts["s3"])) <= 1
    assert set(zip(drawn.sample, drawn.batch, strict=True)) == set(BATCH.items())


def test_the_draw_is_the_samples_own_and_repeats(samples: dict[str, Path]) -> None:
    one, two = (read_gate_cells(samples, MARKERS, 9_000, 4) for _ in range(2))
    assert all(one.columns[m].tobytes() == two.columns[m].tobytes() for m in MARKERS)
    # as many of each sample without the third as with it
    fewer = read_gate_cells({name: samples[name] for name in ("s1", "s2")}, MARKERS, 6_000, 4)
    assert np.array_equal(fewer.columns["CD27"], one.columns["CD27"][one.sample != "s3"])
    other = read_gate_cells(samples, MARKERS, 9_000, 5)
    assert not np.array_equal(other.columns["CD27"], one.columns["CD27"])


def test_few_cells_are_all_taken_in_the_order_of_the_file(samples: dict[str, Path]) -> None:
    whole = anndata.read_h5ad(samples["s1"])
    drawn = read_gate_cells({"s1": samples["s1"]}, MARKERS, 500_000, 0)
    kept = whole.obs["keep"].to_numpy()
    assert np.array_equal(np.column_stack([drawn.columns[m] for m in MARKERS]), whole.X[kept])


def test_a_marker_that_a_file_lacks_is_named(samples: dict[str, Path]) -> None:
    with pytest.raises(TresetError, match="lacks CD4"):
        read_gate_cells(samples, ["CD3", "CD4"], 1_000, 0)


def test_a_rare_populations_threshold_stands_still_with_more_cells(tmp_path: Path) -> None:
    """One cell in 150 is a memory B cell: in a sketch of 8,000 its cut rests on fifty of them."""
    path = write(tmp_path / "a.h5ad", "a", 120_000, 8, share_b=0.02)
    every = read_gate_cells({"a": path}, MARKERS, 500_000, 0)

    def spread(budget: int) -> float:
        shares = []
        for seed in range(6):
            thresholds, _ = find_thresholds(read_gate_cells({"a": path}, MARKERS, budget, seed), NODES, ())
            masks = apply_gates(every.columns, every.batch, NODES, thresholds)
            shares.append(masks["memory B"].mean())
        return float(np.std(shares) / np.mean(shares))

    assert spread(80_000) < 0.6 * spread(8_000)
    assert spread(80_000) < 0.02


def test_what_a_stain_is_compared_with_is_that_of_the_cells(samples: dict[str, Path]) -> None:
    drawn = read_gate_cells(samples, MARKERS, 60_000, 1)
    thresholds, table = find_thresholds(drawn, NODES, ())
    assert set(table["batch"]) == {"", "p1", "p2"}
    for batch in ("p1", "p2"):
        wanted = reference(thresholds, drawn.columns, drawn.batch, drawn.sample, NODES, batch)
        assert reference_of(thresholds, table, batch) == wanted
    # a plate that was not there is compared with all
    unseen = reference(thresholds, drawn.columns, drawn.batch, drawn.sample, NODES, "p9")
    assert reference_of(thresholds, table, "p9") == unseen
    # too few cells in either batch
    few = {m: v[:2_500] for m, v in drawn.columns.items()}
    batch = np.where(np.arange(2_500) < 1_000, "p1", "p2")
    small = reference_table(thresholds, few, batch, drawn.sample[:2_500], NODES)
    assert set(small["batch"]) == {""}


def test_thresholds_set_by_hand_hold(samples: dict[str, Path]) -> None:
    drawn = read_gate_cells(samples, MARKERS, 20_000, 1)
    thresholds, _ = find_thresholds(drawn, NODES, (GateOverride("CD19", 2.5, batch="p2"),))
    mine = thresholds[thresholds["marker"] == "CD19"].set_index(["population_parent", "batch"])
    assert (mine.loc[(slice(None), "p2"), "threshold"] == 2.5).all()
    assert (mine.loc[(slice(None), "p2"), "method"] == "manual").all()


@pytest.mark.parametrize("sketch", ["stratified", "density"])
def test_the_cohorts_thresholds_count_these_cells_and_no_draw_of_the_sketch_moves_them(
    samples: dict[str, Path], tmp_path: Path, sketch: str
) -> None:
    options = Cohort(
        sketch_cells=600, gate_cells=30_000, sketch=sketch, umap_epochs=5, resolution=0.1, overcluster=4
    )  # fmt: skip
    cohort(samples, CohortSettings("mass_cytometry", options, TREE, 2000, "cpu", 3), tmp_path)
    written = pd.read_csv(tmp_path / "thresholds.tsv", sep="\t", keep_default_na=False)
    root = written[(written["population_parent"] == "cells") & (written["batch"] == "")]
    assert set(root["n_cells"].astype(int)) == {30_000} and set(root["marker"]) >= set(MARKERS)
    wanted, _ = find_thresholds(read_gate_cells(samples, MARKERS, 30_000, 3), NODES, ())
    assert written["threshold"].astype(float).to_numpy() == pytest.approx(wanted["threshold"].to_numpy())
    stain = anndata.read_h5ad(tmp_path / "sketch.h5ad").uns["stain"]
    assert {"batch", "marker", "population", "log_median", "error", "n"} == set(stain.columns)
