"""The unsupervised reading: graph communities or metaclusters of a map, as fine as is stable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from treset.compute import Backend
from treset.compute.cpu import by_size
from treset.errors import TresetError
from treset.phenotype.consensus import consensus_partitions
from treset.phenotype.stability import STABILITY_COLUMNS, choose, stability
from treset.study.model import Cohort

#: What ``resolution: auto`` and ``metaclusters: auto`` try, coarse to fine.
RESOLUTIONS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
METACLUSTERS = (10, 15, 20, 25, 30, 40, 50)

#: Draws whose clusters are compared (ten pairs), and the share of the cells in each.
_REPEATS, _SHARE = 5, 0.8
#: Above this many cells three draws (three pairs) bound the time.
_MANY_CELLS = 60_000

#: Nodes along an edge of FlowSOM's map, and the fewest cells a node of the over-clustering should hold on average.
_SIDE, _CELLS_PER_NODE = 10, 20


@dataclass(frozen=True)
class Clustering:
    """Clusters of the sketch.

    Attributes
    ----------
    labels
        (n,) int32, numbered from 0 by falling size.
    setting
        The resolution (Leiden) or the number of metaclusters (map) that was used.
    stability
        ``stability.tsv``: columns ``setting clusters ari_mean ari_min pairs stable chosen note``.
    """

    labels: np.ndarray
    setting: float
    stability: pd.DataFrame


def cluster_cells(
    coordinates: np.ndarray, graph: sparse.csr_matrix, options: Cohort, backend: Backend, seed: int
) -> Clustering:
    """Cluster the sketch by ``options.algorithm``.

    Parameters
    ----------
    coordinates
        (n, p) cells in the space they are compared in; the map is trained on them.
    graph
        (n, n) their neighbour graph; Leiden's communities are found in it. A draw of cells keeps its part of the
        graph, which is not built anew.
    options, backend, seed
        The study's.

    Raises
    ------
    TresetError
        More clusters than ``options.max_clusters``, or too few cells for the map.
    """

    def leiden(rows: np.ndarray, chance: int, settings: tuple[float, ...]) -> Mapping[float, np.ndarray]:
        draw = rows if len(rows) < len(coordinates) else None
        return {setting: backend.leiden(graph, setting, chance, draw) for setting in settings}

    def som(rows: np.ndarray, chance: int, settings: tuple[float, ...]) -> Mapping[float, np.ndarray]:
        draw = rows if len(rows) < len(coordinates) else None
        return metaclusters(coordinates, [int(s) for s in settings], backend, chance, rows=draw)

    if options.algorithm == "som":
        clusterer, asked, tried = som, options.metaclusters, METACLUSTERS
    else:
        clusterer, asked, tried = leiden, options.resolution, RESOLUTIONS
    n = len(coordinates)
    if asked == "auto":
        repeats = _REPEATS if n <= _MANY_CELLS else 3
        table = choose(
            stability(n, lambda rows, s: clusterer(rows, s, tried), tried, repeats=repeats, share=_SHARE, seed=seed),
            options.min_stability,
        )
        setting = float(table.loc[table["chosen"], "setting"].iloc[0])
    else:
        table, setting = None, float(asked)
    labels = by_size(clusterer(np.arange(n), seed, (setting,))[setting])
    found = int(labels.max()) + 1
    if found > options.max_clusters:
        name = "metaclusters" if options.algorithm == "som" else "resolution"
        raise TresetError(
            f"{found} clusters were found, more than cohort.max_clusters = {options.max_clusters}: "
            f"lower cohort.{name} (used: {setting:g})"
        )
    if table is None:
        fixed = (setting, found, np.nan, np.nan, 0, False, True, "set in the config: stability was not measured")
        table = pd.DataFrame([fixed], columns=STABILITY_COLUMNS)
    return Clustering(labels, setting, table)


def metaclusters(
    x: np.ndarray, ks: list[int], backend: Backend, seed: int, side: int = _SIDE, rows: np.ndarray | None = None
) -> dict[float, np.ndarray]:
    """Consensus metaclusters of a self-organising map, as in FlowSOM (Van Gassen 2015, doi:10.1002/cyto.a.22625).

    Parameters
    ----------
    x
        (n, p) coordinates.
    ks
        Numbers of metaclusters.
    backend
        Trains the map.
    seed
        Of the map and of the consensus.
    side
        Nodes along each edge of the map.
    rows
        (m,) the cells to cluster. Default: all.

    Returns
    -------
    For each ``k``, the metacluster of every cell: (n,) int64.

    Raises
    ------
    TresetError
        Fewer cells than nodes, or ``k`` out of range.
    """
    codes, node = backend.som(x, side, 20, seed, rows)
    return {float(k): labels[node] for k, labels in consensus_partitions(codes, ks, seed=seed).items()}


def overcluster(x: np.ndarray, side: int, backend: Backend, seed: int) -> np.ndarray | None:
    """Many small clusters, to be merged by the tree: the nodes of a large map.

    Parameters
    ----------
    x
        (n, p) values of the markers that the tree reads, or coordinates.
    side
        Nodes wanted along each edge; fewer where a node would hold under 20 cells on average.

    Returns
    -------
    (n,) int64 node numbers; None where ``side`` is 0 or there are too few cells for a map of 2 x 2.
    """
    side = min(side, int(np.sqrt(len(x) / _CELLS_PER_NODE)))
    if side < 2:
        return None
    return backend.som(x, side, 10, seed)[1]
