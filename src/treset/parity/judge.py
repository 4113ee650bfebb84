"""Two runs of one study, one by each backend, compared and judged."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from treset.errors import TresetError
from treset.parity.cells import READINGS, cluster_ari, paired, population_f1, read_labels
from treset.parity.endpoints import SHARE, SHARE_COLUMNS, effects, shares, verdict
from treset.study.model import Parity, Study

MONITORS = ("treg", "bcell", "signalling", "clinical", "discovery")

Row = dict[str, Any]


def compare(study: Study, cpu: Path, gpu: Path, steps: Row) -> Row:
    """Compare a CPU run with a GPU run.

    Parameters
    ----------
    study
        The study of both.
    cpu, gpu
        Their folders, each with the files of a finished run.
    steps
        What :func:`treset.parity.steps.compare_steps` found.

    Returns
    -------
    ``parity.json``: ``agree`` (bool), ``reason`` (a sentence), ``backends`` (what each side ran on), ``checks`` (``what
    found allowed within note``), ``populations``, ``shares``, ``endpoints``, ``verdicts``, ``steps``, ``tolerances``,
    ``profiles`` (the SHA-256 of each side's ``profiles.parquet``) and ``settings`` (that of its settings and code).

    Raises
    ------
    TresetError
        A side did not run on its backend throughout, or the sides are of different cells.
    """
    runs = {"cpu": _run(cpu, "cpu"), "gpu": _run(gpu, "gpu")}
    tolerance, samples = study.parity, list(study.included["sample"])
    labels = [read_labels(folder, samples) for folder in (cpu, gpu)]
    paired(*labels)
    profiles = [
        pd.read_parquet(folder / "profiles.parquet", columns=list(SHARE_COLUMNS), filters=[("measure", "==", SHARE)])
        for folder in (cpu, gpu)
    ]
    monitors = [name for name in MONITORS if getattr(study.monitors, name) is not None]
    populations = population_f1(*labels, _parents(cpu), tolerance.min_cells)
    # both readings: in cytometry no neighbour and no cluster enters the gates, so that they alone would show nothing
    worst = shares(*profiles, list(READINGS), tolerance.min_cells)
    asked = [row for name in monitors for row in effects(cpu, gpu, name, tolerance.max_estimate)]
    words = [{"monitor": m, "cpu": verdict(cpu, m), "gpu": verdict(gpu, m)} for m in monitors]
    checks = [
        *_step_checks(steps, tolerance),
        _f1_check(populations, tolerance),
        _share_check(worst, tolerance),
        _estimate_check(asked, tolerance),
        _verdict_check(words, asked),
    ]
    return {
        "agree": all(check["within"] is not False for check in checks),
        "reason": reason(checks),
        "backends": {side: run["backend"] for side, run in runs.items()},
        "checks": checks,
        "populations": populations,
        "shares": worst,
        "endpoints": asked,
        "verdicts": words,
        "clusters": {"ari_of_all_cells": cluster_ari(*labels), "cells": len(labels[0])},
        "steps": steps,
        "tolerances": asdict(tolerance),
        "profiles": {"cpu": digest(cpu / "profiles.parquet"), "gpu": digest(gpu / "profiles.parquet")},
        "settings": {side: settings_digest(run) for side, run in runs.items()},
    }


def reason(checks: list[Row]) -> str:
    """One sentence on the checks: which failed, and which could not be judged."""
    failed = [check["what"] for check in checks if check["within"] is False]
    unknown = [check["what"] for check in checks if check["within"] is None]
    said = f"not within the tolerances: {'; '.join(failed)}" if failed else "every check is within its tolerance"
    if unknown and not failed:
        said = "every check that could be judged is within its tolerance"
    return f"{said} (not judged: {'; '.join(unknown)})" if unknown else said


def digest(path: Path) -> str:
    """SHA-256 of a file; "" where there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def settings_digest(run: Row) -> str:
    """SHA-256 of what ``provenance/run.json`` says of the settings, the seed and the code."""
    own = {key: run.get(key) for key in ("settings", "seed", "code")}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def _run(folder: Path, side: str) -> Row:
    """``run.json`` of a side, which must have run on its backend in every job."""
    path = folder / "provenance" / "run.json"
    if not path.is_file():
        raise TresetError(f"{path} is missing: the {side} run did not finish; see its logs in {folder / 'logs'}")
    run = json.loads(path.read_text(encoding="utf-8"))
    used = [run["backend"]["used"], *(row["used"] for row in run["backend"]["map"])]
    if set(used) != {side}:
        raise TresetError(f"the {side} run in {folder} ran on {', '.join(sorted(set(used)))}: nothing can be compared")
    return run


def _parents(folder: Path) -> dict[str, str]:
    table = pd.read_csv(folder / "cohort" / "populations.tsv", sep="\t", keep_default_na=False)
    table = table[table["measurable"].astype(str) == "True"]
    return dict(zip(table["population"], table["parent"], strict=True))


def _check(what: str, found: float | None, allowed: float | None, within: bool | None, note: str) -> Row:
    return {"what": what, "found": found, "allowed": allowed, "within": within, "note": note}


def _step_checks(steps: Row, tolerance: Parity) -> list[Row]:
    found = steps["recall"]
    rows = [_check("recall of the neighbours", found, tolerance.min_recall, found >= tolerance.min_recall, "at least")]
    if "ari" not in steps:
        return [*rows, _check("ARI of the clusters", None, None, None, "the map is the same code on both: not judged")]
    least = steps["ari_reseeded"] - tolerance.max_ari_loss
    note = (
        f"at least; two seeds of the CPU agree by {steps['ari_reseeded']:.3f}; {steps['clusters_cpu']} clusters on the "
        f"CPU, {steps['clusters_gpu']} on the GPU, of one graph"
    )
    return [
        *rows,
        _check("ARI of the clusters", steps["ari"], least, steps["ari"] >= least, note),
        _check(
            "Leiden on the GPU repeats", float(steps["repeats"]), 1.0, bool(steps["repeats"]), "twice the same seed"
        ),
    ]


def _f1_check(rows: list[Row], tolerance: Parity) -> Row:
    judged = [row for row in rows if row["judged"]]
    what = "F1 of the populations"
    if not judged:
        return _check(what, None, tolerance.min_f1, None, f"no population has {tolerance.min_cells} cells: not judged")
    least = min(judged, key=lambda row: row["f1"])
    note = f"at least; the lowest of {len(judged)}: {least['population']} by {least['reading']}"
    return _check(what, least["f1"], tolerance.min_f1, least["f1"] >= tolerance.min_f1, note)


def _share_check(rows: list[Row], tolerance: Parity) -> Row:
    judged, what = [row for row in rows if row["judged"]], "change of a share (percentage points)"
    if not judged:
        return _check(what, None, tolerance.max_points, None, f"no sample has {tolerance.min_cells} cells: not judged")
    missing = [row["population"] for row in judged if row["missing"]]
    if missing:
        return _check(what, None, tolerance.max_points, False, f"measured by one backend only: {', '.join(missing)}")
    most = max(judged, key=lambda row: abs(row["change"] or 0.0))
    size = abs(most["change"] or 0.0)
    where = f"{most['population']} of {most['parent']} by {most['origin']} in {most['sample']}"
    note = f"at most; the largest of {len(judged)} populations: {where}"
    return _check(what, size, tolerance.max_points, size <= tolerance.max_points, note)


def _estimate_check(rows: list[Row], tolerance: Parity) -> Row:
    what, wrong = "endpoints within their tolerance", [row["endpoint"] for row in rows if not row["within"]]
    if not rows:
        return _check(what, None, None, None, "the study has no endpoint with an estimate: not judged")
    note = f"a change of at most {tolerance.max_estimate:g} of the half-width of the interval, and the same verdict"
    if wrong:
        note += f"; not so: {', '.join(wrong)}"
    return _check(what, float(len(rows) - len(wrong)), float(len(rows)), not wrong, note)


def _verdict_check(words: list[Row], rows: list[Row]) -> Row:
    pairs = [(w["cpu"], w["gpu"]) for w in words] + [(r["verdict_cpu"], r["verdict_gpu"]) for r in rows]
    same = sum(a == b for a, b in pairs)
    within = same == len(pairs) if pairs else None
    return _check(
        "verdicts that are the same", float(same), float(len(pairs)), within, "all, of monitors and endpoints"
    )
