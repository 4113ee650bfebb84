"""Which events of a cytometry file are single living cells.

Every filter acts where its channels exist, and says so where they do not. Limits are taken from the main mode of the
events that earlier filters left, so that beads do not move the limits of DNA.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from treset.errors import TresetError
from treset.quality.robust import DoubletCut, Peak, doublet_cut, mad_sd, main_peak
from treset.study.model import CytometryQuality

COLUMNS = ("filter", "cells_in", "dropped", "kept", "threshold", "note")

#: Roles of the channels that filters read.
_READ = ("bead", "gaussian", "dna", "viability", "scatter")
_EVENT_LENGTH = re.compile(r"(event|cell)_?length", re.IGNORECASE)
_MASS_COFACTOR, _FLOW_COFACTOR = 5.0, 150.0
#: Fewest events from which a mode is taken.
_FEWEST = 20
#: Narrowest spread believed, in arcsinh units: below it an upper limit would cut counting noise.
_LEAST_SD = {"viability": 0.3, "beads": 0.5, "dna": 0.03, "pulse": 0.03, "scatter": 0.01}
#: DNA below this many counts is never the mode of cells, provided that a fifth of the events lie above it.
_DNA_FLOOR = 10.0
#: A bead has less than a tenth of a cell's DNA (in arcsinh units, where they are logarithmic).
_NO_DNA = float(np.log(10))
#: Doublets last at least this much longer than single cells, on average.
_LONGER = 1.12
#: A viability stain of living cells broader than this (arcsinh units) has no sharp limit.
_BROAD_STAIN = 0.8


@dataclass(frozen=True)
class _Result:
    """A filter's answer: which events fail (None: it did not act), the limits in words, and a note."""

    fails: np.ndarray | None
    threshold: str = ""
    note: str = ""


@dataclass(frozen=True)
class _Events:
    """The raw values of a file, by role."""

    values: np.ndarray
    channels: tuple[str, ...]
    roles: tuple[str, ...]
    cofactors: np.ndarray

    def columns(self, role: str) -> list[int]:
        lengths = self.event_length()
        return [number for number, found in enumerate(self.roles) if found == role and number not in lengths]

    def event_length(self) -> list[int]:
        return [
            number
            for number, channel in enumerate(self.channels)
            if _EVENT_LENGTH.fullmatch(channel) and self.roles[number] not in ("lineage", "state")
        ]

    def arcsinh(self, column: int, cofactor: float | None = None) -> np.ndarray:
        return np.arcsinh(self.values[:, column].astype(np.float64) / (cofactor or self.cofactors[column]))


def flag(
    adata: AnnData, settings: CytometryQuality, before: Mapping[str, tuple[np.ndarray, str, str]] | None = None
) -> pd.DataFrame:
    """Flag events that are not single living cells.

    Adds boolean columns ``qc_<filter>`` to ``obs`` (True: fails the filter) for every filter, in this order, and
    ``obs["keep"]`` (True: fails none):

    ``beads``
        Every bead channel high (above the cells' mode by ``n_mads`` robust standard deviations) and DNA low.
    ``gaussian``
        A pulse parameter (Center, Offset, Width, Residual) off the median by more than ``n_mads``.
    ``event_length``
        Event (cell) length off the median by more than ``n_mads``.
    ``dna_singlets``
        DNA off the main mode by more than ``n_mads``, the ratio of two DNA channels likewise; and above the cut between
        singlets and doublets of a two-normal mixture (mode and mode + log 2), where the mode is narrow enough.
    ``viability``
        Viability stain above the main mode by more than ``n_mads``.
    ``scatter_singlets``
        FSC-A / FSC-H (or FSC-W) off its main mode by more than ``n_mads``.

    Pulse, DNA, bead and viability values are compared on the arcsinh scale. One ``n_mads`` is 1.4826 times the median
    absolute deviation.

    Parameters
    ----------
    adata
        Raw events (events, channels), ``var["role"]`` and ``var["cofactor"]`` set by ``io.panel.apply_panel``. Changed
        in place: ``obs`` only.
    settings
        Which filters act, and how wide they are.
    before
        Filters that acted already: name -> (events that fail, threshold, note). They come first. Default: none.

    Returns
    -------
    Table ``filter cells_in dropped kept threshold note``: one row a filter; counts of events, cumulative
    (``cells_in - dropped == kept``); ``threshold`` is text in the units of the file.

    Raises
    ------
    TresetError
        When the panel was not applied; when a channel that a filter reads holds NaN or infinity.
    """
    if "role" not in adata.var:
        raise TresetError("quality: the events have no channel roles, apply the panel before the filters.")
    events = _unpack(adata)
    kept = np.ones(adata.n_obs, dtype=bool)
    rows = []
    earlier = {name: _Result(*given) for name, given in (before or {}).items()}
    for name in (*earlier, *_FILTERS):
        if name in earlier:
            result = earlier[name]
        elif not getattr(settings, name):
            result = _Result(None, note="switched off")
        elif kept.sum() < _FEWEST:
            result = _Result(None, note=f"not applied: fewer than {_FEWEST} events left")
        else:
            result = _FILTERS[name](events, kept, settings.n_mads)
        fails = np.zeros(adata.n_obs, dtype=bool) if result.fails is None else result.fails
        adata.obs[f"qc_{name}"] = fails
        cells_in, dropped = int(kept.sum()), int((kept & fails).sum())
        kept &= ~fails
        rows.append((name, cells_in, dropped, cells_in - dropped, result.threshold, result.note))
    adata.obs["keep"] = kept
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _unpack(adata: AnnData) -> _Events:
    roles = tuple(adata.var["role"].astype(str))
    default = _FLOW_COFACTOR if "scatter" in roles else _MASS_COFACTOR
    own = adata.var["cofactor"].to_numpy(float) if "cofactor" in adata.var else np.full(adata.n_vars, np.nan)
    values, channels = np.asarray(adata.X), tuple(adata.var_names.astype(str))
    for number, (channel, role) in enumerate(zip(channels, roles, strict=True)):
        finite = np.isfinite(values[:, number])
        if role in _READ and not finite.all():
            event = int(np.argmin(finite))
            raise TresetError(
                f"quality: channel {channel} ({role}) is {values[event, number]} in event {event + 1}, "
                "expected a number; mend the file or give the channel the role ignore."
            )
    return _Events(
        values=values,
        channels=channels,
        roles=roles,
        cofactors=np.where(np.isfinite(own), own, default),
    )


def _beads(events: _Events, kept: np.ndarray, n_mads: float) -> _Result:
    columns = events.columns("bead")
    if not columns:
        return _Result(None, note="no bead channel in the panel")
    dna = _dna_mean(events)
    cell_like, low = kept, np.ones(len(kept), dtype=bool)
    note = "no DNA channel: by the bead channels alone"
    if dna is not None:
        peak = _dna_peak(dna[kept])
        low = dna < peak.mode - min(n_mads * peak.below, _NO_DNA)
        cell_like = kept & ~low if (kept & ~low).sum() >= _FEWEST else kept
        note = ""
    high = np.ones(len(kept), dtype=bool)
    limits = []
    for column in columns:
        values = events.arcsinh(column)
        upper = np.median(values[cell_like]) + n_mads * max(mad_sd(values[cell_like]), _LEAST_SD["beads"])
        high &= values > upper
        limits.append(f"{events.channels[column]} > {_raw(upper, events.cofactors[column])}")
    if dna is not None:
        limits.append("DNA low")
        if coincident := int((high & ~low & kept).sum()):
            note = f"{coincident} events with beads and DNA of a cell are left to the other filters"
    return _Result(high & low, " and ".join(limits), note)


def _gaussian(events: _Events, kept: np.ndarray, n_mads: float) -> _Result:
    columns = events.columns("gaussian")
    if not columns:
        return _Result(None, note="no Gaussian pulse parameters in the panel")
    return _bands(events, columns, kept, n_mads)


def _event_length(events: _Events, kept: np.ndarray, n_mads: float) -> _Result:
    columns = events.event_length()
    if not columns:
        return _Result(None, note="no event length in the file")
    return _bands(events, columns, kept, n_mads)


def _bands(events: _Events, columns: list[int], kept: np.ndarray, n_mads: float) -> _Result:
    fails = np.zeros(len(kept), dtype=bool)
    limits = []
    for column in columns:
        values = events.arcsinh(column)
        centre, sd = np.median(values[kept]), max(mad_sd(values[kept]), _LEAST_SD["pulse"])
        lower, upper = centre - n_mads * sd, centre + n_mads * sd
        fails |= (values < lower) | (values > upper)
        low, high = (_raw(limit, events.cofactors[column]) for limit in (lower, upper))
        limits.append(f"{events.channels[column]} {low} to {high}")
    return _Result(fails, ", ".join(limits))


def _dna_singlets(events: _Events, kept: np.ndarray, n_mads: float) -> _Result:
    columns = events.columns("dna")
    dna = _dna_mean(events)
    if dna is None:
        return _Result(None, note="no DNA channel in the panel")
    peak = _dna_peak(dna[kept])
    lower, upper = peak.mode - n_mads * peak.below, peak.mode + n_mads * peak.above
    cut = doublet_cut(dna[kept], peak)
    if not cut.note and (why := _not_longer(events, dna, kept, lower, cut.cut)):
        cut = DoubletCut(np.inf, 0.0, why)
        # They are a second mode of single cells, then, and the band has to hold it.
        upper += float(np.log(2))
    fails = (dna < lower) | (dna > min(upper, cut.cut))
    note = cut.note or f"about {100 * cut.share:.1f} % doublets by twice the DNA"
    if lower <= 0:
        note += "; the lower limit reaches zero: debris is not told apart"
    if len(columns) > 1:
        ratio = events.arcsinh(columns[1], _MASS_COFACTOR) - events.arcsinh(columns[0], _MASS_COFACTOR)
        centre, spread = np.median(ratio[kept & ~fails]), mad_sd(ratio[kept & ~fails])
        fails |= np.abs(ratio - centre) > n_mads * max(spread, _LEAST_SD["dna"])
    name = " and ".join(events.channels[column] for column in columns)
    limits = f"{_raw(lower, _MASS_COFACTOR)} to {_raw(min(upper, cut.cut), _MASS_COFACTOR)}"
    return _Result(fails, f"geometric mean of {name} {limits}", note)


def _dna_mean(events: _Events) -> np.ndarray | None:
    columns = events.columns("dna")
    if not columns:
        return None
    return np.mean([events.arcsinh(column, _MASS_COFACTOR) for column in columns], axis=0)


def _dna_peak(dna: np.ndarray) -> Peak:
    """Peak of the DNA of cells; each side has its own spread, for gated cells can have two DNA modes."""
    bright = dna[dna > np.arcsinh(_DNA_FLOOR / _MASS_COFACTOR)]
    cells = bright if len(bright) >= max(_FEWEST, 0.2 * len(dna)) else dna
    return main_peak(cells, _LEAST_SD["dna"])


def _not_longer(events: _Events, dna: np.ndarray, kept: np.ndarray, lower: float, cut: float) -> str:
    """Say why events of twice the DNA are no doublets: two cells make a longer event than one.

    In gated cells a second DNA mode of 1.7 times the first, with the same event length and no more antibody, is a
    staining state, not a doublet.
    """
    lengths = events.event_length()
    if not lengths:
        return ""
    length = events.values[:, lengths[0]]
    single, double = kept & (dna > lower) & (dna <= cut), kept & (dna > cut)
    if not double.any():
        return ""
    ratio = float(np.mean(length[double]) / np.mean(length[single]))
    if ratio >= _LONGER:
        return ""
    return f"events of twice the DNA are hardly longer than single cells (x{ratio:.2f}): not called doublets"


def _viability(events: _Events, kept: np.ndarray, n_mads: float) -> _Result:
    columns = events.columns("viability")
    if not columns:
        return _Result(None, note="no viability channel in the panel")
    fails = np.zeros(len(kept), dtype=bool)
    limits, notes = [], []
    for column in columns:
        values = events.arcsinh(column)
        peak = main_peak(values[kept])
        # Dead cells lie above, and zeros pile up below: the tighter flank is the cleaner one.
        spread = min(peak.below, peak.above)
        upper = peak.mode + n_mads * max(spread, _LEAST_SD["viability"])
        fails |= values > upper
        limits.append(f"{events.channels[column]} <= {_raw(upper, events.cofactors[column])}")
        if upper > values.max():
            notes.append(f"no event reaches the limit of {events.channels[column]}")
        if spread > _BROAD_STAIN:
            notes.append(
                f"{events.channels[column]} is too broad (robust s.d. {spread:.2f}) to tell dead cells sharply"
            )
    return _Result(fails, ", ".join(limits), "; ".join(notes))


def _scatter_singlets(events: _Events, kept: np.ndarray, n_mads: float) -> _Result:
    names = {events.channels[column].upper().replace(" ", ""): column for column in events.columns("scatter")}
    area, height, width = (names.get(f"FSC-{kind}") for kind in "AHW")
    if area is None or (height is None and width is None):
        return _Result(None, note="no FSC-A with FSC-H or FSC-W in the panel")
    # Area over height is a width: where only the width was stored it stands for the ratio.
    shape = events.values[:, width if height is None else height].astype(np.float64)
    top = np.ones_like(shape) if height is None else events.values[:, area].astype(np.float64)
    positive = (top > 0) & (shape > 0)
    ratio = np.log(np.where(positive, top, 1.0)) - np.log(np.where(positive, shape, 1.0))
    ratio = -ratio if height is None else ratio
    usable = kept & positive
    if usable.sum() < _FEWEST:
        return _Result(None, note="not applied: forward scatter is not positive")
    peak = main_peak(ratio[usable], _LEAST_SD["scatter"])
    lower, upper = peak.mode - n_mads * peak.below, peak.mode + n_mads * peak.above
    fails = ~positive | (ratio < lower) | (ratio > upper)
    name = "FSC-A / FSC-H" if height is not None else "FSC-W"
    return _Result(fails, f"{name} {np.exp(lower):.4g} to {np.exp(upper):.4g}")


def _raw(value: float, cofactor: float) -> str:
    """Give an arcsinh value in the units of the file, as text."""
    raw = max(float(np.sinh(value) * cofactor), 0.0)
    return f"{raw:.0f}" if raw >= 1000 else f"{raw:.4g}"


_FILTERS: dict[str, Callable[[_Events, np.ndarray, float], _Result]] = {
    "beads": _beads,
    "gaussian": _gaussian,
    "event_length": _event_length,
    "dna_singlets": _dna_singlets,
    "viability": _viability,
    "scatter_singlets": _scatter_singlets,
}
