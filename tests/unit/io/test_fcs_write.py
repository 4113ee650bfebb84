"""The FCS writer: what it writes is valid, the same each time, and comes back whole."""

from __future__ import annotations

from pathlib import Path

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from treset.errors import TresetError
from treset.io import fcs_write
from treset.io.fcs import read_fcs, read_header, write_fcs

_EVENTS = np.array([[1.5, -2.0], [3.25, 1e6]], dtype=np.float32)
_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=8).filter(str.strip)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6),
        elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
    ),
    data=st.data(),
)
def test_round_trip(tmp_path: Path, events: np.ndarray, data: st.DataObject) -> None:
    count = events.shape[1]
    names = st.lists(_TEXT.filter(lambda t: "," not in t).map(str.strip), min_size=count, max_size=count, unique=True)
    channels = data.draw(names)
    markers = data.draw(
        st.lists(st.just("") | _TEXT.map(lambda t: f"a\x0c{t}".strip()), min_size=count, max_size=count)
    )
    write_fcs(tmp_path / "a.fcs", events, channels, markers, {"$CYT": "Helios", "NOTE": "x\x0c\x0cy"})
    header, back = read_fcs(tmp_path / "a.fcs")
    np.testing.assert_array_equal(back, events)
    assert (list(header.channels), list(header.markers), header.notes) == (channels, markers, ())
    assert (header.text["$CYT"], header.text["NOTE"], header.version) == ("Helios", "x\x0c\x0cy", "FCS3.1")


def test_another_reader_agrees(tmp_path: Path) -> None:
    flowio = pytest.importorskip("flowio")
    write_fcs(tmp_path / "a.fcs", _EVENTS, ["Time", "Ir191Di"], ["", "191Ir_DNA1"], {"EMPTY": ""})
    other = flowio.FlowData(str(tmp_path / "a.fcs"))
    np.testing.assert_array_equal(other.as_array(preprocess=False), _EVENTS)
    assert (other.pnn_labels, other.pns_labels) == (["Time", "Ir191Di"], ["", "191Ir_DNA1"])
    assert other.text["empty"] == " "


def test_same_arguments_same_bytes(tmp_path: Path) -> None:
    for name in ("a.fcs", "b.fcs"):
        write_fcs(tmp_path / name, _EVENTS, ["a", "b"])
    assert (tmp_path / "a.fcs").read_bytes() == (tmp_path / "b.fcs").read_bytes()


def test_offsets_too_long_for_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcs_write, "_MAX_HEADER_OFFSET", 99)
    write_fcs(tmp_path / "a.fcs", _EVENTS, ["a", "b"])
    assert (tmp_path / "a.fcs").read_bytes()[26:42] == b"       0       0"
    np.testing.assert_array_equal(read_fcs(tmp_path / "a.fcs")[1], _EVENTS)


def test_range_is_above_the_largest_value(tmp_path: Path) -> None:
    events = np.array([[np.nan, -5.0, 12.5], [np.nan, np.inf, 3.0]])
    write_fcs(tmp_path / "a.fcs", events, ["a", "b", "c"])
    assert read_header(tmp_path / "a.fcs").ranges == (1.0, 1.0, 13.0)


@pytest.mark.parametrize(
    ("events", "channels", "extra", "message"),
    [
        (_EVENTS[0], ["a", "b"], {}, "two-dimensional"),
        (_EVENTS.astype(complex), ["a", "b"], {}, "real numbers"),
        (_EVENTS, ["a"], {}, "must agree"),
        (_EVENTS, ["a", "a"], {}, "must be unique; repeated: a"),
        (_EVENTS, ["a", "b,c"], {}, "comma"),
        (_EVENTS, ["a", " "], {}, "blank"),
        (_EVENTS, ["a", "b"], {"markers": ["x"]}, "must agree"),
        (_EVENTS, ["a", "b"], {"keywords": {"$tot": "3"}}, "set by the writer"),
        (_EVENTS, ["a", "b"], {"keywords": {"x": "\x0cy"}}, "form feed"),
        (_EVENTS.astype(np.float64) * 1e40, ["a", "b"], {}, "beyond the range of float32"),
    ],
)
def test_what_the_standard_forbids_is_refused(
    tmp_path: Path, events: np.ndarray, channels: list[str], extra: dict, message: str
) -> None:
    with pytest.raises(TresetError, match=message):
        write_fcs(tmp_path / "a.fcs", events, channels, **extra)
    assert not list(tmp_path.iterdir())
