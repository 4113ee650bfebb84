"""Barcode keys: which channels are positive for which sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from treset.clean.debarcode import Key
from treset.clean.masses import metal_mass
from treset.clean.named_csv import read_named_csv
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
    samples, names, cells = read_named_csv(path, "a barcode key", "a row of channels and one row a sample")
    for number, line in enumerate(cells, start=2):
        if wrong := [cell for cell in line if cell not in ("0", "1")]:
            raise TresetError(f"{path}, row {number}: holds {wrong[0]!r}, expected 0 or 1 in every cell.")
    found = tuple(_find(path, name, channels, markers) for name in names)
    codes = np.array([[cell == "1" for cell in line] for line in cells])
    try:
        return Key(tuple(samples), found, codes)
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
