"""Surface protein of CITE-seq: thresholds on centred log-ratios (:mod:`treset.normalise.protein`)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from treset.phenotype.density import Cut, cut
from treset.phenotype.mixture import split

#: A count equal to the geometric mean of the cell's antibodies: what binds no more than that is background.
BACKGROUND = float(np.log(2.0))
#: Of valleys (:func:`treset.phenotype.density.valleys`), in centred log-ratios.
LIMITS = {"floor": BACKGROUND, "min_distance": 0.6}


def cut_protein(values: np.ndarray, side: Literal["split", "hi", "lo"], **options: object) -> Cut:
    """As :func:`treset.phenotype.density.cut`, for centred log-ratios: a mixture before the tail.

    Parameters
    ----------
    values, side, options
        As there; the limits of valleys are set here.
    """
    found = cut(values, side, **{**options, **LIMITS})  # type: ignore[arg-type]
    if side == "split" and found.method == "tail":
        between = split(values[np.isfinite(values)])
        if between is not None and between.value >= BACKGROUND:
            return between
    return found


def separates(values: np.ndarray) -> bool:
    """Whether a protein tells positive from negative cells at all: a valley or two components above the background.

    An antibody that failed has one mode at the background; a threshold on it would cut noise.
    """
    return cut_protein(values, "split").method in ("valley", "mixture")
