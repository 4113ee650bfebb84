"""Bytes of a text file to text: UTF-8 or one sentence."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

from treset.study.faults import Collector, hint, place, shown

#: A config, sheet or panel is a few hundred kilobytes at most; more is another kind of file.
MAX_BYTES = 50_000_000

_FOREIGN = {
    b"PK\x03\x04": "an Excel workbook or zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "a gzip archive",
    b"FCS": "an FCS file",
    b"%PDF": "a PDF",
    codecs.BOM_UTF16_LE: "UTF-16 text",
    codecs.BOM_UTF16_BE: "UTF-16 text",
}


def missing(path: Path) -> str:
    """Say that ``path`` is not there: the absolute path that was tried, and the nearest name in its folder."""
    folder = path.parent
    # os.path, since pathlib raises for a name that is too long or a folder that may not be entered
    if not os.path.isdir(folder):
        return f"does not exist; its folder {folder} does not exist either: check the path"
    try:
        names = [name for name in os.listdir(folder) if not name.startswith(".")]
    except OSError as error:
        return f"cannot be looked for, since the folder {folder} cannot be listed ({error.strerror}): check permissions"
    return f"does not exist (tried {path}){hint(path.name, names)}: check the path"


def read_text(path: Path, faults: Collector, where: str | None = None) -> str | None:
    """Read a UTF-8 file (a byte-order mark is tolerated).

    Parameters
    ----------
    path
        The file.
    faults
        Receives one sentence when the file cannot be read as text.
    where
        The place that named the file (a line of the config), for a file that is missing.

    Returns
    -------
    The text, or None after a fault.
    """
    name = shown(path)
    try:
        if os.path.isdir(path):
            faults.add(where or name, f"{name} is a folder, expected a text file: name the file in it")
            return None
        if not os.path.exists(path):
            faults.add(where or name, f"the file {name} {missing(path.absolute())}")
            return None
        size = path.stat().st_size
        if size > MAX_BYTES:
            faults.add(
                name, f"has {size:,} bytes, expected a text file of at most {MAX_BYTES:,}: is it the right file?"
            )
            return None
        data = path.read_bytes()
    except OSError as error:
        faults.add(where or name, f"the file {name} cannot be read ({error.strerror}): check its name and permissions")
        return None
    return _decode(data, path, faults)


def _decode(data: bytes, path: Path, faults: Collector) -> str | None:
    for start, what in _FOREIGN.items():
        if data.startswith(start):
            faults.add(shown(path), f"is {what}, expected plain UTF-8 text: save it as UTF-8 text")
            return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        faults.add(
            place(path, line),
            f"byte 0x{byte:02X} is not UTF-8 (the file may be Latin-1 or Windows-1252): save it as UTF-8 text",
        )
        return None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        faults.add(place(path, line), "holds a NUL character, expected plain text: is it the right file?")
        return None
    return text
