"""One sample's rows of the waist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
    """A population's cells and its parent's name.

    Attributes
    ----------
    name, parent
        Populations or clusters.
    mask
        (n,) bool: its cells.
    size
        Cells that it is taken to have, where that is an estimate; None: those of ``mask``.
    """

    name: str
    parent: str
    mask: np.ndarray
    size: float | None = None

    @property
    def cells(self) -> float:
        """Cells that its shares rest on."""
        return float(self.mask.sum()) if self.size is None else self.size


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
    called = names["population"].to_numpy(dtype=str)
    groups = []
    for node in nodes:
        if node.measurable:
            mine = names["cluster"][np.isin(called, sorted(_descendants(nodes, node.name)))]
            groups.append(Group(node.name, node.parent, np.isin(cluster, list(mine))))
    for name, population in zip(names["cluster"], names["population"], strict=True):
        groups.append(Group(name, population, cluster == name))
    return groups


def resized(groups: Sequence[Group], nodes: Sequence[Node], sizes: Mapping[str, float]) -> list[Group]:
    """The named populations of :func:`cluster_groups`, with other sizes.

    Parameters
    ----------
    groups
        Of :func:`cluster_groups`; the clusters among them are left out.
    nodes
        The resolved tree.
    sizes
        Cells that the clusters of a name are taken to have, descendants apart.
    """
    found = []
    for group in groups[: sum(node.measurable for node in nodes)]:
        below = sorted(_descendants(nodes, group.name))
        found.append(replace(group, size=sum(sizes.get(name, 0.0) for name in below)))
    return found


def sample_rows(sample: str, origin: str, groups: Sequence[Group], values: Values, n_cells: int) -> pd.DataFrame:
    """All measures of one sample and one origin.

    Parameters
    ----------
    sample
        Its id.
    origin
        ``gate``, ``cluster`` or ``adjusted``.
    groups
        Populations and clusters.
    values
        Of the kept cells.
    n_cells
        Number of kept cells: the root ``cells``.

    Returns
    -------
    Columns ``sample population parent origin measure marker value n_cells``, in a fixed order; an empty population
    has count 0 and NaN medians. Counts are whole cells; shares and ratios of sizes that are estimates are not rounded.
    """
    counts = {ROOT: float(n_cells), **{g.name: g.cells for g in groups}}
    rows: list[tuple] = [(ROOT, "", "count", "", float(n_cells), n_cells)]
    for group in groups:
        size, above = counts[group.name], counts.get(group.parent)
        # row numbers: a mask of the whole sample would be read once for every marker
        inside = np.flatnonzero(group.mask)
        n = len(inside)
        rows.append((group.name, group.parent, "count", "", float(round(size)), round(size)))
        rows.append((group.name, group.parent, "percent_of_total", "", _percent(size, n_cells), n_cells))
        if above is not None:
            rows.append((group.name, group.parent, "percent_of_parent", "", _percent(size, above), round(above)))
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
            rows.append((top, parents[top], "ratio", bottom, value, round(counts[top])))
    table = pd.DataFrame(rows, columns=["population", "parent", "measure", "marker", "value", "n_cells"])
    table.insert(0, "sample", sample)
    table.insert(3, "origin", origin)
    return table[ROW_COLUMNS]


def _percent(part: float, whole: float) -> float:
    return 100.0 * part / whole if whole else np.nan


def _descendants(nodes: Sequence[Node], name: str) -> set[str]:
    inside = {name}
    for node in nodes:  # parents come first
        if node.parent in inside:
            inside.add(node.name)
    return inside
