"""CytoNorm: batches levelled by shared controls (Van Gassen et al. 2020, doi:10.1002/cyto.a.23904).

Own code after the paper: `cytonormpy` needs flowio <= 1.3 and two further packages of cytometry.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from treset.clean.distances import compare
from treset.clean.levelling import FEWEST, QUANTILES, Levelling, by_clusters, level
from treset.compute.som import train_som, winners
from treset.errors import TresetError

#: Fewest cells of an anchor.
FEWEST_OF_ANCHOR = 100
#: A cluster whose share varies more between the batches (coefficient of variation) is no cluster of cells but of batch.
MAX_CV = 1.5
#: A width below this (transformed units) is noise around zero; a change of the width beyond this share is a harm.
_LEAST_MAD, _MAD_CHANGE = 0.05, 0.10
#: Deals of the cells, at most this many of each batch, and the level of the test that batches differ at all.
_PERMUTATIONS, _PERMUTED_CELLS, _LEVEL = 99, 5_000, 0.05
_SIDE, _MOST_CELLS, _MOST_CLUSTERS = 10, 50_000, 10
#: Times the anchors are split in halves that teach and are judged in turn.
_SPLITS = 3


def train(anchors: Mapping[str, np.ndarray], clusters: int | None = None, seed: int = 0) -> Levelling:
    """Learn from one control that was measured in every batch.

    Cells of all batches are clustered by a self-organising map; in each cluster, batch and marker the quantiles are
    brought to their mean over the batches by a monotone spline. That of a small cluster is drawn towards the spline of
    all cells (100 cells of a cluster weigh as much as it).

    Parameters
    ----------
    anchors
        Batch -> transformed values of its control, shape (cells, markers).
    clusters
        Metaclusters. Default: of 1 to 10 whose shares are alike in all batches (coefficient of variation of each at
        most 1.5, as in CytoNorm's own test), as many as bring those cells of the anchors closest that did not teach
        (halves of the anchors, three times).
    seed
        Of the map.

    Raises
    ------
    TresetError
        Fewer than two batches, different numbers of markers, or too few cells.
    """
    if len(anchors) < 2:
        raise TresetError("batches: fewer than two batches have an anchor, nothing can be levelled.")
    widths = {values.shape[1] for values in anchors.values()}
    least = min(len(values) for values in anchors.values())
    if len(widths) > 1 or least < FEWEST_OF_ANCHOR:
        raise TresetError(
            f"batches: every batch needs an anchor of the same markers and at least {FEWEST_OF_ANCHOR} cells, the "
            f"smallest has {least}; exclude the batch or measure its control again."
        )
    rng = np.random.default_rng(seed)
    share = max(_MOST_CELLS // len(anchors), 1)
    drawn = [values if len(values) <= share else values[rng.choice(len(values), share, False)]
             for values in anchors.values()]  # fmt: skip
    pooled = np.vstack(drawn).astype(np.float64)
    side = _SIDE if len(pooled) >= 10 * _SIDE**2 else 5
    codes = train_som(pooled, side=side, seed=seed)
    nodes = {batch: winners(values, codes)[0] for batch, values in anchors.items()}
    cluster = metaclusters(codes, clusters) if clusters else _best_clusters(anchors, codes, nodes, rng)
    return by_clusters(anchors, codes, cluster)


def train_and_judge(
    anchors: Mapping[str, np.ndarray], names: Sequence[str], clusters: int | None = None, seed: int = 0
) -> tuple[Levelling, pd.DataFrame]:
    """Learn from the anchors, and take back what does not help.

    A marker is left as it was where its batches differ by no more than chance (permutation of the cells within each
    cluster, 5 %). Each half of the anchors' cells is levelled by what the other half teaches: a marker is left as it
    was, too, where the earth mover's distance between the batches does not fall so, or where the median absolute
    deviation of a marker (0.05 or more) changes by more than 10 %.

    Parameters
    ----------
    anchors, clusters, seed
        See `train`.
    names
        Of the markers.

    Returns
    -------
    The levelling learnt from all cells with the markers that are corrected, and the table of
    `treset.clean.distances.compare` (mean of the halves), judged so, with ``corrected`` (of the marker) and ``reason``.
    """
    learnt = train(anchors, clusters, seed)
    table = _held_out(anchors, learnt, list(names), seed)
    chance = ~_differ(anchors, {b: learnt.clusters_of(v) for b, v in anchors.items()}, seed)
    table, reason = verdict(table, names, chance)
    return replace(learnt, markers=reason == ""), table


def verdict(table: pd.DataFrame, names: Sequence[str], chance: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """Say which markers are corrected.

    Parameters
    ----------
    table
        Of `treset.clean.distances.compare`.
    names
        Of the markers.
    chance
        Shape (markers,), bool: no difference beyond chance.

    Returns
    -------
    The table with ``corrected`` and ``reason``, and the reason of each marker, "" where it is corrected.
    """
    whole = table[table["population"] == "cells"].set_index("marker").loc[list(names)]
    worse = (whole["emd_after"] >= whole["emd_before"]).to_numpy()
    change = (whole["mad_after"] - whole["mad_before"]).abs()
    wide = ((whole["mad_before"] >= _LEAST_MAD) & (change > _MAD_CHANGE * whole["mad_before"])).to_numpy()
    reason = np.select(
        [chance, worse, wide],
        ["no difference beyond chance", "batches did not come closer", "the width changed by over 10 %"],
        "",
    )
    told = dict(zip(names, reason, strict=True))
    corrected = [told[marker] == "" for marker in table["marker"]]
    return table.assign(corrected=corrected, reason=[told[marker] for marker in table["marker"]]), reason


def _held_out(anchors: Mapping[str, np.ndarray], learnt: Levelling, names: list[str], seed: int) -> pd.DataFrame:
    """Judge on cells that did not teach: means of `treset.clean.distances.compare` over halves of the anchors."""
    rng, tables = np.random.default_rng(seed), []
    for taught, heard in (split for _ in range(_SPLITS) for split in halves(anchors, rng)):
        trial = by_clusters(taught, learnt.codes, learnt.cluster)
        levelled = {batch: level(values, batch, trial) for batch, values in heard.items()}
        labels = {b: np.char.mod("cluster %d", learnt.clusters_of(values) + 1) for b, values in heard.items()}
        tables.append(compare(heard, levelled, labels, names))
    return pd.concat(tables).groupby(["marker", "population"], sort=False, as_index=False).mean()


def halves(
    anchors: Mapping[str, np.ndarray], rng: np.random.Generator
) -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Each half of every anchor's cells, drawn at random, with the other."""
    half = {batch: rng.permutation(len(values)) % 2 == 0 for batch, values in anchors.items()}
    first = {batch: values[half[batch]] for batch, values in anchors.items()}
    second = {batch: values[~half[batch]] for batch, values in anchors.items()}
    return [(first, second), (second, first)]


def _differ(anchors: Mapping[str, np.ndarray], cluster: Mapping[str, np.ndarray], seed: int) -> np.ndarray:
    """Markers whose batches lie further apart than cells that were dealt out anew, in all but 5 % of deals.

    Cells are dealt out within their cluster: shares that differ by the draw of the cells are no difference of a marker.
    The halves of an anchor share what is particular to its draw of cells, so that they cannot tell it from a batch.
    """
    rng = np.random.default_rng(seed)
    drawn = []
    for number in range(max(int(found.max()) for found in cluster.values()) + 1):
        inside = [values[cluster[batch] == number] for batch, values in anchors.items()]
        size = min(_PERMUTED_CELLS, *map(len, inside))
        if size >= FEWEST:
            drawn.append(np.stack([values[rng.choice(len(values), size, False)] for values in inside]))
    if not drawn:  # no cluster has cells enough in every batch: all cells are one
        return _differ(anchors, {batch: np.zeros(len(values), dtype=int) for batch, values in anchors.items()}, seed)
    weights = [group.shape[1] for group in drawn]
    seen = np.average([apart(group) for group in drawn], axis=0, weights=weights)
    as_far = np.zeros(seen.shape, dtype=int)
    for _ in range(_PERMUTATIONS):
        dealt = [rng.permutation(group.reshape(-1, group.shape[2])).reshape(group.shape) for group in drawn]
        as_far += np.average([apart(group) for group in dealt], axis=0, weights=weights) >= seen
    return (1 + as_far) / (1 + _PERMUTATIONS) <= _LEVEL


def apart(batches: np.ndarray) -> np.ndarray:
    """Largest earth mover's distance of any two batches of as many values: (batches, values, markers) to (markers,)."""
    ranked = np.sort(batches, axis=1)
    pairs = itertools.combinations(ranked, 2)
    return np.max([np.abs(first - second).mean(axis=0) for first, second in pairs], axis=0)


def metaclusters(codes: np.ndarray, count: int) -> np.ndarray:
    """Group the nodes of a map (Ward), at most ``count`` groups: (nodes,) from 0."""
    from scipy.cluster.hierarchy import fcluster, linkage

    return fcluster(linkage(codes, "ward"), count, "maxclust") - 1


def _best_clusters(
    anchors: Mapping[str, np.ndarray], codes: np.ndarray, nodes: Mapping[str, np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Metaclusters of the map's nodes that bring cells closest which did not teach; the fewer where as many do."""
    every = [metaclusters(codes, count) for count in range(1, _MOST_CLUSTERS + 1)]
    able = [cluster for cluster in every if _alike(cluster, nodes)]
    if len(able) < 2:
        return every[0]
    drawn = {b: v[rng.choice(len(v), min(len(v), _PERMUTED_CELLS), False)] for b, v in anchors.items()}
    splits = [split for _ in range(_SPLITS) for split in halves(drawn, rng)]
    return min(able, key=lambda cluster: sum(_left(*split, codes, cluster) for split in splits))


def _left(
    taught: Mapping[str, np.ndarray], heard: Mapping[str, np.ndarray], codes: np.ndarray, cluster: np.ndarray
) -> float:
    """Distance left between the batches of the cells that did not teach, mean over the markers."""
    trial = by_clusters(taught, codes, cluster)
    ranks = [np.quantile(level(v, batch, trial, rough=True), QUANTILES, axis=0) for batch, v in heard.items()]
    return float(apart(np.stack(ranks)).mean())


def _alike(cluster: np.ndarray, nodes: Mapping[str, np.ndarray]) -> bool:
    counts = np.array([np.bincount(cluster[found], minlength=cluster.max() + 1) for found in nodes.values()])
    shares = counts / counts.sum(axis=1, keepdims=True)
    big = shares.mean(axis=0) > 0.01
    cv = shares.std(axis=0, ddof=1) / np.maximum(shares.mean(axis=0), 1e-12)
    return bool((cv[big] <= MAX_CV).all())
