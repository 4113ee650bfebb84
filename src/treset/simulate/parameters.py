"""Parameters of the designs: every one has a default, and a wrong one is a sentence, not a surprise."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any

from treset.errors import Faults, TresetError

#: Parameters that every design takes.
COMMON: dict[str, Any] = {
    # Seed of the trial; every sample and patient derives its own.
    "seed": 1,
    # "mass_cytometry" (FCS) or "rna" (10x .h5).
    "modality": "mass_cytometry",
    # Events (cytometry) or barcodes (RNA) in each file; 0: 5,000 or 1,500.
    "events": 0,
    # Start of the sheet's `file` column.
    "prefix": "data",
    # Plates; patients are spread over them, with all their visits on one plate.
    "batches": 2,
    # s.d. of the log gain of a channel (or gene) on a plate.
    "batch_sd": 0.12,
    # s.d. of the log-odds of a population among its siblings, between patients and between visits of a patient.
    "patient_sd": 0.25,
    "visit_sd": 0.08,
    # s.d. of the log intensity of a marker between patients.
    "marker_sd": 0.10,
    # Shares of a file that are not living single cells.
    "doublets": 0.06,
    "debris": 0.05,
    "dead": 0.05,
    "beads": 0.03,
    # RNA: genes in the file.
    "genes": 1_000,
    # Samples (ids) that were never collected.
    "missing": (),
}

_SHARES = ("doublets", "debris", "dead", "beads")
_POSITIVE = ("recovery_percent", "plateau_percent", "growth_days", "ec50_treg", "hill", "disease_ec50_fold")
_NOT_NEGATIVE = (
    *_SHARES,
    *("batch_sd", "patient_sd", "visit_sd", "marker_sd", "treg_fold_sd", "marker_fold_sd", "recovery_sd", "ec50_sd"),
    *("not_reset", "not_recovered", "no_aplasia"),
)


def resolve(design: str, own: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge given parameters into a design's defaults.

    Parameters
    ----------
    design
        Name of the design, for the messages.
    own
        Its own defaults; they come before the common ones.
    given
        What the user gave.

    Returns
    -------
    Every parameter with its value, of the default's type (lists become tuples).

    Raises
    ------
    Faults
        For each unknown name and each value of a wrong type or out of range.
    """
    values = {**COMMON, **own}
    faults = []
    for name, value in given.items():
        if name not in values:
            faults.append(f"simulate: design '{design}' has no parameter '{name}'{did_you_mean(name, values)}")
            continue
        try:
            values[name] = _convert(name, value, values[name])
        except TresetError as fault:
            faults.append(str(fault))
    if not faults:
        faults = _range_faults(values)
    if faults:
        raise Faults(faults)
    return values


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Give ``", did you mean 'x'?"`` or the list of what there is."""
    near = difflib.get_close_matches(str(word), list(known), n=1)
    if near:
        return f", did you mean '{near[0]}'?"
    names = list(known)
    return f"; known are {', '.join(names[:30])}{' ...' if len(names) > 30 else ''}."


def _convert(name: str, value: Any, default: Any) -> Any:
    if isinstance(default, bool):
        good = isinstance(value, bool)
    elif isinstance(default, int):
        good = isinstance(value, int) and not isinstance(value, bool)
    elif isinstance(default, float):
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
        value = float(value) if good else value
    elif isinstance(default, str):
        good = isinstance(value, str)
    else:
        good = isinstance(value, (list, tuple))
        value = tuple(value) if good else value
    if not good:
        kind = {bool: "true or false", int: "a whole number", float: "a number", str: "text", tuple: "a list"}
        raise TresetError(
            f"simulate: parameter '{name}' is {value!r}, expected {kind[type(default)]} such as {default!r}."
        )
    return value


def _range_faults(values: Mapping[str, Any]) -> list[str]:
    faults = [
        f"simulate: parameter '{name}' is {values[name]}, expected at least 0."
        for name in _NOT_NEGATIVE
        if values.get(name, 0) < 0
    ]
    if sum(values[name] for name in _SHARES) >= 0.9:
        faults.append(f"simulate: {', '.join(_SHARES)} together are 0.9 of the events or more, lower them.")
    faults += [
        f"simulate: parameter '{name}' is {values[name]}, expected at least {low}."
        for name, low in (("events", 0), ("batches", 1), ("genes", 300), ("patients", 1))
        if name in values and values[name] < low
    ]
    if values["modality"] not in ("mass_cytometry", "rna"):
        faults.append(f"simulate: modality is '{values['modality']}', expected 'mass_cytometry' or 'rna'.")
    faults += [
        f"simulate: parameter '{name}' is {values[name]}, expected above 0."
        for name in _POSITIVE
        if values.get(name, 1) <= 0
    ]
    faults += [
        f"simulate: parameter '{name}' is {list(values[name])}, expected a list of numbers."
        for name in ("days", "doses")
        if name in values and not (values[name] and all(_is_number(item) for item in values[name]))
    ]
    faults += [
        f"simulate: parameter '{name}' is {list(values[name])}, expected a list of different names."
        for name in ("visits", "diseases")
        if name in values and not _are_names(values[name])
    ]
    if "days" in values and len(values["days"]) != len(values["visits"]):
        faults.append(f"simulate: {len(values['visits'])} visits but {len(values['days'])} days, give one day a visit.")
    return faults


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _are_names(values: tuple[Any, ...]) -> bool:
    return bool(values) and all(isinstance(item, str) and item for item in values) and len(set(values)) == len(values)
