"""The fuzzy graph is umap-learn's."""

from __future__ import annotations

import numpy as np
import pytest

from treset.compute import open_backend
from treset.compute.fuzzy import fuzzy_graph

CPU = open_backend("cpu")


def cells(n: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    x = generator.normal(4.0 * np.eye(6)[generator.integers(0, 6, n)], 0.8).astype(np.float32)
    x[: n // 20] = x[0]  # copies of one cell: more of them than neighbours
    return x


@pytest.mark.parametrize("k", [5, 15])
def test_it_is_the_graph_of_umap_learn(k: int) -> None:
    from umap.umap_ import fuzzy_simplicial_set

    x = cells(600, k)
    indices, distances = CPU.knn(x, x, k)
    theirs, _, _ = fuzzy_simplicial_set(
        x, k, np.random.RandomState(0), "euclidean", knn_indices=indices.astype(np.int32), knn_dists=distances
    )
    ours = fuzzy_graph(indices, distances)
    assert abs(ours - theirs).max() < 2e-4
    assert abs(ours - theirs).mean() < 1e-7


def test_it_is_symmetric_without_loops_and_connects_each_cell_to_its_nearest() -> None:
    x = np.random.default_rng(1).normal(size=(300, 4)).astype(np.float32)
    indices, distances = CPU.knn(x, x, 10)
    graph = fuzzy_graph(indices, distances)
    assert abs(graph - graph.T).max() < 1e-6 and not graph.diagonal().any()
    assert graph.data.min() > 0.0 and graph.data.max() <= 1.0 + 1e-6
    # algorithm 3: the nearest other cell has strength 1
    assert np.allclose(graph[np.arange(300), indices[:, 1]], 1.0, atol=1e-6)


def test_strengths_of_a_cell_sum_to_the_logarithm_of_its_neighbours() -> None:
    # a line of cells at distances 1, 2, 4, 8 from the first: only its own strengths lie in its row
    distances = np.array([[0.0, 1.0, 2.0, 4.0, 8.0]] + [[0.0, 1e3, 1e3, 1e3, 1e3]] * 4)
    indices = np.array([[0, 1, 2, 3, 4]] + [[i, i, i, i, i] for i in range(1, 5)])
    row = fuzzy_graph(indices, distances).toarray()[0]
    assert row.sum() == pytest.approx(np.log2(5), abs=1e-4)


def test_equal_cells_are_joined_fully() -> None:
    indices = np.array([[0, 1, 2], [1, 0, 2], [2, 0, 1]])
    assert np.allclose(fuzzy_graph(indices, np.zeros((3, 3))).toarray(), 1.0 - np.eye(3))
