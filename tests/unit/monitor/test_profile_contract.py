"""The waist: what is accepted, what is refused and where it says so; text tables in and out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from monitor_tables import counted, table, visits

from treset import profile
from treset.errors import Faults, TresetError
from treset.io.table import read_profiles, write_tsv


@pytest.fixture
def waist() -> pd.DataFrame:
    rows = []
    for _, sample in visits(["007", "P2"], {"D0": 0, "D8": 8}).iterrows():
        rows += counted(sample, {"T": 5000, "CD4 T": 3001, "Treg": 151})
    return table(rows)


def test_a_good_table_comes_back_as_it_was(waist):
    found = profile.validate(waist[list(profile.COLUMNS[::-1])], "here")
    assert tuple(found.columns) == profile.COLUMNS
    assert found["n_cells"].dtype == np.int64
    pd.testing.assert_frame_equal(profile.validate(found, "again"), found)
    assert profile.validate(waist.iloc[:0], "empty").empty


@pytest.mark.parametrize("suffix", [".parquet", ".tsv", ".csv"])
def test_files_give_the_same_table(waist, tmp_path, suffix):
    path = tmp_path / f"é profiles{suffix}"
    good = profile.validate(waist, "here")
    if suffix == ".parquet":
        good.to_parquet(path)
    elif suffix == ".tsv":
        write_tsv(good, path)
    else:
        good.to_csv(path, index=False)
    found = read_profiles(path)
    pd.testing.assert_frame_equal(found, good)  # numbers to the last bit, ids as text
    assert found["patient"].iloc[0] == "007"


def test_optional_columns_are_filled_blank(waist, tmp_path):
    path = tmp_path / "p.tsv"
    write_tsv(waist.drop(columns=list(profile.OPTIONAL)), path)
    found = read_profiles(path)
    assert (found["arm"] == "").all() and found["dose"].isna().all()


def test_tsv_is_the_same_bytes_and_exact(tmp_path):
    numbers = pd.DataFrame({"x": [1 / 3, 0.1 + 0.2, 1e-300, np.nan], "name": ["a", "tab\there", "", "é"]})
    first = write_tsv(numbers, tmp_path / "a.tsv").read_bytes()
    assert first == write_tsv(numbers, tmp_path / "b" / "c.tsv").read_bytes()
    again = pd.read_csv(tmp_path / "a.tsv", sep="\t", keep_default_na=False, float_precision="round_trip")
    assert [float(v) for v in again["x"][:3]] == numbers["x"][:3].tolist()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tsv", "b"]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("value", "abc", r"line 3, column value: 'abc' is not a number"),
        ("value", "inf", r"line 3, column value: 'inf' is not finite"),
        ("value", "101", r"line 3, column value: 101.0 is not a percentage between 0 and 100"),
        ("n_cells", "", r"line 3, column n_cells: is blank"),
        ("n_cells", "2.5", r"line 3, column n_cells: 2.5 is not a whole number"),
        ("n_cells", "-1", r"line 3, column n_cells: -1 is not a whole number"),
        ("sample", "", r"line 3, column sample: is blank"),
        ("origin", "gates", r"line 3, column origin: 'gates' is none of gate, cluster, adjusted, external"),
        ("measure", "percentage", r"line 3, column measure: 'percentage' is none of count"),
        ("measure", "median", r"line 3, column marker: is blank, but the measure needs one"),
        ("patient", "P9", r"line 3, column patient: sample '007_D0' has 'P9' here and '007' before"),
        ("day", "8th", r"line 3, column day: '8th' is not a number"),
        ("measure", "count", r"line 3: says again what line 2 says: sample '007_D0'"),
    ],
)
def test_a_fault_names_line_and_column(waist, tmp_path, column, value, message):
    broken = waist.astype("str").replace("nan", "")
    broken.loc[1, column] = value
    if (column, value) == ("measure", "count"):
        broken.loc[1, "value"] = "7"
    write_tsv(broken, tmp_path / "p.tsv")
    with pytest.raises(Faults, match=message):
        read_profiles(tmp_path / "p.tsv")


def test_all_faults_at_once_and_columns_first(waist):
    broken = waist.assign(value=-1.0)
    with pytest.raises(Faults) as caught:
        profile.validate(broken, "here")
    assert len(caught.value.messages) == 21 and "16 more" in caught.value.messages[-1]
    with pytest.raises(Faults, match="column parent is missing") as caught:
        profile.validate(waist.drop(columns=["parent", "visit"]).assign(colour=1), "here")
    assert len(caught.value.messages) == 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.xlsx", b"x", "files of type .xlsx are not read"),
        ("p.parquet", b"PAR1 broken", "is not a readable parquet file"),
        ("p.tsv", b"", "is empty"),
        ("p.tsv", b"sample\xff\n", "byte 0xff is not UTF-8"),
        ("p.tsv", b"sample,patient\n", "not separated by tabs"),
        ("p.csv", b"sample,patient\na\n", "line 2: has 1 columns, the header has 2"),
    ],
)
def test_unreadable_files_say_why(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TresetError, match=message):
        read_profiles(tmp_path / name)
    with pytest.raises(TresetError, match="there is no such file"):
        read_profiles(tmp_path / "nothing.tsv")
