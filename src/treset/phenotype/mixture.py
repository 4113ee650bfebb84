"""A threshold between two overlapping modes: where no valley shows, two normals may still tell them apart."""

from __future__ import annotations

from typing import Literal

import numpy as np

from treset.phenotype.density import Cut, counted, cut, main_mode
from treset.phenotype.histogram import Histogram

#: Ashman's D from which two components are taken for two kinds of cells. An exponential, a half-normal, a gamma or a
#: lognormal split in two gives at most 2.0.
MIN_SEPARATION = 2.2
#: The smaller component holds at least this share.
MIN_SHARE = 0.02
#: Of a histogram, ranked values that stand for all, and values as which they count at most where one component is
#: weighed against two: beyond, the verdict would hang on how many cells were measured.
_RANKED, _WORTH = 2_000, 20_000


def split(values: np.ndarray | Histogram) -> Cut | None:
    """Find where two normal components are equally likely.

    Expectation maximisation from the two groups of k-means; two components must beat one by the Bayesian
    information criterion and lie apart by Ashman's D >= 2.2 (Ashman 1994, doi:10.1086/117248).

    Parameters
    ----------
    values
        (n,) finite; or their histogram, of which 2,000 evenly ranked values are read (all, where there are fewer).

    Returns
    -------
    Method ``mixture`` with D as its separation; None where one component does.
    """
    from sklearn.mixture import GaussianMixture

    column, n = _column(values)
    two = GaussianMixture(2, **_start(column.ravel())).fit(column)
    low, high = np.argsort(two.means_.ravel())
    means, spread = two.means_.ravel(), np.sqrt(two.covariances_.ravel())
    separation = float(np.sqrt(2.0) * (means[high] - means[low]) / np.hypot(spread[low], spread[high]))
    # Schwarz 1978 (doi:10.1214/aos/1176344136): three parameters more
    gain = 2.0 * n * (two.score(column) - _one(column)) - 3.0 * np.log(n)
    if gain <= 0 or separation < MIN_SEPARATION or two.weights_.min() < MIN_SHARE:
        return None
    grid = np.linspace(means[low], means[high], 513)
    at = int(np.argmax(two.predict_proba(grid.reshape(-1, 1))[:, high] >= 0.5))
    return Cut(float(grid[at]), "mixture", separation)


def _start(values: np.ndarray) -> dict[str, np.ndarray]:
    """Where expectation maximisation starts: the two groups with the least squared deviation (k-means, exact).

    Sorted values fall apart at one place, so all places are tried. scikit-learn's k-means finds the same, for fifty
    times the time where its threads wait for each other.
    """
    values = np.sort(values)
    n, at = len(values), np.arange(1, len(values))
    total = np.cumsum(values - values.mean())[:-1]
    # the groups' squared deviations are least where those between them are largest
    cut = int(at[np.argmax(total**2 / (at * (n - at)))])
    groups = values[:cut], values[cut:]
    return {
        "weights_init": np.array([len(group) / n for group in groups]),
        "means_init": np.array([[group.mean()] for group in groups]),
        "precisions_init": np.array([[[1.0 / max(group.var(), 1e-6)]] for group in groups]),
    }


def _one(column: np.ndarray) -> float:
    """Mean log-likelihood under one normal."""
    return float(-0.5 * (np.log(2.0 * np.pi * max(column.var(), 1e-6)) + 1.0))


def _column(values: np.ndarray | Histogram) -> tuple[np.ndarray, int]:
    """Give values to fit (k, 1), and as how many they count."""
    if not isinstance(values, Histogram):
        return np.asarray(values, dtype=np.float64).reshape(-1, 1), len(values)
    k = min(values.size, _RANKED)
    return values.ranked((np.arange(k) + 0.5) * (values.size / k)).reshape(-1, 1), min(values.size, _WORTH)


def cut_bright(values: np.ndarray | Histogram, side: Literal["split", "hi", "lo"], **options: object) -> Cut:
    """As :func:`treset.phenotype.density.cut`, with a mixture before the tail of a mode that is bright.

    A tail takes the only mode for the negative cells. Where that mode lies clear of the noise of zero (CD45RA on T
    cells) it may hold both, or be the positive one, and the tail would lie beyond all cells.

    Parameters
    ----------
    values, side, options
        As for :func:`treset.phenotype.density.cut`.
    """
    values = counted(values)
    found = cut(values, side, **options)  # type: ignore[arg-type]
    noise = 2.0 * float(options.get("floor", 0.5))  # type: ignore[arg-type]
    if side != "split" or found.method != "tail" or not np.isfinite(noise):
        return found
    if main_mode(values)[0] < noise:
        return found
    between = split(values)
    return found if between is None or between.value < noise else between


def cut_pooled(values: np.ndarray, side: Literal["split", "hi", "lo"], **options: object) -> Cut:
    """As :func:`treset.phenotype.density.cut`, with a mixture before the tail.

    For ``hi`` and ``lo`` among too few cells the threshold is that of the whole parent.

    Expression pooled over neighbours has no fixed zero: the distance of a tail from the mode means little where the
    negative cells' mode itself is spread by their neighbours.

    Parameters
    ----------
    values, side, options
        As for :func:`treset.phenotype.density.cut`.
    """
    found = cut(values, side, **options)  # type: ignore[arg-type]
    wider = options.get("wider")
    if found.method == "none" and wider is not None:
        return cut(wider, side, **{**options, "wider": None})  # type: ignore[arg-type]
    if side == "split" and found.method == "tail":
        between = split(values[np.isfinite(values)])
        # below twice the floor lies the noise of zero
        if between is not None and between.value >= 2.0 * float(options.get("floor", 0.0)):  # type: ignore[arg-type]
            return between
    return found
