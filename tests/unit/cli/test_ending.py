"""What a run says while it works and at its end."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest
from rich.console import Console

from snakemake_logger_plugin_treset import LogHandler
from treset.cli.ending import Failure, failed, read_failures, sentence, verdicts
from treset.study import read_study

CONFIG = """\
study: s
modality: mass_cytometry
samples: samples.tsv
monitors:
  bcell: {}
"""


@pytest.fixture
def handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LogHandler:
    monkeypatch.setenv("TRESET_FAILURES", str(tmp_path / "failures"))
    made = LogHandler(None, None)  # type: ignore[arg-type]
    made.console = Console(file=io.StringIO(), force_terminal=False)
    return made


def say(handler: LogHandler, level: int = logging.INFO, message: str = "", **told: object) -> None:
    record = logging.LogRecord("snakemake", level, "", 0, message, None, None)
    record.__dict__.update(told)
    handler.emit(record)


def written(handler: LogHandler) -> str:
    return handler.console.file.getvalue()  # type: ignore[attr-defined]


def test_elsewhere_than_a_terminal_each_tenth_is_said(handler: LogHandler) -> None:
    for done in range(1, 101):
        say(handler, event="progress", done=done, total=100)
    assert written(handler).splitlines() == [f"{10 * k} of 100 jobs done" for k in range(1, 11)]


def test_in_a_terminal_the_bar_names_the_samples(handler: LogHandler) -> None:
    handler.console = Console(file=io.StringIO(), force_terminal=True, width=200)
    say(handler, event="run_info", stats={"total": 5})
    for job in range(5):
        say(handler, event="job_info", jobid=job, rule_name="prepare", wildcards={"sample": f"P{job}"})
    say(handler, event="job_finished", job_id=0)
    say(handler, event="progress", done=1, total=5)
    assert handler.bar is not None
    assert handler.bar.tasks[0].description == "prepare P1, prepare P2, prepare P3 and 1 more"
    assert (handler.bar.tasks[0].completed, handler.bar.tasks[0].total) == (1, 5)
    handler.close()
    assert handler.bar is None


def test_a_failed_job_is_told_with_its_sample_and_snakemake_is_quiet(handler: LogHandler, tmp_path: Path) -> None:
    say(handler, event="job_info", jobid=3, rule_name="map", wildcards={"sample": "P1"})
    for _attempt in range(2):
        say(handler, event="job_error", jobid=3, rule_name="map", log=["results/s/logs/map/P1.log"])
    say(handler, logging.ERROR, "RuleException: non-zero exit status", event="error")
    handler.close()
    assert written(handler).splitlines() == ["job failed: map P1", "job failed: map P1"]  # the job and its retry
    assert read_failures(tmp_path / "failures") == [Failure("map", "P1", ("results/s/logs/map/P1.log",))]


def test_without_a_failed_job_snakemakes_own_fault_is_shown(handler: LogHandler) -> None:
    say(handler, logging.ERROR, "LockException: the folder is locked", event="error")
    handler.close()
    assert "the folder is locked" in written(handler)


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("reading\nerror: P1.fcs is cut off, copy it again\n", "P1.fcs is cut off, copy it again"),
        ("error: 2 faults:\n  - one\n  - two\n", "2 faults: - one - two"),
        ("Traceback\n  file\nKeyError: 'x'\n", "KeyError: 'x'"),
        ("", "the job ended without a word: it was stopped from outside (memory, time limit or a lost node)"),
    ],
)
def test_the_sentence_of_a_log(tmp_path: Path, log: str, said: str) -> None:
    (tmp_path / "job.log").write_text(log)
    assert sentence(tmp_path / "job.log") == said
    assert "left no log" in sentence(tmp_path / "none.log")


def test_the_end_says_verdicts_or_how_to_go_on(tmp_path: Path) -> None:
    rows = "a\ta.fcs\tp\tD0\t0\t\nb\tb.fcs\tp\tD8\t8\tlost\n"
    (tmp_path / "samples.tsv").write_text("sample\tfile\tpatient\tvisit\tday\texclude\n" + rows)
    (tmp_path / "config.yaml").write_text(CONFIG)
    study = read_study(tmp_path / "config.yaml", files=False)
    folder = study.results / "monitors" / "bcell"
    folder.mkdir(parents=True)
    summary = {"title": "B-cell reset", "verdict": "not met", "reason": "1 of 9."}
    (folder / "summary.json").write_text(json.dumps(summary))
    (study.results / "quality.tsv").write_text("sample\tfilter\tkept\na\tbeads\t900\na\tviability\t20\n")
    assert verdicts(study) == [
        "B-cell reset: not met - 1 of 9.",
        "Data quality: 0 of 1 samples have 500 kept cells; fewer: a; 1 excluded by the sheet",
    ]
    log = study.results / "logs" / "map" / "a.log"
    log.parent.mkdir(parents=True)
    log.write_text("error: the disk is full\n")
    lines = failed(study, [Failure("map", "a", (str(log.relative_to(tmp_path)),))], "treset run here")
    assert lines == [
        "failed: map, a", "  the disk is full", f"  log: {log}",
        "what is done is kept; mend it, then resume with:  treset run here",
    ]  # fmt: skip
