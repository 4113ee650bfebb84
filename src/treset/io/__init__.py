"""Readers and writers: the only part of treset that knows file formats.

Light at import (no anndata, no pandas): `treset check` reads the headers of hundreds of files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from treset.errors import Faults, TresetError
from treset.io.fcs import FcsHeader, linearise, read_fcs, read_header
from treset.io.spill import spillover_keyword

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["Peek", "check_values", "file_format", "peek", "read_sample"]

_MATRIX_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
_FCS_SUFFIXES = (".fcs", ".lmd")
_HDF5 = b"\x89HDF\r\n\x1a\n"
#: A lineage channel that does not vary over this many events was not recorded.
_MIN_EVENTS_CONSTANT = 500


@dataclass(frozen=True)
class Peek:
    """What a sample's file says of itself, without its data.

    Attributes
    ----------
    format
        ``FCS3.1``, ``10x HDF5, version 3`` ...
    n_cells
        Cells or events, before any filter.
    variables
        Channels or gene symbols, in order.
    markers
        ``$PnS`` of each channel; empty for RNA.
    notes
        What was tolerated.
    """

    format: str
    n_cells: int
    variables: tuple[str, ...]
    markers: tuple[str, ...]
    notes: tuple[str, ...]


def file_format(path: Path | str) -> str:
    """What a path is: ``fcs``, ``10x_h5``, ``10x_folder``, ``h5ad`` or ``matrix``, by its content before its name.

    Raises
    ------
    TresetError
        There is no such file, or it is none of these.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return "10x_folder"
        if not path.is_file():
            raise TresetError(f"{path}: there is no such file; check the path in the sample sheet.")
        with path.open("rb") as stream:
            start = stream.read(len(_HDF5))
    except OSError as error:
        raise TresetError(f"{path}: cannot be read ({error.strerror or error}); check permissions and disk.") from None
    if start == _HDF5:
        return _hdf5_format(path)
    name = path.name.lower()
    if start[:3] == b"FCS" or name.endswith(_FCS_SUFFIXES):
        return "fcs"
    if name.endswith((".h5", ".h5ad")):
        raise TresetError(
            f"{path}: is no HDF5 file whatever its name says (it begins with {start!r}); export it again."
        )
    if name.endswith(_MATRIX_SUFFIXES):
        return "matrix"
    raise TresetError(
        f"{path}: is of no known format, expected .fcs, .h5ad, 10x .h5, a 10x folder, or a .csv or .tsv "
        "matrix (.gz too)."
    )


def _hdf5_format(path: Path) -> str:
    from treset.io.tenx import open_h5

    with open_h5(path) as file:
        return "h5ad" if "obs" in file and "var" in file else "10x_h5"


def _format_for(path: Path, modality: str) -> str:
    form = file_format(path)
    is_rna, takes = modality == "rna", {"fcs": "cytometry", "10x_h5": "rna", "10x_folder": "rna", "h5ad": "rna"}
    if form != "matrix" and (takes[form] == "rna") != is_rna:
        what = {"fcs": "an FCS file (cytometry)", "h5ad": "an .h5ad file of counts"}.get(
            form, "a 10x count matrix (RNA)"
        )
        wanted = "counts (10x, .h5ad or a genes x cells table)" if is_rna else "FCS files or cells x markers tables"
        raise TresetError(
            f"{path}: is {what}, but the study's modality is {modality}, which takes {wanted}; correct the modality or "
            "the file."
        )
    return form


def read_sample(path: Path | str, modality: str) -> AnnData:
    """Read one sample's file, whatever its format.

    Parameters
    ----------
    path
        FCS, 10x ``.h5`` or folder, ``.h5ad`` with raw counts, or a text matrix.
    modality
        ``mass_cytometry``, ``flow_cytometry`` or ``rna``.

    Returns
    -------
    Cytometry: ``X`` float32 raw events (log-amplified integer channels made linear), ``var_names`` = channel,
    ``var["marker"]`` = ``$PnS`` or "". RNA: ``X`` CSR float32 counts of the features of type Gene Expression,
    ``var_names`` = symbols made unique, ``var["gene_id"]``, ``var["feature_type"]``; other feature types are tables in
    ``obsm``. Both: ``uns["treset_io"]`` = {"format": str, "notes": [sentence, ...]}.

    Raises
    ------
    TresetError
        The file is unreadable or not of this modality.
    """
    path = Path(path)
    form = _format_for(path, modality)
    if form == "fcs":
        return _read_fcs_sample(path)
    if form == "matrix":
        from treset.io.matrix import read_matrix

        return read_matrix(path, modality)
    from treset.io.counts import keep_genes
    from treset.io.h5ad import read_h5ad_counts
    from treset.io.tenx import read_10x

    try:
        return keep_genes(read_h5ad_counts(path) if form == "h5ad" else read_10x(path), path)
    except MemoryError:
        raise TresetError(f"{path}: does not fit into memory; give the job more, or split the file.") from None


def _read_fcs_sample(path: Path) -> AnnData:
    import pandas as pd
    from anndata import AnnData

    header, stored = read_fcs(path)
    linear, notes = linearise(header, stored)
    with np.errstate(over="ignore"):
        events = linear.astype(np.float32, copy=False)
    notes += _rounding(header, linear, events)
    var = pd.DataFrame({"marker": list(header.markers)}, index=pd.Index(header.channels))
    obs = pd.DataFrame(index=pd.RangeIndex(header.n_events).astype(str))
    kept = {"format": header.version, "notes": [*header.notes, *notes]}
    name, text = spillover_keyword(header.text)
    matrix = {"treset_spillover": {"keyword": name, "text": text}} if name else {}
    scale = header.text.get("TRANSFORMATION", "").strip()
    matrix |= {"treset_transformation": scale} if scale else {}
    return AnnData(events, obs=obs, var=var, uns={"treset_io": kept, **matrix})


def _rounding(header: FcsHeader, linear: np.ndarray, events: np.ndarray) -> list[str]:
    """Say which stored values float32 cannot hold exactly; refuse those it cannot hold at all."""
    if linear.dtype == np.float32:
        return []
    if np.isinf(events).sum() != np.isinf(linear).sum():
        raise TresetError(f"{header.path}: a value is beyond the range of float32 (3.4e38); export raw intensities.")
    rounded = [
        name
        for channel, (name, (decades, _)) in enumerate(zip(header.channels, header.amplifications, strict=True))
        if decades == 0 and not np.array_equal(linear[:, channel], events[:, channel], equal_nan=True)
    ]
    return [f"values rounded to float32 (7 digits): {', '.join(rounded)}"] if rounded else []


def peek(path: Path | str, modality: str) -> Peek:
    """Describe a sample's file from its header, without reading its data where the format allows.

    Only text matrices are read through (their lines are counted).

    Parameters
    ----------
    path, modality
        As for `read_sample`.

    Raises
    ------
    TresetError
        The file is unreadable, truncated or not of this modality.
    """
    path = Path(path)
    form = _format_for(path, modality)
    if form == "fcs":
        header = read_header(path)
        return Peek(header.version, header.n_events, header.channels, header.markers, header.notes)
    if form == "matrix":
        return _peek_matrix(path, modality)
    from treset.io.names import make_unique, without_genome

    if form == "h5ad":
        from treset.io.h5ad import peek_h5ad

        n_cells, genes, places = peek_h5ad(path)
        return Peek(
            "h5ad", n_cells, make_unique(without_genome(genes)[0])[0], (), (f"counts may be in {', '.join(places)}",)
        )
    from treset.io.tenx import read_10x_names

    names = read_10x_names(path)
    return Peek(
        names.form, len(names.barcodes), make_unique(without_genome(list(names.features["symbol"]))[0])[0], (), ()
    )


def _peek_matrix(path: Path, modality: str) -> Peek:
    from treset.io.matrix import ROW_NAMES, count_lines, read_columns

    columns = [name.strip() for name in read_columns(path)]
    if columns[0].lower() in ROW_NAMES:
        columns = columns[1:]
    if modality == "rna":
        return Peek("text matrix, genes x cells", len(columns), (), (), ("gene names are not read from a text matrix",))
    return Peek("text matrix, cells x markers", count_lines(path), tuple(columns), tuple(columns), ())


def check_values(adata: AnnData, sample: str) -> None:
    """Check the values of a sample as read: all faults at once.

    Parameters
    ----------
    adata
        Cytometry: after `treset.io.panel.apply_panel` (channels of role ignore are passed over). RNA: as read.
    sample
        For messages.

    Raises
    ------
    Faults
        NaN or infinity (the channel and the first event, counted from 1); a lineage channel that is zero or constant
        over at least 500 events; counts that are negative or no whole numbers.
    """
    faults = _channel_faults(adata, sample) if "role" in adata.var else _count_faults(adata, sample)
    if faults:
        raise Faults(faults)


def _channel_faults(adata: AnnData, sample: str) -> list[str]:
    faults = []
    values = np.asarray(adata.X)
    for channel, (name, marker, role) in enumerate(
        zip(adata.var_names, adata.var["marker"], adata.var["role"], strict=True)
    ):
        if role == "ignore":
            continue
        column = values[:, channel]
        label = f"{name} ({marker})" if marker and marker != name else name
        wrong = ~np.isfinite(column)
        if wrong.any():
            row = int(wrong.argmax())
            faults.append(
                f"Sample {sample}: channel {label} has {int(wrong.sum())} values that are not finite, the first "
                f"({column[row]}) in event {row + 1}; export the file again."
            )
        elif role == "lineage" and len(column) >= _MIN_EVENTS_CONSTANT and column.min() == column.max():
            faults.append(
                f"Sample {sample}: lineage channel {label} is {column[0]:g} in all {len(column)} events, so it was not "
                "recorded; exclude the sample or give the channel the role ignore in panel.tsv."
            )
    return faults


def _count_faults(adata: AnnData, sample: str) -> list[str]:
    from treset.io.counts import counts_fault

    fault = counts_fault(adata.X.data if hasattr(adata.X, "indptr") else np.asarray(adata.X).ravel())
    return [f"Sample {sample}: holds {fault}, expected raw counts (whole numbers from 0)."] if fault else []
