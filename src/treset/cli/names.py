"""Patients, visits and stimuli guessed from file names, for a person to check."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_VISIT = re.compile(r"(D|Day|V|Visit|W|Week|M|Month)-?(\d+)|baseline|screening", re.IGNORECASE)
_PATIENT = re.compile(r"(patient|donor|subject|pat|pt|hd|p|s)-?\d+", re.IGNORECASE)
_CONTROL = re.compile(r"ref|reference|us|un-?stim\w*|control|ctrl|media|none|0", re.IGNORECASE)


@dataclass(frozen=True)
class Guess:
    """What one file's name says; "" where it says nothing."""

    patient: str
    visit: str
    day: str
    stimulus: str


def guess(names: Sequence[str]) -> list[Guess]:
    """Read names like ``P01_D8`` and ``PBMC8_30min_patient1_BCR-XL``.

    A part like ``D8`` is the visit (and its day), one like ``patient1`` the patient. Parts that all names share say
    nothing more; without a patient it is the first part left, and what remains is the stimulus.

    Parameters
    ----------
    names
        File names without their ending.

    Returns
    -------
    One guess a name, in order. The day of a visit not given in days is 0.
    """
    parts = [re.split(r"[_ .]+", name) for name in names]
    common = set.intersection(*map(set, parts)) if len(parts) > 1 else set()
    guesses = []
    for name, own in zip(names, parts, strict=True):
        visit = next((part for part in own if _VISIT.fullmatch(part)), "")
        left = [part for part in own if part not in common and part != visit]
        patient = next((part for part in own if _PATIENT.fullmatch(part)), left[0] if left else name)
        found = re.fullmatch(r"(?:D|Day)-?(\d+)", visit, re.IGNORECASE)
        stimulus = "_".join(part for part in left if part != patient)
        guesses.append(Guess(patient, visit or "D0", found.group(1) if found else "0", stimulus))
    return guesses


def contrast(guesses: Sequence[Guess]) -> tuple[str, str, str] | None:
    """The column and the two labels that discovery can compare within patients: visits before stimuli, else None."""
    by_day = sorted({(float(g.day), g.visit) for g in guesses})
    visits = list(dict.fromkeys(visit for _, visit in by_day))
    if len(visits) > 1:
        return "visit", visits[0], visits[1]
    stimuli = sorted({g.stimulus for g in guesses})
    if len(stimuli) != 2 or "" in stimuli:
        return None
    first = next((s for s in stimuli if _CONTROL.fullmatch(s)), stimuli[0])
    return "stimulus", first, next(s for s in stimuli if s != first)
