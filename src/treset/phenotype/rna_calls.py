"""How sure a call from pooled RNA is, and what is said about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from treset.phenotype.rna import Pooled, joined
from treset.phenotype.tree import ROOT, Node


def membership(pooled: Pooled, batch: np.ndarray, nodes: Sequence[Node], thresholds: pd.DataFrame) -> dict:
    """How surely each cell belongs to each population, given which neighbours it happened to have.

    A rule is met with the probability that the neighbourhood's true mean lies on the called side of the threshold
    (normal, with the standard error of the mean over the neighbours); a population is as sure as the weakest of its
    parent, its rules and the absence of the siblings it leaves out. This is how repeatable a call is, not how right: a
    transcript that tells little about the protein is read repeatably all the same.

    Parameters
    ----------
    pooled
        What the rules read.
    batch
        (n,) labels.
    nodes, thresholds
        The resolved tree and its thresholds.

    Returns
    -------
    Population -> (n,) between 0 and 1, for the measurable ones and the root.
    """
    from scipy.special import ndtr

    nodes, _ = joined(nodes)
    values: dict[tuple[str, str], dict[str, tuple[float, str]]] = {}
    for row in thresholds.itertuples(index=False):
        values.setdefault((row.population_parent, row.marker), {})[row.batch] = (
            row.threshold,
            getattr(row, "method", ""),
        )
    sure = {ROOT: np.ones(len(batch))}
    alone: dict[str, np.ndarray] = {}
    for node in nodes:
        if not node.measurable:
            continue
        mine = np.ones(len(batch))
        for position, rule in enumerate(node.rules):
            cuts = {b: rule.limit(*cut) for b, cut in values[node.threshold_key(position)].items()}
            limit = np.array([cuts.get(b, cuts[""]) for b in batch.tolist()])
            above = pooled.columns[rule.label] - limit
            error = pooled.errors.get(rule.label)
            met = (above >= 0).astype(float) if error is None else ndtr(above / error)
            # a threshold that was not found is met by no cell
            mine = np.minimum(mine, np.where(np.isfinite(limit), met if rule.above else 1.0 - met, 0.0))
        alone[node.name] = mine
        for sibling in node.without:
            mine = np.minimum(mine, 1.0 - alone[sibling])
        sure[node.name] = np.minimum(mine, sure[node.parent])
    return sure


def confidence(sure: Mapping[str, np.ndarray], population: np.ndarray) -> np.ndarray:
    """The membership of each cell in the population it was given: (n,) float32, NaN for a cell in none."""
    out = np.full(len(population), np.nan, dtype=np.float32)
    for name in set(population.tolist()) & set(sure):
        mine = population == name
        out[mine] = sure[name][mine]
    return out
