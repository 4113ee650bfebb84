"""How the events of an FCS data set are stored: the type of each channel and the place of the DATA segment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from treset.errors import TresetError
from treset.io.fcs_text import HEADER_BYTES, RawText, whole_number

_AGAIN = "copy or export it again"
_INTEGER_BITS = (8, 16, 24, 32, 64)
_FLOAT_BITS = {"F": 32, "D": 64}


@dataclass(frozen=True)
class Layout:
    """Types and place of the events.

    Attributes
    ----------
    kinds
        ``I``, ``F`` or ``D`` of each channel.
    bits, ranges, amplifications
        ``$PnB``, ``$PnR`` and ``$PnE`` (decades, value at zero) of each channel.
    byteorder
        ``<`` or ``>``.
    begin
        First byte of the events, counted from the beginning of the file.
    """

    kinds: tuple[str, ...]
    bits: tuple[int, ...]
    ranges: tuple[float, ...]
    amplifications: tuple[tuple[float, float], ...]
    byteorder: str
    n_events: int
    begin: int
    notes: tuple[str, ...]

    @property
    def event_bytes(self) -> int:
        """Bytes of one event."""
        return sum(self.bits) // 8


def channel_count(path: Path, keywords: Mapping[str, str]) -> int:
    """``$PAR``, checked against the keywords that every channel must have (so it is bounded by the file)."""
    count = whole_number(_required(path, keywords, "$PAR"))
    if not count:
        raise TresetError(f"{path}: $PAR is {keywords['$PAR']!r}, expected the number of channels; {_AGAIN}.")
    for number in range(1, count + 1):
        for letter in "BNR":
            _required(path, keywords, f"$P{number}{letter}")
    return count


def layout(path: Path, raw: RawText, size: int) -> Layout:
    """Types, counts and place of the events, checked against the size of the file.

    Raises
    ------
    TresetError
        A keyword is missing or unusable, the storage is one that is not supported, there are no events, or the file is
        shorter (or holds more events) than its keywords say.
    """
    keywords, count = raw.keywords, channel_count(path, raw.keywords)
    mode = keywords.get("$MODE", "L").strip().upper()
    if mode != "L":
        raise TresetError(
            f"{path}: $MODE is {mode!r} (histograms), expected L: one row an event; export list-mode data."
        )
    numbers = range(1, count + 1)
    datatype = _required(path, keywords, "$DATATYPE").strip().upper()
    kinds = tuple(keywords.get(f"$P{n}DATATYPE", datatype).strip().upper() for n in numbers)
    bits = tuple(_bits(path, keywords, n, kind) for n, kind in zip(numbers, kinds, strict=True))
    notes: list[str] = []
    ranges = tuple(_range(path, keywords, n, kind, notes) for n, kind in zip(numbers, kinds, strict=True))
    amplifications = tuple(
        _amplification(path, keywords, n, kind, notes) for n, kind in zip(numbers, kinds, strict=True)
    )
    order = _byteorder(path, _required(path, keywords, "$BYTEORD"), max(bits))
    n_events, begin = _locate(path, raw, sum(bits) // 8, size, notes)
    return Layout(kinds, bits, ranges, amplifications, order, n_events, raw.base + begin, tuple(notes))


def _required(path: Path, keywords: Mapping[str, str], key: str) -> str:
    if key not in keywords:
        raise TresetError(f"{path}: TEXT lacks the required keyword {key}; the file is damaged: {_AGAIN}.")
    return keywords[key]


def _bits(path: Path, keywords: Mapping[str, str], number: int, kind: str) -> int:
    bits = whole_number(keywords[f"$P{number}B"])
    if kind not in ("I", "F", "D"):
        raise TresetError(f"{path}: $DATATYPE {kind!r} of channel {number} is not supported, expected I, F or D.")
    allowed = _INTEGER_BITS if kind == "I" else (_FLOAT_BITS[kind],)
    if bits not in allowed:
        raise TresetError(
            f"{path}: $P{number}B is {keywords[f'$P{number}B']!r}, expected {' or '.join(map(str, allowed))} bits for "
            f"$DATATYPE {kind}; export it as 32-bit floats."
        )
    return bits


def _range(path: Path, keywords: Mapping[str, str], number: int, kind: str, notes: list[str]) -> float:
    text = keywords[f"$P{number}R"].strip()
    value = float(text) if re.fullmatch(r"\+?\d{1,40}(\.\d*)?([eE][+-]?\d{1,2})?", text) else -1.0
    if value > 0 or kind != "I":
        return max(value, 0.0)
    notes.append(f"$P{number}R is {text!r}, no range; integers of channel {number} were read with all their bits")
    return 0.0


def _amplification(
    path: Path, keywords: Mapping[str, str], number: int, kind: str, notes: list[str]
) -> tuple[float, float]:
    """``$PnE``: (decades, linear value of channel 0); (0, 0) for a linear channel."""
    text = keywords.get(f"$P{number}E", "0,0")
    try:
        decades, zero = (float(part) for part in text.split(","))
    except ValueError:
        raise TresetError(
            f"{path}: $P{number}E is {text!r}, expected two numbers such as 4,1 or 0,0; {_AGAIN}."
        ) from None
    if not (0 <= decades < 100 and 0 <= zero < np.inf):
        raise TresetError(f"{path}: $P{number}E is {text!r}, expected decades from 0 and a start from 0; {_AGAIN}.")
    if decades == 0:
        return (0.0, 0.0)
    if kind != "I":
        notes.append(f"$P{number}E is {text!r}, but floats are linear by the standard; it was not applied")
        return (0.0, 0.0)
    # "4,0" is illegal yet common; the standard (3.1, section 3.2.20) says to take it as "4,1".
    return (decades, zero or 1.0)


def _byteorder(path: Path, text: str, widest: int) -> str:
    order = [part.strip() for part in text.split(",")]
    ascending = [str(number) for number in range(1, len(order) + 1)]
    if order == ascending and (len(order) > 1 or widest == 8):
        return "<"
    if order == ascending[::-1]:
        return ">"
    raise TresetError(f"{path}: $BYTEORD is {text!r}, expected 1,2,3,4 or 4,3,2,1; export it again.")


@dataclass(frozen=True)
class _Span:
    source: str
    begin: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.begin + 1


def _spans(raw: RawText) -> list[_Span]:
    keywords = raw.keywords
    in_text = [whole_number(keywords.get(key, "0")) or 0 for key in ("$BEGINDATA", "$ENDDATA")]
    spans = [_Span("HEADER", *raw.data_span), _Span("TEXT", *in_text)]
    return [span for span in spans if span.begin >= HEADER_BYTES and span.end >= span.begin]


def _locate(path: Path, raw: RawText, event_bytes: int, size: int, notes: list[str]) -> tuple[int, int]:
    """Number of events and their first byte (relative to the data set)."""
    available = size - raw.base
    n_events = _events(path, raw, event_bytes, available)
    need = n_events * event_bytes
    spans = _spans(raw)
    if not spans:
        raise TresetError(f"{path}: neither HEADER nor TEXT says where the {n_events} events are; {_AGAIN}.")
    if len({(span.begin, span.end) for span in spans}) > 1:
        notes.append(
            f"HEADER ({spans[0].begin} to {spans[0].end}) and TEXT ({spans[1].begin} to {spans[1].end}) disagree on "
            "where the events are; the place that fits $TOT was used"
        )
    for slack in (0, 1):
        fitting = [span for span in spans if span.length == need + slack and span.begin + need <= available]
        if len({span.begin for span in fitting}) > 1:
            fitting = [span for span in fitting if not _overlap(span, raw.text_span)]
        if len({span.begin for span in fitting}) > 1:
            raise TresetError(f"{path}: HEADER and TEXT give two places for the events and both fit $TOT; {_AGAIN}.")
        if fitting:
            if slack:
                notes.append(f"data end offset off by one in {fitting[0].source}: it names the byte after the last")
            return n_events, fitting[0].begin
    return n_events, _misfit(path, spans, (n_events, event_bytes), available, notes)


def _overlap(span: _Span, text: tuple[int, int]) -> bool:
    return span.begin <= text[1] and span.end >= text[0]


def _events(path: Path, raw: RawText, event_bytes: int, available: int) -> int:
    """``$TOT``; where FCS 2.0 leaves it out, what the DATA segment holds."""
    if "$TOT" in raw.keywords:
        n_events = whole_number(raw.keywords["$TOT"])
        if n_events is None:
            raise TresetError(f"{path}: $TOT is {raw.keywords['$TOT']!r}, expected the number of events; {_AGAIN}.")
    else:
        fitting = [span for span in _spans(raw) if span.end <= available and span.length % event_bytes in (0, 1)]
        if not fitting:
            raise TresetError(f"{path}: has no $TOT and a DATA segment that is no whole number of events; {_AGAIN}.")
        n_events = fitting[0].length // event_bytes
    if n_events == 0:
        raise TresetError(f"{path}: holds no events ($TOT is 0); leave the sample out or export it again.")
    return n_events


def _misfit(path: Path, spans: list[_Span], counts: tuple[int, int], available: int, notes: list[str]) -> int:
    """No place fits $TOT to the byte: tolerate less than an event of padding, refuse the rest in one sentence."""
    n_events, event_bytes = counts
    need = n_events * event_bytes
    padded = [span for span in spans if 0 < span.length - need < event_bytes and span.end <= available]
    if padded and len({span.begin for span in padded}) == 1:
        notes.append(f"DATA has {padded[0].length - need} bytes of padding after the last event")
        return padded[0].begin
    span = spans[0]
    if max(span.end, span.begin + need - 1) >= available:
        raise TresetError(
            f"{path}: is truncated: {n_events} events of {event_bytes} bytes should end at byte "
            f"{max(span.begin + need, span.end + 1)}, the file has {available}; {_AGAIN}."
        )
    raise TresetError(
        f"{path}: $TOT says {n_events} events of {event_bytes} bytes ({need} bytes), the DATA segment has "
        f"{span.length} bytes ({span.source} {span.begin} to {span.end}); {_AGAIN}."
    )
