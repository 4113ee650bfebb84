"""Tidy tables of a finished study, as TSV and as one Excel file."""

from __future__ import annotations

import datetime
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from treset.errors import TresetError
from treset.export.cp import cp_rows
from treset.io.files import atomic
from treset.io.table import read_profiles, write_tsv
from treset.study.document import load_yaml

#: Measures of how many cells there are; the others say what the cells are like.
FREQUENCIES = ("count", "percent_of_parent", "percent_of_total", "per_ul")
MONITORS = ("treg", "bcell", "signalling", "clinical", "discovery")
#: Rows that a sheet of Excel holds, its heading included.
EXCEL_ROWS = 1_048_576
#: Characters that XML, and so a sheet of Excel, cannot hold.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_EPOCH = datetime.datetime(1980, 1, 1)
_STAMP = _EPOCH.isoformat().encode() + b"Z"


def export_tables(results: Path, out: Path) -> list[Path]:
    """Write ``frequencies.tsv``, ``medians.tsv``, ``effects.tsv``, ``quality.tsv``, ``cp.csv`` and ``tables.xlsx``.

    Parameters
    ----------
    results
        ``results/<study>/`` of a finished run; nothing else is read, so a blinded study stays blinded.
    out
        Folder to write to.

    Returns
    -------
    The files written. The same results give the same bytes.

    Raises
    ------
    TresetError
        The folder holds no profiles, or a table is too long for a sheet of Excel (its TSV is written before).
    """
    profiles = read_profiles(_there(results / "profiles.parquet"), compact=True)
    often = profiles["measure"].isin(FREQUENCIES)
    tables = {
        "frequencies": profiles[often],
        "medians": profiles[~often],
        "effects": _effects(results),
        "quality": _tsv(results / "quality.tsv"),
    }
    written = [write_tsv(table, out / f"{name}.tsv") for name, table in tables.items()]
    config = results / "provenance" / "config.yaml"
    known = load_yaml(config) if config.is_file() else {}
    with atomic(out / "cp.csv") as path:
        cp_rows(profiles, str(known.get("study") or results.name), str(known.get("modality") or "")).to_csv(
            path, index=False, lineterminator="\n", encoding="utf-8"
        )
    return [*written, out / "cp.csv", write_excel(tables, out / "tables.xlsx")]


def _there(path: Path) -> Path:
    if not path.is_file():
        raise TresetError(f"{path} is not there: name the results folder of a finished study (results/STUDY)")
    return path


def _tsv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", dtype={"sample": str, "patient": str}, keep_default_na=False, na_values=[""])


def _effects(results: Path) -> pd.DataFrame:
    """All monitors' effects, the monitor first."""
    parts = []
    for name in MONITORS:
        path = results / "monitors" / name / "effects.tsv"
        if path.is_file():
            table = _tsv(path)
            table.insert(0, "monitor", name)
            parts.append(table)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"monitor": pd.Series(dtype=str)})


def write_excel(tables: Mapping[str, pd.DataFrame], path: Path) -> Path:
    """Write tables as the sheets of one Excel file.

    Parameters
    ----------
    tables
        Name of a sheet -> table. Text stays text, also where it starts with ``=``; missing values are blank
        cells; numbers have the 15 to 16 digits that Excel keeps (the TSV is exact).
    path
        The file, written whole or not at all, with no time in it.

    Raises
    ------
    TresetError
        A table has more rows than a sheet holds.
    """
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    long = [name for name, table in tables.items() if len(table) >= EXCEL_ROWS]
    if long:
        raise TresetError(
            f"{', '.join(long)}: more than {EXCEL_ROWS - 1} rows do not fit a sheet of Excel: use the TSV files"
        )
    book = Workbook(write_only=True)
    for name, table in tables.items():
        sheet = book.create_sheet(name)
        sheet.freeze_panes = "A2"
        sheet.append([str(column) for column in table.columns])
        columns = [_cells(table[column]) for column in table.columns]
        for row in zip(*columns, strict=True):
            cells = []
            for value in row:
                cell = WriteOnlyCell(sheet, value=value)
                if isinstance(value, str):
                    cell.data_type = "s"
                cells.append(cell)
            sheet.append(cells)
    with atomic(path) as temporary:
        book.save(temporary)
        _without_times(temporary)
    return path


def _cells(column: pd.Series) -> list[object]:
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return [None if pd.isna(value) else value for value in column.tolist()]
    return [None if pd.isna(v) or v == "" else _ILLEGAL.sub("\ufffd", str(v)) for v in column.tolist()]


def _without_times(path: Path) -> None:
    """Write the archive again with one fixed time, so that the same tables give the same bytes."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            core = name == "docProps/core.xml"
            written = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", _STAMP, content) if core else content
            archive.writestr(zipfile.ZipInfo(name, _EPOCH.timetuple()[:6]), written, zipfile.ZIP_DEFLATED)
