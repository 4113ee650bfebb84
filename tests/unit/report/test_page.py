"""The whole page: one safe, offline, reproducible file that hides no gap."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import fake_results
import pandas as pd
import pytest
from page_reader import downloads, parse

from treset.errors import TresetError
from treset.report import build_report

NAMES = ("il2", "arms", "hostile", "bcrxl", "cart")


@pytest.mark.parametrize("name", NAMES)
def test_page_is_well_formed_and_every_figure_has_a_name(pages: dict[str, str], name: str) -> None:
    page = parse(pages[name])
    figures = page.find("svg")
    assert len(figures) >= 3
    assert all(f.attributes["role"] == "img" and f.attributes["aria-label"] for f in figures)
    ids = [
        e.attributes["id"]
        for tag in ("div", "section", "button", "script")
        for e in page.find(tag)
        if "id" in e.attributes
    ]
    assert len(ids) == len(set(ids))
    assert len(page.find("h1")) == 1


@pytest.mark.parametrize("name", NAMES)
def test_page_loads_nothing_from_elsewhere(pages: dict[str, str], name: str) -> None:
    page = pages[name]
    tree = parse(page)
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", page)
    assert not [e for e in tree.find("script") if "src" in e.attributes]
    assert {link.attributes["href"] for link in tree.find("link")} == {"data:,"}
    policy = tree.find("meta", **{"http-equiv": "Content-Security-Policy"})[0].attributes["content"]
    script = [s for s in tree.find("script") if "type" not in s.attributes]
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].text.encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy


def test_hostile_text_stays_text(pages: dict[str, str]) -> None:
    page = parse(pages["hostile"])
    assert len(page.find("script")) == 2  # ours and the map's data
    handlers = [
        k
        for tag in ("a", "td", "path", "text", "title", "div", "p", "svg")
        for e in page.find(tag)
        for k in e.attributes
        if k.startswith("on")
    ]
    assert handlers == []
    data = page.find("script", id="cellmap-data")[0].text
    assert "<" not in data and "&" not in data
    fields = {f["key"]: f["names"] for f in json.loads(data)["fields"]}
    assert any(s.startswith(fake_results.HOSTILE) for s in fields["sample"])
    assert fake_results.HOSTILE in page.find("section", id="patients")[0].find("table")[0].text
    assert fake_results.HOSTILE in page.find("title")[0].text


def test_same_results_give_the_same_bytes(folder: Path) -> None:
    study = fake_results.il2(folder, cells=300)
    first = build_report(study, folder, folder / "a.html").read_bytes()
    second = build_report(study, folder, folder / "b.html").read_bytes()
    assert first == second
    assert sorted(p.name for p in folder.glob("*.html")) == ["a.html", "b.html"]


def test_cards_state_verdict_value_reason_and_rule(pages: dict[str, str]) -> None:
    page = parse(pages["il2"])
    treg = page.find("div", class_="card met")[0]
    for part in (
        "Treg expansion",
        "met",
        "\u00d71.9",
        "n = 11",
        "p = 0.001",
        "an increase of at least \u00d71.20 at D8",
        "p < 0.05",
    ):
        assert part in treg.text
    quality = page.find("div", class_="card check")[0].text
    assert "33 / 34" in quality  # 36 sheet rows - 1 missing visit - 1 excluded = 34, of which one has 300 cells
    assert "P07_D28_poor" in quality
    assert "1 sample excluded" in quality


def test_header_says_what_ran(pages: dict[str, str]) -> None:
    head = parse(pages["il2"]).find("header")[0].text
    for part in (
        "mass cytometry",
        "12 subjects",
        "34 samples",
        "treset 0.1.0",
        "ran on cpu (x86_64, 2 cores)",
        "not blinded",
        "research use only",
    ):
        assert part in head
    methods = parse(pages["il2"]).find("section", id="methods")[0].text
    assert "auto was requested: no NVIDIA driver was found." in methods


def test_what_cannot_be_measured_is_said(pages: dict[str, str]) -> None:
    page = parse(pages["il2"])
    assert "not measurable here, because the panel has no TCRgd" in page.find("section", id="populations")[0].text
    assert "excluded: clotted tube" in page.find("section", id="patients")[0].text
    quality = page.find("section", id="quality")[0].text
    assert "patient P09 has no baseline sample" in quality
    assert "no Gaussian parameters in the file" in quality
    out = next(t for t in page.find("section", id="quality")[0].find("table") if "clotted tube" in t.text)
    listed = [[c.text for c in row.find("td")] for row in out.find("tr")[1:]]
    assert ["P09_D0", "P09", "D0", "excluded", "clotted tube"] in listed
    assert ["P07_D28_poor", "P07", "D28", "fails", "under 500 cells: 300 of 1\u202f200 kept"] in listed and len(
        listed
    ) == 2
    assert "alias IL7Ra" in quality
    assert "not evaluable" in page.find("section", id="treg")[0].text


def test_downloads_hold_the_files_numbers(folder: Path) -> None:
    study = fake_results.bcrxl(folder, cells=200)
    page = parse(build_report(study, folder, folder / "r.html").read_text(encoding="utf-8"))
    tables = downloads(page)
    effects = pd.read_csv(folder / "monitors/discovery/effects.tsv", sep="\t", dtype=str, keep_default_na=False)
    held = pd.concat([tables["discovery_state.tsv"], tables["discovery_abundance.tsv"]])
    assert len(held) == len(effects)
    assert sorted(held["p_value"].astype(float)) == sorted(effects["p_value"].astype(float))
    assert sorted(tables["quality.tsv"]["kept"].astype(float)) == sorted(
        pd.read_csv(folder / "quality.tsv", sep="\t")["kept"].astype(float)
    )
    assert "file" not in tables["samples.tsv"]  # a report travels: no places on a disk


def test_finding_in_a_title_only_where_the_test_supports_it(folder: Path) -> None:
    study = fake_results.il2(folder, cells=200)
    heads = [
        h.text for h in parse(build_report(study, folder, folder / "r.html").read_text(encoding="utf-8")).find("h3")
    ]
    assert "Treg, % of CD4 T: higher (D8 vs D0, \u00d71.90)" in heads
    path = folder / "monitors/treg/effects.tsv"
    effects = pd.read_csv(path, sep="\t", keep_default_na=False)
    effects.loc[effects["role"] == "primary", "verdict"] = "not met"
    effects.to_csv(path, sep="\t", index=False)
    heads = [
        h.text for h in parse(build_report(study, folder, folder / "r.html").read_text(encoding="utf-8")).find("h3")
    ]
    assert "Treg, % of CD4 T, by visit" in heads
    assert not [h for h in heads if "higher" in h]


@pytest.mark.parametrize("build", [fake_results.il2, fake_results.bcrxl, fake_results.cart])
def test_only_the_profiles_are_mandatory(folder: Path, build) -> None:
    study = build(folder, cells=100)
    for name in ("monitors", "cohort", "provenance"):
        shutil.rmtree(folder / name)
    (folder / "quality.tsv").unlink()
    page = parse(build_report(study, folder, folder / "r.html").read_text(encoding="utf-8"))
    text = page.find("main")[0].text
    assert "has no effects.tsv, patients.tsv, summary.json" in text
    for missing in (
        "sketch.h5ad is missing",
        "quality.tsv is missing",
        "cohort/populations.tsv is missing",
        "run.json is missing",
    ):
        assert missing in text
    assert "backend not recorded" in page.find("header")[0].text
    verdicts = [b.text.strip() for b in page.find("span", class_="badge")]
    assert verdicts and all("not evaluable" in v for v in verdicts)


def test_missing_profiles_are_an_error_that_leaves_an_old_report(folder: Path) -> None:
    study = fake_results.il2(folder, cells=100)
    (folder / "profiles.parquet").unlink()
    (folder / "report.html").write_text("old")
    with pytest.raises(TresetError, match=r"profiles\.parquet is missing"):
        build_report(study, folder, folder / "report.html")
    assert (folder / "report.html").read_text() == "old"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("profiles.parquet", "no parquet", "cannot be read as a parquet file"),
        ("monitors/treg/summary.json", "{", "cannot be read as JSON"),
        ("monitors/treg/summary.json", "[]", "expected an object"),
        ("monitors/treg/effects.tsv", "endpoint\nx\n", "has no column population"),
        ("quality.tsv", "sample\tkept\nx\t1\n", "has no column filter"),
        ("cohort/sketch.h5ad", "no sketch", "cohort/sketch.h5ad: is no readable HDF5 file"),
    ],
)
def test_a_damaged_file_is_named(folder: Path, name: str, content: str, said: str) -> None:
    study = fake_results.il2(folder, cells=100)
    (folder / name).write_text(content)
    with pytest.raises(TresetError, match=re.escape(said)) as caught:
        build_report(study, folder, folder / "report.html")
    assert name in str(caught.value)


def test_blinded_report_names_no_arm_and_keeps_the_rows(folder: Path) -> None:
    study = fake_results.il2(folder, cells=300, arms=("IL-2 high", "placebo"), blinded=True)
    path = folder / "monitors/treg/effects.tsv"
    effects = pd.read_csv(path, sep="\t", keep_default_na=False)
    effects.loc[0, "contrast"] = "D8 vs D0, IL-2 high vs placebo"
    effects.loc[0, "note"] = "IL-2 high n = 5, placebo n = 6"
    effects.to_csv(path, sep="\t", index=False)
    patients = pd.read_csv(folder / "monitors/treg/patients.tsv", sep="\t", keep_default_na=False)
    patients.assign(arm="placebo", why="arm placebo").to_csv(
        folder / "monitors/treg/patients.tsv", sep="\t", index=False
    )
    summary = json.loads((folder / "monitors/treg/summary.json").read_text())
    summary["reason"], summary["notes"] = "IL-2 high vs placebo: x1.9, p = 0.001.", ["arm placebo is the reference"]
    (folder / "monitors/treg/summary.json").write_text(json.dumps(summary))
    page = parse(build_report(study, folder, folder / "r.html").read_text(encoding="utf-8"))
    everything = page.text + " ".join(t.to_csv() for t in downloads(page).values())
    assert "placebo" not in everything
    assert "IL-2 high" not in everything
    assert "withheld: the study is blinded" in everything
    assert "blinded (arms by code, doses and comparisons withheld)" in page.find("header")[0].text
    held = downloads(page)["treg_effects.tsv"]
    assert len(held) == len(effects)
    assert held.loc[0, "p_value"] == ""
    assert held.loc[1, "p_value"] != ""


def test_report_of_the_monitors_themselves(folder: Path) -> None:
    from treset.monitor import run_monitor, write

    for name, build, monitor in (
        ("a", fake_results.il2, "treg"),
        ("b", fake_results.cart, "bcell"),
        ("c", fake_results.bcrxl, "discovery"),
    ):
        own = folder / name
        own.mkdir()
        study = build(own, cells=100)
        result = run_monitor(
            monitor, pd.read_parquet(own / "profiles.parquet"), study.samples, study.monitors, study.baseline
        )
        write(result, own / "monitors" / monitor)
        page = parse(build_report(study, own, own / "r.html").read_text(encoding="utf-8"))
        card = page.find("main")[0].find("div", class_="cards")[0].text
        assert result.summary["reason"] in card
        assert result.summary["headline"]["value"] in card
        assert result.summary["verdict"] in card


def test_report_imports_no_heavy_library() -> None:
    code = (
        "import sys, fake_results, pathlib, tempfile; from treset.report import build_report\n"
        "p = pathlib.Path(tempfile.mkdtemp()); s = fake_results.il2(p, cells=50); build_report(s, p, p / 'r.html')\n"
        "print([m for m in ('scanpy', 'statsmodels', 'matplotlib', 'sklearn', 'umap') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parent
    )
    assert done.stdout.strip() == "[]"
