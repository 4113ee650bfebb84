"""The FCS writer: standard 3.1, list mode, little-endian float32."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from treset.errors import TresetError
from treset.io.files import atomic

#: Form feed, as most instruments use: it hardly ever occurs in a value.
_DELIMITER = "\x0c"
_HEADER_BYTES = 58
#: The largest offset that fits the eight digits of a HEADER field.
_MAX_HEADER_OFFSET = 99_999_999
#: Keywords that the writer sets itself.
_STRUCTURAL = re.compile(
    r"\$(BEGIN|END)(DATA|STEXT|ANALYSIS)|\$(BYTEORD|DATATYPE|MODE|NEXTDATA|PAR|TOT)|\$P\d+[BENS]", re.IGNORECASE
)


def write_fcs(
    path: Path | str,
    events: np.ndarray,
    channels: Sequence[str],
    markers: Sequence[str] | None = None,
    keywords: Mapping[str, object] | None = None,
) -> None:
    """Write events as a valid FCS 3.1 file (Spidlen et al. 2010, doi:10.1002/cyto.a.20825).

    The bytes depend on the arguments only: no date, user or program is added. The file appears whole or not at all.

    Parameters
    ----------
    path
        The file; its folder is made when missing.
    events
        Array (n_events, n_channels) of real numbers, stored as little-endian float32; NaN and infinity are kept.
    channels
        ``$PnN``, unique, without commas (the standard forbids them).
    markers
        ``$PnS`` of each channel, "" for none. Default: none at all.
    keywords
        Further keywords (``$CYT``, ``$DATE`` ...) and ``$PnR``. An empty value is written as one space, since the
        standard forbids empty values. Default: none.

    Raises
    ------
    TresetError
        Shapes disagree; a name is blank, repeated or has a comma; a keyword is one the writer sets itself; a value
        begins with the delimiter (a form feed) or does not fit float32.
    """
    path = Path(path)
    data = _as_float32(path, np.asarray(events))
    markers = [""] * len(channels) if markers is None else list(markers)
    _check_names(path, data.shape[1], channels, markers)
    pairs = _keywords(path, data, channels, markers, keywords or {})
    size = data.shape[0] * data.shape[1] * 4
    text, begin = _layout(pairs, size)
    end = begin + size - 1
    header_data = (begin, end) if size and end <= _MAX_HEADER_OFFSET else (0, 0)
    fields = (_HEADER_BYTES, _HEADER_BYTES + len(text) - 1, *header_data, 0, 0)
    with atomic(path) as temporary, temporary.open("wb") as stream:
        stream.write(b"FCS3.1    " + b"".join(f"{value:>8d}".encode() for value in fields))
        stream.write(text)
        stream.write(memoryview(data).cast("B") if size else b"")


def carried(text: Mapping[str, str]) -> dict[str, str]:
    """Keywords that hold whatever the events: not those of layout and of single channels."""
    return {
        name: value
        for name, value in text.items()
        if not _STRUCTURAL.fullmatch(name) and not re.match(r"\$P\d+\D", name)
    }


def _as_float32(path: Path, events: np.ndarray) -> np.ndarray:
    if events.ndim != 2 or events.dtype.kind not in "fiub":
        raise TresetError(
            f"{path}: events must be a two-dimensional array of real numbers (events, channels), got "
            f"{events.ndim} dimensions of {events.dtype}."
        )
    with np.errstate(over="ignore"):
        data = np.ascontiguousarray(events, dtype="<f4")
    if events.dtype != np.float32 and np.isinf(data).sum() != np.isinf(events).sum():
        raise TresetError(f"{path}: a value is beyond the range of float32 (3.4e38), so the file was not written.")
    return data


def _check_names(path: Path, n_channels: int, channels: Sequence[str], markers: Sequence[str]) -> None:
    if not len(channels) == len(markers) == n_channels:
        raise TresetError(
            f"{path}: {n_channels} columns of events, {len(channels)} channels and {len(markers)} markers were given; "
            "the three numbers must agree."
        )
    for name in channels:
        if not name.strip() or "," in name:
            raise TresetError(f"{path}: channel name {name!r} is blank or has a comma, which FCS 3.1 forbids in $PnN.")
    if len(set(channels)) != len(channels):
        twice = sorted({name for name in channels if list(channels).count(name) > 1})
        raise TresetError(f"{path}: channel names must be unique; repeated: {', '.join(twice)}.")


def _keywords(
    path: Path, data: np.ndarray, channels: Sequence[str], markers: Sequence[str], extra: Mapping[str, object]
) -> list[tuple[str, str]]:
    """Every keyword but ``$BEGINDATA`` and ``$ENDDATA``, as text, checked."""
    pairs = {
        "$BEGINANALYSIS": "0",
        "$ENDANALYSIS": "0",
        "$BEGINSTEXT": "0",
        "$ENDSTEXT": "0",
        "$BYTEORD": "1,2,3,4",
        "$DATATYPE": "F",
        "$MODE": "L",
        "$NEXTDATA": "0",
        "$PAR": str(data.shape[1]),
        "$TOT": str(data.shape[0]),
    }
    for number, (channel, marker) in enumerate(zip(channels, markers, strict=True), start=1):
        pairs |= {f"$P{number}N": channel, f"$P{number}B": "32", f"$P{number}E": "0,0"}
        pairs[f"$P{number}R"] = _range(data[:, number - 1])
        if marker:
            pairs[f"$P{number}S"] = marker
    for key, value in extra.items():
        if _STRUCTURAL.fullmatch(key):
            raise TresetError(f"{path}: keyword {key} is set by the writer itself; leave it out of the keywords.")
        pairs[key.upper()] = str(value) or " "
    for key, value in pairs.items():
        if not key.strip() or _DELIMITER in key or value.startswith(_DELIMITER):
            raise TresetError(
                f"{path}: keyword {key!r} is blank, has a form feed, or its value {value!r} begins with one; "
                "the FCS standard cannot write that."
            )
    return list(pairs.items())


def _range(column: np.ndarray) -> str:
    """``$PnR``: the next whole number above the largest finite value (at least 1)."""
    finite = column[np.isfinite(column)]
    return str(max(1, math.floor(float(finite.max())) + 1)) if finite.size else "1"


def _layout(pairs: list[tuple[str, str]], size: int) -> tuple[bytes, int]:
    """The TEXT segment and where the data begin; the offsets in TEXT lengthen TEXT, hence the loop."""
    begin = _HEADER_BYTES
    while True:
        last = begin + size - 1 if size else 0
        offsets = [("$BEGINDATA", str(begin if size else 0)), ("$ENDDATA", str(last))]
        tokens = [token.replace(_DELIMITER, _DELIMITER * 2) for pair in offsets + pairs for token in pair]
        text = (_DELIMITER + _DELIMITER.join(tokens) + _DELIMITER).encode()
        if _HEADER_BYTES + len(text) == begin:
            return text, begin
        begin = _HEADER_BYTES + len(text)
