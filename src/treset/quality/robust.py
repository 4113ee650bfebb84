"""Robust location and spread: arrays in, numbers out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

#: Median absolute deviation of a normal distribution, inverted.
MAD_TO_SD = 1.4826
_BINS = 512
#: Half width at half height of a normal distribution, in standard deviations.
_HALF_WIDTH = float(np.sqrt(2 * np.log(2)))
#: Events within this many spreads belong to a mode.
_REACH = 3.0
#: Fewest events from which doublets are told.
_FEWEST = 100


def mad_sd(values: np.ndarray) -> float:
    """Give 1.4826 times the median absolute deviation from the median."""
    return float(MAD_TO_SD * np.median(np.abs(values - np.median(values))))


@dataclass(frozen=True)
class Peak:
    """The main mode of a density and its spread on either side, in standard deviations.

    Attributes
    ----------
    mode
        Location of the highest density.
    below, above
        Spread of the events that belong to the mode, below and above it.
    """

    mode: float
    below: float
    above: float


def main_peak(values: np.ndarray, least_sd: float = 0.0) -> Peak:
    """Find the main mode and its spread.

    The mode is the highest point of a Gaussian kernel density with Silverman's bandwidth (1986, eq. 3.31) on the robust
    spread. A side's spread starts at the half width at half height and is then 1.4826 times the median distance of the
    events within ``_REACH`` spreads of the mode, until that no longer changes: a second population beyond a gap does
    not widen it, a shoulder without a gap does.

    Parameters
    ----------
    values
        Finite numbers, shape (n,), n >= 1.
    least_sd
        Narrowest spread given back. Default: 0.
    """
    low, high = np.quantile(values, [0.001, 0.999])
    if high <= low:
        return Peak(float(np.median(values)), least_sd, least_sd)
    counts, edges = np.histogram(values, _BINS, (low, high))
    step = edges[1] - edges[0]
    quartiles = np.quantile(values, [0.25, 0.75])
    spread = min(float(values.std()), (quartiles[1] - quartiles[0]) / 1.349) or float(values.std())
    bandwidth = 0.9 * spread * len(values) ** -0.2
    density = gaussian_filter1d(counts.astype(float), max(bandwidth / step, 1.0), mode="constant")
    top = int(density.argmax())
    mode = float(edges[top] + step / 2)
    half = density < density[top] / 2
    to_left, to_right = np.flatnonzero(half[:top][::-1]), np.flatnonzero(half[top:])
    starts = (
        (to_left[0] + 1 if len(to_left) else top + 1) * step / _HALF_WIDTH,
        (to_right[0] if len(to_right) else len(density) - top) * step / _HALF_WIDTH,
    )
    below, above = (
        max(_core_sd(sign * (values - mode), start), least_sd) for sign, start in zip((-1, 1), starts, strict=True)
    )
    return Peak(mode, below, above)


def _core_sd(distance: np.ndarray, start: float) -> float:
    """Spread of one flank: distances from the mode, positive on that side."""
    distance = np.sort(distance[distance >= 0])
    sd = start
    for _ in range(100):
        inside = distance[: np.searchsorted(distance, _REACH * sd, side="right")]
        if not len(inside):
            return sd
        previous, sd = sd, float(MAD_TO_SD * np.median(inside))
        if abs(sd - previous) <= 1e-6 * previous:
            break
    return sd


@dataclass(frozen=True)
class DoubletCut:
    """Where singlets end and doublets begin.

    Attributes
    ----------
    cut
        Upper end of the singlets, in the units of the values; infinity where no doublets are told apart.
    share
        Estimated share of doublets.
    note
        Why there is no cut, else "".
    """

    cut: float
    share: float
    note: str = ""


def doublet_cut(log_dna: np.ndarray, peak: Peak, max_sd: float = 0.28) -> DoubletCut:
    """Tell doublets from singlets by twice the DNA.

    A mixture of two normals on the log of the DNA: singlets at ``mode`` with ``sd``, doublets at ``mode + log 2`` with
    ``sd / sqrt 2`` (a sum of two independent cells), only their proportion is free. The cut is where both are equally
    likely.

    Parameters
    ----------
    log_dna
        Natural logarithm (or arcsinh, the same up to a constant at these counts) of the DNA of events, shape (n,).
    peak
        The singlets; the wider side is their spread.
    max_sd
        Widest spread at which log 2 still separates the two (2.5 standard deviations). Default: 0.28.
    """
    mode, sd = peak.mode, max(peak.below, peak.above)
    if sd <= 0 or len(log_dna) < _FEWEST:
        return DoubletCut(np.inf, 0.0, "too few events to tell doublets")
    if sd > max_sd:
        return DoubletCut(
            np.inf, 0.0, f"DNA of singlets too broad (robust s.d. {sd:.2f}) to tell doublets by twice the DNA"
        )
    centre, doublet_sd = mode + np.log(2), sd / np.sqrt(2)
    inside = log_dna[(log_dna > mode - 3 * sd) & (log_dna < centre + 3 * doublet_sd)]
    single = np.exp(-0.5 * ((inside - mode) / sd) ** 2) / sd
    double = np.exp(-0.5 * ((inside - centre) / doublet_sd) ** 2) / doublet_sd
    share = 0.05
    for _ in range(200):
        posterior = share * double / (share * double + (1 - share) * single)
        previous, share = share, float(posterior.mean())
        if abs(share - previous) < 1e-7:
            break
    if share * len(inside) < 1:
        return DoubletCut(np.inf, 0.0, "no doublets seen")
    grid = np.linspace(mode, centre, 500)
    excess = np.log(share / doublet_sd) - 0.5 * ((grid - centre) / doublet_sd) ** 2
    excess -= np.log((1 - share) / sd) - 0.5 * ((grid - mode) / sd) ** 2
    crossing = np.flatnonzero(excess > 0)
    return DoubletCut(float(grid[crossing[0]]) if len(crossing) else float(centre), share)
