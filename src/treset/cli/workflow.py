"""Start Snakemake with the right Snakefile, config and profile, show its progress, and say how it ended."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from treset.cli.ending import Failure, failed, read_failures, verdicts
from treset.cli.lock import run_lock
from treset.environment import job_environment
from treset.errors import TresetError
from treset.provenance.source import snakefile
from treset.study import check_files, read_study
from treset.study.inputs import Changed, changed_inputs, dated_ahead, prepared_file
from treset.study.model import Study

#: Options with which Snakemake runs nothing.
_PLANS = re.compile(
    r"-[a-zA-Z]*n[a-zA-Z]*|--(dry-?run|lint|unlock|summary|detailed-summary|dag|rulegraph|filegraph|list.*|report|"
    r"help|version|delete-.*|archive|cleanup-.*|containerize|generate-.*)"
)
_TEMPORARY = re.compile(r"\.[0-9a-f]{8}\..+")


__all__ = ["rerun", "run_workflow", "snakefile"]

#: With one of these Snakemake speaks for itself: it plans, or was asked to say more or less.
_OWN_WORDS = ("--logger", "--verbose", "--quiet", "-q")


def run_workflow(config: Path, profile: str, extra: list[str], console: Console) -> int:
    """Check the study, run Snakemake on it and say where the report is.

    Parameters
    ----------
    config
        config.yaml of the study.
    profile
        Name of a folder in ``workflow/profiles``, or a path.
    extra
        Options passed on to Snakemake.
    console
        Where the user reads.

    Returns
    -------
    Snakemake's exit code.

    Raises
    ------
    TresetError
        A fault of the study, the profile or the installation; another run in the same folder; a folder of results that
        cannot be written.
    """
    study = read_study(config)
    for sentence in [*study.warnings, *check_files(study), *dated_ahead(study)]:
        console.print(f"warning: {sentence}", style="yellow")
    source = snakefile()
    chosen = _profile(source, profile)
    if find_spec("snakemake") is None:
        raise TresetError("snakemake is not installed: pip install snakemake")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(source), "--configfile", str(config.resolve())]
    changed = changed_inputs(study)
    for one in changed:
        console.print(f"changed: {one.sentence()}", style="yellow")
    plans = any(_PLANS.fullmatch(word) for word in extra)
    own_words = any(word.split("=")[0] in _OWN_WORDS for word in extra)
    watched = not plans and not own_words and find_spec("snakemake_logger_plugin_treset") is not None
    command += [*_limits(chosen, extra), *(["--logger", "treset"] if watched else []), *_forced(study, changed, extra)]
    # options with one value come last: those before take every word that follows, a target of the user's too
    command += ["--directory", str(study.root), "--workflow-profile", str(chosen.resolve()), *extra]
    started = time.time()
    with nullcontext() if plans else run_lock(study.root) as lock:
        if lock is not None:
            _writable(study.results)
            _swept(study.results, "an interrupted run", console)
        # the lock goes with the process that does the work: it holds as long as either lives
        keep = (lock,) if lock is not None else ()
        code, failures = _run(command, keep, job_environment(_environment(source), study.root), watched)
        if lock is not None:
            _swept(study.results, "killed jobs", console)
    out = study.results / "report.html"
    if plans:
        return code
    for sentence in _scheduler_faults(study.root, started):
        console.print(sentence)
    if code == 0 and out.exists():
        for line in verdicts(study) if watched else []:
            console.print(line)
        console.print(f"report: {out}")
        for one in changed_inputs(study):
            console.print(f"changed while the study ran: {one.sentence()} ('treset run')", style="yellow")
    elif code:
        for line in failed(study, failures, f"treset run {config}"):
            print(line, file=sys.stderr)
    return code


def _run(
    command: Sequence[str], keep: Sequence[int], environment: dict[str, str], watched: bool
) -> tuple[int, list[Failure]]:
    """Run, with the progress on the terminal where it is watched; give the exit code and the jobs that failed."""
    if not watched:
        return subprocess.run(command, check=False, pass_fds=keep, env=environment).returncode, []
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "failures"
        environment = {**environment, "TRESET_FAILURES": str(told)}
        code = subprocess.run(command, check=False, pass_fds=keep, env=environment).returncode
        return code, read_failures(told)


def _profile(source: Path, profile: str) -> Path:
    shipped = source.parent / "workflow" / "profiles" / profile
    chosen = shipped if shipped.is_dir() else Path(profile)
    if not (chosen / "config.yaml").is_file():
        known = ", ".join(sorted(path.name for path in (source.parent / "workflow" / "profiles").iterdir()))
        raise TresetError(
            f"no profile '{profile}': shipped are {known}; a path to a folder with a config.yaml works too"
        )
    return chosen


def _limits(profile: Path, extra: list[str]) -> list[str]:
    """Give Snakemake this machine's memory, which nobody else counts where the jobs run here.

    Jobs then wait for each other rather than run out of memory together.
    """
    settings: dict[str, Any] = yaml.safe_load((profile / "config.yaml").read_text(encoding="utf-8")) or {}
    given = settings.get("resources") or {}
    memory = _memory_mb()
    asked = any(word in ("--resources", "--res") or word.startswith(("--executor", "-e")) for word in extra)
    if "executor" in settings or not isinstance(given, dict) or "mem_mb" in given or asked or memory is None:
        return []
    return ["--resources", *(f"{name}={value}" for name, value in {**given, "mem_mb": memory}.items())]


def _memory_mb() -> int | None:
    """Nine tenths of the memory, so that the system keeps some."""
    path = Path("/proc/meminfo")
    if not path.exists():
        return None
    found = re.search(r"MemTotal:\s+(\d+) kB", path.read_text())
    return int(int(found.group(1)) / 1024 * 0.9) if found else None


def _forced(study: Study, changed: list[Changed], extra: list[str]) -> list[str]:
    """Have what was made of changed files made again: Snakemake looks at times, which a copy may have kept.

    Where the user forces jobs too, the files join theirs in ``extra``: of two such options Snakemake heeds the last.
    """
    if not changed:
        return []
    files = [prepared_file(study, one.sample) for one in changed]
    root = study.root
    names = [str(path.relative_to(root) if path.is_relative_to(root) else path) for path in files]
    for option in ("--forcerun", "-R"):
        if option in extra:
            place = extra.index(option) + 1
            extra[place:place] = names
            return []
    return ["--forcerun", *names]


def _writable(results: Path) -> None:
    """Refuse to start where the results cannot be written: Snakemake would say so once for every job."""
    folder = results
    while not folder.exists():
        folder = folder.parent
    probe = folder / f".{os.getpid():08x}.writable"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise TresetError(
            f"{folder}: the folder of the results cannot be written ({error.strerror}): change its permissions, free "
            "space, or set 'results' in the config to another folder"
        ) from None


def _environment(source: Path) -> dict[str, str]:
    """Name the checkout for ``envs/*.post-deploy.sh``, which installs treset into a new conda environment."""
    checkout = {"TRESET_SOURCE": str(source.parent)} if (source.parent / "pyproject.toml").is_file() else {}
    return {**checkout, **os.environ}


def _swept(results: Path, whose: str, console: Console) -> None:
    removed = sweep(results)
    if removed:
        console.print(f"removed {removed} half-written file{'s' if removed > 1 else ''} of {whose}")


def sweep(results: Path) -> int:
    """Delete the temporary files that killed jobs left; none is in use while the study's lock is held.

    Returns
    -------
    How many there were.
    """
    left = [path for path in results.rglob(".*") if path.is_file() and _TEMPORARY.fullmatch(path.name)]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _scheduler_faults(root: Path, since: float) -> list[str]:
    """Say what Slurm itself did to jobs (memory, time, a node), those that a retry mended too; no rule's log has it."""
    found = []
    for path in sorted((root / ".snakemake" / "slurm_logs").rglob("*.log")):
        if path.stat().st_mtime >= since:
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            told = [line for line in lines if line.startswith("slurmstepd") and "error" in line]
            found += [f"slurm job {path.stem}: {line} ({path})" for line in told[-1:]]
    return found


def rerun(provenance: Path, folder: Path | None, profile: str, extra: list[str], console: Console) -> int:
    """Run a study again from its provenance and compare ``profiles.parquet`` with the recorded one.

    Parameters
    ----------
    provenance
        ``results/<study>/provenance``.
    folder
        Where to; None: ``rerun-<study>`` in the current folder.
    profile, extra, console
        As of `run_workflow`.

    Returns
    -------
    Snakemake's exit code; 3 when the run succeeded on the CPU and its profiles differ from the recorded ones.
    """
    from treset.provenance.rerun import compare, prepare_rerun, read_run

    run = read_run(provenance)
    target = folder or Path(f"rerun-{run['study']}")
    config = prepare_rerun(provenance, target)
    console.print(f"rerun of {run['study']} in {target}")
    code = run_workflow(config, profile, extra, console)
    profiles = target / "results" / run["study"] / "profiles.parquet"
    if code or not profiles.is_file():
        return code
    same, said = compare(provenance, profiles)
    console.print(said)
    return 0 if same or run["backend"]["used"] != "cpu" else 3
