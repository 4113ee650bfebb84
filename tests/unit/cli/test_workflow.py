"""What `treset run` gives to Snakemake, and what it says afterwards."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from rich.console import Console
from tests.workflow.tiny import make_tiny

from treset.cli import workflow
from treset.io.checksum import InputRecord, write_record
from treset.study import read_study
from treset.study.inputs import record_file


class Started:
    """Stands for Snakemake: notes how it was started."""

    def __init__(self) -> None:
        self.command: list[str] = []
        self.locked: tuple[int, ...] = ()

    def __call__(self, command: list[str], **options: object) -> SimpleNamespace:
        self.command, self.locked = command, options["pass_fds"]  # type: ignore[assignment]
        return SimpleNamespace(returncode=0)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("study"), events=600)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    found = Started()
    monkeypatch.setattr(subprocess, "run", found)
    return found


def test_options_and_targets_of_the_user_come_last(config: Path, started: Started) -> None:
    extra = ["results/tiny/profiles.parquet", "--cores", "3", "--retries", "1"]
    workflow.run_workflow(config, "default", extra, Console(quiet=True))
    assert started.command[-5:] == extra
    # a word after an option that takes many would be taken for one of its values
    assert started.command[-7] == "--workflow-profile"
    assert len(started.locked) == 1


def test_a_plan_takes_no_lock(config: Path, started: Started) -> None:
    for option in ("-n", "-np", "--dry-run", "--unlock", "--lint", "--summary"):
        workflow.run_workflow(config, "default", [option], Console(quiet=True))
        assert started.locked == (), option
    workflow.run_workflow(config, "default", ["--nolock"], Console(quiet=True))
    assert len(started.locked) == 1


@pytest.mark.parametrize(("profile", "gpu"), [("default", False), ("workstation", True)])
def test_jobs_of_this_machine_share_its_memory(config: Path, started: Started, profile: str, gpu: bool) -> None:
    workflow.run_workflow(config, profile, [], Console(quiet=True))
    given = started.command[started.command.index("--resources") + 1 :]
    assert ("gpu=1" in given) == gpu
    memory = next(int(word.removeprefix("mem_mb=")) for word in given if word.startswith("mem_mb="))
    total = int(Path("/proc/meminfo").read_text().split()[1]) / 1024
    assert 0.89 * total < memory <= 0.9 * total


def test_a_cluster_has_its_own_memory_and_the_user_the_last_word(config: Path, started: Started) -> None:
    workflow.run_workflow(config, "slurm", [], Console(quiet=True))
    assert "--resources" not in started.command
    workflow.run_workflow(config, "default", ["--resources", "mem_mb=100"], Console(quiet=True))
    assert started.command.count("--resources") == 1


def test_a_changed_file_is_named_and_forced(
    tmp_path: Path, started: Started, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_tiny(tmp_path, events=600)
    study = read_study(config)
    write_record(InputRecord(1, 1, "0" * 64), record_file(study, "P01_D8"))
    workflow.run_workflow(config, "default", [], Console(soft_wrap=True))
    assert "changed: sample 'P01_D8'" in capsys.readouterr().out
    place = started.command.index("--forcerun")
    assert started.command[place + 1 : place + 3] == ["results/tiny/samples/P01_D8/prepared.h5ad", "--directory"]
    workflow.run_workflow(config, "default", ["--forcerun", "cohort"], Console(quiet=True))
    assert started.command[-3:] == ["--forcerun", "results/tiny/samples/P01_D8/prepared.h5ad", "cohort"]


def test_what_slurm_did_to_a_job_is_said(tmp_path: Path) -> None:
    log = tmp_path / ".snakemake" / "slurm_logs" / "rule_cohort" / "2.log"
    log.parent.mkdir(parents=True)
    log.write_text("host: n1\nslurmstepd-n1: error: Exceeded job memory limit\n")
    (log.parent / "3.log").write_text("Finished jobid: 0\n")
    assert workflow._scheduler_faults(tmp_path, 0) == [
        f"slurm job 2: slurmstepd-n1: error: Exceeded job memory limit ({log})"
    ]
    assert workflow._scheduler_faults(tmp_path, log.stat().st_mtime + 1) == []


def test_shipped_profiles_are_found_by_name_and_others_by_path(tmp_path: Path) -> None:
    source = workflow.snakefile()
    for name in ("default", "workstation", "slurm"):
        found = workflow._profile(source, name) / "config.yaml"
        assert isinstance(yaml.safe_load(found.read_text(encoding="utf-8")), dict)
    (tmp_path / "config.yaml").write_text("cores: 1\n")
    assert workflow._profile(source, str(tmp_path)) == tmp_path
