"""The waist: rows of all samples with the sheet's columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from treset import texts
from treset.errors import TresetError
from treset.io.table import write_tsv
from treset.io.waist import parquet_parts, waist_writer
from treset.profile import DTYPES, validate

#: Columns of the sheet that the waist carries.
SHEET_COLUMNS = ["patient", "visit", "day", "arm", "disease", "batch", "stimulus", "dose"]


def gather(
    rows: Mapping[str, Path],
    quality: Mapping[str, Path],
    sheet: pd.DataFrame,
    profiles: Path,
    tsv: Path,
    quality_out: Path,
) -> None:
    """Join every sample's rows with the sheet and write the waist.

    One sample is in memory at a time, and a few wait to be written. The order of the rows: those of each sample in the
    order of ``rows``, then the absolute counts in the order of the sheet.

    Parameters
    ----------
    rows, quality
        Sample id -> ``profile.parquet`` and ``quality.tsv``.
    sheet
        One row a sample: ``sample``, :data:`SHEET_COLUMNS`, ``cells_per_ul``, ``counted_population``.
    profiles, tsv, quality_out
        Written, whole or not at all.

    Raises
    ------
    TresetError
        A sample is not in the sheet, is there twice, or its file is unreadable or holds rows of another sample.
    Faults
        A sample's rows break the contract (``treset.profile.validate``): one sentence a fault, with file, row, column.
    """
    facts = _facts(sheet)
    with waist_writer(profiles, tsv) as write:
        for sample, path in rows.items():
            write(_of_sample(sample, path, facts))
        # the last rows, as a second reading: a sample at a time is all that is ever held
        for sample in sheet.loc[sheet["cells_per_ul"].notna(), "sample"]:
            if sample in rows:
                table = _of_sample(sample, rows[sample], facts)
                more = absolute_counts(table, sheet[sheet["sample"] == sample])
                both = pd.concat([texts.spelled(table), texts.spelled(more)], ignore_index=True)
                whole = validate(both, f"{rows[sample]}, with absolute counts")
                write(whole.iloc[len(table) :])
    counts = [pd.read_csv(path, sep="\t", dtype={"sample": str}, keep_default_na=False) for path in quality.values()]
    write_tsv(pd.concat(counts, ignore_index=True), quality_out)


def _facts(sheet: pd.DataFrame) -> dict[str, dict[str, object]]:
    """Sample -> what the sheet says of it."""
    if (again := sheet["sample"].duplicated()).any():
        raise TresetError(f"samples: {sheet.loc[again, 'sample'].iloc[0]!r} is there twice; ids must be unique")
    known = sheet[["sample", *SHEET_COLUMNS]]
    known = known.assign(**{name: texts.filled(known[name]) for name in known if DTYPES[name] == "str"})
    return {str(row["sample"]): row for row in known.to_dict("records")}


def _of_sample(sample: str, path: Path, facts: Mapping[str, Mapping[str, object]]) -> pd.DataFrame:
    """One sample's rows of the waist, checked.

    Rows of another sample are refused: so no two files can hold the same row, and each can be checked by itself.
    """
    if sample not in facts:
        raise TresetError(f"{path}: the sample {sample!r} is not in the sample sheet; expected is a row for it")
    table = pd.concat(parquet_parts(path), ignore_index=True)
    if taken := [name for name in SHEET_COLUMNS if name in table.columns]:
        raise TresetError(f"{path}: has the column {taken[0]}, which the sheet gives; run the map step again")
    if "sample" in table.columns and (other := np.flatnonzero((table["sample"] != sample).to_numpy())).size:
        found = table["sample"].iloc[other[0]]
        raise TresetError(
            f"{path}, row {other[0] + 1}, column sample: {found!r} in the rows of {sample!r}; run the map step again"
        )
    for name in SHEET_COLUMNS:
        value = facts[sample][name]
        once = np.zeros(len(table), dtype=np.int8)
        table[name] = texts.categories([str(value)], once, table.index) if DTYPES[name] == "str" else value
    return validate(table, str(path))


def gather_text(files: Sequence[Path], out: Path) -> None:
    """Put the samples' tables (``clean.tsv``, ``mapping.tsv``) under each other; numbers stay text as they are."""
    tables = [pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False) for path in files]
    write_tsv(pd.concat(tables, ignore_index=True), out)


def absolute_counts(table: pd.DataFrame, sheet: pd.DataFrame) -> pd.DataFrame:
    """Cells per microlitre, where the sheet gives the count of one population by another instrument (dual platform).

    ``per_ul = cells_per_ul * count / count of counted_population`` in the same sample and origin.

    Returns
    -------
    Rows of measure ``per_ul``, in the columns of ``table``.
    """
    counted = sheet[sheet["cells_per_ul"].notna()]
    counts = table[table["measure"] == "count"]
    parts = []
    for row in counted.itertuples(index=False):
        mine = counts[counts["sample"] == row.sample]
        for _, group in mine.groupby("origin", sort=False):
            below = group.loc[group["population"] == row.counted_population, "value"]
            if below.empty:
                print(
                    f"{row.sample}: {row.counted_population} (counted_population) was not measured, no absolute counts"
                )
                continue
            part = group.assign(measure="per_ul")
            total = float(below.iloc[0])
            part["value"] = row.cells_per_ul * group["value"] / total if total else np.nan
            parts.append(part)
    return pd.concat(parts, ignore_index=True) if parts else table.iloc[:0]
