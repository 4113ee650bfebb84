"""The waist: one row a sample, population and measure; the contract every monitor rests on."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from treset import texts
from treset.errors import Faults

#: Columns in their order.
COLUMNS = (
    "sample", "patient", "visit", "day", "arm", "disease", "batch", "stimulus", "dose",
    "population", "parent", "origin", "measure", "marker", "value", "n_cells",
)  # fmt: skip
#: Columns a table from elsewhere may lack: they are then blank.
OPTIONAL = ("arm", "disease", "batch", "stimulus", "dose")
ORIGINS = ("gate", "cluster", "adjusted", "external")
MEASURES = (
    "count", "percent_of_parent", "percent_of_total", "per_ul", "median", "mean", "percent_positive", "signature",
    "ratio",
)  # fmt: skip
#: Measures that rest on how many cells a population has.
SIZES = ("count", "percent_of_parent", "percent_of_total", "per_ul", "ratio")
#: Markers of percent_positive in scRNA: cells with more transcripts of the heavy chains before class switch, and after.
ISOTYPES = ("isotype IGHM/IGHD", "isotype IGHG/IGHA")
#: Measures that need a marker (the marker, the signature, the denominator population of a ratio).
WITH_MARKER = ("median", "mean", "percent_positive", "signature", "ratio")
#: Text (never missing, "" where blank), float64 (NaN where blank) or int64.
DTYPES = {name: "str" for name in COLUMNS} | {
    "day": "float64",
    "dose": "float64",
    "value": "float64",
    "n_cells": "int64",
}
#: What a row is about: no two rows agree in all of these.
KEY = ("sample", "population", "parent", "origin", "measure", "marker")

_FLOATS = ("day", "dose", "value")
_NOT_BLANK = ("sample", "patient", "visit", "population", "origin", "measure")
#: The sheet's columns: one value a sample.
_OF_SAMPLE = ("patient", "visit", "day", "arm", "disease", "batch", "stimulus", "dose")
_SHOWN = 20


def reading(origin: str, measure: str) -> str:
    """The origin whose rows hold a measure: ``adjusted`` holds sizes, and all else is as by cluster."""
    return "cluster" if origin == "adjusted" and measure not in SIZES else origin


def unsupervised(profiles: pd.DataFrame) -> str:
    """The origin of the reading by clusters: freed of what the vote gets wrong, where the profiles hold that."""
    return "adjusted" if (profiles["origin"] == "adjusted").any() else "cluster"


class _Rows:
    """Collects faults, each with the row it is in."""

    def __init__(self, where: str, first_row: int, word: str) -> None:
        self.where, self.first_row, self.word = where, first_row, word
        self.messages: list[str] = []

    def add(self, bad: np.ndarray, column: str, say: Callable[[object], str], values: pd.Series) -> None:
        """One sentence for each row of ``bad`` (bool, by position); ``say`` turns the value found into the rest."""
        for position in np.flatnonzero(bad):
            found = values.iloc[position]
            self.messages.append(f"{self.place(int(position))}, column {column}: {say(found)}")

    def place(self, position: int) -> str:
        return f"{self.where}, {self.word} {position + self.first_row}"

    def stop(self) -> None:
        if not self.messages:
            return
        shown = self.messages[:_SHOWN]
        if rest := len(self.messages) - len(shown):
            shown.append(f"{self.where}: and {rest} more")
        raise Faults(shown)


def validate(table: pd.DataFrame, where: str, *, first_row: int = 1, word: str = "row") -> pd.DataFrame:
    """Check a table against the contract of the waist.

    Parameters
    ----------
    table
        The columns of ``COLUMNS`` in any order (``OPTIONAL`` ones may be missing); more columns are refused.
    where
        What to call the table in a fault: the file, say.
    first_row, word
        How rows are called in a fault: the first is ``word`` number ``first_row`` (a text file: line 2).

    Returns
    -------
    A copy: columns of ``COLUMNS`` in their order with the types of ``DTYPES``, rows in their order, index 0, 1, ...
    Text that comes as categories stays so (sorted, "" for blank): a tenth of the memory.

    Raises
    ------
    Faults
        One sentence a fault, with row and column: a missing or unknown column, a number that is none, a blank that
        may not be, an unknown origin or measure, a percentage outside 0 to 100, a negative count, the same row twice,
        a sample with two patients, visits or arms.
    """
    return check(typed(table, where, first_row=first_row, word=word), where, first_row=first_row, word=word)


def typed(table: pd.DataFrame, where: str, *, first_row: int = 1, word: str = "row") -> pd.DataFrame:
    """Give a table, or a part of one, the columns and types of the waist: the first half of :func:`validate`.

    Raises
    ------
    Faults
        A missing or unknown column, a number that is none.
    """
    rows = _Rows(where, first_row, word)
    _check_columns(table, rows)
    rows.stop()
    out = table.reset_index(drop=True)
    for name in OPTIONAL:
        if name not in out.columns:
            out[name] = np.nan if name in _FLOATS else ""
    out = out[list(COLUMNS)]
    for name in COLUMNS:
        out[name] = _number(out[name], name, rows) if name in (*_FLOATS, "n_cells") else texts.filled(out[name])
    rows.stop()
    return out.astype({name: DTYPES[name] for name in COLUMNS if not texts.is_categories(out[name])})


def check(table: pd.DataFrame, where: str, *, first_row: int = 1, word: str = "row") -> pd.DataFrame:
    """Check the content of a table that :func:`typed` gave, all its rows: the second half of :func:`validate`.

    Returns
    -------
    ``table`` itself.

    Raises
    ------
    Faults
        A blank that may not be, an unknown origin or measure, a value out of its range, the same row twice, a sample
        with two patients, visits or arms.
    """
    rows = _Rows(where, first_row, word)
    _check_values(table, rows)
    _check_repeats(table, rows)
    _check_samples(table, rows)
    rows.stop()
    return table


def _check_columns(table: pd.DataFrame, rows: _Rows) -> None:
    missing = [name for name in COLUMNS if name not in table.columns and name not in OPTIONAL]
    unknown = [str(name) for name in table.columns if name not in COLUMNS]
    repeated = sorted({str(name) for name in table.columns[table.columns.duplicated()]})
    expected = ", ".join(COLUMNS)
    for name in missing:
        rows.messages.append(f"{rows.where}: column {name} is missing; expected are the columns {expected}")
    for name in unknown:
        rows.messages.append(f"{rows.where}: unknown column {name}; expected are the columns {expected}")
    for name in repeated:
        rows.messages.append(f"{rows.where}: column {name} is there twice; leave one out")


def _number(column: pd.Series, name: str, rows: _Rows) -> pd.Series:
    if pd.api.types.is_bool_dtype(column):
        rows.messages.append(f"{rows.where}: column {name} holds true/false; expected is a number")
    if texts.is_categories(column):
        column = column.astype(column.cat.categories.dtype)
    if column.dtype.kind in "fiu" and isinstance(column.dtype, np.dtype):
        blank, numbers = column.isna(), column
    else:
        blank = column.isna() | (column.astype("str").str.strip() == "")
        numbers = _exact(column, pd.to_numeric(column.where(~blank), errors="coerce").astype("float64"))
        rows.add((numbers.isna() & ~blank).to_numpy(), name, lambda v: f"{v!r} is not a number", column)
    rows.add(np.isinf(numbers.to_numpy()), name, lambda v: f"{v!r} is not finite; leave it blank where unknown", column)
    if name != "n_cells":
        return numbers.astype("float64")
    rows.add(blank.to_numpy(), name, lambda _: "is blank; expected is the number of cells the value rests on", column)
    whole = numbers if numbers.dtype.kind in "iu" else numbers.fillna(0).replace([np.inf, -np.inf], 0)
    rows.add(
        ((whole < 0) | (whole != np.floor(whole))).to_numpy(), name, lambda v: f"{v} is not a whole number >= 0", column
    )
    return whole


def _exact(column: pd.Series, near: pd.Series) -> pd.Series:
    """The numbers that texts spell: ``to_numeric`` finds them, but a third of them only to all bits save the last."""
    if column.dtype.kind in "fiu":
        return near
    values = near.to_numpy(copy=True)
    known = np.flatnonzero(~np.isnan(values))
    values[known] = [_float(text) for text in column.iloc[known].tolist()]
    return pd.Series(values, index=column.index)


def _float(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return math.nan


def _check_values(out: pd.DataFrame, rows: _Rows) -> None:
    for name in _NOT_BLANK:
        rows.add(texts.where(out[name], lambda v: not v.strip()), name, lambda _: "is blank", out[name])
    for name, allowed in (("origin", ORIGINS), ("measure", MEASURES)):
        listed = ", ".join(allowed)
        unknown = texts.where(out[name], lambda v, allowed=allowed: v not in allowed and bool(v.strip()))
        rows.add(unknown, name, lambda v, listed=listed: f"{v!r} is none of {listed}", out[name])
    needs = texts.where(out["measure"], WITH_MARKER.__contains__) & texts.where(out["marker"], lambda v: not v)
    rows.add(needs, "marker", lambda _: "is blank, but the measure needs one", out["marker"])
    value = out["value"].to_numpy()
    percent = texts.where(out["measure"], lambda v: v.startswith("percent"))
    # a hair over 100 is rounding
    wrong = percent & ((value < 0) | (value > 100 * (1 + 1e-9)))
    rows.add(wrong, "value", lambda v: f"{v} is not a percentage between 0 and 100", out["value"])
    negative = texts.where(out["measure"], ("count", "per_ul", "ratio").__contains__) & (value < 0)
    rows.add(negative, "value", lambda v: f"{v} is negative", out["value"])
    fraction = texts.where(out["measure"], "count".__eq__) & ~np.isnan(value) & (value != np.floor(value))
    rows.add(fraction, "value", lambda v: f"{v} is not a whole number of cells", out["value"])


def _check_repeats(out: pd.DataFrame, rows: _Rows) -> None:
    keys = _keys(out)
    in_order = np.sort(keys)
    twice = np.unique(in_order[1:][in_order[1:] == in_order[:-1]])
    if not twice.size:
        return
    first: dict[int, int] = {}
    for position in np.flatnonzero(np.isin(keys, twice)):
        seen = first.setdefault(int(keys[position]), int(position))
        if seen != position:
            row = out.iloc[position]
            shown = ", ".join(f"{name} {str(row[name])!r}" for name in KEY if row[name])
            rows.messages.append(
                f"{rows.place(int(position))}: says again what {rows.word} {seen + rows.first_row} says: {shown}"
            )


def _keys(out: pd.DataFrame) -> np.ndarray:
    """One number for what a row is about, (n,) int64: the columns of ``KEY`` as digits."""
    keys = np.zeros(len(out), dtype=np.int64)
    size = 1
    for name in KEY:
        codes = texts.codes(out[name])
        n = int(codes.max(initial=0)) + 1
        if size > np.iinfo(np.int64).max // n:
            # too many digits: count those that are there
            there, keys = np.unique(keys, return_inverse=True)
            size = len(there)
        keys *= n
        keys += codes
        size *= n
    return keys


def _check_samples(out: pd.DataFrame, rows: _Rows) -> None:
    if len(out) == 0:
        return
    sample = texts.codes(out["sample"])
    first = np.zeros(int(sample.max()) + 1, dtype=np.int64)
    # the last assignment stays: that of the first row
    first[sample[::-1]] = np.arange(len(out) - 1, -1, -1)
    for name in _OF_SAMPLE:
        if name in _FLOATS:
            values = out[name].to_numpy()
            expected = values[first][sample]
            same = (values == expected) | (np.isnan(values) & np.isnan(expected))
        else:
            codes = texts.codes(out[name])
            same = codes == codes[first][sample]
        for position in np.flatnonzero(~same):
            before = out[name].iloc[first[sample[position]]]
            rows.messages.append(
                f"{rows.place(int(position))}, column {name}: sample {out['sample'].iloc[position]!r} has "
                f"{out[name].iloc[position]!r} here and {before!r} before; a sample has one {name}"
            )
