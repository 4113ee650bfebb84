"""The waist: one row a sample, population and measure; the contract every monitor rests on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from treset.errors import Faults

#: Columns in their order.
COLUMNS = (
    "sample", "patient", "visit", "day", "arm", "disease", "batch", "stimulus", "dose",
    "population", "parent", "origin", "measure", "marker", "value", "n_cells",
)  # fmt: skip
#: Columns a table from elsewhere may lack: they are then blank.
OPTIONAL = ("arm", "disease", "batch", "stimulus", "dose")
ORIGINS = ("gate", "cluster", "external")
MEASURES = (
    "count", "percent_of_parent", "percent_of_total", "per_ul", "median", "mean", "percent_positive", "signature",
    "ratio",
)  # fmt: skip
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

    Raises
    ------
    Faults
        One sentence a fault, with row and column: a missing or unknown column, a number that is none, a blank that
        may not be, an unknown origin or measure, a percentage outside 0 to 100, a negative count, the same row twice,
        a sample with two patients, visits or arms.
    """
    rows = _Rows(where, first_row, word)
    _check_columns(table, rows)
    rows.stop()
    out = table.reset_index(drop=True)
    for name in OPTIONAL:
        if name not in out.columns:
            out[name] = np.nan if name in _FLOATS else ""
    out = out[list(COLUMNS)].copy()
    for name in COLUMNS:
        out[name] = _number(out[name], name, rows) if name in (*_FLOATS, "n_cells") else _text(out[name])
    rows.stop()
    out = out.astype(DTYPES)
    _check_values(out, rows)
    _check_repeats(out, rows)
    _check_samples(out, rows)
    rows.stop()
    return out


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


def _text(column: pd.Series) -> pd.Series:
    return column.astype("object").where(column.notna(), "").astype("str")


def _number(column: pd.Series, name: str, rows: _Rows) -> pd.Series:
    if pd.api.types.is_bool_dtype(column):
        rows.messages.append(f"{rows.where}: column {name} holds true/false; expected is a number")
    blank = (
        column.isna() | (column.astype("str").str.strip() == "") if column.dtype.kind not in "fiu" else column.isna()
    )
    numbers = pd.to_numeric(column.where(~blank), errors="coerce").astype("float64")
    rows.add((numbers.isna() & ~blank).to_numpy(), name, lambda v: f"{v!r} is not a number", column)
    rows.add(np.isinf(numbers.to_numpy()), name, lambda v: f"{v!r} is not finite; leave it blank where unknown", column)
    if name != "n_cells":
        return numbers
    rows.add(blank.to_numpy(), name, lambda _: "is blank; expected is the number of cells the value rests on", column)
    whole = numbers.fillna(0).replace([np.inf, -np.inf], 0)
    rows.add(
        ((whole < 0) | (whole != np.floor(whole))).to_numpy(), name, lambda v: f"{v} is not a whole number >= 0", column
    )
    return whole


def _check_values(out: pd.DataFrame, rows: _Rows) -> None:
    for name in _NOT_BLANK:
        rows.add((out[name].str.strip() == "").to_numpy(), name, lambda _: "is blank", out[name])
    for name, allowed in (("origin", ORIGINS), ("measure", MEASURES)):
        listed = ", ".join(allowed)
        unknown = ~out[name].isin(allowed) & (out[name].str.strip() != "")
        rows.add(unknown.to_numpy(), name, lambda v, listed=listed: f"{v!r} is none of {listed}", out[name])
    needs = out["measure"].isin(WITH_MARKER) & (out["marker"] == "")
    rows.add(needs.to_numpy(), "marker", lambda _: "is blank, but the measure needs one", out["marker"])
    value = out["value"]
    percent = out["measure"].str.startswith("percent")
    # a hair over 100 is rounding
    wrong = percent & ((value < 0) | (value > 100 * (1 + 1e-9)))
    rows.add(wrong.to_numpy(), "value", lambda v: f"{v} is not a percentage between 0 and 100", value)
    negative = out["measure"].isin(["count", "per_ul", "ratio"]) & (value < 0)
    rows.add(negative.to_numpy(), "value", lambda v: f"{v} is negative", value)
    fraction = (out["measure"] == "count") & value.notna() & (value != np.floor(value))
    rows.add(fraction.to_numpy(), "value", lambda v: f"{v} is not a whole number of cells", value)


def _check_repeats(out: pd.DataFrame, rows: _Rows) -> None:
    again = out.duplicated(list(KEY)).to_numpy()
    if not again.any():
        return
    first: dict[tuple, int] = {}
    for position, key in enumerate(zip(*(out[name] for name in KEY), strict=True)):
        seen = first.setdefault(key, position)
        if again[position]:
            shown = ", ".join(f"{name} {value!r}" for name, value in zip(KEY, key, strict=True) if value)
            rows.messages.append(
                f"{rows.place(position)}: says again what {rows.word} {seen + rows.first_row} says: {shown}"
            )


def _check_samples(out: pd.DataFrame, rows: _Rows) -> None:
    if len(out) == 0:
        return
    first = out.drop_duplicates("sample").set_index("sample")
    for name in _OF_SAMPLE:
        expected = out["sample"].map(first[name])
        same = (out[name] == expected) | (out[name].isna() & expected.isna())
        for position in np.flatnonzero(~same.to_numpy()):
            rows.messages.append(
                f"{rows.place(int(position))}, column {name}: sample {out['sample'].iloc[position]!r} has "
                f"{out[name].iloc[position]!r} here and {expected.iloc[position]!r} before; a sample has one {name}"
            )
