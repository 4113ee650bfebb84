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
from scipy import sparse

from treset.compute import Backend, open_backend
from treset.errors import TresetError
from treset.io.h5ad import read_h5ad, write_h5ad
from treset.io.table import write_tsv
from treset.phenotype import annotate, gates, sketch
from treset.phenotype.map import reach, smooth
from treset.phenotype.represent import fit_representation, variable_genes
from treset.phenotype.samples import add_spread
from treset.phenotype.tree import Node, resolve, rule_markers, spelling
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


def cohort(samples: Mapping[str, Path], settings: CohortSettings, folder: Path) -> None:
    """Sketch, embed, graph, cluster, lay out, gate and name.

    Parameters
    ----------
    samples
        Sample id -> its prepared cells.
    settings
        The study's.
    folder
        ``sketch.h5ad``, ``clusters.tsv``, ``populations.tsv`` and ``thresholds.tsv`` are written there.
    """
    backend = open_backend(settings.backend)
    print(f"backend: {backend.choice.used} on {backend.choice.device} ({backend.choice.reason})")
    cells, panel = draw_sketch(samples, settings.cohort.sketch_cells, settings.seed)
    neighbors = embed(cells, settings, backend)
    nodes = resolve(settings.populations, cells.var_names, spelling(settings.modality))
    thresholds, names = phenotype(cells, nodes, neighbors, settings)
    cells.uns["treset"] = _provenance(settings, backend)
    write_tsv(thresholds, folder / "thresholds.tsv")
    write_tsv(names, folder / "clusters.tsv")
    write_tsv(population_table(nodes), folder / "populations.tsv")
    write_tsv(panel, folder / "panel.tsv")
    write_h5ad(cells, folder / "sketch.h5ad")


def draw_sketch(samples: Mapping[str, Path], budget: int, seed: int) -> tuple[AnnData, pd.DataFrame]:
    """An equal share of kept cells from every sample.

    Returns
    -------
    The sketch, and ``panel.tsv``: which channel of each file is which marker, or how many genes it has.
    """
    import anndata

    kept = {sample: np.flatnonzero(_keep(path)) for sample, path in samples.items()}
    empty = sorted(sample for sample, rows in kept.items() if not len(rows))
    if empty:
        raise TresetError(
            f"no cell of sample {', '.join(empty)} passes the quality filters: see its quality.tsv for which filter "
            "drops them, and set 'exclude' with a reason in the sample sheet or change the filter in the config"
        )
    shares = sketch.allocate({sample: len(rows) for sample, rows in kept.items()}, budget)
    parts, panels = [], []
    for sample, path in samples.items():
        rows = kept[sample][sketch.draw(len(kept[sample]), shares[sample], sketch.sample_seed(seed, sample))]
        whole = read_h5ad(path)
        found = dict(whole.uns["treset_panel"]) or {
            "sample": [sample], "marker": ["(genes)"], "channel": [str(whole.n_vars)], "how": ["genes in the file"]
        }  # fmt: skip
        panels.append(pd.DataFrame({name: list(values) for name, values in found.items()}, columns=PANEL_COLUMNS))
        obs = whole.obs[["sample", "batch"]].iloc[rows].astype(str)
        part = anndata.AnnData(whole.X[rows], obs=obs, var=whole.var)
        parts.append(part)
    joined = anndata.concat(parts, join="inner", merge="same")
    lost = max(part.n_vars for part in parts) - joined.n_vars
    if lost:
        print(f"{joined.n_vars} variables are in every sample; {lost} of the largest sample's are not and are not used")
    if not joined.n_vars:
        raise TresetError("the samples have no variable in common: check that they use the same gene names or panel")
    return joined, pd.concat(panels, ignore_index=True)


def embed(cells: AnnData, settings: CohortSettings, backend: Backend) -> np.ndarray:
    """Coordinates, clusters and layout of the sketch, into ``cells``.

    Returns
    -------
    Each cell's neighbours (n, k) in the sketch, itself first.
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
    cells.obsm["X_pca"] = coordinates
    if space.components is not None and space.mean is not None:
        loadings = np.zeros((cells.n_vars, len(space.components)))
        loadings[chosen] = space.components.T
        cells.varm["PCs"] = loadings
        cells.var["pca_mean"] = np.where(chosen, 0.0, np.nan)
        cells.var.loc[chosen, "pca_mean"] = space.mean
    print(f"{cells.n_obs} cells, {int(chosen.sum())} variables, {coordinates.shape[1]} coordinates")
    graph = backend.graph(coordinates, k, seed)
    labels = backend.leiden(graph, options.resolution, seed)
    found = int(labels.max()) + 1
    if found > options.max_clusters:
        raise TresetError(
            f"Leiden found {found} clusters, more than cohort.max_clusters = {options.max_clusters}: "
            f"lower cohort.resolution ({options.resolution})"
        )
    print(f"{found} clusters")
    cells.obs["cluster"] = pd.Categorical(annotate.cluster_names(labels))
    cells.obsm["X_umap"] = backend.umap(
        coordinates, graph, min_dist=options.umap_min_dist, epochs=options.umap_epochs, seed=seed
    )
    cells.uns["reach"] = reach(backend, coordinates)
    return backend.knn(coordinates, coordinates, k)[0]


def phenotype(
    cells: AnnData, nodes: Sequence[Node], neighbors: np.ndarray, settings: CohortSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Thresholds, gates and cluster names of the sketch; ``population`` and ``cluster_population`` into ``cells.obs``.

    Returns
    -------
    ``thresholds.tsv`` and ``clusters.tsv``.
    """
    batch = cells.obs["batch"].to_numpy(dtype=str)
    markers = rule_markers(nodes)
    if settings.modality == "rna":
        raw = _dense(cells[:, markers].X)
        columns = dict(zip(markers, smooth(raw, neighbors).T, strict=True))
        limits = {"floor": 0.05, "min_distance": 0.2}
        extra: list[str] = []
    else:
        columns = {m: np.asarray(cells.X[:, i]) for i, m in enumerate(cells.var_names)}
        limits = {"floor": 0.5, "min_distance": 0.6}
        extra = list(cells.var_names)
    sample = cells.obs["sample"].to_numpy(dtype=str)
    thresholds = gates.fit_thresholds(
        columns, batch, nodes, positivity=extra, sample=sample, overrides=settings.gates.overrides, **limits
    )
    if settings.modality != "rna":
        thresholds = add_spread(thresholds, columns, batch, sample, nodes)
    population, _ = gates.deepest(gates.apply_gates(columns, batch, nodes, thresholds, sample), nodes)
    cluster = cells.obs["cluster"].to_numpy(dtype=str)
    shown = pd.DataFrame(columns)
    names = annotate.name_clusters(cluster, population, nodes, shown, settings.cohort.min_purity)
    cells.obs["population"] = pd.Categorical(population)
    cells.obs["cluster_population"] = pd.Categorical(
        cells.obs["cluster"].map(dict(zip(names["cluster"], names["population"], strict=True))).astype(str)
    )
    return thresholds, names


def population_table(nodes: Sequence[Node]) -> pd.DataFrame:
    """``populations.tsv``: what can be measured here, and why not."""
    rows = [
        (n.name, n.parent, n.ontology, n.measurable, "; ".join(filter(None, [n.reason, *n.notes])), n.text, n.source)
        for n in nodes
    ]
    return pd.DataFrame(rows, columns=["population", "parent", "ontology", "measurable", "reason", "rule", "source"])


def _keep(path: Path) -> np.ndarray:
    import h5py

    with h5py.File(path, "r") as file:
        return file["obs/keep"][:].astype(bool)


def _dense(x: np.ndarray | sparse.spmatrix) -> np.ndarray:
    return x.toarray() if sparse.issparse(x) else np.asarray(x)


def _provenance(settings: CohortSettings, backend: Backend) -> dict[str, str]:
    """What ran, as text: backend, device, versions, seed, parameters."""
    packages = ["treset", "numpy", "scipy", "pandas", "anndata", "faiss-cpu", "igraph", "umap-learn", "scanpy"]
    return {
        **{f"backend_{key}": value for key, value in backend.choice.as_dict().items()},
        "seed": str(settings.seed),
        "versions": json.dumps({name: version(name) for name in packages}),
        "parameters": json.dumps(to_plain(settings.cohort)),
    }
