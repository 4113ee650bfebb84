"""Tools, with rapids-singlecell's signatures, by igraph and umap-learn."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
from cupy.cuda import asked, check
from scipy import sparse

from ._settings import Default


def leiden(
    adata, resolution=1.0, *, rng=None, theta=1.0, restrict_to=None, key_added="leiden", adjacency=None,
    n_iterations=100, use_weights=True, neighbors_key=None, obsp=None, dtype=np.float32, use_dask=False, copy=False,
):  # fmt: skip
    import igraph

    check("leiden")
    assert dtype == "float64" and use_weights and isinstance(rng, int) and adjacency.shape == (adata.n_obs, adata.n_obs)
    upper = sparse.triu(adjacency, 1).tocoo()
    network = igraph.Graph(
        n=adata.n_obs, edges=np.column_stack([upper.row, upper.col]), edge_attrs={"weight": upper.data}
    )
    # until nothing changes, as cuGraph's up to 100 levels; not the CPU backend's two iterations
    igraph.set_random_number_generator(random.Random(rng + 1))
    found = network.community_leiden(
        objective_function="modularity", weights="weight", resolution=resolution, n_iterations=-1
    ).membership
    igraph.set_random_number_generator(random)
    if asked("shatter"):
        found = np.arange(adata.n_obs)
    adata.obs[key_added] = pd.Categorical([str(label) for label in found])


def umap(
    adata, *, min_dist=0.5, spread=1.0, n_components=2, maxiter=None, alpha=1.0, negative_sample_rate=5,
    init_pos="auto", rng=None, a=None, b=None, key_added=Default(("umap", "key_added")),  # noqa: B008  as the library has it
    neighbors_key=None, copy=False,
):  # fmt: skip
    from umap.umap_ import find_ab_params, simplicial_set_embedding

    check("umap")
    if neighbors_key not in adata.uns:
        raise ValueError(f'Did not find .uns["{neighbors_key}"]. Run `sc.pp.neighbors` first.')
    assert not isinstance(key_added, Default) and init_pos.shape == (adata.n_obs, n_components) and isinstance(rng, int)
    graph = adata.obsp[adata.uns[neighbors_key]["connectivities_key"]]
    if a is None or b is None:
        a, b = find_ab_params(spread, min_dist)
    layout, _ = simplicial_set_embedding(
        np.zeros((adata.n_obs, 1), np.float32), graph.tocoo(), n_components, alpha, a, b, 1.0, negative_sample_rate,
        maxiter, init_pos, np.random.RandomState(rng), "euclidean", {}, False, {}, False, parallel=False, verbose=False,
    )  # fmt: skip
    adata.obsm[key_added] = np.asarray(layout, dtype=np.float32)
