"""The spillover matrix of mass cytometry, measured on single-stained beads or cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from treset.clean.masses import receives
from treset.errors import TresetError
from treset.io.spill import Spillover

#: Fewest events of a stain from which its spillover is believed.
_FEWEST = 10
#: Smaller shares are noise of the estimate.
_LEAST = 1e-5


def spillover_matrix(values: np.ndarray, channels: Sequence[str], stains: np.ndarray) -> Spillover:
    """Estimate spillover from single stains, as CATALYST does by default (Chevrier et al. 2018).

    Of each event of a stain: signal of the receiving channel over signal of the stain's own, both less the channel's
    background (its median in events of the stains that do not spill into it); negative shares count as 0. The matrix
    has the median of each. Only masses that can receive (neighbours, isotopes, oxides) get a share.
    Source: doi:10.1016/j.cels.2018.02.010.

    Parameters
    ----------
    values
        Counts, shape (events, channels).
    channels
        Their names, with metal and mass.
    stains
        Shape (events,), text: the channel each event is stained for, "" for events that are of none (left out); see
        `treset.clean.debarcode.assign` with one positive channel a code.

    Returns
    -------
    Stains by all channels.

    Raises
    ------
    TresetError
        A stain is no channel, has fewer than 10 events or no signal, or a channel sees nothing but spillover.
    """
    values, stains = np.asarray(values, dtype=np.float64), np.asarray(stains, dtype=object)
    names = list(channels)
    found = [name for name in names if (stains == name).any()]
    if wrong := sorted(set(stains) - set(names) - {""}):
        raise TresetError(f"single stains: {', '.join(wrong)} are stains that are no channel; expected channel names.")
    if not found:
        raise TresetError("single stains: no event is assigned to a stain; check channels and file.")
    background = np.array([_background(values[:, j], names[j], stains, found) for j in range(len(names))])
    rows = []
    for stain in found:
        events = values[stains == stain] - background
        own = names.index(stain)
        if len(events) < _FEWEST or np.median(events[:, own]) <= 0:
            raise TresetError(
                f"single stains: {stain} has {len(events)} events and a median signal of "
                f"{np.median(events[:, own]):.3g}; expected at least {_FEWEST} and a signal above the background."
            )
        events = events[events[:, own] > 0]
        row = np.zeros(len(names))
        for j, channel in enumerate(names):
            if receives(stain, channel):
                share = float(np.median(np.maximum(events[:, j], 0.0) / events[:, own]))
                row[j] = share if share >= _LEAST else 0.0
        row[own] = 1.0
        rows.append(row)
    return Spillover("single stains", tuple(found), tuple(names), np.array(rows))


def _background(column: np.ndarray, channel: str, stains: np.ndarray, found: Sequence[str]) -> float:
    free = [stain for stain in found if stain != channel and not receives(stain, channel)]
    events = column[np.isin(stains, free)]
    return float(np.median(events)) if len(events) else 0.0
