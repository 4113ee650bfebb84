"""Trials with a known truth, written as raw FCS or 10x files.

>>> from treset import simulate
>>> trial = simulate.plan("il2_open_label", patients=6, events=4000, seed=7)
>>> simulate.write(trial, "data")  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from treset.errors import TresetError
from treset.simulate import cart, dose, il2
from treset.simulate.parameters import did_you_mean, resolve
from treset.simulate.trial import SamplePlan, Trial, realised_composition
from treset.simulate.write import write

__all__ = ["DESIGNS", "SamplePlan", "Trial", "defaults", "expected_sheet", "plan", "realised_composition", "write"]

_PLANNERS: dict[str, tuple[Callable[[Mapping[str, Any]], Trial], Mapping[str, Any]]] = {
    "il2_open_label": (il2.open_label, il2.OPEN_LABEL),
    "il2_placebo": (il2.placebo, il2.PLACEBO),
    "cart_lupus": (cart.lupus, cart.LUPUS),
    "pstat5_dose": (dose.pstat5, dose.DOSE),
}

#: Names of the designs.
DESIGNS: tuple[str, ...] = tuple(_PLANNERS)


def plan(design: str, **parameters: Any) -> Trial:
    """Plan a trial: who, when, what changes, and the truth; no cell is drawn yet.

    Pure: the same arguments give the same trial.

    Parameters
    ----------
    design
        One of ``DESIGNS``.
    **parameters
        Parameters of the design (``defaults(design)`` lists them with their defaults: the published sizes). Every
        effect size is one.

    Raises
    ------
    TresetError
        For an unknown design; ``Faults`` for unknown parameters and wrong values.
    """
    planner, own = _planner(design)
    return planner(resolve(design, own, parameters))


def defaults(design: str) -> dict[str, Any]:
    """List every parameter of a design with its default."""
    return resolve(design, _planner(design)[1], {})


def expected_sheet(trial: Trial) -> pd.DataFrame:
    """Give the trial's sample sheet as text, as ``samples.tsv`` holds it: blank where there is no value."""
    sheet = trial.sheet.copy()
    for column in ("day", "dose", "age"):
        sheet[column] = ["" if pd.isna(value) else f"{value:g}" for value in sheet[column]]
    return sheet.astype(str)


def _planner(design: str) -> tuple[Callable[[Mapping[str, Any]], Trial], Mapping[str, Any]]:
    if design not in _PLANNERS:
        raise TresetError(f"simulate: there is no design '{design}'{did_you_mean(design, DESIGNS)}")
    return _PLANNERS[design]
