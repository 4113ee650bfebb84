"""What every section needs: the study, its results, and a few questions to both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from treset.profile import reading, unsupervised
from treset.report import text
from treset.report.read import Results
from treset.study.model import Study
from treset.texts import spelled


@dataclass(frozen=True)
class Context:
    """A study with its results (arms already masked where the study is blinded, see `blind`)."""

    study: Study
    results: Results

    @property
    def samples(self) -> pd.DataFrame:
        """The sheet."""
        return self.study.samples

    @property
    def profiles(self) -> pd.DataFrame:
        """The waist, text as categories."""
        return self.results.profiles

    @cached_property
    def parents(self) -> dict[str, str]:
        """The parent of each population, as gated; the tree of the study where the table is missing."""
        tree = {p.name: p.parent or "cells" for p in self.study.populations}
        table = self.results.populations
        return tree | {p: q or "cells" for p, q in zip(table["population"], table["parent"], strict=True)}

    @cached_property
    def unsupervised(self) -> str:
        """The origin of the reading by clusters: freed of what the vote gets wrong, where the profiles hold that."""
        return unsupervised(self.profiles)

    def ancestors(self, population: str) -> list[str]:
        """Give the populations that hold this one, nearest first; the root ``cells`` is last."""
        found: list[str] = []
        at = self.parents.get(population, "")
        while at and at not in found:
            found.append(at)
            at = self.parents.get(at, "")
        return found

    def subjects(self, resting: bool = False) -> pd.DataFrame:
        """Give the analysed samples of patients (no shared controls).

        ``resting``: where some have a stimulus and others none, those without only, as the monitors over visits
        read them.
        """
        sheet = self.samples
        sheet = sheet[(sheet["exclude"] == "") & ~sheet["anchor"].astype(bool)]
        plain = sheet["stimulus"] == ""
        return sheet[plain] if resting and plain.any() else sheet

    def values(
        self,
        population: str,
        measure: str,
        origin: str,
        parent: str | None = None,
        marker: str | None = None,
        resting: bool = False,
    ) -> pd.DataFrame:
        """Give the rows of the waist of one measure, patients only, one row a sample.

        ``parent`` None is the population's own parent; another ancestor's share is the ratio of the two counts in the
        waist. Where several rows of a sample remain, none is chosen: the result is empty.
        """
        samples = self.subjects(resting)["sample"]
        wanted = "percent_of_total" if (measure, parent) == ("percent_of_parent", "cells") else measure
        own = self._rows(origin, population, wanted)
        found = own[own["sample"].isin(samples) & (own["marker"] == (marker or ""))]
        if wanted == "percent_of_parent":
            known = parent or self.parents.get(population)
            held = found if known is None else found[found["parent"] == known]
            related = parent in self.ancestors(population)
            found = held
            if held.empty and parent is not None:
                own, whole = (self._rows(origin, name, "count") for name in (population, parent))
                found = _ratio(own[own["sample"].isin(samples)], whole, parent, related)
        else:
            found = found.drop_duplicates(["sample", "value", "n_cells"])
        return found if not found["sample"].duplicated().any() else found.iloc[:0]

    def _rows(self, origin: str, population: str, measure: str) -> pd.DataFrame:
        """Give the rows of a measure of a population in one reading, text spelled out."""
        rows = self.profiles
        held = rows["origin"] == reading(origin, measure)
        own = (rows["population"] == population) & held & (rows["measure"] == measure)
        return spelled(rows[own])

    def rests_on(self, rows: pd.DataFrame, measure: str, origin: str, marker: str | None) -> pd.Series:
        """Give the cells that must be enough for each value: the denominator, or the population itself for medians."""
        whole = {"count": "cells", "ratio": marker or ""}.get(measure)
        if measure == "per_ul":
            named = rows["sample"].map(self.samples.drop_duplicates("sample").set_index("sample")["counted_population"])
        elif whole is not None:
            named = pd.Series(whole, index=rows.index)
        else:
            return rows["n_cells"]
        counted = (self.profiles["measure"] == "count") & (self.profiles["origin"] == origin)
        counted = spelled(self.profiles.loc[counted, ["sample", "population", "value"]])
        counts = counted.drop_duplicates(["sample", "population"]).set_index(["sample", "population"])["value"]
        found = counts.reindex(pd.MultiIndex.from_arrays([rows["sample"], named]))
        return pd.Series(found.to_numpy(), index=rows.index).fillna(rows["n_cells"])

    def label(self, row: pd.Series | dict) -> str:
        """Name the measure of an effects row."""
        population = str(row["population"])
        parent = self.endpoint_parent(str(row.get("endpoint", ""))) or self.parents.get(
            population.split(" + ", maxsplit=1)[0], ""
        )
        return text.measure(str(row["measure"]), population, parent, str(row["marker"]), self.study.modality)

    def endpoint_parent(self, name: str) -> str | None:
        """Give the denominator that the config sets for an endpoint, or None."""
        treg = self.study.monitors.treg
        return next((e.parent for e in treg.endpoints if e.name == name), None) if treg else None


def _ratio(counts: pd.DataFrame, whole: pd.DataFrame, parent: str, related: bool) -> pd.DataFrame:
    """Make the share of an ancestor from the two counts of the waist."""
    whole = whole.drop_duplicates("sample")
    of = counts["sample"].map(whole.set_index("sample")["value"])
    made = counts.assign(
        parent=parent, measure="percent_of_parent", value=100 * counts["value"] / of.where(of > 0), n_cells=of
    )
    return made.dropna(subset=["value"]) if related else made.iloc[:0]


def labels(column: pd.Series) -> list[str]:
    """Give the distinct non-blank labels in the order of the sheet."""
    return [str(v) for v in column.drop_duplicates() if str(v) not in ("", "nan", "None")]


def visits(table: pd.DataFrame) -> list[str]:
    """Give the visits by median day; those without a day last, in the order of the sheet."""
    order = {v: i for i, v in enumerate(labels(table["visit"]))}
    day = table.groupby("visit", sort=False)["day"].median()
    return sorted(order, key=lambda v: (bool(np.isnan(day[v])), day[v] if not np.isnan(day[v]) else 0.0, order[v]))
