"""Compensation: spillover taken out of the raw values, before any transformation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from treset.clean.named_csv import read_named_csv
from treset.clean.nnls import nnls
from treset.errors import TresetError
from treset.io.spill import Spillover, checked

#: A matrix that multiplies noise by more than this is no spillover matrix that was measured.
_MAX_CONDITION = 1e6
#: The largest value of linear intensities is above this.
_LEAST_TOP = 20.0


def read_spillover_csv(path: Path | str) -> Spillover:
    """Read a spillover matrix: first row the receiving channels, first column the stains' channels.

    Parameters
    ----------
    path
        Comma-separated, UTF-8, as CATALYST and FlowJo write it; channels as in the files (``$PnN``).

    Raises
    ------
    TresetError
        No such file, not a rectangular table of numbers, or no spillover matrix (`treset.io.spill.checked`).
    """
    path = Path(path)
    stains, receivers, cells = read_named_csv(
        path, "a spillover matrix", "one row of channel names and one row a stain"
    )
    try:
        matrix = np.array([[float(cell) for cell in line] for line in cells])
    except ValueError as error:
        raise TresetError(f"{path}: {error}; expected a number in every cell but the names.") from None
    return checked(Spillover(str(path), tuple(stains), tuple(receivers), matrix))


def already_compensated(channels: Sequence[str], spill: Spillover) -> bool:
    """Tell whether the file was exported compensated: it has ``Comp-X`` for every channel X of the matrix, and no X."""
    named = set(channels)
    return all(name not in named and f"Comp-{name}" in named for name in spill.receivers)


def not_linear(keyword: str, values: np.ndarray | None = None) -> str:
    """Say why intensities are no linear ones, "" where nothing speaks against it.

    A spillover matrix is of linear intensities. Programs that transform them before the export (flowCore's
    ``transform``, say) leave the matrix of the raw file in its keyword, and compensating twice or on a logarithmic
    scale gives numbers that look right and are not.

    Parameters
    ----------
    keyword
        Value of ``TRANSFORMATION`` ("" where absent); flowCore writes ``custom`` after a transformation, and
        ``applied`` after making amplified integers linear, which is no fault.
    values
        Of the matrix's channels, shape (events, channels). Default: judged by the keyword alone.

    Returns
    -------
    The reason: the keyword, or no value of any channel reaches 20 (log10, logicle and arcsinh end between 4 and 13, the
    linear scales of instruments above 100).
    """
    if keyword.strip().lower() == "custom":
        return "keyword TRANSFORMATION is 'custom': intensities were transformed before the export"
    if values is not None and values.size and (top := float(np.abs(values).max())) < _LEAST_TOP:
        return f"no value reaches {_LEAST_TOP:g} (the largest is {top:.3g}): intensities were transformed"
    return ""


def columns_of(channels: Sequence[str], spill: Spillover) -> list[int]:
    """Give the columns of the matrix's channels.

    Raises
    ------
    TresetError
        The file lacks one of them.
    """
    place = {name: number for number, name in enumerate(channels)}
    if lacking := [name for name in spill.receivers if name not in place]:
        raise TresetError(
            f"{spill.source}: the spillover matrix names channels that the file lacks ({', '.join(lacking)}); the file "
            f"has {', '.join(channels)}: correct the matrix, give another as a CSV file, or switch spillover off."
        )
    return [place[name] for name in spill.receivers]


def compensate_flow(values: np.ndarray, channels: Sequence[str], spill: Spillover) -> np.ndarray:
    """Take spillover out of flow cytometry by the inverse of the matrix (Bagwell & Adams 1993).

    Source: doi:10.1111/j.1749-6632.1993.tb38775.x. Values below zero are kept: they are noise around zero, and cutting
    them would bias the median of the negatives.

    Parameters
    ----------
    values
        Linear intensities, shape (events, channels).
    channels
        Their names.
    spill
        A square matrix.

    Returns
    -------
    A float64 copy, the channels of the matrix compensated, the others as they were.

    Raises
    ------
    TresetError
        A channel of the matrix is not in the file; the matrix is not square, or singular to working accuracy.
    """
    columns = columns_of(channels, spill)
    if set(spill.emitters) != set(spill.receivers):
        raise TresetError(
            f"{spill.source}: flow cytometry needs a square matrix, it has {len(spill.emitters)} rows and "
            f"{len(spill.receivers)} columns; give each channel its row."
        )
    order = [spill.emitters.index(name) for name in spill.receivers]
    matrix = spill.matrix[order]
    condition = float(np.linalg.cond(matrix))
    if not condition < _MAX_CONDITION:
        raise TresetError(
            f"{spill.source}: the spillover matrix cannot be inverted (condition {condition:.3g}); correct it."
        )
    result = np.asarray(values, dtype=np.float64).copy()
    result[:, columns] = np.linalg.solve(matrix.T, result[:, columns].T).T
    return result


def compensate_mass(values: np.ndarray, channels: Sequence[str], spill: Spillover) -> np.ndarray:
    """Take spillover out of mass cytometry by non-negative least squares (Chevrier et al. 2018).

    Source: doi:10.1016/j.cels.2018.02.010. Counts are not negative, so neither are the compensated values. Channels
    that the matrix has as columns only get a row of their own that spills nowhere.

    Parameters
    ----------
    values
        Counts, shape (events, channels). The randomisation of some exports puts counts a little below zero.
    channels
        Their names.
    spill
        Stains by receiving channels.

    Returns
    -------
    A float64 copy, the channels of the matrix compensated (none of them negative), the others as they were.

    Raises
    ------
    TresetError
        A channel of the matrix is not in the file, a value is not finite, or the rows depend on each other.
    """
    columns = columns_of(channels, spill)
    matrix = np.eye(len(columns))
    matrix[[spill.receivers.index(name) for name in spill.emitters]] = spill.matrix
    result = np.asarray(values, dtype=np.float64).copy()
    result[:, columns] = nnls(matrix, result[:, columns])
    return result
