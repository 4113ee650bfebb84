"""treset beside scanpy, FlowSOM and k-means on the same simulated cells: CPU time, peak memory, quality.

    python benchmarks/peers.py [CELLS] [--repeats 3] [--only METHOD ...] [--flowsom PYTHON]

CELLS (default 100000) living single cells of ``treset simulate``, 29 markers, 26 populations of known size. Every
method runs in a process of its own on two threads (unless it is named after one), methods in turn, repeats one after
the other; medians are told. PYTHON is the interpreter of an environment with the package flowsom (GPL, no dependency of
treset), such as

    uv venv /tmp/flowsom && uv pip install --python /tmp/flowsom/bin/python flowsom

CPU time is user and system time of the method in its process, its imports and compilation too, not that of reading the
cells. F1: best cluster of each population, and best one-to-one matching (Weber
2016, doi:10.1002/cyto.a.23030), means over populations. Prints a table and writes benchmarks/results/peers.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

RESULT = Path(__file__).parent / "results" / "peers.json"
THREADS, K, METACLUSTERS, SEED = 2, 15, 30, 0


def simulated(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Living single cells of several samples: values (n, 29) float32 on the arcsinh scale, population (n,)."""
    from treset.simulate import plan
    from treset.simulate.cytometry import simulate_events
    from treset.simulate.panel import CHANNELS
    from treset.simulate.populations import LEAVES

    samples = max(1, round(n / 100_000))
    trial = plan("il2_open_label", patients=samples, visits=["D0", "D8"], days=[0, 8], treg_folds=[1.0, 2.0],
                 cd25_folds=[1.0, 1.8], foxp3_folds=[1.0, 1.3], nk_bright_folds=[1.0, 1.2],
                 events=round(1.3 * n / samples), seed=17)  # fmt: skip
    panel = trial.panel[trial.panel["role"].isin(["lineage", "state"])]
    columns = [CHANNELS.index(channel) for channel in panel["channel"]]
    parts, kinds = [], []
    for name in [s for s in trial.plans if s.endswith("D0")]:
        events = simulate_events(trial, name)
        living = np.flatnonzero(events.kind == 0)[: -(-n // samples)]
        parts.append(np.arcsinh(events.values[np.ix_(living, columns)] / 5).astype(np.float32))
        kinds.append(events.population[living])
    values, kind = np.vstack(parts)[:n], np.concatenate(kinds)[:n]
    return values, np.array(LEAVES)[kind]


# --- the methods: values -> cluster of every cell, and neighbours (rows, found) where they make any ---


def treset(x: np.ndarray, *, resolution: float | str = 1.0, umap: bool = True, som: int = 0) -> tuple:
    """Sketch of 50,000 cells, clustered (and laid out); all cells mapped onto it."""
    from treset.compute import open_backend
    from treset.phenotype import sketch
    from treset.phenotype.cluster import cluster_cells
    from treset.phenotype.map import place, reach
    from treset.study.model import Cohort

    backend = open_backend("cpu")
    rows = sketch.draw(len(x), 50_000, SEED)
    drawn = np.ascontiguousarray(x[rows])
    if som:
        options = Cohort(algorithm="som", metaclusters=som)
        graph = None
    else:
        options = Cohort(resolution=resolution)
        graph = backend.graph(drawn, K, SEED)
    labels = cluster_cells(drawn, graph, options, backend, SEED).labels
    layout = backend.umap(drawn, graph, min_dist=0.5, epochs=200, seed=SEED) if umap else np.zeros((len(drawn), 2))
    limit = reach(backend, drawn)
    step = 131_072
    found = [
        place(backend, drawn, labels, layout, x[s : s + step], 5, limit, 5, keep=False) for s in range(0, len(x), step)
    ]
    return np.concatenate([part.cluster for part in found]), drawn, None if som else backend.knn(drawn, drawn, K)[0]


def scanpy(x: np.ndarray, *, umap: bool = True) -> tuple:
    """Stock scanpy: neighbours, Leiden (igraph, as its documentation recommends), UMAP, on all cells."""
    import anndata
    import scanpy as sc

    cells = anndata.AnnData(x)
    sc.pp.neighbors(cells, n_neighbors=K, use_rep="X", random_state=SEED)
    sc.tl.leiden(cells, flavor="igraph", n_iterations=2, directed=False, random_state=SEED)
    if umap:
        sc.tl.umap(cells, random_state=SEED)
    distances = cells.obsp["distances"]
    return cells.obs["leiden"].to_numpy().astype(int), x, (distances.indptr, distances.indices)


def flowsom(x: np.ndarray) -> tuple:
    """Python FlowSOM, map of 10 x 10 and 30 metaclusters."""
    import flowsom as package

    model = package.models.FlowSOMEstimator(
        cluster_kwargs={"seed": SEED, "xdim": 10, "ydim": 10},
        metacluster_kwargs={"seed": SEED},
        n_clusters=METACLUSTERS,
    )
    return np.asarray(model.fit_predict(x.astype(np.float64))), None, None


def kmeans(x: np.ndarray) -> tuple:
    """k-means with 40 centres (scikit-learn)."""
    from sklearn.cluster import KMeans

    return KMeans(40, n_init=1, random_state=SEED).fit_predict(x), None, None


METHODS: dict[str, Callable[[np.ndarray], tuple]] = {
    "treset": treset,
    "treset, no UMAP": lambda x: treset(x, umap=False),
    # FlowSOM works on one thread: two cost a little more processor time and a third less wall time
    "treset, no UMAP, one thread": lambda x: treset(x, umap=False),
    "treset, auto": lambda x: treset(x, resolution="auto"),
    "treset, map of nodes": lambda x: treset(x, umap=False, som=METACLUSTERS),
    "scanpy": scanpy,
    "scanpy, no UMAP": lambda x: scanpy(x, umap=False),
    "FlowSOM": flowsom,
    "k-means": kmeans,
}


def recall(searched: np.ndarray, neighbors: Any, tested: int = 1_000) -> float:
    """Share of the exact neighbours (itself left out) of some cells that were found."""
    rows = np.random.default_rng(1).choice(len(searched), tested, replace=False)
    hits = 0
    for row in rows:
        distances = ((searched - searched[row]) ** 2).sum(axis=1)
        distances[row] = np.inf
        graph = isinstance(neighbors, tuple)
        mine = neighbors[1][neighbors[0][row] : neighbors[0][row + 1]] if graph else neighbors[row]
        mine = mine[mine != row][: K - 1]
        hits += len(np.intersect1d(mine, np.argpartition(distances, len(mine))[: len(mine)])) / max(len(mine), 1)
    return hits / tested


def resident() -> int:
    """Largest resident set of this process, KiB; getrusage would give that of the process it was forked from."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    sys.exit("/proc/self/status has no VmHWM: this benchmark needs Linux")


def work(method: str, values: Path, out: Path) -> None:
    """One method in this process; labels and figures go to ``out``."""
    x = np.load(values)
    start = time.process_time(), time.perf_counter()
    labels, searched, neighbors = METHODS[method](x)
    spent = time.process_time() - start[0], time.perf_counter() - start[1]
    # told before the recall, which is no part of the method
    peak = resident()
    found = recall(searched, neighbors) if neighbors is not None else np.nan
    np.savez(out, labels=labels, cpu=spent[0], wall=spent[1], peak=peak, recall=found)


def score(truth: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    from scipy.optimize import linear_sum_assignment

    from treset.phenotype.stability import adjusted_rand

    _, rows = np.unique(truth, return_inverse=True)
    _, columns = np.unique(labels, return_inverse=True)
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), 1)
    f1 = 2 * table / (table.sum(axis=1, keepdims=True) + table.sum(axis=0, keepdims=True))
    matched = linear_sum_assignment(-f1)
    return {
        "clusters": float(table.shape[1]),
        "ari": adjusted_rand(truth, labels),
        "f1_best": float(f1.max(axis=1).mean()),
        "f1_matched": float(f1[matched].sum() / len(f1)),
    }


def once(method: str, python: str, values: Path, folder: Path) -> dict[str, float] | None:
    """A method in a process of its own; None where it fails."""
    out = folder / "out.npz"
    count = "1" if "one thread" in method else str(THREADS)
    threads = {f"{name}_NUM_THREADS": count for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
    command = [python, __file__, "--work", method, str(values), str(out)]
    done = subprocess.run(command, env={**os.environ, **threads}, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{method} failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}", flush=True)
        return None
    with np.load(out) as told:
        row = {name: float(told[name]) for name in ("cpu", "wall", "recall")}
        return row | {
            "peak_mb": float(told["peak"]) / 1024,
            **score(np.load(values.with_name("truth.npy")), told["labels"]),
        }


def medians(rows: list[dict[str, float]], columns: int) -> dict:
    """Of the repeats of one method; blank where a figure does not apply."""
    middle = {key: round(float(np.median([row[key] for row in rows])), 4) for key in rows[0]}
    stamp = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, shared",
    }
    known = {key: None if np.isnan(value) else value for key, value in middle.items()}
    return known | {"repeats": len(rows), "columns": columns} | stamp


def main() -> None:
    """Run the methods in turn, print and keep the medians."""
    if "--work" in sys.argv:
        at = sys.argv.index("--work")
        work(sys.argv[at + 1], Path(sys.argv[at + 2]), Path(sys.argv[at + 3]))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", nargs="?", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--flowsom", default="")
    options = parser.parse_args()
    wanted = [m for m in options.only or METHODS if m != "FlowSOM" or options.flowsom]
    figures = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    kept = figures.setdefault(str(options.cells), {})
    rows: dict[str, list[dict[str, float]]] = {method: [] for method in wanted}
    with tempfile.TemporaryDirectory() as folder:
        values = Path(folder) / "values.npy"
        x, truth = simulated(options.cells)
        np.save(values, x)
        np.save(values.with_name("truth.npy"), truth)
        for _ in range(options.repeats):
            for method in wanted:
                python = options.flowsom if method == "FlowSOM" else sys.executable
                found = once(method, python, values, Path(folder))
                if found is not None:
                    rows[method].append(found)
                    kept[method] = medians(rows[method], x.shape[1])
                    RESULT.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
                    print(method, {k: round(v, 3) for k, v in found.items()}, flush=True)
    for method, row in kept.items():
        told = "  ".join(f"{key} {value:.3f}" for key, value in row.items() if isinstance(value, float))
        print(f"{method:22s} {told}")


if __name__ == "__main__":
    main()
