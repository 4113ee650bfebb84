"""GatingML 2.0: gates as plain records, written and read with the standard library.

International Society for Advancement of Cytometry, Gating-ML 2.0 (Spidlen 2015, doi:10.1002/cyto.a.22690). The lower
bound of a rectangle is part of it and its upper bound is not, as with the thresholds of treset.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from treset.errors import TresetError
from treset.io.files import atomic

GATING = "http://www.isac-net.org/std/Gating-ML/v2.0/gating"
TRANSFORMS = "http://www.isac-net.org/std/Gating-ML/v2.0/transformations"
TYPES = "http://www.isac-net.org/std/Gating-ML/v2.0/datatypes"
_LN10 = math.log(10.0)


@dataclass(frozen=True)
class Asinh:
    """The ``fasinh`` transformation: (asinh(x sinh(M ln 10) / T) + A ln 10) / ((M + A) ln 10)."""

    t: float
    m: float
    a: float

    @classmethod
    def of_cofactor(cls, cofactor: float) -> Asinh:
        """The parameters with which it is arcsinh(x / cofactor)."""
        return cls(cofactor * math.sinh(1.0), 1.0 / _LN10, 0.0)

    def inverse(self, value: float) -> float:
        """The raw intensity of a transformed value."""
        scaled = value * (self.m + self.a) * _LN10 - self.a * _LN10
        return math.sinh(scaled) * self.t / math.sinh(self.m * _LN10)


@dataclass(frozen=True)
class Dimension:
    """One axis of a gate; ``low`` and ``high`` on the transformed scale, None: open."""

    channel: str
    scale: Asinh | None
    low: float | None = None
    high: float | None = None
    #: ``uncompensated``, ``FCS`` (the matrix of the FCS file), or the id of a matrix in the gates' file.
    compensation: str = "uncompensated"

    def raw(self, value: float) -> float:
        """The raw intensity of a bound."""
        return value if self.scale is None else self.scale.inverse(value)


@dataclass(frozen=True)
class Rectangle:
    """A range, a rectangle or a box."""

    id: str
    parent: str | None
    dimensions: tuple[Dimension, ...]
    name: str = ""


@dataclass(frozen=True)
class Polygon:
    """A polygon on two axes, vertices on the transformed scale."""

    id: str
    parent: str | None
    dimensions: tuple[Dimension, Dimension]
    vertices: tuple[tuple[float, float], ...]
    name: str = ""


@dataclass(frozen=True)
class Intersection:
    """The cells in every gate of ``inside`` and in none of ``outside``: two or more, or one of ``outside`` alone."""

    id: str
    parent: str | None
    inside: tuple[str, ...]
    outside: tuple[str, ...]
    name: str = ""

    def __post_init__(self) -> None:
        if not self.outside and len(self.inside) < 2:
            raise ValueError(f"intersection {self.id} needs two gates, or one that it leaves out")


@dataclass(frozen=True)
class Unread:
    """A gate of a kind that is not read (an ellipsoid, a union)."""

    id: str
    parent: str | None
    why: str


Gate = Rectangle | Polygon | Intersection
Read = Gate | Unread


def write_gatingml(gates: Sequence[Gate], path: Path, note: str) -> None:
    """Write a GatingML 2.0 file.

    Parameters
    ----------
    gates
        Parents and references before the gates that name them.
    path
        The file.
    note
        What the file is of, as custom information.
    """
    for prefix, space in (("gating", GATING), ("transforms", TRANSFORMS), ("data-type", TYPES)):
        ElementTree.register_namespace(prefix, space)
    root = ElementTree.Element(f"{{{GATING}}}Gating-ML")
    info = ElementTree.SubElement(root, f"{{{TYPES}}}custom_info")
    info.text = note
    scales = sorted({d.scale for g in gates if not isinstance(g, Intersection) for d in g.dimensions if d.scale},
                    key=lambda s: (s.t, s.m, s.a))  # fmt: skip
    names = {scale: f"asinh_{number}" for number, scale in enumerate(scales, start=1)}
    for scale, name in names.items():
        one = ElementTree.SubElement(root, f"{{{TRANSFORMS}}}transformation", {f"{{{TRANSFORMS}}}id": name})
        values = {f"{{{TRANSFORMS}}}{k}": repr(v) for k, v in (("T", scale.t), ("M", scale.m), ("A", scale.a))}
        ElementTree.SubElement(one, f"{{{TRANSFORMS}}}fasinh", values)
    for gate in gates:
        _write_gate(root, gate, names)
    ElementTree.indent(root)
    with atomic(path) as target:
        ElementTree.ElementTree(root).write(target, encoding="utf-8", xml_declaration=True)


def _write_gate(root: ElementTree.Element, gate: Gate, scales: dict[Asinh, str]) -> None:
    tag = {Rectangle: "RectangleGate", Polygon: "PolygonGate", Intersection: "BooleanGate"}[type(gate)]
    attributes = {f"{{{GATING}}}id": gate.id}
    if gate.parent is not None:
        attributes[f"{{{GATING}}}parent_id"] = gate.parent
    element = ElementTree.SubElement(root, f"{{{GATING}}}{tag}", attributes)
    if gate.name:
        ElementTree.SubElement(element, f"{{{TYPES}}}custom_info").text = gate.name
    if isinstance(gate, Intersection):
        several = len(gate.inside) + len(gate.outside) > 1
        logic = ElementTree.SubElement(element, f"{{{GATING}}}{'and' if several else 'not'}")
        for reference in (*gate.inside, *gate.outside):
            mine = {f"{{{GATING}}}ref": reference}
            if several and reference in gate.outside:
                mine[f"{{{GATING}}}use-as-complement"] = "true"
            ElementTree.SubElement(logic, f"{{{GATING}}}gateReference", mine)
        return
    for dimension in gate.dimensions:
        mine = {f"{{{GATING}}}compensation-ref": dimension.compensation}
        if dimension.scale is not None:
            mine[f"{{{GATING}}}transformation-ref"] = scales[dimension.scale]
        for key, value in (("min", dimension.low), ("max", dimension.high)):
            if value is not None:
                mine[f"{{{GATING}}}{key}"] = repr(float(value))
        axis = ElementTree.SubElement(element, f"{{{GATING}}}dimension", mine)
        ElementTree.SubElement(axis, f"{{{TYPES}}}fcs-dimension", {f"{{{TYPES}}}name": dimension.channel})
    for vertex in gate.vertices if isinstance(gate, Polygon) else ():
        corner = ElementTree.SubElement(element, f"{{{GATING}}}vertex")
        for value in vertex:
            ElementTree.SubElement(corner, f"{{{GATING}}}coordinate", {f"{{{TYPES}}}value": repr(float(value))})


def read_gatingml(path: Path) -> list[Read]:
    """Read a GatingML 2.0 file.

    Returns
    -------
    Its gates in the file's order: rectangles (ranges, boxes) and polygons with linear or ``fasinh`` axes, intersections
    of gates and of complements, and everything else as :class:`Unread` with the reason.

    Raises
    ------
    TresetError
        The file is no XML, or no GatingML 2.0.
    """
    text = path.read_bytes()
    # entities are how an XML file makes a parser read other files or fill the memory; GatingML needs none
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise TresetError(f"{path} has a document type or entities, which GatingML has no need of: remove them")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise TresetError(f"{path} is no XML file ({error}): export the gates as GatingML 2.0") from error
    if root.tag != f"{{{GATING}}}Gating-ML":
        raise TresetError(
            f"{path} begins with {root.tag!r}, which is no GatingML 2.0 (a FlowJo workspace is none either): export "
            "the gates as GatingML 2.0"
        )
    scales = {_need(e, TRANSFORMS, "id", path): e for e in root.iter(f"{{{TRANSFORMS}}}transformation")}
    found: list[Read] = []
    for element in root:
        if not element.tag.startswith(f"{{{GATING}}}"):
            continue
        kind, name = element.tag.split("}")[1], _need(element, GATING, "id", path)
        if kind in ("RectangleGate", "PolygonGate"):
            found.append(_shape(element, name, scales, path))
        elif kind == "BooleanGate":
            found.append(_boolean(element, name, path))
        else:
            found.append(Unread(name, _get(element, GATING, "parent_id"), f"it is a {kind}, not a range or rectangle"))
    return found


def _shape(
    element: ElementTree.Element, name: str, scales: dict[str, ElementTree.Element], path: Path
) -> Rectangle | Polygon | Unread:
    parent, axes = _get(element, GATING, "parent_id"), []
    for axis in element.findall(f"{{{GATING}}}dimension"):
        fcs = axis.find(f"{{{TYPES}}}fcs-dimension")
        if fcs is None:
            return Unread(name, parent, "an axis is computed from others (a ratio), which no rule can read")
        reference = _get(axis, GATING, "transformation-ref")
        if reference is not None and reference not in scales:
            raise TresetError(
                f"gate {name} of {path} uses the transformation {reference}, which the file does not define"
            )
        scale: Asinh | None = None
        if reference is not None:
            asinh = scales[reference].find(f"{{{TRANSFORMS}}}fasinh")
            if asinh is None:
                kind = next((child.tag.split("}")[1] for child in scales[reference]), "empty")
                return Unread(name, parent, f"its axis is on a {kind} scale; linear and fasinh are read")
            scale = Asinh(*(_number(asinh, TRANSFORMS, key, name, path) for key in "TMA"))
        given = [key for key in ("min", "max") if _get(axis, GATING, key) is not None]
        bounds = {key: _number(axis, GATING, key, name, path) for key in given}
        matrix = _get(axis, GATING, "compensation-ref") or "uncompensated"
        channel = _need(fcs, TYPES, "name", path)
        axes.append(Dimension(channel, scale, bounds.get("min"), bounds.get("max"), matrix))
    text = (element.findtext(f"{{{TYPES}}}custom_info") or "").strip()
    if element.tag.endswith("}RectangleGate"):
        return Rectangle(name, parent, tuple(axes), text)
    corners = [
        tuple(_number(one, TYPES, "value", name, path) for one in vertex.findall(f"{{{GATING}}}coordinate"))
        for vertex in element.findall(f"{{{GATING}}}vertex")
    ]
    if len(axes) != 2 or len(corners) < 3 or any(len(corner) != 2 for corner in corners):
        raise TresetError(f"polygon {name} of {path} has not two axes and three or more vertices of two coordinates")
    return Polygon(name, parent, (axes[0], axes[1]), tuple((x, y) for x, y in corners), text)


def _boolean(element: ElementTree.Element, name: str, path: Path) -> Intersection | Unread:
    parent = _get(element, GATING, "parent_id")
    logic = next((child for child in element if child.tag in (f"{{{GATING}}}and", f"{{{GATING}}}not")), None)
    if logic is None:
        return Unread(name, parent, "it is a union of gates; intersections and complements are read")
    references = logic.findall(f"{{{GATING}}}gateReference")
    if len(references) < len(list(logic)):
        return Unread(name, parent, "it holds a gate inside its logic; gates referred to by their id are read")
    inside: list[str] = []
    outside: list[str] = []
    for reference in references:
        turned = _get(reference, GATING, "use-as-complement") in ("true", "1")
        (outside if turned != logic.tag.endswith("}not") else inside).append(_need(reference, GATING, "ref", path))
    text = (element.findtext(f"{{{TYPES}}}custom_info") or "").strip()
    return Intersection(name, parent, tuple(inside), tuple(outside), text)


def _get(element: ElementTree.Element, space: str, key: str) -> str | None:
    return element.get(f"{{{space}}}{key}")


def _need(element: ElementTree.Element, space: str, key: str, path: Path) -> str:
    value = _get(element, space, key)
    if value is None:
        raise TresetError(
            f"an element {element.tag.split('}')[-1]} of {path} has no {key}, which GatingML 2.0 asks for"
        )
    return value


def _number(element: ElementTree.Element, space: str, key: str, gate: str, path: Path) -> float:
    text = _need(element, space, key, path)
    try:
        value = float(text)
    except ValueError as error:
        raise TresetError(f"gate {gate} of {path} has {key}={text!r}, expected a number") from error
    if not math.isfinite(value):
        raise TresetError(f"gate {gate} of {path} has {key}={text!r}, expected a finite number")
    return value
