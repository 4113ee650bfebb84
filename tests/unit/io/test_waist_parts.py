"""Tables read in parts, text as categories: the same table, the same faults and the same places as in one piece."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treset import texts
from treset.errors import Faults, TresetError
from treset.io.table import read_profiles, write_tsv
from treset.io.waist import PART_LINES, parquet_parts, text_parts
from treset.profile import COLUMNS, OPTIONAL, check, validate

WORDS = st.text(max_size=3)
COLUMN = st.lists(st.one_of(st.none(), WORDS), min_size=1, max_size=30)


def waist(n: int) -> pd.DataFrame:
    """``n`` rows, ten populations a sample."""
    number = np.arange(n)
    table = pd.DataFrame(
        {
            "sample": [f"s{i // 10:05d}" for i in number], "patient": [f"00{i // 20}" for i in number],
            "visit": [f"D{i // 10 % 2}" for i in number], "day": (number // 10 % 2).astype(float),
            "population": [f"p{i % 10}" for i in number], "parent": "cells", "origin": "gate", "measure": "count",
            "marker": "", "value": (number % 97).astype(float), "n_cells": number % 97,
        }
    )  # fmt: skip
    return table.assign(**dict.fromkeys(("arm", "disease", "batch", "stimulus"), ""), dose=np.nan)[list(COLUMNS)]


@given(COLUMN, st.integers(1, 7))
def test_a_stack_of_categories_is_the_text_itself(values: list[str | None], cut: int) -> None:
    table = pd.DataFrame({"t": pd.Series(values, dtype="object"), "x": np.arange(len(values), dtype=float)})
    stack = texts.Stack()
    for at in range(0, len(table), cut):
        part = table.iloc[at : at + cut].reset_index(drop=True)
        as_text = texts.filled(part["t"])
        as_categories = texts.filled(part["t"].astype("category"))
        assert list(as_text) == list(as_categories)
        stack.add(part.assign(t=as_categories if at % 2 else as_text))
    found = stack.table()
    assert list(found["t"].cat.categories) == sorted({v or "" for v in values})
    assert texts.spelled(found)["t"].tolist() == [v or "" for v in values]
    assert texts.spelled(found)["t"].dtype == "str" and found["x"].tolist() == table["x"].tolist()


@given(COLUMN)
def test_questions_to_categories_are_those_to_text(values: list[str | None]) -> None:
    text = texts.filled(pd.Series(values, dtype="object"))
    held = texts.filled(text.astype("category"))
    for column in (text, held):
        assert texts.where(column, lambda v: "a" in v or not v).tolist() == ["a" in v or not v for v in text]
        # two texts may become one
        assert texts.recoded(column, lambda v: v[:1].upper()).tolist() == [v[:1].upper() for v in text]
    codes = texts.codes(held)
    assert [[codes[i] < codes[j] for j in range(len(codes))] for i in range(len(codes))] == [
        [a < b for b in text] for a in text
    ]


def test_more_texts_than_a_short_number_holds() -> None:
    stack = texts.Stack(10)
    names = [f"s{i}" for i in range(40_000)]
    stack.add(pd.DataFrame({"t": pd.Series(names[:3], dtype="str")}))
    stack.add(pd.DataFrame({"t": pd.Series(names, dtype="str")}))
    assert texts.spelled(stack.table())["t"].tolist() == names[:3] + names


def test_compact_is_the_same_table_in_less(tmp_path: Path) -> None:
    whole = validate(waist(5000), "here")
    whole.to_parquet(tmp_path / "p.parquet", row_group_size=700)
    found = read_profiles(tmp_path / "p.parquet", compact=True)
    pd.testing.assert_frame_equal(texts.spelled(found), whole)
    pd.testing.assert_frame_equal(read_profiles(tmp_path / "p.parquet"), whole)
    assert found.memory_usage(deep=True).sum() < 55 * len(found) < whole.memory_usage(deep=True).sum() / 2
    again = validate(found, "again")
    assert all(np.shares_memory(again[name].to_numpy(), found[name].to_numpy()) for name in ("value", "n_cells"))
    pd.testing.assert_frame_equal(again, found)


@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_parts_are_the_rows_in_order(tmp_path: Path, rows: int) -> None:
    table = waist(23)
    table.to_parquet(tmp_path / "p.parquet", row_group_size=5)
    write_tsv(table, tmp_path / "p.tsv")
    for parts in (
        list(parquet_parts(tmp_path / "p.parquet", rows=rows)),
        list(text_parts(tmp_path / "p.tsv", "\t", rows)),
    ):
        assert max(map(len, parts)) <= rows
        joined = pd.concat([texts.spelled(part) for part in parts], ignore_index=True)
        pd.testing.assert_frame_equal(validate(joined, "parts"), validate(table, "whole"))
    some = next(parquet_parts(tmp_path / "p.parquet", ["visit", "sample", "none"]))
    assert set(some.columns) == {"sample", "visit"}


def test_a_table_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    waist(0).to_parquet(tmp_path / "p.parquet")
    write_tsv(waist(0), tmp_path / "p.tsv")
    for name in ("p.parquet", "p.tsv"):
        assert tuple(read_profiles(tmp_path / name, compact=True).columns) == COLUMNS


def test_blank_lines_count_only_where_others_follow(tmp_path: Path) -> None:
    path = tmp_path / "p.tsv"
    write_tsv(waist(3), path)
    text = path.read_text()
    path.write_text(text + "\t\n\n\n")
    assert len(read_profiles(path)) == 3
    path.write_text(text + "\n" + text.splitlines()[1] + "\n")
    with pytest.raises(TresetError, match="line 5: has 0 columns, the header has 16"):
        read_profiles(path)
    for lines in (1, 2, 4):
        with pytest.raises(TresetError, match="line 5: has 0 columns, the header has 16"):
            list(text_parts(path, "\t", lines))


@pytest.mark.parametrize(("suffix", "word", "first"), [(".parquet", "row", 1), (".tsv", "line", 2)])
def test_faults_of_later_parts_keep_their_place(tmp_path: Path, suffix: str, word: str, first: int) -> None:
    n = PART_LINES + 40
    at = n - 15

    def refused(table: pd.DataFrame) -> str:
        path = tmp_path / f"p{suffix}"
        table.to_parquet(path, row_group_size=8000) if suffix == ".parquet" else write_tsv(table, path)
        with pytest.raises(Faults) as caught:
            read_profiles(path, compact=True)
        return str(caught.value)

    table = waist(n)
    table.loc[at, "value"] = np.inf
    assert f"{word} {at + first}, column value: " in refused(table)
    table.loc[at, "value"] = -1
    assert f"{word} {at + first}, column value: -1.0 is negative" in refused(table)
    again = pd.concat([waist(n), waist(n).iloc[[4]]], ignore_index=True)
    said = refused(again)
    assert f"{word} {n + first}: says again what {word} {4 + first} says: sample 's00000', population 'p4'" in said
    moved = waist(n)
    moved.loc[n - 1, ["sample", "population"]] = ["s00000", "other"]
    assert f"column patient: sample 's00000' has '00{(n - 1) // 20}' here and '000' before" in refused(moved)


def test_numbers_of_a_text_file_are_exact(tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).normal(size=400) * 10.0 ** np.arange(-200, 200)
    table = waist(400).assign(measure="median", marker="m", value=numbers)
    write_tsv(table, tmp_path / "p.tsv")
    assert read_profiles(tmp_path / "p.tsv")["value"].tolist() == numbers.tolist()


def test_numbers_written_as_text_are_read_from_parquet_too(tmp_path: Path) -> None:
    table = waist(30).drop(columns=list(OPTIONAL))
    table.astype({"value": "str", "n_cells": "str", "day": "str"}).to_parquet(tmp_path / "p.parquet")
    pd.testing.assert_frame_equal(read_profiles(tmp_path / "p.parquet"), validate(table, "here"))


def test_ids_that_are_numbers_become_text(tmp_path: Path) -> None:
    table = waist(30).assign(patient=7, disease=[None] * 30)
    table["sample"] = table["sample"].astype("category")
    table.to_parquet(tmp_path / "p.parquet")
    found = read_profiles(tmp_path / "p.parquet", compact=True)
    pd.testing.assert_frame_equal(texts.spelled(found), validate(table.astype({"sample": "str"}), "here"))
    assert set(found["patient"]) == {"7"} and set(found["disease"]) == {""}
    pd.testing.assert_frame_equal(check(found, "again"), found)
