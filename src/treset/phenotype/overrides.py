"""Thresholds set by hand in the config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from treset.errors import TresetError
from treset.phenotype.density import Cut
from treset.phenotype.tree import ROOT, Node
from treset.study.model import GateOverride

Cuts = Mapping[tuple[str, str], tuple[Cut, int]]


class Manual:
    """The overrides, matched with the thresholds that the tree reads.

    Parameters
    ----------
    overrides
        Of the config.
    nodes
        The resolved tree.
    positivity
        Markers that are cut in all cells besides.

    Raises
    ------
    TresetError
        For an override that matches no threshold: it would be passed over in silence.
    """

    def __init__(self, overrides: Sequence[GateOverride], nodes: Sequence[Node], positivity: Sequence[str]) -> None:
        readers: dict[tuple[str, str], set[str]] = {}
        for node in nodes:
            if node.measurable:
                for position in range(len(node.rules)):
                    readers.setdefault(node.threshold_key(position), set()).add(node.name)
        for marker in positivity:
            readers.setdefault((ROOT, marker), set())
        self._readers = readers
        self._overrides = tuple(overrides)
        for override in overrides:
            if not any(self._matches(override, key) for key in readers):
                within = f" for {override.population}" if override.population else ""
                cut = sorted({marker for _, marker in readers})
                raise TresetError(
                    f"gates.overrides sets a threshold on {override.marker}{within}, which no rule of the tree reads "
                    f"there: name a marker that is cut ({', '.join(cut)}) and, if at all, a population whose rule "
                    "reads it or a population_parent of cohort/thresholds.tsv"
                )

    def put(self, key: tuple[str, str], cuts: Cuts) -> dict[tuple[str, str], tuple[Cut, int]]:
        """Replace the thresholds that are set by hand; a more specific override wins, then the later one."""
        done = dict(cuts)
        mine = [override for override in self._overrides if self._matches(override, key)]
        for override in mine:
            if override.batch is None and override.sample is None:
                done = {where: (_manual(override), n) for where, (_, n) in done.items()}
        for override in mine:
            if override.batch is not None and override.sample is None:
                done[override.batch, ""] = (_manual(override), done.get((override.batch, ""), (None, 0))[1])
        for override in mine:
            if override.sample is not None:
                done = {where: cut for where, cut in done.items() if where[1] != override.sample}
                done[override.batch or "", override.sample] = (_manual(override), 0)
        return done

    def _matches(self, override: GateOverride, key: tuple[str, str]) -> bool:
        scope, marker = key
        wanted = override.population
        return override.marker == marker and (wanted is None or wanted == scope or wanted in self._readers[key])


def _manual(override: GateOverride) -> Cut:
    return Cut(override.threshold, "manual", 1.0)
