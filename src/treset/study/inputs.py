"""The samples' files against the records of the last run: what changed since, by name."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from treset.io.checksum import InputRecord, read_record, record, stamped
from treset.study.model import Study

#: A file whose time lies further ahead than this was written by a machine with a wrong clock.
_AHEAD_NS = 300 * 10**9


@dataclass(frozen=True)
class Changed:
    """A sample whose file is not the one that the results rest on."""

    sample: str
    file: Path
    known: InputRecord
    found: InputRecord

    def sentence(self) -> str:
        """Say it."""
        return (
            f"sample '{self.sample}': {self.file} is not the file that was analysed (SHA-256 {self.found.sha256[:12]}, "
            f"it was {self.known.sha256[:12]}, {self.known.bytes} bytes then, {self.found.bytes} now): the sample and "
            "what depends on it run again"
        )


def record_file(study: Study, sample: str) -> Path:
    """Where the record of a sample's file lies."""
    return study.results / "samples" / sample / "input.json"


def prepared_file(study: Study, sample: str) -> Path:
    """What was made of the sample's file."""
    return study.results / "samples" / sample / "prepared.h5ad"


def changed_inputs(study: Study, whole: bool = False) -> list[Changed]:
    """Compare the samples' files with the records of the results.

    Parameters
    ----------
    study
        A checked study.
    whole
        Read every file; else only those whose size or time differs from the record.

    Returns
    -------
    The samples whose bytes are others, in the sheet's order. A sample without a record has not been analysed yet.

    Raises
    ------
    TresetError
        A file cannot be read.
    """
    found = []
    for sample, name in zip(study.included["sample"], study.included["file"], strict=True):
        known, path = read_record(record_file(study, sample)), Path(name)
        if known is None or not path.exists() or (not whole and stamped(path, known)):
            continue
        now = record(path)
        if now.sha256 != known.sha256:
            found.append(Changed(str(sample), path, known, now))
    return found


def dated_ahead(study: Study) -> list[str]:
    """Warn of files dated in the future: they look newer than every result, so their samples would run every time."""
    now, found = time.time_ns(), []
    for sample, name in zip(study.included["sample"], study.included["file"], strict=True):
        path = Path(name)
        if path.exists() and path.stat().st_mtime_ns > now + _AHEAD_NS:
            found.append(
                f"sample '{sample}': {path} is dated in the future (a wrong clock): it looks newer than every result, "
                "so the sample runs again each time; set its date (touch) if its content is right"
            )
    return found
