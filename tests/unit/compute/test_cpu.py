import numpy as np
import pytest
from scipy import sparse

from treset.compute import open_backend
from treset.compute.cpu import by_size
from treset.errors import TresetError

CPU = open_backend("cpu")


def test_pca_agrees_with_the_singular_value_decomposition():
    x = np.random.default_rng(0).normal(size=(200, 12)) * np.arange(1, 13)
    found = CPU.pca(x, 4, 0)
    u, s, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    assert np.allclose(np.abs(found.scores), np.abs(u[:, :4] * s[:4]), atol=1e-3)
    assert found.variance_ratio == pytest.approx((s**2 / (s**2).sum())[:4])
    assert np.allclose(found.components @ found.components.T, np.eye(4), atol=1e-9)


def test_pca_of_a_sparse_matrix_is_that_of_the_dense_one():
    x = np.random.default_rng(1).poisson(0.3, (300, 900)).astype(np.float32)
    dense, thin = CPU.pca(x, 5, 0), CPU.pca(sparse.csr_matrix(x), 5, 0)
    assert np.allclose(dense.scores, thin.scores, atol=1e-3)


def test_neighbours_are_those_of_brute_force():
    generator = np.random.default_rng(2)
    reference, queries = generator.normal(size=(500, 8)), generator.normal(size=(40, 8))
    indices, distances = CPU.knn(reference, queries, 7)
    all_distances = np.linalg.norm(queries[:, None] - reference[None], axis=2)
    assert np.array_equal(np.sort(indices, 1), np.sort(np.argsort(all_distances, 1)[:, :7], 1))
    assert np.allclose(distances, np.sort(all_distances, 1)[:, :7], atol=1e-3)


def test_more_neighbours_than_rows_gives_the_rows():
    assert CPU.knn(np.zeros((3, 2)), np.zeros((1, 2)), 10)[0].shape == (1, 3)


@pytest.fixture(scope="module")
def three_blobs():
    generator = np.random.default_rng(3)
    label = np.repeat([0, 1, 2], [300, 200, 100])
    x = generator.normal(10 * np.eye(5)[label], 1.0, (600, 5)).astype(np.float32)
    return x, label, CPU.graph(x, 15, 0)


def test_leiden_finds_well_separated_groups_and_numbers_them_by_size(three_blobs):
    _, label, graph = three_blobs
    found = CPU.leiden(graph, 0.05, 0)
    assert np.array_equal(found, label)
    assert np.array_equal(found, CPU.leiden(graph, 0.05, 0))


def test_umap_repeats_for_a_seed_and_keeps_groups_apart(three_blobs):
    x, label, graph = three_blobs
    layout = CPU.umap(x, graph, min_dist=0.5, epochs=50, seed=1)
    assert layout.shape == (600, 2) and layout.dtype == np.float32 and np.isfinite(layout).all()
    assert np.array_equal(layout, CPU.umap(x, graph, min_dist=0.5, epochs=50, seed=1))
    indices, _ = CPU.knn(layout, layout, 10)
    assert np.mean(label[indices] == label[:, None]) > 0.98


def test_labels_are_renumbered_by_size():
    assert by_size(np.array([5, 7, 7, 2, 2])).tolist() == [2, 1, 1, 0, 0]


def test_scrublet_finds_simulated_doublets():
    generator = np.random.default_rng(4)
    profiles = generator.gamma(0.3, 2.0, (4, 300))
    kind = generator.integers(0, 4, 600)
    counts = generator.poisson(profiles[kind])
    doublets = counts[:30] + counts[-30:][np.argsort(kind[-30:] == kind[:30])]
    different = kind[:30] != kind[-30:][np.argsort(kind[-30:] == kind[:30])]
    scores, _ = CPU.scrublet(sparse.csr_matrix(np.vstack([counts, doublets]).astype(np.float32)), 0)
    assert scores.shape == (630,)
    assert np.median(scores[600:][different]) > np.quantile(scores[:600], 0.9)


def test_gpu_without_a_gpu_is_an_error_with_the_cure():
    from treset.compute.probe import probe_gpu

    if probe_gpu().usable:
        pytest.skip("this machine has a usable GPU")
    with pytest.raises(TresetError, match=r"no GPU is usable.*or set backend: auto or cpu"):
        open_backend("gpu")
    choice = open_backend("auto").choice
    assert choice.used == "cpu" and choice.reason.startswith("no usable GPU: ")


def test_an_unknown_backend_is_refused():
    with pytest.raises(TresetError, match="allowed are auto, gpu and cpu"):
        open_backend("cuda")
