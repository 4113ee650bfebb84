"""The reference of config.yaml, written from the dataclasses: ``python -m treset.study.reference docs/config.md``."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
import types
import typing
from pathlib import Path

from treset.study import model
from treset.study.schema import load_schema

_HEAD = """\
# config.yaml

Every key with its type and default, written from the code (`python -m treset.study.reference docs/config.md`); a test
keeps it so. Relative paths start at the study's folder. Unknown keys, wrong types and values out of range are faults
with their line and column.
"""


def reference() -> str:
    """The text of ``docs/config.md``."""
    # docstrings quote code as reStructuredText does
    return _HEAD + "".join(_sections(model.Config, "", load_schema("config"))).replace("``", "`")


def _sections(kind: type, prefix: str, schema: dict) -> list[str]:
    """A table for a dataclass, then those of the dataclasses in it."""
    comments = _comments(kind)
    hints = typing.get_type_hints(kind)
    rows, inner = [], []
    for field in dataclasses.fields(kind):
        own = schema.get("properties", {}).get(field.name, {})
        nested = _dataclass(hints[field.name])
        if nested is not None:
            path = f"{prefix}{field.name}"
            items = own.get("items", own)
            part = load_schema("config")["$defs"][items["$ref"].rsplit("/", 1)[1]] if "$ref" in items else own
            mark = "[]" if typing.get_origin(hints[field.name]) is tuple else ""
            inner += _sections(nested, f"{path}{mark}.", part)
            continue
        meaning = comments.get(field.name) or own.get("description", "")
        rows.append(f"| `{field.name}` | {_type(hints[field.name])} | {_default(field)} | {meaning} |\n")
    name = prefix.rstrip(".") or "top level"
    title = f"\n## {name}\n\n{(kind.__doc__ or '').splitlines()[0]}\n"
    table = "\n| key | type | default | |\n| --- | --- | --- | --- |\n" + "".join(rows) if rows else ""
    return [title + table, *inner]


def _dataclass(hint: object) -> type | None:
    candidates = [hint, *typing.get_args(hint)]
    return next((c for c in candidates if isinstance(c, type) and dataclasses.is_dataclass(c)), None)


def _type(hint: object) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " \\| ".join(f"`{choice}`" for choice in inner)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("null" if arm is types.NoneType else _type(arm) for arm in inner)
    if origin is tuple:
        return f"list of {_type(inner[0])}"
    if origin is dict or hint is dict:
        return "mapping"
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}[typing.cast(type, hint)]


def _default(field: dataclasses.Field) -> str:
    if field.default is dataclasses.MISSING:
        return "required" if field.default_factory is dataclasses.MISSING else "empty"
    if field.default is None:
        return "null"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    if isinstance(field.default, tuple):
        return f"`[{', '.join(map(str, field.default))}]`"
    return f"`{field.default}`" if field.default != "" else "empty"


def _comments(kind: type) -> dict[str, str]:
    """The ``#:`` comments above the fields of a class."""
    lines, _ = inspect.getsourcelines(kind)
    source = inspect.cleandoc("".join(lines))
    text = source.splitlines()
    found = {}
    body = typing.cast(ast.ClassDef, ast.parse(source).body[0]).body
    for node in body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        above = []
        row = node.lineno - 2
        while text[row].strip().startswith("#:"):
            above.insert(0, text[row].strip()[2:].strip())
            row -= 1
        if above:
            found[node.target.id] = " ".join(above).replace("|", "\\|")
    return found


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
