"""Every tutorial, typed as it stands: each command succeeds and says what the page says it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.conftest import REPOSITORY

PAGES = sorted(path for path in (REPOSITORY / "docs" / "tutorials").glob("*.md") if path.name != "README.md")


def steps(page: Path) -> list[tuple[str, list[str]]]:
    """The commands of a page, each with the lines that its output must hold."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def test_there_is_a_tutorial_for_every_design() -> None:
    assert [page.stem for page in PAGES] == [
        "cart-lupus",
        "il2-open-label",
        "il2-placebo",
        "pstat5-dose",
        "stimulation",
    ]
    listed = (REPOSITORY / "docs" / "tutorials" / "README.md").read_text(encoding="utf-8")
    assert all(f"]({page.name})" in listed and len(steps(page)) >= 3 for page in PAGES)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_page_runs_as_it_stands(page: Path, tmp_path: Path) -> None:
    command = tmp_path / "bin" / "treset"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m treset "$@"\n')
    command.chmod(0o755)
    environment = {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}"}
    for typed, expected in steps(page):
        done = subprocess.run(
            typed, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (typed, done.stdout, done.stderr)
        for line in expected:
            assert line in done.stdout, (typed, line, done.stdout)
