"""EC50s of measured pSTAT5 (IL-2, IL-15, Fc-IL-2 muteins; 1 h): the selectivities that are known of these drugs."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from treset.stats import fit_dose_response

DATA = os.environ.get("TRESET_DATA")
pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not DATA, reason="TRESET_DATA is not set"),
]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    found = pd.read_csv(Path(str(DATA)) / "signalling" / "il2_pstat5_wt_dimeric.csv")
    return found[found["Time"] == 1.0]


@pytest.mark.parametrize(
    ("ligand", "low", "high"), [("IL2", 8, 25), ("IL15", 0.8, 2.5), ("R38Q N-term", 100, float("inf"))]
)
def test_treg_selectivity(table, ligand, low, high):
    fits = {}
    for cell in ("Treg", "Thelper"):
        own = table[(table["Ligand"] == ligand) & (table["Cell"] == cell)]
        fits[cell] = fit_dose_response(own["Dose"], own["Mean"])
        assert fits[cell].status == "fitted" and fits[cell].lower < fits[cell].ec50 < fits[cell].upper
    assert low <= fits["Thelper"].ec50 / fits["Treg"].ec50 <= high


def test_what_has_no_plateau_is_a_bound(table):
    """CD8 T under the H16N mutein still rise at 84 nM."""
    own = table[(table["Ligand"] == "H16N N-term") & (table["Cell"] == "CD8")]
    fit = fit_dose_response(own["Dose"], own["Mean"])
    assert fit.status == "above" and "EC50 > 84" in fit.why
