"""The tree with its thresholds as gates that other programs draw."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from treset.io.gatingml import Asinh, Dimension, Gate, Intersection, Polygon, Rectangle
from treset.phenotype.tree import ROOT, Node, Rule

#: Half the edge of the square in which a diagonal is drawn (arcsinh units): beyond every intensity that is measured.
EDGE = 15.0
#: A gate that is part of another and no population by itself has this in its id.
PART = "__"


@dataclass(frozen=True)
class Axis:
    """The channel of a marker and the cofactor of its arcsinh."""

    channel: str
    cofactor: float


@dataclass
class Exported:
    """Gates, and what could not be one and why."""

    gates: list[Gate] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def export_gates(nodes: Sequence[Node], thresholds: pd.DataFrame, axes: Mapping[str, Axis]) -> Exported:
    """Write the measurable populations as gates with numbers.

    Parameters
    ----------
    nodes
        The resolved tree.
    thresholds
        ``population_parent``, ``marker``, ``threshold``, ``method``: one row a threshold, of one sample or pooled.
    axes
        Marker -> its channel and cofactor.

    Returns
    -------
    A rectangle a population, a polygon a diagonal, an intersection where siblings are left out; and a sentence on every
    population that no such gate can be: without a threshold, or on the mean of several markers.
    """
    limits = {
        (row.population_parent, row.marker): (float(row.threshold), row.method)
        for row in thresholds.itertuples(index=False)
    }
    ids: dict[str, str] = {}
    out = Exported()
    for node in nodes:
        why = node.reason or _why_not(node, limits, axes, ids)
        if why:
            out.left_out.append(f"{node.name} is not exported: {why}")
            continue
        name = _free_id(node.name, ids.values())
        out.gates += _gates_of(node, name, limits, axes, ids)
        ids[node.name] = name
    return out


def _why_not(
    node: Node, limits: Mapping[tuple[str, str], tuple[float, str]], axes: Mapping[str, Axis], ids: Mapping[str, str]
) -> str:
    for needed in (node.parent, *node.without):
        if needed != ROOT and needed not in ids:
            return f"{needed} is not, on which it rests"
    if not node.rules and not node.without:
        return f"no rule tells it from {node.parent}"
    for position, rule in enumerate(node.rules):
        if len(rule.columns) > 1 and rule.combine != "difference":
            return f"{rule.label} is a mean of markers, which GatingML has no gate for"
        if missing := [column for column in rule.columns if column not in axes]:
            return f"no channel of {' and '.join(missing)} is known"
        if not math.isfinite(limits.get(node.threshold_key(position), (math.nan, ""))[0]):
            return f"no threshold was found for {rule.label}"
    return ""


def _gates_of(
    node: Node,
    name: str,
    limits: Mapping[tuple[str, str], tuple[float, str]],
    axes: Mapping[str, Axis],
    ids: Mapping[str, str],
) -> list[Gate]:
    parent = None if node.parent == ROOT else ids[node.parent]
    bounds: dict[str, Dimension] = {}
    diagonals: list[tuple[Rule, float]] = []
    for position, rule in enumerate(node.rules):
        limit = rule.limit(*limits[node.threshold_key(position)])
        if rule.combine == "difference":
            diagonals.append((rule, limit))
            continue
        marker = rule.columns[0]
        before = bounds.get(marker, _axis(axes[marker]))
        # two conditions on one marker: the tighter of each side
        low, high = before.low, before.high
        if rule.above:
            low = limit if low is None else max(low, limit)
        else:
            high = limit if high is None else min(high, limit)
        bounds[marker] = Dimension(before.channel, before.scale, low, high)
    alone = not diagonals and not node.without
    gates: list[Gate] = []
    if bounds:
        helper = "" if alone else f"{PART}range"
        gates.append(Rectangle(name + helper, parent, tuple(bounds.values()), node.name if alone else ""))
    for number, (rule, limit) in enumerate(diagonals, start=1):
        y, x = (_axis(axes[column]) for column in rule.columns)
        last = not bounds and not node.without and len(diagonals) == 1
        own = name if last else f"{name}{PART}diagonal{number}"
        gates.append(Polygon(own, parent, (x, y), half_plane(limit, rule.above), node.name if last else ""))
    if not gates or gates[-1].id != name:
        inside = tuple(gate.id for gate in gates)
        gates.append(Intersection(name, parent, inside, tuple(ids[s] for s in node.without), node.name))
    return gates


def half_plane(limit: float, above: bool) -> tuple[tuple[float, float], ...]:
    """The corners of y - x >= ``limit`` (or <) in the square of 15 arcsinh units either way."""
    edge = EDGE
    if abs(limit) >= 2 * edge:
        raise ValueError(f"a difference of {limit} lies outside every measured intensity")
    cut = (
        ((-edge, limit - edge), (edge - limit, edge)) if limit >= 0 else ((-edge - limit, -edge), (edge, edge + limit))
    )
    if above:
        return (*cut, (-edge, edge)) if limit >= 0 else ((-edge, -edge), *cut, (edge, edge), (-edge, edge))
    rest = ((edge, edge), (edge, -edge), (-edge, -edge)) if limit >= 0 else ((edge, -edge),)
    return (*cut, *rest)


def _axis(axis: Axis) -> Dimension:
    return Dimension(axis.channel, Asinh.of_cofactor(axis.cofactor))


def _free_id(name: str, taken: Iterable[str]) -> str:
    """An XML id: letters, digits, '_', '-', '.', the first one a letter."""
    word = re.sub(r"[^A-Za-z0-9_.-]+", "_", name)
    word = word if re.match(r"[A-Za-z]", word) else f"G_{word}"
    taken, number, found = set(taken), 2, word
    while found in taken:
        found, number = f"{word}_{number}", number + 1
    return found
