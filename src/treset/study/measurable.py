"""What a set of markers can tell: populations that cannot be measured, and the questions that fall with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from treset.phenotype.tree import resolve, spelling
from treset.study.document import Document, Route
from treset.study.faults import Collector, hint, listed
from treset.study.model import Monitors, Population


def not_measurable(
    populations: Sequence[Population], measured: Collection[str], modality: str = "mass_cytometry"
) -> dict[str, str]:
    """Give the reason of every population that cannot be measured.

    Parameters
    ----------
    populations
        A tree, parents before children.
    measured
        Markers (cytometry) or genes (RNA) that were measured.
    modality
        Decides how names are compared, as the gates do.

    Returns
    -------
    Population -> what was not measured; a population that can be measured is absent.
    """
    nodes = resolve(populations, measured, spelling(modality))
    return {node.name: f"without {node.lacking}" for node in nodes if not node.measurable}


def sentence(reasons: Mapping[str, str]) -> str | None:
    """Say which populations cannot be measured and for lack of which marker; None when all can.

    Parameters
    ----------
    reasons
        Of :func:`not_measurable`.
    """
    lacking: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        lacking.setdefault(reason, []).append(name)
    parts = [f"{reason}: {listed(names, 60)}" for reason, names in lacking.items()]
    return f"populations that cannot be measured ({'; '.join(parts)})" if parts else None


def check_measured(
    document: Document | None,
    monitors: Monitors,
    populations: Sequence[Population],
    measured: Collection[str],
    source: str,
    faults: Collector,
    modality: str = "mass_cytometry",
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
    modality
        Of the study.
    """
    reasons = not_measurable(populations, measured, modality)
    if (text := sentence(reasons)) is not None:
        faults.warn(source, text)
    check = _Check(document, measured, reasons, source, faults)
    if monitors.treg is not None and monitors.treg.origin != "external":
        for position, endpoint in enumerate(monitors.treg.endpoints):
            route: Route = ("monitors", "treg", "endpoints", position)
            if endpoint.measure in ("median", "mean", "percent_positive") and endpoint.marker is not None:
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
    if monitors.signalling is not None and monitors.signalling.origin != "external":
        asked = monitors.signalling
        if asked.measure != "signature":
            check.marker(("monitors", "signalling", "marker"), "the monitor signalling", asked.marker, "")
        for name in (asked.reference, *asked.against, *asked.populations):
            check.population(("monitors", "signalling"), "the monitor signalling", name, name == asked.reference)


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

    def marker(self, route: Route, name: str, marker: str, kind: str = "endpoint ") -> None:
        if marker not in self._measured:
            who = f"{kind}'{name}'" if kind else name
            text = (
                f"{who} needs the marker '{marker}'{hint(marker, self._measured)}, "
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
