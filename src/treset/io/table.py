"""Tables in and out: profiles in, TSV out."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet

from treset import profile
from treset.errors import TresetError
from treset.io.files import atomic

_SEPARATORS = {".tsv": "\t", ".txt": "\t", ".csv": ","}


def read_profiles(path: Path | str) -> pd.DataFrame:
    """Read a table of the waist, ours or another program's.

    Parameters
    ----------
    path
        ``.parquet``, ``.tsv`` / ``.txt`` (tab) or ``.csv`` (comma), text in UTF-8, with the columns of
        ``treset.profile.COLUMNS`` by name in any order; arm, disease, batch, stimulus and dose may be missing. Ids
        are text: ``007`` stays ``007``. Blank numbers are NaN.

    Returns
    -------
    The table, checked (``treset.profile.validate``).

    Raises
    ------
    TresetError
        For a file that is missing, of another type or not readable as what its name says.
    Faults
        For a table that breaks the contract: one sentence a fault, with line (or row) and column.
    """
    path = Path(path)
    if not path.is_file():
        raise TresetError(f"{path}: there is no such file; expected is a table of profiles (.parquet, .tsv or .csv)")
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return profile.validate(_read_parquet(path), str(path))
    if suffix not in _SEPARATORS:
        raise TresetError(
            f"{path}: files of type {suffix or '(none)'} are not read; expected is .parquet, .tsv or .csv"
        )
    return profile.validate(_read_text(path, _SEPARATORS[suffix]), str(path), first_row=2, word="line")


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pyarrow.parquet.read_table(path).to_pandas()
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise TresetError(
            f"{path}: is not a readable parquet file ({str(error).splitlines()[0]}); write it anew"
        ) from error


def _read_text(path: Path, separator: str) -> pd.DataFrame:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = list(csv.reader(stream, delimiter=separator, strict=True))
    except UnicodeDecodeError as error:
        byte = f"0x{error.object[error.start]:02x}"
        raise TresetError(f"{path}: byte {byte} is not UTF-8; save the file as UTF-8") from error
    except csv.Error as error:
        raise TresetError(f"{path}: {error}; expected is a table with one row a line") from error
    if not lines:
        raise TresetError(f"{path}: is empty; expected is a header line with {', '.join(profile.COLUMNS)}")
    header, body = lines[0], lines[1:]
    other = "," if separator == "\t" else "\t"
    if len(header) == 1 and other in header[0]:
        name = "tabs" if separator == "\t" else "commas"
        raise TresetError(f"{path}, line 1: the columns are not separated by {name} as the file's name says; rename it")
    while body and not any(body[-1]):
        body.pop()
    for number, cells in enumerate(body, start=2):
        if len(cells) != len(header):
            raise TresetError(f"{path}, line {number}: has {len(cells)} columns, the header has {len(header)}")
    return pd.DataFrame(body, columns=header, dtype="str")


def write_tsv(table: pd.DataFrame, path: Path | str) -> Path:
    r"""Write a table as TSV, whole or not at all, the same bytes for the same table.

    Parameters
    ----------
    table
        The table; its index is not written.
    path
        The file. Its folder is made when missing.

    Returns
    -------
    ``path``. UTF-8, tabs, ``\n``; numbers with as many digits as give back the same number, missing values blank.
    """
    path = Path(path)
    with atomic(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False, na_rep="", lineterminator="\n", encoding="utf-8")
    return path
