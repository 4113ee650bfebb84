"""Columns of repeated text, held as categories: a byte or two a row instead of the text itself.

Categories are made in one way here, sorted and with "" for blank, so that the order of their codes is that of the text
and whatever groups or sorts by them does so as it would by text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd


def is_categories(column: pd.Series) -> bool:
    """Whether text is held as categories."""
    return isinstance(column.dtype, pd.CategoricalDtype)


def spelled(table: pd.DataFrame) -> pd.DataFrame:
    """The table with text (``str``) instead of categories: for rows that are joined, mapped or compared as text."""
    return table.astype({name: "str" for name in table.columns if is_categories(table[name])})


def filled(column: pd.Series) -> pd.Series:
    """Any column as text, "" where it is blank: ``str``, or sorted categories where it comes as categories."""
    if not is_categories(column):
        if column.dtype == "str" and not column.hasnans:
            return column
        return column.astype("object").where(column.notna(), "").astype("str")
    known = column.cat.categories
    if not column.hasnans and known.dtype == "str" and known.is_monotonic_increasing:
        return column
    return categories(list(filled(pd.Series(known))), column.cat.codes.to_numpy(), column.index)


def categories(known: Sequence[str], codes: np.ndarray, index: pd.Index) -> pd.Series:
    """Categories from texts in any order.

    Parameters
    ----------
    known
        The texts; one may be there twice.
    codes
        (n,) place of each row's text in ``known``, -1 for blank.
    index
        Of the result.

    Returns
    -------
    Categorical with sorted categories, each once.
    """
    ordered = sorted({*known, ""} if codes.min(initial=0) < 0 else set(known))
    place = {text: code for code, text in enumerate(ordered)}
    # the last place is that of code -1
    moved = np.array([*(place[text] for text in known), place.get("", 0)], dtype=code_type(len(ordered)))
    dtype = pd.CategoricalDtype(pd.Index(ordered, dtype="str"))
    return pd.Series(pd.Categorical.from_codes(moved[codes], dtype=dtype), index=index, copy=False)


def code_type(n: int) -> type[np.signedinteger]:
    """The smallest type that numbers ``n`` texts."""
    return next(kind for kind in (np.int8, np.int16, np.int32) if n <= np.iinfo(kind).max)


def codes(column: pd.Series) -> np.ndarray:
    """A number for each text, (n,): the same where the text is."""
    return column.cat.codes.to_numpy() if is_categories(column) else pd.factorize(column)[0]


def numbered(column: pd.Series) -> tuple[np.ndarray, list[str]]:
    """The number of each row's text, (n,), and the texts."""
    if is_categories(column):
        return column.cat.codes.to_numpy(), [str(text) for text in column.cat.categories]
    found, known = pd.factorize(column)
    return found, [str(text) for text in known]


def where(column: pd.Series, test: Callable[[str], bool]) -> np.ndarray:
    """Rows whose text passes a test, (n,) bool; every text is tested once."""
    found, known = numbered(column)
    return np.array([bool(test(text)) for text in known], dtype=bool)[found] if known else np.zeros(len(column), bool)


def recoded(column: pd.Series, of: Callable[[str], str]) -> pd.Series:
    """Each text replaced by what ``of`` gives for it; categories stay categories, other text becomes ``str``."""
    if not is_categories(column):
        return column.map(of).astype("str")
    found, known = numbered(column)
    return categories([of(text) for text in known], found, column.index)


class Stack:
    """Parts of a table put under each other, with text as categories.

    Holds two bytes a row for a column of text and the numbers as they are, each column once.

    Parameters
    ----------
    rows
        Rows to expect; more or fewer may come. Default: unknown.
    """

    def __init__(self, rows: int = 0) -> None:
        self._rows, self._expected = 0, rows
        self._columns: dict[str, np.ndarray] = {}
        self._known: dict[str, dict[str, int]] = {}

    def add(self, part: pd.DataFrame) -> None:
        """Add rows: columns of numbers, and of text without blanks (:func:`filled`); the same columns every time."""
        end = self._rows + len(part)
        for name in part.columns:
            column = part[name]
            values = column.to_numpy() if isinstance(column.dtype, np.dtype) else self._coded(name, column)
            self._room(name, values.dtype, end)[self._rows : end] = values
        self._rows = end

    def _coded(self, name: str, column: pd.Series) -> np.ndarray:
        found, texts = numbered(column)
        known = self._known.setdefault(name, {})
        place = [known.setdefault(text, len(known)) for text in texts]
        # a shorter type would be widened, and so copied, as texts come
        return np.array(place or [0], dtype=max(code_type(len(known)), np.int16, key=lambda kind: kind().itemsize))[
            found
        ]

    def _room(self, name: str, kind: np.dtype, end: int) -> np.ndarray:
        """The column with space for ``end`` rows; pages that are never written to take no memory."""
        held = self._columns.get(name)
        wide = kind if held is None else np.promote_types(held.dtype, kind)
        if held is None or len(held) < end or held.dtype != wide:
            larger = np.empty(max(end, self._expected, 0 if held is None else len(held) * 3 // 2), dtype=wide)
            if held is not None:
                larger[: self._rows] = held[: self._rows]
            held = self._columns[name] = larger
        return held

    def table(self) -> pd.DataFrame:
        """All rows, index 0, 1, ...; what was held is given up, column by column."""
        columns: dict[str, pd.Series | np.ndarray] = {}
        index = pd.RangeIndex(self._rows)
        for name in list(self._columns):
            values = self._columns.pop(name)[: self._rows]
            known = self._known.get(name)
            columns[name] = values if known is None else categories(list(known), values, index)
        return pd.DataFrame(columns, index=index, copy=False)
