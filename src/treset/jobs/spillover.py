"""A spillover matrix from a file of single stains."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from treset.clean.debarcode import apply_cutoffs, assign, cutoffs, single_stain_key
from treset.clean.masses import metal_mass
from treset.clean.single_stains import spillover_matrix
from treset.clean.spillover import not_linear
from treset.errors import TresetError
from treset.io.fcs import linearise, read_fcs
from treset.io.files import atomic
from treset.io.spill import Spillover


def measure_spillover(file: Path, stains: str, out: Path) -> Spillover:
    """Measure spillover on single-stained beads (Chevrier et al. 2018, doi:10.1016/j.cels.2018.02.010).

    Each event is assigned to its stain as to a barcode with one positive channel.

    Parameters
    ----------
    file
        FCS file of mass cytometry.
    stains
        Masses that were stained, such as ``139,141-156``.
    out
        Written: CSV, stains by channels.

    Raises
    ------
    TresetError
        The masses cannot be read or are not in the file, or a stain has too few events.
    """
    header, stored = read_fcs(file)
    events, _ = linearise(header, stored)
    masses = {found[1]: name for name in header.channels if (found := metal_mass(name))}
    asked = _masses(stains)
    if lacking := [str(mass) for mass in asked if mass not in masses]:
        raise TresetError(f"{file}: has no channel of mass {', '.join(lacking)}; correct --stains.")
    stained = [masses[mass] for mass in asked]
    beads = events[:, [header.channels.index(name) for name in stained]]
    if why := not_linear(header.text.get("TRANSFORMATION", ""), beads):
        raise TresetError(f"{file}: {why}, and spillover is measured on raw counts; export them.")
    channels = list(masses.values())
    key = single_stain_key(stained)
    first = assign(beads, key)
    last = apply_cutoffs(first, cutoffs(first, len(stained)))
    names = np.array([*stained, ""], dtype=object)[last.sample]
    found = spillover_matrix(events[:, [header.channels.index(name) for name in channels]], channels, names)
    _write(found, out)
    return found


def _masses(text: str) -> list[int]:
    masses: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{2,3})(?:-(\d{2,3}))?\s*", part)
        if match is None:
            raise TresetError(f"--stains {text}: {part!r} is no mass and no range of masses, such as 139 or 141-156.")
        masses += range(int(match[1]), int(match[2] or match[1]) + 1)
    if len(set(masses)) < 2:
        raise TresetError(f"--stains {text}: expected at least two different masses.")
    return sorted(set(masses))


def _write(found: Spillover, out: Path) -> None:
    rows: Sequence[Sequence[object]] = [
        ["", *found.receivers],
        *([name, *map(repr, map(float, row))] for name, row in zip(found.emitters, found.matrix, strict=True)),
    ]
    with atomic(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)
