"""What is kept on the device: found again, never mistaken, bounded, and gone after a failure."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from treset.compute import DeviceError, open_backend
from treset.compute.probe import Gpu
from treset.compute.resident import frozen, is_frozen

CPU = open_backend("cpu")


@pytest.fixture
def gpu(fake_gpu: pytest.MonkeyPatch):
    fake_gpu.setattr("treset.compute.select.probe_gpu", lambda: Gpu(True, "Fake GPU", "", 72_000_000_000))
    return open_backend("gpu")


@pytest.fixture
def moved(gpu) -> list[tuple[str, str, int]]:
    """(direction, step, bytes), as the fake saw them."""
    from cupy._traffic import MOVED

    MOVED.clear()
    return MOVED


@pytest.fixture(scope="module")
def cells() -> np.ndarray:
    generator = np.random.default_rng(3)
    label = np.repeat([0, 1, 2, 3], [300, 200, 150, 50])
    return generator.normal(6 * np.eye(6)[label], 1.0).astype(np.float32)


def sent(moved: list[tuple[str, str, int]]) -> list[int]:
    return [size for direction, _, size in moved if direction == "in"]


def test_what_is_held_cannot_be_changed_by_any_means(cells: np.ndarray) -> None:
    held = frozen(cells)
    assert np.array_equal(held, cells) and held.dtype == cells.dtype and held.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        held[0] = 1.0
    for array in (held, held[3:], held.T, held.ravel()):
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
    before = held.copy()
    cells = cells.copy()
    held = frozen(cells)
    cells[:] = 0.0
    assert np.array_equal(held, before)
    assert frozen(held) is held and is_frozen(held) and not is_frozen(cells)
    # read-only is not enough: whoever has the writable array can write to it
    locked = before.view()
    locked.flags.writeable = False
    assert not is_frozen(locked)
    assert frozen(np.zeros((0, 3))).shape == (0, 3)


def test_a_held_graph_cannot_be_changed_and_works_as_before(cells: np.ndarray) -> None:
    graph = CPU.graph(cells, 15, 0)
    # columns out of order: they can only be sorted before
    shuffled = sparse.csr_matrix((graph.data, graph.indices, graph.indptr), shape=graph.shape)
    first = slice(graph.indptr[0], graph.indptr[1])
    shuffled.indices[first], shuffled.data[first] = graph.indices[first][::-1].copy(), graph.data[first][::-1].copy()
    shuffled.has_sorted_indices = False
    held = frozen(shuffled)
    assert is_frozen(held) and held.has_sorted_indices and (held != graph).nnz == 0 and frozen(held) is held
    with pytest.raises(ValueError, match="read-only"):
        held.data[0] = 2.0
    rows = np.arange(0, 700, 3)
    assert (held[rows][:, rows] != graph[rows][:, rows]).nnz == 0 and held.tocoo().nnz == graph.nnz
    assert np.array_equal(CPU.leiden(held, 0.05, 0), CPU.leiden(graph, 0.05, 0))


def test_what_is_held_is_sent_once(gpu, moved: list, cells: np.ndarray) -> None:
    held = gpu.hold(cells)
    near, _ = gpu.knn(held, held, 5)
    gpu.knn(held, cells[:10], 5)
    graph = gpu.graph(held, 15, 0)
    gpu.umap(held, graph, min_dist=0.5, epochs=2, seed=0)
    gpu.leiden(graph, 1.0, 0)
    gpu.som(held, 3, 2, 0)
    assert sent(moved).count(cells.nbytes) == 1
    assert sent(moved).count(8 * graph.nnz + 4 * 701) == 1
    assert gpu.resident.size == cells.nbytes + 8 * graph.nnz + 4 * 701
    # without holding it, it goes with every step
    moved.clear()
    for _ in range(2):
        assert np.array_equal(gpu.knn(cells, cells, 5)[0], near)
    assert sent(moved) == [cells.nbytes] * 2


def test_a_narrower_search_among_the_same_cells_is_answered_by_the_wider(gpu, moved: list, cells: np.ndarray) -> None:
    held = gpu.hold(cells)
    near, apart = gpu.knn(held, held, 10)
    size = len(moved)
    few, close = gpu.knn(held, held, 4)
    assert len(moved) == size and np.array_equal(few, near[:, :4]) and np.array_equal(close, apart[:, :4])
    # what is given away is the caller's
    few[:] = -1
    assert np.array_equal(gpu.knn(held, held, 10)[0], near)
    assert gpu.knn(held, held, 12)[0].shape == (700, 12) and len(moved) > size


def test_a_changed_array_is_sent_anew(gpu, cells: np.ndarray) -> None:
    mine = cells.copy()
    held = gpu.hold(mine)
    old = gpu.knn(held, cells[:50], 3)
    mine[:] = mine[::-1].copy()
    for array in (mine, gpu.hold(mine)):
        indices, distances = gpu.knn(array, cells[:50], 3)
        assert np.array_equal(699 - indices, old[0]) and np.allclose(distances, old[1])
    assert np.array_equal(gpu.knn(held, cells[:50], 3)[0], old[0])


def test_a_changed_graph_is_clustered_anew(gpu, cells: np.ndarray) -> None:
    graph = CPU.graph(cells, 15, 0)
    one = gpu.leiden(graph, 0.05, 0)
    assert np.bincount(one).tolist() == [300, 200, 150, 50]
    # no edge between the halves of the largest group is left
    half = np.zeros(700, dtype=bool)
    half[:150] = True
    rows = np.repeat(np.arange(700), np.diff(graph.indptr))
    graph.data[half[rows] != half[graph.indices]] = 0.0
    assert np.bincount(gpu.leiden(graph, 0.05, 0)).tolist() == [200, 150, 150, 150, 50]
    # a held graph that is given other weights is another graph
    held = gpu.hold(CPU.graph(cells, 15, 0))
    assert np.array_equal(gpu.leiden(held, 0.05, 0), one)
    held.data = gpu.hold(graph.data)
    assert np.bincount(gpu.leiden(held, 0.05, 0)).tolist() == [200, 150, 150, 150, 50]


def test_no_array_is_mistaken_for_one_that_is_gone(gpu) -> None:
    generator = np.random.default_rng(0)
    for _ in range(60):
        # of one shape, so that each comes to lie where one before it lay
        x = generator.normal(size=(40, 3)).astype(np.float32)
        held = gpu.hold(x)
        assert np.array_equal(gpu.knn(held, held, 4)[0], CPU.knn(x, x, 4)[0])
        assert np.array_equal(gpu.knn(held[::-1], x, 1)[0].ravel(), np.arange(40)[::-1])
        del held, x


def test_no_more_is_kept_than_allowed_and_the_longest_unused_goes_first(gpu, moved: list, cells: np.ndarray) -> None:
    gpu.resident.limit = 2 * cells.nbytes + 100
    a, b, c = (gpu.hold(cells + shift) for shift in range(3))
    for held in (a, b, a, c):
        gpu.knn(held, held[:5], 2)
    assert gpu.resident.size == 2 * cells.nbytes
    for held, again in ((a, 0), (c, 0), (b, 1)):
        moved.clear()
        gpu.knn(held, held[:5], 2)
        assert sent(moved).count(cells.nbytes) == again
    gpu.resident.clear()
    gpu.resident.limit = cells.nbytes - 1
    for _ in range(2):
        moved.clear()
        gpu.knn(a, a[:5], 2)
        assert sent(moved).count(cells.nbytes) == 1 and gpu.resident.size == 0


def test_principal_components_take_their_rows_once(gpu, moved: list, fake_gpu: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(1).poisson(0.5, (400, 90)).astype(np.float32)
    fake_gpu.setattr("treset.compute.resident.CHUNK_BYTES", 8 * 90 * 37)
    stored = sparse.csr_matrix(x)
    for given, size in ((x, x.nbytes), (stored, 8 * stored.nnz + 4 * (400 + -(-400 // 37)))):
        moved.clear()
        found = gpu.pca(given, 5, 0)
        assert sum(sent(moved)) == size
        gpu.resident.limit, limit = 100, gpu.resident.limit
        moved.clear()
        again = gpu.pca(given, 5, 0)
        assert sum(sent(moved)) == 2 * size and np.array_equal(found.scores, again.scores)
        gpu.resident.limit = limit
    # a held matrix is the same cells
    for held in (gpu.hold(x), gpu.hold(stored)):
        assert np.array_equal(gpu.pca(held, 5, 0).scores, again.scores)
    # values of another type lose nothing on their way
    assert np.allclose(
        gpu.pca(x.astype(np.float64) + 1e-9, 5, 0).mean, x.mean(axis=0, dtype=np.float64) + 1e-9, 0, 1e-12
    )


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_a_draw_is_clustered_as_its_part_of_the_graph(gpu, backend: str, cells: np.ndarray) -> None:
    used = gpu if backend == "gpu" else open_backend("cpu")
    graph = used.graph(cells, 15, 0)
    rows = np.sort(np.random.default_rng(7).choice(700, 560, replace=False))
    part = graph[rows][:, rows]
    for resolution in (0.05, 1.0):
        assert np.array_equal(used.leiden(graph, resolution, 3, rows), used.leiden(part, resolution, 3))
    codes, node = used.som(cells, 4, 3, 1, rows)
    wanted, own = used.som(cells[rows], 4, 3, 1)
    held, where = used.som(used.hold(cells), 4, 3, 1, rows)
    assert np.array_equal(codes, wanted) and np.array_equal(node, own)
    assert np.array_equal(held, wanted) and np.array_equal(where, own)


def test_a_draws_network_is_built_once_for_all_resolutions(gpu, cells: np.ndarray, fake_gpu) -> None:
    import cugraph

    built = []
    graph_class = cugraph.Graph
    fake_gpu.setattr(cugraph, "Graph", lambda: built.append(1) or graph_class())
    graph = gpu.graph(gpu.hold(cells), 15, 0)
    rows = np.arange(0, 700, 2)
    found = [gpu.leiden(graph, resolution, 0, rows) for resolution in (0.05, 0.5, 1.0)]
    assert len(built) == 1
    gpu.leiden(graph, 0.05, 0)
    assert len(built) == 2
    # other cells in the same array are another draw
    gpu.leiden(graph, 0.05, 0, rows)
    rows += 1
    assert not np.array_equal(gpu.leiden(graph, 1.0, 0, rows), found[2]) and len(built) == 4


def test_a_cell_that_leiden_leaves_out_is_an_error(gpu, cells: np.ndarray, fake_gpu: pytest.MonkeyPatch) -> None:
    from treset.errors import TresetError

    graph = CPU.graph(cells, 15, 0)
    fake_gpu.setenv("TRESET_FAKE_GPU", "lost-cell")
    with pytest.raises(TresetError, match=r"Leiden on the GPU gave 699 of 700 cells a community.*backend: cpu"):
        gpu.leiden(graph, 1.0, 0)


def test_after_a_failure_nothing_is_kept(gpu, cells: np.ndarray, fake_gpu: pytest.MonkeyPatch) -> None:
    for broken in ("oom=network", "broken=umap"):
        held = gpu.hold(cells)
        gpu.knn(held, held, 3)
        graph = gpu.graph(held, 15, 0)
        assert gpu.resident.size > 0
        fake_gpu.setenv("TRESET_FAKE_GPU", broken)
        with pytest.raises(DeviceError):
            gpu.leiden(graph, 1.0, 0) if "network" in broken else gpu.umap(held, graph, min_dist=0.5, epochs=2, seed=0)
        assert gpu.resident.size == 0 and gpu._network is None and gpu._near is None
        fake_gpu.delenv("TRESET_FAKE_GPU")


def test_the_cpu_keeps_what_it_is_given(cells: np.ndarray) -> None:
    assert CPU.hold(cells) is cells and cells.flags.writeable
