"""The files of a simulated study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from treset.errors import TresetError
from treset.simulate import plan, write


def simulate(parameters: dict, files: Sequence[str]) -> None:
    """Simulate a trial and write the files that its sheet names.

    Parameters
    ----------
    parameters
        ``design`` and its parameters, as in the config's ``simulate``.
    files
        The sample files wanted, all in one folder; ``truth.tsv`` and ``truth/`` are written beside them.

    Raises
    ------
    TresetError
        The sheet names files that the design does not make.
    """
    options = dict(parameters)
    trial = plan(options.pop("design"), **options)
    folder = Path(files[0]).parent
    write(trial, folder)
    missing = [path for path in files if not Path(path).exists()]
    if missing:
        raise TresetError(
            f"the simulated design makes no {missing[0]}: the sheet must be the one that 'treset simulate' writes"
        )
