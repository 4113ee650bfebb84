"""A hash of the library code a job runs, so that editing it reruns the job.

A workflow engine sees a rule's script, not the modules it imports. The imports are followed in the source text,
nothing is executed.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).resolve().parent


def code_hash(module: str) -> str:
    """SHA-256 (first 16 digits) over the source of ``module`` and of every ``treset`` module it imports, at any depth.

    Data and template files in the folders of those modules count as their source.

    Parameters
    ----------
    module
        Dotted name within the package, such as ``treset.jobs.prepare``.
    """
    seen: dict[str, bytes] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _path(name)
        if path is None or name in seen:
            continue
        source = path.read_bytes()
        seen[name] = source
        waiting += _imports(name, path)
        if path.name == "__init__.py":
            for extra in sorted(path.parent.rglob("*")):
                if extra.is_file() and extra.suffix not in (".py", ".pyc"):
                    seen[f"{name}/{extra.relative_to(path.parent).as_posix()}"] = extra.read_bytes()
    digest = hashlib.sha256()
    for name in sorted(seen):
        digest.update(name.encode() + b"\0" + seen[name] + b"\0")
    return digest.hexdigest()[:16]


def _path(module: str) -> Path | None:
    parts = module.split(".")
    if parts[0] != "treset":
        return None
    base = _ROOT.joinpath(*parts[1:])
    for candidate in (base / "__init__.py", base.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None


def _statements(block: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Every statement of a block at any depth, without ``if TYPE_CHECKING:``, whose imports never run.

    Imports are statements, so that expressions, by far the most of a tree, need not be looked at.
    """
    for node in block:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        for name in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(node, name, ()))
        for inner in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            yield from _statements(inner.body)


@cache
def _imports(module: str, path: Path) -> list[str]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: list[str] = []
    tree = ast.parse(path.read_bytes(), filename=str(path))
    for node in _statements(tree.body):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join(
                    [*package.split(".")[: len(package.split(".")) - node.level + 1], *([base] if base else [])]
                )
            found.append(base)
            found += [f"{base}.{alias.name}" for alias in node.names]
    names = {name for name in found if name.split(".")[0] == "treset"}
    # importing a module runs its packages too
    packages = {".".join(name.split(".")[:i]) for name in names for i in range(2, name.count(".") + 1)}
    return sorted(names | packages)
