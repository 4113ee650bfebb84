"""Where to cut one marker: valleys of its density, tails where there is no valley."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from treset.phenotype.histogram import Histogram

Method = Literal["valley", "tail", "mixture", "parent", "none", "manual"]

_BINS = 512

#: The bed of a valley: where the density is at most this times its lowest (and two standard errors of counting).
_BED = 1.25
#: Standard errors that do for a valley where the only other choice is the tail of one mode.
_WEAK = 1.5
#: Values outside the noise of zero that tell a bandwidth.
_FEW = 20
#: The top of a mode: where the density is at least this times its highest.
_TOP = 0.8
#: In a shallower valley the two sides overlap, and its lowest point is the best cut.
_DEEP = 5.0
#: A bed with fewer cells than this share of the smaller side is empty.
_EMPTY = 0.02


@dataclass(frozen=True)
class Cut:
    """A threshold on one marker.

    Attributes
    ----------
    value
        In the units of the values.
    method
        ``valley``: lowest density between two modes; ``tail``: a distance from the only mode; ``parent``: taken from
        the population above, because here there is one mode; ``none``: too few cells or no spread; ``manual``: set in
        the config.
    separation
        Depth of the valley: density of the lower of the two modes over the density at the valley; 1 without a valley.
    """

    value: float
    method: Method
    separation: float


@dataclass(frozen=True)
class _Density:
    grid: np.ndarray
    counts: np.ndarray  # expected cells per bin
    smoothing: float  # standard deviation of the kernel, in bins


def density(values: np.ndarray | Histogram, widening: float = 1.0, floor: float = -np.inf) -> _Density:
    """Gaussian kernel estimate on 512 bins.

    Parameters
    ----------
    values
        (n,) finite, with some spread, or their histogram.
    widening
        Factor on the bandwidth, which is 0.6 of Silverman's (1986, eq. 3.31), as there may be several modes.
    floor
        Values below are the noise of zero and do not count for the bandwidth. Default: none are.
    """
    from scipy.ndimage import gaussian_filter1d

    values = counted(values)
    low, high = values.quantile(0.001), values.quantile(0.999)
    margin = max(0.05 * (high - low), 1e-6)
    edges = np.linspace(low - margin, high + margin, _BINS + 1)
    counts = np.diff(values.below(edges))
    # a spike of zeros has no width: the bandwidth is that of the values outside it
    body = values.above(floor)
    body = values if body.size < _FEW else body
    quartiles = body.quantile(0.75) - body.quantile(0.25)
    # quartiles in one bin of the histogram are one value
    spread = min(x for x in (body.std, quartiles / 1.349 if quartiles > values.step else 0.0, np.inf) if x > 0)
    spread = spread if np.isfinite(spread) else values.std
    bandwidth = widening * max(0.6 * 0.9 * spread * body.size**-0.2, 0.05 * values.std)
    smoothing = bandwidth / (edges[1] - edges[0])
    return _Density((edges[:-1] + edges[1:]) / 2, gaussian_filter1d(counts, smoothing, mode="constant"), smoothing)


def counted(values: np.ndarray | Histogram) -> Histogram:
    """Give the histogram of values, where they are none yet."""
    return values if isinstance(values, Histogram) else Histogram.of(values)


@dataclass(frozen=True)
class Valley:
    """A valley between two modes, with the share of cells on its smaller side."""

    value: float
    depth: float
    minor_share: float
    left_mode: float
    right_mode: float


def valleys(values: np.ndarray | Histogram, floor: float, min_distance: float, z: float = 3.0) -> list[Valley]:
    """Valleys that noise does not explain, from left to right.

    Sought with three bandwidths, the narrowest first: a spike of zeros makes the bandwidth too narrow for the broad
    valleys of dim markers.

    Parameters
    ----------
    values
        (n,) transformed values, or their histogram.
    floor
        Valleys are sought above this: below it lies the noise of zero.
    min_distance
        Smallest distance between two modes.
    z
        Standard errors by which both modes must rise above the valley (Poisson counts within the kernel).
    """
    values = counted(values)
    for widening in (1.0, 2.0, 4.0):
        found = _valleys(density(values, widening, floor), values, floor, min_distance, z)
        if found:
            return found
    return []


def _valleys(estimate: _Density, values: Histogram, floor: float, min_distance: float, z: float) -> list[Valley]:
    from scipy.signal import find_peaks  # over a second to import, and jobs that only apply thresholds never need it

    counts = estimate.counts
    first = int(np.searchsorted(estimate.grid, floor))
    # cells that a kernel's width gathers: the unit in which counting noise is Poisson
    window = max(2.0 * np.sqrt(np.pi) * estimate.smoothing, 1.0)
    kept = list(find_peaks(np.concatenate([[0.0], counts, [0.0]]))[0] - 1)

    def lowest(a: int, b: int) -> int:
        start = min(max(a, first), b)
        return start + int(np.argmin(counts[start : b + 1]))

    def bed(a: int, b: int) -> int:
        return _bed(counts, window, min(max(a, first), b), lowest(a, b), b)

    def score(a: int, b: int) -> float:
        if estimate.grid[b] - estimate.grid[a] < min_distance:
            return -1.0
        top, bottom = min(counts[a], counts[b]) * window, counts[lowest(a, b)] * window
        return (top - bottom) / np.sqrt(top + bottom + 1.0)

    # merge at the least significant valley until every remaining one is significant
    while len(kept) > 1:
        scores = [score(a, b) for a, b in pairwise(kept)]
        worst = int(np.argmin(scores))
        if scores[worst] >= z:
            break
        a, b = kept[worst], kept[worst + 1]
        kept.remove(a if counts[a] < counts[b] else b)
    found = []
    for a, b in pairwise(kept):
        low = lowest(a, b)
        top, bottom = min(counts[a], counts[b]) * window, counts[low] * window
        depth = top / max(bottom, 0.5)
        # shallow only where counting shows it: a few cells on the bed of a small population are no overlap
        shallow = bottom - np.sqrt(bottom + 1.0) > top / _DEEP
        at = float(estimate.grid[low if shallow else bed(a, b)])
        share = 1.0 - float(values.below(at)) / values.size
        found.append(Valley(at, depth, min(share, 1 - share), float(estimate.grid[a]), float(estimate.grid[b])))
    return found


def _bed(counts: np.ndarray, window: float, a: int, low: int, b: int) -> int:
    """Where to cut a valley that is flat: at the left end of its bed, or in its middle where the bed is empty.

    The lowest point of a flat bed is a matter of chance. Cells spread over it are dimly positive (the noise of zero is
    narrow, a stain's distribution is wide), so the cut belongs where the lower mode ends.
    """
    limit = _BED * counts[low] + 2.0 * np.sqrt((counts[low] + 1.0 / window) / window)
    left, right = low, low
    while left > a and counts[left - 1] <= limit:
        left -= 1
    while right < b and counts[right + 1] <= limit:
        right += 1
    sides = min(counts[:left].sum(), counts[right + 1 :].sum())
    return (left + right) // 2 if counts[left : right + 1].sum() < _EMPTY * sides else left


def main_mode(values: np.ndarray | Histogram) -> tuple[float, float, float]:
    """The highest mode and the spread (as a standard deviation) of the cells on its left and on its right.

    The mode is the middle of the top, weighted by how far the density rises above its rim: where a top is broad, its
    highest point is a matter of chance.
    """
    values = counted(values)
    estimate = density(values)
    mode = _top(estimate)
    below, n = float(values.below(mode)), values.size
    # the 68 % point of a half-normal is its standard deviation, and a far minority does not move it much
    left = mode - float(values.ranked(0.317 * below)) if below >= 1 else 0.0
    right = float(values.ranked(below + 0.683 * (n - below))) - mode if n - below >= 1 else 0.0
    return mode, max(left, 0.0), max(right, 0.0)


def _top(estimate: _Density) -> float:
    counts, grid = estimate.counts, estimate.grid
    left = right = int(np.argmax(counts))
    rim = _TOP * counts[left]
    while left > 0 and counts[left - 1] >= rim:
        left -= 1
    while right < len(counts) - 1 and counts[right + 1] >= rim:
        right += 1
    return float(np.average(grid[left : right + 1], weights=counts[left : right + 1] - rim))


def cut(
    values: np.ndarray | Histogram,
    side: Literal["split", "hi", "lo"],
    *,
    fallback: float | None = None,
    wider: np.ndarray | Histogram | None = None,
    floor: float = 0.5,
    min_distance: float = 0.6,
    tail: float = 2.5,
    min_cells: int = 50,
) -> Cut:
    """A threshold on one marker within one population.

    Parameters
    ----------
    values
        (n,) transformed values of the marker in the population, or their histogram; those that are not finite are left
        out.
    side
        ``split``: between negative and positive; ``hi``: above it lie the brightest; ``lo``: below it lie the dimmest.
    fallback
        The marker's threshold in the population above, taken for ``split`` where the density has one mode.
    wider
        (m,) values in the whole parent, sought where the values themselves are too few. Where they have one mode:
        ``hi`` and ``lo`` are sought there, ``split`` if that mode lies above the parent's cut by its standard deviation
        (the conditions before left the positive cells alone).
    floor, min_distance
        See :func:`valleys`; the defaults are for arcsinh-transformed cytometry.
    tail
        Standard deviations from the mode, for one mode.
    min_cells
        With fewer values the fallback is taken.
    """
    values = counted(values)
    wider = None if wider is None else counted(wider)
    if wider is not None and wider.size <= values.size:
        wider = None

    def around() -> Cut:
        assert wider is not None
        return cut(
            wider, side, fallback=fallback, floor=floor, min_distance=min_distance, tail=tail, min_cells=min_cells
        )

    if values.size < min_cells or values.flat:
        if wider is not None:
            return around()
        return Cut(np.nan if fallback is None else fallback, "none" if fallback is None else "parent", 1.0)
    found = valleys(values, floor, min_distance)
    if not found and wider is not None and side != "split":
        found = valleys(wider, floor, min_distance) or valleys(values, floor, min_distance, _WEAK)
    if found:
        if side == "hi":
            best = found[-1]
        elif side == "lo":
            best = found[0]
        else:
            # the deepest valley, a balanced one before one that cuts off a few cells
            best = max(found, key=lambda v: np.log(v.depth) * np.sqrt(v.minor_share))
        # what lies in the noise of zero is negative, however deep the valley between zero and one ion
        return Cut(max(best.value, 2.0 * floor), "valley", best.depth)
    mode, left, right = main_mode(values)
    if wider is not None:
        outer = around()
        # the mode by a standard deviation, not by a hair: near the parent's cut chance would choose between the two
        if side != "split" or mode - (left if left > 0 else right) > outer.value:
            return outer
    # the noise of zero reaches this far; what has its mode below is negative
    noise = 2.0 * floor
    if side == "lo" and mode >= noise:
        return Cut(mode - 0.6 * tail * max(right, left), "tail", 1.0)
    if side == "split" and fallback is not None and np.isfinite(fallback):
        return Cut(fallback, "parent", 1.0)
    return Cut(max(mode + tail * (left if left > 0 else right), noise), "tail", 1.0)
