"""A signalling monitor is on the page: its card, its first rows and its whole table."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import fake_results

from treset.monitor import signalling
from treset.monitor.common import write
from treset.report import build_report
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
