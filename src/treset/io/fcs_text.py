"""HEADER and TEXT of an FCS data set: offsets and keywords, before any event is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

from treset.errors import TresetError

HEADER_BYTES = 58
_VERSIONS = ("FCS2.0", "FCS3.0", "FCS3.1", "FCS3.2")
#: Keywords that say how the events are stored: two values for one of them make the file ambiguous.
_LAYOUT_KEY = re.compile(r"\$(PAR|TOT|DATATYPE|BYTEORD|MODE|BEGINDATA|ENDDATA|P\d+(B|R|E|N|DATATYPE))")
#: More digits than any file offset or event count has; keeps int() from refusing (or crawling) on garbage.
_NUMBER = re.compile(r"\s*\+?0*(\d{1,18})\s*")


@dataclass(frozen=True)
class RawText:
    """What HEADER and TEXT (with its supplement) say, unparsed."""

    base: int
    version: str
    text_span: tuple[int, int]
    data_span: tuple[int, int]
    keywords: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Text:
    """The primary TEXT segment."""

    begin: int
    end: int
    delimiter: bytes
    keywords: dict[str, str]


@contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """Open ``path`` for reading; what the operating system refuses becomes one sentence."""
    try:
        with path.open("rb") as stream:
            yield stream
    except FileNotFoundError:
        raise TresetError(f"{path}: there is no such file; check the path in the sample sheet.") from None
    except IsADirectoryError:
        raise TresetError(f"{path}: is a folder, expected a file.") from None
    except OSError as error:
        raise TresetError(f"{path}: cannot be read ({error.strerror or error}); check permissions and disk.") from None


def whole_number(value: str) -> int | None:
    """A count or an offset as keywords write it (padded with blanks or zeros); None for anything else."""
    match = _NUMBER.fullmatch(value)
    return int(match[1]) if match else None


def read_text(path: Path, stream: BinaryIO, size: int, base: int) -> RawText:
    """Read HEADER, TEXT and the supplement of the data set that begins at byte ``base``.

    Parameters
    ----------
    path
        For messages.
    stream, size
        The open file and its bytes; nothing beyond ``size`` is ever asked for.
    base
        First byte of the data set (0 for the first); all offsets of the set are relative to it.

    Raises
    ------
    TresetError
        Not an FCS file, or TEXT is damaged or lies outside the file.
    """
    stream.seek(base)
    head = stream.read(HEADER_BYTES)
    version = head[:6].decode("latin-1")
    if version not in _VERSIONS:
        raise TresetError(
            f"{path}: begins with {head[:6]!r}, expected one of {', '.join(_VERSIONS)}, so this is no FCS file that "
            "can be read; export it again from the acquisition software."
        )
    if len(head) < HEADER_BYTES:
        raise TresetError(
            f"{path}: is truncated inside its HEADER ({len(head)} of {HEADER_BYTES} bytes); copy it again."
        )
    begin, end, data_begin, data_end = (_header_number(head, field) for field in range(4))
    available = size - base
    if begin is None or end is None or not HEADER_BYTES <= begin <= end:
        raise TresetError(
            f"{path}: HEADER gives no usable place of the TEXT segment ({head[10:26]!r}); export it again."
        )
    if end > available:
        raise TresetError(
            f"{path}: is truncated: TEXT should end at byte {end}, the file has {available}; copy or export it again."
        )
    notes: list[str] = []
    data_span = (data_begin or 0, data_end or 0)
    if data_span[0] == end:
        # BCR-XL's writer gives the byte after the last as the end, for TEXT as for DATA.
        notes.append("text end offset off by one: it names the first byte of DATA")
        end = data_span[0] - 1
    stream.seek(base + begin)
    raw = stream.read(min(end, available - 1) - begin + 1)
    keywords, more = parse_keywords(raw, path)
    text = _Text(begin, end, raw[:1], keywords)
    notes += more
    notes += _add_supplement(path, stream, base, available, text)
    return RawText(base, version, (begin, end), data_span, keywords, tuple(notes))


def _header_number(head: bytes, field: int) -> int | None:
    """Field ``field`` of HEADER: eight characters; blank is 0."""
    value = head[10 + 8 * field : 18 + 8 * field].decode("latin-1")
    return whole_number(value) if value.strip(" \0") else 0


def _add_supplement(path: Path, stream: BinaryIO, base: int, available: int, text: _Text) -> list[str]:
    """Add the keywords of the supplemental TEXT segment that TEXT itself has not; returns notes."""
    keywords = text.keywords
    begin = whole_number(keywords.get("$BEGINSTEXT", "0")) or 0
    end = whole_number(keywords.get("$ENDSTEXT", "0")) or 0
    # Accuri and others point to the primary segment.
    if not begin or end <= begin or text.begin <= begin <= text.end:
        return []
    if end > available:
        return [f"supplemental TEXT should end at byte {end}, beyond the file, and was not read"]
    stream.seek(base + begin)
    raw = stream.read(end - begin + 1)
    if not raw.strip(b" \0"):
        return []
    # CyFlow stores an archive there.
    if raw[:1] != text.delimiter:
        return ["supplemental TEXT holds no keywords (it does not begin with the delimiter of TEXT) and was not read"]
    extra, notes = parse_keywords(raw, path)
    clashes = [key for key in extra if keywords.get(key, extra[key]).strip() != extra[key].strip()]
    if clashes:
        notes.append(f"supplemental TEXT contradicts TEXT in {', '.join(sorted(clashes)[:5])}; TEXT was used")
    for key, value in extra.items():
        keywords.setdefault(key, value)
    return notes


def parse_keywords(raw: bytes, path: Path) -> tuple[dict[str, str], list[str]]:
    r"""Split a TEXT segment into keywords.

    The first byte is the delimiter. By the standard a doubled delimiter stands for itself and no value is empty, yet
    many instruments write empty values. The reading by the standard is taken unless it is malformed (odd number of
    tokens, a keyword with the delimiter inside, a missing required keyword) and the other reading is not.

    Returns
    -------
    Keywords (upper case) with their values, and notes.
    """
    if len(raw) < 4:
        raise TresetError(f"{path}: TEXT is empty, so nothing says how the events are stored; export it again.")
    delimiter, body = raw[:1], raw[1:]
    notes: list[str] = []
    pairs = standard = _pairs(_split_escaped(body, delimiter))
    if (delimiter * 2) in body and not _complete(standard, delimiter):
        loose = _pairs(body.split(delimiter))
        if _complete(loose, delimiter):
            pairs = loose
            notes.append("TEXT has empty values, which the FCS standard forbids; they were read as empty")
    return _decode(pairs, path, notes), notes


def _split_escaped(body: bytes, delimiter: bytes) -> list[bytes]:
    stand_in = b"\xff\x00\xfe"
    while stand_in in body or delimiter in stand_in:
        stand_in = stand_in[:-1] + bytes([(stand_in[-1] + 1) % 256, 0xFD])
    return [part.replace(stand_in, delimiter) for part in body.replace(delimiter * 2, stand_in).split(delimiter)]


def _pairs(tokens: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Keywords and values; a keyword that is left over comes with an empty value."""
    *whole, rest = tokens
    # After the last delimiter comes nothing, padding, or (an end one byte late) a byte of the next segment; when the
    # tokens before it are odd in number it is the unterminated last value.
    if len(whole) % 2 or len(rest.strip(b" \0\r\n")) > 1:
        whole.append(rest)
    return list(zip_longest(whole[::2], whole[1::2], fillvalue=b""))


def _complete(pairs: list[tuple[bytes, bytes]], delimiter: bytes) -> bool:
    """Whether the pairs look like keywords and hold those that every channel must have."""
    keys = {key.strip().upper() for key, _ in pairs}
    if b"" in keys or any(delimiter in key for key in keys):
        return False
    values = {key.strip().upper(): value for key, value in pairs}
    count = whole_number(values.get(b"$PAR", b"").decode("latin-1"))
    if count is None:
        # A supplemental segment has no $PAR.
        return b"$TOT" not in keys and b"$DATATYPE" not in keys
    return count * 3 <= len(keys) and all(
        f"$P{number}{letter}".encode() in keys for number in range(1, count + 1) for letter in "BNR"
    )


def _decode(pairs: list[tuple[bytes, bytes]], path: Path, notes: list[str]) -> dict[str, str]:
    keywords: dict[str, str] = {}
    not_utf8 = False
    for raw_key, raw_value in pairs:
        try:
            key, value = raw_key.decode(), raw_value.decode()
        except UnicodeDecodeError:
            key, value = raw_key.decode("latin-1"), raw_value.decode("latin-1")
            not_utf8 = True
        key = key.strip().upper()
        if not key:
            continue
        before = keywords.setdefault(key, value)
        if before.strip() == value.strip():
            continue
        if _LAYOUT_KEY.fullmatch(key):
            raise TresetError(
                f"{path}: TEXT gives {key} twice, as {before!r} and {value!r}, so how the events are stored is "
                "ambiguous; export it again."
            )
        notes.append(f"TEXT gives {key} twice; the first value was kept")
    if not_utf8:
        notes.append("TEXT is not UTF-8 and was read as Latin-1")
    return keywords
