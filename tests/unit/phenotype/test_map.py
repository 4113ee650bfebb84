import numpy as np
import pytest

from treset.compute import open_backend
from treset.phenotype.map import others, place, reach, smooth

CPU = open_backend("cpu")


def blobs(seed, n=300):
    generator = np.random.default_rng(seed)
    label = np.repeat([0, 1, 2], n)
    return generator.normal(8.0 * np.eye(3)[label], 0.5, (3 * n, 3)).astype(np.float32), label


def test_cells_land_in_their_own_cluster_with_full_confidence():
    sketch, label = blobs(0)
    cells, truth = blobs(1)
    found = place(CPU, sketch, label, sketch[:, :2], cells, 10, reach(CPU, sketch), votes=5)
    assert np.array_equal(found.cluster, truth)
    assert found.confidence.min() == 1.0
    assert found.neighbors.shape == (900, 10)
    # a place within the reach of the sketch's own places
    assert np.abs(found.umap - cells[:, :2]).mean() < 1.0


def test_a_cell_unlike_the_sketch_is_not_forced_into_a_cluster():
    sketch, label = blobs(0)
    far = np.full((1, 3), 100.0, dtype=np.float32)
    assert place(CPU, sketch, label, sketch[:, :2], far, 5, reach(CPU, sketch), votes=5).cluster.tolist() == [-1]


def test_a_tie_goes_to_the_nearer_cluster():
    sketch = np.array([[0.0], [3.0]], dtype=np.float32)
    found = place(CPU, sketch, np.array([0, 1]), np.zeros((2, 2)), np.array([[1.0]], np.float32), 2, 10.0, votes=2)
    assert found.cluster.tolist() == [0]
    assert found.confidence[0] == pytest.approx(0.5)


def test_smooth_is_the_mean_over_neighbours_and_self():
    values = np.array([[0.0], [3.0], [6.0]])
    assert smooth(values, np.array([[0, 1]]))[0, 0] == pytest.approx(1.5)
    assert smooth(values, np.array([[0, 1]]), own=np.array([[9.0]]))[0, 0] == pytest.approx(4.0)


def test_a_cell_of_the_sketch_does_not_vote_on_itself():
    """Else a sample that is in the sketch whole would be read otherwise than one of which it holds a thousandth."""
    # nearest first: the cell itself, its twin, two others
    indices = np.array([[4, 0, 1, 2], [0, 4, 1, 2], [3, 0, 1, 2]])
    assert others(indices, np.array([4, 4, -1]), 2).tolist() == [[0, 1], [0, 1], [3, 0]]
    sketch, label = np.array([[0.0], [0.1], [0.3], [0.6]], dtype=np.float32), np.array([1, 0, 0, 0])
    layout = sketch.repeat(2, axis=1)
    alone = place(CPU, sketch, label, layout, sketch, 1, 0.0, votes=1)
    found = place(CPU, sketch, label, layout, sketch, 1, 0.0, votes=1, own=np.arange(4))
    assert alone.cluster.tolist() == [1, 0, 0, 0] and found.cluster.tolist() == [0, 1, 0, 0]
    # its place on the map stays its own
    assert np.allclose(found.umap, layout, atol=1e-4)
