"""A job that the GPU's memory could not hold, once more: whole, on the CPU, in a fresh process.

An error of CUDA can poison the process in which it happened, and half a result from each device would be neither's.
``python -m treset.jobs.again`` reads the job as JSON from its standard input.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from treset.compute import DeviceError
from treset.errors import TresetError
from treset.plain import from_plain, to_plain

#: Job -> its module, its function and the class of its settings.
JOBS = {
    "cohort": ("treset.jobs.cohort", "cohort", "CohortSettings"),
    "map": ("treset.jobs.map", "map_sample", "MapSettings"),
}


def on_backend[Settings](
    name: str,
    job: Callable[[Settings], None],
    settings: Settings,
    paths: Mapping[str, Path | Mapping[str, Path] | None],
) -> None:
    """Run a job; where the GPU that ``auto`` chose runs out of memory, repeat all of it on the CPU.

    Parameters
    ----------
    name
        Of the job, one of :data:`JOBS`.
    job
        The job, of its settings.
    settings
        With ``backend`` and ``fell_back``, which says why in the second run.
    paths
        The function's other arguments, for the fresh process.

    Raises
    ------
    DeviceError
        The GPU was asked for by name, or failed in another way.
    TresetError
        The repeat failed as well.
    """
    try:
        job(settings)
    except DeviceError as error:
        if settings.backend != "auto" or not error.out_of_memory:
            raise
        reason = f"the GPU ran out of memory in {error.step}, so the whole job was repeated on the CPU"
    else:
        return
    print(f"{reason}, in a fresh process", flush=True)
    given = {"job": name, "settings": to_plain(replace(settings, fell_back=reason)), "paths": _text(paths)}
    done = subprocess.run(
        [sys.executable, "-m", "treset.jobs.again"],
        input=json.dumps(given),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(done.stdout, end="")
    if done.returncode:
        last = (done.stdout.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise TresetError(f"{reason}, and failed there: {last.removeprefix('error: ')}")


def main() -> None:
    """Run the job that the standard input describes."""
    given = json.loads(sys.stdin.read())
    module, function, settings = JOBS[given["job"]]
    code = import_module(module)
    paths = {name: _path(value) for name, value in given["paths"].items()}
    try:
        getattr(code, function)(settings=from_plain(getattr(code, settings), given["settings"]), **paths)
    except TresetError as error:
        print(f"error: {error}")
        sys.exit(1)


def _text(paths: Mapping[str, Any]) -> dict[str, Any]:
    """Paths as text, in the order given."""
    return {
        name: value if value is None else _text(value) if isinstance(value, Mapping) else str(value)
        for name, value in paths.items()
    }


def _path(value: Any) -> Any:
    return (
        value if value is None else {k: Path(v) for k, v in value.items()} if isinstance(value, dict) else Path(value)
    )


if __name__ == "__main__":
    main()
