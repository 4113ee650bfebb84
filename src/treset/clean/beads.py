"""Bead normalisation of mass cytometry (Finck et al. 2013, doi:10.1002/cyto.a.22271)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from treset.clean.masses import metal_mass
from treset.errors import TresetError

#: Masses of the isotopes in the beads.
BEADS: dict[str, tuple[int, ...]] = {"dvs": (140, 151, 153, 165, 175), "beta": (139, 141, 159, 169, 175)}
DNA = (191, 193)
_COFACTOR = 5.0
#: Beads in the running median (Finck's window), and the fewest beads from which a slope is taken.
WINDOW, FEWEST = 501, 30
#: Beads of one isotope vary by about 8 %: the median of 21 of them is known to 2 %, that of five isotopes better.
LEAST_WINDOW = 21
#: A bead carries no DNA, and each of its isotopes at about 50 counts or more (arcsinh units).
_ABOVE_DNA, _ABOVE_BACKGROUND = 2.0, 3.0
#: DNA of cells is above this; a bead has less than a tenth of a cell's (arcsinh units).
_DNA_OF_CELLS, _NO_DNA = float(np.arcsinh(2.0)), float(np.log(10))
#: Robust standard deviations within which a bead is a single bead.
_TRIM = 5.0
#: Least spread of one isotope on single beads, in arcsinh units: counting noise of a bright bead.
_LEAST_SD = 0.02


@dataclass(frozen=True)
class Beads:
    """Which events are beads.

    Attributes
    ----------
    single
        Shape (events,), bool: single beads, from which the slopes are taken.
    any
        Shape (events,), bool: every event with a bead in it: single, several, or with a cell.
    """

    single: np.ndarray
    any: np.ndarray

    @property
    def doublets(self) -> np.ndarray:
        """Events with a bead and something else."""
        return self.any & ~self.single


@dataclass(frozen=True)
class Slopes:
    """How much the signal has to be raised or lowered over time.

    Attributes
    ----------
    time
        Of the beads, in order, shape (beads,).
    factor
        At each of them, shape (beads,).
    baseline
        Intensity of each isotope to which the beads are brought, shape (isotopes,).
    """

    time: np.ndarray
    factor: np.ndarray
    baseline: np.ndarray

    def at(self, time: np.ndarray) -> np.ndarray:
        """Interpolate in time; before the first and after the last bead the factor is theirs."""
        return np.interp(time, self.time, self.factor)


def bead_columns(channels: Sequence[str], kind: str) -> list[int]:
    """Give the columns of the bead isotopes, in the order of `BEADS`.

    Raises
    ------
    TresetError
        The file lacks one of them.
    """
    masses = {found[1]: number for number, name in enumerate(channels) if (found := metal_mass(name))}
    if lacking := [str(mass) for mass in BEADS[kind] if mass not in masses]:
        raise TresetError(
            f"beads: the file has no channel of mass {', '.join(lacking)}, {kind} beads have "
            f"{', '.join(map(str, BEADS[kind]))}; correct clean.beads."
        )
    return [masses[mass] for mass in BEADS[kind]]


def find_beads(beads: np.ndarray, dna: np.ndarray) -> Beads:
    """Tell beads from cells by their isotopes against the DNA.

    A candidate is at least e^2 brighter in its dimmest isotope than in its DNA, and as bright as the other candidates.
    Single beads lie within 5 robust standard deviations of the candidates' median in every isotope and have less than
    a tenth of a cell's DNA; an event brighter than the dimmest single bead in every isotope has a bead in it, whatever
    else it has (bead-bead and bead-cell doublets).

    Parameters
    ----------
    beads
        Counts of the bead isotopes, shape (events, isotopes), finite.
    dna
        Counts of the DNA channels, shape (events, channels >= 1), finite.

    Returns
    -------
    Nothing but False where there are no beads.
    """
    bright, nuclear = np.arcsinh(beads / _COFACTOR), np.arcsinh(dna / _COFACTOR)
    none = np.zeros(len(bright), dtype=bool)
    if not len(bright):
        return Beads(none, none.copy())
    candidates = _candidates(bright, nuclear)
    if not candidates.any():
        return Beads(none, none.copy())
    middle = np.median(bright[candidates], axis=0)
    spread = np.maximum(1.4826 * np.median(np.abs(bright[candidates] - middle), axis=0), _LEAST_SD)
    single = candidates & (np.abs(bright - middle) <= _TRIM * spread).all(axis=1)
    cells = nuclear[~candidates & (nuclear.min(axis=1) > _DNA_OF_CELLS)].max(axis=1)
    if len(cells):
        single &= nuclear.max(axis=1) < max(float(np.median(cells)) - _NO_DNA, _DNA_OF_CELLS)
    if not single.any():
        return Beads(none, none.copy())
    dimmest = bright[single].min(axis=0)
    return Beads(single, (bright >= dimmest).all(axis=1))


def _candidates(bright: np.ndarray, nuclear: np.ndarray) -> np.ndarray:
    dimmest = bright.min(axis=1)
    found = (dimmest - nuclear.max(axis=1) > _ABOVE_DNA) & (dimmest > _ABOVE_BACKGROUND)
    # what is much dimmer than the rest is debris with some of every metal, not a bead
    return found & (dimmest > np.median(dimmest[found]) - 1.0) if found.any() else found


def bead_slopes(
    beads: np.ndarray, time: np.ndarray, window: int = WINDOW, baseline: np.ndarray | None = None
) -> Slopes:
    """Give the factor at each bead that brings its smoothed intensities to the baseline.

    Intensities are smoothed by a running median over the beads in order of time (cut off at the ends); the factor is
    the slope through zero of the baseline against them (Finck et al. 2013).

    Parameters
    ----------
    beads
        Counts of single beads, shape (beads, isotopes).
    time
        Shape (beads,).
    window
        Beads in the running median. Default: 501; never more than a twentieth of the beads
        (what 500 are of a usual acquisition), at least 21.
    baseline
        Shape (isotopes,), the same for all samples of a study that are to be comparable. Default: the median of these
        beads.

    Raises
    ------
    TresetError
        Fewer than 30 beads, or an isotope without signal.
    """
    if len(beads) < FEWEST:
        raise TresetError(f"beads: {len(beads)} single beads are too few for normalisation, expected {FEWEST}.")
    order = np.argsort(time, kind="stable")
    beads, time = np.asarray(beads, dtype=np.float64)[order], np.asarray(time, dtype=np.float64)[order]
    smooth = running_median(beads, max(LEAST_WINDOW, min(window, len(beads) // 20)))
    target = np.median(beads, axis=0) if baseline is None else np.asarray(baseline, dtype=np.float64)
    if not (target > 0).all() or not (smooth.sum(axis=1) > 0).all():
        raise TresetError("beads: an isotope of the beads has no signal; correct clean.beads or leave beads out.")
    factor = (smooth @ target) / (smooth**2).sum(axis=1)
    # beads at one and the same time share a factor
    moments, inverse = np.unique(time, return_inverse=True)
    mean = np.bincount(inverse, factor) / np.bincount(inverse)
    return Slopes(moments, mean, target)


def running_median(values: np.ndarray, window: int) -> np.ndarray:
    """Running median along the first axis; the window is cut off at the ends."""
    half, count = window // 2, len(values)
    result = np.empty(values.shape)
    for place in range(count):
        result[place] = np.median(values[max(place - half, 0) : place + half + 1], axis=0)
    return result
