"""The steps in order, on one sample: what the study asks for, recorded before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from treset.errors import TresetError
from treset.study.model import Clean, Modality

if TYPE_CHECKING:
    from anndata import AnnData

    from treset.io.spill import Spillover

#: Columns of ``clean.tsv`` after the sample.
COLUMNS = ("step", "measure", "channel", "before", "after", "note")


@dataclass
class Cleaned:
    """What the steps leave behind.

    Attributes
    ----------
    rows
        One a step and measure: `COLUMNS`; before and after are numbers or NaN.
    flags
        Filter -> (events that fail, threshold, note), to go before the filters of `treset.quality.cytometry.flag`.
    """

    rows: list[tuple[str, str, str, float, float, str]] = field(default_factory=list)
    flags: dict[str, tuple[np.ndarray, str, str]] = field(default_factory=dict)

    def say(self, step: str, note: str) -> None:
        """Record a step that changed nothing, or how it went."""
        self.rows.append((step, "", "", np.nan, np.nan, note))


def clean_sample(adata: AnnData, settings: Clean, modality: Modality, sample: str) -> Cleaned:
    """Run the steps that the study asks for: beads, spillover, time.

    Parameters
    ----------
    adata
        Raw events after `treset.io.panel.apply_panel`. ``X`` is changed in place where a step changes values, and
        ``uns["treset_spillover"]`` is taken out.
    settings
        The study's.
    modality
        Mass or flow cytometry.
    sample
        For messages.

    Raises
    ------
    TresetError
        A matrix cannot be read or does not fit the file.
    """
    done = Cleaned()
    carried = adata.uns.pop("treset_spillover", None)
    spill = _chosen_spillover(settings.spillover, carried, modality, sample, done)
    if spill is not None:
        _compensate(adata, spill, modality, sample, done)
    return done


def _chosen_spillover(
    asked: str, carried: dict[str, str] | None, modality: Modality, sample: str, done: Cleaned
) -> Spillover | None:
    from treset.clean.spillover import read_spillover_csv
    from treset.io.spill import parse_spillover

    if asked not in ("auto", "none"):
        return read_spillover_csv(Path(asked))
    if carried is None:
        if asked == "auto" and modality == "flow_cytometry":
            done.say("spillover", "the file carries no spillover matrix: values are as they were recorded")
        return None
    if asked == "none" or modality != "flow_cytometry":
        why = "spillover is switched off" if asked == "none" else "of mass cytometry only a CSV matrix is applied"
        done.say("spillover", f"the file's matrix ({carried['keyword']}) was not applied: {why}")
        return None
    try:
        spill = parse_spillover(carried["keyword"], carried["text"])
    except TresetError as error:
        raise TresetError(f"Sample {sample}: {error}") from None
    if spill.is_identity:
        done.say("spillover", f"{spill.source} says that nothing spills: values are as they were recorded")
        return None
    return spill


def _compensate(adata: AnnData, spill: Spillover, modality: Modality, sample: str, done: Cleaned) -> None:
    from treset.clean.spillover import already_compensated, compensate_flow, compensate_mass

    channels = list(adata.var_names)
    if already_compensated(channels, spill):
        done.say("spillover", f"channels are named Comp-...: {spill.source} was applied before the export")
        return
    apply = compensate_flow if modality == "flow_cytometry" else compensate_mass
    before = np.asarray(adata.X)
    try:
        after = apply(before, channels, spill).astype(np.float32)
    except TresetError as error:
        raise TresetError(f"Sample {sample}: {error}") from None
    measured = adata.var["role"].isin(["lineage", "state"]).to_numpy()
    outside = [name for name, used in zip(channels, measured, strict=True) if used and name not in spill.receivers]
    method = "inverse of the matrix" if modality == "flow_cytometry" else "non-negative least squares"
    note = f"{spill.source}, {len(spill.emitters)} stains, {method}"
    done.say("spillover", note + (f"; not in the matrix: {', '.join(outside)}" if outside else ""))
    columns = [channels.index(name) for name in spill.receivers]
    _medians("spillover", channels, columns, before, after, done)
    adata.X = after


def _medians(
    step: str, channels: Sequence[str], columns: Sequence[int], before: np.ndarray, after: np.ndarray, done: Cleaned
) -> None:
    if not len(before):
        return
    for column in columns:
        first, last = float(np.median(before[:, column])), float(np.median(after[:, column]))
        done.rows.append((step, "median", channels[column], first, last, ""))
