"""Provenance and the report."""

from __future__ import annotations

import json
import platform
import shutil
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from treset.fingerprint import code_hash
from treset.io.checksum import read_record
from treset.io.files import atomic
from treset.io.table import write_tsv
from treset.plain import to_plain
from treset.study.inputs import record_file
from treset.study.model import Study

#: What is recorded of a choice of backend.
CHOICE = ("requested", "used", "device", "reason")


def provenance(study: Study, folder: Path, backend: dict[str, str], mapped: Sequence[dict[str, str]] = ()) -> Path:
    """Write what a rerun needs: versions, backend, seed, settings, the config, the sheet and the panel as they were.

    Parameters
    ----------
    study
        The study.
    folder
        ``provenance/`` of the results.
    backend
        ``uns["treset"]`` of the sketch; empty when there is none.
    mapped
        ``uns["treset"]`` of the samples' cells.

    Returns
    -------
    The path of ``run.json``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = {
        "study": study.name,
        "treset": version("treset"),
        "code": code_hash("treset.cli"),
        "python": platform.python_version(),
        "versions": json.loads(backend.get("versions", "{}")),
        "backend": {key: backend.get(f"backend_{key}", "") for key in CHOICE} | {"map": _devices(mapped)},
        "seed": study.seed,
        "settings": {name: to_plain(getattr(study, name)) for name in ("quality", "normalise", "cohort", "monitors")},
    }
    for source in (
        study.config_file,
        study.samples_file,
        study.panel_file,
        study.populations_file,
        study.signatures_file,
    ):
        if source is not None and source.exists():
            with atomic(folder / source.name) as path:
                shutil.copyfile(source, path)
    write_tsv(input_table(study), folder / "inputs.tsv")
    target = folder / "run.json"
    with atomic(target) as path:
        path.write_text(json.dumps(run, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return target


def _devices(mapped: Sequence[dict[str, str]]) -> list[dict[str, str | int]]:
    """Where the map jobs ran: each choice that was made, with its number of samples, most samples first."""
    choices = Counter(tuple(own.get(f"map_backend_{key}", "") for key in CHOICE) for own in mapped)
    rows = [dict(zip(CHOICE, choice, strict=True)) | {"samples": count} for choice, count in choices.items()]
    return sorted(rows, key=lambda row: (-int(row["samples"]), str(row)))


def _ran(path: Path) -> dict[str, str]:
    """``uns["treset"]`` of a file of cells, without reading the cells; empty where there is no such file."""
    import h5py
    from anndata.io import read_elem

    if not path.exists():
        return {}
    with h5py.File(path, "r") as file:
        return {key: str(value) for key, value in read_elem(file["uns/treset"]).items()}


def input_table(study: Study) -> pd.DataFrame:
    """The files that the results rest on, as they were when they were read.

    Returns
    -------
    Columns sample, file (relative to the study's folder where it lies in it), bytes, sha256; one row an included sample
    that has a record.
    """
    rows = []
    for sample, name in zip(study.included["sample"], study.included["file"], strict=True):
        known, path = read_record(record_file(study, sample)), Path(name)
        if known is not None:
            shown = path.relative_to(study.root) if path.is_relative_to(study.root) else path
            rows.append((sample, shown.as_posix(), known.bytes, known.sha256))
    return pd.DataFrame(rows, columns=["sample", "file", "bytes", "sha256"])


def report(study: Study, results: Path) -> None:
    """Write ``provenance/`` and ``report.html``."""
    from treset.report import build_report

    ran = _ran(results / "cohort" / "sketch.h5ad")
    mapped = [_ran(results / "samples" / sample / "cells.h5ad") for sample in study.included["sample"]]
    provenance(study, results / "provenance", ran, [own for own in mapped if own])
    out = build_report(study, results, results / "report.html")
    print(f"report: {out}")
