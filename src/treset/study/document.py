"""YAML with places: what a file says, and in which line and column it says so.

Only plain data is read (mappings, lists, text, numbers, true, false, null): no tags, no anchors, no merge keys. Scalars
that YAML 1.1 reads as something else than they look like (``no`` as false, ``010`` as eight, ``12:30`` as 750) are
faults, not guesses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from treset.study.faults import Collector, place, shown
from treset.study.text import read_text

#: Where a value lies: keys and list positions from the top.
Route = tuple[str | int, ...]

COMMAND_LINE = "command line"

_PREFIX = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*(_[0-9]+)*)$")
_FLOAT = re.compile(r"[-+]?([0-9]+(_[0-9]+)*(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$")


def dotted(route: Route) -> str:
    """Give ``monitors.treg.endpoints[1].name`` (list positions counted from 1)."""
    text = ""
    for step in route:
        text += f"[{step + 1}]" if isinstance(step, int) else (f".{step}" if text else step)
    return text or "the top level"


@dataclass
class Document:
    """A YAML file's data with the place of every key and item."""

    file: Path
    data: Any
    #: (line, column), counted from 1, of each key and list item.
    places: dict[Route, tuple[int, int]] = field(default_factory=dict)
    #: Values that came with the command line, not from the file.
    overridden: set[Route] = field(default_factory=set)
    #: Where ``null`` or ``~`` was written out (a blank value is not in here).
    nulls: set[Route] = field(default_factory=set)
    #: What was taken out because of a fault, so that no second fault is made of it.
    broken: set[Route] = field(default_factory=set)

    def where(self, route: Route) -> str:
        """Give the place of ``route``, or of the nearest thing around it."""
        for length in range(len(route), -1, -1):
            if route[:length] in self.overridden:
                return COMMAND_LINE
            if route[:length] in self.places:
                return place(self.file, *self.places[route[:length]])
        return shown(self.file)

    def get(self, route: Route) -> Any:
        """Give the value at ``route``, None when there is none."""
        value = self.data
        for step in route:
            if (isinstance(step, int) and isinstance(value, list) and step < len(value)) or (
                isinstance(value, Mapping) and step in value
            ):
                value = value[step]
            else:
                return None
        return value

    def is_broken(self, *route: str | int) -> bool:
        """Tell whether a fault was found at, above or below ``route``."""
        return any(known[: len(route)] == route[: len(known)] for known in self.broken)

    def remove(self, route: Route) -> None:
        """Take out a faulty value; later items of a list move up with their places."""
        parent, last = self.get(route[:-1]), route[-1]
        self.broken.add(route)
        if isinstance(parent, list) and isinstance(last, int):
            parent.pop(last)
            self.places = {kept: at for old, at in self.places.items() if (kept := _shifted(old, route)) is not None}
        elif isinstance(parent, dict):
            parent.pop(last, None)


def _shifted(route: Route, removed: Route) -> Route | None:
    depth = len(removed) - 1
    if len(route) <= depth or route[:depth] != removed[:depth]:
        return route
    step, last = route[depth], removed[depth]
    if step == last:
        return None
    if isinstance(step, int) and isinstance(last, int) and step > last:
        return (*route[:depth], step - 1, *route[depth + 1 :])
    return route


def read_document(path: Path, faults: Collector, where: str | None = None) -> Document | None:
    """Read a YAML file by the safe loader.

    Parameters
    ----------
    path
        The file.
    faults
        Receives every fault: not YAML, duplicate keys, ambiguous scalars, anchors.
    where
        The place that named the file, for a file that is missing.

    Returns
    -------
    The document, its top level a mapping; None when it cannot be read at all.
    """
    text = read_text(path, faults, where)
    if text is None:
        return None
    try:
        for event in (anchors := _aliases(text)):
            at = place(path, event.start_mark.line + 1, event.start_mark.column + 1)
            faults.add(at, f"the YAML alias *{event.anchor} is not supported: write the value out")
        if anchors:
            return None
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except RecursionError:
        faults.add(shown(path), "is nested too deeply: expected a few levels of keys")
        return None
    except yaml.YAMLError as error:
        faults.add(*_syntax(error, path, text))
        return None
    document = Document(path, {}, {(): (1, 1)})
    if node is None:
        faults.add(shown(path), "is empty: expected `key: value` lines")
        return None
    if not isinstance(node, yaml.MappingNode):
        faults.add(place(path, 1), "does not start with a key: expected `key: value` lines")
        return None
    document.data = _Walk(document, faults).value(node, ())
    return document


def _aliases(text: str) -> list[yaml.AliasEvent]:
    """Every use of an alias; most files hold no star at all, and need not be read twice."""
    if "*" not in text:
        return []
    return [event for event in yaml.parse(text, Loader=yaml.SafeLoader) if isinstance(event, yaml.AliasEvent)]


def _syntax(error: yaml.YAMLError, path: Path, text: str) -> tuple[str, str]:
    """Put a YAML error into one sentence."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return place(path, line), f"character U+{ord(text[error.position]):04X} is not allowed in YAML: remove it"
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or "it cannot be read")
    at = place(path, mark.line + 1, mark.column + 1) if mark is not None else shown(path)
    if "sequence entries are not allowed" in problem:
        return at, 'a lone - starts a list in YAML: write "-" in quotes'
    if r"'\t'" in problem:
        return at, "a tab is used for indentation, which YAML does not allow: use spaces"
    if "mapping values are not allowed" in problem:
        return at, "a colon is in an unexpected place: check the indentation, or put text that holds a colon in quotes"
    context = getattr(error, "context", None)
    return (
        at,
        f"is not valid YAML ({f'{context}: ' if context else ''}{problem}): check quotes, brackets and indentation",
    )


class _Walk:
    """Turns composed nodes into data, noting places."""

    def __init__(self, document: Document, faults: Collector) -> None:
        self._document = document
        self._faults = faults

    def _add(self, node: yaml.Node, sentence: str) -> None:
        self._faults.add(place(self._document.file, node.start_mark.line + 1, node.start_mark.column + 1), sentence)

    def value(self, node: yaml.Node, route: Route) -> Any:
        kind = "map" if isinstance(node, yaml.MappingNode) else "seq"
        if not isinstance(node, yaml.ScalarNode) and node.tag != _PREFIX + kind:
            return self._fault(node, route, f"the YAML tag {node.tag} is not supported: write plain keys and values")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, route)
        if isinstance(node, yaml.SequenceNode):
            items = []
            for position, item in enumerate(node.value):
                here = (*route, position)
                self._document.places[here] = (item.start_mark.line + 1, item.start_mark.column + 1)
                items.append(self.value(item, here))
            return items
        return self._scalar(node, route)

    def _mapping(self, node: yaml.MappingNode, route: Route) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._add(key_node, "a key is a list or a mapping, expected text: check the indentation")
                continue
            key = key_node.value
            here = (*route, key)
            if key_node.tag == _PREFIX + "merge":
                self._add(key_node, "the merge key << is not supported: write the values out")
                continue
            if key in data or here in self._document.places:
                first = self._document.places[here][0]
                self._add(key_node, f"the key '{key}' was already given in line {first}: keep one of the two")
                continue
            if key_node.style is None and key_node.tag in (_PREFIX + "bool", _PREFIX + "null"):
                self._add(key_node, f'the key {key} is not text in YAML: write "{key}" in quotes')
                continue
            self._document.places[here] = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            data[key] = self.value(value_node, here)
        return data

    def _scalar(self, node: yaml.Node, route: Route) -> Any:
        text, tag = node.value, node.tag.removeprefix(_PREFIX)
        if tag not in ("str", "bool", "int", "float", "null", "timestamp", "value", "merge"):
            return self._fault(node, route, f"the YAML tag {node.tag} is not supported: write plain text or a number")
        if node.style is not None:
            return text
        value, trouble = plain(text, tag)
        if tag == "null" and text:
            self._document.nulls.add(route)
        return self._fault(node, route, f"{dotted(route)} is {trouble}") if trouble else value

    def _fault(self, node: yaml.Node, route: Route, sentence: str) -> None:
        self._add(node, sentence)
        self._document.broken.add(route)


def plain(text: str, tag: str | None = None) -> tuple[Any, str | None]:
    """Read an unquoted scalar.

    Parameters
    ----------
    text
        As written.
    tag
        What YAML 1.1 takes it for (``bool``, ``int``, ...); None: found out here.

    Returns
    -------
    The value and None, or None and what is ambiguous about it.
    """
    if tag is None:
        resolver = yaml.SafeLoader("")
        tag = resolver.resolve(yaml.ScalarNode, text, (True, False)).removeprefix(_PREFIX)
    if tag == "null":
        return None, None
    if tag == "bool":
        if text.lower() in ("true", "false"):
            return text.lower() == "true", None
        meant = yaml.safe_load(text)
        return None, f'{text}, which YAML 1.1 reads as {str(meant).lower()}: write true or false, or "{text}" in quotes'
    if tag == "int" and not _INT.match(text):
        read = yaml.safe_load(text)
        return None, f'{text}, which YAML 1.1 reads as {read}: write the number in decimal, or "{text}" in quotes'
    if tag == "int":
        return int(text), None
    if tag == "float" and not (_FLOAT.match(text) and math.isfinite(float(text))):
        return None, f'{text}, expected a finite decimal number (or "{text}" in quotes where text is meant)'
    # YAML 1.1 takes 1e-3 for text, YAML 1.2 and everyone else for a number.
    if tag == "float" or (tag == "str" and _FLOAT.match(text)):
        value = float(text)
        return (int(value) if "." not in text and value.is_integer() else value), None
    return text, None


def load_yaml(path: Path) -> dict[str, Any]:
    """Give a YAML file's plain data, as Snakemake would hand it over.

    Raises
    ------
    Faults
        When it cannot be read, or holds duplicate keys or ambiguous values.
    """
    faults = Collector()
    document = read_document(Path(path), faults)
    faults.stop()
    assert document is not None
    return document.data


def overlay(document: Document, values: Mapping[str, Any]) -> None:
    """Put values that Snakemake merged over the file's (``--config``, further config files) into the document.

    Only what differs from the file as a plain YAML reader sees it is taken over, and is located at the command line.
    """
    original = yaml.safe_load(document.file.read_text("utf-8-sig"))
    _overlay(document, document.data, original if isinstance(original, Mapping) else {}, values, ())


def _overlay(document: Document, mine: dict[str, Any], original: Mapping, values: Mapping, route: Route) -> None:
    for key, value in values.items():
        here = (*route, str(key))
        before = original.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping) and isinstance(mine.get(str(key)), dict):
            _overlay(document, mine[str(key)], before, value, here)
            continue
        if key in original and type(before) is type(value) and before == value:
            continue
        mine[str(key)] = _plain_data(value)
        document.overridden.add(here)
        document.broken = {route for route in document.broken if route[: len(here)] != here}


def _plain_data(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_data(item) for item in value]
    return value
