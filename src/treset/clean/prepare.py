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


def clean_sample(
    adata: AnnData, settings: Clean, modality: Modality, sample: str, cofactor: float | None = None
) -> Cleaned:
    """Run the steps that the study asks for: beads, spillover, time.

    Parameters
    ----------
    adata
        Raw events after `treset.io.panel.apply_panel`. ``X`` is changed in place where a step changes values, and
        ``uns["treset_spillover"]`` and ``uns["treset_transformation"]`` are taken out.
    settings
        The study's.
    modality
        Mass or flow cytometry.
    sample
        For messages.
    cofactor
        Of the arcsinh for channels without their own, for the judgement of time. Default: the modality's.

    Raises
    ------
    TresetError
        A matrix cannot be read or does not fit the file.
    """
    done = Cleaned()
    if settings.beads != "none":
        _level_beads(adata, settings, sample, done)
    carried, transformed = adata.uns.pop("treset_spillover", None), adata.uns.pop("treset_transformation", "")
    spill = _chosen_spillover(settings.spillover, carried, modality, sample, done)
    if spill is not None:
        _compensate(adata, spill, modality, sample, done, transformed, settings.spillover)
    if settings.time:
        _judge_time(adata, modality, cofactor, done)
    return done


def _level_beads(adata: AnnData, settings: Clean, sample: str, done: Cleaned) -> None:
    from treset.clean import beads as steps
    from treset.clean.masses import metal_mass

    channels, roles = list(adata.var_names), adata.var["role"].astype(str).to_list()
    time, dna = _of_role(roles, "time"), _of_role(roles, "dna")
    if not time or not dna:
        done.say("beads", "not applied: the panel has no time channel or no DNA channel")
        return
    try:
        columns = steps.bead_columns(channels, settings.beads)
    except TresetError as error:
        raise TresetError(f"Sample {sample}: {error}") from None
    values = np.asarray(adata.X)
    found = steps.find_beads(values[:, columns], values[:, dna])
    moments = values[:, time[0]].astype(np.float64)
    single = values[np.ix_(found.single, columns)]
    if len(single) < steps.FEWEST:
        done.say("beads", f"not applied: {len(single)} single beads, expected at least {steps.FEWEST}")
        return
    baseline = np.array(settings.bead_baseline) if settings.bead_baseline else None
    slopes = steps.bead_slopes(single, moments[found.single], baseline=baseline)
    factor = slopes.at(moments)
    metals = [n for n, name in enumerate(channels) if metal_mass(name) and roles[n] not in ("time", "gaussian")]
    after = values.astype(np.float64)
    after[:, metals] *= factor[:, None]
    target = "the sample's own median" if baseline is None else "the study's baseline"
    told = f"{len(single)} single beads ({settings.beads}), brought to {target}, factors {factor.min():.3f} to "
    done.say("beads", f"{told}{factor.max():.3f}")
    levelled = after[np.ix_(found.single, columns)]
    for place, column in enumerate(columns):
        pairs = {"median": np.median, "cv": lambda x: x.std() / x.mean()}
        for measure, of in pairs.items():
            first, last = float(of(single[:, place])), float(of(levelled[:, place]))
            done.rows.append(("beads", measure, channels[column], first, last, ""))
    spearman = [_drift(moments[found.single], part.mean(axis=1)) for part in (single, levelled)]
    done.rows.append(("beads", "spearman with time", "all beads", *spearman, ""))
    doublets = f"{int(found.doublets.sum())} of them with another bead or a cell"
    done.flags["bead_events"] = (found.any, "every isotope as bright as the dimmest single bead", doublets)
    adata.X = after.astype(np.float32)


def _of_role(roles: Sequence[str], role: str) -> list[int]:
    return [number for number, found in enumerate(roles) if found == role]


def _drift(time: np.ndarray, values: np.ndarray) -> float:
    """Spearman's rank correlation."""
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(time), rankdata(values))[0, 1])


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


def _compensate(
    adata: AnnData, spill: Spillover, modality: Modality, sample: str, done: Cleaned, transformed: str, asked: str
) -> None:
    from treset.clean.spillover import already_compensated, columns_of, compensate_flow, compensate_mass, not_linear

    channels = list(adata.var_names)
    if already_compensated(channels, spill):
        done.say("spillover", f"channels are named Comp-...: {spill.source} was applied before the export")
        return
    apply = compensate_flow if modality == "flow_cytometry" else compensate_mass
    before = np.asarray(adata.X)
    try:
        if why := not_linear(transformed, before[:, columns_of(channels, spill)]):
            if asked != "auto":
                raise TresetError(f"{spill.source}: {why}, and a matrix is of linear ones; set clean.spillover: none.")
            done.say("spillover", f"{spill.source} was not applied: {why}; export raw intensities")
            return
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


def _judge_time(adata: AnnData, modality: Modality, cofactor: float | None, done: Cleaned) -> None:
    from treset.clean.flow_rate import flow_rate
    from treset.clean.peaks import unstable
    from treset.normalise.cytometry import default_cofactor

    column = _of_role(adata.var["role"].astype(str).to_list(), "time")
    moments = np.asarray(adata.X)[:, column[0]].astype(np.float64) if column else np.zeros(0)
    if not len(moments) or moments.max() <= moments.min():
        done.say("time", "not applied: the panel has no time channel, or no time passes")
        return
    rate = flow_rate(moments)
    if not len(rate.counts):
        done.say("time", "flow rate not judged: too few events")
    clogs = (
        f"{int(rate.low.sum())} stretches clogged ({rate.lost:.6g} units of time), {int(rate.high.sum())} in a burst"
    )
    done.flags["flow_rate"] = (rate.events(moments), "half to twice the usual rate", clogs if len(rate.counts) else "")
    measured = adata.var["role"].isin(["lineage", "state"]).to_numpy()
    own = adata.var["cofactor"].to_numpy(float)[measured]
    scale = np.where(np.isfinite(own), own, cofactor or default_cofactor(modality))
    values = np.arcsinh(np.asarray(adata.X)[:, measured] / scale)
    found = unstable(values, np.argsort(moments, kind="stable"), skip_zeros=modality == "mass_cytometry")
    if not found.bins:
        done.say("time", "signal over time not judged: too few events")
    names = adata.var["marker"].to_numpy(dtype=str)[measured]
    ranked = [c for c in np.argsort(-found.channels, kind="stable") if found.channels[c] > 0]
    worst = [f"{names[c]} ({100 * found.channels[c]:.0f} % of bins)" for c in ranked]
    note = f"{found.bins} bins: {100 * found.by_tree:.1f} % by the tree, {100 * found.by_mad:.1f} % by deviation"
    note += f": {', '.join(worst[:5])}" if worst else ""
    done.flags["signal_over_time"] = (found.events, "peaks within 6 MAD of their median", note if found.bins else "")


def _medians(
    step: str, channels: Sequence[str], columns: Sequence[int], before: np.ndarray, after: np.ndarray, done: Cleaned
) -> None:
    if not len(before):
        return
    for column in columns:
        first, last = float(np.median(before[:, column])), float(np.median(after[:, column]))
        done.rows.append((step, "median", channels[column], first, last, ""))
