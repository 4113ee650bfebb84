"""What the gates read in RNA: gene expression pooled over a cell's neighbours, in the space where the gene matters.

A transcript drops out of most cells that make it, so no rule reads a single cell: it reads the mean over the cell's
nearest neighbours in the sketch. Which cells are neighbours depends on the space. Among all blood cells the principal
components tell T cells from monocytes, and Tregs lie scattered among the CD4 T cells; a rule that only tells the
children of a population is therefore read in that population's own space, made of its own variable genes. No label is
used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse

from treset.compute import Backend
from treset.normalise.protein import is_protein
from treset.phenotype import gates
from treset.phenotype.density import Cut
from treset.phenotype.mixture import cut_pooled
from treset.phenotype.protein import cut_protein
from treset.phenotype.represent import Representation, fit_representation, variable_genes
from treset.phenotype.tree import Node, Rule, ancestors

#: Where the valleys of pooled log-normalised expression may lie (:func:`treset.phenotype.density.valleys`).
LIMITS = {"floor": 0.05, "min_distance": 0.2}
#: A population with fewer cells in the sketch is given no space of its own.
MIN_CELLS = 100
#: Of a population's own space: principal components, variable genes, and neighbours pooled (as a multiple of those
#: for all cells). Fewer axes and more neighbours than for all cells, as there are fewer kinds and they differ less.
COMPONENTS = 10
VARIABLE_GENES = 1_000
WIDER = 2
#: Smallest standard deviation of single cells' expression: neighbours that all lack a transcript may still make it.
_LEAST_SPREAD = 0.1

#: Standard errors above the parent's mean from which a neighbourhood counts as rich in what a ``hi`` rule reads.
ENRICHED = 2.5

Table = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Space:
    """The space of one population: how its cells become coordinates, and where the sketch's lie.

    Attributes
    ----------
    population
        Its name.
    representation
        Fitted on the sketch's cells of the population.
    rows
        (m,) those cells' rows in the sketch.
    coordinates
        (m, k) float32.
    """

    population: str
    representation: Representation
    rows: np.ndarray
    coordinates: np.ndarray


@dataclass(frozen=True)
class Pooled:
    """What the rules read.

    Attributes
    ----------
    columns
        Rule's label -> (n,) mean over the neighbours (and the mean of the rule's genes).
    errors
        Rule's label -> (n,) standard error of that mean: by how much it would change with other neighbours. A rule
        that is not pooled (surface protein) has none.
    """

    columns: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]


def joined(nodes: Sequence[Node]) -> tuple[list[Node], dict[str, tuple[str, ...]]]:
    """Make each rule read one column: the mean of its genes, named by its label.

    Returns
    -------
    The nodes, and label -> genes.
    """
    genes = {rule.label: rule.columns for node in nodes if node.measurable for rule in node.rules}
    return [replace(n, rules=tuple(Rule((r.label,), r.level) for r in n.rules)) for n in nodes], genes


def scopes(nodes: Sequence[Node]) -> dict[str, str]:
    """The population in whose space each rule's column is read: the nearest one above all rules that read it.

    Parameters
    ----------
    nodes
        The resolved tree.

    Returns
    -------
    Label -> population, or the root ``cells``.
    """
    common: dict[str, list[str]] = {}
    for node in nodes:
        chain = list(reversed(ancestors(nodes, node.name)))  # the root first, the parent last
        for rule in node.rules if node.measurable else ():
            before = common.get(rule.label, chain)
            common[rule.label] = [a for a, b in zip(before, chain, strict=False) if a == b]
    return {label: chain[-1] for label, chain in common.items()}


def fit(
    x: sparse.csr_matrix, genes: Sequence[str], neighbors: np.ndarray, batch: np.ndarray, nodes: Sequence[Node],
    backend: Backend, *, seed: int, extra: Table | None = None,
) -> tuple[Pooled, pd.DataFrame, list[Space]]:  # fmt: skip
    """Pool the rules' genes over the sketch and find the thresholds, from the root of the tree down.

    Parameters
    ----------
    x
        (n, p) log-normalised expression of the sketch.
    genes
        (p,) names.
    neighbors
        (n, k) each cell's neighbours in the space of all cells, itself first.
    batch
        (n,) labels.
    nodes
        The resolved tree.
    backend
        Where components and neighbours are computed.
    seed
        Of the components.
    extra
        Columns that are read as they are (surface protein). Default: none.

    Returns
    -------
    What the rules read; ``thresholds.tsv``; the spaces, parents first.
    """
    nodes, members = joined(nodes)
    members = {label: names for label, names in members.items() if label not in (extra or {})}
    single = _single(x, genes, members)
    pooled = Pooled(dict(extra or {}), {})
    everyone = np.arange(x.shape[0])
    for label, values in single.items():
        _pool(pooled, label, values, neighbors, None, everyone, len(everyone))
    read_in, spaces = scopes(nodes), []
    for node in nodes:
        mine = [label for label in members if read_in[label] == node.name]
        if not mine:
            continue
        thresholds = gates.fit_thresholds(pooled.columns, batch, nodes, find=_finder, **LIMITS)
        rows = np.flatnonzero(gates.apply_gates(pooled.columns, batch, nodes, thresholds)[node.name])
        if len(rows) < MIN_CELLS:
            continue
        spaces.append(_space(x, genes, rows, node.name, backend, seed))
        own_place = spaces[-1].coordinates
        around = rows[backend.knn(own_place, own_place, WIDER * neighbors.shape[1])[0]]
        for label in mine:
            _pool(pooled, label, single[label], around, None, rows, len(everyone))
    thresholds = gates.fit_thresholds(pooled.columns, batch, nodes, find=_finder, **LIMITS)
    return pooled, _enriched(thresholds, single, pooled, batch, nodes, neighbors.shape[1], spaces), spaces


def read(
    x: sparse.csr_matrix, genes: Sequence[str], sketch: sparse.csr_matrix, neighbors: np.ndarray, batch: np.ndarray,
    nodes: Sequence[Node], thresholds: pd.DataFrame, spaces: Sequence[Space], backend: Backend,
    *, extra: Table | None = None,
) -> Pooled:  # fmt: skip
    """Pool the rules' genes for cells that are mapped onto the sketch, as :func:`fit` did for the sketch.

    Parameters
    ----------
    x, sketch
        (n, p) the cells' and (m, p) the sketch's log-normalised expression.
    genes
        (p,) names of both.
    neighbors
        (n, k) neighbours in the sketch; the cell itself is added.
    batch
        (n,) labels.
    nodes
        The resolved tree.
    thresholds, spaces
        As :func:`fit` gave them.
    backend
        Where neighbours are searched.
    extra
        Columns that are read as they are (surface protein). Default: none.
    """
    nodes, members = joined(nodes)
    members = {label: names for label, names in members.items() if label not in (extra or {})}
    own, around = _single(x, genes, members), _single(sketch, genes, members)
    pooled = Pooled(dict(extra or {}), {})
    for label in members:
        _pool(pooled, label, around[label], neighbors, own[label], np.arange(x.shape[0]), x.shape[0])
    place, read_in = {gene: i for i, gene in enumerate(genes)}, scopes(nodes)
    for space in spaces:
        rows = np.flatnonzero(gates.apply_gates(pooled.columns, batch, nodes, thresholds)[space.population])
        if not len(rows):
            continue
        used = [place[variable] for variable in space.representation.variables]
        coordinates = space.representation.transform(x[rows][:, used])
        found = space.rows[backend.knn(space.coordinates, coordinates, WIDER * neighbors.shape[1])[0]]
        for label in members:
            if read_in[label] == space.population:
                _pool(pooled, label, around[label], found, own[label][rows], rows, x.shape[0])
    return pooled


def _finder(rule: Rule) -> Callable[..., Cut]:
    return cut_protein if is_protein(rule.label) else cut_pooled


def _enriched(
    thresholds: pd.DataFrame, single: Table, pooled: Pooled, batch: np.ndarray, nodes: Sequence[Node], k: int,
    spaces: Sequence[Space],
) -> pd.DataFrame:  # fmt: skip
    """Where no valley shows, ``hi`` begins where a neighbourhood holds more than as many random cells would."""
    masks = gates.apply_gates(pooled.columns, batch, nodes, thresholds)
    own = {space.population for space in spaces}
    out, read_in = thresholds.copy(), scopes(nodes)
    for node in nodes:
        for position, rule in enumerate(node.rules if node.measurable else ()):
            scope, label = node.threshold_key(position)
            rows = (out["population_parent"] == scope) & (out["marker"] == label)
            inside = masks[node.parent]
            if rule.level != "hi" or label not in single or not (out["method"][rows] == "tail").any():
                continue
            number = k * (WIDER if read_in[label] in own else 1)
            out.loc[rows, "threshold"] = enriched(single[label][inside], number)
            out.loc[rows, "method"] = "enriched"
    return out


def enriched(single: np.ndarray, number: int) -> float:
    """Where a neighbourhood holds more of a set of genes than as many random cells of the parent would.

    The mean of the parent's cells plus 2.5 standard errors. Cells that are truly high raise both, so that the more
    there are, the fewer of them are called: for a set whose background is itself uneven (CTLA4 and TIGIT in memory T
    cells) this errs on the safe side, whereas taking the high cells out and repeating runs down into the background.

    Parameters
    ----------
    single
        (n,) the parent's cells' own values.
    number
        Cells in a neighbourhood.
    """
    return float(single.mean() + ENRICHED * single.std() / np.sqrt(number))


def _single(x: sparse.csr_matrix, genes: Sequence[str], members: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
    """Each cell's own mean over each rule's genes."""
    place = {gene: i for i, gene in enumerate(genes)}
    by_gene = x.tocsc()
    return {
        label: np.asarray(by_gene[:, [place[name] for name in names]].mean(axis=1), dtype=np.float64).ravel()
        for label, names in members.items()
    }


def _pool(
    pooled: Pooled, label: str, values: np.ndarray, neighbors: np.ndarray, own: np.ndarray | None, rows: np.ndarray,
    n: int,
) -> None:  # fmt: skip
    """Write mean and standard error over ``neighbors`` (and the cells' own values) into ``rows`` of a new column."""
    around = values[neighbors]
    if own is not None:
        around = np.column_stack([around, own])
    for table, result in (
        (pooled.columns, around.mean(axis=1)),
        (pooled.errors, np.maximum(around.std(axis=1), _LEAST_SPREAD) / np.sqrt(around.shape[1])),
    ):
        column = table[label].copy() if label in table else np.zeros(n)
        column[rows] = result
        table[label] = column


def _space(
    x: sparse.csr_matrix, genes: Sequence[str], rows: np.ndarray, population: str, backend: Backend, seed: int
) -> Space:
    inside = x[rows]
    chosen = np.flatnonzero(variable_genes(inside, VARIABLE_GENES))
    representation, coordinates = fit_representation(
        inside[:, chosen], [genes[i] for i in chosen], min(COMPONENTS, len(rows) - 1), backend, seed
    )
    return Space(population, representation, rows, coordinates)
