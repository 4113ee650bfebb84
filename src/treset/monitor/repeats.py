"""Samples that measure the same thing again: shared controls and technical replicates."""

from __future__ import annotations

import pandas as pd

from treset.errors import TresetError


def originals(sheet: pd.DataFrame, column: str) -> pd.Series:
    """Sample -> the sample it replicates, "" for none."""
    if column not in sheet.columns:
        return pd.Series("", index=sheet.index, dtype="str")
    original = sheet[column].astype("object").where(sheet[column].notna(), "").astype("str")
    for sample, of in original[original != ""].items():
        if of not in sheet.index or of == sample or original[of] != "":
            raise TresetError(
                f"samples, sample {sample!r}, column {column}: {of!r} cannot be replicated; expected is "
                "the id of another sample of the sheet that is no replicate itself"
            )
    return original


def repeats_of(table: pd.DataFrame, sheet: pd.DataFrame, original: pd.Series) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Profiles and sheet of controls and of replicated samples, with their ``material``."""
    usable = sheet[sheet["exclude"] == ""]
    material = {
        str(sample): f"{row['patient']}\x1f{row['stimulus']}\x1f{row['dose']:g}"
        for sample, row in usable[usable["anchor"]].iterrows()
    }
    copied = {of for of in original[usable.index] if of}
    for sample, of in original[usable.index].items():
        if sample not in material and (of or sample in copied):
            material[str(sample)] = str(of or sample)
    rows = sheet.loc[list(material)].assign(material=list(material.values()))
    return table[table["sample"].isin(rows.index)], rows
