"""A signalling monitor is on the page: its card, its first rows and its whole table."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import fake_results

from treset.monitor import signalling
from treset.monitor.common import write
from treset.report import build_report
from treset.report.figures.dose_curves import Curve, Panel, dose_curves
from treset.report.figures.recovery import recovery
from treset.report.sections.bcell import recovery_block
from treset.study.model import SignallingMonitor


def test_signalling_is_shown(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "monitor")
    from signalling_tables import dose_trial

    study = fake_results.bcrxl(tmp_path, cells=300)
    settings = SignallingMonitor(against=("Tconv",), bootstrap=200)
    profiles, samples = dose_trial()
    found = signalling(profiles, samples, settings, "D0")
    write(found, study.results / "monitors" / "signalling")
    monitors = dataclasses.replace(study.monitors, signalling=settings)
    study = dataclasses.replace(study, monitors=monitors)
    page = build_report(study, study.results, tmp_path / "r.html").read_text(encoding="utf-8")
    assert 'id="signalling"' in page
    assert found.summary["headline"]["value"] in page
    assert "nM" in page
    # one triangle an EC50, and no line where it is a bound
    assert page.count("EC50 > ") >= 1 or (found.patients["call"] == "fitted").all()
    section = page[page.index('id="signalling"') :]
    figure = section[section.index("<svg") : section.index("</svg>")]
    fitted = int((found.patients["call"] == "fitted").sum())
    assert figure.count('class="thin"') == fitted and fitted > 0
    for row in found.patients.itertuples():
        assert f"{row.patient}: {row.call}" in figure


def test_a_censored_curve_has_no_line() -> None:
    points = [(0.0, 0.1), (1.0, 0.2), (10.0, 0.9)]
    bounds = Curve("P1", points, None, "> 10 nM", "censored", (10.0,))
    drawn = dose_curves([Panel("NK", "EC50 > 10 nM", [bounds])], "pSTAT5", "nM", "t")
    assert 'class="thin"' not in drawn and "EC50 &gt; 10 nM" in drawn and "left out of the fit" in drawn
    assert "no values" in dose_curves([Panel("B", "", []), Panel("NK", "", [bounds])], "pSTAT5", "nM", "t")


def test_the_recovery_curve_falls_between_the_visits() -> None:
    drawn = recovery([(60.0, 90.0, 0.25), (90.0, 120.0, 0.5), (180.0, float("inf"), 0.25)], "t")
    assert "25.0 % recover between day 60 and day 90" in drawn and "50.0 % recover between day 90 and day 120" in drawn
    assert drawn.count("<rect") == 2 and "25 % not seen to recover" in drawn
    assert recovery_block({}) == [] and recovery_block({"recovery_curve": []}) == []
    (figure,) = recovery_block({"recovery_curve": [{"left": 14.0, "right": None, "share": 1.0}]})
    assert "100 % not seen to recover" in figure.svg
