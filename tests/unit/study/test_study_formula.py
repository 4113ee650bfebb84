"""Formulas: what is a column is read, what is anything else is refused and never evaluated."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from treset.study.formula import InvalidFormula, check_formula, design_matrix, read_formula

KNOWN = ["arm", "baseline", "age", "sex", "my centre"]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("~ arm", ("arm",)),
        ("arm + baseline", ("arm", "baseline")),
        ("~ baseline + C(sex) + arm", ("arm", "baseline", "sex")),
        ('~ arm + Q("my centre")', ("arm", "my centre")),
        ("~ arm + age * sex", ("arm", "age", "sex")),
    ],
)
def test_columns_are_read_the_tested_one_first(text: str, columns: tuple[str, ...]):
    assert check_formula(text, KNOWN, "arm") == columns


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("~ arm + aeg", r"names 'aeg' \(did you mean 'age'\?\); columns: arm, baseline"),
        ("~ age", "lacks 'arm', the column whose groups are compared"),
        ("~ arm * age", "has 'arm' in an interaction"),
        ("y ~ arm", "has a left side"),
        ("~ 0 + arm", "takes the intercept out"),
        ("~ arm - 1", "takes the intercept out"),
        ("~ arm + np.log(age)", r"has 'np.log\(age\)', which is no column"),
        ("~ arm + I(age ** 2)", "which is no column"),
        ("~ arm + (1 | sex)", "which is no column"),
        ("~ arm + __import__('os').system('x')", "which is no column"),
        ("~ arm +", "cannot be read"),
        ("~ arm + [1", "cannot be read"),
        ("~ 1", "names no column"),
    ],
)
def test_what_is_no_formula_of_columns_says_why(text: str, sentence: str):
    with pytest.raises(InvalidFormula, match=sentence):
        check_formula(text, KNOWN, "arm")


def test_nothing_is_evaluated():
    with pytest.raises(InvalidFormula):
        read_formula("~ arm + open('/nowhere/at/all').read()")


def test_the_design_by_hand():
    table = pd.DataFrame(
        {"arm": [0.0, 1, 0, 1, 0, 1], "age": ["30", "41", "52", "33", "44", "55"], "sex": list("fmmfmf")}
    )
    matrix, at, names = design_matrix("~ arm + age + sex", table, "arm")
    assert names[at] == "Q('arm')" and matrix[:, at].tolist() == [0, 1, 0, 1, 0, 1]
    columns = {name: matrix[:, i].tolist() for i, name in enumerate(names)}
    assert columns["Q('age')"] == [30, 41, 52, 33, 44, 55]
    assert columns["Q('sex')[T.m]"] == [0, 1, 1, 0, 1, 0]
    labels, _, _ = design_matrix("~ arm + C(dose)", table.assign(dose=[1, 2, 1, 2, 2, 3]), "arm")
    assert np.linalg.matrix_rank(labels) == labels.shape[1] == 4


def test_what_cannot_be_told_apart_is_refused():
    table = pd.DataFrame({"arm": [0.0, 1, 0, 1, 0, 1], "site": list("ababab")})
    with pytest.raises(InvalidFormula, match="cannot be told apart"):
        design_matrix("~ arm + site", table, "arm")
    with pytest.raises(InvalidFormula, match="7 coefficients for 6 rows"):
        design_matrix("~ arm + who", table.assign(who=list("abcdef")), "arm")
