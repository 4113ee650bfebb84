"""What a job needs, estimated from the size of what it reads: memory, minutes and threads.

Measured on one core of an x86-64 machine: preparing 200 000 events of 40 channels takes 0.33 GB (0.19 GB of which are
the interpreter and its libraries), the cohort job 0.58 GB at a sketch of 20 000 cells. The estimates lie above what was
measured by a factor of two or more: a job killed for memory costs more than a generous request, and a workflow engine
asks for more at each retry.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from treset.errors import TresetError
from treset.io import peek

#: What the workflow engine takes beside the job where a scheduler counts it all (two Snakemake processes, 160 MB each).
ENGINE_MB = 500
#: Bytes of memory a value read takes while a sample is prepared and mapped (raw, transformed, technical, a copy).
BYTES_PER_VALUE = 40
#: Bytes of memory a value takes on which thresholds are found (itself; populations, batch and sample of its cell).
BYTES_PER_GATE_VALUE = 12
#: Rows of the waist of one sample (populations and clusters times measures times markers), and bytes of one in memory.
ROWS_PER_SAMPLE, BYTES_PER_ROW = 8_000, 60
#: Cells above which a second thread repays itself, and the most threads asked for.
CELLS_PER_MAP_THREAD, MOST_MAP_THREADS = 500_000, 4
CELLS_PER_COHORT_THREAD, MOST_COHORT_THREADS = 6_000, 8
_SIMULATED_CHANNELS, _SIMULATED_EVENTS = 64, 20_000


@dataclass(frozen=True)
class Size:
    """Size of one sample's file.

    Attributes
    ----------
    cells
        Events or cells of the header, before any filter.
    values
        Numbers that are read: events times channels; of RNA, whose headers give no number of non-zero counts, one a
        byte of the file, at most cells times genes.
    """

    cells: int
    values: int


@dataclass(frozen=True)
class Need:
    """What a job asks for: memory (MB), time (minutes), threads."""

    mem_mb: int
    runtime: int
    threads: int = 1


def sample_size(file: Path | str, modality: str) -> Size:
    """Size of a sample's file by its header; by its bytes where the header cannot be read (the job will say why).

    Parameters
    ----------
    file
        The sample's file, or its folder.
    modality
        The study's.

    Raises
    ------
    FileNotFoundError
        There is none (yet).
    """
    path = Path(file)
    status = path.stat()
    return _sized(path, modality, status.st_mtime_ns)


def simulated_size(parameters: dict) -> Size:
    """Size of the samples that ``simulate`` has yet to write; ``parameters`` are the config's."""
    cells = int(parameters.get("events", _SIMULATED_EVENTS))
    return Size(cells, cells * _SIMULATED_CHANNELS)


@cache
def _sized(path: Path, modality: str, changed: int) -> Size:
    stored = sum(part.stat().st_size for part in path.iterdir()) if path.is_dir() else path.stat().st_size
    try:
        found = peek(path, modality)
    except TresetError:
        return Size(max(1, stored // 100), max(1, stored))
    full = found.n_cells * len(found.variables)
    return Size(found.n_cells, min(stored, full) if modality == "rna" else full)


def _need(megabytes: float, minutes: float, threads: int = 1) -> Need:
    return Need(math.ceil(ENGINE_MB + megabytes), math.ceil(minutes), threads)


def prepare_need(size: Size, modality: str) -> Need:
    """Need of the job that reads one sample's file; RNA loads scanpy for its doublet finder."""
    base = 1_500 if modality == "rna" else 400
    return _need(base + BYTES_PER_VALUE * size.values / 1e6, 5 + size.values / 2e7)


def map_need(size: Size, modality: str, sketch_cells: int) -> Need:
    """Need of the job that places one sample's cells on the sketch."""
    base = 1_500 if modality == "rna" else 500
    threads = min(MOST_MAP_THREADS, 1 + size.cells // CELLS_PER_MAP_THREAD)
    megabytes = base + 1.5 * BYTES_PER_VALUE * size.values / 1e6 + 0.01 * sketch_cells
    return _need(megabytes, 5 + size.values / 1e7 / threads, threads)


def cohort_need(sizes: Iterable[Size], modality: str, sketch_cells: int, gate_cells: int) -> Need:
    """Need of the job that sees the cohort: the sketch, one sample after the other while it is drawn, the gates' cells.

    Parameters
    ----------
    sizes
        Of all samples.
    modality
        The study's.
    sketch_cells
        Cells wanted in the sketch; it holds no more than the samples have.
    gate_cells
        Of cytometry, cells on which thresholds are found, of no more channels than a file has; likewise.
    """
    sizes = list(sizes)
    all_cells = sum(size.cells for size in sizes)
    cells = min(sketch_cells, all_cells)
    channels = max((size.values / max(size.cells, 1) for size in sizes), default=0)
    gated = 0.0 if modality == "rna" else min(gate_cells, all_cells) * channels
    largest = max((size.values for size in sizes), default=0)
    total = sum(size.values for size in sizes)
    base, each = (3_000, 0.15) if modality == "rna" else (1_200, 0.05)
    threads = min(MOST_COHORT_THREADS, 1 + cells // CELLS_PER_COHORT_THREAD)
    megabytes = base + each * cells + (BYTES_PER_VALUE * largest + BYTES_PER_GATE_VALUE * gated) / 1e6
    return _need(megabytes, 10 + cells / 1_000 + gated / 1e7 + total / 2e7, threads)


def gather_need(samples: int) -> Need:
    """Need of the job that gathers the waist: one sample at a time, and a few lines of quality of each."""
    return _need(600 + 0.1 * samples, 10 + samples / 10)


def table_need(samples: int, base: float = 500, copies: int = 3) -> Need:
    """Need of a job that holds the waist, its text as categories: a monitor, the report.

    Parameters
    ----------
    samples
        Of the study.
    base
        Megabytes of the interpreter and the libraries.
    copies
        How many times the whole table fits: itself, what is read of it, and room for samples with more rows.
    """
    rows = samples * ROWS_PER_SAMPLE
    return _need(base + copies * rows * BYTES_PER_ROW / 1e6, 10 + samples / 10)
