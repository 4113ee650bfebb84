"""The study: config, sample sheet, panel, populations and signatures, read, checked and typed.

The readers are imported when asked for: jobs need :mod:`treset.study.model` only, and start a second
sooner without them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from treset.study.files import check_files, panel_rows, state_markers
    from treset.study.model import Study
    from treset.study.read import read_study
    from treset.study.schema import load_schema, schema_folder

__all__ = ["Study", "check_files", "load_schema", "panel_rows", "read_study", "schema_folder", "state_markers"]

_HOMES = {
    "Study": "model",
    "check_files": "files",
    "load_schema": "schema",
    "panel_rows": "files",
    "read_study": "read",
    "schema_folder": "schema",
    "state_markers": "files",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'treset.study' has no attribute '{name}'")
    return getattr(import_module(f"treset.study.{_HOMES[name]}"), name)
