"""The one job that sees the whole cohort, through the sketch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from treset.compute import Backend, need, open_backend, too_large
from treset.compute.cpu import by_size
from treset.errors import TresetError
from treset.io.cells import kept_rows, read_rows, read_values, variables_of
from treset.io.h5ad import write_h5ad
from treset.io.table import write_tsv
from treset.jobs.again import on_backend
from treset.jobs.gating import find_thresholds, read_gate_cells
from treset.jobs.tree import study_nodes
from treset.phenotype import annotate, gates, sketch
from treset.phenotype.adjusted import confusion
from treset.phenotype.batch import correct
from treset.phenotype.cluster import cluster_cells, overcluster
from treset.phenotype.concordance import concordance
from treset.phenotype.map import majority, others, reach
from treset.phenotype.represent import fit_representation, variable_genes
from treset.phenotype.rna_sketch import PROTEIN, gate_sketch
from treset.phenotype.rna_tree import described
from treset.phenotype.tree import Node, rule_markers
from treset.plain import to_plain
from treset.study.model import Cohort, Gates, Population

if TYPE_CHECKING:
    from anndata import AnnData

PANEL_COLUMNS = ["sample", "marker", "channel", "how"]


@dataclass(frozen=True)
class CohortSettings:
    """What the cohort job does."""

    modality: str
    cohort: Cohort
    populations: tuple[Population, ...]
    n_top_genes: int
    backend: Literal["auto", "gpu", "cpu"]
    seed: int
    gates: Gates = field(default_factory=Gates)
    #: Why this run is on the CPU after a GPU ran out of memory; "" on the first try.
    fell_back: str = ""


def cohort(samples: Mapping[str, Path], settings: CohortSettings, folder: Path) -> None:
    """Sketch, embed, graph, cluster, lay out, gate and name.

    Parameters
    ----------
    samples
        Sample id -> its prepared cells.
    settings
        The study's.
    folder
        ``sketch.h5ad``, ``clusters.tsv``, ``stability.tsv``, ``concordance.tsv``, ``populations.tsv``,
        ``thresholds.tsv`` and ``panel.tsv`` are written there.
    """
    on_backend("cohort", lambda own: _cohort(samples, own, folder), settings, {"samples": samples, "folder": folder})


def _cohort(samples: Mapping[str, Path], settings: CohortSettings, folder: Path) -> None:
    options = settings.cohort
    size = min(options.sketch_cells, sum(len(kept_rows(path)) for path in samples.values()))
    memory, edges = need(size, options.components, options.neighbors), too_large(size, options.neighbors)
    backend = open_backend(settings.backend, memory, settings.fell_back, edges)
    print(f"backend: {backend.choice.used} on {backend.choice.device} ({backend.choice.reason})")
    cells, panel = draw_sketch(samples, settings, backend)
    neighbors, stability = embed(cells, settings, backend)
    nodes = study_nodes(settings.modality, settings.populations, cells)
    thresholds, names, agreement = phenotype(cells, samples, nodes, neighbors, settings, backend)
    if settings.modality == "rna":
        nodes = described(nodes, settings.populations, cells.obs)
    cells.uns["treset"] = _provenance(settings, backend)
    write_tsv(thresholds, folder / "thresholds.tsv")
    write_tsv(names, folder / "clusters.tsv")
    write_tsv(stability, folder / "stability.tsv")
    write_tsv(agreement, folder / "concordance.tsv")
    write_tsv(population_table(nodes), folder / "populations.tsv")
    write_tsv(panel, folder / "panel.tsv")
    write_h5ad(cells, folder / "sketch.h5ad")


def draw_sketch(
    samples: Mapping[str, Path], settings: CohortSettings, backend: Backend
) -> tuple[AnnData, pd.DataFrame]:
    """An equal share of kept cells from every sample.

    Returns
    -------
    The sketch (``obs`` with ``weight`` where it was drawn by density), and ``panel.tsv``: which channel of each file is
    which marker, or how many genes it has.
    """
    import anndata

    seed, how, rna = settings.seed, settings.cohort.sketch, settings.modality == "rna"
    by_density = how == "density" or (how == "auto" and not rna)
    if by_density and rna:
        raise TresetError(
            "cohort.sketch is density, which measures distances between lineage markers and is for cytometry only: "
            "set cohort.sketch: stratified"
        )
    # counts alone: the rows of all cells of all samples would not fit
    kept = {sample: len(kept_rows(path)) for sample, path in samples.items()}
    empty = sorted(sample for sample, cells in kept.items() if not cells)
    if empty:
        raise TresetError(
            f"no cell of sample {', '.join(empty)} passes the quality filters: see its quality.tsv for which filter "
            "drops them, and set 'exclude' with a reason in the sample sheet or change the filter in the config"
        )
    shares = sketch.allocate(kept, settings.cohort.sketch_cells)
    parts, panels = [], []
    for sample, path in samples.items():
        rows, own_seed, size = kept_rows(path), sketch.sample_seed(seed, sample), shares[sample]
        rows = rows[sketch.draw(len(rows), size * (sketch.CANDIDATES if by_density else 1), own_seed)]
        if by_density:
            roles = variables_of(path)["role"]
            lineage = read_values(path, rows, list(roles.index[roles == "lineage"]))[0]
            drawn = sketch.draw_dense(np.ascontiguousarray(lineage), size, own_seed, backend)
            rows = rows[drawn.rows]
        part = read_rows(path, rows, (PROTEIN,))
        found = dict(part.uns.pop("treset_panel")) or {
            "sample": [sample], "marker": ["(genes)"], "channel": [str(part.n_vars)], "how": ["genes in the file"]
        }  # fmt: skip
        panels.append(pd.DataFrame({name: list(values) for name, values in found.items()}, columns=PANEL_COLUMNS))
        if by_density:
            part.obs["weight"] = drawn.weight
        parts.append(part)
    joined = anndata.concat(parts, join="inner", merge="same")
    without = [s for s, part in zip(samples, parts, strict=True) if PROTEIN not in part.obsm]
    if 0 < len(without) < len(parts):
        print(f"surface protein is not used: {len(without)} of {len(parts)} samples have none ({without[0]} ...)")
    lost = max(part.n_vars for part in parts) - joined.n_vars
    if lost:
        print(f"{joined.n_vars} variables are in every sample; {lost} of the largest sample's are not and are not used")
    if not joined.n_vars:
        raise TresetError("the samples have no variable in common: check that they use the same gene names or panel")
    return joined, pd.concat(panels, ignore_index=True)


def embed(cells: AnnData, settings: CohortSettings, backend: Backend) -> tuple[np.ndarray, pd.DataFrame]:
    """Coordinates, clusters and layout of the sketch, into ``cells``.

    Returns
    -------
    Each cell's neighbours (n, k) in the sketch, itself first; and ``stability.tsv``.
    """
    options, seed = settings.cohort, settings.seed
    if settings.modality == "rna":
        chosen = variable_genes(cells.X, settings.n_top_genes)
        cells.var["mean"] = np.asarray(cells.X.mean(axis=0)).ravel()
    else:
        chosen = (cells.var["role"] == "lineage").to_numpy()
    cells.var["embedded"] = chosen
    k = min(options.neighbors, cells.n_obs - 1)
    if k < 2 or not chosen.any():
        raise TresetError(
            f"the sketch has {cells.n_obs} cells and {int(chosen.sum())} variables to cluster by: too few for a graph"
        )
    space, coordinates = fit_representation(
        cells.X[:, chosen], list(cells.var_names[chosen]), options.components, backend, seed
    )
    if options.batch == "harmony":
        cells.obsm["X_pca_uncorrected"] = coordinates
        batch = cells.obs["batch"].to_numpy(dtype=str)
        coordinates = correct(coordinates, batch, settings.modality, backend, seed)
    cells.obsm["X_pca"] = coordinates
    if space.components is not None and space.mean is not None:
        loadings = np.zeros((cells.n_vars, len(space.components)))
        loadings[chosen] = space.components.T
        cells.varm["PCs"] = loadings
        cells.var["pca_mean"] = np.where(chosen, 0.0, np.nan)
        cells.var.loc[chosen, "pca_mean"] = space.mean
    print(f"{cells.n_obs} cells, {int(chosen.sum())} variables, {coordinates.shape[1]} coordinates")
    held = backend.hold(coordinates)
    graph = backend.graph(held, k, seed)
    clusters = cluster_cells(held, graph, options, backend, seed)
    chosen_row = clusters.stability[clusters.stability["chosen"]].iloc[0]
    print(f"{options.algorithm} at {clusters.setting:g}: {clusters.labels.max() + 1} clusters ({chosen_row['note']})")
    cells.obs["cluster"] = pd.Categorical(annotate.cluster_names(clusters.labels))
    cells.obsm["X_umap"] = backend.umap(
        held, graph, min_dist=options.umap_min_dist, epochs=options.umap_epochs, seed=seed
    )
    # the wider search first: it answers the other
    neighbors, _ = backend.knn(held, held, k)
    cells.uns["reach"] = reach(backend, held)
    return neighbors, clusters.stability


def phenotype(
    cells: AnnData,
    samples: Mapping[str, Path],
    nodes: Sequence[Node],
    neighbors: np.ndarray,
    settings: CohortSettings,
    backend: Backend,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Thresholds, gates and named clusters of the sketch; of cytometry the thresholds are found on more cells.

    ``population`` and ``cluster_population`` go into ``cells.obs``; ``cluster`` is replaced by the clusters that the
    tree has split and merged, with what was found without it in ``cluster_before_merge``. ``cells.uns["stain"]`` tells
    the map what a sample's stain is compared with.

    Returns
    -------
    ``thresholds.tsv``, ``clusters.tsv`` and ``concordance.tsv``.
    """
    batch, sample = (cells.obs[name].to_numpy(dtype=str) for name in ("batch", "sample"))
    if settings.modality == "rna":
        gated, thresholds, shown = gate_sketch(cells, nodes, neighbors, backend, settings.seed)
        columns, nodes = gated.columns, gated.nodes
    else:
        columns = {m: np.asarray(cells.X[:, i]) for i, m in enumerate(cells.var_names)}
        shown = pd.DataFrame(columns)
        drawn = read_gate_cells(samples, list(cells.var_names), settings.cohort.gate_cells, settings.seed)
        print(f"thresholds are found on {len(drawn.sample)} cells")
        thresholds, cells.uns["stain"] = find_thresholds(drawn, nodes, settings.gates.overrides)
        del drawn
    weight = cells.obs["weight"].to_numpy() if "weight" in cells.obs else None
    masks = gates.apply_gates(columns, batch, nodes, thresholds, sample)
    population, _ = gates.deepest(masks, nodes)
    purity, markers = settings.cohort.min_purity, rule_markers(nodes)
    read = cells.obsm["X_pca"] if settings.modality == "rna" else np.column_stack([columns[m] for m in markers])
    fine = overcluster(read, settings.cohort.overcluster, backend, settings.seed) if markers else None
    if fine is not None:
        cells.obs["cluster_before_merge"] = cells.obs["cluster"]
        merged = annotate.merge_by_tree(
            cells.obs["cluster"].cat.codes.to_numpy(), fine, population, nodes, purity, weight
        )
        cells.obs["cluster"] = pd.Categorical(annotate.cluster_names(by_size(merged)))
        print(f"{merged.max() + 1} clusters after merging {len(np.unique(fine))} small ones by the tree")
    cluster = cells.obs["cluster"].to_numpy(dtype=str)
    names = annotate.name_clusters(cluster, population, nodes, shown, purity, thresholds=thresholds, weight=weight)
    called = cells.obs["cluster"].map(dict(zip(names["cluster"], names["population"], strict=True))).astype(str)
    codes = cells.obs["cluster"].cat.codes.to_numpy()
    # each cell put to the vote of its neighbours, itself left out, as the map does
    votes = min(settings.cohort.map_neighbors, neighbors.shape[1] - 1)
    near = others(neighbors, np.arange(cells.n_obs), votes)
    voted = majority(codes[near], int(codes.max()) + 1)
    first = pd.Series(called.to_numpy()).groupby(codes).first()
    cells.obs["population"] = pd.Categorical(population)
    cells.obs["cluster_population"] = pd.Categorical(called)
    by_vote = first.loc[voted].to_numpy(dtype=str)
    known, both = np.unique(np.append(called.to_numpy(dtype=str), by_vote), return_inverse=True)
    table = confusion(both[: cells.n_obs], both[cells.n_obs :], len(known), weight)
    cells.uns["vote"] = {"population": known.astype(object), "neighbors": votes, "table": table}
    agreement = concordance(masks, population, called.to_numpy(dtype=str), nodes, weight, by_vote)
    return thresholds, names, agreement


def population_table(nodes: Sequence[Node]) -> pd.DataFrame:
    """``populations.tsv``: what can be measured here, and why not."""
    rows = [
        (n.name, n.parent, n.ontology, n.measurable, "; ".join(filter(None, [n.reason, *n.notes])), n.text, n.source)
        for n in nodes
    ]
    return pd.DataFrame(rows, columns=["population", "parent", "ontology", "measurable", "reason", "rule", "source"])


def _provenance(settings: CohortSettings, backend: Backend) -> dict[str, str]:
    """What ran, as text: backend, device, versions, seed, parameters."""
    packages = ["treset", "numpy", "scipy", "pandas", "anndata", "faiss-cpu", "igraph", "umap-learn", "scanpy"]
    return {
        **{f"backend_{key}": value for key, value in backend.choice.as_dict().items()},
        "seed": str(settings.seed),
        "versions": json.dumps({name: version(name) for name in packages} | backend.versions()),
        "parameters": json.dumps(to_plain(settings.cohort)),
        "modality": settings.modality,
        "populations": json.dumps(to_plain(settings.populations)),
    }
