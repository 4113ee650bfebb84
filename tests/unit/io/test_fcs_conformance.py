"""FCS files of many instruments: read as other readers read them, or refused in one sentence."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from treset.errors import TresetError
from treset.io.fcs import linearise, read_fcs

pytestmark = pytest.mark.realdata

#: File -> words of the refusal; every other file must be read.
_REFUSED = {
    "corrupted.fcs": "no FCS file",
    "sample_header.fcs": "is truncated",
    "coulter.lmd": "holds 2 data sets",
    "Guava Muse.fcs": "data sets",
}
_SUFFIXES = {".fcs", ".lmd", ".001", ".002", ".003", ".004", ".005", ".b08", ".e07", ".f06"}


@pytest.fixture(scope="module")
def files(data_folder: Path) -> list[Path]:
    found = sorted((data_folder / "fcs_conformance").rglob("*"))
    return [path for path in found if path.is_file() and path.suffix.lower() in _SUFFIXES]


def test_every_file_is_read_or_refused(files: list[Path]) -> None:
    assert len(files) >= 30
    for path in files:
        if path.name in _REFUSED:
            with pytest.raises(TresetError, match=_REFUSED[path.name]) as caught:
                read_fcs(path)
            assert "\n" not in str(caught.value)
        else:
            header, events = read_fcs(path)
            assert events.shape == (header.n_events, len(header.channels)), path.name
            assert np.isfinite(events).all(), path.name


def test_events_agree_with_flowio(files: list[Path]) -> None:
    flowio = pytest.importorskip("flowio")
    compared = 0
    for path in files:
        if path.name in _REFUSED:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                with path.open("rb") as stream:
                    other = flowio.FlowData(stream, ignore_offset_error=True, ignore_offset_discrepancy=True)
                expected = other.as_array(preprocess=False)
        except (ValueError, flowio.exceptions.FCSParsingError):
            # Files that flowio cannot read.
            continue
        np.testing.assert_array_equal(read_fcs(path)[1], expected, err_msg=path.name)
        compared += 1
    assert compared >= 25


@pytest.mark.parametrize(
    ("file", "truth"),
    [
        ("flowio/data1.fcs", "flowio/data1_original_events.npy"),
        ("flowio/B01 KC-A-W---91-US.fcs", "flowio/B01 KC-A-W---91-US_preprocessed_events.npy"),
    ],
)
def test_events_agree_with_the_stored_truth(data_folder: Path, file: str, truth: str) -> None:
    folder = data_folder / "fcs_conformance"
    header, events = read_fcs(folder / file)
    expected = np.load(folder / truth)
    # The second truth has Time in seconds ($TIMESTEP), which is not applied here.
    columns = [c for c, name in enumerate(header.channels) if name.lower() != "time" or "original" in truth]
    np.testing.assert_array_equal(events[:, columns], expected.reshape(events.shape)[:, columns])


def test_linear_values_agree_with_the_stored_truth(data_folder: Path) -> None:
    folder = data_folder / "fcs_conformance" / "flowio"
    header, events = read_fcs(folder / "data1.fcs")
    linear = linearise(header, events)[0] / np.array(header.gains)
    expected = np.load(folder / "data1_preprocessed.npy").reshape(linear.shape)
    np.testing.assert_allclose(linear, expected, rtol=1e-6)


def test_bcrxl_is_read_whole(data_folder: Path) -> None:
    counts = [read_fcs(path)[0].n_events for path in sorted((data_folder / "bcrxl").glob("*.fcs"))]
    assert (len(counts), sum(counts)) == (16, 172_791)
