"""``treset parity``: a study by the CPU and by the GPU, compared."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
from rich.console import Console

from treset.cli.workflow import run_workflow
from treset.compute.probe import probe_gpu
from treset.errors import TresetError
from treset.io.files import atomic
from treset.parity import compare
from treset.study import read_study
from treset.study.model import Study


def run_parity(config: Path, profile: str, report: bool, extra: list[str], console: Console) -> int:
    """Run a study twice, compare, and say what was found.

    Both runs are whole (raw files to verdicts) and lie in ``parity/cpu`` and ``parity/gpu`` of the study's results;
    what is up to date there is not run again.

    Parameters
    ----------
    config
        config.yaml of the study.
    profile
        Workflow profile.
    report
        Whether the comparison goes into the study's report, which is then made (and the study run where it is not
        done).
    extra
        Options passed on to Snakemake.
    console
        Where the user reads.

    Returns
    -------
    0 where the backends agree, 1 where they do not or a run failed.

    Raises
    ------
    TresetError
        No GPU is usable here.
    """
    study = read_study(config)
    gpu = probe_gpu()
    if not gpu.usable:
        raise TresetError(f"treset parity needs a GPU beside the CPU, and none is usable: {gpu.reason}")
    folder, sides = study.results / "parity", {}
    for side in ("cpu", "gpu"):
        console.print(f"parity: the study on the {side}")
        values = ["--config", f"backend={side}", f"results={folder / side}"]
        if code := run_workflow(config, profile, [*extra, *values], console):
            return code
        sides[side] = folder / side / study.name
    found = compare(study, sides["cpu"], sides["gpu"], _steps(study, sides["cpu"], folder / "steps.json"))
    _write(found, folder / "parity.json")
    for line in sentences(found):
        console.print(line)
    if report:
        _write(found, study.results / "parity.json")
        if code := run_workflow(config, profile, extra, console):
            return code
    console.print(f"wrote {folder / 'parity.json'}")
    return 0 if found["agree"] else 1


def sentences(found: dict) -> list[str]:
    """The comparison as the command prints it."""
    lines = []
    for check in found["checks"]:
        word = {True: "within", False: "NOT WITHIN", None: "not judged"}[check["within"]]
        value = "-" if check["found"] is None else f"{check['found']:.4g}"
        allowed = "" if check["allowed"] is None else f" (tolerance {check['allowed']:.4g})"
        lines.append(f"{check['what']}: {value}{allowed}: {word}; {check['note']}")
    lines.append(f"{'the backends agree' if found['agree'] else 'the backends DO NOT agree'}: {found['reason']}")
    return lines


def _steps(study: Study, cpu: Path, out: Path) -> dict:
    """The steps on the CPU run's sketch, in a process of their own."""
    resolution = None
    if study.cohort.algorithm == "leiden":
        table = pd.read_csv(cpu / "cohort" / "stability.tsv", sep="\t")
        resolution = float(table.loc[table["chosen"].astype(str) == "True", "setting"].iloc[0])
    asked = {"neighbors": study.cohort.neighbors, "resolution": resolution, "seed": study.seed}
    command = [sys.executable, "-m", "treset.parity.steps", str(cpu / "cohort" / "sketch.h5ad"), str(out)]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise TresetError(f"the steps could not be compared: {last.removeprefix('error: ')}")
    return json.loads(out.read_text(encoding="utf-8"))


def _write(found: dict, path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
