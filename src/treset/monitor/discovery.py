"""What else changed: every population's markers and share between two conditions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from treset.monitor.common import (
    CONFIDENCE,
    MET,
    NOT_EVALUABLE,
    NOT_MET,
    Cohort,
    MonitorResult,
    effect,
    effects_table,
    join,
    p_text,
    prepare,
    suggest,
    summary,
)
from treset.stats import bh, moderated_t, precision_weights
from treset.study.model import DiscoveryMonitor

TITLE = "Discovery"
CALLED, NOT_CALLED = "called", "not called"
#: Fewest pairs (paired) or samples in each group (unpaired) with which a test is made.
MIN_REPLICATES = 3
_PATIENT_COLUMNS = ("patient", "arm", "disease", "reference_samples", "test_samples", "call", "why")


@dataclass(frozen=True)
class _Contrast:
    """The samples compared: reference and test in the same order when paired."""

    reference: tuple[str, ...]
    test: tuple[str, ...]
    paired: bool


@dataclass(frozen=True)
class _Kind:
    """A family of tests: state (medians), signature (scores) or abundance (log2 shares)."""

    name: str
    measure: str
    scale: str
    minimum: float


def discovery(profiles: pd.DataFrame, samples: pd.DataFrame, settings: DiscoveryMonitor) -> MonitorResult:
    """Test every population and cluster for a change of its markers and of its share.

    State: per-sample medians (and signature scores) of a population; samples with few cells weigh less where their
    values scatter more (:func:`treset.stats.precision_weights`). Abundance: log2 of the share of all kept cells,
    (count + 0.5) / (cells + 1), unweighted. Paired within ``settings.pair`` where set (the test of differences, the
    same as a block for each patient), else between groups. Moderated t: the variances of all tests of an origin and
    kind inform each other. Benjamini-Hochberg within origin and kind. ``called``: q < ``fdr`` and a change of at least
    the minimum.

    Parameters
    ----------
    profiles
        The waist.
    samples
        The sheet; any of its columns may be contrasted.
    settings
        Column, labels and thresholds.

    Returns
    -------
    Effects ranked by the change that their interval grants, those called first; role ``discovery``, endpoint
    ``state``, ``signature`` or ``abundance``, verdict ``called``, ``not called`` or ``not evaluable``; patients:
    who was compared. A sample with fewer than ``min_events`` cells of a population gives it no state; an abundance
    is tested where the population has a median of ``min_events`` cells in at least one condition. A column or label
    that does not exist makes the whole monitor not evaluable.

    Raises
    ------
    TresetError
        For malformed tables.

    References
    ----------
    Weber LM et al. (2019), diffcyt, Commun Biol 2:183, doi:10.1038/s42003-019-0415-5; Smyth GK (2004),
    doi:10.2202/1544-6115.1027; Law CW et al. (2014), doi:10.1186/gb-2014-15-2-r29.
    """
    cohort = prepare(profiles, samples, resting=settings.column != "stimulus")
    notes = list(cohort.notes)
    problem = _unknown(cohort, settings)
    contrast, patients = _contrast(cohort, settings) if not problem else (None, _no_patients(cohort, problem))
    if contrast is None and not problem:
        problem = _too_few(patients, settings)
    rows: list[dict] = []
    if contrast is not None:
        kinds = (
            _Kind("state", "median", "difference", settings.min_state_effect),
            _Kind("state", "mean", "difference", settings.min_state_effect),
            _Kind("signature", "signature", "difference", settings.min_state_effect),
            _Kind("abundance", "percent_of_total", "log2_ratio", settings.min_abundance_effect),
        )
        for origin in settings.origins:
            part = cohort.profiles[cohort.profiles["origin"] == origin]
            if origin == "cluster":
                # the clusters themselves: populations named after them would be the same tests twice
                named = set(cohort.profiles.loc[cohort.profiles["origin"] == "gate", "population"])
                part = part[~part["population"].isin(named)]
            if part.empty:
                notes.append(f"the profiles have no rows of origin {origin!r}")
            for kind in kinds:
                rows += _family(_asked(part, kind, settings), kind, origin, contrast, settings, notes)
    table = effects_table(sorted(rows, key=lambda row: _rank(row, settings)))
    return MonitorResult("discovery", table, patients, _summary(table, patients, problem, settings, notes))


def _rank(row: dict, settings: DiscoveryMonitor) -> tuple:
    """Called first; within that by the change that the interval still grants, in units of the minimum effect.

    Confident effect sizes (Harrison 2019, doi:10.1186/s13059-019-1674-7): with few patients the order of tiny p values
    is chance, and a small change may have the smallest.
    """
    p, lower, upper = (float(row[name]) for name in ("p_value", "lower", "upper"))
    least = settings.min_abundance_effect if row["endpoint"] == "abundance" else settings.min_state_effect
    granted = max(lower, -upper, 0.0) / max(least, 1e-12) if math.isfinite(lower) and math.isfinite(upper) else 0.0
    names = (row["origin"], row["endpoint"], row["population"], row["marker"])
    return (row["verdict"] != CALLED, math.isnan(p), -granted, p, *names)


def _unknown(cohort: Cohort, settings: DiscoveryMonitor) -> str:
    """Why the contrast cannot be made from this sheet, or ""."""
    columns = [str(name) for name in cohort.sheet.columns]
    for column in (settings.column, settings.pair):
        if column is not None and column not in columns:
            return f"the sample sheet has no column {column!r}{suggest(column, columns)}"
    labels = _labels(cohort.sheet[settings.column], settings)
    for role, label in (("reference", settings.reference), ("test", settings.test)):
        if label == "":
            return f"the {role} label of column {settings.column} is not set"
        if label not in set(labels):
            return f"no sample has {settings.column} {label!r} ({role}){suggest(label, labels.unique())}"
    return "" if settings.reference != settings.test else f"reference and test are both {settings.test!r}"


def _labels(column: pd.Series, settings: DiscoveryMonitor) -> pd.Series:
    """The column as labels; numbers take the spelling of the settings (dose 10.0 is the label ``10``)."""
    labels = column.astype("str")
    for label in (settings.reference, settings.test):
        try:
            same = pd.to_numeric(column, errors="coerce") == float(label)
        except ValueError:
            continue
        labels = labels.mask(same, label)
    return labels


def _no_patients(cohort: Cohort, problem: str) -> pd.DataFrame:
    rows = [_who(cohort, str(p), [], [], NOT_EVALUABLE, problem) for p in cohort.patients.index]
    return pd.DataFrame(rows, columns=list(_PATIENT_COLUMNS))


def _who(cohort: Cohort, patient: str, *rest: object) -> dict[str, object]:
    reference, test, call, why = rest
    return {
        "patient": patient, **cohort.patients.loc[patient].to_dict(), "reference_samples": ", ".join(reference),
        "test_samples": ", ".join(test), "call": call, "why": why,
    }  # fmt: skip


def _contrast(cohort: Cohort, settings: DiscoveryMonitor) -> tuple[_Contrast | None, pd.DataFrame]:
    """Pair the samples, or put them in groups; None when too few or when the pairing is not unique."""
    labels = _labels(cohort.sheet[settings.column], settings)
    blocks = cohort.sheet[settings.pair or "patient"].astype("str")
    reference, test, ambiguous = [], [], False
    fates: dict[str, tuple[str, str]] = {}
    for block in blocks.unique():
        ours = blocks == block
        low = list(labels.index[ours & (labels == settings.reference)])
        high = list(labels.index[ours & (labels == settings.test)])
        fate = _fate(low, high, settings, str(block))
        if fate[0] == "used":
            reference, test = reference + low, test + high
        ambiguous |= fate[0] == "ambiguous"
        for patient in cohort.sheet.loc[ours, "patient"].unique():
            fates[str(patient)] = fate
    rows = []
    for patient in cohort.patients.index:
        own = cohort.sheet["patient"] == patient
        call, why = fates.get(str(patient), ("left out", "no sample is used"))
        low, high = (list(labels.index[own & (labels == label)]) for label in (settings.reference, settings.test))
        rows.append(_who(cohort, str(patient), low, high, call, why))
    patients = pd.DataFrame(rows, columns=list(_PATIENT_COLUMNS))
    if ambiguous or min(len(reference), len(test)) < MIN_REPLICATES:
        return None, patients
    return _Contrast(tuple(reference), tuple(test), settings.pair is not None), patients


def _fate(low: list[str], high: list[str], settings: DiscoveryMonitor, block: str) -> tuple[str, str]:
    """Whether a block's samples are used, and why not."""
    if not low and not high:
        return "left out", f"no sample with {settings.column} {settings.reference} or {settings.test}"
    if max(len(low), len(high)) > 1 or (settings.pair is None and low and high):
        listed = ", ".join(low + high)
        cure = "exclude all but one in the sheet" if settings.pair else "set pair, its samples are not independent"
        return "ambiguous", f"{settings.pair or 'patient'} {block} has several samples ({listed}): {cure}"
    if settings.pair is not None and not (low and high):
        missing = settings.test if low else settings.reference
        return "left out", f"no sample with {settings.column} {missing}"
    return "used", ""


def _too_few(patients: pd.DataFrame, settings: DiscoveryMonitor) -> str:
    if found := join(patients.loc[patients["call"] == "ambiguous", "why"]):
        return found
    unit = "complete pairs" if settings.pair else "samples in each group"
    used = int((patients["call"] == "used").sum())
    hint = f"; only {used} of {len(patients)} patients have both" if settings.pair else ""
    return f"fewer than {MIN_REPLICATES} {unit} of {settings.reference} and {settings.test}{hint}"


def _asked(part: pd.DataFrame, kind: _Kind, settings: DiscoveryMonitor) -> pd.DataFrame:
    """The rows without the markers that are not asked for."""
    if kind.name != "state" or not settings.markers:
        return part
    return part[(part["measure"] != kind.measure) | part["marker"].isin(settings.markers)]


def _family(
    part: pd.DataFrame, kind: _Kind, origin: str, contrast: _Contrast, settings: DiscoveryMonitor, notes: list[str]
) -> list[dict]:
    """All tests of a kind in an origin, one row each."""
    rows = part[part["measure"] == kind.measure].drop_duplicates(["sample", "population", "marker"])
    if rows.empty:
        return []
    used = [*contrast.reference, *contrast.test]
    keys = ["population", "marker"]
    # pivot refuses a value that is there twice; pivot_table would average it
    value = rows.pivot(index=keys, columns="sample", values="value").reindex(columns=used)  # noqa: PD010
    cells = rows.pivot(index=keys, columns="sample", values="n_cells").reindex(columns=used)  # noqa: PD010
    if kind.name == "abundance":
        y, thin = _log_shares(value.to_numpy(float), cells.to_numpy(float), len(contrast.reference), settings)
    else:
        few = ~(cells.to_numpy(float) >= settings.min_events)
        y, thin = np.where(few, np.nan, value.to_numpy(float)), np.zeros(len(value), dtype=bool)
        _say_few(few, value, notes, origin, kind, settings)
    blocked = _blocked(y, thin, contrast, settings)
    return _rows(y, cells.to_numpy(float), blocked, value.index, kind, origin, contrast, settings)


def _row_average(y: np.ndarray) -> np.ndarray:
    """Mean of each row over what is there; NaN for a row with nothing."""
    return pd.DataFrame(y).mean(axis=1).to_numpy()


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


def _say_few(
    few: np.ndarray, value: pd.DataFrame, notes: list[str], origin: str, kind: _Kind, settings: DiscoveryMonitor
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


def _blocked(y: np.ndarray, thin: np.ndarray, contrast: _Contrast, settings: DiscoveryMonitor) -> list[str]:
    """Why each test cannot be made, or ""."""
    n = len(contrast.reference)
    first, second = np.isfinite(y[:, :n]), np.isfinite(y[:, n:])
    reasons = []
    for i in range(len(y)):
        have = y[i][np.isfinite(y[i])]
        if thin[i]:
            reasons.append(f"a median of fewer than {settings.min_events} cells in both conditions")
        elif contrast.paired and (pairs := int((first[i] & second[i]).sum())) < MIN_REPLICATES:
            reasons.append(f"{pairs} complete pairs, {MIN_REPLICATES} needed")
        elif not contrast.paired and min(first[i].sum(), second[i].sum()) < MIN_REPLICATES:
            reasons.append(f"{first[i].sum()} and {second[i].sum()} samples, {MIN_REPLICATES} of each needed")
        else:
            reasons.append("the same value in all samples" if np.ptp(have) == 0 else "")
    return reasons


def _rows(
    y: np.ndarray, cells: np.ndarray, blocked: list[str], index: pd.Index, kind: _Kind, origin: str,
    contrast: _Contrast, settings: DiscoveryMonitor,
) -> list[dict]:  # fmt: skip
    n = len(contrast.reference)
    sampling = 1 / np.maximum(cells, 1)
    made = np.asarray([not reason for reason in blocked])
    if contrast.paired:
        data, design, method = y[:, n:] - y[:, :n], np.ones((n, 1)), "moderated paired t"
        sampling = sampling[:, n:] + sampling[:, :n]
        centre = np.repeat(_row_average(data)[:, None], n, axis=1)
    else:
        group = np.repeat([0.0, 1.0], [n, y.shape[1] - n])
        data, design, method = y, np.column_stack([np.ones(y.shape[1]), group]), "moderated t"
        centre = np.where(group == 0, _row_average(y[:, :n])[:, None], _row_average(y[:, n:])[:, None])
    data = np.where(made[:, None], data, np.nan)
    weights = None
    # log shares go unweighted: with weights learnt from few clusters false discoveries rose above the rate and power
    # did not (benchmarks/abundance.py)
    if kind.name != "abundance":
        weights = precision_weights(data - centre, sampling, common=False)
        if np.nanstd(np.where(np.isfinite(weights), weights, 1.0)) > 1e-9:
            method += ", weighted by cells"
    fit = moderated_t(data, design, confidence=CONFIDENCE, weights=weights)
    q = bh(fit.p_value)
    rows = []
    for i, (population, marker) in enumerate(index):
        row = effect(
            endpoint=kind.name, population=population, measure=kind.measure, marker=marker, scale=kind.scale,
            contrast=f"{settings.test} vs {settings.reference}", n=int(np.isfinite(data[i]).sum()), method=method,
            role="discovery", origin=origin,
        )  # fmt: skip
        if blocked[i] or not np.isfinite(fit.p_value[i]):
            rows.append(row | {"verdict": NOT_EVALUABLE, "note": blocked[i] or "no spread to test against"})
            continue
        large = abs(fit.estimate[i]) >= kind.minimum
        row |= {"estimate": float(fit.estimate[i]), "lower": float(fit.lower[i]), "upper": float(fit.upper[i])}
        row |= {"p_value": float(fit.p_value[i]), "q_value": float(q[i]), "converged": True}
        row["verdict"] = CALLED if q[i] < settings.fdr and large else NOT_CALLED
        row["note"] = join([_directions(data[i]) if contrast.paired else "", _small(q[i], large, kind, settings)])
        rows.append(row)
    return rows


def _small(q: float, large: bool, kind: _Kind, settings: DiscoveryMonitor) -> str:
    return "" if large or q >= settings.fdr else f"a change under the minimum of {kind.minimum:g}"


def _directions(differences: np.ndarray) -> str:
    """``up in 8 of 8 pairs``."""
    d = differences[np.isfinite(differences)]
    up, down = int((d > 0).sum()), int((d < 0).sum())
    return f"{'up' if up >= down else 'down'} in {max(up, down)} of {d.size} pairs"


def _summary(
    table: pd.DataFrame, patients: pd.DataFrame, problem: str, settings: DiscoveryMonitor, notes: list[str]
) -> dict:
    tested, called = table[table["p_value"].notna()], table[table["verdict"] == CALLED]
    contrast = f"{settings.test} vs {settings.reference}"
    unused = [f"{row['patient']}: {row['why']}" for row in patients.to_dict("records") if row["call"] != "used"]
    notes = [*notes, *unused] if not problem else notes
    notes.append(
        f"exploratory: called at a false discovery rate of {100 * settings.fdr:g} % within origin and kind, from a "
        f"change of {settings.min_state_effect:g} (state) and {settings.min_abundance_effect:g} in log2 (abundance)"
    )
    common = {"monitor": "discovery", "title": TITLE, "settings": settings, "notes": notes}
    if tested.empty:
        why = problem or "no population or marker could be tested"
        return summary(
            verdict=NOT_EVALUABLE, reason=f"not evaluable: {why}.", headline=("–", why), primary=None, **common
        )
    used = int((patients["call"] == "used").sum())
    caption = f"called of {len(tested)} tested, {contrast}, n = {used} patients"
    reason = f"{len(called)} of {len(tested)} changes are called at a false discovery rate of {100 * settings.fdr:g} %"
    if len(called):
        top = called.iloc[0]
        what = f"{top['marker'] or 'share'} of {top['population']}"
        reason += f"; strongest: {what} ({top['estimate']:+.2f}, {p_text(float(top['p_value']))})"
    return summary(
        verdict=MET if len(called) else NOT_MET, reason=reason + ".", headline=(str(len(called)), caption),
        primary=None, **common,
    )  # fmt: skip
