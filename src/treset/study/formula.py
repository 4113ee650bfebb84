"""A model formula such as ``~ arm + age + C(centre)``: read, checked, and turned into a design matrix."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from treset.study.faults import hint, listed

#: A column: plain, or quoted as in Q("my column"); C(...): its numbers are labels.
_FACTOR = re.compile(r"""^(?P<c>C\()?(?:(?P<plain>[^\W\d]\w*)|Q\((?P<q>["'])(?P<quoted>[^"'\\]+)(?P=q)\))(?(c)\))$""")


class InvalidFormula(ValueError):
    """A formula that cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Factor:
    """A column of the sheet in a formula, and whether its numbers are labels."""

    column: str
    labels: bool

    @property
    def code(self) -> str:
        """As patsy writes it, with a name that needs no quotes."""
        return f"C(Q({self.column!r}))" if self.labels else f"Q({self.column!r})"


def read_formula(text: str) -> tuple[tuple[Factor, ...], ...]:
    """Read the right side of a formula; nothing in it is evaluated.

    Parameters
    ----------
    text
        Terms joined by ``+``; ``:`` and ``*`` make interactions; a term is a column's name, ``Q("a name with blanks")``
        or ``C(name)`` where numbers are labels. There is always an intercept.

    Returns
    -------
    The terms, each with its factors; the intercept is not listed.

    Raises
    ------
    InvalidFormula
        For a left side, no intercept, functions or anything else that is no column, or a mistake of grammar.

    References
    ----------
    Wilkinson GN, Rogers CE (1973), doi:10.2307/2346786; the grammar is that of patsy.
    """
    from patsy import ModelDesc, PatsyError

    try:
        # what patsy compiles are names and calls; none is evaluated here
        model = ModelDesc.from_formula(text if "~" in text else f"~ {text}")
    except (PatsyError, SyntaxError, ValueError) as broken:
        said = str(broken).strip().splitlines()
        raise InvalidFormula(f"formula '{text}' cannot be read ({said[0] if said else 'empty'})") from broken
    if model.lhs_termlist:
        raise InvalidFormula(f"formula '{text}' has a left side: the endpoint says what is measured, begin with '~'")
    if not any(not term.factors for term in model.rhs_termlist):
        raise InvalidFormula(f"formula '{text}' takes the intercept out, which the test needs: leave out '0' and '- 1'")
    terms = tuple(tuple(_factor(factor.code, text) for factor in t.factors) for t in model.rhs_termlist if t.factors)
    if not terms:
        raise InvalidFormula(f"formula '{text}' names no column")
    return terms


def _factor(code: str, text: str) -> Factor:
    found = _FACTOR.match(code.strip())
    if found is None:
        raise InvalidFormula(
            f"formula '{text}' has '{code}', which is no column: use names of columns, C(name) or Q(\"a name\")"
        )
    return Factor(found["plain"] or found["quoted"], bool(found["c"]))


def formula_columns(text: str) -> list[str]:
    """Give the columns of a formula, each once. Raises InvalidFormula as :func:`read_formula`."""
    return list(dict.fromkeys(factor.column for term in read_formula(text) for factor in term))


def check_formula(text: str, known: list[str], tested: str) -> tuple[str, ...]:
    """Give the columns of a formula, the tested one first.

    Parameters
    ----------
    text
        The formula.
    known
        Names that may stand in it.
    tested
        The column of the contrast: it must be a term of its own and stand in no interaction, for only then is its
        coefficient the effect.

    Raises
    ------
    InvalidFormula
        As said.
    """
    names = formula_columns(text)
    for name in names:
        if name not in known:
            raise InvalidFormula(f"formula '{text}' names '{name}'{hint(name, known)}; columns: {listed(known, 40)}")
    if any(len(term) > 1 and tested in [factor.column for factor in term] for term in read_formula(text)):
        raise InvalidFormula(
            f"formula '{text}' has '{tested}' in an interaction, where its coefficient is not the effect: "
            "add it as a term of its own"
        )
    if tested not in names:
        raise InvalidFormula(f"formula '{text}' lacks '{tested}', the column whose groups are compared: add it")
    return (tested, *(name for name in names if name != tested))


def design_matrix(text: str, table: pd.DataFrame, tested: str) -> tuple[NDArray[np.float64], int, list[str]]:
    """Make the design of a checked formula.

    Parameters
    ----------
    text
        The formula (:func:`check_formula`).
    table
        One row a sample or patient, no missing values. A column of which every value is a number is a number, any other
        labels, of which the first in the order of the alphabet is the reference; ``tested`` is 1 in the test group and
        0 in the reference.
    tested
        The tested column.

    Returns
    -------
    Design, shape (rows, coefficients); the index of the tested coefficient; the names of the coefficients.

    Raises
    ------
    InvalidFormula
        Where the coefficients cannot be told apart with these rows, or none is left to tell the spread by.
    """
    from patsy import EvalEnvironment, dmatrix

    numbers = {name: numeric(table[name]) for name in formula_columns(text)}
    table = table.assign(**{name: values for name, values in numbers.items() if values is not None})
    parts = [":".join(_coded(factor, tested) for factor in term) for term in read_formula(text)]
    made = dmatrix(" + ".join(["1", *parts]), table, eval_env=EvalEnvironment([{}]), NA_action="raise")
    matrix, names = np.asarray(made, dtype=np.float64), list(made.design_info.column_names)
    if matrix.shape[1] >= matrix.shape[0]:
        raise InvalidFormula(f"formula '{text}' has {matrix.shape[1]} coefficients for {matrix.shape[0]} rows")
    if np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        raise InvalidFormula(
            f"formula '{text}' has columns that cannot be told apart here: leave out those that follow from others"
        )
    return matrix, names.index(f"Q({tested!r})"), names


def numeric(column: pd.Series) -> pd.Series | None:
    """Give a column as numbers, or None where it holds anything else."""
    values = pd.to_numeric(column.astype("object"), errors="coerce").astype("float64")
    return values if values.notna().all() else None


def _coded(factor: Factor, tested: str) -> str:
    return f"Q({tested!r})" if factor.column == tested else factor.code
