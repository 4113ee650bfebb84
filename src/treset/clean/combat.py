"""ComBat: batches brought to a common mean and variance by empirical Bayes (Johnson 2007).

Johnson, Li & Rabinovic 2007, doi:10.1093/biostatistics/kxj037: the parametric form, without covariates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_ROUNDS, _CLOSE = 100, 1e-6
#: A marker without spread in the cells is left as it is.
_LEAST_SD = 1e-6


def combat(batches: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Learn what brings each batch to the common mean and variance.

    Parameters
    ----------
    batches
        One array a batch, shape (cells, markers), the same markers, at least 2 cells each.

    Returns
    -------
    Slope and intercept, each (batches, markers): a corrected value is ``slope * value + intercept``. Markers without
    spread have slope 1 and intercept 0.
    """
    counts = np.array([len(values) for values in batches], dtype=float)
    means = np.stack([values.mean(axis=0) for values in batches])
    centre = counts @ means / counts.sum()
    residual = sum(((values - mean) ** 2).sum(axis=0) for values, mean in zip(batches, means, strict=True))
    sd = np.sqrt(residual / counts.sum())
    slope, intercept = np.ones_like(means), np.zeros_like(means)
    able = np.flatnonzero(sd > _LEAST_SD)
    for number, values in enumerate(batches):
        standard = (values[:, able] - centre[able]) / sd[able]
        shift, variance = _posterior(standard)
        slope[number, able] = 1 / np.sqrt(variance)
        intercept[number, able] = centre[able] - slope[number, able] * (centre[able] + sd[able] * shift)
    return slope, intercept


def _posterior(standard: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shift and variance of one batch's standardised values, drawn to those of all its markers: each (markers,)."""
    cells = len(standard)
    seen, spread = standard.mean(axis=0), np.maximum(standard.var(axis=0, ddof=1), _LEAST_SD)
    if len(seen) < 3 or spread.var(ddof=1) <= 0:  # nothing to learn a prior from
        return seen, spread
    prior, prior_variance = seen.mean(), seen.var(ddof=1)
    mean, variance = spread.mean(), spread.var(ddof=1)
    # inverse gamma by its moments
    shape, scale = (2 * variance + mean**2) / variance, (mean * variance + mean**3) / variance
    shift, width = seen, spread
    for _ in range(_ROUNDS):
        new_shift = (cells * prior_variance * seen + width * prior) / (cells * prior_variance + width)
        squares = ((standard - new_shift) ** 2).sum(axis=0)
        new_width = (scale + squares / 2) / (cells / 2 + shape - 1)
        moved = max(np.abs(new_shift - shift).max(), np.abs(new_width / width - 1).max())
        shift, width = new_shift, new_width
        if moved < _CLOSE:
            break
    return shift, width
