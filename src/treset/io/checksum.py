"""What a sample's file was when it was read: its SHA-256, recorded with the results and compared on every rerun."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from treset.errors import TresetError
from treset.io.files import atomic

_BLOCK = 1 << 20


@dataclass(frozen=True)
class InputRecord:
    """A file as it was read.

    Attributes
    ----------
    bytes
        Its size; of a folder the sum over its files.
    modified_ns
        Time of its last change in nanoseconds since 1970, the latest of a folder's files: a file with the same size and
        time is not read again to be compared.
    sha256
        Of its bytes; of a folder, over the names and digests of its files in order.
    """

    bytes: int
    modified_ns: int
    sha256: str


def record(path: Path) -> InputRecord:
    """Read a file, or the files of a folder, and give its record.

    Raises
    ------
    TresetError
        It cannot be read.
    """
    try:
        size, modified = _stamp(path)
        if not path.is_dir():
            return InputRecord(size, modified, _digest(path))
        whole = hashlib.sha256()
        for part in _files(path):
            whole.update(part.relative_to(path).as_posix().encode() + b"\0" + _digest(part).encode() + b"\n")
    except OSError as error:
        raise TresetError(
            f"{path}: cannot be read ({error.strerror or error}): check the file, its permissions and the disk"
        ) from None
    return InputRecord(size, modified, whole.hexdigest())


@contextmanager
def unchanged(path: Path, sample: str) -> Iterator[InputRecord]:
    """Give the record of a file and see to it that the file stays the same while the block reads it.

    Parameters
    ----------
    path
        The sample's file or folder.
    sample
        Named in the error.

    Raises
    ------
    TresetError
        The file's size or time is another at the end of the block.
    """
    found = record(path)
    yield found
    if not stamped(path, found):
        raise TresetError(
            f"{path}: the file of sample '{sample}' changed while it was read: run again when it is written whole"
        )


def stamped(path: Path, known: InputRecord) -> bool:
    """Whether a file still has the size and the time of its record."""
    try:
        return _stamp(path) == (known.bytes, known.modified_ns)
    except OSError:
        return False


def write_record(known: InputRecord, path: Path) -> None:
    """Write a record as JSON."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(asdict(known), indent=1) + "\n", encoding="utf-8")


def read_record(path: Path) -> InputRecord | None:
    """Read a record; None where there is none, or none that can be read (results of an earlier version)."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return InputRecord(int(found["bytes"]), int(found["modified_ns"]), str(found["sha256"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _files(folder: Path) -> list[Path]:
    return sorted(part for part in folder.rglob("*") if part.is_file())


def _stamp(path: Path) -> tuple[int, int]:
    found = [part.stat() for part in (_files(path) if path.is_dir() else [path])]
    return sum(part.st_size for part in found), max((part.st_mtime_ns for part in found), default=0)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
