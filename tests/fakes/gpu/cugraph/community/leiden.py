from __future__ import annotations

import random

import cudf
import cupy
import numpy as np
from cupy.cuda import asked, check


def leiden(G, max_iter=100, resolution=1.0, random_state=None, theta=1.0):
    """igraph's until nothing changes, as cuGraph's up to 100 levels; not the CPU backend's two iterations."""
    import igraph

    check("leiden")
    assert isinstance(random_state, int)
    igraph.set_random_number_generator(random.Random(random_state + 1))
    found = G.network.community_leiden(
        objective_function="modularity", weights="weight", resolution=resolution, n_iterations=-1
    )
    igraph.set_random_number_generator(random)
    labels = np.arange(G.network.vcount()) if asked("shatter") else np.asarray(found.membership)
    # in no order, as the library's
    order = np.random.default_rng(0).permutation(len(labels)).astype(np.int32)
    if asked("lost-cell"):
        order = order[1:]
    table = {"vertex": cupy.ndarray(order), "partition": cupy.ndarray(labels[order].astype(np.int32))}
    return cudf.DataFrame(table), 0.0
