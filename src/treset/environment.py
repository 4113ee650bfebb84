"""The environment that a run gives its jobs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def job_environment(environment: Mapping[str, str], root: Path) -> dict[str, str]:
    """Let jobs share compiled Python code, also where ``PYTHONDONTWRITEBYTECODE`` is set (many container images do).

    Every job is a new process; without compiled code each spends about 2 seconds on compiling what it imports. The
    folders of the installation stay as they are: the code goes to ``.snakemake/pycache`` of the study.

    Parameters
    ----------
    environment
        Such as ``os.environ``.
    root
        The study's folder.

    Returns
    -------
    A copy, changed where needed.
    """
    given = dict(environment)
    # for Python an empty value is none
    if given.pop("PYTHONDONTWRITEBYTECODE", "") and not given.get("PYTHONPYCACHEPREFIX"):
        given["PYTHONPYCACHEPREFIX"] = str(root.resolve() / ".snakemake" / "pycache")
    return given
