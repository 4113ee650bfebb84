"""Every cell of one sample gets its cluster, population and place; the sample gets its rows of the waist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from treset.compute import Backend, need, open_backend
from treset.errors import TresetError
from treset.io.cells import CHUNK, Kept, extend_h5ad, read_kept, slices
from treset.io.files import atomic
from treset.io.h5ad import read_h5ad
from treset.io.table import write_tsv
from treset.jobs.again import on_backend
from treset.jobs.tree import study_nodes
from treset.phenotype import gates, isotypes, samples, signatures
from treset.phenotype.adjusted import sizes
from treset.phenotype.batch import follow
from treset.phenotype.map import Placement, joined, place
from treset.phenotype.measures import (
    ROW_COLUMNS,
    Group,
    Values,
    cluster_groups,
    gate_groups,
    resized,
    sample_rows,
)
from treset.phenotype.represent import Representation
from treset.phenotype.rna_sketch import CONFIDENCE, PROTEIN, Gated, gate_cells, proteins
from treset.phenotype.tree import ROOT, Node, rule_markers
from treset.study.model import Population, Signature

if TYPE_CHECKING:
    from anndata import AnnData


#: Kept cells; those further from the sketch's cells than these are from each other, which get no cluster; those in no
#: population by gate; and the median share of neighbours that agree on a cell's cluster.
MAPPING_COLUMNS = ["sample", "cells", "unlike_sketch", "unassigned", "median_confidence"]


@dataclass(frozen=True)
class MapSettings:
    """What map does, the same for every sample of a study."""

    modality: str
    populations: tuple[Population, ...]
    signatures: tuple[Signature, ...]
    #: Neighbours that vote, and those that smooth RNA.
    map_neighbors: int
    neighbors: int
    backend: Literal["auto", "gpu", "cpu"]
    seed: int
    #: Cytometry: the sample's thresholds follow its stain.
    per_sample: bool = True
    #: Why this run is on the CPU after a GPU ran out of memory; "" on the first try.
    fell_back: str = ""


def map_sample(
    prepared: Path,
    folder: Path,
    settings: MapSettings,
    cells_out: Path,
    profile_out: Path,
    thresholds_out: Path | None = None,
    mapping_out: Path | None = None,
) -> None:
    """Map one sample onto the cohort and measure it.

    Parameters
    ----------
    prepared
        The sample's prepared cells.
    folder
        The cohort's results.
    settings
        The study's.
    cells_out, profile_out
        Written: ``cells.h5ad`` and ``profile.parquet``.
    thresholds_out
        Written where given: the thresholds of this sample, columns as in ``cohort/thresholds.tsv``.
    mapping_out
        Written where given: one row, :data:`MAPPING_COLUMNS`.
    """
    paths = {
        "prepared": prepared, "folder": folder, "cells_out": cells_out, "profile_out": profile_out,
        "thresholds_out": thresholds_out, "mapping_out": mapping_out,
    }  # fmt: skip
    outputs = (cells_out, profile_out, thresholds_out, mapping_out)
    on_backend("map", lambda own: _map(prepared, folder, own, *outputs), settings, paths)


def _map(
    prepared: Path, folder: Path, settings: MapSettings, cells_out: Path, profile_out: Path,
    thresholds_out: Path | None, mapping_out: Path | None,
) -> None:  # fmt: skip
    sketch = read_h5ad(folder / "sketch.h5ad")
    found = read_kept(prepared, list(sketch.var_names), (PROTEIN,) if settings.modality == "rna" else ())
    inside, n_kept = found.cells, len(found.rows)
    if not n_kept:
        raise TresetError(f"{prepared}: no cell passes the quality filters; exclude the sample or change the filters")
    names = pd.read_csv(folder / "clusters.tsv", sep="\t", keep_default_na=False)
    thresholds = pd.read_csv(
        folder / "thresholds.tsv",
        sep="\t",
        keep_default_na=False,
        na_values={"threshold": [""], "spread": [""]},
        dtype={"batch": str, "sample": str},
    )
    nodes = study_nodes(settings.modality, settings.populations, sketch)
    backend = open_backend(settings.backend, need(sketch.n_obs, sketch.obsm["X_pca"].shape[1], 0), settings.fell_back)
    where = _placed(inside, sketch, settings, backend)
    cluster = np.append(sketch.obs["cluster"].cat.categories.to_numpy(dtype=object), "")[where.cluster]

    batch = inside.obs["batch"].to_numpy(dtype=str)
    sample = str(inside.obs["sample"].iloc[0])
    own = _own_thresholds(inside, sketch, nodes, thresholds, sample, settings)
    thresholds = pd.concat([thresholds[thresholds["sample"] == ""], own], ignore_index=True)
    certain = None
    if settings.modality == "rna":
        read, values = _read_rna(inside, sketch, nodes, thresholds, where.neighbors, settings, backend)
        gated, nodes, certain = read.columns, read.nodes, read.confidence
    else:
        gated, values = _read(inside, thresholds, settings)
    masks = gates.apply_gates(gated, batch, nodes, thresholds, np.full(n_kept, sample))
    population, reason = gates.deepest(masks, nodes)
    by_cluster = cluster_groups(cluster, names, nodes)
    table = pd.concat(
        [
            sample_rows(sample, "gate", gate_groups(masks, nodes), values, n_kept),
            sample_rows(sample, "cluster", by_cluster, values, n_kept),
            _adjusted_rows(sample, cluster, names, by_cluster, nodes, sketch, settings),
        ],
        ignore_index=True,
    )
    print(f"{sample}: {backend.choice.used} on {backend.choice.device} ({backend.choice.reason})")
    far, nowhere = int((where.cluster < 0).sum()), int((population == "unassigned").sum())
    print(f"{sample}: {n_kept} of {found.n_obs} cells kept, {far} unlike the sketch, {nowhere} in no population")
    with atomic(profile_out) as path:
        table[ROW_COLUMNS].to_parquet(path, index=False)

    if thresholds_out is not None:
        write_tsv(own, thresholds_out)
    if mapping_out is not None:
        row = (sample, n_kept, far, nowhere, round(float(np.median(where.confidence)), 4))
        write_tsv(pd.DataFrame([row], columns=MAPPING_COLUMNS), mapping_out)

    reason = np.where(where.cluster < 0, "unlike the sketch; " + reason.astype(object), reason)
    named = dict(zip(names["cluster"], names["population"], strict=True))
    called = np.array([named.get(c, "unassigned") for c in cluster], dtype=object)
    columns: dict[str, Any] = {
        "cluster": _label(found, cluster),
        "cluster_population": _label(found, called),
        "population": _label(found, population),
        "population_reason": _label(found, reason, "dropped by quality"),
        "cluster_confidence": _number(found, where.confidence),
    }
    if certain is not None:
        columns[CONFIDENCE] = _number(found, certain)
    ran = {f"map_backend_{key}": value for key, value in backend.choice.as_dict().items()}
    extend_h5ad(
        prepared,
        cells_out,
        columns,
        {"X_umap": _number(found, where.umap)},
        {"treset": {**sketch.uns["treset"], **ran}},
    )


def _adjusted_rows(
    sample: str, cluster: np.ndarray, names: pd.DataFrame, by_cluster: Sequence[Group], nodes: Sequence[Node],
    sketch: AnnData, settings: MapSettings,
) -> pd.DataFrame:  # fmt: skip
    """Sizes of the named populations by cluster, freed of what the vote gets wrong."""
    known = sketch.uns.get("vote")
    if known is None or int(known["neighbors"]) != settings.map_neighbors:
        print(f"{sample}: no adjusted shares, as the sketch does not tell how {settings.map_neighbors} neighbours vote")
        return pd.DataFrame(columns=ROW_COLUMNS)
    called = names.set_index("cluster")["population"].to_dict()
    votes = pd.Series(cluster).value_counts().groupby(called).sum().to_dict()
    groups = resized(by_cluster, nodes, sizes(votes, known))
    return sample_rows(sample, "adjusted", groups, Values({}, {}, {}), len(cluster))


def _placed(inside: AnnData, sketch: AnnData, settings: MapSettings, backend: Backend) -> Placement:
    """Every cell's place in the sketch, by parts, which bound the memory and change nothing."""
    space = _representation(sketch)
    reference = backend.hold(np.ascontiguousarray(sketch.obsm["X_pca"], dtype=np.float32))
    clusters, layout = sketch.obs["cluster"].cat.codes.to_numpy(), sketch.obsm["X_umap"]
    batch = inside.obs["batch"].to_numpy(dtype=str)
    columns = inside.var_names.get_indexer(list(space.variables))
    own = sketch.obs_names.get_indexer(inside.obs_names)
    rna = settings.modality == "rna"
    k = max(settings.map_neighbors, settings.neighbors if rna else 0)
    parts = []
    for part in slices(inside.n_obs, CHUNK):
        coordinates = space.transform(inside.X[part][:, columns])
        if "X_pca_uncorrected" in sketch.obsm:
            coordinates = follow(
                coordinates, batch[part], sketch.obsm["X_pca_uncorrected"], sketch.obsm["X_pca"],
                sketch.obs["batch"].to_numpy(dtype=str), backend,
            )  # fmt: skip
        reach_of = float(sketch.uns["reach"])
        votes = settings.map_neighbors
        parts.append(place(backend, reference, clusters, layout, coordinates, k, reach_of, votes, rna, own[part]))
    return joined(parts)


def _own_thresholds(
    inside: AnnData,
    sketch: AnnData,
    nodes: Sequence[Node],
    thresholds: pd.DataFrame,
    sample: str,
    settings: MapSettings,
) -> pd.DataFrame:
    """The thresholds that hold for this sample: those of its stain, or those of its batch."""
    batch = str(inside.obs["batch"].iloc[0])
    if settings.modality == "rna" or not settings.per_sample:
        return samples.base_thresholds(thresholds, batch, sample)[gates.THRESHOLD_COLUMNS]
    if "stain" in sketch.uns:
        known = samples.reference_of(thresholds, sketch.uns["stain"], batch)
    else:  # frozen by a version whose thresholds were found on the sketch
        known = _reference_of_sketch(sketch, nodes, thresholds, batch)
    columns = {marker: np.asarray(inside.X[:, i]) for i, marker in enumerate(inside.var_names)}
    return samples.sample_thresholds(thresholds, columns, batch, sample, nodes, known)


def _reference_of_sketch(
    sketch: AnnData, nodes: Sequence[Node], thresholds: pd.DataFrame, batch: str
) -> samples.Reference:
    fit = sketch.obs["uniform"].to_numpy() if "uniform" in sketch.obs else np.ones(sketch.n_obs, dtype=bool)
    around = {marker: np.asarray(sketch.X[fit, i]) for i, marker in enumerate(sketch.var_names)}
    batches, owners = (sketch.obs[name].to_numpy(dtype=str)[fit] for name in ("batch", "sample"))
    return samples.reference(thresholds, around, batches, owners, nodes, batch)


def _read(inside: AnnData, thresholds: pd.DataFrame, settings: MapSettings) -> tuple[dict[str, np.ndarray], Values]:
    """The columns that the gates read, and the values that are measured, of cytometry."""
    columns = {marker: np.asarray(inside.X[:, i]) for i, marker in enumerate(inside.var_names)}
    batch, sample = (inside.obs[name].to_numpy(dtype=str) for name in ("batch", "sample"))
    limits = gates.limits_of(thresholds)
    positive = {}
    for marker, column in columns.items():
        if (ROOT, marker) in limits:
            limit = gates.limit_of_cells(limits[ROOT, marker], batch, sample)
            if np.isfinite(limit).all():
                positive[marker] = column >= limit
    scores = {s.name: signatures.score_markers(s, columns) for s in settings.signatures}
    return columns, Values(columns, positive, {name: score for name, score in scores.items() if score is not None})


def _read_rna(
    inside: AnnData, sketch: AnnData, nodes: list[Node], thresholds: pd.DataFrame, neighbors: np.ndarray,
    settings: MapSettings, backend: Backend,
) -> tuple[Gated, Values]:  # fmt: skip
    """What the gates read, pooled, and the values that are measured: each cell's own.

    Means over a population need no pooling, and pooled values would carry other samples' cells into a sample's mean.
    """
    gated = gate_cells(inside, sketch, nodes, thresholds, neighbors[:, : settings.neighbors - 1], backend)
    markers = [marker for marker in rule_markers(nodes) if marker in inside.var_names]
    wanted = {gene for s in settings.signatures for gene in (*s.genes, *s.genes_down)} | set(markers)
    wanted |= set(isotypes.GENES)
    genes = [gene for gene in sketch.var_names if gene in wanted]
    shown = inside[:, genes].X
    shown = shown.toarray() if sparse.issparse(shown) else np.asarray(shown)
    columns = {gene: shown[:, i] for i, gene in enumerate(genes)}
    scores = {}
    for signature in settings.signatures:
        weights = signatures.gene_weights(
            signature, list(sketch.var_names), sketch.var["mean"].to_numpy(), settings.seed
        )
        if weights is not None:
            scores[signature.name] = signatures.score_genes(inside.X, weights)
    positive = {gene: column > 0 for gene, column in columns.items()} | isotypes.classes(columns)
    return gated, Values(columns | proteins(inside), positive, scores, location="mean")


def _representation(sketch: AnnData) -> Representation:
    used = sketch.var["embedded"].to_numpy()
    variables = tuple(sketch.var_names[used])
    if "PCs" not in sketch.varm:
        return Representation(variables, None, None)
    return Representation(variables, sketch.var["pca_mean"].to_numpy()[used], np.asarray(sketch.varm["PCs"])[used].T)


def _label(found: Kept, labels: np.ndarray, dropped: str = "") -> pd.Categorical:
    """A column of all cells of the file; ``dropped`` where quality dropped the cell."""
    full = np.full(found.n_obs, dropped, dtype=object)
    full[found.rows] = labels
    return pd.Categorical(full)


def _number(found: Kept, values: np.ndarray) -> np.ndarray:
    """As :func:`_label`, float32, NaN where dropped."""
    full = np.full((found.n_obs, *values.shape[1:]), np.nan, dtype=np.float32)
    full[found.rows] = values
    return full
