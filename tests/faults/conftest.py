"""One tiny study, run once through kills; faults are then done to copies of it. What was seen is a table."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.workflow.tiny import make_tiny, undisturbed

ROOT = Path(__file__).resolve().parents[2]
INJECT = Path(__file__).parent / "inject"
TABLE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Ended:
    """How ``treset run`` ended."""

    code: int
    said: str


def treset_run(study: Path, *options: str, kill: str = "", marks: Path | None = None) -> Ended:
    """Start ``treset run`` in a process group of its own; ``kill`` as in inject/sitecustomize.py."""
    environment = dict(os.environ)
    if kill:
        paths = [str(INJECT), *environment.get("PYTHONPATH", "").split(os.pathsep)]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        environment |= {"TRESET_TEST_KILL": kill, "TRESET_TEST_MARKS": str(marks)}
    done = subprocess.run(
        [sys.executable, "-m", "treset", "run", str(study), "--cores", "2", *options],
        cwd=study, env=environment, capture_output=True, text=True, check=False, start_new_session=True,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout + done.stderr)


def results(study: Path) -> Path:
    """The study's results."""
    return study / "results" / "tiny"


@dataclass(frozen=True)
class Recovered:
    """A study that was killed at every stage and resumed."""

    study: Path
    lost: Ended
    resumed: Ended
    #: Files that were there when the node was lost.
    there: frozenset[str]
    locks: int
    undisturbed: bytes


@pytest.fixture(scope="session")
def recovered(tmp_path_factory: pytest.TempPathFactory) -> Recovered:
    """Run: each job killed once, then the node lost while a sample is mapped. Run again: the later jobs killed once."""
    study, marks = tmp_path_factory.mktemp("tiny study"), tmp_path_factory.mktemp("marks")
    config = make_tiny(study)
    expected = undisturbed(config, tmp_path_factory.mktemp("undisturbed")).read_bytes()
    first = "P01_D0/prepared.h5ad=job;cohort/clusters.tsv=job;P01_D8/profile.parquet=all"
    lost = treset_run(study, "--retries", "1", kill=first, marks=marks)
    there = frozenset(str(path.relative_to(results(study))) for path in results(study).rglob("*") if path.is_file())
    locks = len(list((study / ".snakemake" / "locks").glob("*.lock")))
    then = "P01_D8/cells.h5ad=job;tiny/profiles.parquet=job;treg/effects.tsv=job;report.html=job"
    resumed = treset_run(study, "--retries", "1", kill=then, marks=marks)
    assert len(list(marks.iterdir())) == 7, "not every kill took place"
    return Recovered(study, lost, resumed, there, locks, expected)


@pytest.fixture
def copy(recovered: Recovered, tmp_path: Path) -> Path:
    """A copy of the recovered study, with the times of its files."""
    return Path(shutil.copytree(recovered.study, tmp_path / "copy", copy_function=shutil.copy2))


@pytest.fixture
def saw(record_property: Callable[[str, object], None]) -> Callable[[str, str, str], None]:
    """Note a fault, what was promised and what was seen, once the test has held: a row of docs/faults.md."""

    def note(fault: str, promised: str, seen: str) -> None:
        row = f"| {fault} | {promised} | {seen} |"
        record_property("fault", row)
        assert row in TABLE, f"docs/faults.md lacks the row\n{row}"

    return note


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def nobody() -> Iterator[Callable[[], None]]:
    """Give up root's rights to files when called, until the test ends."""
    before = os.geteuid()

    def drop() -> None:
        if before == 0:
            os.seteuid(65534)

    yield drop
    os.seteuid(before)


def killed(code: int) -> bool:
    """Whether a process ended by SIGKILL."""
    return code == -signal.SIGKILL
