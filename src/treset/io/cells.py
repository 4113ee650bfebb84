"""One sample's prepared cells: read in part, and extended without passing through memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd

from treset.errors import TresetError
from treset.io.files import atomic
from treset.io.h5ad import read_parts
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
    with _opened(path) as file:
        keep = np.asarray(file["obs/keep"][:], dtype=bool)
        rows = np.flatnonzero(keep)
        return Kept(_read(path, file, rows, variables, tables, chunk), rows, len(keep))


def read_rows(path: Path, rows: np.ndarray, tables: Sequence[str] = (), chunk: int = CHUNK) -> AnnData:
    """Read some cells of ``prepared.h5ad`` with all variables: parameters as of :func:`read_kept`.

    Parameters
    ----------
    rows
        (n,) rising row numbers.

    Returns
    -------
    ``X``, ``obs`` sample and batch, ``var``, the tables asked for and ``uns["treset_panel"]``; no layers.
    """
    with _opened(path) as file:
        return _read(path, file, rows, None, tables, chunk)


def read_values(
    path: Path, rows: np.ndarray, variables: Sequence[str], chunk: int = CHUNK
) -> tuple[np.ndarray, str, str]:
    """Read values of some cells and nothing else of them, not even their names.

    Parameters
    ----------
    path
        A ``prepared.h5ad`` of cytometry.
    rows
        (n,) rising row numbers.
    variables
        Names of the columns of ``X``, in the order wanted.
    chunk
        See :func:`read_kept`.

    Returns
    -------
    (n, p) float32, column after column in memory; the file's sample; its batch.

    Raises
    ------
    TresetError
        The file is damaged, or a variable is not in it.
    """
    from anndata.io import read_elem

    with _opened(path) as file:
        columns = _columns_of(path, read_elem(file["var"]).index, variables)
        sample, batch = (str(pd.Series(read_elem(file["obs"][name])).iloc[0]) for name in ("sample", "batch"))
        return _dense(file["X"], rows, columns, chunk), sample, batch


def kept_rows(path: Path) -> np.ndarray:
    """Row numbers of the cells that quality kept: (n,) int64, rising."""
    return np.flatnonzero(np.asarray(read_parts(path, "obs/keep")["obs/keep"], dtype=bool))


def variables_of(path: Path) -> pd.DataFrame:
    """``var`` of a file."""
    return read_parts(path, "var")["var"]


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """An open file; what HDF5 says of damage becomes one sentence."""
    with open_h5(path) as file:
        try:
            yield file
        except (OSError, KeyError, ValueError) as error:
            raise TresetError(f"{path}: cannot be read ({error}); run the step that wrote it again.") from None


def _read(
    path: Path, file: h5py.File, rows: np.ndarray, variables: Sequence[str] | None, tables: Sequence[str], chunk: int
) -> AnnData:
    import anndata
    from anndata.io import read_elem

    table, var = file["obs"], read_elem(file["var"])
    columns = np.arange(len(var)) if variables is None else _columns_of(path, var.index, variables)
    # a cell's table carries sample and batch, and these are columns of one value each
    obs = {name: pd.Series(read_elem(table[name])).iloc[rows].astype(str).to_numpy() for name in ("sample", "batch")}
    index = pd.Index(read_elem(table[table.attrs["_index"]])[rows])
    stored = file["X"]
    x = (
        _dense(stored, rows, columns, chunk)
        if isinstance(stored, h5py.Dataset)
        else read_elem(stored)[rows][:, columns]
    )
    found = {name: read_elem(file[f"obsm/{name}"]).iloc[rows] for name in tables if f"obsm/{name}" in file}
    return anndata.AnnData(
        x,
        obs=pd.DataFrame(obs, index=index),
        var=var.iloc[columns],
        obsm={name: frame.set_axis(index) for name, frame in found.items()},
        uns={"treset_panel": read_elem(file["uns/treset_panel"])} if "uns/treset_panel" in file else {},
    )


def _columns_of(path: Path, names: pd.Index, variables: Sequence[str]) -> np.ndarray:
    columns = names.get_indexer(list(variables))
    if (columns < 0).any():
        lacking = ", ".join(name for name, column in zip(variables, columns, strict=True) if column < 0)
        raise TresetError(f"{path}: lacks {lacking}, which the sketch has; run the step that wrote it again.")
    return columns


def _dense(stored: h5py.Dataset, rows: np.ndarray, columns: np.ndarray, chunk: int) -> np.ndarray:
    """These rows and columns, (n, p) float32 in Fortran order."""
    out, at = np.empty((len(columns), len(rows)), dtype=np.float32), 0
    for part in slices(stored.shape[0], chunk):
        stop = at + int(np.searchsorted(rows[at:], part.stop))
        if stop > at:
            out[:, at:stop] = stored[part][np.ix_(rows[at:stop] - part.start, columns)].T
        at = stop
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
