"""The FCS reader: every feature on a small file made here."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from treset.errors import TresetError
from treset.io.fcs import linearise, read_fcs, read_header, write_fcs

Make = Callable[..., Path]
EVENTS = np.array([[1.5, -2.0], [3.25, 1e6], [0.0, 7.0]], dtype=np.float32)


@pytest.mark.parametrize("version", ["FCS2.0", "FCS3.0", "FCS3.1", "FCS3.2"])
def test_floats_are_read_whole(make: Make, version: str) -> None:
    header, events = read_fcs(make(version=version))
    assert header.version == version
    assert (header.n_events, header.channels, header.markers) == (3, ("FSC-A", "CD3"), ("", ""))
    assert (header.datatype, header.byteorder, header.notes) == ("F", "little", ())
    assert events.dtype == np.float32
    # 1e6 lies beyond $P2R = 1024: floats are never cut.
    np.testing.assert_array_equal(events, EVENTS)


@pytest.mark.parametrize(("letter", "bits", "dtype"), [("F", 32, np.float32), ("D", 64, np.float64)])
@pytest.mark.parametrize(("order", "mark"), [("1,2,3,4", "<"), ("4,3,2,1", ">")])
def test_both_byte_orders(make: Make, letter: str, bits: int, dtype: type, order: str, mark: str) -> None:
    stored = EVENTS.astype(f"{mark}f{bits // 8}").tobytes()
    changes = {"$DATATYPE": letter, "$BYTEORD": order, "$P1B": str(bits), "$P2B": str(bits)}
    _, events = read_fcs(make(changes, stored))
    assert events.dtype == dtype
    np.testing.assert_array_equal(events, EVENTS)


@pytest.mark.parametrize(("order", "mark"), [("1,2,3,4", "little"), ("4,3,2,1", "big")])
def test_integers_of_mixed_width(store: Make, order: str, mark: str) -> None:
    rows = [(200, 60_000, 16_000_000, 4_000_000_000, 2**53), (1, 2, 3, 4, 5)]
    bits = [8, 16, 24, 32, 64]
    data = b"".join(value.to_bytes(bit // 8, mark) for row in rows for value, bit in zip(row, bits, strict=True))
    header, events = read_fcs(store(data, 2, (list("abcde"), bits, [2**bit for bit in bits]), ("I", order)))
    assert (header.bits, header.datatype, header.byteorder) == (tuple(bits), "I", mark)
    assert events.dtype == np.float64
    np.testing.assert_array_equal(events, rows)


def test_integers_up_to_24_bits_are_float32(store: Make) -> None:
    data = np.array([[1023, 7], [0, 65_535]], dtype=">u2").tobytes()
    _, events = read_fcs(store(data, 2, (["a", "b"], [16, 16], [65536, 65536]), ("I", "4,3,2,1")))
    assert events.dtype == np.float32
    np.testing.assert_array_equal(events, [[1023, 7], [0, 65_535]])


def _integers(store: Make, values: list[int], limit: object, decades: str = "0,0") -> Path:
    data = np.array(values, dtype="<u2").tobytes()
    return store(data, len(values), (["FL1"], [16], [limit]), ("I", "1,2"), {"$P1E": decades})


@pytest.mark.parametrize("limit", [1024, 1023])
def test_flag_bits_above_the_range_are_masked_and_told(store: Make, limit: int) -> None:
    # Coulter keeps the channel's number in the high bits: 0x2000 + 5.
    header, events = read_fcs(_integers(store, [0x2005, 1000], limit))
    np.testing.assert_array_equal(events[:, 0], [5, 1000])
    assert header.notes == ("bits above $PnR were set and were masked as the standard says: FL1 (1 values)",)


def test_a_range_that_is_no_power_of_two_masks_at_the_next(store: Make) -> None:
    # 30000 needs 15 bits: 32767 stays, 0x8000 + 12 is 12.
    header, events = read_fcs(_integers(store, [32_767, 0x800C], 30_000))
    np.testing.assert_array_equal(events[:, 0], [32_767, 12])
    assert "FL1 (1 values)" in header.notes[0]


def test_an_unusable_range_is_told(store: Make) -> None:
    header, events = read_fcs(_integers(store, [60_000], "unknown"))
    assert events[0, 0] == 60_000
    assert "no range" in header.notes[0]


@pytest.mark.parametrize(
    ("decades", "expected"),
    # 10^(4 x / 1024) z by hand: x = 512 is two decades.
    [("4,1", [1.0, 100.0]), ("4,0", [1.0, 100.0]), (" 4.0,0.1024", [0.1024, 10.24]), ("0,0", [0.0, 512.0])],
)
def test_log_amplified_channels(store: Make, decades: str, expected: list[float]) -> None:
    header, events = read_fcs(_integers(store, [0, 512], 1024, decades))
    np.testing.assert_array_equal(events[:, 0], [0, 512])
    linear, notes = linearise(header, events)
    np.testing.assert_allclose(linear[:, 0], expected, rtol=1e-12)
    assert bool(notes) == (decades != "0,0")


def test_floats_are_linear_whatever_pne_says(make: Make) -> None:
    header, events = read_fcs(make({"$P1E": "4,1"}))
    assert linearise(header, events)[0] is events
    assert "floats are linear" in header.notes[0]


def test_end_offset_one_late_as_in_bcrxl(make: Make) -> None:
    header, events = read_fcs(make(shift_end=1))
    np.testing.assert_array_equal(events, EVENTS)
    assert header.notes == ("data end offset off by one in HEADER: it names the byte after the last",)


def test_offsets_in_text_where_header_has_none(make: Make) -> None:
    header, events = read_fcs(make(header=(0, 0)))
    np.testing.assert_array_equal(events, EVENTS)
    assert header.notes == ()


@pytest.mark.parametrize("header", [(58, 200), (300, 9_000), (70, 93)])
def test_disagreeing_offsets_are_decided_by_size(make: Make, header: tuple[int, int]) -> None:
    found, events = read_fcs(make(header=header))
    np.testing.assert_array_equal(events, EVENTS)
    assert "disagree" in found.notes[0]


def test_two_places_that_both_fit_are_refused(make: Make) -> None:
    tail = bytes(100)
    path = make(tail=tail)
    first = read_header(path).data_begin
    with pytest.raises(TresetError, match="two places"):
        read_header(make(tail=tail, header=(first + 24, first + 47)))


def test_padding_behind_the_events_is_told_but_more_events_are_refused(make: Make) -> None:
    header, events = read_fcs(make(shift_end=5, tail=bytes(5)))
    np.testing.assert_array_equal(events, EVENTS)
    assert "5 bytes of padding" in header.notes[0]
    with pytest.raises(TresetError, match=r"\$TOT says 3 events"):
        read_fcs(make(shift_end=8, tail=bytes(8)))


def test_tot_may_be_absent_in_2_0(make: Make) -> None:
    header, events = read_fcs(make({"$TOT": "-"}, version="FCS2.0"))
    assert header.n_events == 3
    np.testing.assert_array_equal(events, EVENTS)
    with pytest.raises(TresetError, match="no whole number of events"):
        read_fcs(make({"$TOT": "-"}, version="FCS2.0", data=bytes(27), tail=b"12345678"))


def test_mixed_types_of_3_2(store: Make) -> None:
    record = np.dtype([("a", "<f4"), ("b", "<u2")])
    data = np.array([(1.5, 7), (2.5, 9)], dtype=record).tobytes()
    channels = (["a", "b"], [32, 16], [1, 65536])
    path = store(data, 2, channels, ("F", "1,2,3,4"), {"$P2DATATYPE": "I"}, version="FCS3.2")
    header, events = read_fcs(path)
    assert header.datatype == "mixed"
    np.testing.assert_array_equal(events, [[1.5, 7], [2.5, 9]])


def test_escaped_delimiters(make: Make) -> None:
    header = read_header(make({"$P1S": "FITC//CD4", "$P2F": "561//10"}))
    assert header.markers == ("FITC/CD4", "")
    assert header.text["$P2F"] == "561/10"
    assert header.notes == ()


def test_empty_values(make: Make) -> None:
    # Read by the standard, "$P1S//$P1N" would be one token and $P1N lost.
    path = make({"$P1S": "", "$P2S": "", "$P1N": "x", "$P2N": "y", "$COM": ""})
    header = read_header(path)
    assert (header.channels, header.markers, header.text["$COM"]) == (("x", "y"), ("", ""), "")
    assert "empty values" in header.notes[0]


def test_latin_1(make: Make) -> None:
    header = read_header(make({"$P1S": "IFN-µ"}, encoding="latin-1"))
    assert header.markers[0] == "IFN-µ"
    assert "Latin-1" in header.notes[0]
    assert read_header(make({"$P1S": "IFN-µ"})).markers[0] == "IFN-µ"


def test_names_blank_and_repeated(make: Make) -> None:
    header = read_header(make({"$P1N": "CD3", "$P2N": "CD3"}))
    assert header.channels == ("CD3", "CD3-1")
    assert header.notes == ("duplicate channel names made unique: CD3 to CD3-1",)
    assert read_header(make({"$P2N": " "})).channels == ("FSC-A", "P2")


def test_supplemental_text(make: Make) -> None:
    plain = make()
    begin = len(plain.read_bytes())
    extra = b"/$P2S/CD3e/$P1N/other/"
    # The keywords must not change TEXT's length between the two writings.
    stext = {"$BEGINSTEXT": "0000000", "$ENDSTEXT": "0000000"}
    begin = len(make(stext).read_bytes())
    stext = {"$BEGINSTEXT": f"{begin:07d}", "$ENDSTEXT": f"{begin + len(extra) - 1:07d}"}
    header = read_header(make(stext, tail=extra))
    assert (header.markers, header.channels[0]) == (("", "CD3e"), "FSC-A")
    assert "contradicts TEXT in $P1N" in header.notes[0]
    assert "no keywords" in read_header(make(stext, tail=b"PK" + extra[2:])).notes[0]
    assert "beyond the file" in read_header(make(stext)).notes[0]


@pytest.mark.parametrize(
    ("value", "told"),
    [("2,a,b,1,0.1,0,1", False), ("2,a,b,1,0,0,1", False), ("2,a,b", True), ("2,a,b,1,x,0,1", True)],
)
def test_a_spillover_matrix_that_cannot_be_read_is_told(make: Make, value: str, told: bool) -> None:
    notes = read_header(make({"$SPILLOVER": value})).notes
    assert any("$SPILLOVER" in note for note in notes) == told


def test_several_data_sets(make: Make, tmp_path: Path) -> None:
    length = len(make({"$NEXTDATA": "00000"}).read_bytes())
    first = make({"$NEXTDATA": f"{length:05d}"}).read_bytes()
    second = make(data=(EVENTS * 2).astype("<f4").tobytes()).read_bytes()
    path = tmp_path / "two.fcs"
    path.write_bytes(first + second)
    with pytest.raises(TresetError, match="holds 2 data sets"):
        read_header(path)
    np.testing.assert_array_equal(read_fcs(path, dataset=1)[1], EVENTS)
    np.testing.assert_array_equal(read_fcs(path, dataset=2)[1], EVENTS * 2)
    with pytest.raises(TresetError, match="has no data set 3"):
        read_fcs(path, dataset=3)
    path.write_bytes(first)
    assert "no further data set" in read_header(path).notes[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"$TOT": "0"}, "holds no events"),
        ({"$TOT": "many"}, "expected the number of events"),
        ({"$TOT": "9" * 4500}, "expected the number of events"),
        ({"$PAR": "0"}, r"\$PAR"),
        ({"$PAR": "999999999999"}, r"lacks the required keyword \$P3B"),
        ({"$P2B": "-"}, r"lacks the required keyword \$P2B"),
        ({"$P2B": "10"}, "expected 32 bits"),
        ({"$DATATYPE": "A"}, "not supported"),
        ({"$DATATYPE": "-"}, r"\$DATATYPE"),
        ({"$MODE": "C"}, "histograms"),
        ({"$BYTEORD": "3,4,1,2"}, r"\$BYTEORD"),
        ({"$P1E": "four"}, r"\$P1E"),
        ({"$P1E": "-4,1"}, r"\$P1E"),
        ({"$TOT": "4"}, "is truncated: 4 events"),
        ({"$tot": "4"}, r"gives \$TOT twice"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(make: Make, changes: dict[str, str], message: str) -> None:
    path = make(changes)
    with pytest.raises(TresetError, match=message) as caught:
        read_header(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_damaged_files(tmp_path: Path, make: Make) -> None:
    path = tmp_path / "bad.fcs"
    cases = {
        b"": "no FCS file",
        b"oi21j08cn\n": "no FCS file",
        b"FCS1.0    ": "no FCS file",
        b"FCS3.0    12": "truncated inside its HEADER",
        b"FCS3.0    " + b" " * 48: "no usable place of the TEXT",
        b"FCS3.0    " + b"      58     900       0       0       0       0": "TEXT should end",
        b"FCS3.0    " + b"      58      59       0       0       0       0" + b"//": "TEXT is empty",
        b"FCS3.0    " + b"      58      65       0       0       0       0" + b"/abcdefg": r"lacks .* \$PAR",
    }
    for content, message in cases.items():
        path.write_bytes(content)
        with pytest.raises(TresetError, match=message):
            read_header(path)
    with pytest.raises(TresetError, match="no such file"):
        read_header(tmp_path / "absent.fcs")
    with pytest.raises(TresetError, match="is a folder"):
        read_header(tmp_path)
    with pytest.raises(TresetError, match="neither HEADER nor TEXT"):
        read_header(make({"$BEGINDATA": "0", "$ENDDATA": "0"}, header=(0, 0)))


def test_every_truncation_is_refused(make: Make, tmp_path: Path) -> None:
    whole = make().read_bytes()
    path = tmp_path / "cut.fcs"
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        with pytest.raises(TresetError):
            read_fcs(path)


def test_random_damage_never_escapes_as_another_error(make: Make, tmp_path: Path) -> None:
    whole = make({"$P1S": "a//b"}).read_bytes()
    path, dice = tmp_path / "damaged.fcs", random.Random(20240607)
    for _ in range(400):
        content = bytearray(whole)
        for _ in range(dice.choice((1, 2, 8))):
            content[dice.randrange(len(content) - 24)] = dice.randrange(256)
        path.write_bytes(bytes(content))
        try:
            header, events = read_fcs(path)
        except TresetError:
            continue
        assert events.shape == (header.n_events, len(header.channels))


def test_text_that_ends_in_the_first_byte_of_data(tmp_path: Path) -> None:
    path = tmp_path / "a.fcs"
    write_fcs(path, EVENTS, ["a", "b"])
    content = bytearray(path.read_bytes())
    begin = read_header(path).data_begin
    content[18:26] = f"{begin:>8}".encode()
    path.write_bytes(bytes(content))
    header, events = read_fcs(path)
    np.testing.assert_array_equal(events, EVENTS)
    assert header.notes == ("text end offset off by one: it names the first byte of DATA",)


def test_reading_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("treset.io.fcs._CHUNK_BYTES", 32)
    events = np.arange(70, dtype=np.float32).reshape(35, 2)
    write_fcs(tmp_path / "a.fcs", events, ["a", "b"])
    np.testing.assert_array_equal(read_fcs(tmp_path / "a.fcs")[1], events)
