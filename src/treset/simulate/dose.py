"""A dose series in vitro: pSTAT5 after interleukin-2, Treg first."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from treset.errors import TresetError
from treset.simulate.cohort import make_patients, make_trial, plan_sample, sheet_row
from treset.simulate.panel import MARKERS
from treset.simulate.populations import LEAVES, intensity_table, leaves_of
from treset.simulate.trial import Trial, generator

DOSE: dict[str, Any] = {
    # For each disease.
    "patients": 3,
    "diseases": ("healthy", "type 1 diabetes", "systemic lupus erythematosus"),
    # nM of IL-2.
    "doses": (0.0, 0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0),
    "stimulus": "IL-2",
    # EC50 of Treg in nM, and of the others as multiples of it.
    "ec50_treg": 0.01,
    "ratio_nk_bright": 5.0,
    "ratio_tconv": 30.0,
    "ratio_cd8": 100.0,
    "ratio_nk_dim": 200.0,
    "hill": 1.0,
    # Factor on every EC50 in patients (not in the first disease, the reference).
    "disease_ec50_fold": 1.0,
    # s.d. of the log EC50 between patients.
    "ec50_sd": 0.2,
}

#: Parameter of the ratio (None: 1), populations, median dual counts of pSTAT5 at a saturating dose.
_RESPONSES: tuple[tuple[str | None, tuple[str, ...], float], ...] = (
    (None, ("Treg",), 45.0),
    ("ratio_nk_bright", ("NK CD56bright",), 60.0),
    ("ratio_tconv", ("Tconv",), 30.0),
    ("ratio_cd8", ("CD8 T", "gdT", "NKT-like"), 30.0),
    ("ratio_nk_dim", ("NK CD56dim",), 20.0),
)
_COFACTOR = 5.0


def pstat5(values: Mapping[str, Any]) -> Trial:
    """Plan a dose series of IL-2 with pSTAT5 as the answer; parameters in ``DOSE``.

    The answer follows a four-parameter logistic in arcsinh(counts / 5), the unit in which medians are reported, so
    that the EC50 of the medians is the true one.
    """
    if values["modality"] == "rna":
        raise TresetError("simulate: design 'pstat5_dose' measures a phospho-protein, its modality is mass_cytometry.")
    if 0 not in values["doses"]:
        raise TresetError("simulate: parameter 'doses' has no 0, the curve's bottom needs it.")
    diseases = list(chain.from_iterable([disease] * values["patients"] for disease in values["diseases"]))
    patients = make_patients(values, [""] * len(diseases), diseases)
    reference = values["diseases"][0]
    rows, plans, table = [], [], []
    for patient in patients:
        rng = generator(values["seed"], "ec50", patient.patient)
        shift = float(np.exp(rng.normal(0, values["ec50_sd"])))
        shift *= 1.0 if patient.disease == reference else values["disease_ec50_fold"]
        table.append({"patient": patient.patient, "disease": patient.disease, "ec50_treg": values["ec50_treg"] * shift})
        for dose in values["doses"]:
            sample = f"{patient.patient}_{dose:g}nM"
            plans.append(plan_sample(patient, sample, patient.shares, _effects(values, dose, shift)))
            rows.append(sheet_row(values, patient, sample, "D0", 0, stimulus=values["stimulus"], dose=float(dose)))
    return make_trial("pstat5_dose", values, rows, plans, _truth(values), table)


def answer(dose: float, bottom: float, top: float, ec50: float, hill: float) -> float:
    """Four-parameter logistic: the answer to a dose, on the scale of ``bottom`` and ``top``."""
    if dose == 0:
        return bottom
    return bottom + (top - bottom) / (1 + (ec50 / dose) ** hill)


def _effects(values: Mapping[str, Any], dose: float, shift: float) -> dict[tuple[str, str], float]:
    table = intensity_table()
    column = MARKERS.index("pSTAT5")
    effects = {}
    for ratio, populations, saturated in _RESPONSES:
        ec50 = values["ec50_treg"] * (values[ratio] if ratio else 1.0) * shift
        for leaf in chain.from_iterable(map(leaves_of, populations)):
            basal = table[LEAVES.index(leaf), column]
            level = answer(dose, np.arcsinh(basal / _COFACTOR), np.arcsinh(saturated / _COFACTOR), ec50, values["hill"])
            effects[leaf, "pSTAT5"] = float(np.sinh(level) * _COFACTOR / basal)
    return effects


def _truth(values: Mapping[str, Any]) -> list[tuple]:
    rows = []
    for ratio, populations, _ in _RESPONSES:
        factor = values[ratio] if ratio else 1.0
        for name in populations:
            head = (name, "median", "pSTAT5", values["stimulus"])
            rows.append(("pstat5_ec50", *head, "nM", values["ec50_treg"] * factor, "met"))
            if ratio:
                selective = "met" if factor > 1 else "not met"
                rows.append(("treg_selectivity", *head, "log10_ratio", float(np.log10(factor)), selective))
    rows.append(("pstat5_ec50", "B naive", "median", "pSTAT5", values["stimulus"], "nM", np.nan, "not met"))
    return rows
