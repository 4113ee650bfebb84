"""Differences between batches, taken out of the coordinates of RNA."""

from __future__ import annotations

import numpy as np

from treset.compute import Backend
from treset.errors import TresetError

#: Neighbours of its own batch from which a mapped cell takes its correction.
NEIGHBORS = 15


def correct(coordinates: np.ndarray, batch: np.ndarray, modality: str, backend: Backend, seed: int) -> np.ndarray:
    """Correct the sketch by Harmony (Korsunsky 2019, doi:10.1038/s41592-019-0619-0).

    Parameters
    ----------
    coordinates
        (n, k) principal components.
    batch
        (n,) labels.
    modality
        Of the study.
    backend, seed
        For Harmony.

    Returns
    -------
    (n, k) float32; the coordinates themselves where there is one batch.

    Raises
    ------
    TresetError
        The study is not of RNA, or Harmony is not installed.
    """
    if modality != "rna":
        raise TresetError(
            f"cohort.batch is harmony, but the study is of {modality}, whose thresholds follow each batch already: "
            "set cohort.batch: none"
        )
    if len(np.unique(batch)) < 2:
        print("cohort.batch is harmony, but all samples are of one batch: nothing is corrected")
        return coordinates
    return backend.harmony(coordinates, batch, seed)


def follow(
    cells: np.ndarray, batch: np.ndarray, sketch: np.ndarray, corrected: np.ndarray, sketch_batch: np.ndarray,
    backend: Backend,
) -> np.ndarray:  # fmt: skip
    """Move mapped cells as the sketch's cells of their batch around them were moved.

    As a mapping onto a corrected reference must (Kang 2021, doi:10.1038/s41467-021-25957-x), without running Harmony
    again: a cell's place does not depend on the other cells that are mapped.

    Parameters
    ----------
    cells
        (n, k) coordinates before correction.
    batch, sketch_batch
        (n,) and (m,) labels.
    sketch, corrected
        (m, k) the sketch before and after.
    backend
        Where neighbours are searched.

    Returns
    -------
    (n, k) float32.

    Raises
    ------
    TresetError
        A batch has no cell in the sketch.
    """
    moved = np.array(cells, dtype=np.float32)
    for name in sorted(set(batch.tolist())):
        mine, theirs = np.flatnonzero(batch == name), np.flatnonzero(sketch_batch == name)
        if not len(theirs):
            raise TresetError(f"no cell of batch {name} is in the sketch: run the cohort job again with its samples")
        near = theirs[backend.knn(sketch[theirs], cells[mine], min(NEIGHBORS, len(theirs)))[0]]
        moved[mine] += (corrected - sketch)[near].mean(axis=1)
    return moved
