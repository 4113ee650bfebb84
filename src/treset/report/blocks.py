"""What a section is made of: figures, tables, paragraphs and honest gaps."""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from markupsafe import Markup

from treset.report.text import missing, number


@dataclass(frozen=True)
class Download:
    """A table to save: the link itself is a gzipped TSV (works without JavaScript); the script unpacks it to a TSV."""

    name: str
    data: str


@dataclass(frozen=True)
class Figure:
    """A drawing with a heading, a caption and its numbers."""

    title: str
    svg: Markup
    caption: str = ""
    download: Download | None = None
    wide: bool = False


@dataclass(frozen=True)
class Column:
    """A column of a shown table; ``numeric`` ones are set to the right."""

    label: str
    numeric: bool = False
    wide: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell of a shown table: text, the key it sorts by, a style class, a tooltip and a second, smaller line.

    ``link`` is a place in the page (``#id``) that the text leads to; ``drawing`` stands before the text.
    """

    text: str
    sort: str = ""
    style: str = ""
    tip: str = ""
    under: str = ""
    link: str = ""
    drawing: Markup | str = ""


@dataclass(frozen=True)
class Table:
    """A table with a heading, a caption and its full content as a download."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    download: Download | None = None
    folded: bool = False


@dataclass(frozen=True)
class Note:
    """Paragraphs, one a line; ``kind`` is ``text``, ``missing`` (a result that does not exist) or ``warning``."""

    text: str
    kind: str = "text"


@dataclass(frozen=True)
class Notes:
    """Sentences that a monitor left, folded when there are many."""

    items: Sequence[str]


@dataclass(frozen=True)
class CellMap:
    """The interactive map; ``payload`` is the JSON that report.js reads."""

    title: str
    payload: Markup
    caption: str
    download: Download | None = None


@dataclass(frozen=True)
class Page:
    """A patient's page: facts, flags, what the monitors say, and a table of measures by visit."""

    id: str
    title: str
    facts: Sequence[str]
    flags: Sequence[str]
    columns: Sequence[Cell]
    rows: Sequence[Sequence[Cell]]
    calls: Sequence[Sequence[Cell]]
    caption: str = ""


@dataclass(frozen=True)
class Pages:
    """The pages of all patients, each folded until it is asked for by click, key or link."""

    title: str
    items: Sequence[Page]


Block = Figure | Table | Note | Notes | CellMap | Pages


@dataclass(frozen=True)
class Section:
    """A part of the report."""

    id: str
    title: str
    blocks: Sequence[Block]
    short: str = ""
    lead: str = ""


@dataclass(frozen=True)
class Card:
    """A verdict card. ``verdict`` is one of the three words, ``pass`` / ``check`` for data quality, or "": no badge."""

    title: str
    verdict: str
    value: str
    caption: str
    reason: str
    rule: str = ""
    link: str = ""
    icon: str = field(init=False)
    style: str = field(init=False)

    def __post_init__(self) -> None:
        icons = {"met": "\u2713", "pass": "\u2713", "not met": "\u2715", "check": "!"}
        object.__setattr__(self, "icon", icons.get(self.verdict, "?"))
        known = {"met", "not met", "not evaluable", "pass", "check"}
        word = self.verdict if self.verdict in known else "not evaluable" if self.verdict else "described"
        object.__setattr__(self, "style", word.replace(" ", "-"))


def download(name: str, frame: pd.DataFrame) -> Download:
    """Pack a table as a gzipped TSV; the same table gives the same bytes."""
    data = gzip.compress(frame.to_csv(sep="\t", index=False).encode(), mtime=0)
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
    return Download(name=f"{safe}.tsv", data=base64.b64encode(data).decode())


Format = Callable[[object], str]


def cell(value: object, shown: Format | None = None, style: str = "") -> Cell:
    """Make a cell; numbers and true/false are written for people, text stays as it is."""
    if isinstance(value, bool):
        return Cell("yes" if value else "no", style=style)
    if shown is None and isinstance(value, int | float) and not missing(value):
        shown = number  # type: ignore[assignment]
    text = shown(value) if shown else ("\u2013" if missing(value) else str(value))
    sort = repr(float(value)) if isinstance(value, int | float) and not missing(value) else ""
    return Cell(text, sort, style)


def table(
    title: str,
    frame: pd.DataFrame,
    name: str,
    formats: Mapping[str, Format] | None = None,
    labels: Mapping[str, str] | None = None,
    caption: str = "",
    full: pd.DataFrame | None = None,
    wide: Sequence[str] = (),
    folded: bool = False,
) -> Table:
    """Make a shown table from a DataFrame.

    Parameters
    ----------
    frame
        The rows and columns shown.
    name
        File name of the download, without ending.
    formats, labels
        How a column's values and its heading are written; by default as numbers with three significant digits.
    full
        What is downloaded; by default what is shown.
    wide
        Columns that hold sentences.
    """
    formats, labels = formats or {}, labels or {}
    columns = [
        Column(labels.get(c, str(c).replace("_", " ")), bool(pd.api.types.is_numeric_dtype(frame[c])), c in wide)
        for c in frame.columns
    ]
    values = [frame[c].tolist() for c in frame.columns]
    shown = [formats.get(c) for c in frame.columns]
    rows = [[cell(column[i], how) for column, how in zip(values, shown, strict=True)] for i in range(len(frame))]
    return Table(title, columns, rows, caption, download(name, frame if full is None else full), folded)
