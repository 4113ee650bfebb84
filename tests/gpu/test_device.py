"""What must be seen on a device: agreement with the CPU, repeatability, and memory that runs out. Not on the fake."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

from treset.compute import open_backend
from treset.compute.probe import probe_gpu

pytestmark = pytest.mark.gpu

#: Fills the device but for 600 MB, then asks for 1.6 GB twice; in its own process, which it may poison.
STARVED = """
import cupy, numpy as np
from treset.compute import DeviceError, open_backend
gpu = open_backend("gpu", need=1 << 28)
free, _ = cupy.cuda.runtime.memGetInfo()
held = cupy.cuda.runtime.malloc(free - 600_000_000)
try:
    gpu.{call}
except DeviceError as error:
    print("out of memory" if error.out_of_memory else error)
"""


@pytest.fixture(scope="module")
def gpu():
    found = probe_gpu()
    if not found.usable:
        pytest.skip(f"no usable GPU: {found.reason}")
    if "Fake" in found.device:
        pytest.skip("the fake GPU shows nothing about a device")
    return open_backend("gpu")


@pytest.fixture(scope="module")
def cpu():
    return open_backend("cpu")


@pytest.fixture(scope="module")
def groups() -> tuple[np.ndarray, np.ndarray]:
    """20,000 cells x 40 markers of 12 groups, and their group."""
    generator = np.random.default_rng(0)
    group = generator.integers(0, 12, 20_000)
    level = generator.choice([0.0, 2.0, 4.0], size=(12, 40))
    return (level[group] + generator.normal(0, 0.5, (20_000, 40))).astype(np.float32), group


def test_neighbours_are_exact(gpu, cpu, groups) -> None:
    x, _ = groups
    near, distances = gpu.knn(x, x[:2000], 15)
    exact, _ = cpu.knn(x, x[:2000], 15)
    assert np.mean([len(set(a) & set(b)) for a, b in zip(near, exact, strict=True)]) / 15 > 0.999
    true = np.linalg.norm(x[near] - x[:2000, None, :], axis=2)
    assert np.allclose(distances, true, atol=1e-5) and (distances[:, 0] == 0.0).all()


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_principal_components_are_those_of_the_cpu(gpu, cpu, kind: str) -> None:
    x = np.random.default_rng(1).poisson(0.2, (3000, 600)).astype(np.float32)
    x[:, :5] *= np.array([20, 17, 14, 11, 8], dtype=np.float32)
    given = x if kind == "dense" else sparse.csr_matrix(x)
    mine, other = gpu.pca(given, 5, 0), cpu.pca(given, 5, 0)
    assert np.allclose(mine.components, other.components, atol=1e-4)
    assert np.allclose(mine.scores, other.scores, atol=1e-2)


def test_clusters_and_layout_find_the_groups(gpu, cpu, groups) -> None:
    x, group = groups
    graph = gpu.graph(x, 15, 0)
    assert abs(graph - graph.T).max() < 1e-6
    labels = gpu.leiden(graph, 0.5, 0)
    assert adjusted_rand_score(group, labels) > 0.95
    assert adjusted_rand_score(cpu.leiden(cpu.graph(x, 15, 0), 0.5, 0), labels) > 0.95
    layout = gpu.umap(x, graph, min_dist=0.5, epochs=200, seed=0)
    assert np.isfinite(layout).all()
    near, _ = cpu.knn(layout, layout[:2000], 10)
    assert np.mean(group[near] == group[:2000, None]) > 0.95


def test_the_self_organising_map_is_that_of_the_cpu_and_repeats(gpu, cpu, groups) -> None:
    x, _ = groups
    codes, node = gpu.som(x, 10, 10, 0)
    wanted, own = cpu.som(x, 10, 10, 0)
    assert np.allclose(codes, wanted, atol=1e-6) and np.mean(node == own) > 0.999
    again, _ = gpu.som(x, 10, 10, 0)
    assert np.array_equal(codes, again)


def test_leiden_repeats_beyond_75000_nodes(gpu) -> None:
    generator = np.random.default_rng(2)
    x = generator.normal(size=(150_000, 10)).astype(np.float32)
    graph = gpu.graph(x, 15, 0)
    one, same_network = gpu.leiden(graph, 1.0, 0), gpu.leiden(graph, 1.0, 0)
    gpu.release()
    assert np.array_equal(one, same_network) and np.array_equal(one, gpu.leiden(graph, 1.0, 0))


def test_leiden_is_that_of_rapids_singlecell(gpu, groups) -> None:
    import anndata
    import rapids_singlecell

    graph = gpu.graph(groups[0], 15, 0)
    cells = anndata.AnnData(np.zeros((graph.shape[0], 1), np.float32))
    for resolution in (0.5, 1.0):
        rapids_singlecell.tl.leiden(
            cells, resolution=resolution, random_state=7, adjacency=sparse.csr_matrix(graph), dtype="float64",
            use_weights=True, theta=1.0, n_iterations=100,
        )  # fmt: skip
        assert adjusted_rand_score(cells.obs["leiden"], gpu.leiden(graph, resolution, 7)) == 1.0


def test_a_draw_cut_on_the_device_is_the_draw_cut_on_the_host(gpu, groups) -> None:
    graph = gpu.graph(groups[0], 15, 0)
    rows = np.sort(np.random.default_rng(5).choice(20_000, 16_000, replace=False))
    part = sparse.csr_matrix(graph[rows][:, rows])
    for resolution in (0.5, 1.0):
        assert np.array_equal(gpu.leiden(graph, resolution, 3, rows), gpu.leiden(part, resolution, 3))


def test_what_is_held_changes_no_result(gpu, groups) -> None:
    x, held = groups[0], gpu.hold(groups[0])
    for _ in range(2):
        mine, other = gpu.knn(held, x[:500], 10), gpu.knn(x, x[:500], 10)
        assert all(np.array_equal(a, b) for a, b in zip(mine, other, strict=True))
    graph = gpu.graph(held, 15, 0)
    assert (graph != gpu.graph(x, 15, 0)).nnz == 0
    free = sparse.csr_matrix((graph.data.copy(), graph.indices.copy(), graph.indptr.copy()), graph.shape)
    layouts = [gpu.umap(a, g, min_dist=0.5, epochs=20, seed=0) for a, g in ((held, graph), (x, free))]
    assert np.array_equal(*layouts)
    assert gpu.resident.size > 0
    gpu.release()
    assert gpu.resident.size == 0 and np.array_equal(gpu.leiden(graph, 1.0, 0), gpu.leiden(free, 1.0, 0))


def test_the_graph_and_the_layout_repeat(gpu, groups) -> None:
    x, _ = groups
    one, two = gpu.graph(x, 15, 0), gpu.graph(x, 15, 0)
    assert (one != two).nnz == 0
    first, second = (gpu.umap(x, one, min_dist=0.5, epochs=50, seed=0) for _ in range(2))
    assert np.array_equal(first, second)


def test_harmony_mixes_batches_and_repeats(gpu) -> None:
    generator = np.random.default_rng(3)
    batch = np.repeat(["a", "b"], 2000)
    x = generator.normal(size=(4000, 20)).astype(np.float32)
    x[2000:, 0] += 4.0
    moved = gpu.harmony(x, batch, 0)
    assert abs(moved[:2000, 0].mean() - moved[2000:, 0].mean()) < 1.0
    assert np.array_equal(moved, gpu.harmony(x, batch, 0))


def test_scrublet_scores_doublets_higher(gpu) -> None:
    generator = np.random.default_rng(4)
    rate, kind = generator.gamma(0.3, 2.0, (4, 500)), generator.integers(0, 4, 2000)
    counts = generator.poisson(rate[kind])
    pairs = counts[:100] + counts[100:200]
    different = kind[:100] != kind[100:200]
    scores, _ = gpu.scrublet(sparse.csr_matrix(np.vstack([counts, pairs]).astype(np.float32)), 0)
    assert np.median(scores[2000:][different]) > np.quantile(scores[:2000], 0.9)


@pytest.mark.parametrize(
    "call",
    [
        "pca(np.zeros((10, 14_000), np.float32), 5, 0)",
        "knn(np.zeros((20_000_000, 20), np.float32), np.zeros((5, 20)), 5)",
    ],
)
def test_memory_that_runs_out_is_said(gpu, call: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STARVED.format(call=call)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.stdout.strip().splitlines()[-1:] == ["out of memory"], done.stdout + done.stderr
