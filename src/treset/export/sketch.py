"""The sketch as one ``.h5ad`` that scanpy, cellxgene and their kin open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from treset.errors import TresetError
from treset.io.files import atomic
from treset.io.table import read_profiles
from treset.texts import spelled

if TYPE_CHECKING:
    from anndata import AnnData

#: Columns of the waist that a cell gets from its sample.
SHEET = ("patient", "visit", "day", "arm", "disease", "stimulus", "dose")


def export_sketch(results: Path, out: Path) -> Path:
    """Write the sketch with the keys that the field's tools look for.

    Parameters
    ----------
    results
        ``results/<study>/`` of a finished run.
    out
        The file (``.h5ad``).

    Returns
    -------
    ``out``: ``X`` float32 transformed values; ``obs`` sample, patient, visit, arm ... and population, cluster as
    categories; ``var_names`` markers or genes; ``obsm`` X_umap and X_pca (cells without a place are left out and
    counted in ``uns["treset"]["without_place"]``); ``uns["default_embedding"]``.

    Raises
    ------
    TresetError
        The folder holds no sketch, or one without positions.
    """
    out_cells = sketch_cells(results)[0]
    with atomic(out) as temporary:
        out_cells.write_h5ad(temporary, compression="gzip")
    return out


def sketch_cells(results: Path) -> tuple[AnnData, pd.DataFrame | None]:
    """Give the cells of the sketch as `export_sketch` writes them, and their surface protein where the study has it.

    Returns
    -------
    The cells, and centred log-ratios (cells in rows, columns such as ``CD4 (protein)``) or None.
    """
    import anndata

    from treset.io.h5ad import read_h5ad
    from treset.phenotype.rna_sketch import PROTEIN

    path = results / "cohort" / "sketch.h5ad"
    if not path.is_file():
        raise TresetError(f"{path} is not there: name the results folder of a finished study (results/STUDY)")
    cells = read_h5ad(path)
    if "X_umap" not in cells.obsm:
        raise TresetError(f"{path} holds no positions (X_umap): run the cohort step again")
    placed = np.isfinite(np.asarray(cells.obsm["X_umap"])).all(axis=1)
    known = {
        key: value if np.isscalar(value) else json.dumps(value) for key, value in cells.uns.get("treset", {}).items()
    }
    known = {key: str(value) for key, value in known.items()} | {"without_place": str(int((~placed).sum()))}
    out_cells = anndata.AnnData(
        X=cells.X[placed].astype(np.float32),
        obs=_obs(cells.obs[placed], results),
        var=_plain(cells.var),
        obsm={key: np.asarray(cells.obsm[key], np.float32)[placed] for key in ("X_umap", "X_pca") if key in cells.obsm},
        uns={"treset": known, "default_embedding": "X_umap", "title": results.name},
    )
    return out_cells, cells.obsm[PROTEIN][placed] if PROTEIN in cells.obsm else None


def _obs(obs: pd.DataFrame, results: Path) -> pd.DataFrame:
    """Cells with what the sheet says of their sample; text as categories, since colouring needs them."""
    waist = read_profiles(results / "profiles.parquet", compact=True)
    waist = spelled(waist[~waist["sample"].duplicated()]).set_index("sample")
    found = obs.copy()
    sample = found["sample"].astype(str)
    for column in SHEET:
        values = sample.map(waist[column])
        if not values.isna().all() and not (values.astype(str) == "").all():
            found[column] = values.to_numpy()
    found = _plain(found)
    for column in found.columns:
        if found[column].dtype == object:
            found[column] = pd.Categorical(found[column])
    return found


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Text as plain objects: the strings of pandas 3 are written in a form that older readers do not know."""
    plain = pd.DataFrame(index=pd.Index(table.index.astype(str).to_numpy(dtype=object), dtype=object))
    for column in table.columns:
        values = table[column]
        if isinstance(values.dtype, pd.CategoricalDtype) or pd.api.types.is_string_dtype(values):
            plain[column] = pd.Series(["" if pd.isna(v) else str(v) for v in values], index=plain.index, dtype=object)
        else:
            plain[column] = values.to_numpy()
    return plain
