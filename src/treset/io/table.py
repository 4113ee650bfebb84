"""Tables in and out: profiles in, TSV out."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from treset import profile, texts
from treset.errors import TresetError
from treset.io.files import atomic
from treset.io.waist import parquet_parts, parquet_rows, text_parts

_SEPARATORS = {".tsv": "\t", ".txt": "\t", ".csv": ","}


def read_profiles(path: Path | str, *, compact: bool = False) -> pd.DataFrame:
    """Read a table of the waist, ours or another program's.

    Parameters
    ----------
    path
        ``.parquet``, ``.tsv`` / ``.txt`` (tab) or ``.csv`` (comma), text in UTF-8, with the columns of
        ``treset.profile.COLUMNS`` by name in any order; arm, disease, batch, stimulus and dose may be missing. Ids
        are text: ``007`` stays ``007``. Blank numbers are NaN.
    compact
        Leave text as sorted categories, some 50 bytes a row, instead of ``str``. Default: ``str``.

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
    if suffix not in (".parquet", *_SEPARATORS):
        raise TresetError(
            f"{path}: files of type {suffix or '(none)'} are not read; expected is .parquet, .tsv or .csv"
        )
    parquet = suffix == ".parquet"
    first, word = (1, "row") if parquet else (2, "line")
    stack, at = texts.Stack(parquet_rows(path) if parquet else 0), first
    for part in parquet_parts(path) if parquet else text_parts(path, _SEPARATORS[suffix]):
        stack.add(profile.typed(part, str(path), first_row=at, word=word))
        at += len(part)
    table = profile.check(stack.table(), str(path), first_row=first, word=word)
    return table if compact else texts.spelled(table)


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
