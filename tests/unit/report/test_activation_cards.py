"""Cards of activation: the config's endpoints with their verdict, else what discovery saw, without one."""

from __future__ import annotations

from pathlib import Path

import fake_results
import pandas as pd
import pytest
from page_reader import Element, parse

from treset.report import build_report
from treset.report.sections.quality import _notes


def card(study, folder: Path, title: str) -> Element | None:
    page = parse(build_report(study, folder, folder / "report.html").read_text(encoding="utf-8"))
    cards = [c for c in page.find("div", id="overview")[0].children if isinstance(c, Element)]
    return next((c for c in cards if c.find("h2")[0].text == title), None)


def rewrite(folder: Path, rows: list[dict]) -> None:
    path = folder / "monitors/treg/effects.tsv"
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    table = table[table["measure"] == "percent_of_parent"]
    pd.concat([table, pd.DataFrame(rows, columns=fake_results.EFFECTS)]).to_csv(path, sep="\t", index=False)


def row(**values: object) -> dict:
    common = {"measure": "median", "marker": "CD25", "contrast": "D8 vs D0", "n": 11, "scale": "difference"}
    return fake_results.effect(**{**common, "estimate": 0.7, "lower": 0.5, "upper": 0.9, "q_value": 0.004, **values})


def test_an_endpoint_of_the_config_brings_its_verdict(tmp_path: Path) -> None:
    study = fake_results.il2(tmp_path, cells=100)
    asked = row(endpoint="cd25", population="Treg", role="secondary", verdict="met")
    other = row(endpoint="ps6", population="CD8 T", role="secondary", verdict="not met", estimate=-0.02)
    rewrite(tmp_path, [asked, other])
    treg, effector = card(study, tmp_path, "Treg activation"), card(study, tmp_path, "Effector activation")
    assert treg is not None and treg.attributes["class"] == "card met"
    for part in ("+0.700", "95 % CI +0.500 to +0.900", "n = 11", "q = 0.004", "secondary endpoint cd25"):
        assert part in treg.text
    assert effector is not None and effector.attributes["class"] == "card not-met" and "\u22120.0200" in effector.text


def test_without_an_endpoint_there_is_a_number_and_no_badge(tmp_path: Path) -> None:
    study = fake_results.il2(tmp_path, cells=100)
    rewrite(tmp_path, [row(endpoint="Treg median CD25", population="Treg", role="descriptive", q_value=float("nan"))])
    treg = card(study, tmp_path, "Treg activation")
    assert treg is not None and treg.attributes["class"] == "card described"
    assert treg.find("span", class_="badge") == [] and "no endpoint of the config: no verdict" in treg.text
    assert card(study, tmp_path, "Effector activation") is None


@pytest.mark.parametrize("build", [fake_results.bcrxl, fake_results.cart])
def test_a_study_without_the_treg_monitor_has_none(tmp_path: Path, build) -> None:
    assert card(build(tmp_path, cells=100), tmp_path, "Treg activation") is None


def test_notes_that_differ_in_numbers_are_told_once() -> None:
    notes = ["about 6.6 % doublets by twice the DNA", "about 10.2 % doublets by twice the DNA", "Ce140Di is not there"]
    rows = pd.DataFrame({"filter": ["dna", "dna", "beads"], "note": notes, "sample": ["a", "b", "a"]})
    assert _notes(rows).to_numpy().tolist() == [
        ["dna", "about 6.6 to 10.2 % doublets by twice the DNA", 2],
        ["beads", "Ce140Di is not there", 1],
    ]
