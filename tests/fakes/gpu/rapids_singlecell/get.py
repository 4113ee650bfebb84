from __future__ import annotations

from cupy.cuda import check


def anndata_to_GPU(adata, layer=None, *, convert_all=False, copy=False):
    check("anndata_to_GPU")
    adata.uns["fake_on_device"] = True
