"""The samples of a dose series, and a population's points on its curve."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from treset.monitor.common import Cohort, suggest
from treset.study.model import SignallingMonitor


def series(cohort: Cohort, settings: SignallingMonitor, baseline: str, notes: list[str]) -> tuple[pd.DataFrame, str]:
    """Samples of the dose series (index = sample; dose 0: control), and why there are none."""
    sheet = cohort.sheet.copy()
    known = list(dict.fromkeys(sheet["visit"]))
    visit = settings.visit or (known[0] if len(known) == 1 else baseline)
    if visit not in known:
        asked = f"visit {visit!r}" if visit else "a visit (the samples have several, and no baseline is set)"
        return sheet.iloc[:0], f"no dose series at {asked}{suggest(visit, known)}"
    if others := [name for name in known if name != visit]:
        notes.append(f"dose series of visit {visit} only; left out: {', '.join(others)}")
    sheet = sheet[sheet["visit"] == visit]
    control = (sheet["dose"] == 0) | (sheet["dose"].isna() & (sheet["stimulus"] == ""))
    lost = sheet.index[sheet["dose"].isna() & ~control]
    if len(lost):
        notes.append(f"left out, a stimulus without its dose: {', '.join(map(str, lost))}")
    sheet = sheet.drop(index=lost)
    sheet["dose"] = sheet["dose"].where(~control, 0.0)
    if not (sheet["dose"] > 0).any():
        return sheet.iloc[:0], "no sample has a dose above 0: give the sheet the column dose"
    if (sheet["dose"] < 0).any():
        return sheet.iloc[:0], f"negative dose in sample {sheet.index[sheet['dose'] < 0][0]}"
    names = stimuli(sheet)
    if settings.stimulus and settings.stimulus not in names:
        return sheet.iloc[:0], f"no sample has the stimulus {settings.stimulus!r}{suggest(settings.stimulus, names)}"
    return sheet, ""


def stimuli(sheet: pd.DataFrame) -> list[str]:
    """Give the stimuli that have a dose above 0, in the order of the sheet."""
    return [str(name) for name in dict.fromkeys(sheet.loc[sheet["dose"] > 0, "stimulus"])]


def no_control(part: pd.DataFrame) -> str:
    """Why a curve has no point at dose 0."""
    return "the unstimulated control has no value" if (part["dose"] == 0).any() else "no unstimulated control"


def points(part: pd.DataFrame, values: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Doses, responses, and at which doses there is none and why."""
    dose, response = [], []
    gaps: dict[str, list[tuple[float, int]]] = {}
    for sample, at in part["dose"].items():
        why = str(values.loc[sample, "why"]) if sample in values.index else "not in the profiles"
        if why:
            # ``12 cells of Treg, 20 needed``: doses that differ in the number only are said together
            number, rest = re.match(r"(\d+(?= cells of ))?(.*)", why).groups()  # type: ignore[union-attr]
            gaps.setdefault(rest, []).append((float(at), int(number) if number else -1))
        else:
            dose.append(float(at))
            response.append(float(values.loc[sample, "value"]))
    order = np.argsort(dose, kind="stable")
    told = [_gap(rest, found) for rest, found in gaps.items()]
    return np.asarray(dose, dtype=float)[order], np.asarray(response, dtype=float)[order], told


def _gap(reason: str, found: list[tuple[float, int]]) -> str:
    """``no value at dose 0, 0.001: 12 to 15 cells of Treg, 20 needed``."""
    doses = ", ".join(f"{dose:g}" for dose, _ in sorted(found))
    fewest, most = min(n for _, n in found), max(n for _, n in found)
    count = "" if fewest < 0 else str(fewest) if fewest == most else f"{fewest} to {most}"
    return f"no value at dose {doses}: {count}{reason}"
