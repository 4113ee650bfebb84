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
