"""``populations.yaml`` and ``signatures.yaml``: the gating tree and the scored sets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from treset.study.document import Document, Route, read_document
from treset.study.faults import Collector, closest, listed, shown
from treset.study.model import Combine, Condition, Modality, Population, Signature
from treset.study.schema import check

#: The root of every tree: all kept cells.
ROOT = "cells"

#: Ids of clusters, which no population may take.
CLUSTER_ID = re.compile(r"C[0-9]+$")
_DATA = Path(__file__).resolve().parents[1] / "data"


def packaged(kind: Literal["populations", "signatures"], modality: Modality) -> Path:
    """Give the file behind ``populations: default`` or ``signatures: default``."""
    if kind == "signatures":
        return _DATA / "signatures.yaml"
    return _DATA / f"populations_{'rna' if modality == 'rna' else 'cytometry'}.yaml"


def read_populations(path: Path, faults: Collector, where: str | None = None) -> tuple[Population, ...] | None:
    """Read and check a gating tree.

    Parameters
    ----------
    path
        The YAML file.
    faults
        Receives every fault.
    where
        The place that named the file, for a file that is missing.

    Returns
    -------
    The populations, each after its parent and after the siblings it is ``without``, else in the file's order; None when
    the file cannot be read.
    """
    document = read_document(path, faults, where)
    if document is None:
        return None
    check(document, "populations", faults)
    items = document.get(("populations",)) or []
    _names(document, items, "populations", faults)
    populations = tuple(_population(document, position, item, faults) for position, item in enumerate(items))
    whole = not document.is_broken("populations")
    _relations(document, populations, faults, whole)
    return _ordered(document, populations, faults)


def _names(document: Document, items: list[dict[str, Any]], key: str, faults: Collector) -> None:
    lines: dict[str, int] = {}
    for position, item in enumerate(items):
        route = (key, position, "name")
        name = item["name"]
        line = document.places.get(route, (0, 0))[0]
        if name in lines:
            faults.add(
                document.where(route), f"the name '{name}' was already given in line {lines[name]}: give it another"
            )
        lines.setdefault(name, line)
        if name != name.strip():
            faults.add(document.where(route), f"the name '{name}' has a space at its start or end: remove it")
        if key == "populations" and (name == ROOT or CLUSTER_ID.match(name)):
            kind = "the root of the tree" if name == ROOT else "a cluster's id"
            faults.add(document.where(route), f"the name '{name}' is reserved for {kind}: give it another")


def _population(document: Document, position: int, item: Mapping[str, Any], faults: Collector) -> Population:
    conditions: list[Condition] = []
    levels: dict[tuple[str, ...], str] = {}
    for block, optional in (("rule", False), ("where_measured", True)):
        for key, level in (item.get(block) or {}).items():
            route = ("populations", position, block, key)
            condition = _condition(document, route, key, level, optional, faults)
            if condition is None:
                continue
            if condition.markers in levels:
                other = levels[condition.markers]
                sentence = (
                    f"{key} stands in rule and in where_measured of "
                    f"'{item['name']}' ('{other}' and '{level}'): keep one"
                )
                faults.add(document.where(route), sentence)
            levels.setdefault(condition.markers, level)
            conditions.append(condition)
    if not any(not condition.optional for condition in conditions) and not item.get("without"):
        route = ("populations", position, "rule")
        if not document.is_broken(*route):
            sentence = (
                f"the rule of '{item['name']}' is empty, which is all of its parent: give a condition, or `without`"
            )
            faults.add(document.where(route), sentence)
    return Population(
        name=item["name"],
        parent=None if item.get("parent") in (None, ROOT) else item["parent"],
        conditions=tuple(conditions),
        without=tuple(item.get("without") or ()),
        ontology=item.get("ontology"),
        source=item.get("source"),
        note=item.get("note"),
    )


def _condition(
    document: Document, route: Route, key: str, level: Any, optional: bool, faults: Collector
) -> Condition | None:
    if "|" in key and "," in key:
        faults.add(document.where(route), f"'{key}' mixes | (first measured) and , (mean): use one of them")
        return None
    if key.endswith("?"):
        key, optional = key.removesuffix("?").strip(), True
    difference = " - " in key
    separator = " - " if difference else "," if "," in key else "|"
    markers = tuple(part.strip() for part in key.split(separator))
    if difference and (len(markers) != 2 or "|" in key or "," in key):
        faults.add(document.where(route), f"'{key}' is no difference of two markers: write it as 'CD25 - CD127'")
        return None
    if not all(markers):
        faults.add(document.where(route), f"'{key}' has a blank marker name: remove the extra {separator}")
        return None
    if len(set(markers)) < len(markers):
        faults.add(document.where(route), f"'{key}' names a marker twice: keep it once")
    combine: Combine = "difference" if difference else "mean" if separator == "," else "first"
    return Condition(markers, level, combine, optional)


def _relations(document: Document, populations: tuple[Population, ...], faults: Collector, whole: bool) -> None:
    """Parents and siblings must be there; said only when no population was taken out for a fault of its own."""
    parents = {population.name: population.parent for population in populations}
    for position, population in enumerate(populations):
        name, parent = population.name, population.parent
        if parent is not None and parent not in parents and whole:
            near = closest(parent, parents)
            asked = f" (did you mean '{near}'?)" if near else ""
            route = ("populations", position, "parent")
            faults.add(
                document.where(route),
                f"the parent '{parent}' of '{name}' is no population{asked}; known: {listed(parents, 60)}",
            )
        route = ("populations", position, "without")
        for sibling in population.without:
            if sibling not in parents:
                near = closest(sibling, parents)
                asked = f" (did you mean '{near}'?)" if near else ""
                if whole:
                    faults.add(document.where(route), f"'{name}' is without '{sibling}', which is no population{asked}")
            elif sibling == name or parents[sibling] != parent:
                sentence = (
                    f"'{name}' is without '{sibling}', which is not one of its "
                    f"siblings: name populations of parent '{parent or ROOT}'"
                )
                faults.add(document.where(route), sentence)


def _ordered(document: Document, populations: tuple[Population, ...], faults: Collector) -> tuple[Population, ...]:
    names = {population.name for population in populations}
    done: dict[str, Population] = {}
    waiting = list(populations)
    while waiting:
        ready = [
            population
            for population in waiting
            if not [need for need in (population.parent, *population.without) if need in names and need not in done]
        ]
        if not ready:
            circle = listed([population.name for population in waiting], 60)
            faults.add(
                shown(document.file),
                f"parents or `without` run in a circle among: {circle}; every chain must end at the root",
            )
            return populations
        first = ready[0]
        done[first.name] = first
        waiting.remove(first)
        waiting = [population for population in waiting if population.name != first.name]
    return tuple(done.values())


def read_signatures(path: Path, faults: Collector, where: str | None = None) -> tuple[Signature, ...] | None:
    """Read and check the scored sets.

    Parameters
    ----------
    path
        The YAML file.
    faults
        Receives every fault.
    where
        The place that named the file, for a file that is missing.

    Returns
    -------
    The signatures in the file's order; None when the file cannot be read.
    """
    document = read_document(path, faults, where)
    if document is None:
        return None
    check(document, "signatures", faults)
    items = document.get(("signatures",)) or []
    _names(document, items, "signatures", faults)
    for position, item in enumerate(items):
        route = ("signatures", position)
        both = sorted(set(item.get("genes", [])) & set(item.get("genes_down", [])))
        if both:
            faults.add(
                document.where(route),
                f"signature '{item['name']}' has {listed(both)} in genes and in genes_down: keep one",
            )
        if not item.get("genes") and not item.get("markers"):
            faults.add(
                document.where(route), f"signature '{item['name']}' has neither genes nor markers: give at least one"
            )
    return tuple(
        Signature(
            name=item["name"],
            genes=tuple(item.get("genes", ())),
            genes_down=tuple(item.get("genes_down", ())),
            markers=tuple(item.get("markers", ())),
            source=item.get("source"),
        )
        for item in items
    )
