"""The result files a report is made of; a file that is not there is a gap that the report names."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from treset.errors import TresetError
from treset.io.h5ad import read_parts
from treset.io.waist import parquet_parts, parquet_rows
from treset.study.model import Study
from treset.texts import Stack, filled, spelled

#: The monitors in the order of the report.
MONITORS = ("treg", "bcell", "signalling", "clinical", "discovery")
WAIST = [
    *("sample", "patient", "visit", "day", "arm", "disease", "batch", "stimulus", "dose"),
    *("population", "parent", "origin", "measure", "marker", "value", "n_cells"),
]

_NUMBERS = ("day", "dose", "value", "n_cells")


@dataclass(frozen=True)
class Monitor:
    """A monitor's three files."""

    name: str
    effects: pd.DataFrame
    patients: pd.DataFrame
    summary: dict


@dataclass(frozen=True)
class Sketch:
    """The cells of the map.

    ``obs`` has text columns (sample, cluster, population ...); ``umap`` is ``(n, 2)`` float32 or None; ``X`` is
    ``(n, markers)`` float32 of the markers shown, NaN nowhere; ``weight`` (n,) is how many kept cells each stands for,
    None where they stand for as many.
    """

    obs: pd.DataFrame
    umap: np.ndarray | None
    X: np.ndarray
    markers: tuple[str, ...]
    weight: np.ndarray | None = None


@dataclass(frozen=True)
class Results:
    """All there is of a run; an empty table or None is a file that was not written.

    The text of ``profiles`` is held as categories (:mod:`treset.texts`): spell out what is compared or joined.
    """

    profiles: pd.DataFrame
    monitors: dict[str, Monitor]
    clusters: pd.DataFrame
    populations: pd.DataFrame
    thresholds: pd.DataFrame
    panel: pd.DataFrame
    quality: pd.DataFrame
    run: dict
    sketch: Sketch | None
    concordance: pd.DataFrame
    stability: pd.DataFrame
    mapping: pd.DataFrame
    #: ``parity.json`` with ``current``: whether it is of these results; empty where no comparison was asked for.
    parity: dict = field(default_factory=dict)
    #: What the steps before the filters did; empty where the run has no such file.
    clean: pd.DataFrame = field(default_factory=pd.DataFrame)
    #: Batches before and after levelling by anchors; empty where it was not asked for.
    batches: pd.DataFrame = field(default_factory=pd.DataFrame)
    #: One sentence a file that is missing, keyed by its path in the results folder.
    gaps: dict[str, str] = field(default_factory=dict)


def read_results(study: Study, results: Path) -> Results:
    """Read the files of a run.

    Raises
    ------
    TresetError
        profiles.parquet is missing or is no waist, or a file is there but cannot be read.
    """
    gaps: dict[str, str] = {}
    profiles = _profiles(results / "profiles.parquet")

    def rows(name: str, columns: str) -> pd.DataFrame:
        return _table(results, name, columns.split(), gaps)

    run = _json(results / "provenance" / "run.json") if (results / "provenance" / "run.json").is_file() else {}
    if not run:
        gaps["provenance/run.json"] = "provenance/run.json is missing: versions, backend and device are not known."
    return Results(
        profiles=profiles,
        monitors={name: m for name in MONITORS if (m := _monitor(results / "monitors" / name, gaps)) is not None},
        clusters=rows("cohort/clusters.tsv", "cluster population confidence n_cells evidence reason"),
        populations=rows("cohort/populations.tsv", "population parent ontology measurable reason rule source"),
        thresholds=rows("cohort/thresholds.tsv", "population_parent marker batch threshold method separation"),
        panel=rows("cohort/panel.tsv", "sample marker channel how") if study.modality != "rna" else pd.DataFrame(),
        quality=rows("quality.tsv", "sample filter cells_in dropped kept threshold note"),
        run=run,
        sketch=_sketch(study, results / "cohort" / "sketch.h5ad", gaps),
        concordance=rows(
            "cohort/concordance.tsv",
            "population parent gate_cells cluster_cells both precision recall f1 ari note",
        ),
        stability=rows("cohort/stability.tsv", "setting clusters ari_mean ari_min pairs stable chosen note"),
        mapping=rows("mapping.tsv", "sample cells unlike_sketch unassigned median_confidence"),
        parity=_parity(results, run),
        clean=_optional(results / "clean.tsv"),
        batches=_optional(results / "cohort" / "batches.tsv"),
        gaps=gaps,
    )


def _parity(results: Path, run: dict) -> dict:
    """The comparison of the backends; it is of these results where the profiles are a side's, or the settings are."""
    path = results / "parity.json"
    if not path.is_file():
        return {}
    from treset.parity.judge import digest, settings_digest

    found = _json(path)
    lacking = [key for key in ("agree", "reason", "checks", "backends", "profiles", "settings") if key not in found]
    if lacking:
        raise TresetError(f"{path} has no {', '.join(lacking)}: run treset parity --report again, or delete it.")
    same_profiles = digest(results / "profiles.parquet") in found["profiles"].values()
    return found | {"current": same_profiles and settings_digest(run) in found["settings"].values()}


def _profiles(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise TresetError(f"{path} is missing: a report is made of the profiles of a run; run the study first.")
    stack = Stack(parquet_rows(path))
    try:
        for part in parquet_parts(path, WAIST):
            if lacking := [c for c in WAIST if c not in part]:
                told = f"{path} has no column {', '.join(lacking)}: expected the columns {' '.join(WAIST)}."
                break
            stack.add(_read_as(part[WAIST]))
        else:
            return stack.table()
    except TresetError as error:
        told = f"{path} cannot be read as a parquet file ({error.__cause__}): delete it and run the study again."
    raise TresetError(told)


def _read_as(part: pd.DataFrame) -> pd.DataFrame:
    """Numbers as float64 (NaN where there is none), the rest as text ("" where it is blank)."""
    part = part.copy(deep=False)
    for column in part.columns:
        if column in _NUMBERS:
            part[column] = pd.to_numeric(spelled(part[[column]])[column], errors="coerce").astype("float64")
        else:
            part[column] = filled(part[column])
    return part


def _table(results: Path, name: str, columns: list[str], gaps: dict[str, str]) -> pd.DataFrame:
    path = results / name
    if not path.is_file():
        gaps[name] = f"{name} is missing from the results."
        return pd.DataFrame(columns=columns)
    table = _tsv(path)
    lacking = [c for c in columns if c not in table]
    if lacking:
        raise TresetError(
            f"{path} has no column {', '.join(lacking)}: expected {' '.join(columns)}; run the study again."
        )
    return table


def _optional(path: Path) -> pd.DataFrame:
    return _tsv(path) if path.is_file() else pd.DataFrame()


#: Columns of numbers; all others are text, so that an id such as 007 stays 007.
NUMBERS = frozenset(
    {
        *("n", "estimate", "lower", "upper", "p_value", "q_value", "cells_in", "dropped", "kept", "n_cells", "day"),
        *("gate_cells", "cluster_cells", "both", "precision", "recall", "f1", "vote_ratio", "ari"),
        *("setting", "clusters", "ari_mean", "ari_min", "pairs"),
        *("cells", "unlike_sketch", "unassigned", "median_confidence"),
        *("before", "after", "emd_before", "emd_after", "mad_before", "mad_after"),
        *("spread", "confidence", "separation", "baseline_value", "visit_value", "value", "change", "fold"),
    }
)


def _tsv(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise TresetError(f"{path} cannot be read as a tab-separated table ({error}): run the study again.") from error
    for column in table:
        # a column of numbers that holds a word stays text: the report shows it as it is
        blank = table[column].isin(["", "nan", "NaN", "NA"])
        as_numbers = pd.to_numeric(table[column].mask(blank), errors="coerce")
        numeric = as_numbers.notna().sum() == (~blank).sum()
        if numeric and (column in NUMBERS or (_measured(str(column)) and as_numbers.notna().any())):
            # float() reads what repr() wrote to the last bit; pandas' own parser does not
            table[column] = pd.Series(
                [float("nan") if b else float(v) for b, v in zip(blank, table[column], strict=True)]
            )
    return table


def _measured(column: str) -> bool:
    """Tell by its name whether an unlisted column of a monitor holds measurements (ids never do)."""
    return column.startswith("n_") or any(
        word in column for word in ("percent", "day", "share", "fold", "change", "_value")
    )


def _json(path: Path) -> dict:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TresetError(f"{path} cannot be read as JSON ({error}): run the study again.") from error
    if not isinstance(value, dict):
        raise TresetError(f"{path} holds {type(value).__name__}, expected an object: run the study again.")
    return value


EFFECTS = [
    *("endpoint", "population", "measure", "marker", "contrast", "n", "estimate", "scale", "lower", "upper"),
    *("p_value", "q_value", "method", "converged", "verdict", "note", "role", "origin"),
]


def _monitor(folder: Path, gaps: dict[str, str]) -> Monitor | None:
    lacking = [n for n in ("effects.tsv", "patients.tsv", "summary.json") if not (folder / n).is_file()]
    if lacking:
        gaps[f"monitors/{folder.name}"] = f"monitors/{folder.name}/ has no {', '.join(lacking)}."
        return None
    effects = _tsv(folder / "effects.tsv")
    wrong = [c for c in EFFECTS if c not in effects]
    if wrong:
        raise TresetError(f"{folder / 'effects.tsv'} has no column {', '.join(wrong)}: expected {' '.join(EFFECTS)}.")
    for column in ("n", "estimate", "lower", "upper", "p_value", "q_value"):
        effects[column] = pd.to_numeric(effects[column], errors="coerce")
    return Monitor(folder.name, effects, _tsv(folder / "patients.tsv"), _json(folder / "summary.json"))


def _sketch(study: Study, path: Path, gaps: dict[str, str]) -> Sketch | None:
    if not path.is_file():
        gaps["cohort/sketch.h5ad"] = "cohort/sketch.h5ad is missing: no cell map and no heat map can be drawn."
        return None
    parts = read_parts(path, "obs", "var", "obsm/X_umap", "X")
    lacking = [key for key in ("obs", "var", "X") if key not in parts]
    if lacking:
        raise TresetError(f"{path} lacks {', '.join(lacking)} of a sketch: run the cohort step again.")
    obs, var, X = parts["obs"], parts["var"], parts["X"]
    umap = np.asarray(parts["obsm/X_umap"], np.float32) if "obsm/X_umap" in parts else None
    text = obs.apply(lambda column: column.astype(object).where(column.notna(), "").astype(str))
    columns, markers = _shown(study, var)
    dense = X[:, columns]
    dense = dense.toarray() if hasattr(dense, "toarray") else np.asarray(dense)
    weight = obs["weight"].to_numpy(dtype=np.float64) if "weight" in obs else None
    return Sketch(text.reset_index(drop=True), umap, dense.astype(np.float32), markers, weight)


def _shown(study: Study, var: pd.DataFrame) -> tuple[list[int], tuple[str, ...]]:
    """Choose the variables to show: all markers of a panel; of RNA the genes that the populations' rules name."""
    names = [str(n) for n in var.index]
    if study.modality != "rna":
        return list(range(len(names))), tuple(names)
    place = {n: i for i, n in enumerate(names)}
    asked = [m for p in study.populations for c in p.conditions for m in c.markers if m in place]
    found = list(dict.fromkeys(asked))[:60]
    return [place[n] for n in found], tuple(found)
