"""Provenance and the report."""

from __future__ import annotations

import json
import platform
import shutil
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


def provenance(study: Study, folder: Path, backend: dict[str, str]) -> Path:
    """Write what a rerun needs: versions, backend, seed, settings, the config, the sheet and the panel as they were.

    Parameters
    ----------
    study
        The study.
    folder
        ``provenance/`` of the results.
    backend
        ``uns["treset"]`` of the sketch; empty when there is none.

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
        "backend": {key: backend.get(f"backend_{key}", "") for key in ("requested", "used", "device", "reason")},
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
    from treset.io.h5ad import read_h5ad
    from treset.report import build_report

    sketch = results / "cohort" / "sketch.h5ad"
    ran = dict(read_h5ad(sketch).uns["treset"]) if sketch.exists() else {}
    provenance(study, results / "provenance", {key: str(value) for key, value in ran.items()})
    out = build_report(study, results, results / "report.html")
    print(f"report: {out}")
