"""Which resolution can be trusted: the finest whose clusters come back on other draws of the cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

STABILITY_COLUMNS = ["setting", "clusters", "ari_mean", "ari_min", "pairs", "stable", "chosen", "note"]

#: Rows and seed of a repeat -> for each setting the cluster numbers of those rows.
Clusterer = Callable[[np.ndarray, int], Mapping[float, np.ndarray]]


def adjusted_rand(a: np.ndarray, b: np.ndarray) -> float:
    """Adjusted Rand index of two partitions of the same cells (Hubert 1985, doi:10.1007/BF01908075).

    Parameters
    ----------
    a, b
        (n,) labels of any kind.

    Returns
    -------
    1 for the same partition, 0 expected by chance; 1 where both put every cell together, or every cell alone.
    """
    return weighted_rand(a, b, np.ones(len(a)))


def weighted_rand(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> float:
    """:func:`adjusted_rand` where each cell stands for ``weight`` cells: (n,) float64, not negative."""
    left, right = np.unique(a, return_inverse=True)[1], np.unique(b, return_inverse=True)[1]
    if not len(left):
        return float("nan")
    width = int(right.max()) + 1
    table = np.bincount(left * width + right, weights=weight)
    total = _pairs(np.array([weight.sum()]))
    both = _pairs(table)
    rows, columns = _pairs(np.bincount(left, weights=weight)), _pairs(np.bincount(right, weights=weight))
    expected = rows * columns / total if total > 0 else 0.0
    highest = (rows + columns) / 2.0
    return (
        1.0 if np.isclose(highest, expected, rtol=1e-12, atol=0.0) else float((both - expected) / (highest - expected))
    )


def stability(
    n_cells: int, clusterer: Clusterer, settings: Sequence[float], *, repeats: int, share: float, seed: int
) -> pd.DataFrame:
    """Agreement of the clusters of repeated draws, on the cells that two draws share.

    Each repeat has its own draw and its own seed, so that chance in both is in the figure (Lange 2004,
    doi:10.1162/089976604773717621; for single cells Tang 2021, doi:10.1093/bioinformatics/btaa956).

    Parameters
    ----------
    n_cells
        Cells in all.
    clusterer
        Clusters the given rows.
    settings
        Resolutions or numbers of clusters, coarse to fine.
    repeats
        Draws, at least 2.
    share
        Of the cells drawn each time.

    Returns
    -------
    Columns ``setting clusters ari_mean ari_min pairs``: one row a setting, over all pairs of draws; ``clusters`` is the
    median number found.
    """
    generator = np.random.default_rng(seed)
    size = max(2, round(share * n_cells))
    labels: dict[float, list[np.ndarray]] = {s: [] for s in settings}
    for repeat in range(repeats):
        rows = np.sort(generator.choice(n_cells, size=size, replace=False))
        found = clusterer(rows, seed + 1 + repeat)
        for setting in settings:
            whole = np.full(n_cells, -1, dtype=np.int64)
            whole[rows] = found[setting]
            labels[setting].append(whole)
    lines = []
    for setting in settings:
        scores = []
        for a, b in combinations(labels[setting], 2):
            shared = (a >= 0) & (b >= 0)
            scores.append(adjusted_rand(a[shared], b[shared]))
        clusters = int(np.median([len(np.unique(x[x >= 0])) for x in labels[setting]]))
        lines.append((setting, clusters, float(np.mean(scores)), float(np.min(scores)), len(scores)))
    return pd.DataFrame(lines, columns=STABILITY_COLUMNS[:5])


def choose(table: pd.DataFrame, minimum: float) -> pd.DataFrame:
    """Choose the finest setting whose mean ARI reaches ``minimum``, else the one with the highest.

    Parameters
    ----------
    table
        As :func:`stability` gives it.
    minimum
        Between 0 and 1.

    Returns
    -------
    ``stability.tsv``: the table with ``stable`` and ``chosen`` (bool, one row is True) and ``note``.
    """
    done = table.sort_values("setting", kind="stable").reset_index(drop=True)
    # one cluster agrees with itself always and says nothing
    real = done["clusters"] >= 2
    done["stable"] = real & (done["ari_mean"] >= minimum)
    done["note"] = np.where(real, "", "one cluster: not considered")
    if done["stable"].any():
        pick, note = int(np.flatnonzero(done["stable"])[-1]), f"the finest with a mean ARI of at least {minimum:g}"
    else:
        pick = int(done["ari_mean"].where(real, -np.inf).to_numpy().argmax())
        note = f"none reaches a mean ARI of {minimum:g}: the most stable was taken"
    done["chosen"] = done.index == pick
    done.loc[pick, "note"] = note
    return done[STABILITY_COLUMNS]


def _pairs(counts: np.ndarray) -> float:
    return float((counts * (counts - 1.0)).sum() / 2.0)
