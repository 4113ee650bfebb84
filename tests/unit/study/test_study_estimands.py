"""Endpoints, claims, contrasts and clinical outcomes of a config against the sheet: one sentence a fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from treset.errors import Faults
from treset.study import read_study
from treset.study.model import Contrast

CONFIG = """\
study: s
modality: mass_cytometry
samples: samples.tsv
panel: panel.tsv
baseline: D0
monitors:
  treg:
    endpoints:
      - {name: e, role: primary, population: Treg, measure: percent_of_parent, ENDPOINT}
    MONITOR
  CLINICAL
"""
SHEET = "sample\tfile\tpatient\tvisit\tday\tarm\tdisease\tsex\n" + "".join(
    f"{p}{v}\t{p}{v}.fcs\t{p}\t{v}\t{d}\t{arm}\t{disease}\t{sex}\n"
    for p, arm, disease, sex in (("P1", "drug", "SLE", "f"), ("P2", "placebo", "SLE", "m"), ("H1", "", "healthy", "m"))
    for v, d in (("D0", 0), ("D8", 8))
)
PANEL = "channel\tmarker\trole\n" + "".join(
    f"c{n}\t{marker}\tlineage\n" for n, marker in enumerate(("CD3", "CD19", "CD4", "CD8", "CD25", "CD127"))
)


def study(root: Path, endpoint: str = "visit: D8", monitor: str = "", clinical: str = ""):
    text = CONFIG.replace("ENDPOINT", endpoint).replace("MONITOR", monitor or "alpha: 0.05")
    (root / "config.yaml").write_text(text.replace("CLINICAL", clinical or "bcell: null"))
    (root / "samples.tsv").write_text(SHEET)
    (root / "panel.tsv").write_text(PANEL)
    return read_study(root / "config.yaml", files=False)


def test_a_full_estimand_is_read(tmp_path: Path):
    endpoint = "window: [5, 10], contrast: {test: f, reference: m, column: sex}, alpha: 0.01, min_events: 20"
    claim = ", claim: equivalence, margin: 0.2"
    read = study(
        tmp_path, endpoint + claim,
        "reference_arm: placebo\n    maintenance: [D8]\n    cross_section: {healthy: healthy}",
        "clinical: {file: c.tsv, outcomes: [{name: o, measure: SLEDAI, kind: score, window: [100, 200]}]}",
    ).monitors  # fmt: skip
    assert read.treg is not None and read.clinical is not None
    found = read.treg.endpoints[0]
    assert (found.visit, found.window, found.contrast) == ("", (5.0, 10.0), Contrast("f", "m", "sex"))
    assert (found.alpha, found.min_events, found.claim, found.margin) == (0.01, 20, "equivalence", 0.2)
    assert read.treg.cross_section is not None and read.clinical.outcomes[0].window == (100.0, 200.0)


@pytest.mark.parametrize(
    ("endpoint", "sentence"),
    [
        ("direction: increase", "endpoint 'e' has neither a visit nor a window: give one of the two"),
        ("visit: D8, window: [5, 10]", "endpoint 'e' has both a visit and a window"),
        ("window: [10, 5]", "the window of endpoint 'e' is 10, 5, expected its first and last day"),
        ("window: [10]", "expected its first and last day"),
        ("window: [20, 30]", "no sample lies between the days 20 and 30"),
        ("visit: D8, claim: equivalence", "lacks the key margin"),
        ("visit: D8, margin: 0.2", "only equivalence and non_inferiority use"),
        ("visit: D8, claim: non_inferiority, margin: 0.2, direction: either", "say which is the harm"),
        ("visit: D8, contrast: {test: drugg, reference: placebo}", "no sample's arm is 'drugg' (did you mean 'drug'?)"),
        ("visit: D8, contrast: {test: f, reference: m, column: sexx}", "no column of patients' groups named 'sexx'"),
        ("visit: D8, contrast: {test: f, reference: f, column: sex}", "test and reference are both 'f'"),
    ],
)
def test_an_endpoint_that_cannot_be_asked(tmp_path: Path, endpoint: str, sentence: str):
    with pytest.raises(Faults) as caught:
        study(tmp_path, endpoint)
    assert sentence in str(caught.value) and "config.yaml, line 9" in str(caught.value)


@pytest.mark.parametrize(
    ("monitor", "clinical", "sentence"),
    [
        ("reference_arm: Placebo", "", "no sample's arm is 'Placebo' (did you mean 'placebo'?)"),
        ("maintenance: [D28]", "", "no sample's visit is 'D28'"),
        ("cross_section: {healthy: volunteer}", "", "no sample's disease is 'volunteer'"),
        (
            "",
            "clinical: {file: c, outcomes: [{name: o, measure: a, kind: score, role: primary},"
            " {name: o, measure: a, kind: count, role: primary}]}",
            "2 primary outcomes",
        ),
    ],
)
def test_a_monitor_that_cannot_be_asked(tmp_path: Path, monitor: str, clinical: str, sentence: str):
    with pytest.raises(Faults) as caught:
        study(tmp_path, monitor=monitor, clinical=clinical)
    assert sentence in str(caught.value)
    if clinical:
        assert "the outcome name 'o' is given twice" in str(caught.value)
