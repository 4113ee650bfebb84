"""A finished study's labels as channels of FCS files, for other programs of cytometry."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from treset.errors import TresetError
from treset.io import file_format, read_sample
from treset.io.fcs import linearise, read_fcs, write_fcs
from treset.io.fcs_write import carried
from treset.io.h5ad import read_h5ad
from treset.io.table import write_tsv
from treset.study.model import Study

if TYPE_CHECKING:
    from anndata import AnnData

#: Channels that are added, in order, and what they are.
ADDED = {
    "treset_kept": "passed quality",
    "treset_cluster": "cluster",
    "treset_population": "population by gates",
    "treset_cluster_population": "population by clusters",
    "treset_umap_1": "UMAP 1",
    "treset_umap_2": "UMAP 2",
    "treset_event": "event in the source",
}
#: Labels of ``cells.h5ad`` -> the channel with their code.
_LABELS = {
    "treset_cluster": "cluster",
    "treset_population": "population",
    "treset_cluster_population": "cluster_population",
}
#: Whole numbers beyond this are not exact in float32.
_EXACT = 2**24
UNASSIGNED = "unassigned"


@dataclass(frozen=True)
class _Source:
    events: np.ndarray
    channels: tuple[str, ...]
    markers: tuple[str, ...]
    keywords: dict[str, str]


def export_fcs(study: Study, out: Path, samples: Collection[str] | None = None, dropped: bool = True) -> list[Path]:
    """Write each sample's events with the labels of the run as further channels.

    The channels of the source are as they were recorded (log-amplified integers made linear): no compensation, bead
    normalisation or arcsinh; the source's own keywords, its spillover matrix among them, are kept. Added are the
    channels of `ADDED`. Labels are codes from 1, the same in all files, told in ``labels.tsv`` and in the keywords
    ``TRESET_POPULATION_1`` and so on; 0 is none. An event dropped by quality has ``treset_kept`` 0, codes 0, and lies
    in a corner beyond the map, since many programs cannot read NaN.

    Parameters
    ----------
    study
        A finished study of cytometry.
    out
        Folder of ``<sample>.fcs`` and ``labels.tsv``.
    samples
        Default: all that are analysed.
    dropped
        Whether events that quality dropped are written. Default: yes.

    Returns
    -------
    The files, ``labels.tsv`` last.

    Raises
    ------
    TresetError
        The study is of RNA or not finished, a sample is unknown, or a source has changed since the run.
    """
    if study.modality == "rna":
        raise TresetError("export fcs: the study is of RNA, which FCS files do not hold; use its cells.h5ad.")
    rows = study.included.set_index("sample")
    wanted = list(rows.index) if samples is None else list(samples)
    if unknown := [sample for sample in wanted if sample not in rows.index]:
        raise TresetError(f"export fcs: the sheet has no sample {', '.join(unknown)} that is analysed.")
    codes = _codes(study.results)
    written = []
    for sample in wanted:
        path = study.results / "samples" / sample / "cells.h5ad"
        if not path.is_file():
            raise TresetError(f"{path} is missing: run the study to its end before the export.")
        written.append(_export(sample, Path(rows.loc[sample, "file"]), read_h5ad(path), codes, out, dropped))
    table = [(channel, code, label) for channel, known in codes.items() for label, code in known.items()]
    write_tsv(pd.DataFrame(table, columns=["channel", "code", "label"]), out / "labels.tsv")
    return [*written, out / "labels.tsv"]


def _codes(results: Path) -> dict[str, dict[str, int]]:
    """Channel -> label -> code, in the order of the cohort's tables."""

    def column(name: str, of: str) -> list[str]:
        path = results / "cohort" / name
        if not path.is_file():
            raise TresetError(f"{path} is missing: run the study to its end before the export.")
        return list(pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)[of])

    populations = list(dict.fromkeys([*column("populations.tsv", "population"), UNASSIGNED]))
    clusters = list(dict.fromkeys(column("clusters.tsv", "cluster")))
    of = {"treset_cluster": clusters, "treset_population": populations, "treset_cluster_population": populations}
    return {channel: {label: code for code, label in enumerate(labels, start=1)} for channel, labels in of.items()}


def _export(
    sample: str, file: Path, cells: AnnData, codes: dict[str, dict[str, int]], out: Path, dropped: bool
) -> Path:
    source = _read(file)
    if len(source.events) != cells.n_obs:
        raise TresetError(
            f"Sample {sample}: {file} has {len(source.events)} events and the run saw {cells.n_obs}; the file was "
            "changed since: run the study again."
        )
    if taken := [name for name in ADDED if name in source.channels]:
        raise TresetError(
            f"Sample {sample}: {file} has the channels {', '.join(taken)} already: it was exported before."
        )
    added = _added(sample, cells, codes)
    rows = np.ones(cells.n_obs, dtype=bool) if dropped else cells.obs["keep"].to_numpy()
    events = np.column_stack([source.events.astype(np.float32, copy=False), added])[rows]
    told = {
        f"TRESET_{channel.removeprefix('treset_').upper()}_{code}": label
        for channel, known in codes.items()
        for label, code in known.items()
    }
    path = out / f"{sample}.fcs"
    markers = [*source.markers, *ADDED.values()]
    write_fcs(path, events, [*source.channels, *ADDED], markers, {**source.keywords, **told})
    return path


def _read(file: Path) -> _Source:
    if file_format(file) != "fcs":
        data = read_sample(file, "mass_cytometry")
        return _Source(np.asarray(data.X), tuple(data.var_names), tuple(data.var["marker"]), {})
    header, stored = read_fcs(file)
    events, _ = linearise(header, stored)
    return _Source(events, header.channels, header.markers, carried(header.text))


def _added(sample: str, cells: AnnData, codes: dict[str, dict[str, int]]) -> np.ndarray:
    kept = cells.obs["keep"].to_numpy()
    columns = {"treset_kept": kept.astype(np.float32)}
    for channel, column in _LABELS.items():
        columns[channel] = _coded(sample, cells.obs[column].astype(str).to_numpy(), kept, codes[channel])
    umap = np.asarray(cells.obsm["X_umap"], dtype=np.float32)
    for axis in (0, 1):
        columns[f"treset_umap_{axis + 1}"] = _cornered(umap[:, axis])
    if cells.n_obs > _EXACT:
        raise TresetError(
            f"Sample {sample}: {cells.n_obs} events are too many for exact numbers in FCS; split the file."
        )
    columns["treset_event"] = np.arange(1, cells.n_obs + 1, dtype=np.float32)
    return np.column_stack([columns[name] for name in ADDED])


def _coded(sample: str, labels: np.ndarray, kept: np.ndarray, known: dict[str, int]) -> np.ndarray:
    names, inverse = np.unique(labels, return_inverse=True)
    used: Sequence[str] = [name for number, name in enumerate(names) if name and (kept & (inverse == number)).any()]
    if odd := [name for name in used if name not in known]:
        raise TresetError(
            f"Sample {sample}: the labels {', '.join(odd)} are not in the cohort's tables; run the study again."
        )
    code = np.array([known.get(name, 0) for name in names], dtype=np.float32)[inverse]
    return np.where(kept, code, 0).astype(np.float32)


def _cornered(column: np.ndarray) -> np.ndarray:
    """The coordinate, and for events without one a place a tenth of the map's width beyond its lower end."""
    known = np.isfinite(column)
    if not known.any():
        return np.zeros_like(column)
    low, high = float(column[known].min()), float(column[known].max())
    return np.where(known, column, np.float32(low - 0.1 * max(high - low, 1.0)))
