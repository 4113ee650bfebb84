import ast
import subprocess
import sys

import pytest

from treset import fingerprint


@pytest.fixture
def package(tmp_path, monkeypatch):
    root = tmp_path / "treset"
    (root / "jobs").mkdir(parents=True)
    (root / "io").mkdir()
    (root / "data").mkdir()
    (root / "jobs" / "__init__.py").write_text("")
    (root / "jobs" / "a.py").write_text("def f():\n    from treset.io import fcs\n")
    (root / "jobs" / "b.py").write_text("import json\n")
    (root / "io" / "__init__.py").write_text("")
    (root / "io" / "fcs.py").write_text("from .deep import x\n")
    (root / "io" / "deep.py").write_text("x = 1\n")
    monkeypatch.setattr(fingerprint, "_ROOT", root)
    fingerprint._imports.cache_clear()
    yield root
    fingerprint._imports.cache_clear()


def test_a_change_deep_in_the_imports_changes_the_hash_of_what_uses_it_only(package):
    before = {name: fingerprint.code_hash(f"treset.jobs.{name}") for name in "ab"}
    (package / "io" / "deep.py").write_text("x = 2\n")
    assert fingerprint.code_hash("treset.jobs.a") != before["a"]
    assert fingerprint.code_hash("treset.jobs.b") == before["b"]


def test_the_hash_does_not_depend_on_where_the_package_lies_or_on_the_process():
    code = "from treset.fingerprint import code_hash; print(code_hash('treset.jobs.prepare'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == fingerprint.code_hash("treset.jobs.prepare")


def test_imports_for_type_checkers_only_do_not_count(package):
    before = fingerprint.code_hash("treset.jobs.b")
    code = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from treset.io import deep\n"
    (package / "jobs" / "b.py").write_text(code)
    fingerprint._imports.cache_clear()
    after = fingerprint.code_hash("treset.jobs.b")
    assert after != before
    (package / "io" / "deep.py").write_text("x = 3\n")
    assert fingerprint.code_hash("treset.jobs.b") == after


def test_an_import_counts_wherever_a_statement_may_stand():
    text = """
async def f():
    async with a: import treset.a
    try: import treset.b
    except E: import treset.c
    else: import treset.d
    finally: import treset.e
    for i in a:
        while i: import treset.f
        else: import treset.g
    if a: pass
    elif b: import treset.h
    else: import treset.i
    match a:
        case 1: import treset.j
class C:
    with a: import treset.k
try: pass
except* E: import treset.l
if TYPE_CHECKING: import treset.m
"""
    tree = ast.parse(text)
    found = {node.names[0].name for node in fingerprint._statements(tree.body) if isinstance(node, ast.Import)}
    assert found == {f"treset.{letter}" for letter in "abcdefghijkl"}
    # every kind of block that Python has
    blocks = {name for kind in vars(ast).values() if isinstance(kind, type) for name in getattr(kind, "_fields", ())}
    assert {name for name in blocks if name.endswith(("body", "orelse", "handlers", "cases"))} == {
        "body", "orelse", "finalbody", "handlers", "cases",
    }  # fmt: skip
