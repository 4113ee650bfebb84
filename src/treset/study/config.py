"""``config.yaml``: read, checked against its schema, typed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from treset.plain import from_plain
from treset.study.document import Document, overlay, read_document
from treset.study.faults import Collector
from treset.study.model import Config
from treset.study.schema import check

#: Stand-ins for required keys with a fault, so that the other files can still be checked; no caller sees them.
_STAND_IN = {"study": "study", "modality": "mass_cytometry", "samples": ""}


def study_root(config_file: Path) -> Path:
    """Give the study's folder: that of the config, or the one above when that is named ``config``."""
    folder = Path(config_file).absolute().parent
    return folder.parent if folder.name == "config" else folder


def read_config(
    config_file: Path, values: Mapping[str, Any] | None, faults: Collector
) -> tuple[Config | None, Document | None]:
    """Read the config and check it against its schema.

    Parameters
    ----------
    config_file
        The YAML file.
    values
        The values Snakemake merged over it, or None.
    faults
        Receives every fault.

    Returns
    -------
    The settings without their faulty parts (``document.broken``), and the document with the places; None and None
    when the file cannot be read.
    """
    document = read_document(Path(config_file), faults)
    if document is None:
        return None, None
    if values is not None:
        overlay(document, values)
    _blank_monitors(document, faults)
    check(document, "config", faults)
    for key, value in _STAND_IN.items():
        if key not in document.data:
            document.data[key] = value
            document.broken.add((key,))
    return from_plain(Config, document.data), document


def _blank_monitors(document: Document, faults: Collector) -> None:
    """Refuse ``bcell:`` with nothing after it: it may mean "with its defaults" or "none"."""
    monitors = document.get(("monitors",))
    if not isinstance(monitors, dict):
        return
    for name in [name for name, value in monitors.items() if value is None]:
        route = ("monitors", name)
        if route not in document.broken and not _written_null(document, route):
            faults.add(
                document.where(route), f"monitors.{name} is blank: write {{}} for its defaults, or remove the key"
            )
            document.remove(route)


def _written_null(document: Document, route: tuple[str, ...]) -> bool:
    return route in document.overridden or route in document.nulls
