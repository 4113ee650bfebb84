"""The GPU benchmark runs end to end at a tiny size on the fake, and its figures are where they are looked for."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tests.fakes.wheels import ROOT


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_gpu", ROOT / "benchmarks" / "gpu.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_runs_end_to_end(
    benchmark: ModuleType, fake_gpu: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_gpu.setattr(benchmark, "EPOCHS", 5)
    out = tmp_path / "gpu.json"
    sizes = ["--sizes", "900x20,600x120", "--cpu-cells", "900", "--bandwidth", "3350", "--rate", "67"]
    assert benchmark.main([*sizes, "--out", str(out)]) == 0
    figures = json.loads(out.read_text())
    assert figures["device"].startswith("Fake GPU") and figures["version_cuml"] == "26.10.0+fake"
    for size, steps in (("900x20", ("knn", "graph", "leiden", "umap")), ("600x120", ("pca", "knn", "leiden"))):
        for step in steps:
            assert figures[f"{size}_{step}_gpu_s"] > 0 and figures[f"{size}_{step}_times_floor"] > 1
            assert figures[f"{size}_{step}_peak_gb"] == 0.001
    # the cells go to the device with the first step, the graph with Leiden
    moved = {name: (figures[f"900x20_{name}_sent_gb"], figures[f"900x20_{name}_taken_gb"]) for name in ("knn", "graph")}
    assert moved["knn"] == pytest.approx((4 * 20 * (900 + 200) / 1e9, 12 * 15 * 200 / 1e9))
    assert moved["graph"][0] == 0 and figures["900x20_umap_sent_gb"] == pytest.approx(8 * 900 / 1e9)
    # both ways an edge, and the neighbours' distances, which stay on the host
    assert figures["900x20_leiden_sent_gb"] == pytest.approx(moved["graph"][1] - (8 * 15 * 900 + 4 * 901) / 1e9)
    assert figures["900x20_knn_quality_gpu"] == 1.0 and figures["900x20_leiden_quality_gpu"] > 0.8
    # groups of fewer than ten cells bound the purity, for both
    assert figures["900x20_umap_quality_gpu"] == pytest.approx(figures["900x20_umap_quality_cpu"], abs=0.1)
    assert figures["600x120_pca_quality_gpu"] == pytest.approx(figures["600x120_pca_quality_cpu"], rel=1e-4)
    assert "x floor" in capsys.readouterr().out


def test_the_floor_is_of_a_known_device_or_as_given(benchmark: ModuleType) -> None:
    assert benchmark.floors("NVIDIA H200 (compute capability 9.0, 150 GB)", None, None) == (4.8e12, 67e12)
    assert benchmark.floors("Fake GPU", None, None) is None
    assert benchmark.floors("Fake GPU", 100, 2) == (1e11, 2e12)


def test_the_cells_are_of_25_groups_and_repeat(benchmark: ModuleType) -> None:
    x, group = benchmark.cells(2000, 40)
    again, _ = benchmark.cells(2000, 40)
    assert x.shape == (2000, 40) and x.dtype == np.float32 and np.array_equal(x, again)
    assert len(np.unique(group)) == 25
    counts, _ = benchmark.cells(500, 300)
    assert counts.shape == (500, 300) and counts.dtype == np.float32 and 0 < counts.nnz < 150_000
