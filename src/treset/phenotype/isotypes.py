"""The heavy chain a B cell transcribes: still of the naive class (IgM, IgD), or switched (IgG, IgA); scRNA only."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from treset.profile import ISOTYPES

#: Heavy chains of B cells that have not switched class, and of those that have.
UNSWITCHED = ("IGHM", "IGHD")
SWITCHED = ("IGHG1", "IGHG2", "IGHG3", "IGHG4", "IGHA1", "IGHA2")
GENES = (*UNSWITCHED, *SWITCHED)


def classes(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Call each cell's class by the heavy chains with more transcripts.

    Parameters
    ----------
    columns
        Gene -> (n,) log-normalised expression, log(1 + scaled counts); genes that were not measured are absent.

    Returns
    -------
    Two flags a cell, shape (n,): more IGHM and IGHD than IGHG and IGHA transcripts, and fewer. A cell without any, or
    with as many of both, has neither. Empty where a side was not measured at all: absence of IGHG would make every
    cell unswitched. The majority, not mere presence: plasma cells leave IGHG and IGHA transcripts in every droplet
    (Young and Behjati 2020, doi:10.1093/gigascience/giaa151).
    """
    young, old = ([columns[gene] for gene in genes if gene in columns] for genes in (UNSWITCHED, SWITCHED))
    if not young or not old:
        return {}
    # transcripts add up on the linear scale; the scale of the cell is the same on both sides
    first, second = (np.expm1(np.asarray(side, dtype=np.float64)).sum(axis=0) for side in (young, old))
    # a tie of counts is one after rounding too
    more = 1 + 1e-4
    return dict(zip(ISOTYPES, (first > more * second, second > more * first), strict=True))
