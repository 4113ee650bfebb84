"""Naming the clusters by the tree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from treset.phenotype.tree import ROOT, Node, ancestors

CLUSTER_COLUMNS = ["cluster", "population", "confidence", "n_cells", "evidence", "reason"]


def cluster_names(labels: np.ndarray) -> np.ndarray:
    """``C01`` ... from numbers 0 ..., wide enough for all: (n,) object."""
    width = max(2, len(str(int(labels.max()) + 1))) if len(labels) else 2
    return np.array([f"C{int(label) + 1:0{width}d}" for label in labels], dtype=object)


def name_clusters(
    cluster: np.ndarray, population: np.ndarray, nodes: Sequence[Node], values: pd.DataFrame, min_purity: float
) -> pd.DataFrame:
    """Name each cluster after the most specific population that holds at least ``min_purity`` of its cells.

    Parameters
    ----------
    cluster
        (n,) cluster ids.
    population
        (n,) each cell's most specific gate, or ``unassigned``.
    nodes
        The resolved tree.
    values
        (n, m) transformed values of the markers shown as evidence.
    min_purity
        Between 0 and 1.

    Returns
    -------
    Columns ``cluster population confidence n_cells evidence reason``; confidence is the share of the cluster's cells
    within the named population (or its descendants); population ``unassigned`` with a reason where no population
    reaches ``min_purity``.
    """
    lines = {node.name: [node.name, *ancestors(nodes, node.name)] for node in nodes}
    depth = {node.name: len(lines[node.name]) for node in nodes}
    middle, spread = values.median(), _spread(values)
    rows = []
    for name in sorted(set(cluster.tolist())):
        inside = cluster == name
        n = int(inside.sum())
        leaves = pd.Series(population[inside]).value_counts()
        within: dict[str, int] = {}
        for leaf, count in leaves.items():
            for level in lines.get(leaf, []):
                within[level] = within.get(level, 0) + int(count)
        within.pop(ROOT, None)
        enough = [p for p, count in within.items() if count / n >= min_purity]
        marks = _marks(values[inside].median(), middle, spread)
        first = ", ".join(f"{count / n:.0%} {leaf}" for leaf, count in leaves.head(3).items())
        if enough:
            best = max(enough, key=lambda p: (depth[p], within[p]))
            rows.append((name, best, within[best] / n, n, f"{first}; {marks}", ""))
        else:
            reason = f"no population holds {min_purity:.0%} of its cells ({first})"
            top = max(within.values(), default=0) / n
            rows.append((name, "unassigned", top, n, f"{first}; {marks}", reason))
    return pd.DataFrame(rows, columns=CLUSTER_COLUMNS)


def _spread(values: pd.DataFrame) -> pd.Series:
    quartiles = values.quantile([0.1, 0.9])
    return (quartiles.iloc[1] - quartiles.iloc[0]).clip(lower=0.5)


def _marks(cluster: pd.Series, middle: pd.Series, spread: pd.Series, count: int = 4) -> str:
    """The markers that set a cluster apart: its median against all cells, in units of the marker's range."""
    score = (cluster - middle) / spread
    best = score.abs().sort_values(ascending=False, kind="stable").index[:count]
    return " ".join(f"{marker}{'+' if score[marker] > 0 else '-'}" for marker in best if abs(score[marker]) > 0.25)
