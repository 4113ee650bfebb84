"""What a set of markers can tell: populations that cannot be measured, and the questions that fall with them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from treset.io.panel import canonical
from treset.study.document import Document, Route
from treset.study.faults import Collector, hint, listed
from treset.study.model import Monitors, Population


def not_measurable(populations: Sequence[Population], measured: Collection[str]) -> dict[str, str]:
    """Give the reason of every population that cannot be measured.

    Names are compared letter by letter, as the gates do.

    Parameters
    ----------
    populations
        A tree, parents before children.
    measured
        Markers (cytometry) or genes (RNA) that were measured.

    Returns
    -------
    Population -> what was not measured; a population that can be measured is absent.
    """
    reasons: dict[str, str] = {}
    for population in populations:
        if population.parent in reasons:
            reasons[population.name] = reasons[population.parent]
            continue
        lacking = [
            " or ".join(condition.markers) if condition.combine == "first" else f"any of {', '.join(condition.markers)}"
            for condition in population.conditions
            if not condition.optional and not any(marker in measured for marker in condition.markers)
        ]
        if lacking:
            reasons[population.name] = f"without {' and '.join(lacking)}"
    return reasons


def sentence(populations: Sequence[Population], measured: Collection[str]) -> str | None:
    """Say which populations cannot be measured and for lack of which marker; None when all can.

    Parameters
    ----------
    populations
        A tree, parents before children.
    measured
        Marker or gene names.
    """
    lacking: dict[str, list[str]] = {}
    for name, reason in not_measurable(populations, measured).items():
        lacking.setdefault(reason, []).append(name)
    if not lacking:
        return None
    parts = [f"{reason}: {listed(names, 60)}" for reason, names in lacking.items()]
    wanted = {
        marker
        for population in populations
        for condition in population.conditions
        if not any(marker in measured for marker in condition.markers)
        for marker in condition.markers
    }
    own = {canonical(name): name for name in measured} if wanted else {}
    alike = [f"{own[canonical(marker)]} is {marker}" for marker in sorted(wanted) if canonical(marker) in own]
    spelling = (
        f"; named otherwise in the tree, rename in the panel where both are the same: {listed(alike)}" if alike else ""
    )
    return f"populations that cannot be measured ({'; '.join(parts)}){spelling}"


def check_measured(
    document: Document | None,
    monitors: Monitors,
    populations: Sequence[Population],
    measured: Collection[str],
    source: str,
    faults: Collector,
) -> None:
    """Report endpoints whose population or marker was not measured, and warn of populations that cannot be measured.

    Parameters
    ----------
    document
        The config, for the places; None: the sentences name the endpoint only.
    monitors
        The questions.
    populations
        The tree.
    measured
        Marker or gene names.
    source
        Where the names come from, such as the panel's path.
    faults
        Receives the faults (endpoint's marker, the primary endpoint's population, the B cells) and warnings.
    """
    if (text := sentence(populations, measured)) is not None:
        faults.warn(source, text)
    reasons = not_measurable(populations, measured)
    check = _Check(document, measured, reasons, source, faults)
    if monitors.treg is not None and monitors.treg.origin != "external":
        for position, endpoint in enumerate(monitors.treg.endpoints):
            route: Route = ("monitors", "treg", "endpoints", position)
            if endpoint.measure in ("median", "percent_positive") and endpoint.marker is not None:
                check.marker((*route, "marker"), endpoint.name, endpoint.marker)
            named = [
                endpoint.population,
                *([endpoint.marker] if endpoint.measure == "ratio" and endpoint.marker else []),
            ]
            for population in named:
                check.population(
                    (*route, "population"), f"endpoint '{endpoint.name}'", population, endpoint.role == "primary"
                )
    if monitors.bcell is not None and monitors.bcell.origin != "external":
        bcell = monitors.bcell
        check.population(("monitors", "bcell", "b"), "the monitor bcell", bcell.b, True)
        check.population(("monitors", "bcell", "of"), "the monitor bcell", bcell.of, True)
        none = all(name in reasons for name in bcell.naive)
        for name in bcell.naive:
            check.population(("monitors", "bcell", "naive"), "the monitor bcell", name, none)


class _Check:
    def __init__(
        self,
        document: Document | None,
        measured: Collection[str],
        reasons: dict[str, str],
        source: str,
        faults: Collector,
    ) -> None:
        self._document, self._measured, self._reasons = document, measured, reasons
        self._source, self._faults = source, faults

    def _where(self, route: Route) -> str:
        return self._document.where(route) if self._document is not None else self._source

    def marker(self, route: Route, name: str, marker: str) -> None:
        if marker not in self._measured:
            text = (
                f"endpoint '{name}' needs the marker '{marker}'{hint(marker, self._measured)}, "
                f"which is not among those of {self._source}"
            )
            self._faults.add(self._where(route), f"{text}: {listed(sorted(self._measured), 60)}")

    def population(self, route: Route, who: str, population: str, stops: bool) -> None:
        if population not in self._reasons:
            return
        text = (
            f"{who} needs the population '{population}', which cannot "
            f"be measured {self._reasons[population]} in {self._source}"
        )
        if stops:
            self._faults.add(self._where(route), f"{text}: add the marker to the panel, or ask another question")
        else:
            self._faults.warn(self._where(route), f"{text}: not evaluable")
