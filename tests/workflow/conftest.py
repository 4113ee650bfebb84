"""A small simulated trial, run once through the real workflow; tests look at it and at copies of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

CONFIG = """\
study: small
title: Small simulated trial
modality: mass_cytometry
samples: samples.tsv
panel: panel.tsv
baseline: D0
seed: 3
backend: cpu
cohort: {sketch_cells: 6000, umap_epochs: 50}
monitors:
  treg:
    min_events: 20
    endpoints:
      - {name: treg_expansion, role: primary, population: Treg, measure: percent_of_parent, visit: D8}
      - {name: cd8_share, role: secondary, population: CD8 T, measure: percent_of_parent, visit: D8, direction: either}
  discovery: {column: visit, reference: D0, test: D8, pair: patient}
"""


def treset(*arguments: str, cwd: Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "treset", *arguments],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def snakemake(study: Path, *arguments: str, environment: dict[str, str] | None = None) -> str:
    """What Snakemake says; a failure fails the test with its output."""
    done = treset("run", str(study), "--cores", "2", *arguments, cwd=study, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def planned(study: Path, environment: dict[str, str] | None = None) -> dict[str, set[str]]:
    """Rule -> samples (or monitors) of the jobs that a run would execute now."""
    said = snakemake(study, "-n", "--quiet", "host", environment=environment)
    jobs: dict[str, set[str]] = {}
    rule = ""
    for line in said.splitlines():
        words = line.split()
        if line.startswith(("rule ", "localrule ")):
            rule = words[1].rstrip(":")
            jobs.setdefault(rule, set())
        elif words[:1] == ["wildcards:"]:
            jobs[rule].add(words[1].partition("=")[2])
    jobs.pop("all", None)
    return jobs


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study of 6 patients at 2 visits, run to its report."""
    if reuse := os.environ.get("TRESET_FINISHED_STUDY"):
        return Path(reuse)
    # one for all workers of pytest-xdist, which share the folder above their own
    shared = (
        tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else tmp_path_factory.getbasetemp()
    )
    folder, done = shared / "small study", shared / "small study.done"
    try:
        folder.mkdir()
    except FileExistsError:
        return _waited(folder, done)
    try:
        _finish(folder)
        done.write_text("finished", encoding="utf-8")
    finally:
        if not done.exists():
            done.write_text("failed", encoding="utf-8")
    return folder


def _waited(folder: Path, done: Path, seconds: float = 900.0) -> Path:
    """The study that another worker runs."""
    end = time.monotonic() + seconds
    while not (done.exists() and done.read_text(encoding="utf-8")):
        assert time.monotonic() < end, f"{folder} was not finished by the worker that started it"
        time.sleep(0.5)
    assert done.read_text(encoding="utf-8") == "finished", "the study failed in another worker"
    return folder


def small_study(folder: Path, config: str) -> None:
    """Write the raw files, sheet, panel and config of the small trial."""
    from treset.io.table import write_tsv
    from treset.simulate import expected_sheet, plan, write

    trial = plan(
        "il2_open_label", patients=6, events=2500, seed=5, visits=["D0", "D8"], days=[0, 8], treg_folds=[1.0, 2.5],
        cd25_folds=[1.0, 1.8], foxp3_folds=[1.0, 1.3], nk_bright_folds=[1.0, 1.0], diseases=["lupus", "arthritis"],
    )  # fmt: skip
    write(trial, folder / "data")
    write_tsv(expected_sheet(trial), folder / "samples.tsv")
    write_tsv(trial.panel, folder / "panel.tsv")
    (folder / "config.yaml").write_text(config, encoding="utf-8")


def _finish(folder: Path) -> None:
    small_study(folder, CONFIG)
    snakemake(folder)


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished study, with the times of its files, that a test may change."""
    target = tmp_path / "copy"
    shutil.copytree(finished, target, copy_function=shutil.copy2)
    return target


def summary(study: Path, monitor: str) -> dict:
    """A monitor's ``summary.json``."""
    return json.loads((study / "results" / "small" / "monitors" / monitor / "summary.json").read_text())
