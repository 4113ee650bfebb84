"""The supervised reading: thresholds found within the parent, applied to every cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from treset.phenotype.density import Cut
from treset.phenotype.histogram import Histogram, histograms
from treset.phenotype.labels import Labels, Limits
from treset.phenotype.mixture import cut_bright
from treset.phenotype.overrides import Manual
from treset.phenotype.tree import ROOT, Node, Rule
from treset.study.model import GateOverride

THRESHOLD_COLUMNS = [
    "population_parent", "marker", "batch", "threshold", "method", "separation", "n_cells", "sample"
]  # fmt: skip

#: Cells of a batch at which its own threshold and the pooled one weigh the same, for a valley of depth 2 or a tail.
_SHRINK_CELLS = 1_000
#: In place of a batch's code: all of them together.
_ALL = -1

Columns = Mapping[str, np.ndarray]


def fit_thresholds(
    columns: Columns,
    batch: np.ndarray,
    nodes: Sequence[Node],
    *,
    positivity: Sequence[str] = (),
    floor: float = 0.5,
    min_distance: float = 0.6,
    find: Callable[[Rule], Callable[..., Cut]] | None = None,
    sample: np.ndarray | None = None,
    overrides: Sequence[GateOverride] = (),
) -> pd.DataFrame:
    """Find every threshold the tree needs, within the parent, pooled and per batch.

    A batch's own threshold is drawn towards the pooled one by its number of cells, so that a drift of the stain is
    followed and noise is not.

    Parameters
    ----------
    columns
        Marker -> (n,) transformed values, for every marker the rules read.
    batch
        (n,) batch labels.
    nodes
        The resolved tree (:func:`treset.phenotype.tree.resolve`).
    positivity
        Markers that get a threshold in all cells besides, by which positive cells are counted. Those of a difference
        always do.
    floor, min_distance
        See :func:`treset.phenotype.density.valleys`.
    find
        Gives the function that finds a rule's threshold. Default: :func:`treset.phenotype.mixture.cut_bright`
        for every rule.
    sample
        (n,) sample ids, for thresholds set by hand for one sample. Default: none.
    overrides
        Thresholds set by hand; their rows have the method ``manual``, and what lies below them in the tree is fitted
        with them in place.

    Returns
    -------
    ``THRESHOLD_COLUMNS``. ``batch`` "" is the pooled threshold, ``sample`` "" that of a batch.

    Raises
    ------
    TresetError
        A threshold set by hand is of no marker that is cut in the population it names.
    """
    fitted: dict[tuple[str, str], dict[tuple[str, str], tuple[Cut, int]]] = {}
    sample = np.full(len(batch), "") if sample is None else sample
    # the markers of a difference have rows of their own, in which the spread of their stains is told
    positivity = list(dict.fromkeys([*positivity, *_parts_of_differences(nodes)]))
    manual, where = Manual(overrides, nodes, positivity), Labels.of(batch, sample)
    masks = {ROOT: np.ones(len(batch), dtype=bool)}
    read_again = {name for node in nodes if node.measurable for name in (node.parent, *node.without)}
    for node in nodes:
        if not node.measurable:
            continue
        mask = masks[node.parent]
        met = _without(mask.copy(), node, masks)
        inside = met.copy()
        for position, rule in enumerate(node.rules):
            key = node.threshold_key(position)
            if key not in fitted:
                scope = mask if rule.shared else met
                fallback = _fallback(fitted, node, nodes, rule)
                wider = None if rule.shared else mask
                # a difference has no noise of zero below which no valley is sought
                lowest = -np.inf if rule.combine == "difference" else floor
                found = _fit_one(
                    values_of(columns, rule), scope, wider, where, rule, fallback, lowest, min_distance, find
                )
                fitted[key] = manual.put(key, found)
            values = values_of(columns, rule)
            met &= _beyond(values, where.limit({at: c.value for at, (c, _) in fitted[key].items()}), rule)
            belongs = {at: rule.limit(c.value, c.method) for at, (c, _) in fitted[key].items()}
            inside &= _beyond(values, where.limit(belongs), rule)
        if node.name in read_again:
            masks[node.name] = inside
    for marker in positivity:
        if (ROOT, marker) not in fitted:
            rule = Rule((marker,), "+")
            found = _fit_one(columns[marker], masks[ROOT], None, where, rule, None, floor, min_distance, find)
            fitted[ROOT, marker] = manual.put((ROOT, marker), found)
    rows = [
        (scope, marker, b, c.value, c.method, c.separation, n, s)
        for (scope, marker), cuts in fitted.items()
        for (b, s), (c, n) in cuts.items()
    ]
    return pd.DataFrame(rows, columns=THRESHOLD_COLUMNS)


def apply_gates(
    columns: Columns,
    batch: np.ndarray,
    nodes: Sequence[Node],
    thresholds: pd.DataFrame,
    sample: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Which cells belong to which population.

    Parameters
    ----------
    columns, batch, nodes
        As in :func:`fit_thresholds`.
    thresholds
        Its result. A batch it has not seen takes the pooled thresholds.
    sample
        (n,) sample ids; a sample with thresholds of its own takes those. Default: batches alone count.

    Returns
    -------
    Population -> (n,) bool, for the measurable ones, the root ``cells`` first.
    """
    found = _cuts_of(thresholds)
    sample = np.full(len(batch), "") if sample is None else sample
    masks = {ROOT: np.ones(len(batch), dtype=bool)}
    where = Labels.of(batch, sample)
    for node in nodes:
        if not node.measurable:
            continue
        met = _without(masks[node.parent].copy(), node, masks)
        for position, rule in enumerate(node.rules):
            belongs = {at: rule.limit(*cut) for at, cut in found[node.threshold_key(position)].items()}
            met &= _beyond(values_of(columns, rule), where.limit(belongs), rule)
        masks[node.name] = met
    return masks


def limits_of(thresholds: pd.DataFrame) -> dict[tuple[str, str], Limits]:
    """Thresholds by (population_parent, marker), each by (batch, sample)."""
    return {key: {at: value for at, (value, _) in cuts.items()} for key, cuts in _cuts_of(thresholds).items()}


def _cuts_of(thresholds: pd.DataFrame) -> dict[tuple[str, str], dict[tuple[str, str], tuple[float, str]]]:
    """As :func:`limits_of`, each with its method."""
    values: dict[tuple[str, str], dict[tuple[str, str], tuple[float, str]]] = {}
    thresholds = thresholds.assign(**{name: "" for name in ("sample", "method") if name not in thresholds})
    for row in thresholds.itertuples(index=False):
        place = values.setdefault((row.population_parent, row.marker), {})
        place[row.batch, row.sample] = row.threshold, row.method
    return values


def limit_of_cells(limits: Limits, batch: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """Each cell's threshold (n,): its sample's, else its batch's, else the pooled one."""
    return np.broadcast_to(Labels.of(batch, sample).limit(limits), (len(batch),))


def deepest(masks: Mapping[str, np.ndarray], nodes: Sequence[Node]) -> tuple[np.ndarray, np.ndarray]:
    """Each cell's most specific population, and why it has none or only a general one.

    Returns
    -------
    (n,) object of population names or ``unassigned``; (n,) object of reasons, "" for a cell in a leaf.
    """
    n = len(masks[ROOT])
    name = np.full(n, "unassigned", dtype=object)
    reason = np.full(n, "meets the rule of no population", dtype=object)
    children: dict[str, list[Node]] = {}
    for node in nodes:
        if node.measurable:
            children.setdefault(node.parent, []).append(node)

    def descend(parent: str, inside: np.ndarray) -> None:
        siblings = children.get(parent, [])
        if not siblings:
            return
        hits = np.sum([masks[s.name] & inside for s in siblings], axis=0)
        twice = hits > 1
        if twice.any():
            reason[twice] = f"meets the rules of several populations of {parent}"
        if parent != ROOT:
            reason[inside & (hits == 0)] = f"meets the rule of no population of {parent}"
        for sibling in siblings:
            mine = inside & masks[sibling.name] & ~twice
            name[mine], reason[mine] = sibling.name, ""
            descend(sibling.name, mine)

    descend(ROOT, masks[ROOT])
    return name, reason


def _fit_one(
    values: np.ndarray, scope: np.ndarray, wider: np.ndarray | None, where: Labels, rule: Rule,
    fallback: float | None, floor: float, min_distance: float, find_by: Callable[[Rule], Callable[..., Cut]] | None,
) -> dict[tuple[str, str], tuple[Cut, int]]:  # fmt: skip
    sides: dict[str, Literal["hi", "lo"]] = {"hi": "hi", "lo": "lo"}
    side = sides.get(rule.level, "split")
    read = _by_batch if find_by is None else _values_by_batch
    within, around = read(values, scope, where), None if wider is None else read(values, wider, where)

    def find(one: int) -> Cut:
        return (find_by(rule) if find_by else cut_bright)(
            within(one), side, fallback=fallback, wider=None if around is None else around(one), floor=floor,
            min_distance=min_distance,
        )  # fmt: skip

    pooled = find(_ALL)
    cuts = {("", ""): (pooled, int(scope.sum()))}
    if len(where.batches) < 2:
        return cuts
    sizes = np.bincount(where.batch[scope], minlength=len(where.batches)).tolist()
    for one, (name, n) in enumerate(zip(where.batches, sizes, strict=True)):
        # a batch follows the pooled cells where they have no cut of their own
        own = pooled if pooled.method in ("parent", "none") else find(one)
        if own.method != pooled.method or own.method in ("parent", "none") or not np.isfinite(own.value):
            cuts[name, ""] = (Cut(pooled.value, pooled.method, pooled.separation), n)
            continue
        # a deep valley is sure of itself with few cells, a tail is not
        depth = min(own.separation, 100.0) - 1.0 if own.method == "valley" else 1.0
        weight = n * depth / (n * depth + _SHRINK_CELLS)
        cuts[name, ""] = (Cut(weight * own.value + (1 - weight) * pooled.value, own.method, own.separation), n)
    return cuts


def _by_batch(values: np.ndarray, scope: np.ndarray, where: Labels) -> Callable[[int], Histogram]:
    """Histograms of the cells in ``scope`` by batch, counted at once; of all together for ``_ALL``."""
    rows = np.flatnonzero(scope & np.isfinite(values))
    found = histograms(values[rows], where.batch[rows], len(where.batches))
    pooled = sum(found[1:], start=found[0])
    return lambda one: pooled if one == _ALL else found[one]


def _values_by_batch(values: np.ndarray, scope: np.ndarray, where: Labels) -> Callable[[int], np.ndarray]:
    return lambda one: values[scope if one == _ALL else scope & (where.batch == one)]


def _fallback(fitted: dict, node: Node, nodes: Sequence[Node], rule: Rule) -> float | None:
    """The same marker's pooled threshold in the nearest population above that has one."""
    parents = {n.name: n.parent for n in nodes}
    above = node.parent
    while above != ROOT:
        above = parents[above]
        if (above, rule.label) in fitted:
            return fitted[above, rule.label]["", ""][0].value
    return None


def values_of(columns: Columns, rule: Rule) -> np.ndarray:
    """What a rule reads (n,): the marker, the mean of several, or a difference."""
    if len(rule.columns) == 1:
        return columns[rule.columns[0]]
    if rule.combine == "difference":
        return columns[rule.columns[0]] - columns[rule.columns[1]]
    return np.mean([columns[c] for c in rule.columns], axis=0)


def _parts_of_differences(nodes: Sequence[Node]) -> list[str]:
    rules = [rule for node in nodes if node.measurable for rule in node.rules if rule.combine == "difference"]
    return [column for rule in rules for column in rule.columns]


def _beyond(values: np.ndarray, limit: float | np.ndarray, rule: Rule) -> np.ndarray:
    # a threshold that could not be found (NaN) is met by no cell, on neither side
    return values >= limit if rule.above else values < limit


def _without(met: np.ndarray, node: Node, masks: Mapping[str, np.ndarray]) -> np.ndarray:
    for sibling in node.without:
        met &= ~masks[sibling]
    return met
