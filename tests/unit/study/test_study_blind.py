"""A blinded study holds no name of an arm."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from treset.errors import Faults
from treset.monitor.withhold import compares_arms
from treset.simulate import expected_sheet, plan
from treset.study import read_study
from treset.study.blind import Words, arm_codes, blind_study, telling_columns

CONFIG = """\
study: s
title: Interleukin against Placebo
modality: mass_cytometry
samples: samples.tsv
panel: panel.tsv
baseline: D0
blinded: true
monitors:
  treg:
    reference_arm: placebo
    endpoints:
      - {name: e, role: primary, population: Treg, measure: percent_of_parent, visit: D5,
         contrast: {test: IL-2, reference: placebo}}
  discovery: {column: visit, reference: D0, test: D5, between: {test: IL-2, reference: placebo}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    trial = plan("il2_placebo", patients=4, events=100)
    sheet = expected_sheet(trial)
    sheet["treatment"] = sheet["arm"].map({"IL-2": "active", "placebo": "inert"})
    sheet["remark"] = "had Placebo once"
    sheet.to_csv(tmp_path / "samples.tsv", sep="\t", index=False)
    trial.panel.to_csv(tmp_path / "panel.tsv", sep="\t", index=False)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def test_codes_follow_the_allocation_not_the_names_nor_the_rows(folder: Path) -> None:
    sheet = pd.read_csv(folder / "samples.tsv", sep="\t", keep_default_na=False)
    codes = arm_codes(sheet)
    assert set(codes) == {"IL-2", "placebo"} and set(codes.values()) == {"arm A", "arm B"}
    assert arm_codes(sheet.iloc[::-1]) == codes
    first = {arm_codes(sheet.assign(patient=sheet["patient"] + str(k)))["IL-2"] for k in range(20)}
    assert first == {"arm A", "arm B"}, "the drug must not always have the same code"
    coded = sheet.assign(arm=sheet["arm"].map(codes))
    assert arm_codes(coded) == {"arm A": "arm A", "arm B": "arm B"}


def test_a_blinded_study_names_no_arm_and_no_reference(folder: Path) -> None:
    study = read_study(folder / "config.yaml", files=False)
    assert study.title == "Interleukin against [arm]", "a code here would tell which arm it is"
    text = repr((study.title, study.monitors, study.warnings, study.samples.drop(columns="file").to_csv()))
    assert "placebo" not in text.lower() and "IL-2" not in text
    assert set(study.samples["arm"]) == {"arm A", "arm B"}
    # the codes stand in their own order, whichever of the arms the drug is
    between = study.monitors.discovery.between
    assert (between.test, between.reference) == ("arm B", "arm A") and compares_arms(study.monitors.discovery)
    assert study.monitors.treg is not None and study.monitors.treg.reference_arm is None
    assert study.monitors.treg.endpoints[0].contrast is None
    assert set(study.samples["treatment"]) == {""}, "another name of the arm"
    assert study.samples["age"].nunique() > 1
    again = blind_study(study)
    pd.testing.assert_frame_equal(again.samples, study.samples)


def test_only_columns_that_name_the_arm_are_told(folder: Path) -> None:
    sheet = pd.read_csv(folder / "samples.tsv", sep="\t", dtype=str, keep_default_na=False)
    assert telling_columns(sheet) == ["treatment"]


def test_ids_that_name_an_arm_are_a_fault(folder: Path) -> None:
    sheet = pd.read_csv(folder / "samples.tsv", sep="\t", dtype=str, keep_default_na=False)
    sheet.loc[3, "sample"] = "P02_placebo_D0"
    sheet.to_csv(folder / "samples.tsv", sep="\t", index=False)
    with pytest.raises(Faults, match=r"column sample: 'P02_placebo_D0' names an arm, and the study is blinded"):
        read_study(folder / "config.yaml", files=False)


def test_words_are_whole() -> None:
    words = Words(["IL-2", "A", "arm B"])
    assert words.replace("il-2, a IL-21 and an A_1 of arm B") == "[arm], [arm] IL-21 and an [arm]_1 of arm B"
    assert not words.within("IL-21 and") and words.within("x IL-2.")
