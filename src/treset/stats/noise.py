"""How far two measurements of the same thing lie apart, and what lies within a range of donors."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from treset.stats.exact import Interval


@dataclass(frozen=True)
class Noise:
    """The assay's noise.

    Attributes
    ----------
    sd
        Standard deviation of one measurement around the same material's mean; NaN without repeats.
    df
        Degrees of freedom it rests on.
    groups
        Materials measured more than once.
    band
        Smallest change between two measurements that noise does not explain, at the confidence asked for; NaN without
        repeats.
    """

    sd: float
    df: int
    groups: int
    band: float


def noise_band(groups: Iterable[ArrayLike], confidence: float = 0.95) -> Noise:
    """Estimate the repeatability coefficient from repeated measurements.

    Parameters
    ----------
    groups
        One array of finite values for each material (an anchor control, a sample with its technical replicates), on the
        scale on which changes are judged. Those with one value carry no information.
    confidence
        Share of changes without any effect that lie within the band.

    Returns
    -------
    Pooled within-material standard deviation s, and the band t * sqrt(2) * s, with the t quantile of its degrees of
    freedom (few repeats: a wide band).

    References
    ----------
    Bland JM, Altman DG (1996), doi:10.1136/bmj.313.7059.744.
    """
    squares, df, used = 0.0, 0, 0
    for group in groups:
        values = np.asarray(group, np.float64)
        if values.size < 2:
            continue
        squares += float(((values - values.mean()) ** 2).sum())
        df += values.size - 1
        used += 1
    if df == 0:
        return Noise(math.nan, 0, 0, math.nan)
    sd = math.sqrt(squares / df)
    return Noise(sd, df, used, float(stats.t.isf((1 - confidence) / 2, df)) * math.sqrt(2) * sd)


def reference_range(values: ArrayLike, share: float = 0.95) -> Interval:
    """Give the range in which a further donor's value lies with probability ``share``, taking the values as normal.

    Parameters
    ----------
    values
        Shape (donors,), finite, at least 2; on the log scale for shares, counts and ratios.
    share
        Probability, half of the rest on each side.

    Returns
    -------
    The prediction interval mean +- t * s * sqrt(1 + 1 / n): wider than the percentiles of a few donors, which miss the
    tails.

    Raises
    ------
    ValueError
        For fewer than 2 values or values that are not finite.

    References
    ----------
    Horn PS, Pesce AJ, Copeland BE (1998), doi:10.1093/clinchem/44.3.622.
    """
    x = np.asarray(values, np.float64)
    if x.size < 2 or not np.isfinite(x).all():
        raise ValueError("a range needs at least 2 finite values")
    half = float(stats.t.isf((1 - share) / 2, x.size - 1)) * float(x.std(ddof=1)) * math.sqrt(1 + 1 / x.size)
    return Interval(float(x.mean()) - half, float(x.mean()) + half)
