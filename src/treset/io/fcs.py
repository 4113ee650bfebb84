"""FCS files (flow and mass cytometry): reader of standards 2.0 to 3.2, writer of 3.1.

Written to the standard (Spidlen et al. 2010, doi:10.1002/cyto.a.20825; 3.2: Spidlen et al. 2021,
doi:10.1002/cyto.a.24225). What common instruments get wrong is read where only one reading is possible, and each
such case is a note; everything else is refused in one sentence.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from treset.errors import TresetError
from treset.io.fcs_layout import Layout, channel_count, layout
from treset.io.fcs_text import HEADER_BYTES, RawText, read_text, reading, whole_number
from treset.io.fcs_write import write_fcs
from treset.io.names import make_unique
from treset.io.spill import parse_spillover, spillover_keyword

__all__ = ["FcsHeader", "linearise", "read_fcs", "read_header", "write_fcs"]

#: Integers of up to this many bits are exact in float32.
_EXACT_BITS = 24
#: Events converted at a time: bounds the memory beside the result.
_CHUNK_BYTES = 64 * 2**20


@dataclass(frozen=True)
class FcsHeader:
    """What an FCS file says of itself.

    Attributes
    ----------
    path
        The file.
    version
        ``FCS2.0`` to ``FCS3.2``.
    n_events
        Number of events.
    channels
        ``$PnN`` in order, made unique (renames are in ``notes``).
    markers
        ``$PnS`` in order, "" where absent.
    datatype
        ``I``, ``F``, ``D``, or ``mixed`` (FCS 3.2).
    byteorder
        ``little`` or ``big``.
    bits
        ``$PnB`` of each channel.
    ranges
        ``$PnR`` of each channel; 0 where it is no range.
    amplifications
        ``$PnE`` of each channel: (decades, linear value at 0), (0, 0) for linear channels.
    gains
        ``$PnG`` of each channel, 1 where absent; never applied.
    text
        All keywords, upper case, values as in the file.
    notes
        What was tolerated, one sentence each.
    data_begin
        First byte of the events in the file.
    kinds
        ``I``, ``F`` or ``D`` of each channel.
    """

    path: Path
    version: str
    n_events: int
    channels: tuple[str, ...]
    markers: tuple[str, ...]
    datatype: str
    byteorder: str
    bits: tuple[int, ...]
    ranges: tuple[float, ...]
    amplifications: tuple[tuple[float, float], ...]
    gains: tuple[float, ...]
    text: dict[str, str]
    notes: tuple[str, ...]
    data_begin: int
    kinds: tuple[str, ...]


def read_header(path: Path | str, dataset: int | None = None) -> FcsHeader:
    """Read HEADER and TEXT only, and check that the events they promise fit in the file.

    Parameters
    ----------
    path
        The file.
    dataset
        Which data set, from 1, of a file that holds several. Default: the file must hold exactly one.

    Raises
    ------
    TresetError
        One sentence: no FCS file, truncated, damaged, no events, or of a kind that is not supported.
    """
    path = Path(path)
    with reading(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        sets = [read_text(path, stream, size, 0)]
        notes: list[str] = []
        while (base := _next_base(stream, size, sets[-1], notes)) is not None:
            sets.append(read_text(path, stream, size, base))
    if dataset is None and len(sets) > 1:
        raise TresetError(
            f"{path}: holds {len(sets)} data sets ({', '.join(_describe(raw) for raw in sets[:4])}) and which is meant "
            "cannot be guessed; export one of them as an FCS file of its own."
        )
    if dataset is not None and not 1 <= dataset <= len(sets):
        raise TresetError(f"{path}: has no data set {dataset}, it holds {len(sets)}.")
    chosen = (dataset or 1) - 1
    end = sets[chosen + 1].base if chosen + 1 < len(sets) else size
    raw = sets[chosen]
    return _header(path, raw, layout(path, raw, end), notes)


def _describe(raw: RawText) -> str:
    return f"{raw.keywords.get('$TOT', '?').strip()} events x {raw.keywords.get('$PAR', '?').strip()} channels"


def _next_base(stream: BinaryIO, size: int, raw: RawText, notes: list[str]) -> int | None:
    """First byte of the next data set; None at the last."""
    step = whole_number(raw.keywords.get("$NEXTDATA", "0")) or 0
    if step == 0:
        return None
    base = raw.base + step
    if base + HEADER_BYTES <= size and step >= HEADER_BYTES:
        stream.seek(base)
        if stream.read(3) == b"FCS":
            return base
    notes.append(f"$NEXTDATA points to byte {base}, where no further data set begins")
    return None


def _header(path: Path, raw: RawText, stored: Layout, notes: Sequence[str]) -> FcsHeader:
    keywords, count = raw.keywords, channel_count(path, raw.keywords)
    names = [keywords[f"$P{n}N"].strip() for n in range(1, count + 1)]
    channels, renamed = make_unique([name or f"P{n}" for n, name in enumerate(names, start=1)])
    notes = [*raw.notes, *stored.notes, *notes]
    if renamed:
        notes.append("duplicate channel names made unique: " + ", ".join(f"{old} to {new}" for old, new in renamed))
    if "" in names:
        blank = [f"P{n}" for n, name in enumerate(names, start=1) if not name]
        notes.append(f"channels without a name were named {', '.join(blank)}")
    if unread := _unread_spillover(keywords):
        notes.append(unread)
    return FcsHeader(
        path=path,
        version=raw.version,
        n_events=stored.n_events,
        channels=channels,
        markers=tuple(keywords.get(f"$P{n}S", "").strip() for n in range(1, count + 1)),
        datatype=stored.kinds[0] if len(set(stored.kinds)) == 1 else "mixed",
        byteorder="little" if stored.byteorder == "<" else "big",
        bits=stored.bits,
        ranges=stored.ranges,
        amplifications=stored.amplifications,
        gains=tuple(_gain(keywords.get(f"$P{n}G", "1")) for n in range(1, count + 1)),
        text=keywords,
        notes=tuple(notes),
        data_begin=stored.begin,
        kinds=stored.kinds,
    )


def _unread_spillover(keywords: Mapping[str, str]) -> str:
    """Say that a spillover keyword cannot be read; "" where it can or there is none."""
    name, value = spillover_keyword(keywords)
    try:
        _ = parse_spillover(name, value) if name else None
    except TresetError as error:
        return str(error).removesuffix(".")
    return ""


def _gain(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0


def read_fcs(path: Path | str, dataset: int | None = None) -> tuple[FcsHeader, np.ndarray]:
    """Read the events as they are stored.

    Floats are as in the file, never cut to ``$PnR``. Integers lose the bits above the smallest power of two that holds
    ``$PnR``, as the standard (and flowCore) does: Coulter and iCyt instruments keep flags there. How many values this
    changes is told in a note. Neither ``$PnE`` (see `linearise`) nor ``$PnG`` nor compensation is applied.

    Parameters
    ----------
    path, dataset
        As for `read_header`.

    Returns
    -------
    The header (with further notes) and the events, (n_events, n_channels), float32 where that is exact (floats of 32
    bits, integers of at most 24), else float64.

    Raises
    ------
    TresetError
        As `read_header`.
    """
    header = read_header(path, dataset)
    masks = tuple(_mask(header, channel) for channel in range(len(header.channels)))
    exact = all(_exact_in_float32(header, channel, mask) for channel, mask in enumerate(masks))
    events = np.empty((header.n_events, len(header.channels)), dtype=np.float32 if exact else np.float64)
    record = _record(header)
    beyond = [0] * len(masks)
    with reading(header.path) as stream:
        stream.seek(header.data_begin)
        step = max(1, _CHUNK_BYTES // record.itemsize)
        for start in range(0, header.n_events, step):
            block = np.fromfile(stream, dtype=record, count=min(step, header.n_events - start))
            if len(block) < min(step, header.n_events - start):
                raise TresetError(f"{header.path}: ended while its events were read; copy it again.")
            part = _convert(header, block, masks, events[start : start + len(block)])
            beyond = [total + count for total, count in zip(beyond, part, strict=True)]
    return replace(header, notes=header.notes + _range_notes(header, beyond)), events


def _record(header: FcsHeader) -> np.dtype:
    """The type of one event."""
    order = "<" if header.byteorder == "little" else ">"
    fields = []
    for channel, (kind, bits) in enumerate(zip(header.kinds, header.bits, strict=True)):
        if kind == "I" and bits == 24:
            fields.append((str(channel), "u1", (3,)))
        else:
            fields.append((str(channel), f"{order}{'u' if kind == 'I' else 'f'}{bits // 8}"))
    return np.dtype(fields)


def _convert(header: FcsHeader, block: np.ndarray, masks: Sequence[int | None], out: np.ndarray) -> list[int]:
    """Fill ``out`` from the stored records; returns how many values of each channel the mask changed."""
    beyond = [0] * len(masks)
    if header.datatype in ("F", "D"):
        out[:] = block.view(block.dtype[0]).reshape(out.shape)
        return beyond
    for channel, (kind, mask) in enumerate(zip(header.kinds, masks, strict=True)):
        values = block[str(channel)]
        if kind == "I":
            values = _integers(values, header.byteorder)
            if mask is not None:
                beyond[channel] = int(np.count_nonzero(values > mask))
                values = values & values.dtype.type(mask)
        out[:, channel] = values
    return beyond


def _integers(column: np.ndarray, byteorder: str) -> np.ndarray:
    """The column as numbers; three-byte integers are put together."""
    if column.ndim == 1:
        return column
    places = (0, 1, 2) if byteorder == "little" else (2, 1, 0)
    low, middle, high = (column[:, place].astype(np.uint32) for place in places)
    return low | (middle << 8) | (high << 16)


def _mask(header: FcsHeader, channel: int) -> int | None:
    """Bit mask that ``$PnR`` asks for; None where it asks for none."""
    limit = int(header.ranges[channel])
    used = (limit - 1).bit_length()
    if header.kinds[channel] != "I" or limit < 2 or used >= header.bits[channel]:
        return None
    return 2**used - 1


def _exact_in_float32(header: FcsHeader, channel: int, mask: int | None) -> bool:
    kind, bits = header.kinds[channel], header.bits[channel]
    return kind == "F" or (kind == "I" and (bits <= _EXACT_BITS or (mask is not None and mask < 2**_EXACT_BITS)))


def _range_notes(header: FcsHeader, beyond: Sequence[int]) -> tuple[str, ...]:
    told = ", ".join(f"{header.channels[c]} ({count} values)" for c, count in enumerate(beyond) if count)
    return (f"bits above $PnR were set and were masked as the standard says: {told}",) if told else ()


def linearise(header: FcsHeader, events: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Turn log-amplified integer channels into linear values, as flowCore and FlowJo do by default.

    A channel with ``$PnE`` (d, z), d > 0, holds ``x`` on a logarithmic scale of ``$PnR`` steps over d decades; its
    linear value is ``z 10^(d x / $PnR)`` (FCS 3.1, section 3.2.20; z = 0 counts as 1). An arcsinh on the stored steps
    would take the logarithm twice.

    Parameters
    ----------
    header, events
        As `read_fcs` returns them.

    Returns
    -------
    The events (float64 where a channel changed, else the array itself) and notes.
    """
    logarithmic = [c for c, (decades, _) in enumerate(header.amplifications) if decades > 0 and header.ranges[c] > 0]
    if not logarithmic:
        return events, []
    linear = events.astype(np.float64)
    for channel in logarithmic:
        decades, zero = header.amplifications[channel]
        linear[:, channel] = zero * 10.0 ** (decades * linear[:, channel] / header.ranges[channel])
    names = ", ".join(header.channels[channel] for channel in logarithmic)
    return linear, [f"log-amplified channels were made linear ($PnE): {names}"]
