"""CP-like rows: the variables of SDTM's Cell Phenotype Findings domain (CDISC SDTMIG 3.4), not a submission."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from treset.report.text import UNITS
from treset.texts import categories, recoded, spelled

#: Columns in the order of the domain; SUPP variables and controlled terminology are left to the sponsor.
COLUMNS = (
    "STUDYID", "DOMAIN", "USUBJID", "CPSEQ", "CPREFID", "CPTESTCD", "CPTEST", "CPCAT", "CPSCAT", "CPORRES",
    "CPORRESU", "CPSTRESC", "CPSTRESN", "CPSTRESU", "CPSTAT", "CPREASND", "CPMETHOD", "CPMRKSTR", "VISIT", "CPDY",
)  # fmt: skip
_METHODS = {"mass_cytometry": "MASS CYTOMETRY", "flow_cytometry": "FLOW CYTOMETRY", "rna": "SINGLE-CELL RNA SEQUENCING"}
_LABELS = {
    "count": "count", "percent_of_parent": "% of {parent}", "percent_of_total": "% of all cells", "per_ul": "per uL",
    "median": "{marker} median", "mean": "{marker} mean", "percent_positive": "% {marker}+",
    "signature": "{marker} score", "ratio": "/ {marker}",
}  # fmt: skip
_LONGEST = 40


def cp_rows(profiles: pd.DataFrame, study: str, modality: str) -> pd.DataFrame:
    """Rows of the waist as cell phenotype findings: one row a sample, population and measure.

    Parameters
    ----------
    profiles
        The waist; the gated populations (``origin`` gate, or external) are taken, since a cluster is no test.
    study
        STUDYID.
    modality
        Of the study; gives CPMETHOD and the unit of medians.

    Returns
    -------
    Columns ``COLUMNS``. CPTESTCD is at most 8 characters, made here (no CDISC terminology), one a CPTEST. CPDY follows
    SDTM: there is no day 0, the first dose (``day`` 0) is day 1. A value that does not exist (the median of no cells)
    is CPSTAT ``NOT DONE`` with CPREASND. Text that repeats is held as categories.
    """
    rows = profiles[~profiles["origin"].isin(["cluster", "adjusted"])].reset_index(drop=True)
    test, long = _tests(rows)
    codes, short = test_codes(long), short_names(long)
    value = rows["value"]
    shown = pd.Series([repr(float(v)) if np.isfinite(v) else "" for v in value], index=rows.index, dtype="str")
    unit = recoded(rows["measure"], lambda measure: _unit(measure, modality))
    missing = value.isna()
    table = pd.DataFrame(
        {
            "STUDYID": study,
            "DOMAIN": "CP",
            "USUBJID": recoded(rows["patient"], lambda patient: f"{study}-{patient}"),
            "CPSEQ": rows.groupby("patient", sort=False).cumcount() + 1,
            "CPREFID": rows["sample"],
            "CPTESTCD": categories([codes[name] for name in long], test, rows.index),
            "CPTEST": categories([short[name] for name in long], test, rows.index),
            "CPCAT": recoded(rows["measure"], lambda measure: measure.replace("_", " ").upper()),
            "CPSCAT": rows["stimulus"],
            "CPORRES": shown,
            "CPORRESU": unit,
            "CPSTRESC": shown,
            "CPSTRESN": value,
            "CPSTRESU": unit,
            "CPSTAT": categories(["", "NOT DONE"], missing.to_numpy(dtype=np.int8), rows.index),
            "CPREASND": categories(["", "NO CELLS TO MEASURE"], missing.to_numpy(dtype=np.int8), rows.index),
            "CPMETHOD": _METHODS.get(modality, ""),
            "CPMRKSTR": rows["marker"],
            "VISIT": rows["visit"],
            "CPDY": _days(rows["day"]),
        }
    )
    return table[list(COLUMNS)]


def _tests(rows: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """The number of each row's test, (n,), and the long names of the tests."""
    about = ["population", "parent", "measure", "marker"]
    number = rows.groupby(about, sort=False, observed=True).ngroup().to_numpy()
    first = rows[about][~pd.Series(number).duplicated().to_numpy()]
    return number, [_label(row) for row in spelled(first).to_dict("records")]


def _days(days: pd.Series) -> pd.Series:
    number, known = pd.factorize(days)
    return categories([study_day(day) for day in known], number, days.index)


def study_day(day: float) -> str:
    """Day of SDTM from days since the first dose: 0 becomes 1, -1 stays; blank where it is unknown or no whole day."""
    if not np.isfinite(day) or day != int(day):
        return ""
    return str(int(day) + 1 if day >= 0 else int(day))


def test_codes(names: list[str]) -> dict[str, str]:
    """A code of at most 8 letters and digits for each test name, the same whatever the order of the rows."""
    codes = {}
    for number, name in enumerate(sorted(set(names)), start=1):
        letters = re.sub(r"[^A-Z0-9]", "", name.upper()).lstrip("0123456789") or "T"
        tail = str(number)
        codes[name] = letters[: 8 - len(tail)] + tail
    return codes


test_codes.__test__ = False  # type: ignore[attr-defined]


def short_names(names: list[str]) -> dict[str, str]:
    """At most 40 characters for each test name; a longer one keeps its end, the measure, and is numbered."""
    short = {}
    for number, name in enumerate(sorted(set(names)), start=1):
        tail = f" #{number}"
        half = (_LONGEST - len(tail)) // 2
        short[name] = name if len(name) <= _LONGEST else f"{name[: half - 1]}~{name[-half:]}{tail}"
    return short


def _label(row: dict[str, str]) -> str:
    return f"{row['population']} {_LABELS[row['measure']].format(**row)}"


def _unit(measure: str, modality: str) -> str:
    if measure.startswith("percent"):
        return "%"
    if measure in ("median", "mean"):
        return UNITS.get(modality, "")
    return {"count": "cells", "per_ul": "cells/uL", "ratio": "RATIO"}.get(measure, "")
