"""``samples.tsv``: one row a sample, checked cell by cell and row against row."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from treset.errors import TresetError
from treset.io import file_format
from treset.study.faults import Collector, listed, shown
from treset.study.model import Modality
from treset.study.table import Row, Table, read_table
from treset.study.text import missing

#: Columns that are always in ``Study.samples``, in order.
COLUMNS = (
    "sample", "file", "patient", "visit", "day", "arm", "disease", "batch", "anchor", "stimulus", "dose",
    "cells_per_ul", "counted_population", "exclude",
)  # fmt: skip
NUMBERS = ("day", "dose", "cells_per_ul")

#: Columns of the waist and of the cells' table; a covariate of that name would be mistaken for one of them.
RESERVED = ("population", "parent", "origin", "measure", "marker", "value", "n_cells", "cluster", "keep")

_LONGEST_ID = 100
_FORBIDDEN = '/\\<>:"|?*{}'
_WINDOWS = {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10))}

_MATRIX = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
_READABLE = "FCS (.fcs, .lmd), 10x (.h5 or a matrix folder), .h5ad, or a .csv or .tsv matrix"


@dataclass(frozen=True)
class Sheet:
    """The sheet as read, with the lines its rows came from."""

    file: Path
    #: In the form of ``Study.samples``.
    samples: pd.DataFrame
    #: Sample id -> line.
    lines: dict[str, int]
    #: Columns that the file really has.
    columns: tuple[str, ...]
    #: False when a row or its patient or visit could not be read: what seems absent may be there.
    whole: bool

    @property
    def included(self) -> pd.DataFrame:
        """The samples that are analysed."""
        return self.samples[self.samples["exclude"] == ""]


def file_kind(path: Path) -> str | None:
    """Tell a sample's file by its name: ``fcs``, ``counts`` (10x, h5ad), ``matrix``, or None for something else."""
    name = path.name.lower()
    if name.endswith((".fcs", ".lmd")):
        return "fcs"
    if name.endswith(_MATRIX):
        return "matrix"
    return "counts" if name.endswith((".h5", ".h5ad")) or os.path.isdir(path) else None


def read_sheet(
    path: Path,
    faults: Collector,
    *,
    root: Path,
    modality: Modality | None,
    files: bool = True,
    where: str | None = None,
) -> Sheet | None:
    """Read and check a sample sheet.

    Parameters
    ----------
    path
        The file: tab-delimited, UTF-8.
    faults
        Receives every fault and warning.
    root
        The study's folder; relative file names start there.
    modality
        What the files must be; None: not known, because of another fault.
    files
        Whether the samples' files must be there.
    where
        The place that named the sheet, for a sheet that is missing.

    Returns
    -------
    The sheet; None when it has no readable shape.
    """
    table = read_table(path, "samples", faults, where)
    if table is None:
        return None
    for column in table.columns:
        if column in RESERVED:
            faults.add(
                table.where(Row(1, {}), column),
                f"the column name '{column}' is reserved for results: rename the column",
            )
    _check_ids(table, faults)
    _check_files(table, faults, root, modality, files)
    _check_patients(table, faults)
    _check_counts(table, faults)
    _warn_repeats(table, faults)
    if table.rows and all(row.cells.get("exclude") for row in table.rows):
        faults.add(shown(path), "every sample is excluded: blank the column exclude of the samples to analyse")
    lines: dict[str, int] = {}
    for row in table.rows:
        lines.setdefault(row.cells["sample"], row.line)
    whole = table.whole and bool(table.rows) and all(row.cells["patient"] and row.cells["visit"] for row in table.rows)
    return Sheet(path, _frame(table, root), lines, tuple(table.columns), whole)


def _frame(table: Table, root: Path) -> pd.DataFrame:
    columns: dict[str, object] = {}
    for name in (*COLUMNS, *(name for name in table.columns if name not in COLUMNS)):
        if name in NUMBERS:
            columns[name] = np.array([row.typed.get(name, np.nan) for row in table.rows], dtype=np.float64)
        elif name == "anchor":
            columns[name] = np.array([row.typed.get(name, False) for row in table.rows], dtype=bool)
        elif name == "file":
            texts = [str(absolute(row.cells[name], root)) if row.cells[name] else "" for row in table.rows]
            columns[name] = pd.array(texts, dtype="str")
        else:
            columns[name] = pd.array([row.cells.get(name, "") for row in table.rows], dtype="str")
    return pd.DataFrame(columns)


def absolute(name: str, root: Path) -> Path:
    """Give the absolute path of a name in the sheet or config; nothing is resolved but ``.`` and ``..``."""
    return Path(os.path.normpath(root / name))


def _check_ids(table: Table, faults: Collector) -> None:
    exact: dict[str, int] = {}
    alike: dict[str, tuple[str, int]] = {}
    for row in table.rows:
        sample = row.cells["sample"]
        if not sample:
            continue
        if reason := _not_a_folder(sample):
            sentence = f"the sample id '{sample}' cannot name a folder ({reason}): choose another id"
            faults.cell(table.file, row.line, "sample", sentence, "folder")
        key = unicodedata.normalize("NFC", sample).casefold()
        if sample in exact:
            sentence = f"the sample id '{sample}' was already given in line {exact[sample]}: ids must be unique"
            faults.cell(table.file, row.line, "sample", sentence, "twice")
        elif key in alike:
            other, line = alike[key]
            sentence = (
                f"the sample id '{sample}' differs from '{other}' in "
                f"line {line} by case or accents only: choose another id"
            )
            faults.cell(table.file, row.line, "sample", sentence, "alike")
        exact.setdefault(sample, row.line)
        alike.setdefault(key, (sample, row.line))


def _not_a_folder(sample: str) -> str | None:
    bad = sorted({letter for letter in sample if letter in _FORBIDDEN or not letter.isprintable()})
    if bad:
        return f"it holds {listed([letter if letter.isprintable() else f'U+{ord(letter):04X}' for letter in bad])}"
    if sample[0] in ".-":
        return f"it starts with {sample[0]}"
    if sample.endswith("."):
        return "it ends with a dot"
    if sample.split(".", maxsplit=1)[0].casefold() in _WINDOWS:
        return "Windows reserves this name"
    if len(sample) > _LONGEST_ID or len(sample.encode()) > 2 * _LONGEST_ID:
        return f"it is longer than {_LONGEST_ID} characters"
    return None


def _check_files(table: Table, faults: Collector, root: Path, modality: Modality | None, files: bool) -> None:
    seen: dict[Path, int] = {}
    for row in table.rows:
        if not row.cells["file"]:
            continue
        path = absolute(row.cells["file"], root)
        key = Path(os.path.realpath(path)) if files else path
        if key in seen:
            sentence = (
                f"the file '{row.cells['file']}' is already that of the "
                f"sample in line {seen[key]}: give each sample its own"
            )
            faults.cell(table.file, row.line, "file", sentence, "twice")
        seen.setdefault(key, row.line)
        excluded = bool(row.cells.get("exclude"))
        if files and not excluded and not os.path.exists(path):
            slash = "; the name has backslashes: write / between folders" if "\\" in row.cells["file"] else ""
            faults.cell(
                table.file, row.line, "file", f"the file '{row.cells['file']}' {missing(path)}{slash}", "missing"
            )
            continue
        if modality is not None and not excluded and (wrong := _wrong_kind(path, modality)):
            faults.cell(table.file, row.line, "file", f"'{row.cells['file']}' {wrong}", "kind")


def _wrong_kind(path: Path, modality: Modality) -> str | None:
    kind = file_kind(path)
    if kind is None and not _readable(path):
        return f"is of a type that cannot be read ('{path.suffix}'), expected {_READABLE}"
    if kind == "fcs" and modality == "rna":
        return (
            "is an FCS file, but the study's modality is rna: one "
            "modality a study, put cytometry into a study of its own"
        )
    if kind == "counts" and modality != "rna":
        return (
            f"holds RNA counts, but the study's modality is {modality}: "
            "one modality a study, put RNA into a study of its own"
        )
    return None


def _readable(path: Path) -> bool:
    """Tell by its first bytes whether a file of an unusual name can be read."""
    if not os.path.exists(path):
        return False
    try:
        file_format(path)
    except TresetError:
        return False
    return True


def _patients(table: Table) -> Iterator[Row]:
    return (row for row in table.rows if row.cells["patient"] and not row.typed.get("anchor", False))


def _check_patients(table: Table, faults: Collector) -> None:
    for column in ("arm", "disease"):
        if column not in table.columns:
            continue
        first: dict[str, tuple[str, int]] = {}
        for row in _patients(table):
            patient, value = row.cells["patient"], row.cells[column]
            before, line = first.setdefault(patient, (value, row.line))
            if before != value:
                sentence = (
                    f"patient '{patient}' has {column} '{value}' here and "
                    f"'{before}' in line {line}: a patient has one {column}"
                )
                faults.cell(table.file, row.line, column, sentence, "two")


def _check_counts(table: Table, faults: Collector) -> None:
    if "cells_per_ul" not in table.columns:
        return
    for row in table.rows:
        counted = row.cells.get("counted_population", "")
        if row.cells["cells_per_ul"] and not counted:
            sentence = "is blank although cells_per_ul is given: name the population that was counted"
            faults.cell(table.file, row.line, "counted_population", sentence, "blank")
        elif counted and not row.cells["cells_per_ul"]:
            faults.warn(
                table.where(row, "cells_per_ul"),
                f"is blank although counted_population is '{counted}': no absolute counts",
            )


def _warn_repeats(table: Table, faults: Collector) -> None:
    first: dict[tuple[str, ...], int] = {}
    for row in table.rows:
        if row.cells.get("exclude") or not row.cells["patient"]:
            continue
        told = tuple(row.cells.get(name, "") for name in ("patient", "visit", "stimulus", "dose", "batch", "anchor"))
        if told in first:
            sentence = (
                f"patient '{told[0]}' at visit '{told[1]}' is also in line "
                f"{first[told]} with the same stimulus, dose and batch: "
                "tell them apart or exclude one"
            )
            faults.warn(table.where(row, "sample"), sentence)
        first.setdefault(told, row.line)
