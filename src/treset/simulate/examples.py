"""Write the sample sheets and the panel of the example studies: ``python -m treset.simulate.examples config``."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from treset.io.table import write_tsv
from treset.simulate import expected_sheet, plan


def write_examples(folder: Path, out: Path) -> list[Path]:
    """Write the sheet (and panel) of every config with a ``simulate`` block.

    Parameters
    ----------
    folder
        Holds the configs.
    out
        The sheets go here, under the names the configs give.

    Returns
    -------
    The files written.
    """
    written = []
    for config in sorted(folder.glob("*.yaml")):
        values = yaml.safe_load(config.read_text(encoding="utf-8"))
        if "simulate" not in values:
            continue
        options = dict(values["simulate"])
        trial = plan(options.pop("design"), **options)
        sheet = out / Path(values["samples"]).name
        write_tsv(expected_sheet(trial), sheet)
        written.append(sheet)
        if trial.panel is not None:
            panel = out / Path(values["panel"]).name
            write_tsv(trial.panel, panel)
            written.append(panel)
    return written


if __name__ == "__main__":
    for path in write_examples(Path(sys.argv[1]), Path(sys.argv[1])):
        print(path)
