"""One sample's prepared cells: read in part, and extended without passing through memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd

from treset.errors import TresetError
from treset.io.files import atomic
from treset.io.tenx import open_h5

if TYPE_CHECKING:
    from anndata import AnnData

#: Cells read at a time.
CHUNK = 131_072


@dataclass(frozen=True)
class Kept:
    """The cells of a sample that quality kept.

    Attributes
    ----------
    cells
        ``X`` of the variables asked for, (n, p); ``obs`` sample and batch; no layers. A dense ``X`` is float32 and lies
        column after column, so that a marker's column is taken without a copy.
    rows
        (n,) rising row numbers in the file.
    n_obs
        Cells in the file, dropped ones too.
    """

    cells: AnnData
    rows: np.ndarray
    n_obs: int


def read_kept(path: Path, variables: Sequence[str], tables: Sequence[str] = (), chunk: int = CHUNK) -> Kept:
    """Read what mapping needs of ``prepared.h5ad``, and nothing else.

    Parameters
    ----------
    path
        The file.
    variables
        Names of the columns of ``X``, in the order wanted.
    tables
        Tables of ``obsm`` to read where they are there.
    chunk
        Rows of a dense ``X`` read at a time: bounds the memory beside the result.

    Raises
    ------
    TresetError
        The file is damaged, or a variable is not in it.
    """
    import anndata
    from anndata.io import read_elem

    with open_h5(path) as file:
        try:
            keep = np.asarray(file["obs/keep"][:], dtype=bool)
            obs = {name: np.asarray(read_elem(file[f"obs/{name}"])).astype(str) for name in ("sample", "batch")}
            var = read_elem(file["var"])
            found = {name: read_elem(file[f"obsm/{name}"]) for name in tables if f"obsm/{name}" in file}
            rows, columns = np.flatnonzero(keep), var.index.get_indexer(list(variables))
            if (columns < 0).any():
                lacking = ", ".join(str(v) for v, c in zip(variables, columns, strict=True) if c < 0)
                raise TresetError(f"{path}: lacks {lacking}, which the sketch has; run the step that wrote it again.")
            if isinstance(file["X"], h5py.Dataset):
                x = _dense(file["X"], keep, columns, chunk)
            else:
                x = read_elem(file["X"])[rows][:, columns]
        except (OSError, KeyError, ValueError) as error:
            raise TresetError(f"{path}: cannot be read ({error}); run the step that wrote it again.") from None
    index = pd.RangeIndex(len(rows)).astype(str)
    cells = anndata.AnnData(
        x,
        obs=pd.DataFrame({name: values[rows] for name, values in obs.items()}, index=index),
        var=var.iloc[columns],
        obsm={name: table.iloc[rows].set_axis(index) for name, table in found.items()},
    )
    return Kept(cells, rows, len(keep))


def _dense(stored: h5py.Dataset, keep: np.ndarray, columns: np.ndarray, chunk: int) -> np.ndarray:
    """Kept rows and these columns, (n, p) float32 in Fortran order."""
    out, at = np.empty((len(columns), int(keep.sum())), dtype=np.float32), 0
    for part in slices(len(keep), chunk):
        block = stored[part][np.ix_(keep[part], columns)]
        out[:, at : at + len(block)] = block.T
        at += len(block)
    return out.T


def slices(n: int, chunk: int) -> Iterator[slice]:
    """Parts of ``n`` rows, each of ``chunk`` but the last, which takes what would not make half a part."""
    starts = list(range(0, n, chunk))
    if len(starts) > 1 and 2 * (n - starts[-1]) < chunk:
        starts.pop()
    for start, stop in pairwise([*starts, n]):
        yield slice(start, stop)


def extend_h5ad(
    source: Path, path: Path, obs: Mapping[str, Any], obsm: Mapping[str, np.ndarray], uns: Mapping[str, Any]
) -> None:
    """Write a copy of a file with more columns; the same content gives the same bytes.

    The system copies the file, so that neither time nor memory is spent on what stays as it is.

    Parameters
    ----------
    source
        An AnnData file of the pipeline.
    path
        Written whole or not at all.
    obs
        New columns of the cells' table, (cells in the file,) each.
    obsm
        New arrays, one row a cell.
    uns
        New entries.
    """
    from anndata.io import write_elem

    with atomic(path) as temporary:
        shutil.copyfile(source, temporary)
        with h5py.File(temporary, "r+") as file:
            for name, values in obs.items():
                write_elem(file["obs"], name, values)
            file["obs"].attrs["column-order"] = [*file["obs"].attrs["column-order"], *obs]
            for key, entries in (("obsm", obsm), ("uns", uns)):
                for name, entry in entries.items():
                    write_elem(file[key], name, entry)
