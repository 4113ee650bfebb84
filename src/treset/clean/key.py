"""Barcode keys: which channels are positive for which sample."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from treset.clean.debarcode import Key
from treset.clean.masses import metal_mass
from treset.errors import TresetError


def read_key(path: Path | str, channels: Sequence[str], markers: Sequence[str]) -> Key:
    """Read a key and find its channels in a file.

    Parameters
    ----------
    path
        CSV in UTF-8: first row the barcode channels (``$PnN``, mass number, or ``$PnS``), first column the samples, in
        the cells 1 (positive) or 0.
    channels, markers
        Of the file, in order.

    Returns
    -------
    The key, its channels named as in the file.

    Raises
    ------
    TresetError
        No such file, a cell that is neither 0 nor 1, a channel that the file lacks or that is named by several, or a
        scheme that cannot tell its samples apart (`treset.clean.debarcode.Key`).
    """
    path = Path(path)
    if not path.is_file():
        raise TresetError(f"{path}: there is no such file; expected is a barcode key (CSV).")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = [[cell.strip() for cell in line] for line in csv.reader(stream) if any(line)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise TresetError(f"{path}: is no CSV file in UTF-8 ({error}); save it again.") from None
    if len(lines) < 2 or any(len(line) != len(lines[0]) for line in lines):
        raise TresetError(f"{path}: expected a row of channels and one row a sample, all of the same length.")
    for number, line in enumerate(lines[1:], start=2):
        if wrong := [cell for cell in line[1:] if cell not in ("0", "1")]:
            raise TresetError(f"{path}, row {number}: holds {wrong[0]!r}, expected 0 or 1 in every cell.")
    found = tuple(_find(path, name, channels, markers) for name in lines[0][1:])
    codes = np.array([[cell == "1" for cell in line[1:]] for line in lines[1:]])
    try:
        return Key(tuple(line[0] for line in lines[1:]), found, codes)
    except TresetError as error:
        raise TresetError(f"{path}: {error}") from None


def _find(path: Path, name: str, channels: Sequence[str], markers: Sequence[str]) -> str:
    if name in channels:
        return name
    pairs = list(zip(channels, markers, strict=True))
    if name.isdecimal():
        hits = [channel for channel, _ in pairs if (found := metal_mass(channel)) and found[1] == int(name)]
    else:
        hits = [channel for channel, marker in pairs if marker == name]
    if len(hits) != 1:
        told = "is not in the file" if not hits else f"is that of several channels ({', '.join(hits)})"
        raise TresetError(f"{path}: the barcode channel {name!r} {told}; the file has {', '.join(channels)}.")
    return hits[0]
