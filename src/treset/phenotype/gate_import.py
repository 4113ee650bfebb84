"""Gates that other programs drew as a tree with thresholds set by hand."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from treset.io.gatingml import Asinh, Intersection, Polygon, Read, Rectangle, Unread
from treset.phenotype.gate_export import EDGE, PART, half_plane
from treset.phenotype.tree import ROOT


@dataclass
class Imported:
    """What ``populations.yaml`` and ``gates.overrides`` shall hold, and what could not be read and why."""

    populations: list[dict[str, Any]] = field(default_factory=list)
    overrides: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    #: Gates on intensities that the FCS file's own matrix compensated: they hold where the study compensates so.
    compensated: list[str] = field(default_factory=list)


def import_gates(gates: Sequence[Read], markers: Mapping[str, tuple[str, float]]) -> Imported:
    """Turn gates into populations with thresholds set by hand.

    Parameters
    ----------
    gates
        Of :func:`treset.io.gatingml.read_gatingml`.
    markers
        Channel -> marker and cofactor, of the study's panel.

    Returns
    -------
    Bounds are brought to the study's arcsinh by way of the raw intensity. Refused, with what rests on it: a gate with
    two bounds on one marker, a polygon that is no diagonal, a channel that is not in the panel, intensities compensated
    by a matrix of the file, an intersection of gates of different parents.
    """
    by_id = {gate.id: gate for gate in gates}
    names = _names(gates)
    helpers = {i for g in gates if isinstance(g, Intersection) for i in g.inside if PART in i and i.startswith(g.id)}
    out, done = Imported(), set[str]()
    waiting = [gate for gate in gates if gate.id not in helpers]
    while waiting:
        ready = [g for g in waiting if all(n in done for n in _needs(g) if n in {w.id for w in waiting} | done)]
        for gate in ready or waiting:
            try:
                if not ready:
                    raise _Refusal("its parents run in a circle")
                _import_one(gate, by_id, names, markers, done, out)
                done.add(gate.id)
            except _Refusal as refusal:
                out.refused.append(f"{gate.id} is not imported: {refusal}")
        waiting = [gate for gate in waiting if gate not in (ready or waiting)]
    return out


class _Refusal(Exception):
    """Why a gate cannot be a population."""


def _needs(gate: Read) -> list[str]:
    siblings = gate.outside if isinstance(gate, Intersection) else ()
    return [n for n in (gate.parent, *siblings) if n is not None]


def _import_one(
    gate: Read, by_id: Mapping[str, Read], names: Mapping[str, str], markers: Mapping[str, tuple[str, float]],
    done: set[str], out: Imported,
) -> None:  # fmt: skip
    if isinstance(gate, Unread):
        raise _Refusal(gate.why)
    for needed in _needs(gate):
        if needed not in done:
            raise _Refusal(f"{needed} is not, on which it rests" if needed in by_id else f"there is no gate {needed}")
    parts: list[Read] = [gate]
    if isinstance(gate, Intersection):
        parts = [_part(gate, name, by_id) for name in gate.inside]
        if astray := [name for name in gate.outside if by_id[name].parent != gate.parent]:
            raise _Refusal(f"it leaves out {astray[0]}, whose parent is another")
    conditions: dict[str, tuple[str, float]] = {}
    for part in parts:
        assert isinstance(part, (Rectangle, Polygon))
        if any(axis.compensation == "FCS" for axis in part.dimensions):
            out.compensated.append(part.id)
        for label, level, threshold in _conditions(part, markers):
            if label in conditions:
                raise _Refusal(f"it has two bounds on {label}, and a rule has one: split it into two gates")
            conditions[label] = level, threshold
    name = names[gate.id]
    entry: dict[str, Any] = {"name": name}
    if gate.parent is not None:
        entry["parent"] = names[gate.parent]
    entry["rule"] = {label: level for label, (level, _) in conditions.items()}
    if isinstance(gate, Intersection) and gate.outside:
        entry["without"] = [names[n] for n in gate.outside]
    entry["source"] = f"GatingML gate {gate.id}"
    out.populations.append(entry)
    out.overrides += [
        {"marker": label, "population": name, "threshold": threshold} for label, (_, threshold) in conditions.items()
    ]


def _part(gate: Intersection, name: str, by_id: Mapping[str, Read]) -> Read:
    part = by_id.get(name)
    if part is None:
        raise _Refusal(f"there is no gate {name}")
    if part.parent != gate.parent or not isinstance(part, (Rectangle, Polygon)):
        raise _Refusal(
            f"it is an intersection with {name}, which is no range, rectangle or diagonal of the same parent"
        )
    return part


def _conditions(gate: Rectangle | Polygon, markers: Mapping[str, tuple[str, float]]) -> list[tuple[str, str, float]]:
    """Marker (or difference), level and threshold on the study's scale."""
    for axis in gate.dimensions:
        if axis.channel not in markers:
            raise _Refusal(f"its channel {axis.channel} is no lineage or state marker of the panel")
        if axis.compensation not in ("uncompensated", "FCS"):
            raise _Refusal(f"its channel {axis.channel} is compensated by the matrix {axis.compensation} of the file")
    if isinstance(gate, Polygon):
        return [_diagonal(gate, markers)]
    found = []
    for axis in gate.dimensions:
        marker, cofactor = markers[axis.channel]
        if (axis.low is None) == (axis.high is None):
            raise _Refusal(f"it has {'no' if axis.low is None else 'two'} bounds on {marker}, and a rule has one")
        level, bound = ("hi", axis.low) if axis.low is not None else ("lo", axis.high)
        assert bound is not None
        # the study's own scale needs no way by the raw intensity, and no rounding
        same = axis.scale == Asinh.of_cofactor(cofactor)
        found.append((marker, level, bound if same else math.asinh(axis.raw(bound) / cofactor)))
    return found


def _diagonal(gate: Polygon, markers: Mapping[str, tuple[str, float]]) -> tuple[str, str, float]:
    """A polygon that is a half-plane y - x >= t of the square in which diagonals are exported."""
    x, y = gate.dimensions
    edges = list(zip(gate.vertices, gate.vertices[1:] + gate.vertices[:1], strict=True))
    # the one edge that does not run along the square
    cuts = [(a, b) for a, b in edges if a[0] != b[0] and a[1] != b[1]]
    scales = all(a.scale == Asinh.of_cofactor(markers[a.channel][1]) for a in (x, y))
    if scales and len(cuts) == 1:
        limit = cuts[0][0][1] - cuts[0][0][0]
        for above in (True, False):
            if abs(limit) < 2 * EDGE and _same(gate.vertices, half_plane(limit, above)):
                label = f"{markers[y.channel][0]} - {markers[x.channel][0]}"
                return label, "hi" if above else "lo", limit
    raise _Refusal("it is a polygon; of polygons only the diagonals that treset exports are read")


def _same(a: Sequence[tuple[float, float]], b: Sequence[tuple[float, float]]) -> bool:
    return len(a) == len(b) and all(
        math.isclose(p, q, abs_tol=1e-6)
        for c, d in zip(sorted(a), sorted(b), strict=True)
        for p, q in zip(c, d, strict=True)
    )


def _names(gates: Sequence[Read]) -> dict[str, str]:
    """Gate -> population: the name it carries, or its id where that is none or is another's."""
    given = [g.name for g in gates if not isinstance(g, Unread) and g.name]
    out = {}
    for gate in gates:
        name = "" if isinstance(gate, Unread) else gate.name
        good = bool(name) and given.count(name) == 1 and len(name) <= 80 and not re.search(r"[/\t\n]", name)
        out[gate.id] = name if good and name != ROOT else gate.id
    return out
