"""Clusters alone against manual gates, and what becomes of rare populations in a sketch.

    TRESET_DATA=/path/to/data python benchmarks/phenotypes_clusters.py [cells in the sketch, the product's default]

The 28 files of ``himc_plate3`` are one control, one file a manual gate; they are pooled into one sample, so that the
file (the label) is unknown to everything but the score. F1 is that of the best cluster of each gate ("best") and that
of the best one-to-one matching ("Hungarian", Weber 2016, doi:10.1002/cyto.a.23030), mean over the gates. "FlowSOM"
is the own map of 10 x 10 nodes with 40 consensus metaclusters: the Python package is GPL and is not used.
Three readings of each clustering: "clusters" as the algorithm found them (no tree), "split" by the names of the small
clusters, and "named": all clusters of one name together. The names come from the gates of the cells.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import anndata
import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from treset.compute import open_backend
from treset.io import read_sample
from treset.io.h5ad import write_h5ad
from treset.io.panel import apply_panel
from treset.jobs.cohort import CohortSettings, draw_sketch, embed, phenotype
from treset.normalise.cytometry import transform
from treset.phenotype.map import place
from treset.phenotype.tree import resolve, spelling
from treset.study import panel_rows, read_study
from treset.study.model import Cohort

sys.path.insert(0, str(Path(__file__).parent))
from real_studies import write_study

RESULT = Path(__file__).parent / "results" / "phenotypes_clusters.json"
#: Gates that are named cell populations; the other eight are remainders of the gating ("neither ... nor").
REMAINDERS = {
    *("CD4CD8dblneg", "CD4CD8dblpos", "Non-pDC-non-mDC", "NonNK-nonDC", "NKT"),
    *("Monocytes-CD16negCD14neg", "Monocytes-CD16posCD14neg", "Monocytes-CD16posCD14pos"),
}


def pool(data: Path, folder: Path) -> tuple[anndata.AnnData, np.ndarray, tuple]:
    """All events of the 28 files as one sample, shuffled; the gate of each; the study's populations."""
    study = read_study(write_study("himc", data, folder) / "config.yaml")
    panel = pd.DataFrame(panel_rows(study), columns=["channel", "marker", "role", "cofactor"])
    parts, labels = [], []
    for row in study.samples.itertuples():
        cells = transform(apply_panel(read_sample(row.file, study.modality), panel, study.aliases, row.sample), 5.0)
        parts.append(anndata.AnnData(cells.X, var=cells.var))
        labels += [row.sample] * cells.n_obs
    order = np.random.default_rng(0).permutation(len(labels))
    whole = anndata.AnnData(np.vstack([p.X for p in parts])[order], var=parts[0].var)
    whole.obs_names = [f"{i}" for i in range(whole.n_obs)]
    whole.obs["sample"], whole.obs["batch"], whole.obs["keep"] = "pool", "", True
    whole.uns["treset_panel"] = {}
    return whole, np.array(labels)[order], study.populations


def f1_table(truth: np.ndarray, found: np.ndarray) -> pd.DataFrame:
    """F1 of every gate (row) with every cluster (column)."""
    counts = pd.crosstab(truth, found)
    table = counts.to_numpy()
    f1 = 2 * table / (table.sum(axis=1, keepdims=True) + table.sum(axis=0, keepdims=True))
    return pd.DataFrame(f1, index=counts.index, columns=counts.columns)


def score(truth: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Mean F1 over all gates (best, Hungarian) and over the named ones (best)."""
    f1 = f1_table(truth, found)
    rows, columns = linear_sum_assignment(-f1.to_numpy())
    best = f1.max(axis=1)
    return {
        "best": float(best.mean()),
        "hungarian": float(f1.to_numpy()[rows, columns].sum() / len(f1)),
        "named20": float(best[[g for g in f1.index if g not in REMAINDERS]].mean()),
        "groups": float(f1.shape[1]),
    }


def run(name: str, options: Cohort, file: Path, whole: anndata.AnnData, truth: np.ndarray, populations: tuple) -> dict:
    """One clustering of the sketch, mapped to all cells and scored."""
    backend = open_backend("cpu")
    settings = CohortSettings("mass_cytometry", options, populations, 2000, "cpu", 0)
    start = time.process_time()
    cells, _ = draw_sketch({"pool": file}, settings, backend)
    neighbors, stability = embed(cells, replace(settings, cohort=options), backend)
    nodes = resolve(populations, cells.var_names, spelling("mass_cytometry"))
    before = cells.obs["cluster"].to_numpy(dtype=str)
    _, names, agreement = phenotype(cells, {"pool": file}, nodes, neighbors, settings, backend)
    spent = time.process_time() - start
    after = cells.obs["cluster"].to_numpy(dtype=str)
    called = cells.obs["cluster_population"].to_numpy(dtype=str)
    inside = cells.var["embedded"].to_numpy()
    out: dict[str, float] = {"cpu_s": spent, "setting": float(stability.loc[stability["chosen"], "setting"].iloc[0])}
    out["ari_stability"] = float(stability.loc[stability["chosen"], "ari_mean"].iloc[0])
    out["ari_gates"] = float(agreement["ari"].iloc[0])
    for step, labels in (("clusters", before), ("split", after), ("named", called)):
        ids, codes = np.unique(labels, return_inverse=True)
        placed = place(backend, cells.obsm["X_pca"], codes, cells.obsm["X_umap"], whole.X[:, inside], 5, np.inf, 5)
        mapped = ids[placed.cluster]
        out |= {f"{step}_{key}": value for key, value in score(truth, mapped).items()}
        if step == "named":
            best = f1_table(truth, mapped).max(axis=1)
            print(f"   {name}: " + "  ".join(f"{gate} {value:.2f}" for gate, value in best.items()))
    drawn = pd.Series(truth).iloc[cells.obs_names.astype(int)].value_counts()
    out["basophils_in_sketch"] = float(drawn.get("Basophil", 0))
    out["named_clusters"] = float(len(names))
    return out


def rare(file: Path, whole: anndata.AnnData, truth: np.ndarray, populations: tuple, folder: Path) -> dict[str, float]:
    """A population of 0.05 % in a pool of 100,000 cells: how many of its 50 cells a sketch of 20,000 keeps."""
    generator = np.random.default_rng(1)
    cells, out = np.flatnonzero(truth == "Basophil"), {}
    others = np.flatnonzero(truth != "Basophil")
    rows = np.concatenate([generator.choice(cells, 50), generator.choice(others, 99_950)])
    # drawn with repeats, so every value gets noise of its own: no cell is an exact copy
    values = whole.X[rows] + generator.normal(scale=0.05, size=(len(rows), whole.n_vars)).astype(np.float32)
    big = anndata.AnnData(values.astype(np.float32), var=whole.var)
    big.obs_names = [f"{i}" for i in range(big.n_obs)]
    big.obs["sample"], big.obs["batch"], big.obs["keep"] = "pool", "", True
    big.uns["treset_panel"] = {}
    path = folder / "rare.h5ad"
    write_h5ad(big, path)
    for how in ("stratified", "density"):
        start = time.process_time()
        options = Cohort(sketch_cells=20_000, sketch=how)
        drawn, _ = draw_sketch({"pool": path}, CohortSettings("mass_cytometry", options, populations, 2000, "cpu", 0),
                               open_backend("cpu"))  # fmt: skip
        out[f"rare_{how}_kept_of_50"] = float((drawn.obs_names.astype(int) < 50).sum())
        out[f"rare_{how}_cpu_s"] = time.process_time() - start
        if "weight" in drawn.obs:
            weight = drawn.obs["weight"].to_numpy()
            out["rare_density_share_weighted_percent"] = float(
                100 * weight[drawn.obs_names.astype(int) < 50].sum() / weight.sum()
            )
    return out


def main() -> None:
    if "TRESET_DATA" not in os.environ:
        sys.exit("TRESET_DATA is not set: name the folder of the public data")
    size = int(sys.argv[1]) if len(sys.argv) > 1 else Cohort().sketch_cells
    base = Cohort(sketch_cells=size, sketch="stratified", umap_epochs=1)
    variants = {
        "leiden": base,
        "leiden_density": replace(base, sketch="density"),
        "som": replace(base, algorithm="som"),
        "flowsom40": replace(base, algorithm="som", metaclusters=40, overcluster=0),
    }
    figures: dict[str, object] = {"sketch_cells": size}
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        whole, truth, populations = pool(Path(os.environ["TRESET_DATA"]).resolve(), folder)
        file = folder / "pool.h5ad"
        write_h5ad(whole, file)
        rows = {name: run(name, o, file, whole, truth, populations) for name, o in variants.items()}
        figures |= {f"{name}_{key}": value for name, row in rows.items() for key, value in row.items()}
        figures |= rare(file, whole, truth, populations, folder)
    print(pd.DataFrame(rows).T.round(3).to_string())
    print(pd.Series({k: v for k, v in figures.items() if k.startswith("rare")}).round(3).to_string())
    flowsom = rows["flowsom40"]["clusters_best"]
    figures["bar_mean_f1_over_28"] = 0.60
    # the bar can be read in two ways; both are told
    for reading in ("clusters", "named"):
        value = max(rows[name][f"{reading}_best"] for name in ("leiden", "som"))
        figures[f"bar_met_{reading}"] = bool(value >= 0.60 and value > flowsom)
        print(f"{reading}: mean F1 {value:.3f} (bar 0.60; FlowSOM's 40 metaclusters {flowsom:.3f})")
    figures |= {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
