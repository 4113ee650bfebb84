"""What else changed: every population's markers and share between two conditions."""

from __future__ import annotations

import math

import pandas as pd

from treset.monitor.common import (
    CONFIDENCE,
    MET,
    NOT_EVALUABLE,
    NOT_MET,
    MonitorResult,
    effects_table,
    p_text,
    prepare,
    summary,
)
from treset.monitor.contrasts import groups, named, no_patients, unknown
from treset.monitor.families import CALLED, NOT_CALLED, Kind, family_rows
from treset.study.model import DiscoveryMonitor

__all__ = ["CALLED", "NOT_CALLED", "TITLE", "discovery"]
TITLE = "Discovery"


def discovery(profiles: pd.DataFrame, samples: pd.DataFrame, settings: DiscoveryMonitor) -> MonitorResult:
    """Test every population and cluster for a change of its markers and of its share.

    State: per-sample medians (and signature scores) of a population; samples with few cells weigh less where their
    values scatter more (:func:`treset.stats.precision_weights`). Abundance: log2 of the share of all kept cells,
    (count + 0.5) / (cells + 1), unweighted. Paired within ``settings.pair`` where set (the test of differences, the
    same as a block for each patient), else between groups, or by the linear model of ``settings.formula``. With
    ``settings.between`` the changes of two groups of patients are compared (drug against placebo): the estimate is by
    how much the one changed more than the other. Moderated t:
    the variances of all tests of an origin and kind inform each other. With ``abundance: negative_binomial`` the counts
    are tested instead (:func:`treset.stats.negative_binomial_f`). Benjamini-Hochberg within origin and kind.
    ``called``: q < ``fdr`` and a change of at least the minimum.

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
    Effects ranked by the change that their interval grants (averaged over all patients), those called first; role
    ``discovery``, endpoint
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
    problem, contrast = unknown(cohort, settings), None
    if problem:
        patients = no_patients(cohort, problem)
    else:
        contrast, patients, problem = groups(cohort, settings)
    if settings.formula and settings.pair:
        notes.append("pairing is by the formula alone: patient as a term compares within patients")
    rows: list[dict] = []
    if contrast is not None:
        gated = cohort.profiles.loc[cohort.profiles["origin"] == "gate", "population"].unique()
        kinds = (
            Kind("state", "median", "difference", settings.min_state_effect),
            Kind("state", "mean", "difference", settings.min_state_effect),
            Kind("signature", "signature", "difference", settings.min_state_effect),
            Kind("abundance", "percent_of_total", "log2_ratio", settings.min_abundance_effect),
        )
        for origin in settings.origins:
            part = cohort.rows(origin)
            if origin == "cluster":
                # the clusters themselves: populations named after them would be the same tests twice
                part = part[~part["population"].isin(list(gated))]
            if part.empty:
                notes.append(f"the profiles have no rows of origin {origin!r}")
            for kind in kinds:
                rows += family_rows(_asked(part, kind, settings), kind, origin, contrast, settings, notes)
    most = max((int(row["n"]) for row in rows), default=0)
    table = effects_table(sorted(rows, key=lambda row: _rank(row, most, settings)))
    return MonitorResult("discovery", table, patients, _summary(table, patients, problem, settings, notes))


def _rank(row: dict, most: int, settings: DiscoveryMonitor) -> tuple:
    """Called first; within that by the change that the interval still grants, in units of the minimum effect.

    Confident effect sizes (Harrison 2019, doi:10.1186/s13059-019-1674-7): with few patients the order of tiny p values
    is chance, and a small change may have the smallest. The change is averaged over the patients of the fullest test
    (``most``), those in whom it could not be measured counted as unchanged: one of half of the patients is half shown.
    """
    p, lower, upper = (float(row[name]) for name in ("p_value", "lower", "upper"))
    least = settings.min_abundance_effect if row["endpoint"] == "abundance" else settings.min_state_effect
    granted = max(lower, -upper, 0.0) / max(least, 1e-12) if math.isfinite(lower) and math.isfinite(upper) else 0.0
    granted *= int(row["n"]) / most if most else 0.0
    names = (row["origin"], row["endpoint"], row["population"], row["marker"])
    return (row["verdict"] != CALLED, math.isnan(p), -granted, p, *names)


def _asked(part: pd.DataFrame, kind: Kind, settings: DiscoveryMonitor) -> pd.DataFrame:
    """The rows without the markers that are not asked for."""
    if kind.name != "state" or not settings.markers:
        return part
    return part[(part["measure"] != kind.measure) | part["marker"].isin(settings.markers)]


def _summary(
    table: pd.DataFrame, patients: pd.DataFrame, problem: str, settings: DiscoveryMonitor, notes: list[str]
) -> dict:
    tested, called = table[table["p_value"].notna()], table[table["verdict"] == CALLED]
    contrast = named(settings)
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
    are = "is" if len(called) == 1 else "are"
    reason = (
        f"{len(called)} of {len(tested)} changes {are} called at a false discovery rate of {100 * settings.fdr:g} %"
    )
    if len(called):
        top = called.iloc[0]
        what = f"{top['marker'] or 'share'} of {top['population']}"
        limits = f"{100 * CONFIDENCE:g} % CI {top['lower']:+.2f} to {top['upper']:+.2f}"
        reason += f"; strongest: {what} ({top['estimate']:+.2f}, {limits}, {p_text(float(top['p_value']))})"
    reason += (
        f"; asked for: a change of at least {settings.min_state_effect:g} (state) or {settings.min_abundance_effect:g} "
        f"in log2 (abundance); {contrast}, n = {used} patients"
    )
    return summary(
        verdict=MET if len(called) else NOT_MET, reason=reason + ".", headline=(str(len(called)), caption),
        primary=None, **common,
    )  # fmt: skip
