"""The tree that an RNA study is read by: gene rules, or surface protein where every sample has it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from treset.io.panel import canonical
from treset.normalise.protein import is_protein, marker_of
from treset.phenotype.tree import ROOT, SPLITS, Node, resolve, rule_markers
from treset.study.model import Condition, Population


def study_tree(
    populations: Sequence[Population],
    genes: Collection[str],
    proteins: Collection[str] = (),
    cytometry: Sequence[Population] = (),
    failed: Collection[str] = (),
) -> list[Node]:
    """Resolve the tree of an RNA study.

    With surface protein, each population of the cytometry tree is read on protein where its markers were measured, else
    by the gene rule of the same name, and says which. A population that neither can tell is not measurable.

    Parameters
    ----------
    populations
        The study's tree: rules on genes (or on proteins, as ``CD4 (protein)``).
    genes
        Of the sketch.
    proteins
        Columns of the surface protein, as ``CD4 (protein)``. Default: none.
    cytometry
        The cytometry tree, to be read on protein. Default: none, ``populations`` stands.
    failed
        Those of ``proteins`` that do not tell positive from negative cells
        (:func:`treset.phenotype.protein.separates`): no ``+`` or ``-`` is read on them. Default: none.

    Returns
    -------
    As :func:`treset.phenotype.tree.resolve`.
    """
    measured = [*genes, *proteins]
    if not proteins or not cytometry:
        return resolve(populations, measured, str)
    merged, notes = merge(populations, cytometry, proteins, failed)
    nodes = resolve(merged, measured, str)
    return [replace(n, notes=(*notes.get(n.name, ()), *n.notes)) for n in nodes]


def merge(
    genes: Sequence[Population],
    cytometry: Sequence[Population],
    proteins: Collection[str],
    failed: Collection[str] = (),
) -> tuple[list[Population], dict[str, tuple[str, ...]]]:
    """The cytometry tree on protein, filled up by gene rules.

    Returns
    -------
    The populations, and what is to be said of each.
    """
    by_key = {canonical(marker_of(name)): name for name in proteins}
    by_gene = {population.name: population for population in genes}
    merged: list[Population] = []
    notes: dict[str, tuple[str, ...]] = {}
    on_protein: set[str] = set()
    for population in cytometry:
        lacking = [why for c in population.conditions if (why := _lacking(c, by_key, failed)) and not c.optional]
        other = by_gene.get(population.name)
        if lacking and other is not None:
            # the parent stays the cytometry tree's, and so do the siblings that are left out
            merged.append(replace(other, parent=population.parent, without=population.without))
            notes[population.name] = (f"read from genes, because the surface protein {' and '.join(lacking)}",)
            continue
        useful = {key: name for key, name in by_key.items() if name not in failed}
        conditions = tuple(_on_protein(c, useful if c.level in SPLITS else by_key) for c in population.conditions)
        merged.append(replace(population, conditions=conditions))
        if lacking:
            notes[population.name] = (f"the surface protein {' and '.join(lacking)}, and no gene rule stands in",)
        elif conditions:
            on_protein.add(population.parent or ROOT)
            notes[population.name] = ("read on surface protein",)
    known = {population.name for population in cytometry}
    # what only the gene tree has fills a level on which no protein is read; alone at the root it harms none
    for population in genes:
        if population.name not in known and (
            population.parent is None or (population.parent in known and population.parent not in on_protein)
        ):
            merged.append(replace(population, without=tuple(s for s in population.without if s in known)))
            notes[population.name] = ("read from genes: the tree of surface markers does not have it",)
    return merged, notes


def described(nodes: Sequence[Node], populations: Sequence[Population], cells: pd.DataFrame) -> list[Node]:
    """Say in each population's notes what its rule rests on and how sure its calls are.

    Parameters
    ----------
    nodes
        The resolved tree.
    populations
        The study's tree, with its own notes.
    cells
        Of the sketch: ``population`` and ``population_confidence``.

    Returns
    -------
    The nodes with further notes.
    """
    measured, by_name = set(rule_markers(nodes)), {p.name: p for p in populations}
    return [_described(node, by_name.get(node.name), measured, cells) if node.measurable else node for node in nodes]


def _described(node: Node, population: Population | None, measured: set[str], cells: pd.DataFrame) -> Node:
    notes = list(node.notes)
    pooled = any(not is_protein(column) for rule in node.rules for column in rule.columns)
    names = [m for c in population.conditions for m in c.markers] if population is not None and pooled else []
    if lacking := [gene for gene in names if gene not in measured]:
        notes.append(f"{len(names) - len(lacking)} of its {len(names)} genes were measured, not {', '.join(lacking)}")
    sure = cells["population_confidence"][(cells["population"] == node.name).to_numpy()]
    if len(sure) and pooled:
        notes.append(
            f"its {len(sure)} cells of the sketch are called with a mean confidence of {sure.mean():.2f}, "
            f"{int((sure >= 0.9).sum())} of them with 0.9 or more"
        )
    if pooled and population is not None and population.note:
        notes.append(population.note)
    return replace(node, notes=tuple(notes))


def _lacking(condition: Condition, by_key: Mapping[str, str], failed: Collection[str]) -> str:
    """Why a condition cannot be read on protein: "" when it can."""
    found = [by_key[canonical(marker)] for marker in condition.markers if canonical(marker) in by_key]
    wanted = " or ".join(condition.markers)
    if not found:
        return f"{wanted} was not measured"
    if condition.level in SPLITS and all(name in failed for name in found):
        return f"{wanted} does not tell positive from negative cells here"
    return ""


def _on_protein(condition: Condition, by_key: Mapping[str, str]) -> Condition:
    """The condition on protein columns; a condition without any keeps a name that no column has."""
    found = tuple(by_key[canonical(marker)] for marker in condition.markers if canonical(marker) in by_key)
    return replace(condition, markers=found or tuple(f"protein of {marker}" for marker in condition.markers))
