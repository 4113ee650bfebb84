"""10x Genomics count matrices: HDF5 (Cell Ranger 2 and 3 on) and matrix-market folders, read and written."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pandas as pd
import scipy.io
import scipy.sparse as sp

from treset.errors import TresetError
from treset.io.counts import counts_anndata, counts_csr
from treset.io.files import atomic

if TYPE_CHECKING:
    from anndata import AnnData

_FEATURES = ("features.tsv.gz", "features.tsv", "genes.tsv.gz", "genes.tsv")
_BARCODES = ("barcodes.tsv.gz", "barcodes.tsv")
_MATRIX = ("matrix.mtx.gz", "matrix.mtx")
#: Deflate packs at most 1032:1, and an entry of a matrix-market file has at least four bytes ("1 1\n" and up).
_MAX_DEFLATE, _MIN_ENTRY = 1032, 4


@dataclass(frozen=True)
class TenxNames:
    """Barcodes and features of a 10x matrix; no counts."""

    barcodes: np.ndarray
    features: pd.DataFrame
    form: str


def read_10x(path: Path | str) -> AnnData:
    """Read the counts of a 10x ``.h5`` file or of a folder with ``matrix.mtx``.

    Folders may be of the old form (``genes.tsv``) or the new (``features.tsv.gz``), plain or gzipped.

    Parameters
    ----------
    path
        The file or folder.

    Returns
    -------
    AnnData, cells x features: ``X`` CSR float32 integer counts, ``var_names`` gene symbols made unique,
    ``var["gene_id"]``, ``var["feature_type"]``, ``uns["treset_io"]`` = {"format", "notes"}. All feature types are
    kept.

    Raises
    ------
    TresetError
        A file, group or array is missing, shapes disagree, barcodes repeat, or counts are negative or no integers.
    """
    path = Path(path)
    names = read_10x_names(path)
    counts = _read_mtx(path, names) if path.is_dir() else _read_h5(path, names)
    return counts_anndata(counts, names.barcodes, names.features, names.form, path)


def read_10x_names(path: Path | str) -> TenxNames:
    """Read barcodes and features only.

    Parameters
    ----------
    path
        As for `read_10x`.

    Returns
    -------
    ``features`` has the columns gene_id, symbol, feature_type; ``form`` says which form of 10x it is.
    """
    path = Path(path)
    if path.is_dir():
        return _folder_names(path)
    with open_h5(path) as file:
        return _h5_names(path, file)


def open_h5(path: Path) -> h5py.File:
    """Open an HDF5 file for reading; a sentence where it is none, or where it takes its content from other files."""
    if not path.is_file():
        raise TresetError(f"{path}: there is no such file; check the path in the sample sheet.")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise TresetError(f"{path}: is no readable HDF5 file ({error}); copy or export it again.") from None
    try:
        elsewhere = _elsewhere(file)
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        file.close()
        raise TresetError(f"{path}: its parts cannot be listed ({error}); copy or export it again.") from None
    if elsewhere:
        file.close()
        raise TresetError(
            f"{path}: {elsewhere}, so that a file from a stranger could bring in any file of this machine, and "
            "checksums would not cover it; expected one whole file: write it again without links to other files."
        )
    return file


def _elsewhere(file: h5py.File) -> str:
    """Say which part of the file lies in another file: an external link, raw or virtual storage; '' where none does."""

    def link(name: str, found: object) -> str | None:
        if isinstance(found, h5py.ExternalLink):
            return f"{name} is a link to another file ({found.filename})"
        if isinstance(found, h5py.HardLink):
            node = file[name]
            if isinstance(node, h5py.Dataset) and (node.external or node.is_virtual):
                return f"{name} has its values in another file"
        return None

    return file.visititems_links(link) or ""


def _h5_group(path: Path, file: h5py.File) -> tuple[str, bool]:
    """The group with the counts, and whether it is of version 3."""
    if "matrix" in file:
        return "matrix", True
    genomes = [key for key in file if isinstance(file[key], h5py.Group) and "gene_names" in file[key]]
    if len(genomes) == 1:
        return genomes[0], False
    found = f"{len(genomes)} genomes ({', '.join(genomes)})" if genomes else f"the keys {', '.join(file) or 'none'}"
    raise TresetError(
        f"{path}: is no 10x matrix of one genome: it has {found}, expected the group matrix (or one genome)."
    )


def _h5_array(path: Path, file: h5py.File, key: str) -> np.ndarray:
    if not isinstance(file.get(key), h5py.Dataset):
        raise TresetError(f"{path}: lacks the array {key} of a 10x matrix; export it again from Cell Ranger.")
    try:
        return file[key][()]
    except (OSError, ValueError, KeyError) as error:
        raise TresetError(f"{path}: the array {key} cannot be read ({error}); copy it again.") from None


def _texts(array: np.ndarray) -> np.ndarray:
    return np.array([value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in array])


def _h5_names(path: Path, file: h5py.File) -> TenxNames:
    group, new = _h5_group(path, file)
    ids, symbols = ("features/id", "features/name") if new else ("genes", "gene_names")
    columns = {"gene_id": _texts(_h5_array(path, file, f"{group}/{ids}"))}
    columns["symbol"] = _texts(_h5_array(path, file, f"{group}/{symbols}"))
    key = f"{group}/features/feature_type"
    kinds = (
        _texts(_h5_array(path, file, key))
        if new and key in file
        else np.array(["Gene Expression"] * len(columns["symbol"]))
    )
    columns["feature_type"] = kinds
    if len({len(values) for values in columns.values()}) != 1:
        lengths = ", ".join(f"{name} {len(values)}" for name, values in columns.items())
        raise TresetError(f"{path}: its feature arrays differ in length ({lengths}); export it again from Cell Ranger.")
    barcodes = _texts(_h5_array(path, file, f"{group}/barcodes"))
    return TenxNames(barcodes, pd.DataFrame(columns), f"10x HDF5, version {3 if new else 2}")


def _read_h5(path: Path, names: TenxNames) -> sp.csr_matrix:
    with open_h5(path) as file:
        group, _ = _h5_group(path, file)
        parts = {key: _h5_array(path, file, f"{group}/{key}") for key in ("data", "indices", "indptr", "shape")}
    shape = tuple(int(value) for value in parts["shape"])
    expected = (len(names.features), len(names.barcodes))
    if shape != expected:
        raise TresetError(
            f"{path}: {group}/shape says {shape} but there are {expected[0]} features and {expected[1]} barcodes; "
            "export it again from Cell Ranger."
        )
    # Genes x cells by column is cells x genes by row.
    return counts_csr((parts["data"], parts["indices"], parts["indptr"]), expected[::-1], f"{path}: {group}")


def _one_of(folder: Path, names: tuple[str, ...]) -> Path:
    """The one file of these names (a prefix such as ``GSM1_`` allowed) in the folder."""
    entries = sorted(folder.iterdir())
    found = [entry for entry in entries if entry.name in names] or [
        entry for entry in entries if entry.name.endswith(tuple(f"_{name}" for name in names))
    ]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(entry.name for entry in found)
        raise TresetError(f"{folder}: has {listed}, expected one of them only; move the others out of the folder.")
    raise TresetError(
        f"{folder}: lacks {' or '.join(names)} of a 10x matrix folder; point the sample sheet to the folder that holds "
        "matrix, features and barcodes."
    )


def _read_bytes(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise TresetError(f"{path}: cannot be read ({error}); copy it again.") from None


def _read_columns(path: Path) -> list[list[str]]:
    text = _read_bytes(path).decode("utf-8", "replace")
    return [line.rstrip("\r").split("\t") for line in text.split("\n") if line.strip()]


def _folder_names(folder: Path) -> TenxNames:
    file = _one_of(folder, _FEATURES)
    rows = _read_columns(file)
    short = next((number for number, row in enumerate(rows, start=1) if len(row) < 2), None)
    if short or not rows:
        raise TresetError(
            f"{file}: line {short or 1} has fewer than two tab-separated columns, expected gene id and gene symbol."
        )
    barcodes = np.array([row[0] for row in _read_columns(_one_of(folder, _BARCODES))])
    features = pd.DataFrame(
        {
            "gene_id": [row[0] for row in rows],
            "symbol": [row[1] for row in rows],
            "feature_type": [row[2] if len(row) > 2 else "Gene Expression" for row in rows],
        }
    )
    return TenxNames(barcodes, features, f"10x folder ({file.name})")


def _read_mtx(folder: Path, names: TenxNames) -> sp.csr_matrix:
    file = _one_of(folder, _MATRIX)
    size = file.stat().st_size * (_MAX_DEFLATE if file.suffix == ".gz" else 1)
    shape = (len(names.features), len(names.barcodes))
    try:
        rows, columns, entries, form, field, symmetry = scipy.io.mminfo(str(file))
        if (form, symmetry) != ("coordinate", "general") or field not in ("integer", "real", "unsigned-integer"):
            raise TresetError(
                f"{file}: is a {form} {field} {symmetry} matrix, expected a coordinate integer general one."
            )
        if (rows, columns) != shape:
            raise TresetError(
                f"{file}: is {rows} x {columns} but the folder has {shape[0]} features and {shape[1]} barcodes; "
                "the three files are not of one matrix."
            )
        if entries * _MIN_ENTRY > size:
            raise TresetError(f"{file}: should have {entries} entries, more than its size allows; copy it again.")
        matrix = scipy.io.mmread(str(file), spmatrix=True)
    except (OSError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise TresetError(f"{file}: is no whole matrix-market file ({error}); copy or export it again.") from None
    if len(matrix.data) != entries:
        raise TresetError(f"{file}: has {len(matrix.data)} entries where {entries} were promised; copy it again.")
    csc = matrix.tocsc()
    if csc.nnz != entries:
        raise TresetError(f"{file}: gives a gene of a cell more than once; export it again.")
    return counts_csr((csc.data, csc.indices, csc.indptr), shape[::-1], str(file))


def write_10x_h5(
    path: Path | str,
    counts: sp.spmatrix | sp.sparray | np.ndarray,
    barcodes: Sequence[str],
    genes: Sequence[str],
    *,
    gene_ids: Sequence[str] | None = None,
    feature_types: Sequence[str] | None = None,
    genome: str = "GRCh38",
    version: int = 3,
) -> None:
    """Write counts as Cell Ranger does (``filtered_feature_bc_matrix.h5``).

    Parameters
    ----------
    path
        The file.
    counts
        Cells x genes, integers.
    barcodes, genes
        Names of the rows and columns.
    gene_ids
        Default: the gene names.
    feature_types
        Default: ``Gene Expression``. Version 2 has none.
    genome
        Name of the genome (of the group in version 2).
    version
        3 or 2, of the format.
    """
    csr, features = _to_write(Path(path), counts, barcodes, genes, (gene_ids, feature_types))
    with atomic(path) as temporary, h5py.File(temporary, "w", track_order=True) as file:
        group = file.create_group("matrix" if version == 3 else genome)
        packed = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
        group.create_dataset("barcodes", data=np.array(list(barcodes), dtype="S"), **packed)
        group.create_dataset("data", data=csr.data.astype(np.int32), **packed)
        group.create_dataset("indices", data=csr.indices.astype(np.int64), **packed)
        group.create_dataset("indptr", data=csr.indptr.astype(np.int64), **packed)
        group.create_dataset("shape", data=np.array(csr.shape[::-1], dtype=np.int32))
        columns = {name: np.array([text.encode() for text in features[name]]) for name in features}
        if version == 3:
            of = group.create_group("features")
            of.create_dataset("_all_tag_keys", data=np.array([b"genome"]))
            of.create_dataset("genome", data=np.array([genome.encode()] * csr.shape[1]), **packed)
            for name, key in (("gene_id", "id"), ("symbol", "name"), ("feature_type", "feature_type")):
                of.create_dataset(key, data=columns[name], **packed)
        else:
            group.create_dataset("genes", data=columns["gene_id"], **packed)
            group.create_dataset("gene_names", data=columns["symbol"], **packed)


def write_10x_mtx(
    folder: Path | str,
    counts: sp.spmatrix | sp.sparray | np.ndarray,
    barcodes: Sequence[str],
    genes: Sequence[str],
    *,
    gene_ids: Sequence[str] | None = None,
    feature_types: Sequence[str] | None = None,
    version: int = 3,
) -> None:
    """Write counts as a folder: ``matrix.mtx.gz``, ``features.tsv.gz``, ``barcodes.tsv.gz`` (version 3), or plain with
    ``genes.tsv`` (version 2). Parameters as for `write_10x_h5`; the bytes hold no time.
    """
    folder = Path(folder)
    csr, features = _to_write(folder, counts, barcodes, genes, (gene_ids, feature_types))
    matrix = io.BytesIO()
    scipy.io.mmwrite(matrix, csr.astype(np.int32).T.tocoo(), field="integer", symmetry="general")
    columns = ["gene_id", "symbol", "feature_type"] if version == 3 else ["gene_id", "symbol"]
    texts = {
        "matrix.mtx": matrix.getvalue(),
        "features.tsv" if version == 3 else "genes.tsv": _lines(features[columns]),
        "barcodes.tsv": _lines(pd.DataFrame({"barcode": list(barcodes)})),
    }
    for name, content in texts.items():
        with atomic(folder / (f"{name}.gz" if version == 3 else name)) as temporary:
            temporary.write_bytes(gzip.compress(content, mtime=0) if version == 3 else content)


def _lines(table: pd.DataFrame) -> bytes:
    return table.to_csv(sep="\t", header=False, index=False, lineterminator="\n").encode()


def _to_write(
    path: Path,
    counts: sp.spmatrix | sp.sparray | np.ndarray,
    barcodes: Sequence[str],
    genes: Sequence[str],
    columns: tuple[Sequence[str] | None, Sequence[str] | None],
) -> tuple[sp.csr_matrix, pd.DataFrame]:
    gene_ids, feature_types = columns
    csr = sp.csr_matrix(counts)
    if csr.shape != (len(barcodes), len(genes)):
        raise TresetError(f"{path}: counts are {csr.shape}, barcodes {len(barcodes)} and genes {len(genes)}.")
    csr = counts_csr((csr.data, csr.indices, csr.indptr), csr.shape, str(path))
    features = pd.DataFrame(
        {
            "gene_id": list(genes if gene_ids is None else gene_ids),
            "symbol": list(genes),
            "feature_type": list(["Gene Expression"] * len(genes) if feature_types is None else feature_types),
        }
    )
    return csr, features
