"""Do gates and clusters tell the same? Precision, recall and F1 a population, the adjusted Rand index in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from treset.phenotype.stability import weighted_rand
from treset.phenotype.tree import ROOT, Node, ancestors

CONCORDANCE_COLUMNS = [
    *("population", "parent", "gate_cells", "cluster_cells", "both", "precision", "recall", "f1", "vote_ratio", "ari"),
    "note",
]


def concordance(
    gated: Mapping[str, np.ndarray],
    by_gate: np.ndarray,
    by_cluster: np.ndarray,
    nodes: Sequence[Node],
    weight: np.ndarray | None = None,
    by_vote: np.ndarray | None = None,
) -> pd.DataFrame:
    """Compare the two readings of the same cells.

    Parameters
    ----------
    gated
        Population -> (n,) bool, as :func:`treset.phenotype.gates.apply_gates` gives it.
    by_gate
        (n,) each cell's most specific population by gate, or ``unassigned``.
    by_cluster
        (n,) the population its cluster was named after, or ``unassigned``.
    nodes
        The resolved tree.
    weight
        (n,) kept cells that each cell stands for; None: 1. Counts are of cells, shares are weighted.
    by_vote
        (n,) the population that each cell's neighbours in the sketch would give it, as they do to the cells that are
        mapped. Default: not known.

    Returns
    -------
    One row a measurable population, the root first: counts of cells by gate, by cluster (its clusters and those of its
    descendants) and by both; ``precision`` is the share of the cluster reading that the gate confirms, ``recall`` the
    share of the gate that the clusters find, ``f1`` their harmonic mean, NaN where it has no denominator and ``note``
    says why. ``vote_ratio`` is the number of cells by vote over that by cluster: under 1 the map gives the population
    fewer cells than it has, because it overlaps with a larger one. ``ari`` stands in the root's row: of the two most
    specific names over all cells, ``unassigned`` being a name like the others.
    """
    n = len(by_gate)
    heavy = np.ones(n) if weight is None else np.asarray(weight, dtype=np.float64)
    ari = weighted_rand(by_gate.astype(str), by_cluster.astype(str), heavy)
    rows: list[tuple] = [(ROOT, "", n, n, n, np.nan, np.nan, np.nan, np.nan, ari, "")]
    lines = {node.name: {node.name, *ancestors(nodes, node.name)} for node in nodes}
    for node in nodes:
        if not node.measurable:
            continue
        below = sorted(name for name, line in lines.items() if node.name in line)
        gate, cluster = gated[node.name], np.isin(by_cluster.astype(str), below)
        both = gate & cluster
        shared, in_gate, in_cluster = (float(heavy[m].sum()) for m in (both, gate, cluster))
        precision = shared / in_cluster if in_cluster else np.nan
        recall = shared / in_gate if in_gate else np.nan
        f1 = 2 * shared / (in_gate + in_cluster) if in_gate and in_cluster else np.nan
        ratio = np.nan
        if by_vote is not None and in_cluster:
            ratio = float(heavy[np.isin(by_vote.astype(str), below)].sum()) / in_cluster
        notes = ["no cell of the sketch by gate"] * (not in_gate) + ["no cluster is named after it"] * (not in_cluster)
        counts = (int(gate.sum()), int(cluster.sum()), int(both.sum()))
        rows.append((node.name, node.parent, *counts, precision, recall, f1, ratio, np.nan, "; ".join(notes)))
    return pd.DataFrame(rows, columns=CONCORDANCE_COLUMNS)
