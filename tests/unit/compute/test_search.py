"""The index finds what the exact search finds, or is not used."""

from __future__ import annotations

import numpy as np
import pytest

from treset.compute import open_backend, search
from treset.compute.search import Searcher


def clumps(n: int, seed: int, p: int = 8) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(6.0 * np.eye(p)[generator.integers(0, p, n)], 0.6).astype(np.float32)


def exact(reference: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    return np.argsort(((queries[:, None] - reference[None]) ** 2).sum(axis=2), axis=1)[:, :k]


def test_the_index_finds_the_exact_neighbours_of_other_cells() -> None:
    reference, queries = clumps(search.MIN_INDEXED, 1), clumps(200, 2)
    searcher = Searcher(reference)
    found, distances = searcher.search(queries, 5)
    wanted = exact(reference, queries, 5)
    probes, recall = searcher.chosen(5)
    assert probes in search.PROBES and recall >= search.RECALL
    assert np.mean([len(set(a) & set(b)) for a, b in zip(found, wanted, strict=True)]) >= 5 * 0.98
    assert np.allclose(distances, np.linalg.norm(queries[:, None] - reference[found], axis=2), atol=1e-3)


def test_neighbours_do_not_depend_on_the_other_queries() -> None:
    searcher, queries = Searcher(clumps(search.MIN_INDEXED, 1)), clumps(300, 2)
    whole, apart = searcher.search(queries, 5)
    for rows in (slice(0, 1), slice(1, 120), slice(120, 300)):
        near, far = searcher.search(np.ascontiguousarray(queries[rows]), 5)
        assert np.array_equal(near, whole[rows]) and np.array_equal(far, apart[rows])


def test_few_rows_are_searched_exactly() -> None:
    assert Searcher(clumps(search.MIN_INDEXED - 1, 1)).chosen(15) == (0, 1.0)


def test_an_index_that_misses_neighbours_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    # without clumps neighbours lie in many lists
    monkeypatch.setattr(search, "PROBES", (1, 2))
    noise = np.random.default_rng(3).normal(size=(search.MIN_INDEXED, 20)).astype(np.float32)
    searcher = Searcher(noise)
    assert searcher.chosen(5) == (0, 1.0)
    assert np.array_equal(searcher.search(noise[:20].copy(), 5)[0], exact(noise, noise[:20], 5))


def test_fewer_neighbours_of_the_same_rows_are_the_first_of_more() -> None:
    x, backend = clumps(2_000, 5), open_backend("cpu")
    wide, far = backend.knn(x, x, 15)
    near, short = backend.knn(x, x, 2)
    assert np.array_equal(near, wide[:, :2]) and np.array_equal(short, far[:, :2])
    near[:] = -1
    assert np.array_equal(backend.knn(x, x, 15)[0], wide)
    fresh, _ = open_backend("cpu").knn(x, x.copy(), 15)
    assert np.array_equal(fresh, wide)


def test_another_reference_is_not_mistaken_for_the_last() -> None:
    backend, queries = open_backend("cpu"), clumps(10, 7)
    first, second = clumps(500, 8), clumps(500, 9)
    backend.knn(first, queries, 3)
    assert np.array_equal(backend.knn(second, queries, 3)[0], exact(second, queries, 3))
