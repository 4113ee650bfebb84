"""Which barcodes of a scRNA-seq sample are single living cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from treset.quality.robust import mad_sd
from treset.study.model import RnaQuality

COLUMNS = ("filter", "cells_in", "dropped", "kept", "threshold", "note")

#: ``scrublet(counts, seed) -> (scores, threshold or None)``: counts CSR (cells, genes), scores shape (cells,).
Scrublet = Callable[[sp.csr_matrix, int], tuple[np.ndarray, float | None]]

#: Fewest cells from which outliers and doublets are judged.
_FEWEST_OUTLIERS = 20
_FEWEST_DOUBLETS = 100
#: A hard limit that drops more than this share is said to be suspicious.
_SUSPICIOUS = 0.5


@dataclass(frozen=True)
class _Result:
    fails: np.ndarray
    threshold: str = ""
    note: str = ""


@dataclass(frozen=True)
class _Cells:
    """What the filters look at: one number a cell."""

    counts: np.ndarray
    genes: np.ndarray
    #: Percent of counts that are mitochondrial; NaN for an empty cell; None without mitochondrial genes.
    mito: np.ndarray | None

    def nothing(self, note: str) -> _Result:
        return _Result(np.zeros(len(self.counts), dtype=bool), "", note)


def flag(adata: AnnData, settings: RnaQuality, scrublet: Scrublet | None = None, seed: int = 0) -> pd.DataFrame:
    """Flag barcodes that are not single living cells.

    Adds boolean columns ``qc_<filter>`` to ``obs`` (True: fails the filter), ``obs["keep"]`` (True: fails none), and
    the numbers they rest on: ``n_counts``, ``n_genes``, ``percent_mito`` (NaN without mitochondrial genes) and
    ``doublet_score`` (NaN where not scored). Filters, in this order:

    ``min_counts``, ``min_genes``
        Fewer counts or detected genes than the setting.
    ``outliers``
        log1p counts or log1p genes off the median by more than ``n_mads``, either side (Germain et al. 2020,
        doi:10.1186/s13059-020-02136-7; McCarthy et al. 2017, doi:10.1093/bioinformatics/btw777).
    ``mito``
        Mitochondrial share (genes ``MT-`` or ``mt-``) above the median by more than ``n_mads``, or above
        ``max_mito_percent``.
    ``doublets``
        Scores above the threshold that the caller itself found (Scrublet: Wolock et al. 2019,
        doi:10.1016/j.cels.2018.11.005); without a threshold none is dropped.

    Medians are of the cells that earlier filters left; one ``n_mads`` is 1.4826 times the median absolute deviation.
    Only variables of ``feature_type`` Gene Expression count, where the column exists.

    Parameters
    ----------
    adata
        Raw counts, CSR (cells, genes). Changed in place: ``obs`` only.
    settings
        Limits.
    scrublet
        Doublet caller ``(counts, seed) -> (scores, threshold or None)``; ``treset.compute`` gives it. Default: none.
    seed
        For the caller.

    Returns
    -------
    Table ``filter cells_in dropped kept threshold note``: one row a filter, counts of cells, cumulative
    (``cells_in - dropped == kept``).
    """
    counts, cells = _measure(adata)
    kept = np.ones(adata.n_obs, dtype=bool)
    score = np.full(adata.n_obs, np.nan)
    rows = []
    steps: dict[str, Callable[[], _Result]] = {
        "min_counts": lambda: _minimum(cells.counts, settings.min_counts, "counts", kept, counts.shape[1]),
        "min_genes": lambda: _minimum(cells.genes, settings.min_genes, "genes", kept, counts.shape[1]),
        "outliers": lambda: _outliers(cells, kept, settings.n_mads),
        "mito": lambda: _mito(cells, kept, settings),
        "doublets": lambda: (
            _doublets(counts, cells, kept, scrublet, seed, score)
            if settings.doublets
            else cells.nothing("switched off")
        ),
    }
    for name, step in steps.items():
        result = step()
        adata.obs[f"qc_{name}"] = result.fails
        cells_in, dropped = int(kept.sum()), int((kept & result.fails).sum())
        kept &= ~result.fails
        rows.append((name, cells_in, dropped, cells_in - dropped, result.threshold, result.note))
    adata.obs["n_counts"] = cells.counts.astype(np.float32)
    adata.obs["n_genes"] = cells.genes.astype(np.int32)
    adata.obs["percent_mito"] = (np.full(len(kept), np.nan) if cells.mito is None else cells.mito).astype(np.float32)
    adata.obs["doublet_score"] = score.astype(np.float32)
    adata.obs["keep"] = kept
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _measure(adata: AnnData) -> tuple[sp.csr_matrix, _Cells]:
    matrix = sp.csr_matrix(adata.X)
    names = adata.var_names.astype(str)
    if "feature_type" in adata.var:
        genes = adata.var["feature_type"].astype(str).isin(["Gene Expression", ""]).to_numpy()
        if not genes.all():
            matrix, names = matrix[:, genes], names[genes]
    counts = np.asarray(matrix.sum(axis=1, dtype=np.float64)).ravel()
    detected = np.diff((matrix > 0).indptr)
    mitochondrial = names.str.upper().str.startswith("MT-")
    mito = None
    if mitochondrial.any():
        of_mito = np.asarray(matrix[:, mitochondrial].sum(axis=1, dtype=np.float64)).ravel()
        mito = np.divide(100 * of_mito, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    return matrix, _Cells(counts, detected, mito)


def _minimum(values: np.ndarray, least: int, what: str, kept: np.ndarray, genes: int) -> _Result:
    fails = values < least
    share = (kept & fails).sum() / max(kept.sum(), 1)
    note = ""
    if share > _SUSPICIOUS:
        note = (
            f"{100 * share:.0f} % of the cells have fewer {what} (median {np.median(values[kept]):.0f}); "
            f"the file has {genes} genes: check min_{what}"
        )
    return _Result(fails, f"{what} >= {least}", note)


def _outliers(cells: _Cells, kept: np.ndarray, n_mads: float) -> _Result:
    if kept.sum() < _FEWEST_OUTLIERS:
        return cells.nothing(f"not applied: fewer than {_FEWEST_OUTLIERS} cells left")
    fails = np.zeros(len(kept), dtype=bool)
    limits, notes = [], []
    for what, values in (("counts", np.log1p(cells.counts)), ("genes", np.log1p(cells.genes))):
        centre, sd = np.median(values[kept]), mad_sd(values[kept])
        if sd == 0:
            notes.append(f"{what} do not vary: no limit")
            continue
        fails |= np.abs(values - centre) > n_mads * sd
        limits.append(f"{what} {max(np.expm1(centre - n_mads * sd), 0):.0f} to {np.expm1(centre + n_mads * sd):.0f}")
    return _Result(fails, ", ".join(limits), "; ".join(notes))


def _mito(cells: _Cells, kept: np.ndarray, settings: RnaQuality) -> _Result:
    if cells.mito is None:
        return cells.nothing("no mitochondrial genes (MT- or mt-) in the file")
    limit, note = settings.max_mito_percent, ""
    share = cells.mito[kept & np.isfinite(cells.mito)]
    if len(share) < _FEWEST_OUTLIERS:
        note = f"fewer than {_FEWEST_OUTLIERS} cells left: max_mito_percent alone"
    elif (sd := mad_sd(share)) == 0:
        note = "mitochondrial share does not vary: max_mito_percent alone"
    else:
        limit = min(limit, float(np.median(share) + settings.n_mads * sd))
    return _Result(np.nan_to_num(cells.mito) > limit, f"mitochondrial <= {limit:.2f} %", note)


def _doublets(
    counts: sp.csr_matrix, cells: _Cells, kept: np.ndarray, scrublet: Scrublet | None, seed: int, score: np.ndarray
) -> _Result:
    """Score the cells left and drop those above the caller's own threshold. Fills in ``score``."""
    if scrublet is None:
        return cells.nothing("no doublet caller given")
    if kept.sum() < _FEWEST_DOUBLETS:
        return cells.nothing(f"not applied: fewer than {_FEWEST_DOUBLETS} cells left")
    scores, threshold = scrublet(counts[kept], seed)
    score[kept] = np.asarray(scores)
    if threshold is None or not np.isfinite(threshold):
        return cells.nothing("the doublet scores have no two modes: no threshold, none dropped")
    return _Result(np.nan_to_num(score) > threshold, f"doublet score <= {threshold:.4g}")
