"""The comparison of the backends in the report: there where it was asked for, and open about its age."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import fake_results
import pytest
from page_reader import parse

from treset.errors import TresetError
from treset.parity.judge import digest, settings_digest
from treset.report import build_report


def write(folder: Path, **changed: object) -> None:
    run = json.loads((folder / "provenance" / "run.json").read_text())
    found = {
        "agree": True,
        "reason": "every check is within its tolerance",
        "backends": {"cpu": {"device": "x86_64 CPU, 2 cores"}, "gpu": {"device": "Fake GPU"}},
        "checks": [
            {"what": "recall of the neighbours", "found": 0.9991, "allowed": 0.99, "within": True, "note": "at least"},
            {"what": "F1 of the populations", "found": None, "allowed": 0.97, "within": None, "note": "no population"},
        ],
        "endpoints": [{"monitor": "treg", "endpoint": "treg_expansion", "cpu": 0.61, "gpu": 0.62, "within": True}],
        "verdicts": [{"monitor": "treg", "cpu": "met", "gpu": "met"}],
        "populations": [],
        "shares": [],
        "profiles": {"cpu": digest(folder / "profiles.parquet"), "gpu": "0"},
        "settings": {"cpu": settings_digest(run), "gpu": settings_digest(run)},
    }
    (folder / "parity.json").write_text(json.dumps(found | changed))


def said(study: object, folder: Path) -> str:
    return parse(build_report(study, folder, folder / "r.html").read_text(encoding="utf-8")).find("main")[0].text


def test_without_a_comparison_there_is_no_section(folder: Path) -> None:
    assert "CPU against GPU" not in said(fake_results.il2(folder, cells=100), folder)


def test_the_section_says_what_was_found(folder: Path) -> None:
    study = fake_results.il2(folder, cells=100)
    write(folder)
    page = said(study, folder)
    assert "CPU against GPU" in page and "The backends agree: every check is within its tolerance." in page
    assert "Fake GPU" in page and "not judged" in page and "0.999" in page and "Endpoints by both backends" in page
    assert "not those of either compared run" not in page
    write(folder, agree=False, reason="not within the tolerances: F1 of the populations")
    assert "The backends do not agree: not within the tolerances: F1" in said(study, folder)


def test_a_comparison_of_other_results_is_said_to_be_one(folder: Path) -> None:
    study = fake_results.il2(folder, cells=100)
    write(folder, profiles={"cpu": "1", "gpu": "2"})
    assert "not those of either compared run" in said(study, folder)
    write(folder, settings={"cpu": "1", "gpu": "2"})
    assert "not those of either compared run" in said(study, folder)


def test_a_blinded_report_withholds_the_endpoints(folder: Path) -> None:
    study = replace(fake_results.il2(folder, cells=100), blinded=True)
    write(folder)
    page = said(study, folder)
    assert "CPU against GPU" in page and "Endpoints by both backends" not in page
    assert "Verdicts by both backends" not in page


def test_a_file_that_is_none_is_an_error(folder: Path) -> None:
    study = fake_results.il2(folder, cells=100)
    (folder / "parity.json").write_text('{"agree": true}')
    with pytest.raises(TresetError, match=r"parity\.json has no reason, checks"):
        build_report(study, folder, folder / "r.html")
