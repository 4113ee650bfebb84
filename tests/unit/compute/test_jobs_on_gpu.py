"""The cohort and map jobs on the fake GPU: the same calls, what ran on record, and the CPU where memory runs out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from treset.compute import DeviceError
from treset.errors import TresetError
from treset.io.h5ad import write_h5ad
from treset.jobs.again import on_backend
from treset.jobs.cohort import CohortSettings, cohort
from treset.jobs.map import MapSettings, map_sample
from treset.study.model import Cohort, Condition, Population

TREE = (
    Population("T", None, (Condition(("CD3",), "+"),)),
    Population("B", None, (Condition(("CD3",), "-"), Condition(("CD19",), "+"))),
)
LEVEL = {"T": (4, 0, 1), "B": (0, 4, 1), "other": (0, 0, 4)}
SETTINGS = CohortSettings(
    "mass_cytometry", Cohort(sketch_cells=600, umap_epochs=5, resolution=0.1, overcluster=5), TREE, 2000, "cpu", 1
)
MAP = MapSettings("mass_cytometry", TREE, (), 5, 15, "cpu", 1)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two samples of 600 and 500 cells."""
    folder, paths = tmp_path_factory.mktemp("samples"), {}
    for i, (name, shares) in enumerate({"s1": (300, 200, 100), "s2": (200, 200, 100)}.items()):
        generator, kind = np.random.default_rng(i), np.repeat(list(LEVEL), shares)
        x = generator.normal([LEVEL[k] for k in kind], 0.5).astype(np.float32)
        obs = pd.DataFrame({"sample": name, "batch": "b1", "keep": True}, index=[f"{name}:{j}" for j in range(len(x))])
        var = pd.DataFrame({"role": "lineage"}, index=["CD3", "CD19", "CD56"])
        cells = anndata.AnnData(x, obs=obs, var=var)
        cells.uns["treset_panel"] = {}
        paths[name] = write_h5ad(cells, folder / f"{name}.h5ad") or folder / f"{name}.h5ad"
    return paths


def run(samples: dict[str, Path], folder: Path, backend: str) -> tuple[anndata.AnnData, anndata.AnnData]:
    """The cohort job and the map of s2: the sketch and the cells."""
    folder.mkdir()
    cohort(samples, replace(SETTINGS, backend=backend), folder)
    cells = folder / "cells.h5ad"
    map_sample(samples["s2"], folder, replace(MAP, backend=backend), cells, folder / "profile.parquet")
    return anndata.read_h5ad(folder / "sketch.h5ad"), anndata.read_h5ad(cells)


@pytest.fixture(scope="module")
def on_cpu(samples: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, anndata.AnnData]:
    folder = tmp_path_factory.mktemp("cpu") / "run"
    return folder, run(samples, folder, "cpu")[1]


def test_the_gpu_gives_what_the_cpu_gives_and_is_on_record(
    samples: dict[str, Path], on_cpu: tuple[Path, anndata.AnnData], tmp_path: Path, fake_gpu: pytest.MonkeyPatch
) -> None:
    sketch, cells = run(samples, tmp_path / "gpu", "gpu")
    folder, reference = on_cpu
    assert (cells.obs["population"].astype(str) == reference.obs["population"].astype(str)).all()
    assert adjusted_rand_score(cells.obs["cluster"], reference.obs["cluster"]) > 0.99
    mine, other = (pd.read_parquet(path / "profile.parquet") for path in (tmp_path / "gpu", folder))
    gates = [table[table["origin"] == "gate"].reset_index(drop=True) for table in (mine, other)]
    pd.testing.assert_frame_equal(*gates)
    ran = cells.uns["treset"]
    assert (ran["backend_used"], ran["map_backend_used"], ran["backend_requested"]) == ("gpu", "gpu", "gpu")
    assert ran["backend_device"] == ran["map_backend_device"] == "Fake GPU (compute capability 9.0, 80 GB)"
    assert json.loads(sketch.uns["treset"]["versions"])["rapids-singlecell"] == "0.18.1+fake"
    assert reference.uns["treset"]["map_backend_used"] == "cpu"


def watch(fake_gpu: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """Step -> calls, bytes sent, bytes taken, as the fake saw them; and what the backend itself counted."""
    import cupy._traffic

    from treset.compute.gpu import GpuBackend

    seen: dict[str, list[int]] = {}

    def watched(name: str):
        method = getattr(GpuBackend, name)

        def run(self, *args, **kwargs):
            start, told = len(cupy._traffic.MOVED), (self.resident.sent, self.resident.taken)
            found = method(self, *args, **kwargs)
            new = cupy._traffic.MOVED[start:]
            row = seen.setdefault(name, [0] * 5)
            row[0] += 1
            for i, way in enumerate(("in", "out")):
                row[1 + i] += sum(size for direction, _, size in new if direction == way)
            row[3] += self.resident.sent - told[0]
            row[4] += self.resident.taken - told[1]
            return found

        return run

    for name in ("graph", "leiden", "umap", "knn", "som"):
        fake_gpu.setattr(GpuBackend, name, watched(name))
    return seen


def test_the_cohort_job_sends_each_matrix_once_and_takes_each_result_once(
    samples: dict[str, Path], tmp_path: Path, fake_gpu: pytest.MonkeyPatch
) -> None:
    seen = watch(fake_gpu)
    # a draw by density searches neighbours in every sample besides
    options = replace(SETTINGS.cohort, resolution="auto", sketch="stratified")
    cohort(samples, replace(SETTINGS, backend="gpu", cohort=options), tmp_path)
    n, p, k, draw = 600, 3, 15, 480
    start = 4 * (n + 1)
    graph = seen["graph"][2] - (8 * n * k + start)
    table = {
        # coordinates in; the library gives neighbours' distances and the graph to the host
        "graph": [1, 4 * n * p, 8 * n * k + start + graph],
        # the graph and the rows of five draws in; cell and community of every call out
        "leiden": [41, graph + 5 * 8 * draw, 8 * (40 * draw + n)],
        # where the layout starts in; components, and the layout out
        "umap": [1, 8 * n, 8 * n + 8 * (2 * p + p + 2) + 8 * n],
        # one search for both questions
        "knn": [2, 0, 12 * n * k],
    }
    assert {name: row[:3] for name, row in seen.items() if name != "som"} == table
    assert graph > 8 * n * k
    # the backend's own count, which the benchmark tells, is the fake's
    assert all(row[1:3] == row[3:] for name, row in seen.items() if name != "som")
    # the markers of the tree; what the map itself takes along depends on its nodes, not on the cells
    assert seen["som"][0] == 1 and seen["som"][3] == 4 * n * 2 and seen["som"][1] - seen["som"][3] < 10_000


def test_the_map_job_sends_the_sketch_once_for_all_parts_of_a_sample(
    samples: dict[str, Path], on_cpu: tuple[Path, anndata.AnnData], tmp_path: Path, fake_gpu: pytest.MonkeyPatch
) -> None:
    fake_gpu.setattr("treset.jobs.map.CHUNK", 100)
    seen = watch(fake_gpu)
    profile = tmp_path / "profile.parquet"
    map_sample(samples["s2"], on_cpu[0], replace(MAP, backend="gpu"), tmp_path / "cells.h5ad", profile)
    # the coordinates of the sketch and of the sample's cells; of each cell six neighbours, itself among them
    sent, taken = 4 * 3 * (600 + 500), 12 * 500 * 6
    assert seen == {"knn": [5, sent, taken, sent, taken]}
    assert profile.read_bytes() == (on_cpu[0] / "profile.parquet").read_bytes()


def test_out_of_memory_repeats_the_whole_job_on_the_cpu_and_says_so(
    samples: dict[str, Path], on_cpu: tuple[Path, anndata.AnnData], tmp_path: Path,
    fake_gpu: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    fake_gpu.setenv("TRESET_FAKE_GPU", "oom=leiden")
    sketch, cells = run(samples, tmp_path / "auto", "auto")
    reason = "the GPU ran out of memory in Leiden, so the whole job was repeated on the CPU"
    ran = sketch.uns["treset"]
    assert (ran["backend_requested"], ran["backend_used"], ran["backend_reason"]) == ("auto", "cpu", reason)
    said = capsys.readouterr().out
    assert said.index("backend: gpu on Fake GPU") < said.index(f"{reason}, in a fresh process")
    assert said.index("in a fresh process") < said.index("backend: cpu on")
    # the map jobs did not run out of memory, and stay on the GPU: that is on record too
    assert cells.uns["treset"]["map_backend_used"] == "gpu"
    table = pd.read_csv(tmp_path / "auto" / "clusters.tsv", sep="\t")
    pd.testing.assert_frame_equal(table, pd.read_csv(on_cpu[0] / "clusters.tsv", sep="\t"))


def test_a_sample_that_does_not_fit_is_mapped_on_the_cpu(
    samples: dict[str, Path], on_cpu: tuple[Path, anndata.AnnData], tmp_path: Path, fake_gpu: pytest.MonkeyPatch
) -> None:
    fake_gpu.setenv("TRESET_FAKE_GPU", "oom=knn")
    out, profile, thresholds = (tmp_path / name for name in ("cells.h5ad", "profile.parquet", "thresholds.tsv"))
    map_sample(samples["s2"], on_cpu[0], replace(MAP, backend="auto"), out, profile, thresholds)
    ran = anndata.read_h5ad(out).uns["treset"]
    assert (
        ran["map_backend_used"] == "cpu" and "out of memory in the search for neighbours" in ran["map_backend_reason"]
    )
    assert profile.read_bytes() == (on_cpu[0] / "profile.parquet").read_bytes() and thresholds.exists()
    with pytest.raises(DeviceError, match="out of memory in the search for neighbours"):
        map_sample(samples["s2"], on_cpu[0], replace(MAP, backend="gpu"), tmp_path / "none.h5ad", tmp_path / "none")
    assert not (tmp_path / "none.h5ad").exists() and not (tmp_path / "none").exists()


def test_what_is_no_lack_of_memory_is_not_repeated(
    samples: dict[str, Path], tmp_path: Path, fake_gpu: pytest.MonkeyPatch
) -> None:
    fake_gpu.setenv("TRESET_FAKE_GPU", "broken=neighbors")
    with pytest.raises(DeviceError, match=r"the GPU failed in the neighbour graph .*backend: cpu"):
        cohort(samples, replace(SETTINGS, backend="auto"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_repeat_that_fails_says_both(samples: dict[str, Path], tmp_path: Path) -> None:
    def starved(settings: CohortSettings) -> None:
        raise DeviceError("Leiden", True, "std::bad_alloc")

    lost = {"samples": {**samples, "s3": tmp_path / "none.h5ad"}, "folder": tmp_path}
    with pytest.raises(TresetError, match=r"ran out of memory in Leiden, so .* repeated on the CPU, and failed there"):
        on_backend("cohort", starved, replace(SETTINGS, backend="auto"), lost)


def test_a_gpu_too_small_for_the_sketch_is_not_tried(
    samples: dict[str, Path], tmp_path: Path, fake_gpu: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_gpu.setenv("TRESET_FAKE_GPU", "free=1e9")
    with pytest.raises(TresetError, match=r"not enough memory: about 1.5 GB are needed, 1.0 GB free"):
        # by the cells there are, not by those that the config allows
        cohort(samples, replace(SETTINGS, backend="gpu", cohort=Cohort(sketch_cells=10**8)), tmp_path)
