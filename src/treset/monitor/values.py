"""From profiles to numbers: a measure's value of each sample, and its change in each patient."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from treset.monitor.common import Cohort, join, suggest
from treset.monitor.visits import in_window, missing_visit, when
from treset.profile import reading
from treset.study.model import Endpoint
from treset.texts import spelled

#: Measures on a transformed scale that has no zero: ratios of them mean nothing.
TRANSFORMED = ("median", "mean", "signature")


@dataclass(frozen=True)
class Measure:
    """What is read: one measure of one population in one origin."""

    origin: str
    population: str
    measure: str
    marker: str = ""
    #: Denominator of percent_of_parent; None: the population's own parent.
    parent: str | None = None

    @property
    def words(self) -> str:
        """Name it in a sentence."""
        marker = f" of {self.marker}" if self.marker and self.measure != "ratio" else ""
        against = f" to {self.marker}" if self.measure == "ratio" else ""
        return f"{self.measure}{marker} of {self.population}{against}"


@dataclass(frozen=True)
class Values:
    """Values by sample.

    Attributes
    ----------
    table
        Index = sample; ``value``, ``cells`` (what ``min_events`` is held against), ``half`` (half a cell on the scale
        of the value; NaN where there is no such thing) and ``why`` (why the sample has no value, or "").
    problem
        Why there are no values at all, or "".
    note
        What must be said.
    """

    table: pd.DataFrame
    problem: str = ""
    note: str = ""


#: Columns of ``Changes.table``.
CHANGE_COLUMNS = (
    "patient", "arm", "disease", "sample_baseline", "sample_visit", "baseline_value", "visit_value", "change", "fold",
    "why",
)  # fmt: skip
_NO_CHANGE = dict.fromkeys(("sample_baseline", "sample_visit"), "") | dict.fromkeys(
    ("baseline_value", "visit_value", "change", "fold", "start"), math.nan
)
_EMPTY = pd.DataFrame(columns=["value", "cells", "half", "why"])


def read(cohort: Cohort, what: Measure, min_events: int) -> Values:
    """Read a measure for all samples of the cohort.

    A sample whose denominator has fewer than ``min_events`` cells gives no value: the denominator population for
    percentages and ratios, all kept cells for counts, the counted population for cells per microlitre, the population
    itself for medians, percent positive and signatures.
    """
    rows = cohort.rows(reading(what.origin, what.measure))
    if problem := _absent(rows, what):
        return Values(_EMPTY, problem)
    of_population = rows[rows["population"] == what.population]
    if what.measure == "percent_of_parent":
        table, problem, note = _share(rows, of_population, what)
    else:
        wanted = of_population[(of_population["measure"] == what.measure) & (of_population["marker"] == what.marker)]
        table, problem, note = _by_sample(wanted, what)
    if problem:
        return Values(_EMPTY, problem)
    table = _denominators(cohort, rows, table, what)
    table["why"] = _why(table, what, min_events)
    return Values(table, "", note)


def _absent(rows: pd.DataFrame, what: Measure) -> str:
    """Why the profiles cannot answer, or ""."""
    if rows.empty:
        return f"the profiles have no rows of origin {what.origin!r}"
    of_population = rows[rows["population"] == what.population]
    if of_population.empty:
        known = rows["population"].unique()
        return f"population {what.population!r} is not in the profiles ({what.origin}){suggest(what.population, known)}"
    of_measure = of_population[of_population["measure"] == what.measure]
    if of_measure.empty and not (what.measure == "percent_of_parent" and what.parent):
        return (
            f"{what.measure} of {what.population} is not in the profiles ({what.origin})"
            f"{suggest(what.measure, of_population['measure'].unique())}"
        )
    if what.measure != "percent_of_parent" and what.marker not in set(of_measure["marker"]):
        known = of_measure["marker"].unique()
        return f"{what.words} is not in the profiles ({what.origin}){suggest(what.marker, known)}"
    return ""


def _by_sample(rows: pd.DataFrame, what: Measure) -> tuple[pd.DataFrame, str, str]:
    # several parents of one population repeat the same value: a measure that rests on no parent is read once
    rows = spelled(rows).drop_duplicates(["sample", "value", "n_cells"])
    if rows["sample"].duplicated().any():
        parents = ", ".join(sorted(rows["parent"].unique()))
        return _EMPTY, f"{what.words} stands under several parents ({parents}): say which", ""
    table = rows.set_index("sample")[["value", "n_cells"]].rename(columns={"n_cells": "cells"})
    return table.astype("float64"), "", ""


def _share(rows: pd.DataFrame, of_population: pd.DataFrame, what: Measure) -> tuple[pd.DataFrame, str, str]:
    if what.parent in ("cells", None):
        measure = "percent_of_parent" if what.parent is None else "percent_of_total"
        found = of_population[of_population["measure"] == measure]
    else:
        found = of_population[
            (of_population["measure"] == "percent_of_parent") & (of_population["parent"] == what.parent)
        ]
    if not found.empty:
        return _by_sample(found, what)
    return _share_of_ancestor(rows, of_population, what)


def _share_of_ancestor(rows: pd.DataFrame, of_population: pd.DataFrame, what: Measure) -> tuple[pd.DataFrame, str, str]:
    parent = what.parent or ""
    if parent not in ancestors(rows, what.population):
        known = [*of_population["parent"].unique(), *ancestors(rows, what.population), "cells"]
        return _EMPTY, f"{what.population} as a share of {parent!r} is not in the profiles{suggest(parent, known)}", ""
    own, whole = counts(rows, what.population), counts(rows, parent)
    both = own.index.intersection(whole.index)
    if both.empty:
        return _EMPTY, f"{what.population} as a share of {parent!r} needs the counts of both, which are missing", ""
    value = (100 * own[both] / whole[both].where(whole[both] > 0)).rename("value")
    note = f"{what.population} as a share of {parent} is the ratio of their counts"
    return pd.DataFrame({"value": value, "cells": whole[both]}), "", note


def ancestors(rows: pd.DataFrame, population: str) -> list[str]:
    """Parents of a population up to the root, by the parent column of an origin's rows."""
    pairs = spelled(rows[["population", "parent"]].drop_duplicates())
    found: list[str] = []
    level = [population]
    while level:
        above = [str(p) for p in pairs.loc[pairs["population"].isin(level), "parent"].unique() if p]
        level = [p for p in dict.fromkeys(above) if p not in found and p != population]
        found += level
    return found


def counts(rows: pd.DataFrame, population: str) -> pd.Series:
    """Cells of a population by sample (index = sample)."""
    found = spelled(rows[(rows["population"] == population) & (rows["measure"] == "count")])
    return found.drop_duplicates("sample").set_index("sample")["value"].astype("float64")


def _totals(rows: pd.DataFrame, population: str) -> pd.Series:
    found = spelled(rows[(rows["population"] == population) & (rows["measure"] == "percent_of_total")])
    return found.drop_duplicates("sample").set_index("sample")["n_cells"].astype("float64")


def _denominators(cohort: Cohort, rows: pd.DataFrame, table: pd.DataFrame, what: Measure) -> pd.DataFrame:
    """Put the cells a value rests on and half a cell in its unit beside it."""
    table = table.copy()
    table["half"] = np.nan
    if what.measure.startswith("percent"):
        table["half"] = 50 / table["cells"].where(table["cells"] > 0)
    elif what.measure == "count":
        table["cells"] = _totals(rows, what.population).reindex(table.index).fillna(table["cells"])
        table["half"] = 0.5
    elif what.measure == "ratio":
        table["cells"] = counts(rows, what.marker).reindex(table.index).fillna(table["cells"])
        table["half"] = 0.5 / table["cells"].where(table["cells"] > 0)
    elif what.measure == "per_ul":
        counted = _counted(cohort, rows, table.index)
        per_cell = cohort.sheet["cells_per_ul"].reindex(table.index) / counted.where(counted > 0)
        table["cells"] = counted.fillna(_totals(rows, what.population).reindex(table.index)).fillna(table["cells"])
        table["half"] = 0.5 * per_cell
    return table


def _counted(cohort: Cohort, rows: pd.DataFrame, samples: pd.Index) -> pd.Series:
    """Cells of each sample's counted population."""
    names = cohort.sheet["counted_population"].reindex(samples)
    found = pd.Series(np.nan, index=samples)
    for name in names.dropna().unique():
        if name:
            found = found.where(names != name, counts(rows, name).reindex(samples))
    return found


def _why(table: pd.DataFrame, what: Measure, min_events: int) -> list[str]:
    whole = {
        "percent_of_parent": what.parent or "the parent",
        "percent_of_total": "all kept cells",
        "count": "all kept cells",
        "per_ul": "the counted population",
        "ratio": what.marker,
    }.get(what.measure, what.population)
    reasons = []
    for value, cells in zip(table["value"], table["cells"], strict=True):
        if cells < min_events:
            reasons.append(f"{cells:.0f} cells of {whole}, {min_events} needed")
        else:
            reasons.append("" if math.isfinite(value) else f"no value of {what.words}")
    return reasons


@dataclass(frozen=True)
class Changes:
    """Change of a measure in each patient.

    Attributes
    ----------
    table
        One row a patient of the sheet: patient, arm, disease, sample_baseline, sample_visit, baseline_value,
        visit_value, change (on the endpoint's scale; NaN: not evaluable), fold (visit / baseline; NaN for transformed
        measures), why (not evaluable because, or what was done), start (the baseline value that the change was
        computed with: half a cell where it is 0 and a ratio is asked for).
    problem
        Why no patient is evaluable, or "".
    notes
        What must be said.
    """

    table: pd.DataFrame
    problem: str
    notes: tuple[str, ...]

    @property
    def evaluable(self) -> pd.DataFrame:
        """The patients that have a change."""
        return self.table[self.table["change"].notna()]


def changes(cohort: Cohort, endpoint: Endpoint, origin: str, baseline: str, min_events: int) -> Changes:
    """Change of an endpoint from each patient's own baseline.

    On the scales log_ratio and percent_change, a share, count or ratio of 0 stands for half a cell of its denominator
    (a log of 0 does not exist); the patient's ``why`` and a note say so. A median that is not above 0 has no ratio and
    is not evaluable on these scales.
    """
    baseline = endpoint.baseline or baseline
    what = measure_of(endpoint, origin)
    values = read(cohort, what, min_events if endpoint.min_events is None else endpoint.min_events)
    problem = values.problem or missing_visit(cohort, endpoint, baseline)
    by_sample = values.table.to_dict("index")
    stimulus = cohort.sheet["stimulus"].to_dict()
    rows = []
    for patient, known in cohort.patients.to_dict("index").items():
        row = {"patient": str(patient), **known} | _NO_CHANGE | {"why": problem}
        if not problem:
            row |= _of_patient(cohort, by_sample, stimulus, endpoint, (str(patient), baseline))
        rows.append(row)
    table = pd.DataFrame(rows, columns=[*CHANGE_COLUMNS, "start"])
    notes = [values.note]
    halved = [str(row["patient"]) for row in rows if "half a cell" in str(row["why"])]
    if halved:
        notes.append(f"{what.words}: 0 stands for half a cell in {', '.join(halved)}")
    if endpoint.measure in TRANSFORMED and endpoint.scale != "difference" and not problem:
        notes.append(
            f"{what.words} is on a transformed scale: read it as a difference, a ratio of it is no fold change"
        )
    if endpoint.scale == "percent_change" and not problem:
        notes.append(
            f"{what.words}: percent changes are skewed where there is no effect too; log_ratio is the safer scale"
        )
    return Changes(table, problem, tuple(note for note in notes if note))


def measure_of(endpoint: Endpoint, origin: str) -> Measure:
    """Give what an endpoint reads."""
    return Measure(origin, endpoint.population, endpoint.measure, endpoint.marker or "", endpoint.parent)


def _of_patient(
    cohort: Cohort, by_sample: dict, stimulus: dict, endpoint: Endpoint, who: tuple[str, str]
) -> dict[str, object]:
    """What is known of one patient (``who``: patient and baseline visit): samples, values, change, reason."""
    patient, baseline = who
    row: dict[str, object] = {}
    reasons, found = [], {}
    for visit, end in ((baseline, "baseline"), (when(endpoint), "visit")):
        if end == "visit" and endpoint.window:
            sample, missing = in_window(cohort, patient, endpoint, baseline)
        else:
            sample, missing = cohort.sample(patient, visit)
        if sample is None:
            reasons.append(_where_is_it(cohort, patient, visit, missing, end))
        elif sample not in by_sample:
            reasons.append(f"no value at {visit} (sample {sample})")
        else:
            found[end] = sample
            row |= {f"sample_{end}": sample, f"{end}_value": float(by_sample[sample]["value"])}
            if why := by_sample[sample]["why"]:
                reasons.append(f"at {visit} {why} (sample {sample})")
    if not reasons and stimulus[found["baseline"]] != stimulus[found["visit"]]:
        listed = ", ".join(repr(stimulus[sample]) for sample in found.values())
        reasons.append(f"the stimulus differs between the visits ({listed})")
    if reasons:
        return row | {"why": join(reasons)}
    return row | _change(by_sample[found["baseline"]], by_sample[found["visit"]], endpoint)


def _where_is_it(cohort: Cohort, patient: str, visit: str, missing: str, end: str) -> str:
    """``no sample at D0``, with the reason where a sample was left out."""
    reasons = [
        f"{sample} {reason}" for sample, reason in cohort.left_out.items()
        if (patient, visit) == cohort.identity(sample)
    ]  # fmt: skip
    return f"no {end}: {missing}" + (f" ({join(reasons)})" if reasons else "")


def _change(first: dict, second: dict, endpoint: Endpoint) -> dict[str, object]:
    """Change from the first value to the second."""
    start, end = float(first["value"]), float(second["value"])
    if endpoint.scale == "difference":
        fold = end / start if endpoint.measure not in TRANSFORMED and start > 0 else math.nan
        return {"change": end - start, "fold": fold, "why": "", "start": start}
    said = []
    if endpoint.measure not in TRANSFORMED:
        if start == 0:
            start, said = float(first["half"]), ["baseline of 0 taken as half a cell"]
        if end == 0 and endpoint.scale == "log_ratio":
            end, said = float(second["half"]), [*said, "value of 0 taken as half a cell"]
    if not (start > 0 and math.isfinite(end) and (end > 0 or endpoint.scale == "percent_change")):
        return {"why": f"a {endpoint.scale} needs values above 0, these are {start:.3g} and {end:.3g}"}
    ratio = end / start
    fold = math.nan if endpoint.measure in TRANSFORMED else ratio
    change = math.log(ratio) if endpoint.scale == "log_ratio" else 100 * (ratio - 1)
    return {"change": change, "fold": fold, "why": "; ".join(said), "start": start}
