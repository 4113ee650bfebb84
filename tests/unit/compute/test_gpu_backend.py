"""The GPU backend on the fake device, beside the CPU backend."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

from treset.compute import DeviceError, device, need, open_backend
from treset.compute.probe import Gpu
from treset.errors import TresetError

CPU = open_backend("cpu")


@pytest.fixture
def gpu(fake_gpu: pytest.MonkeyPatch):
    """The backend as chosen; the probe, which takes a process, is tested with the choice."""
    fake_gpu.setattr("treset.compute.select.probe_gpu", lambda: Gpu(True, "Fake GPU", "", 72_000_000_000))
    return open_backend("gpu")


@pytest.fixture(scope="module")
def blobs() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    label = np.repeat([0, 1, 2, 3], [300, 200, 150, 50])
    return generator.normal(6 * np.eye(6)[label], 1.0, (700, 6)).astype(np.float32), label


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_pca_is_that_of_the_cpu(gpu, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # components well apart, so that float32 sums (the CPU's) turn none of them
    x = np.random.default_rng(1).poisson(0.5, (400, 90)).astype(np.float32)
    x[:, :5] *= np.array([8, 7, 6, 5, 4], dtype=np.float32)
    given = x if kind == "dense" else sparse.csr_matrix(x)
    whole, cpu = gpu.pca(given, 5, 0), CPU.pca(given, 5, 0)
    # the sign is fixed by the largest loading in both, so not even a flip is allowed
    assert np.allclose(whole.scores, cpu.scores, atol=1e-3) and whole.scores.dtype == np.float32
    assert np.allclose(whole.components, cpu.components, atol=1e-5)
    assert whole.variance_ratio == pytest.approx(cpu.variance_ratio, rel=1e-5)
    monkeypatch.setattr("treset.compute.resident.CHUNK_BYTES", 8 * 90 * 37)
    parts = gpu.pca(given, 5, 0)
    assert np.allclose(whole.scores, parts.scores, atol=1e-4)


def test_the_map_is_that_of_the_cpu(gpu, blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = blobs
    for chunk in (50_000, 37):
        monkeypatch.setattr("treset.compute.som._CHUNK", chunk)
        for side in (2, 7, 12):
            codes, node = gpu.som(x, side, 6, 4)
            asked, wanted = CPU.som(x, side, 6, 4)
            assert isinstance(codes, np.ndarray) and np.allclose(codes, asked, atol=1e-9)
            assert node.tolist() == wanted.tolist()


def test_neighbours_are_exact_whole_and_in_parts(gpu, blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = blobs
    exact, apart = CPU.knn(x[:500], x, 10)
    for chunk in (1 << 28, 4 * 10 * 6 * 13):
        monkeypatch.setattr("treset.compute.resident.CHUNK_BYTES", chunk)
        indices, distances = gpu.knn(x[:500], x, 10)
        assert indices.dtype == np.int64 and distances.dtype == np.float32
        recall = np.mean([len(set(a) & set(b)) for a, b in zip(indices, exact, strict=True)]) / 10
        assert recall > 0.999
        assert (np.diff(distances, axis=1) >= 0).all()
        # FAISS's own distances carry the cancellation that this backend measures away
        assert np.allclose(distances, apart, atol=5e-3)
    true = np.linalg.norm(x[:500][indices] - x[:, None, :], axis=2)
    assert np.allclose(distances, true, atol=1e-6)
    assert gpu.knn(x[:3], x[:2], 10)[0].shape == (2, 3)


def test_small_distances_far_from_the_origin_are_not_lost(gpu) -> None:
    x = (1000 + np.arange(5, dtype=np.float32)[:, None] / 64) * np.ones((1, 3), np.float32)
    _, distances = gpu.knn(x, x, 2)
    assert distances[:, 0] == pytest.approx(0.0, abs=0.0)
    assert distances[:, 1] == pytest.approx(np.sqrt(3) / 64, rel=1e-6)


def test_graph_clusters_and_layout_agree_with_the_cpu(gpu, blobs) -> None:
    x, label = blobs
    mine, other = gpu.graph(x, 15, 0), CPU.graph(x, 15, 0)
    assert abs(mine - mine.T).max() < 1e-6 and abs(mine - other).max() < 0.2
    found = gpu.leiden(mine, 0.05, 0)
    assert adjusted_rand_score(found, CPU.leiden(other, 0.05, 0)) > 0.99 and found.dtype == np.int32
    assert np.array_equal(found, gpu.leiden(mine, 0.05, 0))
    layout = gpu.umap(x, mine, min_dist=0.5, epochs=30, seed=1)
    assert layout.shape == (700, 2) and layout.dtype == np.float32
    near, _ = CPU.knn(layout, layout, 10)
    assert np.mean(label[near] == label[:, None]) > 0.97


def test_many_cells_are_searched_approximately(gpu, blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    import rapids_singlecell

    asked = {}

    def neighbors(cells, **given):
        asked.update(given)
        cells.obsp["near_connectivities"] = sparse.eye(len(cells), format="csr")

    monkeypatch.setattr(rapids_singlecell.pp, "neighbors", neighbors)
    monkeypatch.setattr("treset.compute.gpu.EXACT_ROWS", 500)
    gpu.graph(blobs[0], 15, 0)
    assert asked["algorithm"] == "nn_descent" and asked["algorithm_kwds"] == {"intermediate_graph_degree": 128}
    gpu.graph(blobs[0][:500], 15, 0)
    assert asked["algorithm"] == "brute" and asked["algorithm_kwds"] == {}


def test_clusters_of_single_cells_are_an_error(gpu, blobs, fake_gpu: pytest.MonkeyPatch) -> None:
    graph = CPU.graph(blobs[0], 15, 0)
    fake_gpu.setenv("TRESET_FAKE_GPU", "shatter")
    with pytest.raises(TresetError, match=r"Leiden on the GPU found 700 clusters of 700 cells .* no result"):
        gpu.leiden(graph, 1.0, 0)


def test_harmony_moves_batches_together(gpu) -> None:
    generator = np.random.default_rng(5)
    batch = np.repeat(["a", "b"], 200)
    x = generator.normal(size=(400, 4)).astype(np.float32) + 3 * (batch == "b")[:, None]
    moved = gpu.harmony(x.astype(np.float32), batch, 0)
    assert moved.shape == (400, 4) and moved.dtype == np.float32
    assert abs(moved[batch == "a"].mean(0) - moved[batch == "b"].mean(0)).max() < 1e-3


def test_scrublet_scores_as_the_cpu_does(gpu) -> None:
    generator = np.random.default_rng(4)
    profiles = generator.gamma(0.3, 2.0, (4, 300))
    counts = sparse.csr_matrix(generator.poisson(profiles[generator.integers(0, 4, 400)]).astype(np.float32))
    scores, _ = gpu.scrublet(counts, 0)
    cpu, _ = CPU.scrublet(counts, 0)
    assert scores.shape == (400,) and np.corrcoef(scores, cpu)[0, 1] > 0.99
    assert counts.dtype == np.float32 and isinstance(counts, sparse.csr_matrix)


def test_there_is_one_memory_pool_and_no_managed_memory(gpu, fake_gpu: pytest.MonkeyPatch) -> None:
    import cupy
    import rmm

    open_backend("gpu", need=5_000_000_001)
    assert rmm.POOLS == [{"pool": True, "managed": False, "start": 1 << 28}]
    assert len(cupy.cuda.ALLOCATORS) == 1
    fake_gpu.setattr(device, "_POOLS", [])
    open_backend("gpu", need=5_000_000_001)
    assert rmm.POOLS[1]["start"] == 5_000_000_000 // 256 * 256
    fake_gpu.setattr(device, "_POOLS", [])
    device.one_pool(10**15)
    assert rmm.POOLS[2]["start"] <= 0.8 * 72e9


@pytest.mark.parametrize("step", ["knn", "neighbors", "leiden", "umap", "csr_matrix", "harmony", "scrublet"])
def test_every_step_says_that_memory_ran_out(gpu, blobs, step: str, fake_gpu: pytest.MonkeyPatch) -> None:
    x, label = blobs
    graph, counts = sparse.eye(700, format="csr"), sparse.csr_matrix(np.round(np.abs(x)))
    steps = {
        "knn": lambda: gpu.knn(x, x, 3),
        "neighbors": lambda: gpu.graph(x, 5, 0),
        "leiden": lambda: gpu.leiden(graph, 1.0, 0),
        "umap": lambda: gpu.umap(x, graph, min_dist=0.5, epochs=5, seed=0),
        "csr_matrix": lambda: gpu.pca(counts, 2, 0),
        "harmony": lambda: gpu.harmony(x, label.astype(str), 0),
        "scrublet": lambda: gpu.scrublet(counts, 0),
    }
    fake_gpu.setenv("TRESET_FAKE_GPU", f"oom={step}")
    with pytest.raises(DeviceError, match=r"the GPU ran out of memory in .*lower cohort.sketch_cells") as caught:
        steps[step]()
    assert caught.value.out_of_memory
    fake_gpu.setenv("TRESET_FAKE_GPU", f"broken={step}")
    with pytest.raises(DeviceError, match=r"the GPU failed in .*IllegalAddress.*backend: cpu") as caught:
        steps[step]()
    assert not caught.value.out_of_memory


def test_the_libraries_errors_are_told_apart() -> None:
    wrapped = RuntimeError("Error preparing data for Harmony")
    wrapped.__cause__ = MemoryError("Out of memory allocating 8 bytes")
    assert device.failure(wrapped) == "memory"
    assert device.failure(MemoryError("std::bad_alloc: out_of_memory: CUDA error")) == "memory"
    assert device.failure(RuntimeError("cudaErrorMemoryAllocation: out of memory")) == "memory"
    assert device.failure(RuntimeError("cuBLAS failure: CUBLAS_STATUS_EXECUTION_FAILED")) == "device"
    # numpy's is of the host, and a plain mistake is nobody's memory
    assert device.failure(MemoryError("Unable to allocate 5.00 GiB for an array with shape (9, 9)")) is None
    assert device.failure(RuntimeError("dictionary changed size during iteration")) is None

    @device.on_device("a step")
    def broken() -> None:
        raise RuntimeError("dictionary changed size during iteration")

    with pytest.raises(RuntimeError, match="dictionary changed size"):
        broken()


def test_the_estimate_grows_with_cells_and_holds_what_is_known() -> None:
    assert need(1_000_000, 40, 15) > need(100_000, 40, 15) > 1.5e9
    # Leiden on a graph of 15 neighbours takes about 1.6 GB for a million cells
    assert need(1_000_000, 40, 15) - need(0, 40, 15) >= 1.6e9
    # edges of a cell: 8 bytes that are kept, 16 listed, 32 while they are made symmetric, 12 in the network
    assert need(1_000_000, 0, 15) - need(0, 0, 15) >= 1e6 * 30 * (8 + 16 + 32 + 12)


def test_versions_are_given(gpu) -> None:
    assert set(gpu.versions()) == {"rapids-singlecell", "cuml", "cugraph", "cupy"} and CPU.versions() == {}
