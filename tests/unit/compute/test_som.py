import numpy as np
import pytest

from treset.compute.som import train_som, winners
from treset.errors import TresetError


@pytest.fixture(scope="module")
def blobs():
    generator = np.random.default_rng(0)
    centres = np.array([[0, 0, 0, 0], [6, 0, 0, 0], [0, 6, 0, 0], [0, 0, 6, 6]], float)
    label = np.repeat([0, 1, 2, 3], [800, 500, 300, 60])
    return generator.normal(centres[label], 0.4).astype(np.float32), label, centres


def test_no_node_holds_cells_of_two_populations(blobs):
    x, label, _ = blobs
    node, _ = winners(x, train_som(x, 6, seed=1))
    assert all(len(set(label[node == k].tolist())) == 1 for k in set(node.tolist()))


def test_every_population_has_a_node_near_its_centre(blobs):
    x, _, centres = blobs
    _, distance = winners(centres, train_som(x, 6, seed=1))
    assert distance.max() < 0.5


def test_the_map_keeps_neighbours_together():
    # on a line, the nodes of a map must come in order along at least one of its axes (Kohonen's ordering)
    x = np.random.default_rng(2).uniform(0, 10, (2000, 1))
    codes = train_som(x, 5, seed=0).reshape(5, 5)
    steps = np.diff(codes, axis=0)
    assert np.all(steps > 0) or np.all(steps < 0)


def test_a_map_does_not_depend_on_the_order_of_the_cells(blobs):
    x, _, _ = blobs
    shuffled = np.random.default_rng(5).permutation(len(x))
    assert np.allclose(train_som(x, 4, seed=3), train_som(x[shuffled], 4, seed=3), atol=1e-3)


def test_the_same_seed_gives_the_same_bytes(blobs):
    x, _, _ = blobs
    assert train_som(x, 5, seed=7).tobytes() == train_som(x, 5, seed=7).tobytes()


def test_winners_are_those_of_brute_force():
    generator = np.random.default_rng(4)
    x, codes = generator.normal(size=(300, 5)), generator.normal(size=(30, 5))
    distances = np.linalg.norm(x[:, None] - codes[None], axis=2)
    nearest, distance = winners(x, codes)
    assert np.array_equal(nearest, distances.argmin(axis=1))
    assert np.allclose(distance, distances.min(axis=1))


def test_too_few_cells_and_values_that_are_not_finite_are_refused():
    with pytest.raises(TresetError, match="needs at least 100 cells, the sketch has 20"):
        train_som(np.zeros((20, 2)))
    with pytest.raises(TresetError, match="not finite"):
        train_som(np.full((9, 2), np.nan), 3)
