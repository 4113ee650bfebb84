"""Non-negative least squares of many right-hand sides against one matrix."""

from __future__ import annotations

import numpy as np

from treset.errors import TresetError

#: Cells solved at a time: the block of channels x cells stays in the processor's cache.
_BLOCK = 4096
#: Sweeps before what is left goes to an active-set solver, one cell at a time.
_SWEEPS = 200


def nnls(matrix: np.ndarray, targets: np.ndarray, tolerance: float = 1e-11) -> np.ndarray:
    """Minimise ``|x @ matrix - y|`` subject to ``x >= 0`` for every row y of the targets.

    Cyclic projected coordinate descent on the shared Gram matrix (Franc, Hlavac & Navara 2005,
    doi:10.1007/11556121_50), vectorised over the rows: a spillover matrix is close to the identity, so that a few
    sweeps suffice. It stops where the conditions of optimality (Karush, Kuhn, Tucker) hold to ``tolerance``; rows that
    are not there after 200 sweeps are solved by `scipy.optimize.nnls` (Lawson & Hanson), so the result is exact for
    any matrix of full rank.

    Parameters
    ----------
    matrix
        Shape (n_unknowns, n_channels), rows linearly independent.
    targets
        Shape (n_cells, n_channels), finite.
    tolerance
        Largest violation of optimality, relative to the largest ``|matrix @ y|`` of the row (at least 1).

    Returns
    -------
    Shape (n_cells, n_unknowns), float64, no value below 0.

    Raises
    ------
    TresetError
        The shapes disagree, a value is not finite, or the rows of the matrix are linearly dependent.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    targets = np.asarray(targets)
    if matrix.ndim != 2 or targets.ndim != 2 or matrix.shape[1] != targets.shape[1]:
        raise TresetError(
            f"non-negative least squares: a matrix of shape {matrix.shape} and values of shape {targets.shape} do not "
            "agree; expected as many columns in both."
        )
    if not (np.isfinite(matrix).all() and np.isfinite(targets).all()):
        raise TresetError("non-negative least squares: a value is not finite; mend the file or the matrix.")
    if np.linalg.matrix_rank(matrix) < len(matrix):
        raise TresetError("non-negative least squares: the rows of the matrix are linearly dependent; correct it.")
    gram = matrix @ matrix.T
    result = np.empty((len(targets), len(matrix)))
    for start in range(0, len(targets), _BLOCK):
        block = targets[start : start + _BLOCK].astype(np.float64)
        result[start : start + _BLOCK] = _block(matrix, gram, block, tolerance)
    return result


def _block(matrix: np.ndarray, gram: np.ndarray, targets: np.ndarray, tolerance: float) -> np.ndarray:
    # unknowns x cells, so that one unknown of all cells lies together
    wanted = matrix @ targets.T
    allowed = tolerance * np.maximum(np.abs(wanted).max(axis=0), 1.0)
    solution = np.maximum(np.linalg.solve(gram, wanted), 0.0)
    neighbours = [np.flatnonzero(row) for row in gram]
    open_cells = np.arange(targets.shape[0])
    current, goal = solution, wanted
    for _ in range(_SWEEPS):
        gradient = gram @ current - goal
        unmet = np.where(current > 0, np.abs(gradient), np.maximum(-gradient, 0.0)).max(axis=0) > allowed[open_cells]
        solution[:, open_cells[~unmet]] = current[:, ~unmet]
        open_cells, current, goal = open_cells[unmet], current[:, unmet], goal[:, unmet]
        if not len(open_cells):
            return solution.T
        _sweep(gram, current, goal, neighbours)
    from scipy.optimize import nnls as active_set

    for cell in open_cells:
        solution[:, cell] = active_set(matrix.T, targets[cell])[0]
    return solution.T


def _sweep(gram: np.ndarray, current: np.ndarray, goal: np.ndarray, neighbours: list[np.ndarray]) -> None:
    """One pass over the unknowns, in place: each is put to its best value given the others."""
    for unknown, near in enumerate(neighbours):
        residual = goal[unknown] - gram[unknown, near] @ current[near]
        np.maximum(current[unknown] + residual / gram[unknown, unknown], 0.0, out=current[unknown])
