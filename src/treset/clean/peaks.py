"""PeacoQC: stretches of an acquisition whose density peaks are off (Emmaneel et al. 2022, doi:10.1002/cyto.a.24501).

Own code after the paper: `peacoqc-rs` has wheels for one platform only and needs polars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

#: Bins: at most this many, of at least this many events, half of them shared with the next.
_MOST_BINS, _LEAST_EVENTS = 500, 150
#: Fewest bins that are judged at all, and from which the isolation tree is grown.
_FEWEST_BINS, _TREE_BINS = 20, 150
#: Median absolute deviations beyond which a smoothed bin is off (the paper's default).
N_MADS = 6.0
#: Least gain in standard deviation for which the tree is split (the paper's default).
GAIN = 0.6
#: A peak is at least this share of the highest one of its bin.
_PEAK = 1 / 3
#: A peak is followed where it is seen in this share of the bins.
_SEEN = 0.5
#: Good stretches of fewer bins than this between bad ones are bad too (the paper's default).
_ISLAND = 5
_GRID = 256
#: Width of the smoothing over bins, in bins.
_SMOOTH = 2.0
#: Narrowest spread of a trajectory, in transformed units: what no instrument holds steadier.
_LEAST_MAD = 0.02


@dataclass(frozen=True)
class Stretches:
    """Which events lie in stretches that are off.

    Attributes
    ----------
    events
        Shape (events,), bool.
    bins
        Number of bins; 0 where nothing was judged.
    by_tree, by_mad
        Share of the bins found by the isolation tree and by the deviations.
    channels
        Share of the bins that each channel's deviations condemn, shape (channels,).
    """

    events: np.ndarray
    bins: int
    by_tree: float
    by_mad: float
    channels: np.ndarray


def unstable(values: np.ndarray, order: np.ndarray, n_mads: float = N_MADS, skip_zeros: bool = False) -> Stretches:
    """Find stretches of the acquisition in which the peaks of a channel's density leave their place.

    Events in order of time fall into bins that overlap by half. In each bin and channel the density's peaks are found
    and followed from bin to bin; a bin is off where the isolation tree parts it from the largest homogeneous group of
    bins, or where a smoothed trajectory differs from its median by more than ``n_mads`` median absolute deviations.

    Parameters
    ----------
    values
        Transformed intensities, shape (events, channels), finite.
    order
        Events in order of time, shape (events,).
    n_mads
        Default: 6.
    skip_zeros
        Leave out values of 0 (mass cytometry, where most are). Default: no.

    Returns
    -------
    Nothing is judged where there are fewer than 20 bins of 150 events.
    """
    events, channels = values.shape
    size = max(_LEAST_EVENTS, int(np.ceil(2 * events / _MOST_BINS)))
    starts = np.arange(0, events - size + 1, size // 2)
    if len(starts) < _FEWEST_BINS:
        return Stretches(np.zeros(events, dtype=bool), 0, 0.0, 0.0, np.zeros(channels))
    sorted_values = values[order]
    tracks = [_trajectories(sorted_values[:, c], starts, size, skip_zeros) for c in range(channels)]
    found = [(channel, track) for channel, group in enumerate(tracks) for track in group]
    bad_tree = np.zeros(len(starts), dtype=bool)
    if len(starts) >= _TREE_BINS and found:
        bad_tree = ~_isolated(np.column_stack([_smooth(track) for _, track in found]))
    bad = bad_tree.copy()
    by_channel = np.zeros(channels)
    deviant = np.zeros(len(starts), dtype=bool)
    for channel, track in found:
        off = _deviant(track, bad_tree, n_mads)
        by_channel[channel] = max(by_channel[channel], off.mean())
        deviant |= off
    bad |= deviant
    bad = _without_islands(bad)
    flagged = np.zeros(events, dtype=bool)
    # half of each bin is shared: an event is off where both of its bins are, or its only one
    cover, off = np.zeros(events, dtype=int), np.zeros(events, dtype=int)
    for start, wrong in zip(starts, bad, strict=True):
        cover[start : start + size] += 1
        off[start : start + size] += wrong
    # what is left at the end goes with the last bin
    tail = cover == 0
    cover[tail], off[tail] = 1, int(bad[-1])
    flagged[order] = (off > 0) & (off == cover)
    return Stretches(flagged, len(starts), float(bad_tree.mean()), float(deviant.mean()), by_channel)


def _trajectories(column: np.ndarray, starts: np.ndarray, size: int, skip_zeros: bool) -> list[np.ndarray]:
    """Position of each peak of one channel in every bin (the median of the peak where a bin lacks it)."""
    used = column[column > 0] if skip_zeros else column
    if len(used) < _LEAST_EVENTS:
        return []
    low, high = np.quantile(used, [0.001, 0.999])
    if high <= low:
        return []
    whole = _peaks(used, low, high)
    if not len(whole):
        return []
    borders = (whole[1:] + whole[:-1]) / 2
    result = np.full((len(whole), len(starts)), np.nan)
    for number, start in enumerate(starts):
        part = column[start : start + size]
        part = part[part > 0] if skip_zeros else part
        if len(part) < _LEAST_EVENTS // 5:
            continue
        peaks = _peaks(part, low, high)
        kind = np.searchsorted(borders, peaks)
        for k in np.unique(kind):
            mine = peaks[kind == k]
            # a second, lower peak that comes and goes is no shift of the first
            result[k, number] = mine[np.abs(mine - whole[k]).argmin()]
    seen = np.isfinite(result).mean(axis=1)
    return [np.where(np.isfinite(row), row, np.nanmedian(row)) for row in result[seen >= _SEEN]]


def _peaks(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Local maxima of a Gaussian kernel density, at least a third of the highest."""
    counts, edges = np.histogram(values, _GRID, (low, high))
    step = edges[1] - edges[0]
    quartiles = np.quantile(values, [0.25, 0.75])
    spread = min(float(values.std()), float(quartiles[1] - quartiles[0]) / 1.349) or float(values.std())
    width = max(0.9 * spread * len(values) ** -0.2 / step, 1.5)
    density = gaussian_filter1d(counts.astype(float), width, mode="constant")
    inner = density[1:-1]
    tops = np.flatnonzero((inner > density[:-2]) & (inner >= density[2:]) & (inner >= _PEAK * density.max())) + 1
    return edges[tops] + step / 2


def _smooth(track: np.ndarray) -> np.ndarray:
    return gaussian_filter1d(track, _SMOOTH, mode="nearest")


def _deviant(track: np.ndarray, bad: np.ndarray, n_mads: float) -> np.ndarray:
    """Bins whose smoothed position is off the median of the bins not yet condemned."""
    smooth = _smooth(track)
    good = smooth[~bad] if (~bad).any() else smooth
    centre = np.median(good)
    mad = max(float(1.4826 * np.median(np.abs(good - centre))), _LEAST_MAD)
    return np.abs(smooth - centre) > n_mads * mad


def _isolated(features: np.ndarray) -> np.ndarray:
    """Bins in the largest group that the tree does not split further (the paper's SD gain)."""
    groups = [np.arange(len(features))]
    done: list[np.ndarray] = []
    while groups:
        group = groups.pop()
        split = _best_split(features[group]) if len(group) >= 2 * _ISLAND else None
        if split is None:
            done.append(group)
        else:
            groups += [group[split], group[~split]]
    largest = max(done, key=len)
    keep = np.zeros(len(features), dtype=bool)
    keep[largest] = True
    return keep


def _best_split(features: np.ndarray) -> np.ndarray | None:
    """The split of one feature with the largest gain: 1 - mean s.d. of the parts / s.d. of the whole."""
    best, found = GAIN, None
    count = len(features)
    for column in features.T:
        whole = column.std()
        if whole <= _LEAST_MAD:
            continue
        ranked = np.sort(column)
        total, squares = np.cumsum(ranked), np.cumsum(ranked**2)
        left = np.arange(1, count)
        right = count - left
        sd_left = np.sqrt(np.maximum(squares[:-1] / left - (total[:-1] / left) ** 2, 0))
        sums, sums2 = total[-1] - total[:-1], squares[-1] - squares[:-1]
        sd_right = np.sqrt(np.maximum(sums2 / right - (sums / right) ** 2, 0))
        gain = 1 - (sd_left + sd_right) / 2 / whole
        # a part of a few bins has next to no spread by itself
        gain[(ranked[1:] == ranked[:-1]) | (np.minimum(left, right) < _ISLAND)] = -np.inf
        place = int(gain.argmax())
        if gain[place] > best:
            best, found = float(gain[place]), column <= ranked[place]
    return found


def _without_islands(bad: np.ndarray) -> np.ndarray:
    """Good stretches of fewer than five bins between bad ones are bad."""
    result = bad.copy()
    edges = np.flatnonzero(np.diff(np.concatenate(([1], bad.astype(int), [1]))))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start < _ISLAND and start > 0 and end < len(bad):
            result[start:end] = True
    return result
