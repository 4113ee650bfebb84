"""A CSV file whose first row and first column are names: spillover matrices, barcode keys."""

from __future__ import annotations

import csv
from pathlib import Path

from treset.errors import TresetError


def read_named_csv(path: Path, what: str, shape: str) -> tuple[list[str], list[str], list[list[str]]]:
    """Read names and cells, stripped, without blank lines.

    Parameters
    ----------
    path
        Comma-separated, UTF-8.
    what, shape
        What the file is and how its rows are laid out, for the errors.

    Returns
    -------
    Names of the rows, names of the columns, and the cells row by row.

    Raises
    ------
    TresetError
        No such file, not UTF-8 or CSV, or rows of different lengths.
    """
    if not path.is_file():
        raise TresetError(f"{path}: there is no such file; expected is {what} (CSV).")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = [[cell.strip() for cell in line] for line in csv.reader(stream) if any(line)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise TresetError(f"{path}: is no CSV file in UTF-8 ({error}); save it again.") from None
    if len(lines) < 2 or any(len(line) != len(lines[0]) for line in lines):
        raise TresetError(f"{path}: expected {shape}, all of the same length.")
    return [line[0] for line in lines[1:]], lines[0][1:], [line[1:] for line in lines[1:]]
