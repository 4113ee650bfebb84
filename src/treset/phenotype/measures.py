"""One sample's rows of the waist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from treset.phenotype.tree import ROOT, Node

ROW_COLUMNS = ["sample", "population", "parent", "origin", "measure", "marker", "value", "n_cells"]

#: Numerator and denominator of the ratios that are reported where both can be measured.
RATIOS = (("Treg", "Tconv"), ("Treg", "CD8 T"))


@dataclass(frozen=True)
class Values:
    """What is measured on a sample's kept cells.

    Attributes
    ----------
    columns
        Marker or gene -> (n,) transformed values.
    positive
        Marker or gene -> (n,) bool; those without a usable threshold are absent.
    scores
        Signature -> (n,).
    location
        The measure that says where a marker lies: ``median`` (cytometry) or ``mean`` (RNA, where most medians are
        zero).
    """

    columns: Mapping[str, np.ndarray]
    positive: Mapping[str, np.ndarray]
    scores: Mapping[str, np.ndarray]
    location: str = "median"


@dataclass(frozen=True)
class Group:
    """A population's cells and its parent's name."""

    name: str
    parent: str
    mask: np.ndarray


def gate_groups(masks: Mapping[str, np.ndarray], nodes: Sequence[Node]) -> list[Group]:
    """The measurable populations by gate."""
    return [Group(node.name, node.parent, masks[node.name]) for node in nodes if node.measurable]


def cluster_groups(cluster: np.ndarray, names: pd.DataFrame, nodes: Sequence[Node]) -> list[Group]:
    """The clusters, and the populations they were named after.

    Parameters
    ----------
    cluster
        (n,) cluster id of each kept cell, "" for a cell unlike the sketch.
    names
        ``clusters.tsv``: columns cluster, population.
    nodes
        The resolved tree; a named population holds its own clusters and those of its descendants.
    """
    population_of = dict(zip(names["cluster"], names["population"], strict=True))
    groups = []
    for node in nodes:
        if not node.measurable:
            continue
        below = _descendants(nodes, node.name)
        mine = [c for c, p in population_of.items() if p in below]
        groups.append(Group(node.name, node.parent, np.isin(cluster, mine)))
    for name, population in population_of.items():
        groups.append(Group(name, population, cluster == name))
    return groups


def sample_rows(sample: str, origin: str, groups: Sequence[Group], values: Values, n_cells: int) -> pd.DataFrame:
    """All measures of one sample and one origin.

    Parameters
    ----------
    sample
        Its id.
    origin
        ``gate`` or ``cluster``.
    groups
        Populations and clusters.
    values
        Of the kept cells.
    n_cells
        Number of kept cells: the root ``cells``.

    Returns
    -------
    Columns ``sample population parent origin measure marker value n_cells``, in a fixed order; an empty population
    has count 0 and NaN medians.
    """
    counts = {ROOT: n_cells, **{g.name: int(g.mask.sum()) for g in groups}}
    rows: list[tuple] = [(ROOT, "", "count", "", float(n_cells), n_cells)]
    for group in groups:
        n = counts[group.name]
        above = counts.get(group.parent)
        # row numbers: a mask of the whole sample would be read once for every marker
        inside = np.flatnonzero(group.mask)
        rows.append((group.name, group.parent, "count", "", float(n), n))
        rows.append((group.name, group.parent, "percent_of_total", "", _percent(n, n_cells), n_cells))
        if above is not None:
            rows.append((group.name, group.parent, "percent_of_parent", "", _percent(n, above), above))
        for marker, column in values.columns.items():
            location = getattr(np, values.location)
            rows.append(
                (
                    group.name,
                    group.parent,
                    values.location,
                    marker,
                    float(location(column[inside])) if n else np.nan,
                    n,
                )
            )
        for marker, flags in values.positive.items():
            rows.append(
                (group.name, group.parent, "percent_positive", marker, _percent(int(flags[inside].sum()), n), n)
            )
        for name, score in values.scores.items():
            rows.append(
                (group.name, group.parent, "signature", name, float(np.mean(score[inside])) if n else np.nan, n)
            )
    parents = {g.name: g.parent for g in groups}
    for top, bottom in RATIOS:
        if top in counts and bottom in counts:
            value = counts[top] / counts[bottom] if counts[bottom] else np.nan
            rows.append((top, parents[top], "ratio", bottom, value, counts[top]))
    table = pd.DataFrame(rows, columns=["population", "parent", "measure", "marker", "value", "n_cells"])
    table.insert(0, "sample", sample)
    table.insert(3, "origin", origin)
    return table[ROW_COLUMNS]


def _percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else np.nan


def _descendants(nodes: Sequence[Node], name: str) -> set[str]:
    inside = {name}
    for node in nodes:  # parents come first
        if node.parent in inside:
            inside.add(node.name)
    return inside
