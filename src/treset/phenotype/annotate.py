"""Naming the clusters by the tree, and merging small ones that carry the same name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from treset.phenotype.gates import values_of
from treset.phenotype.tree import ROOT, Node, ancestors

CLUSTER_COLUMNS = ["cluster", "population", "confidence", "n_cells", "decided_by", "evidence", "reason"]

#: A piece that holds less of its population than this joins the largest piece of the same population.
_SMALL_PIECE = 0.05
#: Cells that no population claims join the largest piece of their kind only when there are fewer than this.
_FEW_UNASSIGNED = 20
#: Fewer cells of a name than this cannot win a vote of neighbours when the other cells are mapped.
_FEWEST = 5


def cluster_names(labels: np.ndarray) -> np.ndarray:
    """``C01`` ... from numbers 0 ..., wide enough for all: (n,) object."""
    width = max(2, len(str(int(labels.max()) + 1))) if len(labels) else 2
    return np.array([f"C{int(label) + 1:0{width}d}" for label in labels], dtype=object)


@dataclass(frozen=True)
class _Share:
    """Of each cluster (row), the weighted share within each population of the tree (column)."""

    clusters: np.ndarray  # (c,) ids, sorted
    codes: np.ndarray  # (n,) row of each cell
    within: pd.DataFrame  # (c, populations), descendants included
    leaves: pd.DataFrame  # (c, names), the most specific names alone


def _shares(cluster: np.ndarray, population: np.ndarray, nodes: Sequence[Node], weight: np.ndarray | None) -> _Share:
    clusters, codes = np.unique(cluster.astype(str), return_inverse=True)
    names, place = np.unique(population.astype(str), return_inverse=True)
    table = np.bincount(codes * len(names) + place, weights=weight, minlength=len(clusters) * len(names))
    table = table.reshape(len(clusters), len(names)).astype(float)
    table /= table.sum(axis=1, keepdims=True)
    leaves = pd.DataFrame(table, columns=names)
    lines = {node.name: {node.name, *ancestors(nodes, node.name)} for node in nodes}
    within = {node.name: sum((leaves[n] for n in names if node.name in lines.get(n, ())), 0.0) for node in nodes}
    return _Share(clusters, codes, pd.DataFrame(within, index=leaves.index), leaves)


def _best(share: _Share, nodes: Sequence[Node], min_purity: float) -> list[str]:
    """The most specific population that is pure enough in each cluster, or ``unassigned``."""
    depth = {node.name: len(ancestors(nodes, node.name)) for node in nodes}
    found = []
    for row in share.within.to_dict("records"):
        # the sums of shares carry rounding errors
        enough = [p for p, part in row.items() if part >= min_purity - 1e-9 and part > 0]
        found.append(max(enough, key=lambda p: (depth[p], row[p])) if enough else "unassigned")
    return found


def merge_by_tree(
    coarse: np.ndarray,
    fine: np.ndarray,
    population: np.ndarray,
    nodes: Sequence[Node],
    min_purity: float,
    weight: np.ndarray | None = None,
) -> np.ndarray:
    """Split clusters where the small clusters in them carry different names, and merge the small ones again.

    Every small cluster is named by its cells; those of one name within one coarse cluster become one cluster. So a
    rare population has a cluster of its own although the coarse clustering did not see it, and subsets that the tree
    does not know stay apart. A piece with under 5 % of its population joins the largest piece of that population; of
    cells that no population claims, only pieces of under 20 cells do. A name with under 5 cells in all makes no
    cluster: its cells stay with the largest piece of their coarse cluster, whose confidence they lower.

    Parameters
    ----------
    coarse, fine
        (n,) numbers of the clusters and of the small clusters.
    population
        (n,) each cell's most specific gate, or ``unassigned``.
    nodes, min_purity, weight
        See :func:`name_clusters`.

    Returns
    -------
    (n,) int64 cluster numbers from 0.
    """
    share = _shares(fine, population, nodes, weight)
    name = np.array(_best(share, nodes, min_purity), dtype=object)[share.codes]
    pieces = pd.DataFrame({"name": name, "coarse": coarse, "weight": 1.0 if weight is None else weight})
    size = pieces.groupby(["name", "coarse"], sort=True)["weight"].sum().reset_index()
    size["total"] = size.groupby("name")["weight"].transform("sum")
    largest = size.loc[size.groupby("name")["weight"].idxmax()].set_index("name")["coarse"]
    nameless = size["name"] == "unassigned"
    small = size["weight"] < np.where(nameless, _FEW_UNASSIGNED, _SMALL_PIECE * size["total"])
    size["goes"] = size["coarse"].where(~small, size["name"].map(largest))
    size["as"] = size["name"]
    enough = size["name"].map(pieces["name"].value_counts()) >= _FEWEST
    most = size[enough].sort_values("weight", kind="stable").drop_duplicates("coarse", keep="last").set_index("coarse")
    stays = ~enough & size["coarse"].isin(most.index)
    for column in ("as", "goes"):
        size.loc[stays, column] = size.loc[stays, "coarse"].map(most[column])
    key = ["name", "coarse"]
    goes = pieces.merge(size[[*key, "as", "goes"]], on=key, how="left", validate="many_to_one")
    return goes.groupby(["as", "goes"], sort=True).ngroup().to_numpy(dtype=np.int64)


def name_clusters(
    cluster: np.ndarray,
    population: np.ndarray,
    nodes: Sequence[Node],
    values: pd.DataFrame,
    min_purity: float,
    *,
    thresholds: pd.DataFrame | None = None,
    weight: np.ndarray | None = None,
) -> pd.DataFrame:
    """Name each cluster after the most specific population that holds at least ``min_purity`` of its cells.

    Parameters
    ----------
    cluster
        (n,) cluster ids.
    population
        (n,) each cell's most specific gate, or ``unassigned``.
    nodes
        The resolved tree.
    values
        (n, m) transformed values of the markers shown as evidence.
    min_purity
        Between 0 and 1.
    thresholds
        As :func:`treset.phenotype.gates.fit_thresholds` gives them; the pooled ones tell which marker decided. None:
        ``decided_by`` is blank.
    weight
        (n,) kept cells that each cell stands for; None: 1.

    Returns
    -------
    Columns ``cluster population confidence n_cells decided_by evidence reason``. ``confidence`` is the share of the
    cluster's cells within the named population (or its descendants); ``decided_by`` the condition of the population's
    rule that sets the cluster most apart from the rest of the parent, with the share of cells that meet it in both;
    ``evidence`` the most frequent gates, the condition of the whole line that the fewest cells meet, and the markers
    whose median differs most from that of all cells. ``unassigned`` with a ``reason`` where no population reaches
    ``min_purity``.
    """
    share = _shares(cluster, population, nodes, weight)
    counts = np.bincount(share.codes)
    middle, spread = values.median(), _spread(values)
    medians = values.groupby(share.codes).median()
    met = _Conditions(nodes, values, thresholds)
    rows = []
    for place, (name, best) in enumerate(zip(share.clusters, _best(share, nodes, min_purity), strict=True)):
        leaves = share.leaves.loc[place].sort_values(ascending=False, kind="stable")
        first = ", ".join(f"{part:.0%} {leaf}" for leaf, part in leaves.head(3).items() if part > 0)
        marks = _marks(medians.loc[place], middle, spread)
        if best == "unassigned":
            top, decided, weakest = float(share.within.loc[place].max()) if nodes else 0.0, "", ""
            reason = f"no population holds {min_purity:.0%} of its cells ({first})"
        else:
            top, reason = float(share.within.loc[place, best]), ""
            decided, weakest = met.tell(share.codes == place, best)
        rows.append(
            (
                str(name),
                best,
                top,
                int(counts[place]),
                decided,
                "; ".join(filter(None, [first, weakest, marks])),
                reason,
            )
        )
    return pd.DataFrame(rows, columns=CLUSTER_COLUMNS)


class _Conditions:
    """Which cells meet which condition, by the pooled thresholds."""

    def __init__(self, nodes: Sequence[Node], values: pd.DataFrame, thresholds: pd.DataFrame | None) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._inside = {ROOT: np.ones(len(values), dtype=bool)}
        self._met: dict[str, list[tuple[str, np.ndarray]]] = {}
        if thresholds is None:
            return
        pooled = thresholds[thresholds["batch"] == ""]
        columns = {name: values[name].to_numpy() for name in values.columns}
        pooled = pooled.assign(**{name: "" for name in ("sample", "method") if name not in pooled})
        pooled = pooled[pooled["sample"] == ""]
        limits = {(r.population_parent, r.marker): (r.threshold, r.method) for r in pooled.itertuples(index=False)}
        for node in nodes:
            found = []
            for position, rule in enumerate(node.rules if node.measurable else ()):
                limit = rule.limit(*limits.get(node.threshold_key(position), (np.nan, "")))
                if np.isfinite(limit) and set(rule.columns) <= set(values.columns):
                    level = values_of(columns, rule)
                    found.append((rule.words, level >= limit if rule.above else level < limit))
            self._met[node.name] = found
            inside = self._inside[node.parent].copy()
            for _, cells in found:
                inside &= cells
            self._inside[node.name] = inside

    def tell(self, cluster: np.ndarray, population: str) -> tuple[str, str]:
        """What decided for ``population``, and the weakest condition on the way to it."""
        line, node = [], self._nodes[population]
        own: list[tuple[str, np.ndarray]] = []
        parent = ROOT
        while True:
            found = self._met.get(node.name, [])
            line += found
            if found and not own:
                own, parent = found, node.parent
            if node.parent == ROOT:
                break
            node = self._nodes[node.parent]
        if not own:
            return "", ""
        rest = self._inside[parent] & ~cluster
        outside = {label: float(cells[rest].mean()) if rest.any() else 0.0 for label, cells in own}
        inside = {label: float(cells[cluster].mean()) for label, cells in own}
        label = max(inside, key=lambda name: inside[name] - outside[name])
        above = "all cells" if parent == ROOT else parent
        decided = f"{label}: {inside[label]:.0%} of the cluster, {outside[label]:.0%} of the rest of {above}"
        share, weak = min((float(cells[cluster].mean()), name) for name, cells in line)
        return decided, f"fewest meet {weak} ({share:.0%})"


def _spread(values: pd.DataFrame) -> pd.Series:
    quartiles = values.quantile([0.1, 0.9])
    return (quartiles.iloc[1] - quartiles.iloc[0]).clip(lower=0.5)


def _marks(cluster: pd.Series, middle: pd.Series, spread: pd.Series, count: int = 4) -> str:
    """The markers that set a cluster apart: its median against all cells, in units of the marker's range."""
    score = (cluster - middle) / spread
    best = score.abs().sort_values(ascending=False, kind="stable").index[:count]
    return " ".join(f"{marker}{'+' if score[marker] > 0 else '-'}" for marker in best if abs(score[marker]) > 0.25)
