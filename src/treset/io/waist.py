"""The waist as a file: written sample after sample, and read in parts with its text as categories.

Nothing here holds all rows as text: a file of any number of samples is written with a few of them in memory, and read
into some 50 bytes a row.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet

from treset import profile, texts
from treset.errors import TresetError
from treset.io.files import atomic

#: Rows of a row group of profiles.parquet: those of some samples, whole.
GROUP_ROWS = 50_000
#: Rows read at a time, and lines of a text file.
PART_ROWS, PART_LINES = 200_000, 20_000
#: Columns that repeat a few values; what is measured is new in every row.
_REPEATED = [name for name in profile.COLUMNS if name != "value"]

Write = Callable[[pd.DataFrame], None]


@contextmanager
def waist_writer(profiles: Path, tsv: Path) -> Iterator[Write]:
    """Write the waist to both of its files part by part, whole or not at all.

    Parameters
    ----------
    profiles, tsv
        ``profiles.parquet`` and ``profiles.tsv``. Both take their names when the block ends well; else what was there
        before stays.

    Yields
    ------
    A function that takes the next rows, as ``treset.profile.validate`` gives them. The files depend on the rows and
    their order alone, not on how they were cut; at most ``GROUP_ROWS`` rows wait in memory.
    """
    empty = profile.validate(pd.DataFrame(columns=list(profile.COLUMNS), dtype="object"), "profiles")
    schema = pyarrow.Schema.from_pandas(empty, preserve_index=False)
    with (
        atomic(profiles) as first,
        atomic(tsv) as second,
        pyarrow.parquet.ParquetWriter(first, schema, use_dictionary=_REPEATED) as writer,
        second.open("w", encoding="utf-8", newline="") as stream,
    ):
        _tsv_rows(empty, stream, header=True)
        waiting: list[pd.DataFrame] = []

        def write(rows: pd.DataFrame) -> None:
            _tsv_rows(rows, stream, header=False)
            waiting.append(texts.spelled(rows))
            if sum(map(len, waiting)) >= GROUP_ROWS:
                whole = pd.concat(waiting, ignore_index=True)
                full = len(whole) // GROUP_ROWS * GROUP_ROWS
                group(whole.iloc[:full])
                waiting[:] = [whole.iloc[full:]]

        def group(rows: pd.DataFrame) -> None:
            cut = pyarrow.Table.from_pandas(rows, schema=schema, preserve_index=False)
            writer.write_table(cut, row_group_size=GROUP_ROWS)

        yield write
        if any(map(len, waiting)):
            group(pd.concat(waiting, ignore_index=True))


def _tsv_rows(rows: pd.DataFrame, stream: object, header: bool) -> None:
    rows.to_csv(stream, sep="\t", index=False, header=header, na_rep="", lineterminator="\n")  # type: ignore[call-overload]


def parquet_parts(path: Path, columns: Sequence[str] | None = None, rows: int = PART_ROWS) -> Iterator[pd.DataFrame]:
    """Read a parquet table part by part, text as categories; one empty part of an empty table.

    Parameters
    ----------
    path
        The file.
    columns
        Columns to read, those that are there; None: all.
    rows
        Rows of a part, at most.

    Raises
    ------
    TresetError
        The file is not readable as parquet.
    """
    try:
        file = pyarrow.parquet.ParquetFile(path)
        schema = file.schema_arrow
        text = [field.name for field in schema if _is_text(field.type)]
        stored = (schema.pandas_metadata or {}).get("index_columns", [])
        asked = [name for name in schema.names if name not in stored and (columns is None or name in columns)]
        file = pyarrow.parquet.ParquetFile(path, read_dictionary=text)
        empty = True
        for batch in file.iter_batches(batch_size=rows, columns=None if asked == schema.names else asked):
            empty = False
            yield batch.to_pandas(ignore_metadata=True)
        if empty:
            yield schema.empty_table().select(asked).to_pandas(ignore_metadata=True)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise TresetError(
            f"{path}: is not a readable parquet file ({str(error).splitlines()[0]}); write it anew"
        ) from error


def parquet_rows(path: Path) -> int:
    """Rows of a parquet table; 0 where the file is not readable as one (reading it says why)."""
    try:
        return pyarrow.parquet.read_metadata(path).num_rows
    except (pyarrow.ArrowInvalid, OSError):
        return 0


def _is_text(kind: pyarrow.DataType) -> bool:
    return pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)


def text_parts(path: Path, separator: str, lines: int = PART_LINES) -> Iterator[pd.DataFrame]:
    """Read a table of text part by part, all its columns as text; one empty part of a table without rows.

    Parameters
    ----------
    path
        The file, UTF-8.
    separator
        Tab or comma.
    lines
        Lines of a part, at most.

    Raises
    ------
    TresetError
        The file is not UTF-8, empty, separated otherwise, or has lines that are longer or shorter than its header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, delimiter=separator, strict=True)
            header = _header(path, separator, reader)
            yield from _body(path, header, reader, lines)
    except UnicodeDecodeError as error:
        byte = f"0x{error.object[error.start]:02x}"
        raise TresetError(f"{path}: byte {byte} is not UTF-8; save the file as UTF-8") from error
    except csv.Error as error:
        raise TresetError(f"{path}: {error}; expected is a table with one row a line") from error


def _header(path: Path, separator: str, reader: Iterator[list[str]]) -> list[str]:
    header = next(reader, None)
    if header is None:
        raise TresetError(f"{path}: is empty; expected is a header line with {', '.join(profile.COLUMNS)}")
    other = "," if separator == "\t" else "\t"
    if len(header) == 1 and other in header[0]:
        name = "tabs" if separator == "\t" else "commas"
        raise TresetError(f"{path}, line 1: the columns are not separated by {name} as the file's name says; rename it")
    return header


def _body(path: Path, header: list[str], reader: Iterator[list[str]], lines: int) -> Iterator[pd.DataFrame]:
    # blank lines count only where others follow
    blank: list[list[str]] = []
    number, empty = 2, True
    while found := list(islice(reader, lines)):
        found, blank = blank + found, []
        while found and not any(found[-1]):
            blank.append(found.pop())
        for cells in found:
            if len(cells) != len(header):
                raise TresetError(f"{path}, line {number}: has {len(cells)} columns, the header has {len(header)}")
            number += 1
        if found:
            empty = False
            yield pd.DataFrame(found, columns=header, dtype="str")
    if empty:
        yield pd.DataFrame([], columns=header, dtype="str")
