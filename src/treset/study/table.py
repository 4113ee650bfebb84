"""Tab-delimited tables with line numbers: the reader of samples.tsv and panel.tsv."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from treset.study.faults import Collector, closest, listed, place, shown
from treset.study.schema import load_schema, validator
from treset.study.text import read_text

_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$")
#: A name this like a known column that is absent is taken for a slip, not for a covariate.
_SLIP = 0.8


@dataclass
class Row:
    """One line: the cells as text, and those of known columns typed (blank and faulty ones absent)."""

    line: int
    cells: dict[str, str]
    typed: dict[str, Any] = field(default_factory=dict)


@dataclass
class Table:
    """A table as read: its columns in order and its rows with their lines."""

    file: Path
    columns: list[str]
    rows: list[Row]
    #: Whether every line of the file became a row.
    whole: bool = True

    def where(self, row: Row, column: str | None = None) -> str:
        """Give the place of a cell."""
        return place(self.file, row.line, column)


def read_table(
    path: Path, schema: str, faults: Collector, where: str | None = None, covariates: bool = True
) -> Table | None:
    """Read a tab-delimited UTF-8 file and check its cells against a schema.

    Parameters
    ----------
    path
        The file.
    schema
        Name of the row's schema (``samples``, ``panel``).
    faults
        Receives every fault.
    where
        The place that named the file, for a file that is missing.
    covariates
        Whether columns that the schema does not know may stand in the table.

    Returns
    -------
    The table, or None when its shape cannot be read (columns missing, wrong delimiter).
    """
    text = read_text(path, faults, where)
    if text is None:
        return None
    records = _records(path, text, faults)
    if records is None:
        return None
    if not records:
        faults.add(shown(path), "is empty: expected a line of column names and one line a row, tab-delimited")
        return None
    (head_line, head), body = records[0], records[1:]
    columns = _header(path, head_line, head, schema, faults, covariates)
    if columns is None:
        return None
    if not body:
        faults.add(shown(path), "has column names but no rows: add one line a row")
    rows = [_row(path, line, cells, columns, faults) for line, cells in body]
    table = Table(path, columns, [row for row in rows if row is not None], None not in rows)
    for row in table.rows:
        _type(table, row, schema, faults)
    return table


def _records(path: Path, text: str, faults: Collector) -> list[tuple[int, list[str]]] | None:
    """Split into (line, cells); wholly blank lines are passed over."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    reader = csv.reader((line + "\n" for line in lines), delimiter="\t", strict=True)
    records = []
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                records.append((line, [cell.removesuffix("\n") for cell in cells]))
            if line != reader.line_num:
                faults.add(
                    place(path, line), "a quoted cell runs over the end of its line: remove the line break or the quote"
                )
            line = reader.line_num + 1
    except csv.Error:
        faults.add(
            place(path, line), 'a quote is opened and not closed properly: remove it, or double quotes inside ("")'
        )
        return None
    return records


def _header(
    path: Path, line: int, head: list[str], schema: str, faults: Collector, covariates: bool
) -> list[str] | None:
    properties = load_schema(schema)["properties"]
    while head and not head[-1].strip():
        head = head[:-1]
    columns = [name.strip() for name in head]
    if len(columns) == 1 and (wrong := _delimiter(columns[0])):
        faults.add(place(path, line), f"is {wrong}-delimited, expected tab-delimited text: save it as TSV (tabs)")
        return None
    before = len(faults)
    seen: set[str] = set()
    for position, (raw, name) in enumerate(zip(head, columns, strict=True), start=1):
        if not name:
            faults.add(place(path, line, position), "the column has no name: give it one or remove it")
        elif raw != name:
            faults.add(place(path, line, name), f"the column name '{raw}' has a space at its start or end: remove it")
        if name in seen:
            faults.add(place(path, line, name), f"the column name '{name}' stands there twice: keep one")
        seen.add(name)
    slips = _unknown(path, line, columns, properties, faults, covariates)
    for name in _required(schema):
        if name not in columns and name not in slips:
            meaning = properties[name]["description"]
            faults.add(place(path, line), f"the column '{name}' ({meaning}) is missing; found: {listed(columns, 40)}")
    return columns if len(faults) == before else None


def _unknown(
    path: Path, line: int, columns: list[str], known: Iterable[str], faults: Collector, covariates: bool
) -> set[str]:
    """Report column names that look like a slip for a known, absent one; give those known ones."""
    known = list(known)
    absent = [name for name in known if name not in columns]
    slips = set()
    for name in columns:
        if not name or name in known:
            continue
        near = closest(name, absent, _SLIP if covariates else 0.6)
        if near is not None:
            slips.add(near)
            other = ", or give a covariate of its own a name less like it" if covariates else ""
            faults.add(place(path, line, name), f"unknown column '{name}', did you mean '{near}'? Rename it{other}")
        elif not covariates:
            faults.add(place(path, line, name), f"unknown column '{name}'; allowed: {listed(known)}")
    return slips


def _required(schema: str) -> list[str]:
    found = load_schema(schema)
    return [*found["required"], *found.get("else", {}).get("required", []), *found.get("then", {}).get("required", [])]


def _delimiter(text: str) -> str | None:
    counts = {
        "comma": text.count(","),
        "semicolon": text.count(";"),
        "pipe": text.count("|"),
        "space": len(text.split()) - 1,
    }
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else None


def _row(path: Path, line: int, cells: list[str], columns: list[str], faults: Collector) -> Row | None:
    extra = cells[len(columns) :]
    if any(cell.strip() for cell in extra) or len(cells) < len(columns):
        found = f"{len(cells)} cells, expected {len(columns)} as in the line of column names"
        faults.cell(path, line, "all", f"the row has {found}: a tab is missing or too many", "cells")
        return None
    row = Row(line, {})
    for name, raw in zip(columns, cells, strict=False):
        cell = raw.strip()
        if cell != raw and cell:
            faults.cell(path, line, name, f"'{raw}' has a space at its start or end: remove it", "space")
        row.cells[name] = cell
    return row


def number(text: str) -> float | None:
    """Read a plain decimal number; None for anything else (``1,5``, ``nan``, ``1_000``)."""
    value = float(text) if _NUMBER.match(text) else None
    return value if value is not None and math.isfinite(value) else None


def _type(table: Table, row: Row, schema: str, faults: Collector) -> None:
    """Fill ``row.typed`` and report cells that the schema does not allow."""
    properties: Mapping[str, Any] = load_schema(schema)["properties"]
    faulty = set()
    for name in [name for name in table.columns if name in properties and row.cells[name]]:
        text, kind = row.cells[name], properties[name]["type"]
        value: Any = text
        expected = None
        if kind == "number":
            value, expected = number(text), "a number such as 8 or 0.5 (a point, no unit)"
        elif kind == "boolean":
            value, expected = {"true": True, "false": False}.get(text.lower()), "true or false"
        if value is None:
            faults.cell(table.file, row.line, name, f"'{text}' found, expected {expected}", "type")
            faulty.add(name)
        else:
            row.typed[name] = value
    for error in list(validator(schema).iter_errors(row.typed)):
        if error.validator == "required":
            for name in error.validator_value:
                if name not in row.typed and name not in faulty:
                    sentence = f"is blank, expected {properties[name]['description']}: fill it in"
                    faults.cell(table.file, row.line, name, sentence, "blank")
        elif error.validator != "if":
            name = str(error.absolute_path[0])
            faults.cell(table.file, row.line, name, _limit(error, row.cells[name]), "value")
            row.typed.pop(name, None)


def _limit(error: Any, text: str) -> str:
    if error.validator == "enum":
        near = closest(text, error.validator_value)
        asked = f" (did you mean '{near}'?)" if near else ""
        return f"'{text}' found{asked}; allowed: {listed(error.validator_value)}"
    if error.validator == "exclusiveMinimum":
        return f"'{text}' found, expected more than {error.validator_value}"
    return f"'{text}' found, expected at least {error.validator_value}"
