"""The map job takes a sample by parts, and the parts change nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from treset.errors import TresetError
from treset.io.h5ad import read_h5ad, write_h5ad
from treset.jobs import map as job
from treset.jobs.cohort import CohortSettings, cohort
from treset.jobs.map import MapSettings, map_sample
from treset.study.model import Cohort, Condition, Population

TREE = (
    Population("T", None, (Condition(("CD3",), "+"),)),
    Population("B", None, (Condition(("CD3",), "-"), Condition(("CD19",), "+"))),
)
LEVEL = np.array([(4, 0, 1), (0, 4, 1), (0, 0, 4)], dtype=float)
OPTIONS = Cohort(sketch_cells=900, umap_epochs=5, resolution=0.1, overcluster=5)
OUTPUTS = ("cells.h5ad", "profile.parquet", "thresholds.tsv", "mapping.tsv")


def sample(path: Path, name: str, n: int, seed: int, keep: float = 0.9) -> Path:
    generator = np.random.default_rng(seed)
    x = generator.normal(LEVEL[generator.choice(3, n, p=[0.5, 0.3, 0.2])], 0.5).astype(np.float32)
    obs = pd.DataFrame(
        {"keep": generator.random(n) < keep, "sample": pd.Categorical([name] * n), "batch": pd.Categorical(["b1"] * n)},
        index=[f"{name}:{i}" for i in range(n)],
    )
    cells = anndata.AnnData(x, obs=obs, var=pd.DataFrame({"role": "lineage"}, index=["CD3", "CD19", "CD56"]))
    cells.layers["raw"] = np.sinh(x)
    cells.uns["treset_panel"] = {}
    write_h5ad(cells, path)
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two samples, the larger of many parts, and their cohort."""
    folder = tmp_path_factory.mktemp("study")
    paths = {
        name: sample(folder / f"{name}.h5ad", name, n, i) for i, (name, n) in enumerate([("s1", 12_345), ("s2", 800)])
    }
    cohort(paths, CohortSettings("mass_cytometry", OPTIONS, TREE, 2000, "cpu", 1), folder / "cohort")
    return folder


def mapped(study: Path, out: Path, name: str = "s1") -> Path:
    settings = MapSettings("mass_cytometry", TREE, (), 5, 15, "cpu", 1)
    map_sample(study / f"{name}.h5ad", study / "cohort", settings, *(out / file for file in OUTPUTS))
    return out


# a whole number of FAISS's blocks of 4,096 queries, as the job's own parts are
@pytest.mark.parametrize("chunk", [4_096, 8_192])
def test_parts_give_the_bytes_of_the_whole(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    assert job.CHUNK % 4_096 == 0 and job.CHUNK > 12_345
    whole = mapped(study, tmp_path / "whole")
    monkeypatch.setattr(job, "CHUNK", chunk)
    parts = mapped(study, tmp_path / "parts")
    for name in OUTPUTS:
        assert (parts / name).read_bytes() == (whole / name).read_bytes(), name


def test_every_cell_of_the_file_is_there_with_its_place(study: Path, tmp_path: Path) -> None:
    before, after = read_h5ad(study / "s1.h5ad"), read_h5ad(mapped(study, tmp_path) / "cells.h5ad")
    keep = before.obs["keep"].to_numpy()
    assert after.shape == before.shape and np.array_equal(after.X, before.X)
    assert np.array_equal(after.layers["raw"], before.layers["raw"])
    assert (after.obs["cluster"][~keep] == "").all() and (
        after.obs["population_reason"][~keep] == "dropped by quality"
    ).all()
    assert np.isnan(after.obsm["X_umap"][~keep]).all() and np.isfinite(after.obsm["X_umap"][keep]).all()
    kind = np.array(["T", "B", "unassigned"])[after.X.argmax(axis=1)]
    assert np.mean(after.obs["population"][keep] == kind[keep]) > 0.99
    assert np.mean(after.obs["cluster_population"][keep] == kind[keep]) > 0.99
    row = pd.read_csv(tmp_path / "mapping.tsv", sep="\t").iloc[0]
    assert row["cells"] == keep.sum()


def test_a_sample_without_kept_cells_is_refused_in_words(study: Path, tmp_path: Path) -> None:
    sample(study / "s3.h5ad", "s3", 50, 9, keep=0.0)
    with pytest.raises(TresetError, match="no cell passes the quality filters"):
        mapped(study, tmp_path, "s3")


def test_a_cohort_frozen_before_the_stain_was_kept_is_compared_with_its_sketch(study: Path, tmp_path: Path) -> None:
    now = pd.read_csv(mapped(study, tmp_path / "now") / "thresholds.tsv", sep="\t")
    shutil.copytree(study / "cohort", tmp_path / "cohort")
    shutil.copyfile(study / "s1.h5ad", tmp_path / "s1.h5ad")
    sketch = read_h5ad(tmp_path / "cohort" / "sketch.h5ad")
    del sketch.uns["stain"]
    write_h5ad(sketch, tmp_path / "cohort" / "sketch.h5ad")
    before = pd.read_csv(mapped(tmp_path, tmp_path / "before") / "thresholds.tsv", sep="\t")
    # the same samples by fewer cells: the same thresholds but for what counting leaves open
    assert list(before["marker"]) == list(now["marker"])
    assert np.abs(before["threshold"] - now["threshold"]).max() < 0.2


def test_shares_are_told_as_voted_and_adjusted(study: Path, tmp_path: Path) -> None:
    """The three normals overlap little: both readings are near the truth, and the adjusted one adds up."""
    rows = pd.read_parquet(mapped(study, tmp_path) / "profile.parquet")
    shares = rows[rows["measure"] == "percent_of_total"].set_index(["origin", "population"])["value"]
    for population, true in (("T", 50), ("B", 30)):
        assert shares["adjusted", population] == pytest.approx(true, abs=2)
        assert shares["adjusted", population] == pytest.approx(shares["cluster", population], abs=0.5)
    counts = rows[(rows["measure"] == "count") & (rows["origin"] == "adjusted")].set_index("population")["value"]
    assert counts["cells"] == rows[(rows["population"] == "cells")]["value"].iloc[0]


def test_a_frozen_cohort_of_other_votes_has_no_adjusted_shares(study: Path, tmp_path: Path) -> None:
    settings = MapSettings("mass_cytometry", TREE, (), 4, 15, "cpu", 1)
    map_sample(study / "s2.h5ad", study / "cohort", settings, *(tmp_path / file for file in OUTPUTS))
    assert set(pd.read_parquet(tmp_path / "profile.parquet")["origin"]) == {"gate", "cluster"}
