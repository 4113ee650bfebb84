"""What sketching costs: populations of sketch and map against clustering every cell.

    python benchmarks/sketch_map.py [simulated] [himc]        (himc needs TRESET_DATA)

``himc`` is ``himc_plate3`` pooled (28 manual gates), ``simulated`` a sample of 100,000 events of ``treset simulate`` in
which basophils are thinned to 0.05 %. Each is clustered whole (the sketch holds every cell) and from a sketch of a
fifth of its cells, drawn stratified and by density; the other cells are mapped. Leiden at resolution 2 in all of them,
so that nothing but the sketch differs. Labels are for scoring. Told are

- mean F1 of the truth's populations, best cluster each ("clusters") and best name ("named"), bar: within 0.02 of all;
- cells of the rare population in the sketch (bar: 50 of a 0.05 % population of 100,000), and its F1;
- shares of the named populations by gate and by cluster, sketch and map against all cells, and those of the truth's own
  labels carried over by the map alone. Bar: over 1 % within 2 % (relative), below within the exact 95 % interval of the
  count in all cells.

Prints tables and writes benchmarks/results/sketch_map.json.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import anndata
import numpy as np
import pandas as pd
from scipy.stats import beta

sys.path.insert(0, str(Path(__file__).parent))
from phenotypes_clusters import f1_table, pool, score

from treset.compute import Backend, open_backend
from treset.io.h5ad import write_h5ad
from treset.jobs.cohort import CohortSettings, draw_sketch, embed, phenotype
from treset.phenotype.gates import apply_gates
from treset.phenotype.map import place
from treset.phenotype.tree import resolve, spelling
from treset.simulate import plan
from treset.simulate.cytometry import simulate_events
from treset.simulate.panel import CHANNELS
from treset.simulate.populations import LEAVES
from treset.study.model import Cohort
from treset.study.populations import packaged

RESULT = Path(__file__).parent / "results" / "sketch_map.json"
SHARE, RESOLUTION = 0.2, 2.0


def simulated() -> tuple[anndata.AnnData, np.ndarray, tuple, str]:
    """Living single cells of one simulated sample, basophils thinned to 0.05 % (at least 50 cells)."""
    from treset.study.faults import Collector
    from treset.study.populations import read_populations

    trial = plan("il2_open_label", patients=1, events=125_000, seed=31)
    events = simulate_events(trial, next(iter(trial.plans)))
    panel = trial.panel.set_index("channel")
    panel = panel[panel["role"].isin(["lineage", "state"])]
    living = np.flatnonzero(events.kind == 0)
    truth = np.array(LEAVES)[events.population[living]]
    rare = np.flatnonzero(truth == "Basophils")
    wanted = max(50, round(0.0005 * (len(living) - len(rare))))
    generator = np.random.default_rng(3)
    kept = np.sort(np.concatenate([np.flatnonzero(truth != "Basophils"), generator.permutation(rare)[:wanted]]))
    columns = [CHANNELS.index(channel) for channel in panel.index]
    values = np.arcsinh(events.values[np.ix_(living[kept], columns)] / 5).astype(np.float32)
    var = pd.DataFrame({"role": panel["role"].to_numpy()}, index=panel["marker"].to_numpy())
    populations = read_populations(packaged("populations", "mass_cytometry"), Collector())
    assert populations is not None
    return _one_sample(values, var), truth[kept], tuple(populations), "Basophils"


def himc() -> tuple[anndata.AnnData, np.ndarray, tuple, str]:
    """The pooled manual gates."""
    with TemporaryDirectory() as folder:
        whole, truth, populations = pool(Path(os.environ["TRESET_DATA"]).resolve(), Path(folder))
    return whole, truth, populations, "Basophil"


def _one_sample(values: np.ndarray, var: pd.DataFrame) -> anndata.AnnData:
    whole = anndata.AnnData(values, var=var)
    whole.obs_names = [f"{i}" for i in range(whole.n_obs)]
    whole.obs["sample"], whole.obs["batch"], whole.obs["keep"] = "pool", "", True
    whole.uns["treset_panel"] = {}
    return whole


def reading(
    whole: anndata.AnnData, file: Path, options: Cohort, populations: tuple, truth: np.ndarray, backend: Backend
) -> dict:
    """Cluster and name a sketch, map every cell onto it, gate every cell by its thresholds."""
    settings = CohortSettings("mass_cytometry", options, populations, 2000, "cpu", 0)
    start = time.process_time()
    cells, _ = draw_sketch({"pool": file}, settings, backend)
    embed(cells, settings, backend)
    nodes = resolve(populations, cells.var_names, spelling("mass_cytometry"))
    thresholds, names, _ = phenotype(cells, {"pool": file}, nodes, np.empty((0, 0)), settings, backend)
    inside, coordinates = cells.var["embedded"].to_numpy(), cells.obsm["X_pca"]
    rows = cells.obs_names.astype(int).to_numpy()
    clusters, codes = np.unique(cells.obs["cluster"].to_numpy(dtype=str), return_inverse=True)
    kinds, own = np.unique(truth[rows], return_inverse=True)
    placed = [
        place(backend, coordinates, c, cells.obsm["X_umap"], whole.X[:, inside], 5, np.inf, 5) for c in (codes, own)
    ]
    called = dict(zip(names["cluster"], names["population"], strict=True))
    cluster = clusters[placed[0].cluster]
    columns = {marker: np.asarray(whole.X[:, i]) for i, marker in enumerate(whole.var_names)}
    masks = apply_gates(columns, np.full(whole.n_obs, ""), nodes, thresholds)
    return {
        "rows": rows,
        "cpu_s": time.process_time() - start,
        "clusters": cluster,
        "named": np.array([called[c] for c in cluster]),
        "carried": kinds[placed[1].cluster],
        "gates": {name: mask.mean() for name, mask in masks.items()},
    }


def shares(labels: np.ndarray) -> dict[str, float]:
    names, counts = np.unique(labels, return_counts=True)
    return dict(zip(names.tolist(), (counts / len(labels)).tolist(), strict=True))


def compared(found: dict[str, float], exact: dict[str, float], n: int) -> dict:
    """How far shares lie from the exact ones: over 1 % relatively, below by the interval of the exact count."""
    large, outside, small = {}, {}, 0
    for name, share in exact.items():
        if share > 0.01:
            large[name] = abs(found.get(name, 0.0) / share - 1)
            continue
        small += 1
        count = round(share * n)
        low = beta.ppf(0.025, count, n - count + 1) if count else 0.0
        high = beta.ppf(0.975, count + 1, n - count)
        if not low <= found.get(name, 0.0) <= high:
            outside[name] = [round(100 * share, 4), round(100 * found.get(name, 0.0), 4)]
    worst = max(large, key=large.__getitem__) if large else ""
    return {
        "over_1_percent": len(large),
        "beyond_2_percent": sum(int(value > 0.02) for value in large.values()),
        "median_relative": round(float(np.median(list(large.values()))), 4),
        "worst_relative": round(large.get(worst, 0.0), 4),
        "worst": worst,
        "below_1_percent": small,
        "outside_interval": len(outside),
        "outside": outside,
    }


def measure(name: str) -> dict:
    whole, truth, populations, rare = {"simulated": simulated, "himc": himc}[name]()
    backend, n = open_backend("cpu"), whole.n_obs
    out: dict = {"cells": n, "sketch": round(SHARE * n), "rare": rare, "rare_cells": int((truth == rare).sum())}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "pool.h5ad"
        write_h5ad(whole, file)
        exact: dict = {}
        for how, size in (("all", n), ("stratified", round(SHARE * n)), ("density", round(SHARE * n))):
            options = Cohort(
                sketch_cells=size, sketch="density" if how == "density" else "stratified", resolution=RESOLUTION,
                umap_epochs=1,
            )  # fmt: skip
            found = reading(whole, file, options, populations, truth, backend)
            row: dict = {"cpu_s": round(found["cpu_s"], 1), "rare_in_sketch": int((truth[found["rows"]] == rare).sum())}
            for step in ("clusters", "named"):
                row |= {f"{step}_{key}": round(v, 4) for key, v in score(truth, found[step]).items()}
                row[f"{step}_rare_f1"] = round(float(f1_table(truth, found[step]).max(axis=1)[rare]), 3)
            if how == "all":
                exact = found
            else:
                row["shares_by_gate"] = compared(found["gates"], exact["gates"], n)
                row["shares_by_cluster"] = compared(shares(found["named"]), shares(exact["named"]), n)
                row["shares_of_labels_mapped"] = compared(shares(found["carried"]), shares(truth), n)
            out[how] = row
            print(name, how, json.dumps(row, indent=1), flush=True)
    for how in ("stratified", "density"):
        for step in ("clusters", "named"):
            out[how][f"{step}_loss"] = round(out["all"][f"{step}_best"] - out[how][f"{step}_best"], 4)
    return out


def main() -> None:
    """Measure the data sets asked for, print and keep the figures."""
    asked = sys.argv[1:] or ["simulated", *(["himc"] if "TRESET_DATA" in os.environ else [])]
    figures = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for name in asked:
        stamp = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        }
        figures[name] = measure(name) | stamp
        RESULT.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    for name in asked:
        for how in ("stratified", "density"):
            row = figures[name][how]
            losses = f"mean F1 lost: clusters {row['clusters_loss']:+.3f}, named {row['named_loss']:+.3f} (bar 0.02)"
            print(f"{name}, {how}: {losses}; {row['rare_in_sketch']} of {figures[name]['rare_cells']} rare cells kept")


if __name__ == "__main__":
    main()
