"""The waist gathered sample by sample: what it would be joined in one go; faults name file, row and column."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from treset.errors import TresetError
from treset.io import waist
from treset.io.table import read_profiles, write_tsv
from treset.jobs.profiles import SHEET_COLUMNS, absolute_counts, gather
from treset.profile import COLUMNS, validate

POPULATIONS = {"cells": "", "T": "cells", 'NK "bright"': "cells", "Zürich\tB": "T"}
NAMES = st.text("abcP01 é'\t\"", min_size=1, max_size=5).filter(lambda name: name.strip())


def sample_rows(sample: str, counts: list[int], markers: list[str]) -> pd.DataFrame:
    """Rows of one sample as ``map`` writes them."""
    rows = []
    for origin in ("gate", "cluster"):
        for (population, parent), count in zip(POPULATIONS.items(), counts, strict=True):
            about = (sample, population, parent, origin)
            rows.append((*about, "count", "", float(count), count))
            rows.append((*about, "percent_of_total", "", 100 * min(count, counts[0]) / max(counts[0], 1), counts[0]))
            rows += [(*about, "median", marker, count / 3 if count else np.nan, count) for marker in markers]
    names = ["sample", "population", "parent", "origin", "measure", "marker", "value", "n_cells"]
    return pd.DataFrame(rows, columns=names)


def in_one_go(parts: list[pd.DataFrame], sheet: pd.DataFrame) -> pd.DataFrame:
    """All rows under each other, joined with the sheet: the whole table in memory."""
    table = pd.concat(parts, ignore_index=True)
    table = pd.concat([table, absolute_counts(table, sheet)], ignore_index=True)
    table = table.merge(sheet[["sample", *SHEET_COLUMNS]], on="sample", how="left", validate="many_to_one")
    return validate(table[list(COLUMNS)], "profiles")


def files(folder: Path, parts: dict[str, pd.DataFrame]) -> tuple[dict[str, Path], dict[str, Path]]:
    rows, quality = {}, {}
    for number, (sample, part) in enumerate(parts.items()):
        rows[sample], quality[sample] = folder / f"{number}.parquet", folder / f"{number}.tsv"
        part.to_parquet(rows[sample], index=False)
        write_tsv(pd.DataFrame({"sample": [sample], "filter": ["none"], "kept": [5]}), quality[sample])
    return rows, quality


def sheet_of(samples: list[str], **more: list) -> pd.DataFrame:
    n = len(samples)
    sheet = pd.DataFrame(
        {
            "sample": samples, "patient": [f"0{i // 2}" for i in range(n)],
            "visit": ["D0", "D8"][:n] + ["D9"] * (n - 2),
            "day": [0.0, 8.0][:n] + [np.nan] * (n - 2), "arm": [None] * n, "disease": ["lupus"] * n,
            "batch": ["1"] * n, "stimulus": [None] * n, "dose": [None] * n, "cells_per_ul": [np.nan] * n,
            "counted_population": [None] * n,
        }
    )  # fmt: skip
    return sheet.assign(**more)


def run(folder: Path, parts: dict[str, pd.DataFrame], sheet: pd.DataFrame, name: str = "out") -> Path:
    out = folder / name
    gather(*files(folder, parts), sheet, out / "profiles.parquet", out / "profiles.tsv", out / "quality.tsv")
    return out


@settings(max_examples=15, deadline=None)
@given(
    st.lists(NAMES, min_size=1, max_size=4, unique=True),
    st.lists(st.integers(0, 10**6), min_size=16, max_size=16),
    st.lists(st.sampled_from(["T", "cells", "none", None]), min_size=4, max_size=4),
    st.integers(1, 60),
    st.randoms(),
)
def test_streamed_is_what_joining_in_one_go_gives(names, numbers, counted, group, shuffled) -> None:
    parts = {s: sample_rows(s, numbers[4 * i : 4 * i + 4], ["CD3", "CD4"][: i + 1]) for i, s in enumerate(names)}
    told = counted[: len(names)]
    sheet = sheet_of(
        names,
        counted_population=told,
        cells_per_ul=[np.nan if of is None else 3.7 * (i + 1) for i, of in enumerate(told)],
    )
    order = list(range(len(names)))
    shuffled.shuffle(order)
    sheet = sheet.iloc[order].reset_index(drop=True)
    expected = in_one_go(list(parts.values()), sheet)
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(waist, "GROUP_ROWS", group)
        out = run(Path(name), parts, sheet)
        pd.testing.assert_frame_equal(pd.read_parquet(out / "profiles.parquet"), expected)
        pd.testing.assert_frame_equal(read_profiles(out / "profiles.parquet"), expected)
        assert (out / "profiles.tsv").read_bytes() == write_tsv(expected, out / "whole.tsv").read_bytes()
        held = pyarrow.parquet.read_metadata(out / "profiles.parquet")
        # what waits to be written is bounded, and the groups do not depend on how the rows came
        sizes = [held.row_group(number).num_rows for number in range(held.num_row_groups)]
        assert sizes[:-1] == [group] * (len(sizes) - 1) and 0 < sizes[-1] <= group
        again = run(Path(name), parts, sheet, "again")
        assert all((again / f).read_bytes() == (out / f).read_bytes() for f in ("profiles.parquet", "profiles.tsv"))


def test_no_sample_with_rows_gives_an_empty_waist(tmp_path: Path) -> None:
    out = run(tmp_path, {"a": sample_rows("a", [5, 4, 3, 2], []).iloc[:0]}, sheet_of(["a"]))
    assert read_profiles(out / "profiles.parquet").empty and len((out / "profiles.tsv").read_text().splitlines()) == 1


GOOD = sample_rows("b", [50, 40, 30, 20], ["CD3"])


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (GOOD.assign(value=[-1.0, *GOOD["value"][1:]]), r"1\.parquet, row 1, column value: -1\.0 is negative"),
        (pd.concat([GOOD, GOOD.iloc[[3]]]), r"1\.parquet, row 25: says again what row 4 says: sample 'b'"),
        (GOOD.assign(measure=["counts", *GOOD["measure"][1:]]), r"1\.parquet, row 1, column measure: 'counts' is none"),
        (GOOD.assign(sample=["b"] * 23 + ["a"]), r"1\.parquet, row 24, column sample: 'a' in the rows of 'b'"),
        (GOOD.assign(arm="IL-2"), r"1\.parquet: has the column arm, which the sheet gives"),
        (GOOD.drop(columns="parent"), r"1\.parquet: column parent is missing"),
        (GOOD.assign(colour="red"), r"1\.parquet: unknown column colour"),
    ],
)
def test_a_broken_sample_is_named_and_earlier_results_stay_whole(tmp_path: Path, broken, message) -> None:
    parts = {s: sample_rows(s, [50, 40, 30, 20], ["CD3"]) for s in ("a", "b", "c")}
    out = run(tmp_path, parts, sheet_of(["a", "b", "c"]))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(TresetError, match=message) as caught:
        run(tmp_path, parts | {"b": broken}, sheet_of(["a", "b", "c"]))
    assert "2.parquet" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_an_unreadable_sample_is_named(tmp_path: Path) -> None:
    rows, quality = files(tmp_path, {"b": GOOD})
    rows["b"].write_bytes(b"PAR1 broken")
    out = tmp_path / "out"
    with pytest.raises(TresetError, match=r"0\.parquet: is not a readable parquet file"):
        gather(rows, quality, sheet_of(["b"]), out / "p.parquet", out / "p.tsv", out / "q.tsv")
    assert not list(out.iterdir())


def test_a_sample_has_one_row_in_the_sheet(tmp_path: Path) -> None:
    with pytest.raises(TresetError, match="the sample 'b' is not in the sample sheet"):
        run(tmp_path, {"b": GOOD}, sheet_of(["a"]))
    with pytest.raises(TresetError, match="'b' is there twice"):
        run(tmp_path, {"b": GOOD}, sheet_of(["b", "b"]))


def test_absolute_counts_are_held_against_those_a_file_has(tmp_path: Path) -> None:
    has = pd.concat([GOOD, GOOD[GOOD["measure"] == "count"].assign(measure="per_ul")])
    with pytest.raises(TresetError, match=r"0\.parquet, with absolute counts, row 33: says again what row 25 says"):
        run(tmp_path, {"b": has}, sheet_of(["b"], cells_per_ul=[5.0], counted_population=["T"]))
