"""YAML with places: what is read, what is refused, where it is said to be."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from treset.errors import Faults
from treset.study.document import Document, dotted, load_yaml, overlay, plain, read_document
from treset.study.faults import Collector, closest, place


def read(tmp_path: Path, text: str) -> tuple[Document | None, list[str]]:
    file = tmp_path / "x.yaml"
    file.write_text(text, encoding="utf-8")
    faults = Collector()
    document = read_document(file, faults)
    return document, [message.split("x.yaml, ")[-1] for message in faults.messages()]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8),
        ("-3", -3),
        ("0.05", 0.05),
        ("1e-3", 0.001),  # YAML 1.1 reads this as text
        ("5e4", 50_000),
        ("1_000", 1_000),
        ("true", True),
        ("D0", "D0"),
        ("+", "+"),
        ("2024-01-31", "2024-01-31"),
        ("E2F1", "E2F1"),
        ("~", None),
    ],
)
def test_plain_scalars(text: str, value: object) -> None:
    found, trouble = plain(text)
    assert trouble is None
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["no", "Yes", "ON", "010", "0x1F", "12:30", "1:30.5", ".nan", ".inf", "0b11"])
def test_ambiguous_scalars_are_refused(text: str) -> None:
    value, trouble = plain(text)
    assert value is None
    assert trouble is not None
    assert text in trouble


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False, width=64))
def test_a_number_that_yaml_writes_is_read_as_that_number(value: float) -> None:
    assert plain(yaml.safe_dump(value).split("\n")[0]) == (value, None)


@settings(deadline=None)
@given(st.text(min_size=1, max_size=20))
def test_text_that_yaml_writes_is_read_as_that_text(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    # to YAML 1.1 `0E0` is text, to everybody else a number, and so it is here
    assume(not isinstance(plain(value)[0], (int, float)))
    file = tmp_path_factory.mktemp("yaml") / "x.yaml"
    file.write_text(yaml.safe_dump({"key": value}), encoding="utf-8", newline="")
    assert load_yaml(file) == {"key": value}


def test_places_are_those_of_keys_and_items(tmp_path: Path) -> None:
    document, faults = read(tmp_path, "a:\n  b: [x, {c: 1}]\n")
    assert not faults
    assert document is not None
    assert document.data == {"a": {"b": ["x", {"c": 1}]}}
    assert document.places["a", "b"] == (2, 3)
    assert document.places["a", "b", 1] == (2, 10)
    assert document.places["a", "b", 1, "c"] == (2, 11)
    assert document.where(("a", "b", 1, "missing")).endswith("x.yaml, line 2, column 10")
    assert dotted(("a", "b", 1, "c")) == "a.b[2].c"


def test_removing_an_item_moves_the_places_of_the_later_ones(tmp_path: Path) -> None:
    document, _ = read(tmp_path, "a:\n  - {n: 1}\n  - {n: 2}\n  - {n: 3}\n")
    assert document is not None
    document.remove(("a", 1))
    assert document.data == {"a": [{"n": 1}, {"n": 3}]}
    assert document.places["a", 1, "n"] == (4, 6)
    assert ("a", 2) not in document.places
    assert document.is_broken("a")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\na: 2\n", "line 2, column 1: the key 'a' was already given in line 1"),
        ("a: -\n", 'line 1, column 4: a lone - starts a list in YAML: write "-" in quotes'),
        ("a:\n\tb: 1\n", "line 2, column 1: a tab is used for indentation"),
        ("a: b: c\n", "line 1, column 5: a colon is in an unexpected place"),
        ("a: [1\n", "is not valid YAML"),
        ("a: 'x\n", "is not valid YAML"),
        ("- a\n", "line 1: does not start with a key"),
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("a: &x 1\nb: *x\n", "line 2, column 4: the YAML alias *x is not supported"),
        ("a:\n  <<: {b: 1}\n", "line 2, column 3: the merge key << is not supported"),
        ("no: 1\n", 'the key no is not text in YAML: write "no" in quotes'),
        ("a: !!python/name:os.system\n", "the YAML tag"),
        ("a: !!set {b, c}\n", "the YAML tag"),
        ("[a]: 1\n", "a key is a list or a mapping"),
        ("a: \x07\n", "line 1: character U+0007 is not allowed"),
        ("a: 1\n---\nb: 2\n", "is not valid YAML"),
        ("a: " + "[" * 1500 + "]" * 1500, "is nested too deeply"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, says: str) -> None:
    _, faults = read(tmp_path, text)
    assert len(faults) == 1
    assert says in faults[0]
    assert "\n" not in faults[0]


def test_load_yaml_raises(tmp_path: Path) -> None:
    with pytest.raises(Faults, match="does not exist"):
        load_yaml(tmp_path / "none.yaml")


def test_overlay_takes_only_what_differs(tmp_path: Path) -> None:
    document, _ = read(tmp_path, "seed: 1\nfdr: 1e-3\nquality: {min_cells: 500, rna: {n_mads: 5}}\n")
    assert document is not None
    merged = yaml.safe_load("seed: 2\nfdr: 1e-3\nquality: {min_cells: 500, rna: {n_mads: 4}}\nbackend: cpu\n")
    overlay(document, merged)
    assert document.data == {
        "seed": 2,
        "fdr": 0.001,
        "quality": {"min_cells": 500, "rna": {"n_mads": 4}},
        "backend": "cpu",
    }
    assert document.overridden == {("seed",), ("quality", "rna", "n_mads"), ("backend",)}
    assert document.where(("seed",)) == "command line"
    assert document.where(("fdr",)).endswith("line 2, column 1")


def test_closest() -> None:
    assert closest("HLADR", ["CD4", "HLA-DR"]) == "HLA-DR"
    assert closest("viabilty", ["beads", "viability"]) == "viability"
    assert closest("xyz", ["beads", "viability"]) is None


def test_many_faults_of_one_kind_are_folded_with_their_lines() -> None:
    faults = Collector()
    for line in range(2, 12):
        faults.cell(Path("/s/samples.tsv"), line, "day", "'x' found, expected a number", "type")
    messages = faults.messages()
    assert len(messages) == 6
    assert messages[0].startswith(place(Path("/s/samples.tsv"), 2, "day"))
    assert messages[-1].endswith("column day: the same fault in 5 more lines (7, 8, 9, 10, 11)")
