"""The normalisation of counts: the same total for every cell, then the logarithm."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from treset.errors import TresetError


def transform(adata: AnnData, target_sum: float) -> AnnData:
    """Scale every cell to ``target_sum`` counts and take log(1 + x).

    As ``scanpy.pp.normalize_total`` followed by ``scanpy.pp.log1p`` (Ahlmann-Eltze & Huber 2023,
    doi:10.1038/s41592-023-01814-1, compare the shifted logarithm with others). A cell without counts stays 0.

    Parameters
    ----------
    adata
        Raw counts (cells, variables). Not changed.
    target_sum
        Counts a cell after scaling.

    Returns
    -------
    AnnData of all cells: ``X`` CSR float32 log-normalised, ``layers["raw"]`` CSR float32 counts; ``obs``, ``var`` and
    ``uns`` copied. Where ``var["feature_type"]`` says that some variables are no genes (antibodies, hashtags), those
    are neither counted nor scaled: they go raw into ``obsm["technical"]`` (columns: their names). Tables of ``obsm``
    (antibodies, hashtags as :func:`treset.io.read_sample` gives them) stay as they are.

    Raises
    ------
    TresetError
        When ``target_sum`` is not above 0 or no variable is a gene.
    """
    if not target_sum > 0:
        raise TresetError(f"normalise: target_sum is {target_sum:g}, expected a number above 0.")
    counts = sp.csr_matrix(adata.X, dtype=np.float32)
    genes = np.ones(adata.n_vars, dtype=bool)
    if "feature_type" in adata.var:
        genes = adata.var["feature_type"].astype(str).isin(["Gene Expression", ""]).to_numpy()
    if not genes.any():
        raise TresetError("normalise: no variable has the feature type Gene Expression, the file holds no genes.")
    obsm = {key: table.copy() for key, table in adata.obsm.items()}
    if not genes.all():
        others = adata.var_names[~genes].astype(str)
        obsm["technical"] = pd.DataFrame(counts[:, ~genes].toarray(), index=adata.obs_names, columns=others)
        counts = counts[:, genes]
    return AnnData(
        X=log_normalise(counts, target_sum),
        obs=adata.obs.copy(),
        var=adata.var.loc[genes].copy(),
        layers={"raw": counts.copy()},
        obsm=obsm,
        uns=dict(adata.uns),
    )


def log_normalise(counts: sp.csr_matrix, target_sum: float) -> sp.csr_matrix:
    """Give log(1 + counts * target_sum / total of the cell), float32 CSR of the same shape."""
    totals = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    scale = np.divide(target_sum, totals, out=np.zeros_like(totals), where=totals > 0)
    scaled = counts.data.astype(np.float64) * np.repeat(scale, np.diff(counts.indptr))
    data = np.log1p(scaled).astype(np.float32)
    return sp.csr_matrix((data, counts.indices.copy(), counts.indptr.copy()), shape=counts.shape)
