"""RNA's share of the cohort and map jobs: from an AnnData to what the gates read, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from treset.compute import Backend
from treset.phenotype import rna
from treset.phenotype.gates import apply_gates, deepest
from treset.phenotype.represent import Representation
from treset.phenotype.rna_calls import confidence, membership
from treset.phenotype.tree import Node, rule_markers

if TYPE_CHECKING:
    from anndata import AnnData

#: Column of a cell's table: how repeatable its population is (:func:`treset.phenotype.rna_calls.membership`).
CONFIDENCE = "population_confidence"
#: Where surface protein is kept (DataFrame of centred log-ratios, columns ``CD4 (protein)``).
PROTEIN = "protein"


@dataclass(frozen=True)
class Gated:
    """What the gates read, and with what result.

    Attributes
    ----------
    columns
        Rule's label -> (n,).
    nodes
        The tree, each rule reading one of the columns.
    confidence
        (n,) float32 of each cell's most specific population, NaN for a cell in none.
    """

    columns: dict[str, np.ndarray]
    nodes: list[Node]
    confidence: np.ndarray


def proteins(cells: AnnData) -> dict[str, np.ndarray]:
    """Surface protein by column; empty where there is none."""
    table = cells.obsm.get(PROTEIN)
    return {} if table is None else {name: table[name].to_numpy(dtype=np.float64) for name in table}


def gate_sketch(
    cells: AnnData, nodes: Sequence[Node], neighbors: np.ndarray, backend: Backend, seed: int
) -> tuple[Gated, pd.DataFrame, pd.DataFrame]:
    """Find thresholds and spaces on the sketch; the spaces and ``population_confidence`` are written into ``cells``.

    Parameters
    ----------
    cells
        The sketch: ``X`` log-normalised, ``obs["batch"]``.
    nodes
        The resolved tree.
    neighbors
        (n, k) in the space of all cells, itself first.
    backend, seed
        For the spaces of the populations.

    Returns
    -------
    What the gates read; ``thresholds.tsv``; the values shown as the clusters' evidence (n, genes).
    """
    batch, extra = cells.obs["batch"].to_numpy(dtype=str), proteins(cells)
    x = sparse.csr_matrix(cells.X)
    pooled, thresholds, spaces = rna.fit(
        x, list(cells.var_names), neighbors, batch, nodes, backend, seed=seed, extra=extra
    )
    _store(cells, spaces)
    gated = _gated(pooled, batch, nodes, thresholds)
    cells.obs[CONFIDENCE] = gated.confidence
    genes = [marker for marker in rule_markers(nodes) if marker not in extra]
    own = x[:, cells.var_names.get_indexer(genes)].toarray()
    shown = pd.DataFrame(
        {gene: own[:, i][neighbors].mean(axis=1) for i, gene in enumerate(genes)} | extra, range(len(x.indptr) - 1)
    )
    return gated, thresholds, shown


def gate_cells(
    cells: AnnData, sketch: AnnData, nodes: Sequence[Node], thresholds: pd.DataFrame, neighbors: np.ndarray,
    backend: Backend,
) -> Gated:  # fmt: skip
    """Read the gates on the cells of one sample, as :func:`gate_sketch` did on the sketch.

    Parameters
    ----------
    cells
        The sample's kept cells, genes as in the sketch.
    sketch
        As written by the cohort job.
    nodes, thresholds
        The resolved tree and ``thresholds.tsv``.
    neighbors
        (n, k) rows of the sketch in the space of all cells.
    backend
        Where neighbours are searched.
    """
    batch = cells.obs["batch"].to_numpy(dtype=str)
    pooled = rna.read(
        sparse.csr_matrix(cells.X), list(cells.var_names), sparse.csr_matrix(sketch.X), neighbors, batch, nodes,
        thresholds, _stored(sketch), backend, extra=proteins(cells),
    )  # fmt: skip
    return _gated(pooled, batch, nodes, thresholds)


def _gated(pooled: rna.Pooled, batch: np.ndarray, nodes: Sequence[Node], thresholds: pd.DataFrame) -> Gated:
    single, _ = rna.joined(nodes)
    population, _ = deepest(apply_gates(pooled.columns, batch, single, thresholds), single)
    return Gated(pooled.columns, single, confidence(membership(pooled, batch, nodes, thresholds), population))


def _store(cells: AnnData, spaces: Sequence[rna.Space]) -> None:
    cells.uns["rna_spaces"] = np.array([space.population for space in spaces], dtype=object)
    for i, space in enumerate(spaces):
        used = cells.var_names.get_indexer(list(space.representation.variables))
        coordinates = np.full((cells.n_obs, space.coordinates.shape[1]), np.nan, dtype=np.float32)
        coordinates[space.rows] = space.coordinates
        cells.obsm[f"X_space{i}"] = coordinates
        mean = np.full(cells.n_vars, np.nan)
        mean[used] = 0.0 if space.representation.mean is None else space.representation.mean
        cells.var[f"space{i}_mean"] = mean
        if space.representation.components is not None:
            loadings = np.zeros((cells.n_vars, len(space.representation.components)))
            loadings[used] = space.representation.components.T
            cells.varm[f"PCs_space{i}"] = loadings


def _stored(sketch: AnnData) -> list[rna.Space]:
    spaces = []
    for i, population in enumerate(sketch.uns["rna_spaces"]):
        mean = sketch.var[f"space{i}_mean"].to_numpy()
        used = np.flatnonzero(np.isfinite(mean))
        loadings = sketch.varm.get(f"PCs_space{i}")
        space = Representation(
            tuple(sketch.var_names[used]),
            None if loadings is None else mean[used],
            None if loadings is None else np.asarray(loadings)[used].T,
        )
        coordinates = np.asarray(sketch.obsm[f"X_space{i}"])
        rows = np.flatnonzero(np.isfinite(coordinates).all(axis=1))
        spaces.append(rna.Space(str(population), space, rows, np.ascontiguousarray(coordinates[rows])))
    return spaces
