"""Monitors on a waist whose text is held as categories write the same bytes as on one of plain text."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from treset import texts
from treset.jobs.monitor import monitor
from treset.monitor import run_monitor, write
from treset.monitor.power import design_monitors, tables
from treset.profile import validate
from treset.simulate import plan
from treset.study.model import DiscoveryMonitor, Monitors

FILES = ("effects.tsv", "patients.tsv", "summary.json")


def made(design: str, **more: object) -> tuple[pd.DataFrame, pd.DataFrame, Monitors, str]:
    monitors, baseline = design_monitors(design)
    profiles, samples = tables(plan(design, events=600, seed=4, **more), monitors)
    # a second reading, and clusters that no gate is named after
    again = profiles.assign(origin="cluster", value=profiles["value"] * 0.99)
    again.loc[again["measure"] == "count", "value"] = profiles["value"]
    clusters = again.assign(population=again["population"].map(lambda name: f"C{sum(map(ord, name)) % 1000:03d}"))
    clusters = clusters.drop_duplicates(["sample", "population", "measure", "marker"])
    return pd.concat([profiles, again, clusters], ignore_index=True), samples, monitors, baseline


def compact(table: pd.DataFrame) -> pd.DataFrame:
    stack = texts.Stack()
    stack.add(validate(table, "here"))
    return stack.table()


CASES = [
    ("treg", "il2_placebo", {"patients": 5}),
    ("treg", "il2_open_label", {"patients": 4}),
    ("bcell", "cart_lupus", {"patients": 3}),
    ("signalling", "pstat5_dose", {}),
]


@pytest.mark.parametrize(("name", "design", "more"), CASES)
def test_the_same_bytes(tmp_path: Path, name: str, design: str, more: dict) -> None:
    profiles, samples, monitors, baseline = made(design, **more)
    for folder, table in (("text", profiles), ("categories", compact(profiles))):
        write(run_monitor(name, table, samples, monitors, baseline), tmp_path / folder)
    assert all((tmp_path / "text" / f).read_bytes() == (tmp_path / "categories" / f).read_bytes() for f in FILES)
    assert len(pd.read_csv(tmp_path / "text" / "effects.tsv", sep="\t")) > 2


@pytest.mark.parametrize("formula", ["", "~ visit + patient"])
def test_discovery_too(tmp_path: Path, formula: str) -> None:
    profiles, samples, _, baseline = made("il2_open_label", patients=5)
    rng = np.random.default_rng(0)
    profiles = profiles[profiles["measure"] != "median"]
    state = profiles[profiles["measure"] == "count"]
    medians = [
        state.assign(measure="median", marker=m, value=rng.normal(size=len(state))) for m in ("Ki-67", "CD25", "a")
    ]
    profiles = pd.concat([profiles, *medians], ignore_index=True).sample(frac=1, random_state=1)
    visits = samples["visit"].unique()
    asked = DiscoveryMonitor(
        column="visit", reference=str(visits[0]), test=str(visits[1]), pair="patient", min_events=5
    )
    asked = dataclasses.replace(asked, formula=formula, pair=None if formula else "patient")
    for folder, table in (("text", profiles), ("categories", compact(profiles))):
        write(run_monitor("discovery", table, samples, Monitors(discovery=asked), baseline), tmp_path / folder)
    assert all((tmp_path / "text" / f).read_bytes() == (tmp_path / "categories" / f).read_bytes() for f in FILES)
    effects = pd.read_csv(tmp_path / "text" / "effects.tsv", sep="\t")
    assert effects["p_value"].notna().sum() > 10 and set(effects["marker"].dropna()) >= {"Ki-67", "CD25", "a"}


class _Study:
    """What a job asks of a study, blinded."""

    blinded = True

    def __init__(self, samples: pd.DataFrame, monitors: Monitors, baseline: str) -> None:
        self.samples, self.monitors, self.baseline = samples, monitors, baseline


def test_a_blinded_study_takes_the_sheets_codes_for_arms(tmp_path: Path) -> None:
    profiles, samples, monitors, baseline = made("il2_placebo", patients=4)
    codes = samples["arm"].map({"IL-2": "arm 1", "placebo": "arm 2"})
    assert codes.notna().all()
    samples = samples.assign(arm=codes)
    profiles.to_parquet(tmp_path / "p.parquet", row_group_size=500)
    profiles.to_csv(tmp_path / "p.tsv", sep="\t", index=False)
    for name in ("p.parquet", "p.tsv"):
        monitor("treg", tmp_path / name, _Study(samples, monitors, baseline), tmp_path / name[2:])
    assert all((tmp_path / "parquet" / f).read_bytes() == (tmp_path / "tsv" / f).read_bytes() for f in FILES)
    told = "".join((tmp_path / "parquet" / f).read_text() for f in FILES)
    assert "withheld: the study is blinded" in told and "placebo" not in told and "arm 1" in told
