"""Snakemake's own report of a finished study: its rules, their code, run times and dates."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from treset.environment import job_environment
from treset.errors import TresetError
from treset.io.files import atomic
from treset.provenance.source import snakefile
from treset.study import read_study


def export_workflow(config: Path, out: Path | None = None) -> Path:
    """Have Snakemake write its report as a zip; everything it shows is packaged with Snakemake, no network is needed.

    Parameters
    ----------
    config
        config.yaml of a study that has run.
    out
        The file (``.zip``); None: ``workflow.zip`` beside the study's ``report.html``.

    Returns
    -------
    The file, which holds a folder of its own name with ``report.html``.

    Raises
    ------
    TresetError
        The study has no report yet, the name does not end in .zip, or Snakemake cannot make it (in its own words).
    """
    study = read_study(config, files=False)
    target = study.results / "workflow.zip" if out is None else out
    if target.suffix != ".zip":
        raise TresetError(f"--out {target}: Snakemake's report is a zip, name a file that ends in .zip")
    if not (study.results / "report.html").is_file():
        raise TresetError(f"{study.results} has no report.html: run the study first (treset run {config})")
    with tempfile.TemporaryDirectory() as folder:
        # the folder inside the zip is named after the file, so the name is the final one from the start
        made = Path(folder) / target.name
        command = [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(snakefile())),
            *("--configfile", str(config.resolve()), "--directory", str(study.root)),
            *("--workflow-profile", "none", "--cores", "1", "--report", str(made)),
        ]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env=job_environment(dict(os.environ), study.root)
        )
        if done.returncode or not made.is_file():
            raise TresetError(f"Snakemake could not write its report of {study.name}: {_last_words(done.stderr)}")
        with atomic(target) as temporary:
            shutil.copyfile(made, temporary)
    return target


def _last_words(told: str) -> str:
    """What Snakemake said at the end, as one sentence, and what to do where its packaged files are not there."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    said = " ".join(lines[-3:]) or "it said nothing"
    if "ownload" in told:
        said += (
            "; this Snakemake lacks files that its packages hold: install snakemake from PyPI or bioconda, not source"
        )
    return said
