"""Signatures read from the source in a wheel: nothing is imported, so neither a GPU nor CUDA's libraries are needed."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SIGNATURES = Path(__file__).with_name("signatures.json")
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (39, 34, 31, 28, 27, 24, 17)] + ["manylinux2014_x86_64", "any"]

#: Root package -> distribution on the index, of the CUDA version that most drivers now support.
DISTRIBUTIONS = {
    "rapids_singlecell": "rapids-singlecell-cu13",
    "cuml": "cuml-cu13",
    "cugraph": "cugraph-cu13",
    "cudf": "cudf-cu13",
    "rmm": "rmm-cu13",
    "cupy": "cupy-cuda13x",
    "cupyx": "cupy-cuda13x",
}

#: [[name, kind, default as written or None], ...]; None: compiled code, of which only the name can be checked.
Parameters = list[list[str | None]] | None


def allowed() -> tuple[str, str]:
    """The lowest and the newest requirement of rapids-singlecell that pyproject allows."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    name, _, versions = extras["gpu-cu13"][0].partition(";")[0].partition("[rapids]")
    lowest = re.search(r">=([0-9.]+)", versions)
    assert lowest, versions
    return f"{name}=={lowest[1]}", f"{name}{versions.strip()}"


def download(requirement: str, cache: Path, seconds: float = 180.0) -> tuple[Path | None, str]:
    """The wheel of a requirement by way of pip, from the cache where it is there already; None and why otherwise."""
    folder = cache / re.sub(r"[^A-Za-z0-9.]+", "_", requirement)
    found = sorted(folder.glob("*.whl"))
    if found:
        return found[-1], ""
    pip = shutil.which("pip")
    if pip is None:
        return None, "there is no pip to download with"
    command = [pip, "download", "-q", "--no-deps", "--only-binary=:all:", "--python-version", "3.12", "-d", str(folder)]
    command += ["--implementation", "cp", *(word for abi in ("cp312", "abi3", "none") for word in ("--abi", abi))]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    try:
        done = subprocess.run([*command, requirement], capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return None, f"no answer from a package index within {seconds:.0f} s"
    found = sorted(folder.glob("*.whl"))
    return (found[-1], "") if found else (None, (done.stderr.strip().splitlines() or ["pip found nothing"])[-1])


class Wheel:
    """The source files of a wheel."""

    def __init__(self, path: Path) -> None:
        self.version = path.name.split("-")[1]
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith((".py", ".pyx"))]
            self.files = {name: archive.read(name).decode("utf-8") for name in names}

    def parameters(self, dotted: str) -> Parameters:
        """Parameters of a function, a class (its ``__init__``) or a method.

        Raises
        ------
        KeyError
            The wheel has no such name.
        """
        parts = dotted.split(".")
        split = max(i for i in range(1, len(parts) + 1) if self._is_module(".".join(parts[:i])))
        return self._find(".".join(parts[:split]), parts[split:])

    def _is_module(self, module: str) -> bool:
        base = module.replace(".", "/")
        return any(f"{base}{end}" in self.files for end in (".py", ".pyx", "/__init__.py"))

    def _find(self, module: str, parts: list[str]) -> Parameters:
        base = module.replace(".", "/")
        path = next((f for f in (f"{base}.py", f"{base}/__init__.py", f"{base}.pyx") if f in self.files), None)
        if path is None:
            # a compiled module without its source
            return None
        if path.endswith(".pyx"):
            return _of_class(_cython_classes(self.files[path]), parts)
        package = module if path.endswith("__init__.py") else module.rpartition(".")[0]
        star = False
        body = ast.parse(self.files[path]).body
        nested = [child for node in body if isinstance(node, ast.Try | ast.If) for child in node.body]
        for node in [*body, *nested]:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == parts[0]:
                return _of_node(node, parts[1:])
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == parts[0] for t in node.targets):
                return None
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    star |= alias.name == "*"
                    if (alias.asname or alias.name) == parts[0]:
                        return self._follow(_absolute(package, node), alias.name, parts[1:])
        if self._is_module(f"{module}.{parts[0]}"):
            return self._find(f"{module}.{parts[0]}", parts[1:])
        if star:
            return None
        raise KeyError(f"{module} has no {parts[0]}")

    def _follow(self, module: str, name: str, rest: list[str]) -> Parameters:
        if self._is_module(f"{module}.{name}") and rest:
            return self._find(f"{module}.{name}", rest)
        return self._find(module, [name, *rest])


def _absolute(package: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    up = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*up, *([node.module] if node.module else [])])


def _of_node(node: ast.FunctionDef | ast.ClassDef, rest: list[str]) -> Parameters:
    if isinstance(node, ast.ClassDef):
        wanted = rest[0] if rest else "__init__"
        method = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == wanted), None)
        return None if method is None else _parameters(method)[1:]
    return _parameters(node)


def _parameters(node: ast.FunctionDef) -> list[list[str | None]]:
    given, found = node.args, []
    plain = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(plain) - len(given.defaults)) + [ast.unparse(d) for d in given.defaults]
    for i, (argument, default) in enumerate(zip(plain, defaults, strict=True)):
        kind = "POSITIONAL_ONLY" if i < len(given.posonlyargs) else "POSITIONAL_OR_KEYWORD"
        found.append([argument.arg, kind, default])
    if given.vararg:
        found.append([given.vararg.arg, "VAR_POSITIONAL", None])
    for argument, value in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        found.append([argument.arg, "KEYWORD_ONLY", None if value is None else ast.unparse(value)])
    if given.kwarg:
        found.append([given.kwarg.arg, "VAR_KEYWORD", None])
    return found


def _cython_classes(source: str) -> dict[str, tuple[str, dict[str, ast.FunctionDef]]]:
    """Class -> (its base, its methods); Cython is no Python, but the heads of its ``def`` are."""
    classes: dict[str, tuple[str, dict[str, ast.FunctionDef]]] = {}
    heads = list(re.finditer(r"^class (\w+)(?:\(\s*(\w*)[^)]*\))?:", source, flags=re.MULTILINE))
    ends = [*(head.start() for head in heads[1:]), len(source)]
    for head, end in zip(heads, ends, strict=bool(heads)):
        body = source[head.end() : end]
        methods: dict[str, ast.FunctionDef] = {}
        for match in re.finditer(
            r"^    (def (\w+)\((?:[^()]|\([^()]*\))*\)(?: -> [^\n:]+)?):", body, flags=re.MULTILINE
        ):
            # C types before a name (int k) and comments that hold brackets
            node = ast.parse(
                re.sub(r"\b(?:int|float|double|bool|u?int\d+_t|uintptr_t|\w+Index) (?=\w)", "", match[1]) + ": pass"
            ).body[0]
            assert isinstance(node, ast.FunctionDef)
            methods.setdefault(match[2], node)
        classes[head[1]] = (head[2] or "", methods)
    return classes


def _of_class(classes: dict[str, tuple[str, dict[str, ast.FunctionDef]]], parts: list[str]) -> Parameters:
    wanted = parts[1] if len(parts) > 1 else "__init__"
    name = parts[0]
    if name not in classes:
        raise KeyError(name)
    while name in classes:
        base, methods = classes[name]
        if wanted in methods:
            return _parameters(methods[wanted])[1:]
        name = base
    return None


def stored() -> dict[str, dict[str, dict[str, Parameters]]]:
    """The committed signatures: distribution -> version -> dotted name -> parameters."""
    return json.loads(SIGNATURES.read_text(encoding="utf-8"))
