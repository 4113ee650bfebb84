"""Provenance and the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from treset.io.h5ad import read_parts
from treset.provenance import write_crate, write_record
from treset.provenance.timings import write_timings
from treset.study.model import Study


def report(study: Study, results: Path, values: Mapping[str, Any] | None = None) -> None:
    """Write ``provenance/``, ``timings.tsv`` and ``report.html``.

    Parameters
    ----------
    study
        The study.
    results
        The run's folder.
    values
        The config with what the command line set over it; None: as in the file.
    """
    from treset.report import build_report

    ran = _ran(results / "cohort" / "sketch.h5ad")
    mapped = [_ran(results / "samples" / sample / "cells.h5ad") for sample in study.included["sample"]]
    run = write_record(study, results, ran, values, [own for own in mapped if own])
    write_timings(results)
    out = build_report(study, results, results / "report.html")
    write_crate(results, run)
    print(f"report: {out}")


def _ran(path: Path) -> dict[str, str]:
    """``uns["treset"]`` of a file of cells, without reading the cells; empty where there is no such file."""
    if not path.exists():
        return {}
    return {key: str(value) for key, value in read_parts(path, "uns/treset").get("uns/treset", {}).items()}
