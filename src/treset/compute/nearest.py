"""Nearest neighbours on the device, exact."""

from __future__ import annotations

import numpy as np

from treset.compute.resident import Resident, parts


def nearest(resident: Resident, reference: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """By cuML's search over all rows; distances are measured again, without its cancellation.

    Parameters
    ----------
    resident
        What is on the device; the reference is taken from there.
    reference, queries
        (m, p) and (n, p); the same array: each row's neighbours among the others and itself.
    k
        At most m.

    Returns
    -------
    Indices (n, k) int64 and Euclidean distances (n, k) float32, nearest first.
    """
    import cupy
    from cuml.neighbors import NearestNeighbors

    rows = resident.rows(reference)
    model = NearestNeighbors(n_neighbors=k, algorithm="brute", metric="euclidean", output_type="cupy")
    # an exact search has no index: this costs nothing
    model.fit(rows)
    indices = np.empty((len(queries), k), dtype=np.int64)
    distances = np.empty((len(queries), k), dtype=np.float32)
    for part in parts(len(queries), 4 * k * reference.shape[1]):
        asked = rows[part] if queries is reference else resident.send(queries[part], np.float32)
        _, found = model.kneighbors(asked, n_neighbors=k, return_distance=True)
        # |a|^2 + |b|^2 - 2ab in float32 loses the small distances
        apart = cupy.sqrt(((rows[found] - asked[:, None, :]) ** 2).sum(axis=2))
        order = cupy.argsort(apart, axis=1)
        indices[part] = resident.take(cupy.take_along_axis(found, order, axis=1))
        distances[part] = resident.take(cupy.take_along_axis(apart, order, axis=1))
    return indices, distances
