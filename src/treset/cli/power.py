"""``treset power``: how many patients and cells an effect needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from treset.errors import TresetError

if TYPE_CHECKING:
    import pandas as pd


def power_table(
    design: str, patients: str, cells: str, parameters: Sequence[str], repeats: int, seed: int, config: Path | None,
    out: Path | None,
) -> pd.DataFrame:  # fmt: skip
    """Run what the command asks for.

    Parameters
    ----------
    design
        See :func:`treset.simulate.plan`.
    patients, cells
        Whole numbers with commas between them.
    parameters
        ``name=value`` each, parameters of the design; the value is read as YAML.
    repeats, seed
        See :func:`treset.monitor.power.power`.
    config
        A study whose monitors are asked instead of the design's own (its visits must be those of the design).
    out
        Also written there, tab-separated.

    Returns
    -------
    The table of :func:`treset.monitor.power.power`.

    Raises
    ------
    TresetError
        For numbers that are none, parameters without ``=``, and what ``power`` refuses.
    """
    from treset.io.table import write_tsv
    from treset.monitor.power import power

    monitors = None
    if config is not None:
        from treset.study import read_study

        monitors = read_study(config, files=False).monitors
    table = power(
        design, _numbers("--patients", patients), cells=_numbers("--cells", cells), effect=_parameters(parameters),
        monitors=monitors, repeats=repeats, seed=seed,
    )  # fmt: skip
    if out is not None:
        write_tsv(table, out)
    return table


def sentences(table: pd.DataFrame) -> list[str]:
    """One line a row, as the command prints it."""
    return [
        f"{row['patients']} patients ({row['patients_in_trial']} in the trial), {row['cells']} cells: met in "
        f"{100 * row['power']:.0f} % (95 % CI {100 * row['lower']:.0f} to {100 * row['upper']:.0f} %) of "
        f"{row['repeats']}, not evaluable in {row['not_evaluable']}"
        for row in table.to_dict("records")
    ]


def _numbers(option: str, text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise TresetError(f"{option} {text}: expected whole numbers above 0 with commas between them, such as 10,20,40")
    return found


def _parameters(given: Sequence[str]) -> dict[str, Any]:
    options = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise TresetError(f"--set {text}: expected name=value")
        if name in ("patients", "events", "seed"):
            raise TresetError(f"--set {text}: give it as --patients, --cells or --seed")
        options[name] = yaml.safe_load(value)
    return options
