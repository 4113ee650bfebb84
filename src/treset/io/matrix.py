"""Matrices as text: ``.csv``, ``.tsv``, ``.txt``, each also with ``.gz``.

Cytometry: one row an event, one column a marker, raw (untransformed) values. RNA: one row a gene, one column a cell
(the usual form of public count tables), whole numbers. In both a first column without a name, or named cell, cell_id,
event, barcode, gene or similar, holds the names of the rows.
"""

from __future__ import annotations

import csv
import gzip
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np
import pandas as pd
import scipy.sparse as sp

from treset.errors import Faults, TresetError
from treset.io.counts import RNA_TYPE, counts_anndata, counts_csr

if TYPE_CHECKING:
    from anndata import AnnData

#: Header of a first column that holds the names of the rows.
ROW_NAMES = {
    "",
    "cell",
    "cell_id",
    "cellid",
    "event",
    "event_id",
    "barcode",
    "gene",
    "genes",
    "gene_name",
    "symbol",
    "index",
}
_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons"}
#: Faults of one file shown in full; the rest are counted.
_MAX_FAULTS = 20
_LOOKS_LIKE_BARCODE = re.compile(r"[ACGT]{10,}(-\d+)?")


def read_matrix(path: Path | str, modality: str) -> AnnData:
    """Read a text matrix.

    Parameters
    ----------
    path
        The file; its suffix says the delimiter (``.csv`` comma, else tab).
    modality
        ``rna``: genes x cells; else events x markers.

    Returns
    -------
    AnnData, cells x variables, as `treset.io.read_sample` promises: cytometry ``X`` float32 with ``var["marker"]`` =
    the column's name; RNA ``X`` CSR float32 counts.

    Raises
    ------
    TresetError
        All faults at once, with line and column: another delimiter, blank cells, text, NaN or infinity, repeated or
        blank column names, lines of unequal length.
    """
    path = Path(path)
    header = read_columns(path)
    table = _parse(path)
    if table.shape[1] != len(header):
        # A header one name short: R leaves out the name of the row names.
        if table.shape[1] != len(header) + 1:
            raise TresetError(
                f"{path}: the header has {len(header)} columns and line 2 has {table.shape[1]}; both must have as many."
            )
        header = ["", *header]
    with_names = header[0].strip().lower() in ROW_NAMES or (
        modality == "rna" and table.dtypes.iloc[0].kind not in "iuf"
    )
    names = table.iloc[:, 0].astype(str).tolist() if with_names else [str(i) for i in range(len(table))]
    first = 1 if with_names else 0
    faults = _header_faults(path, header, first)
    values, more = _numbers(path, table.iloc[:, first:], header[first:], first)
    _raise(faults + more)
    form = f"text matrix, {'genes x cells' if modality == 'rna' else 'cells x markers'}"
    columns = [name.strip() for name in header[first:]]
    return (
        _rna(path, values, names, columns, form)
        if modality == "rna"
        else _cytometry(path, values, names, columns, form)
    )


def read_columns(path: Path | str) -> list[str]:
    """The header line's fields, stripped of a byte-order mark; checks the delimiter."""
    path = Path(path)
    delimiter = _delimiter(path)
    with _text(path) as stream:
        header = next(csv.reader(stream, delimiter=delimiter), [])
    if len(header) < 2:
        line = header[0] if header else ""
        other = next((mark for mark in _NAMES if mark != delimiter and mark in line), None)
        found = f"{_NAMES[other]}" if other else f"the single field {line[:40]!r}"
        raise TresetError(
            f"{path}: line 1 is not split by {_NAMES[delimiter]} as the file's name says (found {found}); save it with "
            f"{_NAMES[delimiter]} or name it .csv for commas, .tsv for tabs."
        )
    return header


def count_lines(path: Path | str) -> int:
    """Number of lines below the header that are not blank at the end of the file."""
    with _text(Path(path)) as stream:
        last = 0
        for number, line in enumerate(stream):
            if line.strip():
                last = number
    return last


def _delimiter(path: Path) -> str:
    return "," if path.name.lower().removesuffix(".gz").endswith(".csv") else "\t"


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    try:
        opener = gzip.open if path.name.lower().endswith(".gz") else open
        with opener(path, "rt", encoding="utf-8-sig", newline="") as stream:
            yield stream
    except FileNotFoundError:
        raise TresetError(f"{path}: there is no such file; check the path in the sample sheet.") from None
    except UnicodeDecodeError as error:
        raise TresetError(f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8.") from None
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise TresetError(f"{path}: cannot be read ({error}); copy it again.") from None


def _parse(path: Path) -> pd.DataFrame:
    """Everything below the header; columns with anything but numbers come as text."""
    try:
        with _text(path) as stream, warnings.catch_warnings():
            # A column that is text in one block and numbers in another: found and reported below.
            warnings.simplefilter("ignore", pd.errors.DtypeWarning)
            table = pd.read_csv(
                stream,
                sep=_delimiter(path),
                header=None,
                skiprows=1,
                index_col=False,
                na_filter=False,
                skip_blank_lines=False,
                low_memory=False,
            )
    except pd.errors.EmptyDataError:
        raise TresetError(f"{path}: has a header and no rows; leave the sample out or export it again.") from None
    except (pd.errors.ParserError, ValueError) as error:
        text = " ".join(str(error).split()).removeprefix("Error tokenizing data. C error: ")
        raise TresetError(f"{path}: is no regular table ({text}); every line must have as many fields.") from None
    keep = len(table)
    while keep and all(pd.isna(value) or not str(value).strip() for value in table.iloc[keep - 1]):
        keep -= 1
    if keep == 0:
        raise TresetError(f"{path}: has a header and no rows; leave the sample out or export it again.")
    return table.iloc[:keep]


def _header_faults(path: Path, header: list[str], first: int) -> list[str]:
    names = [name.strip() for name in header]
    faults = [
        f"{path}: line 1, column {number} has no name; give the marker's or cell's name."
        for number, name in enumerate(names[first:], start=first + 1)
        if not name
    ]
    for name in dict.fromkeys(names[first:]):
        places = [str(number) for number, other in enumerate(names, start=1) if other == name]
        if name and len(places) > 1:
            faults.append(f"{path}: line 1, column {name!r} comes {len(places)} times (columns {', '.join(places)}).")
    return faults


def _numbers(path: Path, table: pd.DataFrame, header: list[str], first: int) -> tuple[np.ndarray, list[str]]:
    """The values as float64, and a sentence for each cell that is no finite number."""
    values = np.empty(table.shape, dtype=np.float64)
    for column in range(table.shape[1]):
        stored = table.iloc[:, column]
        numbers = stored if stored.dtype.kind in "iuf" else pd.to_numeric(stored.astype(str), errors="coerce")
        values[:, column] = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = ~np.isfinite(values)
    faults: list[str] = []
    for row in np.flatnonzero(wrong.any(axis=1)):
        texts = [str(text).strip() for text in table.iloc[row]]
        if not any(texts):
            faults.append(f"{path}: line {row + 2} is blank, expected {len(texts)} numbers.")
            continue
        for column in np.flatnonzero(wrong[row]):
            name = header[column].strip() or first + int(column) + 1
            what = f"is {texts[column]!r}" if texts[column] else "is blank"
            faults.append(f"{path}: line {row + 2}, column {name!r} {what}, expected a number.")
    return values, faults


def _raise(faults: list[str]) -> None:
    if len(faults) > _MAX_FAULTS:
        faults = [*faults[:_MAX_FAULTS], f"and {len(faults) - _MAX_FAULTS} more of this kind."]
    if faults:
        raise Faults(faults)


def _cytometry(path: Path, values: np.ndarray, names: list[str], columns: list[str], form: str) -> AnnData:
    from anndata import AnnData

    var = pd.DataFrame({"marker": columns}, index=pd.Index(columns))
    with np.errstate(over="ignore"):
        events = values.astype(np.float32)
    if not np.isfinite(events).all():
        raise TresetError(f"{path}: a value is beyond the range of float32 (3.4e38), expected raw intensities.")
    obs = pd.DataFrame(index=pd.Index(names if len(set(names)) == len(names) else [str(i) for i in range(len(names))]))
    return AnnData(events, obs=obs, var=var, uns={"treset_io": {"format": form, "notes": []}})


def _rna(path: Path, values: np.ndarray, names: list[str], columns: list[str], form: str) -> AnnData:
    if np.mean([bool(_LOOKS_LIKE_BARCODE.fullmatch(name)) for name in names]) > 0.5:
        raise TresetError(
            f"{path}: its row names look like cell barcodes ({names[0]!r}), expected genes in rows and cells in "
            "columns; transpose the table."
        )
    csr = sp.csr_matrix(values.T)
    counts = counts_csr((csr.data, csr.indices, csr.indptr), csr.shape, str(path))
    features = pd.DataFrame({"gene_id": names, "symbol": names, "feature_type": RNA_TYPE})
    return counts_anndata(counts, np.array(columns), features, form, path)
