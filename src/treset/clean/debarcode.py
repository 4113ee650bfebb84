"""Debarcoding of multiplexed mass cytometry (Zunder et al. 2015, doi:10.1038/nprot.2015.020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from treset.errors import TresetError

#: Cut-offs that are tried, in units of the scaled intensity.
STEPS = np.round(np.arange(0.0, 1.001, 0.01), 2)
#: Fewest events of a barcode for a cut-off of its own, and for a covariance.
_FEWEST = 20
#: Cut-off of a barcode with too few events: as strict as Zunder's middle of the range.
_DEFAULT_CUTOFF = 0.3
_COFACTOR = 10.0


@dataclass(frozen=True)
class Key:
    """A barcoding scheme.

    Attributes
    ----------
    samples
        Name of each code.
    channels
        The barcode channels, as in the file.
    codes
        Shape (samples, channels), bool: which channels are positive.
    """

    samples: tuple[str, ...]
    channels: tuple[str, ...]
    codes: np.ndarray

    def __post_init__(self) -> None:
        """Refuse schemes that cannot tell their samples apart."""
        if self.codes.shape != (len(self.samples), len(self.channels)) or not len(self.samples):
            raise TresetError(
                f"barcode key: {self.codes.shape} codes for {len(self.samples)} samples and {len(self.channels)} "
                "channels; expected one row a sample and one column a channel."
            )
        for kind, names in (("sample", self.samples), ("channel", self.channels)):
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise TresetError(f"barcode key: {kind} {twice!r} occurs twice; give each its own name.")
        seen: dict[bytes, str] = {}
        for name, code in zip(self.samples, self.codes, strict=True):
            other = seen.setdefault(code.tobytes(), name)
            if other != name:
                raise TresetError(f"barcode key: samples {other!r} and {name!r} have the same code; correct the key.")
            if not code.any() or (code.all() and len(code) > 1):
                raise TresetError(f"barcode key: sample {name!r} has no positive or no negative channel; correct it.")


@dataclass(frozen=True)
class Assignment:
    """Which sample each event is of.

    Attributes
    ----------
    sample
        Shape (events,), int: index into the key's samples, -1 for none.
    separation
        Shape (events,): the gap between the lowest positive and the highest negative channel, scaled.
    distance
        Shape (events,): squared Mahalanobis distance from the barcode's population; NaN where not computed.
    scaled
        Shape (events, channels): arcsinh intensities over the 95th percentile of the barcode's positive channels.
    """

    sample: np.ndarray
    separation: np.ndarray
    distance: np.ndarray
    scaled: np.ndarray


def assign(values: np.ndarray, key: Key, cofactor: float = _COFACTOR) -> Assignment:
    """Assign each event by its positive channels: the rule of the top k, before any cut-off.

    With codes of the same number k of positives the k brightest channels are positive (which makes a doublet of two
    codes an event of a small gap); otherwise those above the largest gap. Each barcode's events are then scaled by the
    95th percentile of their positive channels, so that the gaps of all barcodes have one scale (Zunder et al. 2015).

    Parameters
    ----------
    values
        Counts of the key's channels, in its order, shape (events, channels), finite.
    key
        The scheme.
    cofactor
        Of the arcsinh. Default: 10, Zunder's.

    Raises
    ------
    TresetError
        The shapes disagree or a value is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(key.channels):
        raise TresetError(
            f"debarcoding: {values.shape} values for {len(key.channels)} barcode channels; expected one column each."
        )
    if not np.isfinite(values).all():
        raise TresetError("debarcoding: a value of a barcode channel is not finite; export the file again.")
    scaled = np.arcsinh(values / cofactor)
    sample, separation = _by_gap(scaled, key)
    for number, code in enumerate(key.codes):
        inside = sample == number
        if inside.any() and (top := np.quantile(scaled[np.ix_(inside, code)], 0.95)) > 0:
            scaled[inside] /= top
            separation[inside] /= top
    return Assignment(sample, separation, np.full(len(values), np.nan), scaled)


def _by_gap(scaled: np.ndarray, key: Key) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-scaled, axis=1, kind="stable")
    ranked = np.take_along_axis(scaled, order, axis=1)
    gaps = ranked[:, :-1] - ranked[:, 1:]
    positives = key.codes.sum(axis=1)
    if len(key.channels) == 1:
        raise TresetError("debarcoding: one barcode channel tells nothing apart; expected at least two.")
    same = (positives == positives[0]).all()
    count = np.full(len(scaled), positives[0]) if same else gaps.argmax(axis=1) + 1
    separation = gaps[np.arange(len(scaled)), count - 1]
    pattern = np.zeros(scaled.shape, dtype=bool)
    np.put_along_axis(pattern, order, np.arange(scaled.shape[1])[None, :] < count[:, None], axis=1)
    known = {code.tobytes(): number for number, code in enumerate(key.codes)}
    unique, inverse = np.unique(pattern, axis=0, return_inverse=True)
    found = np.array([known.get(row.tobytes(), -1) for row in unique], dtype=int)
    return found[inverse.reshape(-1)] if len(found) else np.full(len(scaled), -1), separation


def yields(assignment: Assignment, n_samples: int) -> np.ndarray:
    """Give the share of each barcode's events whose separation is at least each of `STEPS`.

    Returns
    -------
    Shape (n_samples, 101); NaN for a barcode without events.
    """
    result = np.full((n_samples, len(STEPS)), np.nan)
    for number in range(n_samples):
        gaps = np.sort(assignment.separation[assignment.sample == number])
        if len(gaps):
            result[number] = 1 - np.searchsorted(gaps, STEPS, side="left") / len(gaps)
    return result


def cutoffs(assignment: Assignment, n_samples: int) -> np.ndarray:
    """Estimate the separation cut-off of each barcode: where its yield curve leaves the plateau.

    A straight line and a log-logistic of three parameters are fitted to the yields; the first is cut at half its root,
    the second where its relative slope passes 0.1, and both are weighted by the residuals of the other (CATALYST,
    Chevrier et al. 2018, doi:10.1016/j.cels.2018.02.010, supplement).

    Returns
    -------
    Shape (n_samples,), within 0 to 1; 0.3 for a barcode with fewer than 20 events.
    """
    curves, counts = yields(assignment, n_samples), np.bincount(assignment.sample[assignment.sample >= 0])
    result = np.full(n_samples, _DEFAULT_CUTOFF)
    for number, curve in enumerate(curves):
        if number < len(counts) and counts[number] >= _FEWEST:
            result[number] = _cutoff(curve)
    return result


def _cutoff(curve: np.ndarray) -> float:
    from scipy.optimize import curve_fit

    slope, intercept = np.polyfit(STEPS, curve, 1)
    line_rss = float(((slope * STEPS + intercept - curve) ** 2).sum())
    linear = float(np.clip(-intercept / (2 * slope), 0, 1)) if slope < 0 else _DEFAULT_CUTOFF
    middle = float(STEPS[np.argmax(curve < 0.5)]) if (curve < 0.5).any() else 0.5

    def logistic(x: np.ndarray, top: float, steepness: float, half: float) -> np.ndarray:
        return top / (1 + (x / half) ** steepness)

    grid = STEPS[1:]
    try:
        (top, steepness, half), _ = curve_fit(
            logistic, grid, curve[1:], p0=(1.0, 4.0, max(middle, 0.02)), bounds=([0, 1, 0.01], [1.5, 100, 2])
        )
    except RuntimeError:  # scipy's word for "did not converge"
        return linear
    fit_rss = float(((logistic(grid, top, steepness, half) - curve[1:]) ** 2).sum())
    fine = np.linspace(0.001, 1.0, 1000)
    relative = steepness / fine * (fine / half) ** steepness / (1 + (fine / half) ** steepness)
    curved = float(fine[np.argmax(relative > 0.1)]) if (relative > 0.1).any() else linear
    weight = fit_rss / (fit_rss + line_rss) if fit_rss + line_rss > 0 else 0.0
    return (1 - weight) * curved + weight * linear


def apply_cutoffs(assignment: Assignment, separation: np.ndarray, distance: float = 30.0) -> Assignment:
    """Take back the events whose separation is too small or that lie far from their barcode's population.

    Parameters
    ----------
    assignment
        As `assign` gives it.
    separation
        Cut-off of each barcode, shape (samples,).
    distance
        Largest squared Mahalanobis distance. Default: 30, as CATALYST's; of 6 channels the 99.996th percentile of a
        normal population.

    Returns
    -------
    The assignment with -1 where an event fails, and the distances. A barcode of fewer than 20 events has no
    covariance, and only its separation counts.
    """
    sample, far = assignment.sample.copy(), assignment.distance.copy()
    sample[(sample >= 0) & (assignment.separation < np.asarray(separation)[sample])] = -1
    for number in range(len(separation)):
        inside = np.flatnonzero(sample == number)
        if len(inside) < max(_FEWEST, assignment.scaled.shape[1] + 1):
            continue
        centred = assignment.scaled[inside] - assignment.scaled[inside].mean(axis=0)
        inverse = np.linalg.pinv(np.cov(centred, rowvar=False), hermitian=True)
        far[inside] = np.einsum("ij,jk,ik->i", centred, inverse, centred)
        sample[inside[far[inside] > distance]] = -1
    return replace(assignment, sample=sample, distance=far)


def single_stain_key(channels: Sequence[str]) -> Key:
    """Give the scheme of single-stained beads: one positive channel a code, named after it."""
    return Key(tuple(channels), tuple(channels), np.eye(len(channels), dtype=bool))
