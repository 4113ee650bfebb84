"""What all monitors share: the result and its files, the samples that count, and the rules of a verdict."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from treset import profile
from treset.errors import TresetError
from treset.io.files import atomic
from treset.io.table import write_tsv
from treset.monitor.repeats import originals, repeats_of
from treset.texts import spelled, where

#: Columns of effects.tsv.
EFFECT_COLUMNS = (
    "endpoint", "population", "measure", "marker", "contrast", "n", "estimate", "scale", "lower", "upper", "p_value",
    "q_value", "method", "converged", "verdict", "note", "role", "origin",
)  # fmt: skip
#: Columns that a value is read from; what the sheet says of a sample is read from the sheet.
READ = ("sample", "population", "parent", "origin", "measure", "marker", "value", "n_cells")
MET, NOT_MET, NOT_EVALUABLE = "met", "not met", "not evaluable"
#: Level of every interval that is reported.
CONFIDENCE = 0.95

_SHEET_TEXT = ("arm", "disease", "stimulus", "exclude", "counted_population")
_SHEET_NUMBERS = ("day", "dose", "cells_per_ul")


@dataclass(frozen=True)
class MonitorResult:
    """What a monitor found: the contract of architecture.md.

    Attributes
    ----------
    name
        The monitor: ``treg``, ``bcell`` or ``discovery``.
    effects
        One row an effect, columns ``EFFECT_COLUMNS``.
    patients
        One row a patient (and endpoint).
    summary
        The content of summary.json.
    """

    name: str
    effects: pd.DataFrame
    patients: pd.DataFrame
    summary: dict


def write(result: MonitorResult, folder: Path | str) -> Path:
    """Write effects.tsv, patients.tsv and, last, summary.json into ``folder``, each whole or not at all.

    The same result gives the same bytes. Returns the folder.
    """
    folder = Path(folder)
    write_tsv(result.effects, folder / "effects.tsv")
    write_tsv(result.patients, folder / "patients.tsv")
    text = json.dumps(plain(result.summary), indent=2, ensure_ascii=False, allow_nan=False)
    with atomic(folder / "summary.json") as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return folder


def plain(value: object) -> object:
    """Turn settings, rows and numbers into what JSON knows; what is not a number becomes null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (np.generic,)):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def effect(**known: object) -> dict[str, object]:
    """Give a row of effects.tsv: what is not said is blank, NaN or 0. KeyError for a name that is no column."""
    row: dict[str, object] = dict.fromkeys(EFFECT_COLUMNS, "")
    row |= dict.fromkeys(("estimate", "lower", "upper", "p_value", "q_value"), math.nan) | {"n": 0, "converged": False}
    unknown = set(known) - set(row)
    if unknown:
        raise KeyError(f"not columns of effects: {sorted(unknown)}")
    return row | known


def effects_table(rows: Iterable[dict[str, object]]) -> pd.DataFrame:
    """Rows of ``effect`` as a table with the columns in their order."""
    return pd.DataFrame(list(rows), columns=list(EFFECT_COLUMNS))


def suggest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'X'?``, or the list of what there is."""
    names = sorted(set(known))
    if close := difflib.get_close_matches(name, names, n=1, cutoff=0.6):
        return f"; did you mean {close[0]!r}?"
    return f"; there are {', '.join(names)}" if names else "; there are none"


def join(reasons: Iterable[str]) -> str:
    """Sentences in one, blank ones left out, each once."""
    return "; ".join(dict.fromkeys(reason for reason in reasons if reason))


def number(value: float, digits: int = 3) -> str:
    """A number for a sentence: 3 significant digits."""
    return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}"


def p_text(p: float) -> str:
    """``p = 0.012`` or ``p < 0.0001``."""
    return "p < 0.0001" if p < 1e-4 else f"p = {p:.2g}"


@dataclass(frozen=True)
class Cohort:
    """The samples a monitor may use, and why others are left out.

    Attributes
    ----------
    profiles
        Rows of the waist of these samples; text as categories where the waist has it so.
    sheet
        One row a sample, index = sample, in the order of the sheet.
    left_out
        Sample -> why it is not used.
    patients
        All patients of the sheet (shared controls are none), in its order: index = patient, columns arm and disease.
    notes
        What must be said.
    """

    profiles: pd.DataFrame
    sheet: pd.DataFrame
    left_out: dict[str, str]
    patients: pd.DataFrame
    notes: tuple[str, ...]
    #: Sample -> (patient, visit), also of those left out.
    identities: dict[str, tuple[str, str]]
    #: Profiles and sheet of what repeats a measurement (shared controls, technical replicates and their originals); the
    #: column ``material`` of the sheet says what was measured again.
    repeats: tuple[pd.DataFrame, pd.DataFrame] | None = None

    def visits(self) -> list[str]:
        """Visits by median day; those without a day last, by name."""
        days = self.sheet.groupby("visit", sort=True)["day"].median()
        return [str(visit) for visit in days.sort_values(kind="stable", na_position="last").index]

    @cached_property
    def places(self) -> dict[tuple[str, str], list[str]]:
        """(patient, visit) -> its samples."""
        found: dict[tuple[str, str], list[str]] = {}
        for sample in self.sheet.index:
            found.setdefault(self.identities[sample], []).append(str(sample))
        return found

    def rows(self, origin: str) -> pd.DataFrame:
        """Rows of one origin, columns ``READ``."""
        return self.profiles.loc[self.profiles["origin"] == origin, list(READ)]

    def identity(self, sample: str) -> tuple[str, str]:
        """Patient and visit of a sample."""
        return self.identities[sample]

    def sample(self, patient: str, visit: str) -> tuple[str | None, str]:
        """The sample of a patient at a visit, or None and why there is none."""
        names = self.places.get((patient, visit), [])
        if len(names) == 1:
            return names[0], ""
        if names:
            raise TresetError(
                f"samples: patient {patient!r} has {len(names)} samples at visit {visit!r} ({', '.join(names)}), "
                "expected is one; exclude the others in the sheet (column exclude)"
            )
        return None, f"no sample at {visit}"


def prepare(
    profiles: pd.DataFrame, samples: pd.DataFrame, *, resting: bool, replicate_column: str = "replicate_of"
) -> Cohort:
    """Check both tables against each other and leave out what is no trial sample.

    Parameters
    ----------
    profiles
        The waist.
    samples
        The sheet: sample, patient, visit; the other columns of ``Study.samples`` are blank where they are missing.
    resting
        Where some samples have a stimulus and others have none: use those without only.
    replicate_column
        Column of the sheet that names the sample of which a row is a technical replicate; blank or absent: of none.

    Raises
    ------
    TresetError
        For a malformed table, a replicate of a sample that is not there, a profile of a sample that the sheet does not
        know, or a sample whose patient, visit, arm, disease or stimulus differs between the two.
    """
    table = profile.validate(profiles, "profiles")
    sheet = _sheet(samples)
    _same_samples(table, sheet)
    left_out: dict[str, str] = {}
    for sample, reason in sheet.loc[sheet["exclude"] != "", "exclude"].items():
        left_out[str(sample)] = f"excluded in the sheet: {reason}"
    for sample in sheet.index[sheet["anchor"]]:
        left_out.setdefault(str(sample), "a shared control, not a patient")
    original = originals(sheet, replicate_column)
    for sample, of in original[original != ""].items():
        left_out.setdefault(str(sample), f"a technical replicate of {of}")
    for sample in sheet.index[~sheet.index.isin(list(table["sample"].unique()))]:
        left_out.setdefault(str(sample), "no rows in the profiles")
    used = ~sheet.index.isin(list(left_out))
    stimulated = used & (sheet["stimulus"] != "").to_numpy()
    if resting and stimulated.any() and (used & ~stimulated).any():
        left_out |= {
            str(sample): "stimulated: this monitor reads the samples without stimulus"
            for sample in sheet.index[stimulated]
        }
    used = ~sheet.index.isin(list(left_out))
    patients, notes = _patients(sheet[~sheet["anchor"]])
    repeats = repeats_of(table, sheet, original)
    by_reason: dict[str, list[str]] = {}
    for sample, reason in left_out.items():
        by_reason.setdefault(reason, []).append(sample)
    notes += [f"left out, {reason}: {', '.join(names)}" for reason, names in by_reason.items()]
    identities = dict(zip(sheet.index, zip(sheet["patient"], sheet["visit"], strict=True), strict=True))
    mine = where(table["sample"], set(sheet.index[used]).__contains__)
    kept = table if mine.all() else table[mine]
    return Cohort(kept, sheet[used], left_out, patients, tuple(notes), identities, repeats)


def _sheet(samples: pd.DataFrame) -> pd.DataFrame:
    for name in ("sample", "patient", "visit"):
        if name not in samples.columns:
            raise TresetError(f"samples: column {name} is missing; expected are at least sample, patient and visit")
    sheet = samples.reset_index(drop=True)
    for name in ("sample", "patient", "visit", *(n for n in _SHEET_TEXT if n in sheet)):
        sheet[name] = sheet[name].astype("object").where(sheet[name].notna(), "").astype("str")
    for name in ("sample", "patient", "visit"):
        if (blank := np.flatnonzero(sheet[name] == "")).size:
            raise TresetError(f"samples, row {blank[0] + 1}, column {name}: is blank; every sample needs one")
    if (again := np.flatnonzero(sheet["sample"].duplicated())).size:
        found = sheet["sample"].iloc[again[0]]
        raise TresetError(f"samples, row {again[0] + 1}, column sample: {found!r} is there twice; ids must be unique")
    for name in _SHEET_TEXT:
        if name not in sheet:
            sheet[name] = ""
    for name in _SHEET_NUMBERS:
        sheet[name] = pd.to_numeric(sheet[name], errors="coerce").astype("float64") if name in sheet else np.nan
    if "anchor" not in sheet:
        sheet["anchor"] = False
    if not pd.api.types.is_bool_dtype(sheet["anchor"]):
        raise TresetError("samples, column anchor: expected is true or false in every row (a boolean column)")
    return sheet.set_index("sample")


def _same_samples(table: pd.DataFrame, sheet: pd.DataFrame) -> None:
    ones = spelled(table[~table["sample"].duplicated()])
    first, position = ones.set_index("sample"), ones.index
    for sample, row in zip(first.index, position, strict=True):
        if sample not in sheet.index:
            raise TresetError(
                f"profiles, row {row + 1}, column sample: {sample!r} is not in the sample sheet; gather them anew"
            )
    for name in ("patient", "visit", "arm", "disease", "stimulus"):
        ours, theirs = first[name], sheet.loc[first.index, name]
        differ = ((ours != theirs) & (ours != "") & (theirs != "")).to_numpy()
        for at in np.flatnonzero(differ)[:1]:
            raise TresetError(
                f"profiles, row {position[at] + 1}, column {name}: {ours.iloc[at]!r} for sample {first.index[at]!r}, "
                f"but the sample sheet says {theirs.iloc[at]!r}; gather the profiles anew"
            )


def _patients(sheet: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    notes: list[str] = []
    rows = []
    for patient, group in sheet.groupby("patient", sort=False):
        row: dict[str, object] = {"patient": str(patient)}
        for name in ("arm", "disease"):
            labels = [label for label in dict.fromkeys(group[name]) if label]
            row[name] = labels[0] if len(labels) == 1 else ""
            if len(labels) > 1:
                notes.append(f"patient {patient} has several values of {name} ({', '.join(labels)}): none is used")
        rows.append(row)
    return pd.DataFrame(rows, columns=["patient", "arm", "disease"]).set_index("patient"), notes


def summary(
    *,
    monitor: str,
    title: str,
    verdict: str,
    reason: str,
    headline: tuple[str, str],
    primary: dict | None,
    settings: object,
    notes: Sequence[str],
) -> dict:
    """Give the content of summary.json."""
    return {
        "monitor": monitor,
        "title": title,
        "verdict": verdict,
        "reason": reason[:1].upper() + reason[1:],
        "headline": {"value": headline[0], "caption": headline[1]},
        "primary": plain(primary),
        "settings": plain(settings),
        "notes": list(dict.fromkeys(note for note in notes if note)),
    }
