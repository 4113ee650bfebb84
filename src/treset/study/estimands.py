"""What an endpoint asks, against the sheet: when, between whom, and what is to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from treset.study.document import Route
from treset.study.faults import hint, listed
from treset.study.formula import InvalidFormula, check_formula
from treset.study.model import ClinicalMonitor, Contrast, Endpoint, TregMonitor

if TYPE_CHECKING:
    from treset.study.questions import Asked

#: Columns of the sheet that name no group of patients.
_NO_GROUP = ("sample", "file", "patient", "visit", "day", "batch", "anchor", "stimulus", "dose", "cells_per_ul",
             "counted_population", "exclude")  # fmt: skip
_NO_COVARIATE = tuple(name for name in _NO_GROUP if name != "batch")


def has_visit(endpoint: Endpoint) -> bool:
    """Tell whether the endpoint names a visit (a window is asked of the days instead)."""
    return endpoint.visit != ""


def check_treg(asked: Asked, monitor: TregMonitor) -> None:
    """Report a reference arm, maintenance visits or healthy donors that the sheet does not have."""
    if asked.sheet is None or not asked.sheet.whole:
        return
    route = ("monitors", "treg")
    if monitor.reference_arm is not None:
        _label(asked, (*route, "reference_arm"), "arm", monitor.reference_arm)
    for position, visit in enumerate(monitor.maintenance):
        _label(asked, (*route, "maintenance", position), "visit", visit)
    if monitor.cross_section is not None:
        where = (*route, "cross_section")
        if _column(asked, where, monitor.cross_section.column):
            _label(asked, where, monitor.cross_section.column, monitor.cross_section.healthy)


def check_endpoint(asked: Asked, route: Route, endpoint: Endpoint) -> None:
    """Report an endpoint whose time, groups or claim are incomplete or contradict each other."""
    faults, document, name = asked.faults, asked.document, endpoint.name
    if has_visit(endpoint) == bool(endpoint.window) and not document.is_broken(*route):
        found = "both a visit and a window" if endpoint.window else "neither a visit nor a window"
        faults.add(document.where(route), f"endpoint '{name}' has {found}: give one of the two")
    if endpoint.window:
        check_window(asked, (*route, "window"), endpoint.window, f"endpoint '{name}'")
        _days(asked, (*route, "window"), endpoint)
    if endpoint.claim != "change" and endpoint.margin is None:
        sentence = f"endpoint '{name}' claims {endpoint.claim} but lacks the key margin: say how large a change is none"
        faults.add(document.where((*route, "claim")), sentence)
    if endpoint.claim == "change" and endpoint.margin is not None:
        sentence = f"endpoint '{name}' has a margin, which only equivalence and non_inferiority use: add claim"
        faults.add(document.where((*route, "margin")), sentence)
    if endpoint.claim == "non_inferiority" and endpoint.direction == "either":
        sentence = (
            f"endpoint '{name}' claims non_inferiority in either direction: say which is the harm, or equivalence"
        )
        faults.add(document.where((*route, "direction")), sentence)
    if endpoint.contrast is not None:
        _contrast(asked, (*route, "contrast"), endpoint.contrast)
    if endpoint.formula:
        column = endpoint.contrast.column if endpoint.contrast is not None else "arm"
        check_model(asked, (*route, "formula"), endpoint.formula, column, _NO_COVARIATE, ("baseline",))
        if endpoint.claim != "change":
            sentence = f"endpoint '{name}' has a formula, which serves the claim change only: leave one of the two out"
            faults.add(document.where((*route, "formula")), sentence)


def check_model(
    asked: Asked, route: Route, formula: str, tested: str, unusable: Sequence[str], more: Sequence[str] = ()
) -> None:
    """Report a formula that cannot be read, names no column of the sheet, or lacks the tested column."""
    if asked.sheet is None:
        return
    known = [name for name in asked.sheet.columns if name not in unusable]
    try:
        check_formula(formula, [*known, *more], tested)
    except InvalidFormula as wrong:
        asked.faults.add(asked.document.where(route), str(wrong))


def check_window(asked: Asked, route: Route, window: Sequence[float], who: str) -> None:
    """Report a window that is not a first and a last day."""
    if window and not (len(window) == 2 and window[0] <= window[1]):
        sentence = f"the window of {who} is {listed([f'{day:g}' for day in window])}, expected its first and last day"
        asked.faults.add(asked.document.where(route), sentence)


def _days(asked: Asked, route: Route, endpoint: Endpoint) -> None:
    if asked.sheet is None or not asked.sheet.whole or len(endpoint.window) != 2:
        return
    first, last = endpoint.window
    if not asked.patients["day"].between(first, last).any():
        sentence = f"no sample lies between the days {first:g} and {last:g} of endpoint '{endpoint.name}'"
        asked.faults.add(asked.document.where(route), f"{sentence}: check the window and the column day")


def _contrast(asked: Asked, route: Route, contrast: Contrast) -> None:
    if asked.sheet is None or not asked.sheet.whole or not _column(asked, (*route, "column"), contrast.column):
        return
    if contrast.test == contrast.reference:
        sentence = f"test and reference are both '{contrast.test}': name two different labels"
        asked.faults.add(asked.document.where((*route, "test")), sentence)
    for key in ("test", "reference"):
        _label(asked, (*route, key), contrast.column, getattr(contrast, key))


def _column(asked: Asked, route: Route, column: str) -> bool:
    assert asked.sheet is not None
    usable = [name for name in asked.sheet.columns if name not in _NO_GROUP]
    if column in usable:
        return True
    sentence = f"the sheet has no column of patients' groups named '{column}'{hint(column, usable)}"
    asked.faults.add(asked.document.where(route), f"{sentence}; found: {listed(usable, 40)}")
    return False


def _label(asked: Asked, route: Route, column: str, label: str) -> None:
    values = asked.patients[column]
    known = [str(value) for value in pd.unique(values.dropna()) if str(value)]
    if label not in known:
        sentence = f"no sample's {column} is '{label}'{hint(label, known)}"
        asked.faults.add(asked.document.where(route), f"{sentence}; found: {listed(known, 40)}")


def check_clinical(asked: Asked, monitor: ClinicalMonitor) -> None:
    """Report outcomes with one name, more than one primary, or a window that is none, and an unknown reference arm."""
    route = ("monitors", "clinical")
    names: set[str] = set()
    primary = [outcome.name for outcome in monitor.outcomes if outcome.role == "primary"]
    if len(primary) > 1:
        sentence = (
            f"{len(primary)} primary outcomes ({listed(primary)}), expected at most one: set the others secondary"
        )
        asked.faults.add(asked.document.where((*route, "outcomes")), sentence)
    for position, outcome in enumerate(monitor.outcomes):
        here = (*route, "outcomes", position)
        check_window(asked, (*here, "window"), outcome.window, f"outcome '{outcome.name}'")
        if outcome.name in names:
            sentence = f"the outcome name '{outcome.name}' is given twice: give each its own"
            asked.faults.add(asked.document.where((*here, "name")), sentence)
        names.add(outcome.name)
    if monitor.contrast is not None:
        _contrast(asked, (*route, "contrast"), monitor.contrast)
    if monitor.reference_arm is not None and asked.sheet is not None and asked.sheet.whole:
        _label(asked, (*route, "reference_arm"), "arm", monitor.reference_arm)
