"""A page for each patient: every visit's quality and values, holes where no sample is, calls and flags."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

import pandas as pd
from markupsafe import Markup

from treset.report import text
from treset.report.blocks import Cell, Page
from treset.report.context import Context, labels
from treset.report.figures.spark import spark
from treset.report.sections.measured import Measure, Place, measures, place_of, places
from treset.report.sections.quality import by_sample

#: Columns that name what a row of patients.tsv is about, and those that say why it is called so.
ABOUT, WHY = ("endpoint", "population"), ("why", "reason")


@dataclass(frozen=True)
class Seen:
    """All patients and their samples, place by place."""

    context: Context

    @cached_property
    def sheet(self) -> pd.DataFrame:
        """The samples of patients, excluded ones too; no shared controls."""
        return self.context.samples[~self.context.samples["anchor"].astype(bool)]

    @cached_property
    def patients(self) -> list[str]:
        """Names, in the order of the sheet."""
        return labels(self.sheet["patient"])

    @cached_property
    def places(self) -> list[Place]:
        """Visits (and stimuli) of the study."""
        asked = self.context.study.monitors.discovery
        return places(self.sheet, asked.reference if asked and asked.column == "stimulus" else "")

    @cached_property
    def measures(self) -> list[Measure]:
        """What is shown of each sample."""
        return measures(self.context)

    @cached_property
    def ids(self) -> dict[str, str]:
        """The place of each patient's page in the document; two names never share one."""
        found: dict[str, str] = {}
        for patient in self.patients:
            name = base = "patient-" + re.sub(r"\s+", "_", patient)
            n = 1
            while name in found.values():
                n += 1
                name = f"{base}_{n}"
            found[patient] = name
        return found

    @cached_property
    def profiled(self) -> set[str]:
        """The samples that the profiles know."""
        return set(self.context.profiles["sample"].unique())

    @cached_property
    def quality(self) -> dict[str, dict]:
        """Rows of data quality by sample."""
        table = by_sample(self.context)
        return {str(row["sample"]): row for row in table.to_dict("records")}

    @cached_property
    def _samples(self) -> dict[str, dict[Place, list[dict]]]:
        found: dict[str, dict[Place, list[dict]]] = {}
        for row in self.sheet.to_dict("records"):
            found.setdefault(str(row["patient"]), {}).setdefault(place_of(row), []).append(row)
        return found

    @cached_property
    def _values(self) -> list[dict[str, tuple[float, float]]]:
        return [
            {
                str(s): (float(v), float(n))
                for s, v, n in m.values[["sample", "value", "n_cells"]].itertuples(index=False)
            }
            for m in self.measures
        ]

    def samples(self, patient: str, place: Place) -> list[dict]:
        """Give the rows of the sheet at a place: none is a hole."""
        return self._samples.get(patient, {}).get(place, [])

    def values(self, which: int, patient: str, place: Place) -> list[tuple[str, float, float]]:
        """Give sample, value and cells it rests on; no NaN."""
        known = self._values[which]
        found = ((r["sample"], *known[r["sample"]]) for r in self.samples(patient, place) if r["sample"] in known)
        return [one for one in found if not text.missing(one[1])]

    def link(self, patient: str) -> str:
        """Give the link to a patient's page."""
        return "#" + quote(self.ids[patient])

    def line(self, which: int, patient: str) -> Markup:
        """Draw a measure of one patient over the places, on the scale of all patients."""
        m = self.measures[which]
        # the scale is that of the values used: one that rests on a few cells may lie anywhere
        used = m.values["value"][m.values["n_cells"] >= m.minimum].dropna()
        values = used if len(used) else m.values["value"].dropna()
        low = min(0.0, float(values.min()))
        course = [[(v, n >= m.minimum) for _, v, n in self.values(which, patient, p)] for p in self.places]
        return spark(m.label, course, [p.name for p in self.places], low, float(values.max()))


def pages(seen: Seen) -> list[Page]:
    """Make the page of every patient."""
    calls = _calls(seen.context)
    return [_page(seen, patient, calls.get(patient, [])) for patient in seen.patients]


def facts(seen: Seen, patient: str) -> list[str]:
    """Give arm, disease and batch."""
    own = seen.sheet[seen.sheet["patient"] == patient]
    told = {"arm": "", "disease": "", "batch": "batch "}
    return [word + ", ".join(named) for c, word in told.items() if (named := labels(own[c]))]


def flags(seen: Seen, patient: str) -> list[str]:
    """Say all that a reader must know before trusting the values: holes, exclusions, few cells, warnings."""
    found = []
    for place in seen.places:
        rows = seen.samples(patient, place)
        found += [_flag(seen, row, place) for row in rows] or [f"{place.name}: no sample."]
    for which, measure in enumerate(seen.measures):
        for place in seen.places:
            for _, _, n in seen.values(which, patient, place):
                if n < measure.minimum:
                    few = f"rests on {text.count(n)} cells, fewer than {measure.minimum}: not used."
                    found.append(f"{place.name}: {measure.label} {few}")
    named = re.compile(rf"(?<![\w-]){re.escape(patient)}(?![\w-])")
    found += [warning for warning in seen.context.study.warnings if named.search(warning)]
    return [flag for flag in found if flag]


def _flag(seen: Seen, row: dict, place: Place) -> str:
    if row["exclude"]:
        return f"{place.name}: sample {row['sample']} is excluded: {row['exclude']}."
    if row["sample"] not in seen.profiled:
        return f"{place.name}: sample {row['sample']} is not in the results."
    own = seen.quality.get(row["sample"])
    if own is None:
        return f"{place.name}: the quality of sample {row['sample']} is not known."
    return f"{place.name}: {own['flag']} ({text.count(own['kept'])} kept)." if own["flag"] else ""


def _page(seen: Seen, patient: str, calls: Sequence[Sequence[Cell]]) -> Page:
    columns = [Cell("measure"), *([Cell("course")] if len(seen.places) > 1 else [])]
    columns += [_heading(seen, patient, place) for place in seen.places]
    caption = "\u2013: no value. Hatched: no sample, or one that is excluded. In brackets: too few cells, not used."
    if len(seen.places) > 1:
        caption += " A course is on one scale for all patients; open ring: no value."
    return Page(
        seen.ids[patient], patient, facts(seen, patient), flags(seen, patient), columns, list(_rows(seen, patient)),
        calls, caption,
    )  # fmt: skip


def _heading(seen: Seen, patient: str, place: Place) -> Cell:
    rows = seen.samples(patient, place)
    days = labels(pd.Series([f"day {r['day']:g}" for r in rows if not text.missing(r["day"])], dtype=object))
    return Cell(place.name, under=", ".join(days) if rows else "no sample")


def _rows(seen: Seen, patient: str) -> Iterator[list[Cell]]:
    """The rows of the table: quality first, then the measures."""
    gap = [Cell("")] if len(seen.places) > 1 else []
    quality = [[_kept(seen, row) for row in seen.samples(patient, place)] for place in seen.places]
    kept = (_entry(seen, patient, p, q) for p, q in zip(seen.places, quality, strict=True))
    yield [Cell("cells kept", style="row"), *gap, *kept]
    for which, measure in enumerate(seen.measures):
        drawn = [Cell("", drawing=seen.line(which, patient))] if gap else []
        said = [
            [_value(value, n, measure.minimum) for _, value, n in seen.values(which, patient, place)]
            for place in seen.places
        ]
        entries = (_entry(seen, patient, p, s) for p, s in zip(seen.places, said, strict=True))
        yield [Cell(measure.label, style="row"), *drawn, *entries]


def _entry(seen: Seen, patient: str, place: Place, said: Sequence[str]) -> Cell:
    here = seen.samples(patient, place)
    if not here or all(row["exclude"] for row in here):
        return Cell("", style="hole", tip="excluded" if here else "no sample")
    return Cell("; ".join(said) or text.DASH)


def _kept(seen: Seen, row: dict) -> str:
    own = seen.quality.get(row["sample"])
    if row["exclude"] or own is None:
        return text.DASH
    share = f" ({own['kept_percent']:.0f}{text.THIN}%)" if not text.missing(own["kept_percent"]) else ""
    return text.count(own["kept"]) + share


def _value(value: float, cells: float, minimum: int) -> str:
    return text.number(value) if cells >= minimum else f"({text.number(value)})"


def _calls(context: Context) -> dict[str, list[list[Cell]]]:
    """What each monitor says of each patient."""
    found: dict[str, list[list[Cell]]] = {}
    for name, monitor in context.results.monitors.items():
        title = str(monitor.summary.get("title", name))
        for row in monitor.patients.to_dict("records") if "patient" in monitor.patients else []:
            about = ", ".join(str(row[c]) for c in ABOUT if not text.missing(row.get(c)))
            why = next((str(row[c]) for c in WHY if not text.missing(row.get(c))), "")
            line = [
                Cell(title),
                Cell(about or text.DASH),
                Cell(_result(row)),
                Cell(str(row.get("call", ""))),
                Cell(why),
            ]
            found.setdefault(str(row["patient"]), []).append(line)
    return found


def _result(row: dict) -> str:
    """Write what a row of patients.tsv found, each number with what it is."""

    def number(column: str) -> float | None:
        value = row.get(column)
        return float(value) if isinstance(value, int | float) and not text.missing(value) else None

    said = []
    if (change := number("change")) is not None:
        said.append(text.change(change, str(row.get("scale", ""))))
    if row.get("ec50_text"):
        said.append(f"EC50 {row['ec50_text']}")
    if (day := number("recovery_day")) is not None:
        after = number("recovery_after_day")
        said.append(f"back by day {day:g}" if after is None else f"back between days {after:g} and {day:g}")
    if (naive := number("naive_percent")) is not None:
        said.append(f"naive {text.number(naive)}{text.THIN}% at recovery")
    if (value := number("value")) is not None:
        said.append(text.number(value))
    return "; ".join(said) or text.DASH
