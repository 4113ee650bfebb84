"""The waist: rows of all samples with the sheet's columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from treset.io.files import atomic
from treset.io.table import write_tsv
from treset.profile import COLUMNS, validate

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

    Parameters
    ----------
    rows, quality
        Sample id -> ``profile.parquet`` and ``quality.tsv``.
    sheet
        One row a sample: ``sample``, :data:`SHEET_COLUMNS`, ``cells_per_ul``, ``counted_population``.
    profiles, tsv, quality_out
        Written.
    """
    table = pd.concat([pd.read_parquet(path) for path in rows.values()], ignore_index=True)
    table = pd.concat([table, absolute_counts(table, sheet)], ignore_index=True)
    table = table.merge(sheet[["sample", *SHEET_COLUMNS]], on="sample", how="left", validate="many_to_one")
    table = validate(table[list(COLUMNS)], "profiles")
    with atomic(profiles) as path:
        table.to_parquet(path, index=False)
    write_tsv(table, tsv)
    counts = [pd.read_csv(path, sep="\t", dtype={"sample": str}, keep_default_na=False) for path in quality.values()]
    write_tsv(pd.concat(counts, ignore_index=True), quality_out)


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
