"""A planned trial written as raw files, with its truth beside them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from treset.errors import TresetError
from treset.io.files import atomic
from treset.simulate.panel import CHANNELS, channel_labels
from treset.simulate.parameters import did_you_mean
from treset.simulate.populations import LEAVES
from treset.simulate.trial import KINDS, Trial, realised_composition


def write(trial: Trial, folder: Path | str, samples: Iterable[str] | None = None) -> None:
    """Write a trial's raw files and its truth.

    Every sample depends on the trial's seed and its own id only: writing some samples gives the same bytes as writing
    all, and the truth's tables are the same whichever samples are written.

    Parameters
    ----------
    trial
        The trial.
    folder
        Folder of ``<sample>.fcs`` (or ``.h5``: 10x), ``truth.tsv``, ``truth/composition.tsv``, ``truth/patients.tsv``
        and ``truth/<sample>.parquet`` (one row an event in file order: kind, population, partner).
    samples
        Ids of the samples to write. Default: all.

    Raises
    ------
    TresetError
        For a sample that the trial has not.
    """
    folder = Path(folder)
    chosen = list(trial.plans) if samples is None else list(samples)
    for sample in chosen:
        if sample not in trial.plans:
            known = tuple(trial.plans)
            raise TresetError(
                f"simulate: the trial '{trial.design}' has no sample '{sample}'{did_you_mean(sample, known)}"
            )
    _write_table(trial.truth, folder / "truth.tsv")
    _write_table(realised_composition(trial), folder / "truth" / "composition.tsv")
    _write_table(trial.patients, folder / "truth" / "patients.tsv")
    for sample in chosen:
        if trial.modality == "rna":
            _write_rna(trial, sample, folder)
        else:
            _write_cytometry(trial, sample, folder)


def _write_cytometry(trial: Trial, sample: str, folder: Path) -> None:
    from treset.io.fcs import write_fcs
    from treset.simulate.cytometry import simulate_events

    events = simulate_events(trial, sample)
    keywords = {"$CYT": "simulated Helios", "TRESET_SIMULATION": f"{trial.design} seed {trial.seed} sample {sample}"}
    write_fcs(folder / f"{sample}.fcs", events.values, list(CHANNELS), channel_labels(), keywords)
    _write_cells(folder, sample, events.kind, events.population, events.partner)


def _write_rna(trial: Trial, sample: str, folder: Path) -> None:
    from treset.io.tenx import write_10x_h5
    from treset.simulate.rna import simulate_counts

    drawn = simulate_counts(trial, sample)
    write_10x_h5(folder / f"{sample}.h5", drawn.matrix, drawn.barcodes, drawn.genes)
    _write_cells(folder, sample, drawn.kind, drawn.population, drawn.partner)


def _write_cells(folder: Path, sample: str, kind: np.ndarray, population: np.ndarray, partner: np.ndarray) -> None:
    names = np.array([*LEAVES, ""])
    table = pd.DataFrame(
        {
            "kind": pd.Categorical.from_codes(kind, list(KINDS)),
            "population": pd.Categorical(names[population], categories=[*LEAVES, ""]),
            "partner": pd.Categorical(names[partner], categories=[*LEAVES, ""]),
        }
    )
    with atomic(folder / "truth" / f"{sample}.parquet") as path:
        table.to_parquet(path, index=False)


def _write_table(table: pd.DataFrame, file: Path) -> None:
    with atomic(file) as path:
        table.to_csv(path, sep="\t", index=False, lineterminator="\n")
