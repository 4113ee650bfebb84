"""The cells on which cytometry's thresholds are found: more than the sketch has, read on their markers only.

A threshold is one number on one marker: it takes no graph and no distances, so that ten times as many cells as the
sketch's cost seconds, and a population of one cell in 350 still has enough of them for its valley to stand still.
scRNA-seq keeps to the sketch, because its gates read expression pooled over each cell's neighbours there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from treset.io.cells import kept_rows, read_values
from treset.phenotype import gates, sketch
from treset.phenotype.samples import add_spread, placed, reference_table
from treset.phenotype.tree import Node
from treset.study.model import GateOverride

#: Sets this draw apart from the sketch's, of which it is independent.
_STREAM = 2


@dataclass(frozen=True)
class GateCells:
    """Cells of all samples, on the markers that are cut.

    Attributes
    ----------
    columns
        Marker -> (n,) float32 transformed values.
    batch, sample
        (n,) labels, object arrays of text.
    """

    columns: Mapping[str, np.ndarray]
    batch: np.ndarray
    sample: np.ndarray


def read_gate_cells(samples: Mapping[str, Path], markers: Sequence[str], budget: int, seed: int) -> GateCells:
    """Draw an equal share of the kept cells of every sample, uniformly within it.

    Parameters
    ----------
    samples
        Sample id -> its prepared cells.
    markers
        Names of the variables wanted; every file has them.
    budget
        Cells in all (``cohort.gate_cells``); all that there are where there are no more. It bounds the memory:
        4 bytes a cell and marker, besides one part of one sample.
    seed
        The study's. A sample's draw depends on its id, not on the other samples' cells.
    """
    shares = sketch.allocate({sample: len(kept_rows(path)) for sample, path in samples.items()}, budget)
    total, at = sum(shares.values()), 0
    values = np.empty((len(markers), total), dtype=np.float32)
    labels: list[tuple[str, str]] = []
    for name, path in samples.items():
        rows = kept_rows(path)
        rows = rows[sketch.draw(len(rows), shares[name], (sketch.sample_seed(seed, name), _STREAM))]
        found, sample, batch = read_values(path, rows, markers)
        values[:, at : at + len(rows)] = found.T
        at += len(rows)
        labels.append((batch, sample))
    sizes = [shares[name] for name in samples]
    # a reference a cell, not a copy of its text
    batch, sample = (np.repeat(np.array(column, dtype=object), sizes) for column in zip(*labels, strict=True))
    return GateCells(dict(zip(markers, values, strict=True)), batch, sample)


def find_thresholds(
    cells: GateCells, nodes: Sequence[Node], overrides: Sequence[GateOverride]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Thresholds of the tree and of every marker, and where the populations lie between them.

    Parameters
    ----------
    cells
        Of :func:`read_gate_cells`.
    nodes
        The resolved tree.
    overrides
        Thresholds set by hand.

    Returns
    -------
    ``thresholds.tsv``, and what a sample's stain is compared with (:func:`treset.phenotype.samples.reference_table`).
    """
    columns, batch, sample = cells.columns, cells.batch, cells.sample
    thresholds = gates.fit_thresholds(
        columns, batch, nodes, positivity=list(columns), sample=sample, overrides=overrides
    )
    known = placed(thresholds, columns, batch, sample, nodes)
    thresholds = add_spread(thresholds, columns, batch, sample, nodes, known)
    return thresholds, reference_table(thresholds, columns, batch, sample, nodes, known)
