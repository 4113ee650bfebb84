"""What every section needs: the study, its results, and a few questions to both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import pandas as pd

from treset.study.model import Study

from . import text
from .read import Monitor, Results


@dataclass(frozen=True)
class Context:
    """A study with its results, arms masked where the study is blinded."""

    study: Study
    results: Results

    @cached_property
    def samples(self) -> pd.DataFrame:
        """The sheet, with the arm masked in a blinded study."""
        return mask(self.study.samples) if self.study.blinded else self.study.samples

    @cached_property
    def profiles(self) -> pd.DataFrame:
        """The waist, with the arm masked in a blinded study."""
        return mask(self.results.profiles) if self.study.blinded else self.results.profiles

    @cached_property
    def parents(self) -> dict[str, str]:
        """The parent of each population, as gated; the tree of the study where the table is missing."""
        tree = {p.name: p.parent or "cells" for p in self.study.populations}
        table = self.results.populations
        return tree | {p: q or "cells" for p, q in zip(table["population"], table["parent"], strict=True)}

    @property
    def arms(self) -> list[str]:
        """The arms that may be shown."""
        return [] if self.study.blinded else labels(self.study.included["arm"])

    def subjects(self) -> pd.DataFrame:
        """The analysed samples of patients (no shared controls)."""
        sheet = self.samples
        return sheet[(sheet["exclude"] == "") & ~sheet["anchor"].astype(bool)]

    def values(
        self, population: str, measure: str, origin: str, parent: str | None = None, marker: str | None = None
    ) -> pd.DataFrame:
        """Give the rows of the waist of one measure, patients only, one row a sample.

        ``parent`` None is the population's own parent. Where rows of several parents remain, none is chosen: the
        result is empty.
        """
        rows = self.profiles
        rows = rows[
            (rows["population"] == population)
            & (rows["measure"] == measure)
            & (rows["origin"] == origin)
            & (rows["marker"] == (marker or ""))
            & rows["sample"].isin(self.subjects()["sample"])
        ]
        if measure == "percent_of_parent" or rows["parent"].nunique() > 1:
            rows = rows[rows["parent"] == (parent or self.parents.get(population, ""))]
        return rows if not rows["sample"].duplicated().any() else rows.iloc[:0]

    def label(self, row: pd.Series | dict) -> str:
        """Name the measure of an effects row."""
        population = str(row["population"])
        parent = self.endpoint_parent(str(row.get("endpoint", ""))) or self.parents.get(population, "")
        return text.measure(str(row["measure"]), population, parent, str(row["marker"]), self.study.modality)

    def endpoint_parent(self, name: str) -> str | None:
        """Give the denominator that the config sets for an endpoint, or None."""
        treg = self.study.monitors.treg
        return next((e.parent for e in treg.endpoints if e.name == name), None) if treg else None


def mask(table: pd.DataFrame) -> pd.DataFrame:
    """Hide the arm."""
    return table.assign(arm="") if "arm" in table else table


def labels(column: pd.Series) -> list[str]:
    """Give the distinct non-blank labels in the order of the sheet."""
    return [str(v) for v in column.drop_duplicates() if str(v) not in ("", "nan", "None")]


def visits(table: pd.DataFrame) -> list[str]:
    """Give the visits by median day; those without a day last, in the order of the sheet."""
    order = {v: i for i, v in enumerate(labels(table["visit"]))}
    day = table.groupby("visit", sort=False)["day"].median()
    return sorted(order, key=lambda v: (pd.isna(day[v]), day[v] if pd.notna(day[v]) else 0.0, order[v]))


def blind(context: Context) -> Context:
    """Withhold in a blinded study every effect, patient column and sentence that tells the arms apart.

    The rows stay, so that nothing is silently dropped: their numbers are removed and their note says why.
    """
    if not context.study.blinded:
        return context
    arms = labels(context.study.samples["arm"])
    return replace(
        context,
        results=replace(
            context.results,
            monitors={name: _blind(monitor, arms) for name, monitor in context.results.monitors.items()},
        ),
    )


def _names(value: object, arms: list[str]) -> bool:
    words = f" {value} "
    return any(
        f" {arm} " in words.replace(",", " ").replace(":", " ").replace("(", " ").replace(")", " ") for arm in arms
    )


WITHHELD = "withheld: the study is blinded"


def _blind(monitor: Monitor, arms: list[str]) -> Monitor:
    effects = monitor.effects.copy()
    hidden = effects["contrast"].map(lambda c: _names(c, arms))
    effects.loc[hidden, ["estimate", "lower", "upper", "p_value", "q_value", "n"]] = float("nan")
    effects.loc[hidden, "contrast"] = "between arms"
    effects.loc[hidden, "verdict"] = "not evaluable"
    effects.loc[hidden, "note"] = WITHHELD
    patients = monitor.patients.drop(columns=[c for c in ("arm",) if c in monitor.patients])
    summary = dict(monitor.summary)
    primary = summary.get("primary")
    told = [str(summary.get("reason", "")), *[str(v) for v in (summary.get("headline") or {}).values()]]
    if (isinstance(primary, dict) and _names(primary.get("contrast", ""), arms)) or any(_names(t, arms) for t in told):
        summary |= {"verdict": "not evaluable", "reason": f"The comparison of the arms is {WITHHELD}.", "primary": None}
        summary["headline"] = {"value": "blinded", "caption": WITHHELD}
    summary["notes"] = [n if not _names(n, arms) else WITHHELD for n in summary.get("notes") or []]
    return replace(monitor, effects=effects, patients=patients, summary=summary)
