"""What is shown of each patient: the places a sample can have, and the measures that the study asks of each sample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from treset.report import text
from treset.report.context import Context, labels, visits
from treset.report.sections.bcell import shares
from treset.study.model import TregMonitor

#: Markers of activation that are shown of Treg where no endpoint asks for any.
ACTIVATION = ("CD25", "IL2RA", "FOXP3")
#: Measures shown at most: the endpoints of the config come first.
MOST = 14


@dataclass(frozen=True)
class Place:
    """Where a sample of a patient can stand: a visit, of stimulated samples with stimulus and dose."""

    visit: str
    stimulus: str = ""
    dose: float | None = None

    @property
    def name(self) -> str:
        """As a heading says it."""
        dose = "" if self.dose is None else f"{self.dose:g}"
        return " ".join(part for part in (self.visit, self.stimulus, dose) if part) or "sample"


@dataclass(frozen=True)
class Measure:
    """One value a sample: columns sample, value, n_cells (what it rests on); fewer than ``minimum`` are too few."""

    label: str
    values: pd.DataFrame
    minimum: int = 0


def place_of(row: dict) -> Place:
    """Give the place of a row of the sheet; the dose of a drug given to the patient is none of the sample."""
    stimulus = str(row["stimulus"])
    dose = float(row["dose"]) if stimulus and not text.missing(row["dose"]) else None
    return Place(str(row["visit"]), stimulus, dose)


def places(sheet: pd.DataFrame, first: str = "") -> list[Place]:
    """Give the places of all samples: visits by day, stimuli as in the sheet after ``first``, doses rising."""
    order, stimuli = visits(sheet), list(dict.fromkeys(["", first, *labels(sheet["stimulus"])]))
    found = dict.fromkeys(place_of(row) for row in sheet.to_dict("records"))
    known = {visit: i for i, visit in enumerate(order)}
    return sorted(found, key=lambda p: (known.get(p.visit, -1), stimuli.index(p.stimulus), p.dose or 0.0))


def measures(context: Context) -> list[Measure]:
    """Give the endpoints of the Treg monitor, B cells, Treg and its activation: those that the profiles hold."""
    found: dict[str, Measure] = {}
    for measure in (*_endpoints(context), *_bcells(context), *_signal(context), *_defaults(context)):
        if measure.values["value"].notna().any():
            found.setdefault(measure.label, measure)
    return list(found.values())[:MOST]


def _measure(
    context: Context, population: str, measure: str, origin: str, parent: str | None, marker: str | None, minimum: int
) -> Measure:
    rows = context.values(population, measure, origin, parent, marker)
    rests = context.rests_on(rows, measure, origin, marker)
    named = parent or context.parents.get(population, "")
    label = text.measure(measure, population, named, marker or "", context.study.modality)
    return Measure(label, rows[["sample", "value"]].assign(n_cells=rests), minimum)


def _endpoints(context: Context) -> Iterator[Measure]:
    treg = context.study.monitors.treg
    for e in treg.endpoints if treg else ():
        minimum = treg.min_events if e.min_events is None else e.min_events
        yield _measure(context, e.population, e.measure, treg.origin, e.parent, e.marker, minimum)


def _bcells(context: Context) -> Iterator[Measure]:
    settings = context.study.monitors.bcell
    if settings is not None:
        table = shares(context, settings)
        yield Measure(
            f"{settings.b}, % of {settings.of}",
            table[["sample"]].assign(value=table["share"], n_cells=table["of"]),
        )
        # shares() gives no value where the B cells are too few
        yield Measure(
            f"{' + '.join(settings.naive)}, % of {settings.b}",
            table[["sample"]].assign(value=table["naive"], n_cells=table["count"]),
        )


def _signal(context: Context) -> Iterator[Measure]:
    s = context.study.monitors.signalling
    if s is not None:
        for population in (s.reference, *s.against):
            yield _measure(context, population, s.measure, s.origin, None, s.marker, s.min_events)


def _defaults(context: Context) -> Iterator[Measure]:
    """Treg, their activation and B cells by gate, for studies whose monitors do not ask for them."""
    known = set(context.profiles["population"].unique())
    treg = context.study.monitors.treg
    minimum = treg.min_events if treg else TregMonitor.min_events
    if "Treg" in known:
        yield _measure(context, "Treg", "percent_of_parent", "gate", None, None, minimum)
        average = "mean" if context.study.modality == "rna" else "median"
        for marker in ACTIVATION:
            yield _measure(context, "Treg", average, "gate", None, marker, minimum)
    if "B" in known:
        yield _measure(context, "B", "percent_of_total", "gate", None, None, minimum)
