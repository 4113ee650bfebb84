"""The labels of all cells by one backend beside those by the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from treset.errors import TresetError
from treset.io.h5ad import read_parts
from treset.phenotype.stability import adjusted_rand

#: Reading -> the column of a cell's table that holds it.
READINGS = {"gate": "population", "cluster": "cluster_population"}


def read_labels(results: Path, samples: Sequence[str]) -> pd.DataFrame:
    """The kept cells of all samples.

    Parameters
    ----------
    results
        A run's folder.
    samples
        Ids, in the order of the rows.

    Returns
    -------
    Text columns ``cluster``, ``population`` and ``cluster_population``; the index is the cell's name.
    """
    parts = []
    for sample in samples:
        path = results / "samples" / sample / "cells.h5ad"
        if not path.is_file():
            raise TresetError(f"{path} is missing: the run that parity compares did not finish; see its logs")
        cells = read_parts(path, "obs")["obs"]
        parts.append(cells.loc[cells["keep"].to_numpy(bool), ["cluster", *READINGS.values()]].astype(str))
    return pd.concat(parts)


def paired(cpu: pd.DataFrame, gpu: pd.DataFrame) -> None:
    """Refuse two runs that did not keep the same cells.

    Raises
    ------
    TresetError
        Which cells pass the filters does not depend on the backend, so the runs are of different data.
    """
    if len(cpu) != len(gpu) or not cpu.index.equals(gpu.index):
        raise TresetError(
            f"the CPU run kept {len(cpu)} cells and the GPU run {len(gpu)}, and they are not the same ones: the runs "
            "are of different files or settings; delete the folder parity of the results and run treset parity again"
        )


def cluster_ari(cpu: pd.DataFrame, gpu: pd.DataFrame) -> float:
    """Adjusted Rand index of the clusters of all cells."""
    return adjusted_rand(cpu["cluster"].to_numpy(), gpu["cluster"].to_numpy())


def population_f1(
    cpu: pd.DataFrame, gpu: pd.DataFrame, parents: Mapping[str, str], min_cells: int
) -> list[dict[str, object]]:
    """F1 of every population between the backends, over all kept cells.

    A cell of a population is one of its parent's too. F1 is ``2 both / (cpu + gpu)``, the same whichever is taken as
    the truth.

    Parameters
    ----------
    cpu, gpu
        :func:`read_labels`.
    parents
        Population -> its parent; the root is no key.
    min_cells
        Populations with fewer cells on both backends are not judged.

    Returns
    -------
    One row a reading and population: ``reading population cells_cpu cells_gpu both f1 judged``; F1 is None where no
    cell is of it on either.
    """
    rows = []
    for reading, column in READINGS.items():
        labels = [table[column].to_numpy(dtype=object) for table in (cpu, gpu)]
        for population in parents:
            inside = [name for name in parents if population in _line(name, parents)]
            mine, other = (np.isin(own, inside) for own in labels)
            a, b, both = int(mine.sum()), int(other.sum()), int((mine & other).sum())
            rows.append(
                {
                    "reading": reading, "population": population, "cells_cpu": a, "cells_gpu": b, "both": both,
                    "f1": 2 * both / (a + b) if a + b else None, "judged": max(a, b) >= min_cells,
                }
            )  # fmt: skip
    return rows


def _line(population: str, parents: Mapping[str, str]) -> list[str]:
    """A population and all above it."""
    line = [population]
    while line[-1] in parents and parents[line[-1]] not in line:
        line.append(parents[line[-1]])
    return line
