"""Correction for many tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def bh(p_values: ArrayLike) -> NDArray[np.float64]:
    """Benjamini-Hochberg adjusted p values.

    Parameters
    ----------
    p_values
        Shape (tests,). NaN: a test that was not made; it stays NaN and does not count in the family.

    Returns
    -------
    Adjusted p values (q values), shape (tests,): the smallest false discovery rate at which the test is called.

    Raises
    ------
    ValueError
        For a p value outside [0, 1].

    References
    ----------
    Benjamini Y, Hochberg Y (1995), J R Stat Soc B 57:289-300, doi:10.1111/j.2517-6161.1995.tb02031.x.
    """
    p = np.asarray(p_values, dtype=np.float64)
    made = ~np.isnan(p)
    if ((p[made] < 0) | (p[made] > 1)).any():
        raise ValueError("a p value lies outside [0, 1]")
    q = np.full(p.shape, np.nan)
    tested = p[made]
    order = np.argsort(tested, kind="stable")
    scaled = tested[order] * tested.size / np.arange(1, tested.size + 1)
    adjusted = np.empty_like(tested)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    q[made] = adjusted
    return q
