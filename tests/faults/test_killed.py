"""Killed jobs, a lost node, two runs in one folder: nothing lost, nothing half-written taken for whole."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import anndata
import pandas as pd
import pytest

from tests.faults.conftest import Recovered, killed, results, treset_run
from treset.cli.lock import engine_processes, run_lock
from treset.cli.workflow import sweep
from treset.errors import TresetError

Saw = Callable[[str, str, str], None]


@pytest.mark.parametrize(
    ("stage", "file"),
    [
        ("prepare", "prepare"), ("the cohort's job, between two of its files", "cohort"), ("map", "map"),
        ("profiles", "profiles"), ("a monitor", "monitor"), ("the report", "report"),
    ],
)  # fmt: skip
def test_a_job_killed_while_it_writes_runs_again(recovered: Recovered, saw: Saw, stage: str, file: str) -> None:
    said = recovered.lost.said if file in ("prepare", "cohort") else recovered.resumed.said
    assert re.search(rf"job failed: {file}\b", said), said[-3000:]
    assert recovered.resumed.code == 0, recovered.resumed.said[-3000:]
    assert (results(recovered.study) / "profiles.parquet").read_bytes() == recovered.undisturbed
    saw(f"SIGKILL of {stage}", "runs again; no half-written file is read", "the same profiles.parquet")


def test_a_lost_node_leaves_only_whole_files(recovered: Recovered, saw: Saw) -> None:
    assert killed(recovered.lost.code) and recovered.locks > 0
    assert "samples/P01_D8/profile.parquet" not in recovered.there and "profiles.parquet" not in recovered.there
    assert [name for name in recovered.there if Path(name).name.startswith(".")], "a half-written file was expected"
    assert {"samples/P01_D0/prepared.h5ad", "cohort/sketch.h5ad"} <= recovered.there
    saw(
        "a lost node: Snakemake, treset and the job killed at once",
        "no final name for a half-written file",
        "only hidden temporary files are cut short",
    )


def test_a_stale_lock_does_not_shut_out_the_next_run(recovered: Recovered, saw: Saw) -> None:
    assert re.search(r"removed \d half-written files? of an interrupted run", recovered.resumed.said)
    planned = set(re.findall(r"^(?:local)?rule (\w+):", recovered.resumed.said, flags=re.MULTILINE))
    assert "prepare" not in planned and "cohort" not in planned
    assert "half-written files of killed jobs" in recovered.resumed.said
    assert not [path for path in results(recovered.study).rglob(".*")]
    assert not list((recovered.study / ".snakemake").glob("locks/*"))
    saw(
        "the lock that a killed Snakemake left",
        "`treset run` resumes by itself where no process holds it",
        "resumed, with the missing jobs only",
    )


def test_every_final_file_can_be_read(recovered: Recovered) -> None:
    for path in results(recovered.study).rglob("*.h5ad"):
        anndata.read_h5ad(path)
    for path in results(recovered.study).rglob("*.parquet"):
        pd.read_parquet(path)


def test_a_second_run_in_the_same_folder_is_refused(copy: Path, saw: Saw) -> None:
    before = (results(copy) / "profiles.parquet").stat().st_mtime_ns
    with run_lock(copy):
        ended = treset_run(copy)
    assert ended.code == 2
    assert ended.said.count("error:") == 1 and "Traceback" not in ended.said
    assert f"another run of this study is going on (process {os.getpid()} on " in ended.said
    assert (results(copy) / "profiles.parquet").stat().st_mtime_ns == before
    saw("two runs started in one folder", "the second ends with one sentence", "refused, naming the first's process")


def test_the_lock_lives_as_long_as_the_snakemake_that_treset_started(tmp_path: Path, saw: Saw) -> None:
    script = (
        "import os, signal, subprocess, sys\nfrom pathlib import Path\nfrom treset.cli.lock import run_lock\n"
        "with run_lock(Path(sys.argv[1])) as lock:\n"
        "    child = subprocess.Popen(['sleep', '60'], pass_fds=(lock,), stdout=subprocess.DEVNULL)\n"
        "    print(child.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True, check=False)
    child = int(done.stdout)
    try:
        with pytest.raises(TresetError, match="another run of this study is going on"), run_lock(tmp_path):
            pass
    finally:
        os.kill(child, 9)
    for _ in range(100):
        # a killed process lets go of its files a moment after it is gone from the list
        with suppress(TresetError), run_lock(tmp_path):
            break
        time.sleep(0.05)
    else:
        pytest.fail("the lock outlived the process by 5 s")
    saw(
        "SIGKILL of `treset run` alone, its Snakemake lives on",
        "the folder stays locked until that ends too",
        "locked, then free",
    )


def _engine_lock(folder: Path, holder: dict) -> Path:
    lock = folder / ".snakemake" / "locks" / "0.input.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("data/a.fcs\n")
    (folder / ".snakemake" / "treset.lock").write_text(json.dumps(holder))
    return lock


def test_a_lock_from_another_machine_is_left_with_the_way_out(tmp_path: Path, saw: Saw) -> None:
    lock = _engine_lock(tmp_path, {"host": "login2", "pid": 77})
    with pytest.raises(TresetError, match=r"a run on login2 \(process 77\).*'treset run --unlock'"), run_lock(tmp_path):
        pass
    assert lock.exists()
    saw("a lock left on another machine", "not taken away: it may still run there", "one sentence that says how")


def test_a_bare_snakemake_at_work_is_seen(tmp_path: Path, saw: Saw) -> None:
    lock = _engine_lock(tmp_path, {})
    script = "import sys, time; print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script, "snakemake"], cwd=tmp_path, stdout=subprocess.PIPE) as at_work:
        at_work.stdout.readline()
        try:
            assert engine_processes(tmp_path) == [at_work.pid]
            with pytest.raises(TresetError, match=f"Snakemake is at work in this folder .process {at_work.pid}"):
                run_lock(tmp_path).__enter__()
        finally:
            at_work.kill()
    assert lock.exists()
    saw("`treset run` beside a bare `snakemake`", "refused while that works", "refused, naming the process")


def test_a_file_system_without_locks_is_left_to_snakemake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with run_lock(tmp_path):
        assert json.loads((tmp_path / ".snakemake" / "treset.lock").read_text())["pid"] == os.getpid()


def test_the_sweep_takes_temporary_files_only(tmp_path: Path) -> None:
    for name in ("a/.0123abcd.cells.h5ad", "a/.keep", "a/cells.h5ad", ".hidden.h5ad"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert sweep(tmp_path) == 1
    assert not (tmp_path / "a/.0123abcd.cells.h5ad").exists() and (tmp_path / "a/.keep").exists()
