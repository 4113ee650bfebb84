"""The populations as a tree, resolved against the markers that were measured."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from treset.errors import TresetError
from treset.io.panel import canonical
from treset.study.model import Combine, Level, Population

#: The name of the root: all kept cells.
ROOT = "cells"
#: Transformed units below which a marker lies in the noise of zero (arcsinh of one cofactor is 0.88).
NOISE = 1.0
#: Levels whose threshold siblings share, found in the whole parent.
SPLITS = ("+", "-", "seed")


@dataclass(frozen=True)
class Rule:
    """A condition on columns that exist.

    Siblings share the split (``+``, ``-``) of a marker in their parent, while ``hi`` and ``lo`` are found among the
    cells that meet the conditions before them and belong to one population alone. ``pos`` and ``neg`` are a split found
    among the cells that meet the conditions before them (and are in no sibling left out), shared by the siblings that
    have the same conditions before them. ``seed`` is a split (``+``) above which the thresholds after it are found,
    while every cell above the noise of zero may belong: the brightest cells tell where the next cut lies, and the
    population does not grow when a drug brightens the marker.
    """

    columns: tuple[str, ...]
    level: Level
    combine: Combine = "mean"

    @property
    def label(self) -> str:
        """The marker's name, the genes joined by commas, or ``CD25 - CD127``."""
        return (" - " if self.combine == "difference" else ",").join(self.columns)

    @property
    def above(self) -> bool:
        """Whether cells above the threshold meet the condition."""
        return self.level in ("+", "hi", "pos", "seed")

    @property
    def shared(self) -> bool:
        """Whether the siblings share the threshold, found in the whole parent."""
        return self.level in SPLITS

    @property
    def words(self) -> str:
        """The condition that a cell of the population meets: ``CD3+``, ``(CD25 - CD127)+``."""
        return f"{self.label} above noise" if self.level == "seed" else _before(self)

    def limit(self, threshold: float, method: str) -> float:
        """Where a cell belongs, given the threshold: at most the noise of zero for a seed that was not set by hand."""
        return float(np.minimum(threshold, NOISE)) if self.level == "seed" and method != "manual" else threshold


@dataclass(frozen=True)
class Node:
    """A population with its rule resolved, or the reason why it cannot be measured here."""

    name: str
    parent: str
    rules: tuple[Rule, ...]
    without: tuple[str, ...]
    ontology: str
    source: str
    #: "" when measurable.
    reason: str = ""
    #: What was passed over because it was not measured.
    notes: tuple[str, ...] = field(default=())
    #: No rule of its own, and none of the siblings it leaves out can be measured: nothing tells it from its parent.
    same_as_parent: bool = False
    #: The markers whose lack makes it not measurable, its own or an ancestor's; "" when measurable.
    lacking: str = ""

    @property
    def measurable(self) -> bool:
        """Whether the panel can tell this population."""
        return not self.reason

    def threshold_key(self, position: int) -> tuple[str, str]:
        """(scope, marker) of the threshold that the rule at ``position`` reads."""
        rule = self.rules[position]
        if rule.shared:
            return self.parent, rule.label
        if rule.level in ("hi", "lo"):
            return f"{self.parent} > {self.name}", rule.label
        before = " ".join(_before(earlier) for earlier in self.rules[:position])
        left_out = f" without {', '.join(sorted(self.without))}" if self.without else ""
        return self.parent + left_out + (f" > {before}" if before else ""), rule.label

    @property
    def text(self) -> str:
        """The rule in words: ``CD3+ CD4+ CD25hi, without gdT``."""
        words = " ".join(rule.words for rule in self.rules)
        return words + (f"{', ' if words else ''}without {', '.join(self.without)}" if self.without else "")


def _before(rule: Rule) -> str:
    """The cells among which the next threshold is found."""
    label = f"({rule.label})" if rule.combine == "difference" else rule.label
    return label + {"pos": "+", "neg": "-", "seed": "+"}.get(rule.level, rule.level)


def spelling(modality: str) -> Callable[[str], str]:
    """How names are compared: markers apart from case and synonyms (CD197 is CCR7), genes letter by letter."""
    return str if modality == "rna" else canonical


def resolve(
    populations: Sequence[Population], measured: Collection[str], spelled: Callable[[str], str] = canonical
) -> list[Node]:
    """Resolve every population against the measured markers, parents before children.

    Parameters
    ----------
    populations
        As read from ``populations.yaml``.
    measured
        Marker or gene names of the data.
    spelled
        Brings a name to the form in which names are compared (:func:`spelling`).

    Returns
    -------
    One node a population. A population whose marker was not measured, or whose parent cannot be measured, carries the
    reason.

    Raises
    ------
    TresetError
        A parent or sibling is not in the tree, or the tree has a cycle.
    """
    by_name = {population.name: population for population in populations}
    columns = {spelled(name): name for name in sorted(measured, reverse=True)}
    columns |= {name: name for name in measured}
    nodes: dict[str, Node] = {}
    waiting = list(populations)
    while waiting:
        ready = [p for p in waiting if (p.parent is None or p.parent in nodes) and all(s in nodes for s in p.without)]
        if not ready:
            stuck = waiting[0]
            missing = [n for n in (stuck.parent, *stuck.without) if n is not None and n not in by_name]
            why = f"names {missing[0]}, which is not in the tree" if missing else "is part of a cycle"
            raise TresetError(
                f"population {stuck.name} {why}: every parent and every 'without' must lead back to the root"
            )
        for population in ready:
            nodes[population.name] = _resolve_one(population, columns, spelled, nodes)
        waiting = [p for p in waiting if p.name not in nodes]
    # parents first, else in the order of the file
    order = {p.name: i for i, p in enumerate(populations)}
    done: list[Node] = []
    seen = {ROOT}
    pending = sorted(nodes.values(), key=lambda n: order[n.name])
    while pending:
        for node in pending:
            if node.parent in seen and all(s in seen for s in node.without):
                done.append(node)
                seen.add(node.name)
                break
        pending = [n for n in pending if n.name not in seen]
    return done


def _resolve_one(
    population: Population, measured: Mapping[str, str], spelled: Callable[[str], str], nodes: dict[str, Node]
) -> Node:
    rules: list[Rule] = []
    notes: list[str] = []
    missing: list[str] = []
    parent = population.parent or ROOT
    while parent in nodes and nodes[parent].same_as_parent:
        notes.append(f"{parent} cannot be told from {nodes[parent].parent} here, which takes its place as the parent")
        parent = nodes[parent].parent
    for condition in population.conditions:
        found = [measured.get(marker) or measured.get(spelled(marker)) for marker in condition.markers]
        columns = tuple(dict.fromkeys(column for column in found if column is not None))
        wanted = (" or " if condition.combine == "first" else ", ").join(condition.markers)
        if condition.combine == "difference":
            wanted = " and ".join(m for m, column in zip(condition.markers, found, strict=True) if column is None)
            columns = () if wanted else columns
        if columns:
            rules.append(_rule(columns, condition.level, condition.combine))
        elif condition.optional:
            notes.append(f"{wanted} was not measured and is passed over")
        else:
            missing.append(f"any of {wanted}" if condition.combine == "mean" else wanted)
    without = []
    for sibling in population.without:
        if nodes[sibling].measurable:
            without.append(sibling)
        else:
            notes.append(f"{sibling} cannot be measured here and is not taken out")
    missing = list(dict.fromkeys(missing))
    lacking, same = " and ".join(missing), False
    reason = f"{lacking} {'was' if len(missing) == 1 else 'were'} not measured" if missing else ""
    if parent in nodes and not nodes[parent].measurable:
        lacking = nodes[parent].lacking
        reason = f"its parent {parent} is not measurable: {nodes[parent].reason}"
    elif population.without and not without and not rules and not reason:
        same, lacking = True, nodes[population.without[0]].lacking
        reason = f"it is {parent} without {', '.join(population.without)}, which cannot be measured here"
    return Node(
        population.name,
        parent,
        tuple(rules),
        tuple(without),
        population.ontology or "",
        population.source or "",
        reason,
        tuple(notes),
        same,
        lacking,
    )


def _rule(columns: tuple[str, ...], level: Level, combine: Combine) -> Rule:
    return Rule(columns[:1], level) if combine == "first" else Rule(columns, level, combine)


def ancestors(nodes: Sequence[Node], name: str) -> list[str]:
    """The populations above ``name``, nearest first, the root last."""
    parents = {node.name: node.parent for node in nodes}
    chain = []
    while name != ROOT:
        name = parents[name]
        chain.append(name)
    return chain


def rule_markers(nodes: Sequence[Node]) -> list[str]:
    """Every column that a measurable population reads, sorted."""
    return sorted({column for node in nodes if node.measurable for rule in node.rules for column in rule.columns})
