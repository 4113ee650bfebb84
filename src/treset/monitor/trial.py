"""The trial that the endpoints are asked of: its arms, which contrast judges an endpoint, and the rows beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pandas as pd

from treset.monitor import effects as fx
from treset.monitor.common import NOT_EVALUABLE, Cohort, effect, join, suggest
from treset.monitor.modelled import modelled, needs_groups
from treset.monitor.values import TRANSFORMED, Changes, Measure, changes, read
from treset.monitor.visits import when
from treset.profile import reading, unsupervised
from treset.study.model import Endpoint, TregMonitor

#: Shown with every trial where they were measured, never tested: population, measure, marker.
DESCRIPTIVE = (
    ("Treg naive", "percent_of_parent", ""),
    ("Treg effector", "percent_of_parent", ""),
    ("Treg", "ratio", "Tconv"),
    ("Treg", "per_ul", ""),
    ("Treg", "median", "CD25"),
    ("Treg", "median", "FOXP3"),
    ("Treg", "median", "HLA-DR"),
    ("CD8 T", "percent_of_parent", ""),
)
#: Shown always, since interleukin-2 moves them; where they were not measured the row says so.
ALWAYS = (("NK CD56bright", "percent_of_parent", ""), ("Eosinophils", "percent_of_total", ""))


@dataclass(frozen=True)
class Design:
    """What an endpoint is judged by.

    Attributes
    ----------
    pair
        Test and reference label; None: the change of all patients together.
    labels
        Patient -> label of the contrast's column.
    problem
        Why it cannot be judged, or "".
    """

    pair: tuple[str, str] | None
    labels: pd.Series
    problem: str = ""

    @property
    def between(self) -> bool:
        """Whether two groups are compared (and said which is the reference)."""
        return self.pair is not None and not self.problem


class Trial:
    """The cohort, its arms and what is said on the way."""

    def __init__(self, cohort: Cohort, settings: TregMonitor, baseline: str) -> None:
        self.cohort, self.settings, self.study_baseline = cohort, settings, baseline
        self.arms = [arm for arm in dict.fromkeys(cohort.patients["arm"]) if arm]
        self.reference: str | None = None
        self.how = ""
        self.notes = list(cohort.notes)
        if len(self.arms) > 1:
            self.reference, self.how = fx.reference_arm(cohort, self.arms, settings.reference_arm)
            self.notes.append(self.how)
            if blank := [str(p) for p in cohort.patients.index[cohort.patients["arm"] == ""]]:
                self.notes.append(f"without arm, in no contrast between arms: {', '.join(blank)}")

    def baseline(self, endpoint: Endpoint) -> str:
        """Label of the endpoint's baseline visit."""
        return endpoint.baseline or self.study_baseline

    def alpha(self, endpoint: Endpoint) -> float:
        """Level at which the endpoint is tested."""
        return self.settings.alpha if endpoint.alpha is None else endpoint.alpha

    def contrast(self, endpoint: Endpoint) -> str:
        """``D8 vs D0``."""
        return f"{when(endpoint)} vs {self.baseline(endpoint)}"

    def changes(self, endpoint: Endpoint, origin: str) -> Changes:
        """Change of each patient; what must be said goes to the notes."""
        found = changes(self.cohort, endpoint, origin, self.study_baseline, self.settings.min_events)
        if origin == self.settings.origin:
            self.notes += found.notes
        return found

    def design(self, endpoint: Endpoint) -> Design:
        """Find the contrast that judges an endpoint; more than two arms are never pooled nor paired by guess."""
        arms = self.cohort.patients["arm"]
        if endpoint.contrast is not None:
            asked = endpoint.contrast
            labels, problem = self._labels(asked.column)
            for label in (asked.test, asked.reference):
                if not problem and label not in set(labels):
                    problem = f"no patient's {asked.column} is {label!r}{suggest(label, set(labels) - {''})}"
            return Design((asked.test, asked.reference), labels, problem)
        if len(self.arms) < 2:
            return Design(None, arms)
        if len(self.arms) == 2:
            first, second = self.arms
            pair = (first, second) if self.reference in (second, None) else (second, first)
            return Design(pair, arms, "" if self.reference is not None else self.how)
        problem = (
            f"{len(self.arms)} arms ({', '.join(self.arms)}), which are not pooled: name two of them in the "
            "endpoint's contrast"
        )
        return Design(None, arms, problem)

    def _labels(self, column: str) -> tuple[pd.Series, str]:
        """Patient -> value of a column of the sheet; a patient with several values has none."""
        patients = self.cohort.patients
        if column in patients.columns:
            return patients[column], ""
        nothing = pd.Series("", index=patients.index)
        if column not in self.cohort.sheet.columns:
            return nothing, f"the sheet has no column {column!r}{suggest(column, self.cohort.sheet.columns)}"
        values = self.cohort.sheet[column]
        known = values.astype("object").where(values.notna(), "").astype("str")
        found, several = {}, []
        for patient, group in known.groupby(self.cohort.sheet["patient"], sort=False):
            labels = [label for label in dict.fromkeys(group) if label]
            found[str(patient)] = labels[0] if len(labels) == 1 else ""
            if len(labels) > 1:
                several.append(str(patient))
        if several:
            self.notes.append(f"several values of {column}, in no contrast of it: {', '.join(several)}")
        return pd.Series(found, dtype="object").reindex(patients.index, fill_value=""), ""

    def grouped(self, found: Changes, design: Design) -> Changes:
        """The changes with the contrast's labels as their ``arm``."""
        labels = found.table["patient"].map(design.labels).fillna("")
        return replace(found, table=found.table.assign(arm=labels))

    def main(self, endpoint: Endpoint, found: Changes, **more: object) -> dict:
        """Row of the contrast the endpoint is judged by."""
        contrast, alpha, design = self.contrast(endpoint), self.alpha(endpoint), self.design(endpoint)
        if design.pair is None and design.problem:
            blank = fx.blank(endpoint, contrast, **more)
            return blank | {"verdict": NOT_EVALUABLE, "note": join([design.problem, found.problem])}
        if design.pair is None and endpoint.formula:
            return needs_groups(endpoint, **more) | {"contrast": contrast}
        if design.pair is None:
            return fx.paired(found, endpoint, contrast, alpha, **more)
        if endpoint.formula:
            column = endpoint.contrast.column if endpoint.contrast is not None else "arm"
            row = modelled(self.cohort, self.grouped(found, design), endpoint, contrast, column, design.pair, **more)
        else:
            row = fx.between(self.grouped(found, design), endpoint, contrast, design.pair, alpha, **more)
        if design.problem:
            row |= {"verdict": NOT_EVALUABLE, "note": join([design.problem, str(row["note"])])}
        return row

    def endpoint_rows(self, endpoint: Endpoint, found: Changes) -> list[dict]:
        """The row that decides, and the rows that support it: each arm, further pairs, the other origin."""
        origin, contrast, alpha = self.settings.origin, self.contrast(endpoint), self.alpha(endpoint)
        rows = [self.main(endpoint, found, role=endpoint.role, origin=origin)]
        support = {"role": "supporting", "origin": origin}
        design = self.design(endpoint)
        if endpoint.formula and design.between:
            grouped = self.grouped(found, design)
            rows.append(
                fx.between(grouped, endpoint, f"{contrast}, without the formula", design.pair, alpha, **support)
            )
        if len(self.arms) == 2:
            rows.append(fx.paired(found, endpoint, f"{contrast}, all patients", alpha, **support))
        if len(self.arms) > 1:
            for arm in self.arms:
                own = replace(found, table=found.table[found.table["arm"] == arm])
                rows.append(fx.paired(own, endpoint, f"{contrast}, arm {arm}", alpha, **support))
        if len(self.arms) > 2:
            judged = self.design(endpoint).pair
            rows += [
                fx.between(found, endpoint, contrast, pair, alpha, **support)
                for pair in self._pairs()
                if pair != judged
            ]
        if other := self._other(endpoint.measure):
            again = self.changes(endpoint, other)
            rows.append(self.main(endpoint, again, role="supporting", origin=other))
        return [rows[0], *(undecided(row) for row in rows[1:])]

    def _other(self, measure: str) -> str:
        """The reading that stands beside the one that decides, or ""."""
        if self.settings.origin == "gate":
            return reading(unsupervised(self.cohort.profiles), measure)
        return "gate" if self.settings.origin in ("cluster", "adjusted") else ""

    def _pairs(self) -> list[tuple[str, str]]:
        if self.reference is not None:
            return [(arm, self.reference) for arm in self.arms if arm != self.reference]
        return [(b, a) for i, a in enumerate(self.arms) for b in self.arms[i + 1 :]]

    def descriptive_rows(self, primary: Endpoint) -> list[dict]:
        """The always-shown populations at the primary visit, and the primary measure at every other visit."""
        origin, shown, absent, rows = self.settings.origin, [], [], []
        plain = replace(
            primary, role="secondary", claim="change", margin=None, minimum_effect=0.0, parent=None, formula=""
        )
        for population, measure, marker in (*DESCRIPTIVE, *ALWAYS):
            name = f"{population} {measure}" + (f" {marker}" if marker else "")
            scale = "difference" if measure in TRANSFORMED else "log_ratio"
            asked = replace(plain, name=name, population=population, measure=measure, marker=marker or None,
                            scale=scale)  # fmt: skip
            problem = read(self.cohort, Measure(origin, population, measure, marker), self.settings.min_events).problem
            if not problem:
                shown.append(asked)
                continue
            absent.append(f"not shown: {problem}")
            if (population, measure, marker) in ALWAYS:
                row = fx.blank(asked, self.contrast(asked), role="descriptive", origin=origin)
                rows.append(row | {"verdict": NOT_EVALUABLE, "note": problem})
        self.notes += absent
        skip = {primary.visit, self.baseline(primary)}
        shown += [
            replace(primary, visit=visit, window=(), claim="change")
            for visit in self.cohort.visits()
            if visit not in skip
        ]
        tested = []
        for endpoint in shown:
            found = self.changes(endpoint, origin)
            row = self.main(endpoint, found, role="descriptive", origin=origin)
            note = join(["not tested", str(row["note"])])
            verdict = NOT_EVALUABLE if row["verdict"] == NOT_EVALUABLE and math.isnan(float(row["estimate"])) else ""
            tested.append(row | {"p_value": math.nan, "verdict": verdict, "note": note})
        return tested + rows


def undecided(row: dict) -> dict:
    """A row that decides nothing; only that it could not be made is said."""
    return row | {"verdict": NOT_EVALUABLE if row["verdict"] == NOT_EVALUABLE else ""}


def beside(endpoint: Endpoint, role: str, origin: str, contrast: str, **known: object) -> dict:
    """Row of an endpoint in another role."""
    return effect(
        endpoint=endpoint.name, population=endpoint.population, measure=endpoint.measure,
        marker=endpoint.marker or "", role=role, origin=origin, contrast=contrast,
        **({"scale": endpoint.scale} | known),
    )  # fmt: skip
