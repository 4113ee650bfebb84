"""Ingest, quality and normalisation of one sample."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from treset.io import check_values, read_sample
from treset.io.checksum import unchanged, write_record
from treset.io.h5ad import write_h5ad
from treset.io.panel import apply_panel
from treset.io.table import write_tsv
from treset.phenotype.sketch import sample_seed
from treset.study.model import Clean, Modality, Normalise, Quality

#: Columns of ``clean.tsv``: what the steps before the filters did.
CLEAN_COLUMNS = ["sample", "step", "measure", "channel", "before", "after", "note"]


@dataclass(frozen=True)
class PrepareSettings:
    """What prepare does, the same for every sample of a study."""

    modality: Modality
    #: Rows (channel, marker, role, cofactor) of the panel; empty for RNA.
    panel: tuple[dict, ...]
    aliases: dict[str, tuple[str, ...]]
    quality: Quality
    normalise: Normalise
    seed: int
    clean: Clean = field(default_factory=Clean)


def prepare(
    sample: str,
    batch: str,
    file: Path,
    settings: PrepareSettings,
    cells: Path,
    quality: Path,
    clean: Path | None = None,
    record: Path | None = None,
) -> None:
    """Read one sample's file, flag its cells, transform its values.

    Parameters
    ----------
    sample, batch
        As in the sheet.
    file
        FCS, 10x, h5ad or table.
    settings
        The study's.
    cells, quality
        Written: the AnnData of all events and the table of kept and dropped counts.
    clean
        Written where given: what the steps before the filters did, ``sample step measure channel before after note``.
    record
        Written where given: size, time and SHA-256 of the file as it was read (:mod:`treset.io.checksum`).

    Raises
    ------
    TresetError
        The file cannot be read, is not what the study says, or changed while it was read.
    """
    with unchanged(file, sample) as known:
        data = read_sample(file, settings.modality)
    seed = sample_seed(settings.seed, sample)
    steps: list[tuple] = []
    if settings.modality == "rna":
        from treset.normalise import protein
        from treset.normalise import rna as normalise
        from treset.quality import rna as filters

        check_values(data, sample)
        table = filters.flag(data, settings.quality.rna, _scrublet(), seed)
        done = normalise.transform(data, settings.normalise.target_sum)
        if protein.RAW in done.obsm:
            done.obsm["protein"], told = protein.normalised(done.obsm[protein.RAW])
            data.uns["treset_io"]["notes"] += told
    else:
        from treset.clean.prepare import clean_sample
        from treset.normalise import cytometry as normalise
        from treset.quality import cytometry as filters

        panel = pd.DataFrame(list(settings.panel), columns=["channel", "marker", "role", "cofactor"])
        data = apply_panel(data, panel, settings.aliases, sample)
        check_values(data, sample)
        cofactor = settings.normalise.cofactor or normalise.default_cofactor(settings.modality)
        cleaned = clean_sample(data, settings.clean, settings.modality, sample, cofactor)
        steps = cleaned.rows
        table = filters.flag(data, settings.quality.cytometry, cleaned.flags)
        done = normalise.transform(data, cofactor)
    done.obs["sample"] = pd.Categorical([sample] * done.n_obs)
    done.obs["batch"] = pd.Categorical([batch] * done.n_obs)
    done.obs_names = [f"{sample}:{i}" for i in range(done.n_obs)]
    for frame in done.obsm.values():
        if isinstance(frame, pd.DataFrame):
            frame.index = done.obs_names
    done.uns["treset_io"] = data.uns["treset_io"]
    done.uns["treset_panel"] = data.uns.get("treset_panel", {})
    table.insert(0, "sample", sample)
    for note in data.uns["treset_io"]["notes"]:
        print(f"{sample}: {note}")
    for note in [row[-1] for row in steps if row[-1]]:
        print(f"{sample}: {note}")
    write_tsv(table, quality)
    if clean is not None:
        rows = [(sample, *row) for row in steps]
        write_tsv(pd.DataFrame(rows, columns=CLEAN_COLUMNS), clean)
    write_h5ad(done, cells)
    if record is not None:
        write_record(known, record)


def _scrublet():
    """The doublet finder; small samples do not repay a GPU's start, so it is the CPU's."""
    from treset.compute import open_backend

    return open_backend("cpu").scrublet
