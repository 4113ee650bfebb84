"""The arcsinh transformation of cytometry."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from treset.errors import TresetError
from treset.study.model import Modality

_ROLES = ("lineage", "state")
#: Events transformed at a time.
_CHUNK = 16_384


def default_cofactor(modality: Modality) -> float:
    """Give the usual cofactor of the arcsinh: 5 for mass, 150 for flow cytometry.

    Sources: Bendall et al. 2011 (doi:10.1126/science.1198704) for 5, Bruggner et al. 2014
    (doi:10.1073/pnas.1408792111) for 150.

    Raises
    ------
    TresetError
        For RNA, which has none.
    """
    cofactors = {"mass_cytometry": 5.0, "flow_cytometry": 150.0}
    if modality not in cofactors:
        raise TresetError(
            f"normalise: modality '{modality}' has no arcsinh cofactor, only mass and flow cytometry have."
        )
    return cofactors[modality]


def transform(adata: AnnData, cofactor: float) -> AnnData:
    """Transform markers by arcsinh(x / cofactor) and set the other channels aside.

    Spillover is taken out before, by `treset.clean.prepare`.

    Parameters
    ----------
    adata
        Raw events (events, channels) with ``var["role"]``, ``var["marker"]`` and ``var["cofactor"]`` (NaN: the
        default), as ``io.panel.apply_panel`` leaves them. Not changed.
    cofactor
        For channels without their own; ``default_cofactor`` gives the usual one.

    Returns
    -------
    AnnData of all events and the markers of role lineage and state, in the order of the file: ``X`` float32 arcsinh,
    ``layers["raw"]`` float32 input values, ``var_names`` the markers, ``var`` role, channel, cofactor; all other
    channels raw in ``obsm["technical"]`` (columns: channel); ``obs`` and ``uns`` copied.

    Raises
    ------
    TresetError
        When the panel was not applied, a cofactor is not above 0, no marker is left or two channels have the same
        marker.
    """
    missing = [column for column in ("role", "marker") if column not in adata.var]
    if missing:
        raise TresetError(
            f"normalise: the channels have no {' and '.join(missing)}, apply the panel before the transformation."
        )
    measured = adata.var["role"].astype(str).isin(_ROLES).to_numpy()
    var = _variables(adata, measured, cofactor)
    values = np.asarray(adata.X)
    raw = np.ascontiguousarray(values[:, measured], dtype=np.float32)
    transformed = _arcsinh(raw, var["cofactor"].to_numpy())
    technical = pd.DataFrame(
        values[:, ~measured], index=adata.obs_names, columns=adata.var_names[~measured].astype(str)
    )
    return AnnData(
        X=transformed,
        obs=adata.obs.copy(),
        var=var,
        layers={"raw": raw},
        obsm={"technical": technical},
        uns=dict(adata.uns),
    )


def _arcsinh(raw: np.ndarray, cofactor: np.ndarray) -> np.ndarray:
    """Transform by parts: the numbers between are twice as wide as the result."""
    out = np.empty_like(raw)
    for start in range(0, len(raw), _CHUNK):
        part = slice(start, start + _CHUNK)
        # The division in float64, so that the same raw value gives the same result whatever stands beside it.
        out[part] = np.arcsinh(raw[part] / cofactor)
    return out


def _variables(adata: AnnData, measured: np.ndarray, cofactor: float) -> pd.DataFrame:
    rows = adata.var.loc[measured]
    markers = rows["marker"].astype(str).to_numpy()
    if len(markers) == 0:
        raise TresetError("normalise: no channel has the role lineage or state, name the markers in panel.tsv.")
    names, counts = np.unique(markers, return_counts=True)
    if (counts > 1).any() or "" in names:
        bad = names[counts > 1][0] if (counts > 1).any() else ""
        channels = ", ".join(rows.index[markers == bad])
        raise TresetError(
            f"normalise: the channels {channels} share the marker '{bad}', give each its own in panel.tsv."
        )
    own = rows["cofactor"].to_numpy(float) if "cofactor" in rows else np.full(len(rows), np.nan)
    cofactors = np.where(np.isfinite(own), own, cofactor)
    if not (cofactors > 0).all():
        bad = markers[~(cofactors > 0)][0]
        raise TresetError(
            f"normalise: the cofactor of marker '{bad}' is {cofactors[~(cofactors > 0)][0]:g}, expected above 0."
        )
    return pd.DataFrame(
        {"role": rows["role"].astype(str).to_numpy(), "channel": rows.index.astype(str), "cofactor": cofactors},
        index=pd.Index(markers, name="marker"),
    )
