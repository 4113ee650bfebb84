"""Shared by the benchmarks of the gates: read a mass cytometry file, resolve the tree, gate each sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from treset.io import read_sample
from treset.phenotype import gates, samples
from treset.phenotype.tree import Node, resolve
from treset.study.faults import Collector
from treset.study.populations import packaged, read_populations

Columns = dict[str, np.ndarray]


def tree(measured: Columns) -> list[Node]:
    """Resolve the default tree against the measured markers."""
    faults = Collector()
    populations = read_populations(packaged("populations", "mass_cytometry"), faults)
    faults.stop()
    assert populations is not None
    return resolve(populations, measured)


def read(path: Path) -> Columns:
    """Read a mass cytometry file: marker -> arcsinh(x / 5)."""
    cells = read_sample(path, "mass_cytometry")
    labels = [m or c for c, m in zip(cells.var_names, cells.var["marker"], strict=True)]
    values = np.arcsinh(np.asarray(cells.X) / 5)
    # "209Bi_CD16" and "CD16" are the same marker
    return {label.split("_", 1)[-1]: values[:, i] for i, label in enumerate(labels)}


def joined(parts: list[Columns]) -> Columns:
    """Put the cells of files with the same markers under one another."""
    return {marker: np.concatenate([part[marker] for part in parts]) for marker in parts[0]}


def per_sample(
    columns: Columns, batch: np.ndarray, sample: np.ndarray, nodes: list[Node], thresholds: pd.DataFrame
) -> dict[str, np.ndarray]:
    """Gate every sample with its own thresholds, as the map job does."""
    thresholds = samples.add_spread(thresholds, columns, batch, sample, nodes)
    around = {b: samples.reference(thresholds, columns, batch, sample, nodes, b) for b in np.unique(batch).tolist()}
    own = [thresholds]
    for name in np.unique(sample).tolist():
        rows = sample == name
        mine = {marker: values[rows] for marker, values in columns.items()}
        place = str(batch[rows][0])
        own.append(samples.sample_thresholds(thresholds, mine, place, name, nodes, around[place]))
    return gates.apply_gates(columns, batch, nodes, pd.concat(own, ignore_index=True), sample)
