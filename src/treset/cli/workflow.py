"""Start Snakemake with the right Snakefile, config and profile."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

import treset
from treset.errors import TresetError
from treset.study import check_files, read_study


def snakefile() -> Path:
    """The Snakefile: of the checkout, or the one shipped in the wheel."""
    package = Path(treset.__file__).resolve().parent
    for candidate in (package.parents[1] / "Snakefile", package / "_workflow" / "Snakefile"):
        if candidate.is_file():
            return candidate
    raise TresetError("the Snakefile is missing from this installation: install treset again")


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
    code = subprocess.run(command, check=False).returncode
    out = study.results / "report.html"
    if code == 0 and out.exists():
        console.print(f"report: {out}")
    elif code:
        console.print(f"not finished: the faults are above, logs in {study.results / 'logs'}; 'treset run' resumes")
    return code
