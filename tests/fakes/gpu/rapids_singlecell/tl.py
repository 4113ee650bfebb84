"""Tools, with rapids-singlecell's signatures, by umap-learn."""

from __future__ import annotations

import numpy as np
from cupy import _traffic
from cupy._array import ndarray, of_device
from cupy.cuda import check
from scipy import sparse

from ._settings import Default


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
    given = adata.obsp[adata.uns[neighbors_key]["connectivities_key"]]
    if sparse.issparse(given):
        _traffic.sent("umap", given.data, given.indices, given.indptr)
    graph = given if sparse.issparse(given) else given._host
    if isinstance(init_pos, np.ndarray):
        _traffic.sent("umap", init_pos)
    start = of_device(init_pos) if isinstance(init_pos, ndarray) else init_pos
    if a is None or b is None:
        a, b = find_ab_params(spread, min_dist)
    layout, _ = simplicial_set_embedding(
        np.zeros((adata.n_obs, 1), np.float32), graph.tocoo(), n_components, alpha, a, b, 1.0, negative_sample_rate,
        maxiter, start, np.random.RandomState(rng), "euclidean", {}, False, {}, False, parallel=False, verbose=False,
    )  # fmt: skip
    adata.obsm[key_added] = np.asarray(layout, dtype=np.float32)
    _traffic.taken("umap", adata.obsm[key_added])
