"""The clinical table (patient, day, measure, value): read, checked, and one outcome of it by patient."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from treset.errors import Faults, TresetError
from treset.monitor.common import suggest
from treset.study.model import Outcome

COLUMNS = ("patient", "day", "measure", "value")
_SHOWN = 20


def read_clinical(path: Path | str) -> pd.DataFrame:
    """Read a clinical table.

    Parameters
    ----------
    path
        UTF-8 text, tab-separated (``.tsv``, ``.txt``) or comma-separated (``.csv``), with the columns patient, day,
        measure and value by name in any order. Ids are text.

    Returns
    -------
    patient, measure (text), day, value (float64), line (int64: where the row stands).

    Raises
    ------
    TresetError
        For a file that is missing, not UTF-8 or without these columns.
    Faults
        One sentence for each cell that is blank or no number, and for each value given twice.
    """
    path = Path(path)
    if not path.is_file():
        raise TresetError(
            f"{path}: there is no such file; expected is the clinical table (patient, day, measure, value)"
        )
    separator = "," if path.suffix.lower() == ".csv" else "\t"
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = list(csv.reader(stream, delimiter=separator, strict=True))
    except UnicodeDecodeError as error:
        raise TresetError(f"{path}: is not UTF-8; save the file as UTF-8") from error
    except csv.Error as error:
        raise TresetError(f"{path}: {error}; expected is a table with one row a line") from error
    header = lines[0] if lines else []
    if sorted(header) != sorted(COLUMNS):
        found = ", ".join(header) or "nothing"
        raise TresetError(f"{path}, line 1: the columns are {found}; expected are exactly {', '.join(COLUMNS)}")
    rows, faults, seen = [], [], {}
    for number, cells in enumerate(lines[1:], start=2):
        if not any(cells):
            continue
        if len(cells) != len(header):
            faults.append(f"{path}, line {number}: has {len(cells)} columns, the header has {len(header)}")
            continue
        row: dict[str, object] = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        faults += [f"{path}, line {number}, column {n}: is blank" for n in ("patient", "measure") if not row[n]]
        for name in ("day", "value"):
            text, row[name] = str(row[name]), _number(str(row[name]))
            if math.isnan(float(str(row[name]))):
                faults.append(
                    f"{path}, line {number}, column {name}: {text!r} is not a number; leave out what is unknown"
                )
        key = (row["patient"], row["day"], row["measure"])
        if key in seen:
            faults.append(f"{path}, line {number}: says again what line {seen[key]} says of patient {row['patient']!r}")
        seen.setdefault(key, number)
        rows.append(row | {"line": number})
    if faults:
        rest = len(faults) - _SHOWN
        raise Faults(faults[:_SHOWN] + ([f"{path}: and {rest} more"] if rest > 0 else []))
    return pd.DataFrame(rows, columns=[*COLUMNS, "line"]).astype(
        {"day": "float64", "value": "float64", "line": "int64"}
    )


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def check_patients(table: pd.DataFrame, known: Iterable[str]) -> None:
    """Refuse a patient that the sheet does not know (Faults: one sentence a patient)."""
    names = list(known)
    unknown = table[~table["patient"].isin(names)].drop_duplicates("patient")
    if len(unknown):
        raise Faults(
            [
                f"clinical table, line {line}, column patient: {patient!r} is not in the sample sheet"
                f"{suggest(patient, names) if len(names) <= 40 else ''}"
                for patient, line in zip(unknown["patient"], unknown["line"], strict=True)
            ]
        )


@dataclass(frozen=True)
class OfPatient:
    """An outcome in one patient.

    Attributes
    ----------
    value
        score: change from the last value up to day 0; count: sum; event: 1 or 0 (censored); NaN: none.
    time
        count: days under observation; event: day of the event or of the last observation; NaN otherwise.
    why
        Why there is none, or "".
    """

    value: float
    time: float
    why: str = ""


def outcome_of(rows: pd.DataFrame, outcome: Outcome) -> OfPatient:
    """One patient's outcome from the patient's rows of the measure.

    Raises
    ------
    TresetError
        For a count that is negative or not whole, or an event that is neither 0 nor 1.
    """
    if rows.empty:
        return OfPatient(math.nan, math.nan, f"no row of {outcome.measure}")
    ordered = rows.sort_values("day", kind="stable")
    first, last = outcome.window if outcome.window else (0.0, math.inf)
    later = ordered[(ordered["day"] > 0) & ordered["day"].between(first, last)]
    if outcome.kind == "score":
        return _score(ordered, later, outcome)
    if outcome.kind == "count":
        return _count(later, first)
    return _event(ordered, last)


def _score(ordered: pd.DataFrame, later: pd.DataFrame, outcome: Outcome) -> OfPatient:
    before = ordered[ordered["day"] <= 0]
    if before.empty:
        return OfPatient(math.nan, math.nan, "no value up to day 0")
    if later.empty:
        return OfPatient(math.nan, math.nan, "no value in the window" if outcome.window else "no value after day 0")
    if outcome.window:
        middle = sum(outcome.window) / 2
        after = later.loc[(later["day"] - middle).abs().sort_values(kind="stable").index[0]]
    else:
        after = later.iloc[-1]
    return OfPatient(float(after["value"]) - float(before["value"].iloc[-1]), float(after["day"]))


def _refuse(rows: pd.DataFrame, wrong: pd.Series, expected: str) -> None:
    for line, value in rows.loc[wrong, ["line", "value"]].itertuples(index=False):
        raise TresetError(f"clinical table, line {line}, column value: {value:g} is {expected}")


def _count(later: pd.DataFrame, first: float) -> OfPatient:
    _refuse(later, (later["value"] < 0) | (later["value"] % 1 != 0), "no count; expected is a whole number, 0 or more")
    if later.empty:
        return OfPatient(math.nan, math.nan, "no value in the window")
    time = float(later["day"].iloc[-1]) - max(first, 0.0)
    if time <= 0:
        return OfPatient(math.nan, math.nan, "no time under observation in the window")
    return OfPatient(float(later["value"].sum()), time)


def _event(ordered: pd.DataFrame, last: float) -> OfPatient:
    _refuse(ordered, ~ordered["value"].isin([0, 1]), "no event; expected is 1 (event) or 0 (seen without it)")
    happened = ordered[ordered["value"] == 1]
    if (happened["day"] <= 0).any():
        return OfPatient(math.nan, math.nan, "the event is on or before day 0")
    if not happened.empty and float(happened["day"].iloc[0]) <= last:
        return OfPatient(1.0, float(happened["day"].iloc[0]))
    end = min(float(ordered["day"].iloc[-1]), last)
    return OfPatient(0.0, end) if end > 0 else OfPatient(math.nan, math.nan, "not seen after day 0")
