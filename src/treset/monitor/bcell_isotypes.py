"""With which heavy chains the B cells return, each patient against the own baseline (scRNA only)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from treset.monitor.bcell_cohort import Seen
from treset.monitor.common import CONFIDENCE, NOT_EVALUABLE, Cohort, effect, join
from treset.monitor.values import Measure, read
from treset.profile import ISOTYPES
from treset.stats import wilcoxon_signed_rank
from treset.study.model import BcellMonitor

#: Heavy chains of B cells that have not switched class, and of those that have (genes).
UNSWITCHED, SWITCHED = ("IGHM", "IGHD"), ("IGHG1", "IGHG2", "IGHG3", "IGHG4", "IGHA1", "IGHA2")

Pairs = Mapping[str, tuple[Seen | None, Seen | None]]


def isotype_rows(cohort: Cohort, pairs: Pairs, settings: BcellMonitor) -> list[dict]:
    """Isotypes of the B cells at baseline, at recovery, and their change within patients; not tested.

    Two readings. *Isotype share*: cells whose heavy-chain transcripts are mostly IGHM and IGHD, percent of those with a
    majority of either kind. *Isotype index*: mean log-normalised expression of IGHM and IGHD less that of the measured
    IGHG and IGHA genes; a contrast of logs, no share; higher is less switched.

    Parameters
    ----------
    cohort
        The samples.
    pairs
        Patient -> visit at baseline and at recovery (None: there is none).
    settings
        Population of the B cells, its origin, and its fewest cells (of the share: fewest cells with an isotype).

    Returns
    -------
    Three rows a reading; none where no heavy chain was measured (cytometry). One that says why where the genes were
    measured but the share was not.
    """
    share, problem = _share(cohort, settings)
    index = _index(cohort, settings)
    rows = []
    if not share.empty:
        common = {
            "endpoint": "isotype share", "measure": "isotype share", "marker": "IGHM/IGHD against IGHG/IGHA",
        }  # fmt: skip
        said = f"percent of the {settings.b} with an isotype, samples with at least {settings.min_b_events} of them"
        rows += _three(share, pairs, settings, common, "percent", said)
    elif not index.empty:
        row = effect(
            endpoint="isotype share", population=settings.b, measure="isotype share", scale="percent",
            contrast="recovery vs baseline", role="descriptive", origin=settings.origin, verdict=NOT_EVALUABLE,
            note=problem,
        )  # fmt: skip
        rows.append(row)
    if not index.empty:
        common = {"endpoint": "isotype index", "measure": "mean", "marker": "IGHM, IGHD less IGHG, IGHA"}
        said = "log-normalised expression, higher is less switched"
        rows += _three(index, pairs, settings, common, "difference", said)
    return rows


def _three(
    values: pd.Series, pairs: Pairs, settings: BcellMonitor, common: Mapping[str, str], scale: str, said: str
) -> list[dict]:
    """Baseline, recovery, and the change of those with both."""
    before, after = ({
        patient: float(values[pair[at].sample])  # type: ignore[union-attr]
        for patient, pair in pairs.items()
        if pair[at] is not None and pair[at].sample in values.index  # type: ignore[union-attr]
    } for at in (0, 1))  # fmt: skip
    changes = [after[patient] - before[patient] for patient in after if patient in before]
    return [
        _described(list(found), contrast, of, settings, common, said)
        for contrast, found, of in (
            ("baseline", before.values(), scale),
            ("recovery", after.values(), scale),
            ("recovery vs baseline", changes, "difference"),
        )
    ]


def _described(
    values: Sequence[float], contrast: str, scale: str, settings: BcellMonitor, common: Mapping[str, str], said: str
) -> dict:
    test = wilcoxon_signed_rank(values, CONFIDENCE)
    return effect(
        **common, population=settings.b, contrast=contrast, scale=scale, role="descriptive", origin=settings.origin,
        method="Hodges-Lehmann", n=test.n, estimate=test.estimate, lower=test.lower, upper=test.upper,
        converged=bool(test.n), verdict="" if test.n else NOT_EVALUABLE,
        note=join(["not tested", said, "" if test.n else "no patient has a value"]),
    )  # fmt: skip


def _share(cohort: Cohort, settings: BcellMonitor) -> tuple[pd.Series, str]:
    """Percent of the cells with an isotype that have not switched (index = sample), or why there is none."""
    found = [
        read(cohort, Measure(settings.origin, settings.b, "percent_positive", name), settings.min_b_events)
        for name in ISOTYPES
    ]
    if problem := next((values.problem for values in found if values.problem), ""):
        return pd.Series(dtype="float64"), problem
    young, old = (values.table.loc[values.table["why"] == "", "value"] for values in found)
    both = young + old.reindex(young.index)
    cells = found[0].table["cells"].reindex(young.index)
    # cells with an isotype, of all of the population
    enough = (both * cells / 100).round(6) >= settings.min_b_events
    return (100 * young / both)[enough].dropna(), ""


def _index(cohort: Cohort, settings: BcellMonitor) -> pd.Series:
    """Class-switch index by sample; empty where a side was not measured."""
    of = {gene: _gene(cohort, gene, settings) for gene in (*UNSWITCHED, *SWITCHED)}
    young, old = ([of[g] for g in genes if not of[g].empty] for genes in (UNSWITCHED, SWITCHED))
    if not young or not old:
        return pd.Series(dtype="float64")
    return (sum(young) / len(young) - sum(old) / len(old)).dropna()


def _gene(cohort: Cohort, gene: str, settings: BcellMonitor) -> pd.Series:
    values = read(cohort, Measure(settings.origin, settings.b, "mean", gene), settings.min_b_events)
    if values.problem or values.table.empty:
        return pd.Series(dtype="float64")
    return values.table.loc[values.table["why"] == "", "value"].astype("float64")
