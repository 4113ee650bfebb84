"""The GPU backend by step: seconds, peak device memory, quality, the CPU beside it, and the distance from the floor.

    python benchmarks/gpu.py [--sizes 100000x40,1000000x40] [--cpu-cells 100000] [--bandwidth 3350] [--rate 67]
                             [--out FILE]

Sizes are cells x columns; up to 100 columns are markers, more are genes (sparse counts, reduced to 50 components
first). The CPU runs sizes of up to --cpu-cells. A step's floor is the larger of the bytes it cannot avoid over the
memory's bandwidth (GB/s) and the operations it cannot avoid over the arithmetic rate (TFLOP/s, float32), which default
to those of the device where it is known. What a step sends to the device and takes from it is told beside it: the cells
are held, so that the first step that needs them sends them. Prints a table and writes benchmarks/results/gpu.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.metrics import adjusted_rand_score

from treset.compute import need, open_backend
from treset.compute.device import measured

SIZES = "100000x40,1000000x40,5000000x40,10000000x40,100000x2000,1000000x2000"
K, GROUPS, EPOCHS, COMPONENTS = 15, 25, 200, 50

#: GB/s and TFLOP/s (float32, without tensor cores) from the makers' data sheets.
DEVICES = {
    "H100 80GB HBM3": (3350, 67),
    "H100 PCIe": (2000, 51),
    "H200": (4800, 67),
    "A100": (2039, 19.5),
    "L40S": (864, 91.6),
}

Row = dict[str, Any]


def cells(n: int, p: int, seed: int = 0) -> tuple[np.ndarray | sparse.csr_matrix, np.ndarray]:
    """Simulated cells of 25 groups whose sizes fall geometrically: values (float32) and group (n,)."""
    generator = np.random.default_rng(seed)
    share = 0.85 ** np.arange(GROUPS)
    group = generator.choice(GROUPS, size=n, p=share / share.sum())
    if p <= 100:
        level = generator.choice([0.0, 2.0, 4.0], size=(GROUPS, p)).astype(np.float32)
        values = generator.standard_normal((n, p), dtype=np.float32)
        values *= 0.5
        values += level[group]
        return values, group
    rate = generator.gamma(0.05, 1.0, (GROUPS, p))
    parts = [
        sparse.csr_matrix(np.log1p(generator.poisson(rate[group[s : s + 20_000]])), dtype=np.float32)
        for s in range(0, n, 20_000)
    ]
    return sparse.vstack(parts, format="csr"), group


def neighbour_recall(x: np.ndarray, indices: np.ndarray, rows: np.ndarray) -> float:
    """Share of the found neighbours of some rows that are as near as the exact ones."""
    hits = []
    for row, near in zip(rows, indices, strict=True):
        exact = np.partition(((x - x[row]) ** 2).sum(axis=1), K - 1)[K - 1]
        hits.append((((x[near] - x[row]) ** 2).sum(axis=1) <= exact * (1 + 1e-5)).mean())
    return float(np.mean(hits))


def purity(layout: np.ndarray, group: np.ndarray, rows: np.ndarray) -> float:
    """Share of the 10 nearest cells in the layout that are of the cell's own group, over some rows."""
    same = []
    for row in rows:
        near = np.argpartition(((layout - layout[row]) ** 2).sum(axis=1), 11)[:11]
        same.append((group[near[near != row][:10]] == group[row]).mean())
    return float(np.mean(same))


def steps(backend: Any, x: Any, group: np.ndarray, run: Callable) -> list[Row]:
    """Every step of a backend on the same cells: time, memory, quality, and the bytes and operations of its floor."""
    rows: list[Row] = []
    n, p = x.shape
    # each probe is compared with every cell on the host
    probe = np.random.default_rng(1).choice(n, size=min(n, 200, max(20, 10**8 // n)), replace=False)

    def step(name: str, work: Callable[[], Any], size: float, operations: float, judge: Callable[[Any], float]) -> Any:
        before = moved(backend)
        found, seconds, peak = run(work)
        sent, taken = (after - start for after, start in zip(moved(backend), before, strict=True))
        rows.append(
            {"step": name, "s": seconds, "bytes": peak, "sent": sent, "taken": taken, "quality": judge(found),
             "floor": (size, operations)}
        )  # fmt: skip
        print(f"  {backend.choice.used} {name}: {seconds:.2f} s", flush=True)
        return found

    if p > 100:
        found = step(
            "pca", lambda: backend.pca(x, COMPONENTS, 0), 16 * x.nnz, 2 * n * p * p, lambda r: r.variance_ratio.sum()
        )
        x = found.scores
        p = x.shape[1]
    x = backend.hold(x)
    brute = 2.0 * n * n * p
    step(
        "knn", lambda: backend.knn(x, x[probe], K), 4 * n * p, 2.0 * n * len(probe) * p,
        lambda r: neighbour_recall(x, r[0], probe),
    )  # fmt: skip
    graph = step("graph", lambda: backend.graph(x, K, 0), 4 * n * p + 12 * n * K, brute, lambda g: g.nnz / n)
    edges = float(graph.nnz)
    step(
        "leiden", lambda: backend.leiden(graph, 1.0, 0), 12 * edges, 2 * edges,
        lambda labels: adjusted_rand_score(group, labels),
    )  # fmt: skip
    # an edge is visited in proportion to its weight, with five cells it is pushed away from; two coordinates each
    visits = EPOCHS * float(graph.sum()) / max(float(graph.max()), 1e-12)
    step(
        "umap", lambda: backend.umap(x, graph, min_dist=0.5, epochs=EPOCHS, seed=0), 6 * 16 * visits, 6 * 20 * visits,
        lambda layout: purity(layout, group, probe),
    )  # fmt: skip
    return rows


def moved(backend: Any) -> tuple[int, int]:
    """Bytes that a backend has sent to its device and taken from it so far; none where it has no device."""
    resident = getattr(backend, "resident", None)
    return (0, 0) if resident is None else (resident.sent, resident.taken)


def on_host(work: Callable[[], Any]) -> tuple[Any, float, int]:
    """As :func:`treset.compute.device.measured`, for the CPU; its memory is not measured."""
    start = time.perf_counter()
    found = work()
    return found, time.perf_counter() - start, 0


def floors(device: str, bandwidth: float | None, rate: float | None) -> tuple[float, float] | None:
    """Bytes and operations a second of the device: as given, or those of the data sheet; None where not known."""
    known = next((figures for name, figures in DEVICES.items() if name in device), (None, None))
    gb, tflop = bandwidth or known[0], rate or known[1]
    return None if gb is None or tflop is None else (gb * 1e9, tflop * 1e12)


def table(rows: list[Row]) -> str:
    """The rows as text."""
    head = (
        "size",
        "step",
        "GPU s",
        "CPU s",
        "times",
        "peak GB",
        "sent GB",
        "taken GB",
        "quality GPU",
        "quality CPU",
        "floor s",
        "x floor",
    )
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    for row in rows:
        values = (row["gpu_s"], row["cpu_s"], row["speedup"], row["peak_gb"], row["sent_gb"], row["taken_gb"],
                  row["quality_gpu"], row["quality_cpu"],
                  row["floor_s"], row["times_floor"])  # fmt: skip
        lines.append(" | ".join([row["size"], row["step"], *("-" if v is None else f"{v:.4g}" for v in values)]))
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default=SIZES)
    parser.add_argument("--cpu-cells", type=int, default=100_000)
    parser.add_argument("--bandwidth", type=float)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "gpu.json")
    asked = parser.parse_args(arguments)
    largest = max(int(size.split("x")[0]) for size in asked.sizes.split(","))
    gpu, cpu = open_backend("gpu", need(largest, COMPONENTS, K)), open_backend("cpu")
    device = floors(gpu.choice.device, asked.bandwidth, asked.rate)
    rows: list[Row] = []
    warm, _ = cells(2000, 40)
    gpu.leiden(gpu.graph(warm, K, 0), 1.0, 0)
    for size in asked.sizes.split(","):
        n, p = map(int, size.split("x"))
        print(f"{size}", flush=True)
        x, group = cells(n, p)
        mine = steps(gpu, x, group, measured)
        # the next size starts with an empty device
        gpu.release()
        other = steps(cpu, x, group, on_host) if n <= asked.cpu_cells else [None] * len(mine)
        for a, b in zip(mine, other, strict=True):
            floor = max(a["floor"][0] / device[0], a["floor"][1] / device[1]) if device else None
            rows.append(
                {"size": size, "step": a["step"], "gpu_s": a["s"], "cpu_s": b and b["s"],
                 "speedup": b and b["s"] / a["s"], "peak_gb": a["bytes"] / 1e9, "sent_gb": a["sent"] / 1e9,
                 "taken_gb": a["taken"] / 1e9, "quality_gpu": float(a["quality"]),
                 "quality_cpu": b and float(b["quality"]), "floor_s": floor, "times_floor": floor and a["s"] / floor}
            )  # fmt: skip
    about = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": gpu.choice.device,
        "machine": f"{platform.machine()}, {cpu.choice.device}",
        **{f"version_{name}": value for name, value in gpu.versions().items()},
    }
    figures = {
        f"{row['size']}_{row['step']}_{key}": value
        for row in rows
        for key, value in row.items()
        if key not in ("size", "step") and value is not None
    }
    print(f"\n{about['device']}, {about['date']}; {about['machine']}\n\n{table(rows)}")
    asked.out.parent.mkdir(exist_ok=True)
    asked.out.write_text(json.dumps(figures | about, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
