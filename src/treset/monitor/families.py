"""The families of tests that discovery makes: state, signature and abundance, one row a test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from treset.monitor.common import CONFIDENCE, NOT_EVALUABLE, effect, join
from treset.monitor.contrasts import MIN_REPLICATES, Groups, named
from treset.stats import bh, moderated_t, negative_binomial_f, precision_weights
from treset.stats.counts import LEAST_ROWS
from treset.stats.weighted import weighted_least_squares
from treset.study.model import DiscoveryMonitor
from treset.texts import spelled

CALLED, NOT_CALLED = "called", "not called"


@dataclass(frozen=True)
class Kind:
    """A family of tests: state (medians), signature (scores) or abundance (shares)."""

    name: str
    measure: str
    scale: str
    minimum: float


def family_rows(
    part: pd.DataFrame, kind: Kind, origin: str, contrast: Groups, settings: DiscoveryMonitor, notes: list[str]
) -> list[dict]:
    """All tests of a kind in an origin, one row each."""
    rows = part[part["measure"] == kind.measure].drop_duplicates(["sample", "population", "marker"])
    if rows.empty:
        return []
    used = [*contrast.reference, *contrast.test]
    value, cells = (_by_sample(rows, name, used) for name in ("value", "n_cells"))
    if kind.name == "abundance":
        y, thin = _log_shares(value.to_numpy(float), cells.to_numpy(float), len(contrast.reference), settings)
    else:
        few = ~(cells.to_numpy(float) >= settings.min_events)
        y, thin = np.where(few, np.nan, value.to_numpy(float)), np.zeros(len(value), dtype=bool)
        _say_few(few, value, notes, origin, kind, settings)
    blocked = _blocked(y, thin, contrast, settings)
    if kind.name == "abundance" and settings.abundance == "negative_binomial":
        tested = _count_tests(value.to_numpy(float), cells.to_numpy(float), blocked, contrast, settings)
    else:
        tested = _t_tests(y, cells.to_numpy(float), blocked, kind, contrast)
    return _rows(tested, blocked, value.index, kind, origin, contrast, settings)


def _by_sample(rows: pd.DataFrame, values: str, samples: list[str]) -> pd.DataFrame:
    """A column by population and marker (rows, in order of their names) and sample (columns)."""
    keys = ["population", "marker"]
    # pivot refuses a value that is there twice; pivot_table would average it
    found = rows.pivot(index=keys, columns="sample", values=values)  # noqa: PD010
    names = pd.MultiIndex.from_frame(spelled(found.index.to_frame(index=False)))
    return found.set_axis(found.columns.astype("str"), axis=1).set_axis(names).sort_index().reindex(columns=samples)


def _log_shares(
    percent: np.ndarray, cells: np.ndarray, n_reference: int, settings: DiscoveryMonitor
) -> tuple[np.ndarray, np.ndarray]:
    """log2 shares with half a cell, and which populations are too small in both conditions."""
    count = percent * cells / 100
    with np.errstate(invalid="ignore"):
        y = np.where(cells >= settings.min_events, np.log2((count + 0.5) / (cells + 1)), np.nan)
    halves = (count[:, :n_reference], count[:, n_reference:])
    typical = np.column_stack([_row_median(half) for half in halves])
    return y, ~(np.nanmax(np.nan_to_num(typical, nan=-1.0), axis=1) >= settings.min_events)


def _row_median(counts: np.ndarray) -> np.ndarray:
    """Median of each row over what is there; NaN for a row with nothing."""
    return pd.DataFrame(counts).median(axis=1).to_numpy()


def _blocked(y: np.ndarray, thin: np.ndarray, contrast: Groups, settings: DiscoveryMonitor) -> list[str]:
    """Why each test cannot be made, or ""."""
    n = len(contrast.reference)
    first, second = np.isfinite(y[:, :n]), np.isfinite(y[:, n:])
    reasons = []
    for i in range(len(y)):
        have = y[i][np.isfinite(y[i])]
        if thin[i]:
            reasons.append(f"a median of fewer than {settings.min_events} cells in both conditions")
        elif contrast.paired and (pairs := _pairs(first[i] & second[i], contrast)) < MIN_REPLICATES:
            where = "" if contrast.treated is None else " in one group"
            reasons.append(f"{pairs} complete pairs{where}, {MIN_REPLICATES} needed")
        elif not contrast.paired and min(first[i].sum(), second[i].sum()) < MIN_REPLICATES:
            reasons.append(f"{first[i].sum()} and {second[i].sum()} samples, {MIN_REPLICATES} of each needed")
        else:
            reasons.append("the same value in all samples" if np.ptp(have) == 0 else "")
    return reasons


def _pairs(complete: np.ndarray, contrast: Groups) -> int:
    """Complete pairs; those of the smaller group where two are compared."""
    if contrast.treated is None:
        return int(complete.sum())
    return int(min((complete & (contrast.treated == group)).sum() for group in (0, 1)))


@dataclass(frozen=True)
class _Tests:
    """Tests of a family, arrays of shape (tests,); ``data``: the values they rest on, for their count and direction."""

    data: np.ndarray
    estimate: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    p_value: np.ndarray
    method: str
    note: str = ""
    #: Why a test that was not blocked has no result.
    without: str = "no spread to test against"


def _t_tests(y: np.ndarray, cells: np.ndarray, blocked: list[str], kind: Kind, contrast: Groups) -> _Tests:
    """Moderated t; medians and scores are weighted by cells where the data show that few cells scatter more."""
    n = len(contrast.reference)
    sampling = 1 / np.maximum(cells, 1)
    data, (design, coefficient), method = y, contrast.full_design, "moderated t"
    if contrast.paired:
        # the test of differences is that of a block for each pair
        data, design, method = y[:, n:] - y[:, :n], np.ones((n, 1)), "moderated paired t"
        if contrast.treated is not None:
            design, method = np.column_stack([design, contrast.treated]), "moderated t of the changes"
        sampling = sampling[:, n:] + sampling[:, :n]
    elif contrast.design is not None:
        method = "linear model, moderated t"
    data = np.where(np.asarray([not reason for reason in blocked])[:, None], data, np.nan)
    weights = None
    # log shares go unweighted: with weights learnt from few clusters false discoveries rose above the rate and power
    # did not (benchmarks/abundance.py)
    if kind.name != "abundance":
        residuals = weighted_least_squares(data, design, np.ones(data.shape), coefficient)[4]
        weights = precision_weights(residuals, sampling, common=False)
        if np.nanstd(np.where(np.isfinite(weights), weights, 1.0)) > 1e-9:
            method += ", weighted by cells"
    fit = moderated_t(data, design, coefficient, CONFIDENCE, weights)
    return _Tests(data, fit.estimate, fit.lower, fit.upper, fit.p_value, method)


def _count_tests(
    percent: np.ndarray, cells: np.ndarray, blocked: list[str], contrast: Groups, settings: DiscoveryMonitor
) -> _Tests:
    """Negative-binomial tests of the counts; a sample with too few cells, and its partner, take part in none."""
    rows = np.flatnonzero([not reason for reason in blocked])
    nothing = np.full(len(percent), np.nan)
    method = "negative binomial, quasi-likelihood F with moderated dispersion (edgeR)"
    data = np.log2((percent * cells / 100 + 0.5) / (cells + 1))
    n = len(contrast.reference)
    kept = (cells[rows] >= settings.min_events).all(axis=0)
    if contrast.paired:
        kept = np.tile(kept[:n] & kept[n:], 2)
        data = data[:, n:] - data[:, :n]
    if rows.size < LEAST_ROWS:
        short = f"{rows.size} populations: {LEAST_ROWS} are needed to moderate the dispersion"
        return _Tests(data, nothing, nothing, nothing, nothing, method, without=short)
    design, coefficient = contrast.full_design
    if contrast.paired:
        blocks = np.flatnonzero(kept[:n])
        design, coefficient = design[kept][:, [*blocks, *range(n, design.shape[1])]], -1
    else:
        design = design[kept]
    try:
        # the denominator (all kept cells) is the same for every population of a sample
        totals = cells[rows][:, kept].max(axis=0)
        fit = negative_binomial_f(
            np.rint(percent[rows] * cells[rows] / 100)[:, kept], totals, design, coefficient, CONFIDENCE
        )
    except ValueError as wrong:
        return _Tests(data, nothing, nothing, nothing, nothing, method, without=str(wrong))
    spread = [nothing.copy() for _ in range(4)]
    for values, found in zip(spread, (fit.estimate, fit.lower, fit.upper, fit.p_value), strict=True):
        values[rows] = found
    note = f"common dispersion {fit.dispersion:.3g}"
    return _Tests(data, *spread, method, note, "the negative-binomial model did not converge")


def _rows(
    tested: _Tests, blocked: list[str], index: pd.Index, kind: Kind, origin: str, contrast: Groups,
    settings: DiscoveryMonitor,
) -> list[dict]:  # fmt: skip
    q = bh(tested.p_value)
    rows = []
    for i, (population, marker) in enumerate(index):
        row = effect(
            endpoint=kind.name, population=population, measure=kind.measure, marker=marker, scale=kind.scale,
            contrast=named(settings), n=int(np.isfinite(tested.data[i]).sum()),
            method=tested.method + (f", {settings.formula}" if contrast.design is not None else ""),
            role="discovery", origin=origin,
        )  # fmt: skip
        if blocked[i] or not np.isfinite(tested.p_value[i]):
            rows.append(row | {"verdict": NOT_EVALUABLE, "note": blocked[i] or tested.without})
            continue
        large = abs(tested.estimate[i]) >= kind.minimum
        row |= {name: float(getattr(tested, name)[i]) for name in ("estimate", "lower", "upper", "p_value")}
        row |= {"q_value": float(q[i]), "converged": True}
        row["verdict"] = CALLED if q[i] < settings.fdr and large else NOT_CALLED
        directions = _told(tested.data[i], contrast, settings) if contrast.paired else ""
        row["note"] = join([directions, _small(q[i], large, kind, settings), tested.note])
        rows.append(row)
    return rows


def _small(q: float, large: bool, kind: Kind, settings: DiscoveryMonitor) -> str:
    return "" if large or q >= settings.fdr else f"a change under the minimum of {kind.minimum:g}"


def _told(differences: np.ndarray, contrast: Groups, settings: DiscoveryMonitor) -> str:
    if contrast.treated is None or settings.between is None:
        return _directions(differences)
    labels = (settings.between.test, settings.between.reference)
    parts = [differences[contrast.treated == group] for group in (1, 0)]
    return ", ".join(f"{label}: {_directions(part)}" for label, part in zip(labels, parts, strict=True))


def _directions(differences: np.ndarray) -> str:
    """``up in 8 of 8 pairs``."""
    d = differences[np.isfinite(differences)]
    up, down = int((d > 0).sum()), int((d < 0).sum())
    return f"{'up' if up >= down else 'down'} in {max(up, down)} of {d.size} pairs"


def _say_few(
    few: np.ndarray, value: pd.DataFrame, notes: list[str], origin: str, kind: Kind, settings: DiscoveryMonitor
) -> None:
    short: dict[str, list[str]] = {}
    for population, row in zip(value.index.get_level_values("population"), few, strict=True):
        if row.any() and str(population) not in short:
            short[str(population)] = [str(s) for s in value.columns[row]]
    for population, names in short.items():
        notes.append(
            f"{kind.name} of {population} ({origin}): under {settings.min_events} cells in {len(names)} of "
            f"{value.shape[1]} samples: {', '.join(names)}"
        )
