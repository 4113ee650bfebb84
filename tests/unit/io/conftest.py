"""Small FCS files of every kind, built byte by byte from the standard."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of public data; skipped visibly where the variable is unset."""
    folder = os.environ.get("TRESET_DATA")
    if not folder:
        pytest.skip("TRESET_DATA is not set")
    return Path(folder)


def fcs_bytes(
    data: bytes,
    keywords: dict[str, str],
    *,
    version: str = "FCS3.0",
    delimiter: str = "/",
    header: tuple[int, int] | None = None,
    shift_end: int = 0,
    tail: bytes = b"",
    encoding: str = "utf-8",
) -> bytes:
    """An FCS data set: HEADER, TEXT at byte 58, then DATA right behind.

    ``header`` replaces the DATA offsets of the HEADER, ``shift_end`` is added to both ends, values are written as
    given (not escaped), and $BEGINDATA and $ENDDATA are kept where ``keywords`` give them.
    """
    begin = 58
    while True:
        last = begin + len(data) - 1 + shift_end
        pairs = {"$BEGINDATA": str(begin), "$ENDDATA": str(last)} | keywords
        body = delimiter.join(token for pair in pairs.items() if pair[1] != "-" for token in pair)
        text = (delimiter + body + delimiter).encode(encoding)
        if 58 + len(text) == begin:
            break
        begin = 58 + len(text)
    offsets = (58, begin - 1, *(header if header is not None else (begin, last)), 0, 0)
    head = f"{version:<10}".encode() + b"".join(f"{offset:>8}".encode() for offset in offsets)
    return head + text + data + tail


def channel_keywords(
    n_events: int, names: list[str], bits: list[int], ranges: list[object], datatype: str, order: str
) -> dict[str, str]:
    """The required keywords."""
    keywords = {
        "$TOT": str(n_events),
        "$PAR": str(len(names)),
        "$DATATYPE": datatype,
        "$BYTEORD": order,
        "$MODE": "L",
        "$NEXTDATA": "0",
    }
    for number, (name, bit, limit) in enumerate(zip(names, bits, ranges, strict=True), start=1):
        keywords |= {
            f"$P{number}N": name,
            f"$P{number}B": str(bit),
            f"$P{number}R": str(limit),
            f"$P{number}E": "0,0",
        }
    return keywords


@pytest.fixture
def store(tmp_path: Path) -> Callable[..., Path]:
    """Write stored bytes with the given channels as ``stored.fcs``; ``changes`` replaces keywords."""

    def build(
        data: bytes,
        n_events: int,
        channels: tuple[list[str], list[int], list[object]],
        kind: tuple[str, str],
        changes: dict[str, str] | None = None,
        **options: object,
    ) -> Path:
        path = tmp_path / "stored.fcs"
        path.write_bytes(fcs_bytes(data, channel_keywords(n_events, *channels, *kind) | (changes or {}), **options))
        return path

    return build


@pytest.fixture
def events() -> np.ndarray:
    """Three events of two channels; one value lies beyond its $PnR."""
    return np.array([[1.5, -2.0], [3.25, 1e6], [0.0, 7.0]], dtype=np.float32)


@pytest.fixture
def make(store: Callable[..., Path], events: np.ndarray) -> Callable[..., Path]:
    """Write ``events`` as float32, little-endian, with changed keywords (value "-" leaves one out)."""

    def build(changes: dict[str, str] | None = None, data: bytes | None = None, **options: object) -> Path:
        content = events.astype("<f4").tobytes() if data is None else data
        channels = (["FSC-A", "CD3"], [32, 32], [262144, 1024])
        return store(content, 3, channels, ("F", "1,2,3,4"), changes, **options)

    return build
