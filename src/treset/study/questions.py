"""The monitors' settings against the sheet, the tree and the signatures: can the study be asked these questions?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from treset.study.document import Document, Route
from treset.study.estimands import check_clinical, check_endpoint, check_model, check_treg, has_visit
from treset.study.faults import Collector, hint, listed, place
from treset.study.model import (
    BcellMonitor,
    Config,
    Contrast,
    DiscoveryMonitor,
    Endpoint,
    Population,
    SignallingMonitor,
    Signature,
)
from treset.study.populations import CLUSTER_ID, ROOT
from treset.study.sheet import NUMBERS, Sheet
from treset.study.table import number

_WITH_MARKER = {
    "median": "the marker",
    "mean": "the gene",
    "percent_positive": "the marker",
    "signature": "the signature",
    "ratio": "the population in the denominator",
}


@dataclass(frozen=True)
class Asked:
    """All that the checks below look at; None: it has faults of its own."""

    config: Config
    document: Document
    sheet: Sheet | None
    populations: tuple[Population, ...] | None
    signatures: tuple[Signature, ...] | None
    faults: Collector

    @property
    def patients(self) -> pd.DataFrame:
        """The included samples of patients (no anchors)."""
        assert self.sheet is not None
        included = self.sheet.included
        return included[~included["anchor"]]

    @property
    def tree(self) -> dict[str, str | None]:
        """Population -> parent."""
        return {population.name: population.parent for population in self.populations or ()}


def check_questions(asked: Asked) -> None:
    """Report every setting of the monitors that the sheet, the tree or the signatures do not know."""
    monitors = asked.config.monitors
    if asked.sheet is not None and asked.sheet.whole:
        _baseline(asked)
    if monitors.treg is not None:
        _primary(asked, monitors.treg.endpoints)
        check_treg(asked, monitors.treg)
        for position, endpoint in enumerate(monitors.treg.endpoints):
            _endpoint(asked, ("monitors", "treg", "endpoints", position), endpoint, monitors.treg.origin)
    if monitors.bcell is not None:
        _bcell(asked, monitors.bcell)
    if monitors.signalling is not None:
        _signalling(asked, monitors.signalling)
    if monitors.clinical is not None:
        check_clinical(asked, monitors.clinical)
    if monitors.discovery is not None and asked.sheet is not None:
        _discovery(asked, monitors.discovery, asked.sheet)
    _counted(asked)


def _labels(table: pd.DataFrame) -> list[str]:
    """Visit labels by day."""
    return list(table.sort_values("day", kind="stable")["visit"].drop_duplicates())


def _unknown(asked: Asked, route: Route, what: str, label: str, known: Sequence[str]) -> None:
    asked.faults.add(asked.document.where(route), f"{what} '{label}'{hint(label, known)}; found: {listed(known, 40)}")


def _baseline(asked: Asked) -> None:
    config, patients = asked.config, asked.patients
    endpoints = config.monitors.treg.endpoints if config.monitors.treg else ()
    labels = _labels(patients)
    if not config.baseline:
        wants = [endpoint.name for endpoint in endpoints if endpoint.baseline is None]
        if wants and not asked.document.is_broken("baseline"):
            sentence = (
                "the key baseline is missing, and the endpoints "
                f"{listed(wants)} compare with it: add the label of the visit"
            )
            asked.faults.add(asked.document.where(()), f"{sentence}; found: {listed(labels, 40)}")
    elif config.baseline not in labels:
        assert asked.sheet is not None
        excluded = config.baseline in set(asked.sheet.samples["visit"])
        why = " (only excluded or anchor samples have it)" if excluded else ""
        _unknown(
            asked, ("baseline",), f"no patient has a sample at the baseline{why}, which is", config.baseline, labels
        )
        return
    used = {config.baseline} if config.baseline and (endpoints or config.monitors.bcell) else set()
    used |= {endpoint.baseline for endpoint in endpoints if endpoint.baseline in labels}
    for label in sorted(used - {None, ""}):
        have = set(patients.loc[patients["visit"] == label, "patient"])
        lack = [patient for patient in patients["patient"].drop_duplicates() if patient not in have]
        if lack and have:
            who = f"patient {lack[0]} has" if len(lack) == 1 else f"patients {listed(lack, 40)} have"
            sentence = f"{who} no sample at the baseline '{label}': not evaluable for a change from it"
            asked.faults.warn(place(asked.sheet.file) if asked.sheet else "", sentence)


def _primary(asked: Asked, endpoints: tuple[Endpoint, ...]) -> None:
    if asked.document.is_broken("monitors", "treg", "endpoints"):
        return
    route = ("monitors", "treg", "endpoints")
    primary = [endpoint.name for endpoint in endpoints if endpoint.role == "primary"]
    if len(primary) != 1:
        found = f"{len(primary)} primary endpoints ({listed(primary)})" if primary else "no primary endpoint"
        asked.faults.add(
            asked.document.where(route), f"{found}, expected exactly one: set the others to role: secondary"
        )
    names: dict[str, int] = {}
    for position, endpoint in enumerate(endpoints):
        if endpoint.name in names:
            where = asked.document.where((*route, position, "name"))
            asked.faults.add(
                where,
                (
                    f"the endpoint name '{endpoint.name}' is already that "
                    f"of endpoint {names[endpoint.name]}: give it another"
                ),
            )
        names.setdefault(endpoint.name, position + 1)


def _endpoint(asked: Asked, route: Route, endpoint: Endpoint, origin: str) -> None:
    faults, document = asked.faults, asked.document
    check_endpoint(asked, route, endpoint)
    _population(asked, (*route, "population"), endpoint.population, origin)
    if endpoint.measure in _WITH_MARKER and endpoint.marker is None:
        sentence = (
            f"endpoint '{endpoint.name}' of measure {endpoint.measure} "
            f"lacks the key marker: name {_WITH_MARKER[endpoint.measure]}"
        )
        faults.add(document.where((*route, "measure")), sentence)
    if endpoint.measure not in _WITH_MARKER and endpoint.marker is not None:
        sentence = (
            f"endpoint '{endpoint.name}' of measure {endpoint.measure} has a marker, which it does not use: remove it"
        )
        faults.add(document.where((*route, "marker")), sentence)
    if endpoint.parent is not None:
        _denominator(asked, route, endpoint, origin)
    if endpoint.measure == "ratio" and endpoint.marker is not None:
        _population(asked, (*route, "marker"), endpoint.marker, origin)
    if endpoint.measure == "signature" and endpoint.marker is not None and origin != "external":
        _signature(asked, (*route, "marker"), endpoint.marker)
    if asked.sheet is None or not asked.sheet.whole:
        return
    if endpoint.measure == "per_ul" and asked.sheet.included["cells_per_ul"].isna().all():
        sentence = (
            f"endpoint '{endpoint.name}' is per_ul, but no sample has "
            f"cells_per_ul: fill in the column in {place(asked.sheet.file)}"
        )
        faults.add(document.where((*route, "measure")), sentence)
    if has_visit(endpoint):
        _visits(asked, route, endpoint)


def _population(asked: Asked, route: Route, name: str, origin: str) -> None:
    if asked.populations is None or origin == "external" or (origin == "cluster" and CLUSTER_ID.match(name)):
        return
    if name != ROOT and name not in asked.tree:
        _unknown(asked, route, "no population of the tree is named", name, [*asked.tree, ROOT])


def _denominator(asked: Asked, route: Route, endpoint: Endpoint, origin: str) -> None:
    where = asked.document.where((*route, "parent"))
    if endpoint.measure != "percent_of_parent":
        asked.faults.add(
            where, f"endpoint '{endpoint.name}' has a parent, which measure {endpoint.measure} does not use: remove it"
        )
        return
    if asked.populations is None or origin == "external" or endpoint.population not in asked.tree:
        return
    above = _above(asked.tree, endpoint.population)
    if endpoint.parent not in above:
        found = f"'{endpoint.parent}' does not contain '{endpoint.population}'"
        asked.faults.add(where, f"{found}, so it cannot be its denominator; allowed: {listed(above)}")


def _above(tree: dict[str, str | None], name: str) -> list[str]:
    chain: list[str] = []
    parent = tree.get(name)
    while parent is not None and parent not in chain:
        chain.append(parent)
        parent = tree.get(parent)
    return [*chain, ROOT]


def _signature(asked: Asked, route: Route, name: str) -> None:
    if asked.signatures is None or asked.document.is_broken("modality"):
        return
    rna = asked.config.modality == "rna"
    usable = [s.name for s in asked.signatures if (s.genes if rna else s.markers)]
    if name not in usable:
        what = "genes" if rna else "markers"
        _unknown(asked, route, f"no signature with {what} is named", name, usable)


def _visits(asked: Asked, route: Route, endpoint: Endpoint) -> None:
    patients, document = asked.patients, asked.document
    labels = _labels(patients)
    baseline = asked.config.baseline if endpoint.baseline is None else endpoint.baseline
    if endpoint.visit not in labels:
        _unknown(asked, (*route, "visit"), "no sample has the visit", endpoint.visit, labels)
    if endpoint.baseline is not None and endpoint.baseline not in labels:
        _unknown(asked, (*route, "baseline"), "no sample has the visit", endpoint.baseline, labels)
    if endpoint.visit == baseline:
        sentence = (
            f"endpoint '{endpoint.name}' compares the visit '{baseline}' with itself: name a visit after the baseline"
        )
        asked.faults.add(document.where((*route, "visit")), sentence)
        return
    days = patients.pivot_table(index="patient", columns="visit", values="day", aggfunc="min", dropna=False)
    if endpoint.visit not in days or baseline not in days:
        return
    seen = patients.groupby("patient")["visit"].agg(set)
    both = [patient for patient, visits in seen.items() if {endpoint.visit, baseline} <= visits]
    if not both:
        sentence = (
            f"no patient has samples at both '{baseline}' and "
            f"'{endpoint.visit}': endpoint '{endpoint.name}' is not evaluable"
        )
        if endpoint.role == "primary":
            asked.faults.add(
                document.where((*route, "visit")),
                f"{sentence}, and it is the primary one; check patient ids and visits",
            )
        else:
            asked.faults.warn(document.where((*route, "visit")), sentence)
    late = days.index[days[endpoint.visit] <= days[baseline]]
    if len(late) and asked.sheet is not None:
        sentence = (
            f"visit '{endpoint.visit}' is not after the baseline "
            f"'{baseline}' by its day for {listed(late, 40)}: check the days"
        )
        asked.faults.warn(place(asked.sheet.file, None, "day"), sentence)


def _bcell(asked: Asked, monitor: BcellMonitor) -> None:
    route = ("monitors", "bcell")
    for key, name in (("b", monitor.b), ("of", monitor.of), *(("naive", name) for name in monitor.naive)):
        _population(asked, (*route, key), name, monitor.origin)
    if asked.populations is None or monitor.origin == "external" or monitor.b not in asked.tree:
        return
    if monitor.of not in _above(asked.tree, monitor.b):
        allowed = listed(_above(asked.tree, monitor.b))
        sentence = f"monitors.bcell.of is '{monitor.of}', which does not contain '{monitor.b}'; allowed: {allowed}"
        asked.faults.add(asked.document.where((*route, "of")), sentence)
    for name in monitor.naive:
        if name in asked.tree and monitor.b not in _above(asked.tree, name):
            sentence = (
                f"monitors.bcell.naive names '{name}', which is not below "
                f"'{monitor.b}' in the tree: name populations of B cells"
            )
            asked.faults.add(asked.document.where((*route, "naive")), sentence)


def _signalling(asked: Asked, monitor: SignallingMonitor) -> None:
    route, document = ("monitors", "signalling"), asked.document
    named = [("reference", monitor.reference)]
    named += [(key, name) for key in ("against", "populations") for name in getattr(monitor, key)]
    for key, name in named:
        _population(asked, (*route, key), name, monitor.origin)
    if monitor.reference in monitor.against:
        sentence = f"monitors.signalling.against names the reference '{monitor.reference}' itself: remove it"
        asked.faults.add(document.where((*route, "against")), sentence)
    if monitor.measure == "signature" and monitor.origin != "external":
        _signature(asked, (*route, "marker"), monitor.marker)
    if asked.sheet is None or not asked.sheet.whole:
        return
    patients = asked.patients
    if not (patients["dose"] > 0).any():
        sentence = f"the monitor signalling needs doses: fill in the column dose in {place(asked.sheet.file)}"
        asked.faults.add(document.where(route), sentence)
    for key, column in (("stimulus", "stimulus"), ("visit", "visit"), ("reference_disease", "disease")):
        known = [str(label) for label in patients[column].drop_duplicates() if label]
        if (label := getattr(monitor, key)) and label not in known:
            _unknown(asked, (*route, key), f"no sample's {column} is", label, known)


def _discovery(asked: Asked, monitor: DiscoveryMonitor, sheet: Sheet) -> None:
    route, faults, document = ("monitors", "discovery"), asked.faults, asked.document
    usable = [
        name
        for name in sheet.columns
        if name not in ("sample", "file", "exclude", "anchor", "cells_per_ul", "counted_population")
    ]
    if monitor.column not in usable:
        _unknown(asked, (*route, "column"), "the sheet has no column to contrast named", monitor.column, usable)
        return
    if monitor.formula:
        unusable = ("sample", "file", "exclude", "anchor", "counted_population")
        check_model(asked, (*route, "formula"), monitor.formula, monitor.column, unusable)
    if monitor.pair is not None and monitor.pair not in usable:
        _unknown(asked, (*route, "pair"), "the sheet has no column to pair by named", monitor.pair, usable)
        return
    if monitor.pair == monitor.column:
        faults.add(
            document.where((*route, "pair")),
            f"pair is '{monitor.pair}', the contrasted column itself: name the patients' column",
        )
        return
    if monitor.between is not None and not _between(asked, monitor, monitor.between, usable):
        return
    if not sheet.whole:
        return
    column = asked.patients[monitor.column]
    rows = {}
    for key in ("reference", "test"):
        label = getattr(monitor, key)
        rows[key] = _with_label(column, label, monitor.column)
        if not rows[key].any():
            known = [
                f"{value:g}" if monitor.column in NUMBERS else str(value) for value in column.dropna().drop_duplicates()
            ]
            known = [value for value in known if value]
            _unknown(asked, (*route, key), f"no sample's {monitor.column} is", label, known)
    if not (rows["reference"].any() and rows["test"].any()):
        return
    if (rows["reference"] & rows["test"]).any():
        faults.add(
            document.where((*route, "test")), f"test and reference are both '{monitor.test}': name two different labels"
        )
        return
    if monitor.pair is not None and not monitor.formula:
        pairs = asked.patients[monitor.pair]
        if not set(pairs[rows["reference"]]) & set(pairs[rows["test"]]):
            sentence = (
                f"no {monitor.pair} has samples of both {monitor.column} "
                f"'{monitor.reference}' and '{monitor.test}', so none can "
                "be paired: set pair: null for an unpaired contrast, or correct the labels"
            )
            faults.add(document.where((*route, "pair")), sentence)


def _between(asked: Asked, monitor: DiscoveryMonitor, between: Contrast, usable: list[str]) -> bool:
    """Check the groups whose changes are compared; False where they are none."""
    route = ("monitors", "discovery", "between")
    if monitor.formula or monitor.pair is None:
        sentence = (
            "between compares the changes within pairs: name the column of the pairs in pair, and leave out formula"
        )
        asked.faults.add(asked.document.where(route), sentence)
        return False
    if between.column not in usable:
        _unknown(asked, (*route, "column"), "the sheet has no column of groups named", between.column, usable)
        return False
    if between.column in (monitor.column, monitor.pair):
        sentence = (
            f"between.column is '{between.column}', which is contrasted or paired already: name that of the groups"
        )
        asked.faults.add(asked.document.where((*route, "column")), sentence)
        return False
    if between.test == between.reference:
        sentence = f"test and reference are both '{between.test}': name two different groups"
        asked.faults.add(asked.document.where((*route, "test")), sentence)
        return False
    known = [str(label) for label in asked.patients[between.column].drop_duplicates() if str(label)]
    unknown = [key for key in ("test", "reference") if getattr(between, key) not in known]
    if asked.sheet is not None and asked.sheet.whole:
        for key in unknown:
            _unknown(asked, (*route, key), f"no sample's {between.column} is", getattr(between, key), known)
    return not unknown


def _with_label(column: pd.Series, label: str, name: str) -> pd.Series:
    if name not in NUMBERS:
        return column == label
    value = number(label)
    return column == value if value is not None else pd.Series(False, index=column.index)


def _counted(asked: Asked) -> None:
    if asked.sheet is None or asked.populations is None:
        return
    known = [*asked.tree, ROOT]
    samples = asked.sheet.samples
    for sample, name in zip(samples["sample"], samples["counted_population"], strict=True):
        if name and name not in known:
            sentence = f"no population of the tree is named '{name}'{hint(name, known)}; found: {listed(known, 60)}"
            asked.faults.cell(asked.sheet.file, asked.sheet.lines[sample], "counted_population", sentence, "tree")
