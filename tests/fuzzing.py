"""Broken FCS files: seeds of every layout, a mutator, and the trial of the reader on them."""

from __future__ import annotations

import random
import re
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np

from treset.errors import TresetError
from treset.io.fcs import linearise, read_fcs
from treset.io.spill import parse_spillover, spillover_keyword

#: Seconds after which a file of a few kilobytes counts as a hang.
LIMIT = 5.0
VALUES = (
    *("", " ", "0", "-1", "1", "2", "7", "8", "31", "33", "64", "1024", "65536", "99999999", "4294967295"),
    *("18446744073709551616", "9" * 40, "9" * 400, "1e308", "-1e308", "nan", "inf", "0x10", "1.5", "1,2", "2,1", "4,0"),
    *("0,1e300", "99,1", "1e9,1e9", ",", ",,,,", "F", "I", "D", "A", "L", "C", "1,2,3,4", "4,3,2,1", "3,4,1,2"),
    *("\x00", "\xff\xfe", "é", "𝛼", "$PAR", "/" * 50, "\n", "2,A,B,1,0,0,1", "2,A,B,1,nan,0,1", "99999,A"),
)


def fcs(
    values: np.ndarray, datatype: str = "F", keywords: dict[str, str] | None = None, delimiter: str = "/",
    version: str = "FCS3.1", big: bool = False, widths: tuple[int, ...] | None = None,
) -> bytes:  # fmt: skip
    """A file of any layout; the writer of treset makes one only."""
    events, channels = values.shape
    widths = widths or {"F": (4,), "D": (8,), "I": (2,)}[datatype] * channels
    order = ">" if big else "<"
    kind = "u" if datatype == "I" else "f"
    fields = []
    for column, width in zip(values.T, widths, strict=True):
        if width == 3:
            whole = column.astype(np.uint32).astype(f"{order}u4").view(np.uint8).reshape(-1, 4)
            fields.append(whole[:, 1:] if big else whole[:, :3])
        else:
            fields.append(column.astype(f"{order}{kind}{width}").view(np.uint8).reshape(events, width))
    data = np.concatenate(fields, axis=1).tobytes()
    pairs = {
        "$PAR": str(channels), "$TOT": str(events), "$DATATYPE": datatype, "$MODE": "L", "$NEXTDATA": "0",
        "$BYTEORD": "4,3,2,1" if big else "1,2,3,4", "$BEGINSTEXT": "0", "$ENDSTEXT": "0",
    }  # fmt: skip
    for n, width in enumerate(widths, start=1):
        pairs |= {
            f"$P{n}N": f"C{n}",
            f"$P{n}S": f"M{n}",
            f"$P{n}B": str(8 * width),
            f"$P{n}R": "1024",
            f"$P{n}E": "0,0",
        }
    pairs |= keywords or {}
    begin = 0
    for _ in range(3):
        pairs |= {"$BEGINDATA": f"{begin:08d}", "$ENDDATA": f"{begin + len(data) - 1:08d}"}
        text = delimiter + delimiter.join(part for pair in pairs.items() for part in pair) + delimiter
        begin = 58 + len(text.encode())
    head = f"{version:<10}{58:>8}{begin - 1:>8}{begin:>8}{begin + len(data) - 1:>8}{0:>8}{0:>8}"
    return head.encode() + text.encode() + data


def seeds() -> list[bytes]:
    """One small file of each layout that the reader knows."""
    rng = np.random.default_rng(0)
    floats, whole = rng.normal(100, 50, (20, 3)), rng.integers(0, 1024, (20, 3)).astype(float)
    two = fcs(whole, "I", {"$NEXTDATA": "00000000"})
    first = fcs(whole, "I", {"$NEXTDATA": f"{len(two):08d}"})
    return [
        fcs(floats), fcs(floats, big=True), fcs(floats, "D"), fcs(floats, delimiter="\x0c"), fcs(floats, delimiter="|"),
        fcs(whole, "I"), fcs(whole, "I", big=True), fcs(whole, "I", widths=(1, 2, 4)),
        fcs(whole, "I", widths=(3, 3, 2)),
        fcs(whole, "I", {"$P1E": "4,1", "$P2E": "3,0"}), fcs(whole, "I", widths=(8, 4, 2), big=True),
        fcs(whole, "I", version="FCS2.0"), fcs(floats, version="FCS3.0"), fcs(floats, version="FCS3.2"),
        fcs(floats, keywords={"$SPILLOVER": "2,C1,C2,1,0.1,0.05,1"}), first + two,
        fcs(floats, keywords={"$P1N": "Time", "$TIMESTEP": "0.01", "COMMENT": "x" * 500}),
    ]  # fmt: skip


def _keyword(data: bytearray, rng: random.Random) -> None:
    """Give a keyword another value, keep the length where the value fits."""
    found = list(re.finditer(rb"(\$?[A-Z]{2,}\d*[A-Z]*)([/|\x0c])([^/|\x0c]*)", bytes(data[58:4000])))
    if not found:
        return
    match = rng.choice(found)
    value = rng.choice(VALUES).encode("utf-8", "replace")
    start, end = 58 + match.start(3), 58 + match.end(3)
    if rng.random() < 0.5 and len(value) <= end - start:
        value = value.ljust(end - start, rng.choice([b" ", b"0"]))
    data[start:end] = value


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        data[rng.randrange(len(data))] = rng.randrange(256)


def _flip_head(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(min(58, len(data)))] = rng.choice(b" 0123456789-\x00\xffF")


def _offset(data: bytearray, rng: random.Random) -> None:
    place = 10 + 8 * rng.randrange(6)
    data[place : place + 8] = str(rng.choice([0, 1, 57, 58, 59, 255, 10**7, 99_999_999, len(data), rng.randrange(4096)])
                                  ).rjust(8)[:8].encode()  # fmt: skip


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _remove(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.choice([1, 2, 8, 100])]


def _insert(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    data[start:start] = bytes(rng.randrange(256) for _ in range(rng.choice([1, 2, 8, 100])))


def _repeat(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    part = data[start : start + rng.choice([4, 40, 400])]
    data[start:start] = part * rng.choice([1, 2, 20])


def _append(data: bytearray, rng: random.Random) -> None:
    data += bytes(rng.choice([1, 8, 1000])) if rng.random() < 0.5 else data[: rng.randrange(len(data))]


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(_keyword,) * 6, *(_offset,) * 2, _flip, _flip_head, _cut, _remove, _insert, _repeat, _append,
)  # fmt: skip


def mutated(files: list[bytes], count: int, seed: int = 0) -> Iterator[bytes]:
    """``count`` broken files, the same for the same seed."""
    rng = random.Random(seed)
    for _ in range(count):
        data = bytearray(rng.choice(files))
        for _ in range(rng.choice([1, 1, 1, 2, 3, 5])):
            if len(data) > 60:
                rng.choice(MUTATIONS)(data, rng)
        yield bytes(data)


class HangError(Exception):
    """The reader took too long."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise `HangError` in the block after so many seconds."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def attempt(path: Path, data: bytes) -> str:
    """Read one broken file: ``read``, ``refused``, or anything else in words (a fault of the reader)."""
    path.write_bytes(data)
    try:
        with limited(LIMIT), warnings.catch_warnings():
            warnings.simplefilter("error")
            header, events = read_fcs(path)
            linear, _ = linearise(header, events)
            name, text = spillover_keyword(header.text)
            if name:
                _spill(name, text)
    except TresetError as error:
        return "refused" if "\n" not in str(error) and len(str(error)) < 2000 else f"message: {str(error)[:300]!r}"
    except HangError:
        return f"hang: more than {LIMIT:g} s"
    except MemoryError:
        return "memory"
    except Exception as error:  # noqa: BLE001 - whatever escapes is what is looked for
        return f"crash: {type(error).__name__}: {str(error)[:200]}"
    if linear.shape != (header.n_events, len(header.channels)):
        return f"shape: {linear.shape} for {header.n_events} events and {len(header.channels)} channels"
    if linear.nbytes > 64 * len(data):
        return f"memory: {linear.nbytes} bytes of a file of {len(data)}"
    return "read"


def _spill(name: str, text: str) -> None:
    try:
        parse_spillover(name, text)
    except TresetError as error:
        if "\n" in str(error):
            raise ValueError(f"more than one line: {error}") from None
