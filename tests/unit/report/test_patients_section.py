"""Patients: the overview, and a page of each with every visit, holes, flags and calls."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import fake_results
import numpy as np
import pandas as pd
from page_reader import Element, downloads, parse

from treset.report import build_report
from treset.report.figures.spark import spark
from treset.report.sections.measured import Place, places


def built(study, folder: Path) -> Element:
    return parse(build_report(study, folder, folder / "report.html").read_text(encoding="utf-8"))


def rows(table: Element) -> list[list[Element]]:
    return [[c for c in row.children if isinstance(c, Element)] for row in table.find("tr")]


def page_of(page: Element, patient: str) -> Element:
    return page.find("details", id=f"patient-{patient}")[0]


def test_each_patient_has_a_row_that_leads_to_a_page(pages: dict[str, str]) -> None:
    page = parse(pages["il2"])
    section = page.find("section", id="patients")[0]
    head, *body = rows(section.find("table")[0])
    assert [c.text for c in head][-1] == "flags" and "Treg, % of CD4 T" in [c.text for c in head]
    assert [r[0].text for r in body] == [f"P{i:02d}" for i in range(1, 13)]
    for row in body:
        target = row[0].find("a")[0].attributes["href"].removeprefix("#")
        assert len(page.find("details", id=target)) == 1
        assert row[0].text in page.find("details", id=target)[0].find("summary")[0].text
        assert len(row[4].find("svg")) + len(row[3].find("svg")) + len(row[5].find("svg")) == 1


def test_a_page_holds_every_visit_with_the_waists_numbers(folder: Path) -> None:
    study = fake_results.il2(folder, cells=200)
    page = built(study, folder)
    waist = pd.read_parquet(folder / "profiles.parquet")
    treg = waist[(waist["population"] == "Treg") & (waist["origin"] == "gate") & (waist["patient"] == "P01")]
    shares = treg[treg["measure"] == "percent_of_parent"].set_index("visit")["value"]
    head, *body = rows(page_of(page, "P01").find("table", class_="course")[0])
    assert [c.text for c in head] == ["measure", "course", "D0day 0", "D8day 8", "D28day 28"]
    by_name = {r[0].text: [c.text for c in r[2:]] for r in body}
    assert by_name["cells kept"] == ["4\u202f000 (82\u202f%)"] * 3
    for shown, visit in zip(by_name["Treg, % of CD4 T"], ("D0", "D8", "D28"), strict=True):
        assert abs(float(shown) - shares[visit]) <= 0.005 * shares[visit]
    assert "CD25 on Treg, median (arcsinh)" in by_name and "B, % of cells" in by_name
    tidy = downloads(page)["patients.tsv"]
    one = tidy[(tidy["patient"] == "P01") & (tidy["visit"] == "D8") & (tidy["measure"] == "Treg, % of CD4 T")]
    assert float(one["value"].iloc[0]) == shares["D8"] and one["enough_cells"].tolist() == ["yes"]


def test_missing_and_excluded_samples_are_holes_and_flags(pages: dict[str, str]) -> None:
    page = parse(pages["il2"])
    missed, out = page_of(page, "P05"), page_of(page, "P09")
    assert "D28: no sample." in missed.find("ul")[0].text
    assert "D0: sample P09_D0 is excluded: clotted tube." in out.find("ul")[0].text
    assert "patient P09 has no baseline sample" in out.find("ul")[0].text
    for part, column, word in ((missed, 4, "no sample"), (out, 2, "excluded")):
        body = rows(part.find("table", class_="course")[0])[1:]
        assert all(r[column].attributes["class"] == "hole" and r[column].attributes["title"] == word for r in body)
        assert all(not r[column].text for r in body)
    said = missed.find("svg")[0].attributes["aria-label"]
    assert said.endswith("D28 no value") and said.count("no value") == 1
    poor = page_of(page, "P07")
    assert "under 500 cells (300 kept)" in poor.find("ul")[0].text


def test_values_on_too_few_cells_stand_in_brackets_and_are_flagged(folder: Path) -> None:
    page = built(fake_results.il2(folder, cells=200), folder)
    part = page_of(page, "P07")
    flagged = [flag for flag in (li.text for li in part.find("li")) if "not used" in flag]
    assert flagged and all("fewer than" in flag for flag in flagged)
    texts = [c.text for r in rows(part.find("table", class_="course")[0])[1:] for c in r]
    assert sum(text.startswith("(") for text in texts) == len(flagged)
    marked = downloads(page)["patients.tsv"].query("patient == 'P07' and enough_cells == 'no'")
    assert len(marked) == len(flagged)


def test_a_page_says_what_each_monitor_said(pages: dict[str, str]) -> None:
    calls = page_of(parse(pages["il2"]), "P09").find("table", class_="calls")[0].text
    assert "not evaluable" in calls and "no baseline: the sample was excluded (clotted tube)" in calls
    cart = parse(pages["cart"])
    first = cart.find("details", class_="block patient")[0]
    told = [c.text for c in rows(first.find("table", class_="calls")[0])[1]]
    assert told[0] == "B-cell reset" and told[3] == "reset"
    assert told[2] == "back between days 60 and 90; naive 84.0\u202f% at recovery"
    names = [r[0].text for r in rows(first.find("table", class_="course")[0])[1:]]
    assert "B, % of cells" in names and "B naive + B transitional, % of B" in names


def test_stimuli_of_one_visit_are_places_of_their_own(pages: dict[str, str]) -> None:
    part = parse(pages["bcrxl"]).find("details", class_="block patient")[0]
    head = [c.text for c in rows(part.find("table", class_="course")[0])[0]]
    assert len(head) == 4 and "BCR-XL" in " ".join(head)


def test_names_with_blanks_or_signs_have_links_of_their_own(folder: Path) -> None:
    study = fake_results.il2(folder, cells=200)
    names = {"P01": "a b", "P02": "a_b", "P03": 'x"<&#%'}
    samples = study.samples.assign(patient=study.samples["patient"].replace(names))
    page = built(replace(study, samples=samples), folder)
    ids = [e.attributes["id"] for e in page.find("details", class_="block patient")]
    assert len(set(ids)) == 12 and ids[:3] == ["patient-a_b", "patient-a_b_2", 'patient-x"<&#%']
    links = [a.attributes["href"] for a in page.find("section", id="patients")[0].find("table")[0].find("a")]
    assert links[:3] == ["#patient-a_b", "#patient-a_b_2", "#patient-x%22%3C%26%23%25"]


def test_shared_controls_have_no_page(folder: Path) -> None:
    study = fake_results.il2(folder, cells=200)
    control = study.samples["patient"] == "P12"
    page = built(replace(study, samples=study.samples.assign(anchor=control)), folder)
    assert page.find("details", id="patient-P12") == [] and len(page.find("details", class_="block patient")) == 11


def test_the_dose_of_a_drug_makes_no_place() -> None:
    sheet = pd.DataFrame(
        {
            "visit": ["D8", "D0", "D0", "D8", "D0", "D0"],
            "day": [8.0, 0, 0, 8, 0, 0],
            "stimulus": ["", "", "", "", "IL-2", "IL-2"],
            "dose": [1.0, 2.0, 1.0, 2.0, 10.0, 0.1],
        }
    )
    assert places(sheet) == [Place("D0"), Place("D0", "IL-2", 0.1), Place("D0", "IL-2", 10.0), Place("D8")]
    assert Place("D0", "IL-2", 0.1).name == "D0 IL-2 0.1"


def test_the_stimulus_that_others_are_compared_with_comes_first() -> None:
    sheet = pd.DataFrame({"visit": "D0", "day": 0.0, "stimulus": ["BCR-XL", "Reference"], "dose": np.nan})
    assert [p.stimulus for p in places(sheet, "Reference")] == ["Reference", "BCR-XL"]
    assert [p.stimulus for p in places(sheet)] == ["BCR-XL", "Reference"]


def test_a_course_breaks_at_holes() -> None:
    whole = [[(1.0, True)], [(2.0, True)], [(3.0, True)], [(4.0, True)]]
    drawn = str(spark("x", whole, ["a", "b", "c", "d"], 0, 4))
    lines = [d for d in re.findall(r'd="([^"]+)"', drawn) if "L" in d and "M0 " not in d]
    assert len(lines) == 1 and lines[0].count("L") == 3 and "<circle" not in drawn
    broken = str(spark("x", [whole[0], whole[1], [], whole[3]], ["a", "b", "c", "d"], 0, 4))
    lines = [d for d in re.findall(r'd="([^"]+)"', broken) if "L" in d and "M0 " not in d]
    assert len(lines) == 1 and lines[0].count("L") == 1
    assert broken.count("<circle") == 1 and "c no value, d 4.00" in broken
    # 0 stands at the bottom, 4 at the top of a box of 26 with an edge of 4
    assert "M4 22L" in str(spark("x", [[(0.0, True)], [(4.0, True)]], ["a", "b"], 0, 4))
    assert "L114 4" in str(spark("x", [[(0.0, True)], [(4.0, True)]], ["a", "b"], 0, 4))
    few = str(spark("x", [[(1.0, True)], [(99.0, False)]], ["a", "b"], 0, 4))
    assert 'cy="4"' in few and "b 99.0 (too few cells)" in few and "L114" not in few.replace("M0 25L118", "")
