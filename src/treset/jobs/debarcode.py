"""One barcoded FCS file becomes one a sample."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from treset.clean.debarcode import Assignment, Key, apply_cutoffs, assign, cutoffs
from treset.clean.key import read_key
from treset.errors import TresetError
from treset.io.fcs import linearise, read_fcs, write_fcs
from treset.io.fcs_write import carried
from treset.io.table import write_tsv

UNASSIGNED = "unassigned"
_NAME = re.compile(r"\w[\w .+-]*")


def debarcode(
    file: Path, key_file: Path, out: Path, separation: float | None = None, distance: float = 30.0
) -> pd.DataFrame:
    """Write one FCS file a sample of a barcoded file, those events that are of none besides, and the yields.

    Parameters
    ----------
    file
        The barcoded FCS file.
    key_file
        See `treset.clean.key.read_key`.
    out
        Folder of the results: ``<sample>.fcs``, ``unassigned.fcs`` and ``yields.tsv``.
    separation
        One cut-off for all barcodes, 0 to 1. Default: each is estimated from its yield curve.
    distance
        Largest squared Mahalanobis distance. Default: 30.

    Returns
    -------
    ``sample code events separation_cutoff below_separation beyond_distance assigned yield_percent file``; the last row
    is of the unassigned. A sample without events has no file.

    Raises
    ------
    TresetError
        The file or the key cannot be read, or a sample's name cannot be a file's.
    """
    header, stored = read_fcs(file)
    events, _ = linearise(header, stored)
    key = read_key(key_file, header.channels, header.markers)
    for sample in key.samples:
        if not _NAME.fullmatch(sample) or sample.lower() == UNASSIGNED:
            raise TresetError(f"{key_file}: the sample {sample!r} cannot be a file's name; use letters, digits, . _ -")
    if separation is not None and not 0 <= separation <= 1:
        raise TresetError(f"--separation {separation:g}: expected a number from 0 to 1.")
    barcodes = events[:, [header.channels.index(channel) for channel in key.channels]]
    first = assign(barcodes, key)
    limits = cutoffs(first, len(key.samples)) if separation is None else np.full(len(key.samples), separation)
    last = apply_cutoffs(first, limits, distance)
    table = _yields(key, first, last, limits)
    for number, name in [*enumerate(key.samples), (-1, UNASSIGNED)]:
        inside = last.sample == number
        if inside.any():
            write_fcs(out / f"{name}.fcs", events[inside], header.channels, header.markers, carried(header.text))
    write_tsv(table, out / "yields.tsv")
    return table


def _yields(key: Key, first: Assignment, last: Assignment, limits: np.ndarray) -> pd.DataFrame:
    rows = []
    for number, name in enumerate(key.samples):
        drawn, kept = first.sample == number, last.sample == number
        near = drawn & (first.separation < limits[number])
        events, assigned = int(drawn.sum()), int(kept.sum())
        code = "".join("1" if positive else "0" for positive in key.codes[number])
        far = int((drawn & ~near & ~kept).sum())
        share = 100 * assigned / events if events else np.nan
        found = f"{name}.fcs" if assigned else ""
        rows.append((name, code, events, float(limits[number]), int(near.sum()), far, assigned, share, found))
    none = int((last.sample < 0).sum())
    no_code = int((first.sample < 0).sum())
    rows.append((UNASSIGNED, "", no_code, np.nan, 0, 0, none, np.nan, f"{UNASSIGNED}.fcs" if none else ""))
    columns = "sample code events separation_cutoff below_separation beyond_distance assigned yield_percent file"
    return pd.DataFrame(rows, columns=columns.split())
