"""Preprocessing, with rapids-singlecell's signatures, by scikit-learn, umap-learn and scanpy."""

from __future__ import annotations

import warnings
from types import MappingProxyType

import numpy as np
from cupy import _traffic
from cupy._array import ndarray, of_device
from cupy.cuda import check
from scipy import sparse


def neighbors(
    adata, n_neighbors=15, n_pcs=None, *, use_rep=None, rng=None, algorithm="brute", metric="euclidean",
    metric_kwds=MappingProxyType({}), algorithm_kwds=MappingProxyType({}), method="umap", key_added=None, copy=False,
):  # fmt: skip
    from sklearn.neighbors import NearestNeighbors
    from umap.umap_ import fuzzy_simplicial_set

    check("neighbors")
    assert algorithm in ("brute", "nn_descent") and use_rep in adata.obsm and isinstance(rng, int)
    given = adata.obsm[use_rep]
    if isinstance(given, np.ndarray):
        _traffic.sent("neighbors", given)
    x = of_device(given) if isinstance(given, ndarray) else given
    distances, indices = (
        NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute", metric=metric).fit(x).kneighbors(x)
    )
    distances[:, 0] = 0.0
    graph, _, _ = fuzzy_simplicial_set(
        x, n_neighbors, np.random.RandomState(rng), metric, knn_indices=indices.astype(np.int32),
        knn_dists=distances.astype(np.float32),
    )  # fmt: skip
    rows = np.arange(0, indices.size + 1, n_neighbors)
    adata.obsp[f"{key_added}_distances"] = sparse.csr_matrix((distances.ravel(), indices.ravel(), rows), graph.shape)
    adata.obsp[f"{key_added}_connectivities"] = sparse.csr_matrix(graph)
    # the library's are of 32-bit indices
    for name in ("distances", "connectivities"):
        made = adata.obsp[f"{key_added}_{name}"]
        made.data, made.indices = made.data.astype(np.float32), made.indices.astype(np.int32)
        made.indptr = made.indptr.astype(np.int32)
        _traffic.taken("neighbors", made.data, made.indices, made.indptr)
    adata.uns[key_added] = {"connectivities_key": f"{key_added}_connectivities", "params": {"method": "rapids"}}


def harmony_integrate(
    adata, key, *, basis="X_pca", adjusted_basis=None, dtype=np.float32, flavor="harmony2", n_clusters=None,
    max_iter_harmony=10, max_iter_clustering=None, tol_harmony=None, tol_clustering=None, sigma=0.1, theta=2.0, tau=0,
    ridge_lambda=1.0, alpha=0.2, batch_prune_threshold=1e-5, correction_method=None, colsum_algo=None,
    block_proportion=0.05, rng=None, verbose=False,
):  # fmt: skip
    """One cluster's worth of Harmony: every batch is moved to the mean of all."""
    check("harmony")
    assert isinstance(rng, int) and adata.obs[key].dtype == "category"
    given = adata.obsm[basis]
    if isinstance(given, np.ndarray):
        _traffic.sent("harmony", given)
    x = np.asarray(of_device(given) if isinstance(given, ndarray) else given, dtype=dtype)
    moved, centre = x.copy(), x.mean(axis=0)
    for batch in adata.obs[key].cat.categories:
        rows = (adata.obs[key] == batch).to_numpy()
        moved[rows] += centre - x[rows].mean(axis=0)
    _traffic.taken("harmony", moved)
    adata.obsm[adjusted_basis] = moved


def scrublet(
    adata, adata_sim=None, *, batch_key=None, sim_doublet_ratio=2.0, expected_doublet_rate=0.05,
    stdev_doublet_rate=0.02, synthetic_doublet_umi_subsampling=1.0, knn_dist_metric="euclidean",
    normalize_variance=True, log_transform=False,
    mean_center=True, n_prin_comps=30, use_approx_neighbors=True, get_doublet_neighbor_parents=False, n_neighbors=None,
    threshold=None, verbose=True, copy=False, rng=None,
):  # fmt: skip
    import scanpy

    check("scrublet")
    if not adata.uns.pop("fake_on_device", False):
        raise TypeError("X is not on the device")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scanpy.pp.scrublet(
            adata, sim_doublet_ratio=sim_doublet_ratio, expected_doublet_rate=expected_doublet_rate,
            stdev_doublet_rate=stdev_doublet_rate, knn_dist_metric=knn_dist_metric, log_transform=log_transform,
            normalize_variance=normalize_variance, mean_center=mean_center, n_prin_comps=n_prin_comps,
            use_approx_neighbors=False, verbose=verbose, random_state=rng,
        )  # fmt: skip
