"""Provenance and the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from treset.provenance import write_crate, write_record
from treset.study.model import Study


def report(study: Study, results: Path, values: Mapping[str, Any] | None = None) -> None:
    """Write ``provenance/`` and ``report.html``.

    Parameters
    ----------
    study
        The study.
    results
        The run's folder.
    values
        The config with what the command line set over it; None: as in the file.
    """
    from treset.io.h5ad import read_h5ad
    from treset.report import build_report

    sketch = results / "cohort" / "sketch.h5ad"
    ran = dict(read_h5ad(sketch).uns["treset"]) if sketch.exists() else {}
    run = write_record(study, results, {key: str(value) for key, value in ran.items()}, values)
    out = build_report(study, results, results / "report.html")
    write_crate(results, run)
    print(f"report: {out}")
