"""The calls of rapids-singlecell, every parameter named: presets of the environment change what is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from anndata import AnnData

#: Candidates that NN-descent keeps while it searches; more than its default of 1.5 k, for the recall.
_CANDIDATES = 128


def neighbors(cells: AnnData, k: int, exact: bool, seed: int) -> None:
    """Neighbours of ``obsm["X_rep"]`` and their graph, into ``obsp`` on the host as ``near_...``."""
    import rapids_singlecell as rsc

    rsc.pp.neighbors(
        cells,
        n_neighbors=k,
        n_pcs=None,
        use_rep="X_rep",
        rng=seed,
        algorithm="brute" if exact else "nn_descent",
        metric="euclidean",
        metric_kwds={},
        algorithm_kwds={} if exact else {"intermediate_graph_degree": max(_CANDIDATES, 3 * k)},
        method="umap",
        key_added="near",
    )


def umap(cells: AnnData, start: object, min_dist: float, epochs: int, seed: int) -> np.ndarray:
    """Layout of the graph ``obsp["near_connectivities"]`` from ``start`` (n, 2), on the device: (n, 2) float32."""
    import rapids_singlecell as rsc

    cells.uns["near"] = {
        "connectivities_key": "near_connectivities",
        "distances_key": "near_distances",
        "params": {"method": "umap", "metric": "euclidean", "use_rep": "X_rep"},
    }
    rsc.tl.umap(
        cells,
        min_dist=min_dist,
        spread=1.0,
        n_components=2,
        maxiter=epochs,
        alpha=1.0,
        negative_sample_rate=5,
        init_pos=start,
        rng=seed,
        key_added="layout",
        neighbors_key="near",
    )
    return np.asarray(cells.obsm["layout"], dtype=np.float32)


def harmony(cells: AnnData, batch: np.ndarray, seed: int) -> np.ndarray:
    """``obsm["X_rep"]`` without what differs between batches (n,): (n, k) float64."""
    import rapids_singlecell as rsc

    cells.obs["batch"] = batch.astype(str)
    cells.obs["batch"] = cells.obs["batch"].astype("category")
    rsc.pp.harmony_integrate(
        cells,
        key="batch",
        basis="X_rep",
        adjusted_basis="X_harmony",
        dtype=np.float64,
        flavor="harmony2",
        max_iter_harmony=10,
        sigma=0.1,
        theta=2.0,
        tau=0,
        alpha=0.2,
        batch_prune_threshold=1e-5,
        block_proportion=0.05,
        rng=seed,
        verbose=False,
    )
    return cells.obsm["X_harmony"]


def scrublet(counts: sparse.csr_matrix, seed: int) -> tuple[np.ndarray, float | None]:
    """Doublet scores (n,) float64 and the automatic threshold, None where there is none."""
    import anndata
    import rapids_singlecell as rsc

    cells = anndata.AnnData(sparse.csr_matrix(counts, dtype=np.float32))
    rsc.get.anndata_to_GPU(cells)
    rsc.pp.scrublet(
        cells,
        sim_doublet_ratio=2.0,
        expected_doublet_rate=0.05,
        stdev_doublet_rate=0.02,
        synthetic_doublet_umi_subsampling=1.0,
        knn_dist_metric="euclidean",
        normalize_variance=True,
        log_transform=False,
        mean_center=True,
        n_prin_comps=int(min(30, min(counts.shape) - 1)),
        verbose=False,
        rng=seed,
    )
    threshold = cells.uns["scrublet"].get("threshold")
    return cells.obs["doublet_score"].to_numpy(dtype=np.float64), None if threshold is None else float(threshold)
