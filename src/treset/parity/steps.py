"""The steps of the cohort job on the same input by both backends: ``python -m treset.parity.steps``, a process alone.

What comes before a step cannot then hide or feign a difference in it, as it can between two whole runs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from treset.compute import Backend, need, open_backend
from treset.io.files import atomic
from treset.phenotype.stability import adjusted_rand


def recall(exact: np.ndarray, found: np.ndarray) -> float:
    """Share of the found neighbours that are as near as the exact ones.

    Judged by distance, because many cells of a mass cytometer lie at the same place, and which of them is named is
    chance.

    Parameters
    ----------
    exact, found
        (n, k) distances, nearest first.
    """
    limit = exact[:, -1:] * (1 + 1e-5)
    return float((found <= limit).mean())


def apart(x: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Distances (n, k) float64 from each row of ``x`` to the rows that ``near`` names, nearest first."""
    found = np.empty(near.shape)
    for start in range(0, len(x), 10_000):
        rows = slice(start, start + 10_000)
        found[rows] = np.linalg.norm(x[near[rows]].astype(float) - x[rows, None, :], axis=2)
    return np.sort(found, axis=1)


def compare_steps(
    coordinates: np.ndarray, k: int, resolution: float | None, seed: int, cpu: Backend, gpu: Backend
) -> dict[str, float | bool | int | None]:
    """Run the search for neighbours and Leiden on the same cells by both backends.

    Parameters
    ----------
    coordinates
        (n, p) of the sketch.
    k
        Neighbours, the cell itself among them.
    resolution
        Of Leiden; None: the study clusters by the map, which is the same code on both.
    seed
        The study's.

    Returns
    -------
    ``cells``; ``recall`` of the GPU's neighbours; and with a resolution: ``ari`` between the backends' clusters of one
    graph, ``ari_reseeded`` between two seeds of the CPU, ``clusters_cpu``, ``clusters_gpu``, and ``repeats``: whether
    the GPU gives the same clusters twice.
    """
    # one measure of distance for both
    exact, found = (apart(coordinates, backend.knn(coordinates, coordinates, k)[0]) for backend in (cpu, gpu))
    told: dict[str, float | bool | int | None] = {"cells": len(coordinates), "recall": recall(exact, found)}
    if resolution is None:
        return told
    graph = cpu.graph(coordinates, k, seed)
    mine, reseeded = cpu.leiden(graph, resolution, seed), cpu.leiden(graph, resolution, seed + 1)
    other, again = gpu.leiden(graph, resolution, seed), gpu.leiden(graph, resolution, seed)
    return told | {
        "ari": adjusted_rand(mine, other),
        "ari_reseeded": adjusted_rand(mine, reseeded),
        "clusters_cpu": int(mine.max()) + 1,
        "clusters_gpu": int(other.max()) + 1,
        "repeats": bool(np.array_equal(other, again)),
    }


def main() -> None:
    """Compare on the sketch that the first argument names and write the second, as the JSON on standard input says."""
    from treset.errors import TresetError
    from treset.io.h5ad import read_h5ad

    sketch, out = Path(sys.argv[1]), Path(sys.argv[2])
    asked = json.loads(sys.stdin.read())
    try:
        coordinates = np.ascontiguousarray(read_h5ad(sketch).obsm["X_pca"], dtype=np.float32)
        gpu = open_backend("gpu", need(*coordinates.shape, asked["neighbors"]))
        told = compare_steps(
            coordinates, asked["neighbors"], asked["resolution"], asked["seed"], open_backend("cpu"), gpu
        )
    except TresetError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    with atomic(out) as path:
        path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
