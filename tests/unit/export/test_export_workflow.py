"""Snakemake's own report: where it goes, and what is said where it cannot be made (made for real in tests/workflow)."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.workflow.tiny import make_tiny

from treset.errors import TresetError
from treset.export.workflow import export_workflow
from treset.study import read_study


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("study"), events=600)


@pytest.fixture
def finished(config: Path) -> Path:
    out = read_study(config, files=False).results
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.html").write_text("done")
    return out


def stands_for(monkeypatch: pytest.MonkeyPatch, code: int, told: str, written: bytes | None) -> None:
    def run(command: list[str], **options: object) -> SimpleNamespace:
        if written is not None:
            Path(command[command.index("--report") + 1]).write_bytes(written)
        return SimpleNamespace(returncode=code, stderr=told)

    monkeypatch.setattr(subprocess, "run", run)


def test_it_goes_beside_the_report(config: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stands_for(monkeypatch, 0, "Report created.", b"zip")
    assert export_workflow(config) == finished / "workflow.zip"
    assert (finished / "workflow.zip").read_bytes() == b"zip"


def test_a_study_that_has_not_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(TresetError, match=r"has no report.html: run the study first"):
        export_workflow(make_tiny(tmp_path, events=600))


def test_only_a_zip_is_made(config: Path, finished: Path) -> None:
    with pytest.raises(TresetError, match=r"ends in \.zip"):
        export_workflow(config, finished / "workflow.html")


def test_snakemakes_words_are_passed_on(config: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (finished / "workflow.zip").unlink(missing_ok=True)
    stands_for(monkeypatch, 1, "WorkflowError:\nFile x is missing.\n", None)
    with pytest.raises(TresetError, match="WorkflowError: File x is missing"):
        export_workflow(config)
    stands_for(monkeypatch, 1, "Failed to download asset https://x\n", None)
    with pytest.raises(TresetError, match="install snakemake from PyPI or bioconda"):
        export_workflow(config)
    assert not (finished / "workflow.zip").exists()
