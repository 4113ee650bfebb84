"""The layout is umap-learn's."""

from __future__ import annotations

import numpy as np
import pytest

from treset.compute import open_backend
from treset.compute.layout import curve, layout

CPU = open_backend("cpu")


def blobs(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(2)
    label = generator.integers(0, 4, n)
    return generator.normal(6.0 * np.eye(5)[label], 0.7).astype(np.float32), label


@pytest.mark.parametrize("min_dist", [0.05, 0.5])
def test_the_curve_is_that_of_umap_learn(min_dist: float) -> None:
    from umap.umap_ import find_ab_params

    assert curve(min_dist) == pytest.approx(find_ab_params(1.0, min_dist), rel=1e-9)


@pytest.mark.parametrize("epochs", [1, 5, 30])
def test_the_layout_is_that_of_umap_learn(epochs: int) -> None:
    x, _ = blobs()
    graph, start = CPU.graph(x, 10, 0), x[:, :2] - x[:, :2].mean(axis=0)
    ours = layout(graph, start, 0.5, epochs, 7)
    # imported after: the part that was imported alone must not stand in its way
    from umap.umap_ import simplicial_set_embedding

    a, b = curve(0.5)
    theirs, _ = simplicial_set_embedding(
        x, graph.tocoo(), 2, 1.0, a, b, 1.0, 5, epochs, start.copy(), np.random.RandomState(7), "euclidean", {}, False,
        {}, False, parallel=False, verbose=False,
    )  # fmt: skip
    assert np.array_equal(ours, theirs)


def test_the_same_seed_gives_the_same_bytes_and_groups_stay_together() -> None:
    x, label = blobs()
    graph = CPU.graph(x, 10, 0)
    one, two = (CPU.umap(x, graph, min_dist=0.5, epochs=100, seed=3) for _ in range(2))
    assert one.dtype == np.float32 and one.tobytes() == two.tobytes()
    near = CPU.knn(one, one, 10)[0]
    assert np.mean(label[near] == label[:, None]) > 0.99


def test_the_graph_is_left_as_it_was() -> None:
    x, _ = blobs(100)
    graph = CPU.graph(x, 5, 0)
    before = graph.copy()
    layout(graph, x[:, :2].copy(), 0.5, 20, 0)
    assert (graph != before).nnz == 0
