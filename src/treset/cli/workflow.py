"""Start Snakemake with the right Snakefile, config and profile, show its progress, and say how it ended."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from treset.cli.ending import failed, read_failures, verdicts
from treset.errors import TresetError
from treset.provenance.source import snakefile
from treset.study import check_files, read_study

__all__ = ["rerun", "run_workflow", "snakefile"]

#: With one of these Snakemake speaks for itself: it plans, or was asked to say more or less.
_OWN_WORDS = ("-n", "--dry-run", "--dryrun", "--logger", "--verbose", "--quiet", "-q", "--lint", "--dag", "--rulegraph",
              "--filegraph", "--summary", "-S", "--report", "--unlock", "--list", "-l", "--help", "-h")  # fmt: skip


def run_workflow(config: Path, profile: str, extra: list[str], console: Console) -> int:
    """Check the study, run Snakemake on it and say where the report is and what to look at first.

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
    """
    study = read_study(config)
    for sentence in [*study.warnings, *check_files(study)]:
        console.print(f"warning: {sentence}", style="yellow")
    source = snakefile()
    shipped = source.parent / "workflow" / "profiles" / profile
    chosen = shipped if shipped.is_dir() else Path(profile)
    if not (chosen / "config.yaml").is_file():
        known = ", ".join(sorted(path.name for path in (source.parent / "workflow" / "profiles").iterdir()))
        raise TresetError(
            f"no profile '{profile}': shipped are {known}; a path to a folder with a config.yaml works too"
        )
    if find_spec("snakemake") is None:
        raise TresetError("snakemake is not installed: pip install snakemake")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(source), "--configfile", str(config.resolve())]
    command += ["--directory", str(study.root)]
    command += ["--workflow-profile", str(chosen.resolve()), *extra]
    own_words = any(option.split("=")[0] in _OWN_WORDS for option in extra)
    if own_words or find_spec("snakemake_logger_plugin_treset") is None:
        code, failures = subprocess.run(command, check=False).returncode, []
    else:
        code, failures = _watched([*command, "--logger", "treset"])
    out = study.results / "report.html"
    if code == 0 and out.exists() and not own_words:
        for line in verdicts(study):
            console.print(line)
    if code == 0 and out.exists():
        console.print(f"report: {out}")
    elif code:
        for line in failed(study, failures, f"treset run {config}"):
            print(line, file=sys.stderr)
    return code


def _watched(command: Sequence[str]) -> tuple[int, list]:
    """Run with the progress on the terminal; give the exit code and the jobs that failed."""
    with tempfile.TemporaryDirectory() as folder:
        failures = Path(folder) / "failures"
        environment = {**os.environ, "TRESET_FAILURES": str(failures)}
        code = subprocess.run(command, check=False, env=environment).returncode
        return code, read_failures(failures)


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
