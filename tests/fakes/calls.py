"""Every call of a GPU library in ``treset.compute`` and in the GPU benchmark, found in the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.wheels import DISTRIBUTIONS, ROOT

SOURCES = sorted((ROOT / "src" / "treset" / "compute").glob("*.py"))


@dataclass(frozen=True)
class Call:
    """A call: what is called, with how many positional arguments and which keywords."""

    name: str
    positional: int
    keywords: tuple[str, ...]
    where: str


def calls(path: Path) -> Iterator[Call]:
    """The calls of one file. A method is known by the class that its object was made of in the same function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for function in functions:
        names: dict[str, str] = _imported(function)
        if "xp" in {argument.arg for argument in function.args.args}:
            # code for both: what it calls of NumPy, CuPy must have
            names["xp"] = "cupy"
        objects: dict[str, str] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and len(node.targets) == 1:
                made, target = _dotted(node.value.func, names), node.targets[0]
                if made and made.rpartition(".")[2][:1].isupper() and isinstance(target, ast.Name):
                    names[target.id] = objects[target.id] = made
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and (name := _dotted(node.func, names)):
                keywords = tuple(k.arg for k in node.keywords if k.arg)
                assert len(keywords) == len(node.keywords), f"{path.name}:{node.lineno}: ** hides what is passed"
                if isinstance(node.func, ast.Name) and node.func.id in objects:
                    name += ".__call__"
                yield Call(name, len(node.args), keywords, f"{path.name}:{node.lineno}")


def all_calls() -> list[Call]:
    """The calls of all files."""
    return [call for path in SOURCES for call in calls(path)]


def _imported(function: ast.FunctionDef) -> dict[str, str]:
    names = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in DISTRIBUTIONS:
                    names[alias.asname or alias.name.split(".")[0]] = (
                        alias.name if alias.asname else alias.name.split(".")[0]
                    )
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in DISTRIBUTIONS:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _dotted(node: ast.expr, names: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute) and (base := _dotted(node.value, names)):
        return f"{base}.{node.attr}"
    return None
