"""The sketch of a CITE-seq study as one ``.h5mu`` that muon and its kin open (MuData)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from treset.errors import TresetError
from treset.export.sketch import sketch_cells
from treset.io.files import atomic
from treset.normalise.protein import marker_of


def export_mudata(results: Path, out: Path) -> Path:
    """Write RNA and surface protein of the same cells as two modalities.

    The format is MuData's (Bredikhin et al. 2022, doi:10.1186/s13059-021-02577-8).

    Parameters
    ----------
    results
        ``results/<study>/`` of a finished run of a CITE-seq study.
    out
        The file (``.h5mu``).

    Returns
    -------
    ``out``: modality ``rna`` as :func:`treset.export.sketch.export_sketch` writes it; ``prot`` with ``X`` float32
    centred log-ratios, ``var_names`` such as ``CD4 (protein)`` (no gene has that name) and ``var["marker"]``; the
    cells' columns and ``X_umap`` for both together.

    Raises
    ------
    TresetError
        mudata is not installed, the folder holds no sketch, or its cells have no surface protein.
    """
    try:
        from mudata import MuData
    except ModuleNotFoundError as missing:
        raise TresetError("mudata is not installed, which writes .h5mu: pip install 'treset[mudata]'") from missing
    import anndata

    rna, table = sketch_cells(results)
    if table is None:
        raise TresetError(
            f"{results / 'cohort' / 'sketch.h5ad'} holds no surface protein, which CITE-seq studies have where all "
            "samples were stained: write it with 'treset export sketch'"
        )
    names = pd.Index([str(name) for name in table.columns], dtype=object)
    markers = pd.DataFrame({"marker": np.array([marker_of(n) for n in names], dtype=object)}, index=names)
    obs = pd.DataFrame(index=rna.obs_names)
    protein = anndata.AnnData(X=table.to_numpy(dtype=np.float32), obs=obs, var=markers)
    both = MuData({"rna": rna, "prot": protein})
    for column in rna.obs:
        both.obs[column] = rna.obs[column]
    both.obsm["X_umap"] = rna.obsm["X_umap"]
    with atomic(out) as temporary:
        both.write_h5mu(temporary)
    return out
