"""How far batches lie apart, and how wide populations are: judged before and after a correction."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd

#: Fewest cells of a population in a batch from which a distance is taken.
FEWEST = 30


def emd(first: np.ndarray, second: np.ndarray) -> float:
    """Earth mover's distance of two samples of one marker, in the marker's units.

    The area between the two distribution functions (Wasserstein distance of order 1; Orlova et al. 2016,
    doi:10.1371/journal.pone.0151859), exact, as `scipy.stats.wasserstein_distance`.

    Parameters
    ----------
    first, second
        Shape (n,) and (m,), finite, neither empty.
    """
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(first, second))


def mad(values: np.ndarray) -> float:
    """Median absolute deviation from the median, not scaled."""
    return float(np.median(np.abs(values - np.median(values))))


def compare(
    before: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
    markers: list[str],
) -> pd.DataFrame:
    """Compare batches of one and the same control, marker by marker and population by population.

    Parameters
    ----------
    before, after
        Batch -> transformed values, shape (cells, markers).
    labels
        Batch -> population of each cell, text; the same before and after. Each is judged besides all cells ("cells").
    markers
        Names of the columns.

    Returns
    -------
    One row a marker and population: ``marker population emd_before emd_after mad_before mad_after``: the largest
    distance of any two batches, the mean of the batches' deviations. Populations with fewer than 30 cells in a batch
    are left out.
    """
    rows = []
    populations = ["cells", *sorted(set(itertools.chain.from_iterable(map(set, labels.values()))))]
    for population in populations:
        masks = {
            batch: np.ones(len(kinds), dtype=bool) if population == "cells" else kinds == population
            for batch, kinds in labels.items()
        }
        if min(int(mask.sum()) for mask in masks.values()) < FEWEST:
            continue
        for column, marker in enumerate(markers):
            first = {batch: before[batch][mask, column] for batch, mask in masks.items()}
            last = {batch: after[batch][mask, column] for batch, mask in masks.items()}
            distances = [max(emd(a, b) for a, b in itertools.combinations(part.values(), 2)) for part in (first, last)]
            spreads = [float(np.mean([mad(values) for values in part.values()])) for part in (first, last)]
            rows.append((marker, population, *distances, *spreads))
    columns = ["marker", "population", "emd_before", "emd_after", "mad_before", "mad_after"]
    return pd.DataFrame(rows, columns=columns)
