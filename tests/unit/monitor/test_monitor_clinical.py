"""The clinical monitor: scores, counts and events of two arms, their association with the immune response, faults."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from monitor_tables import treg_trial, visits
from scipy import stats as scipy_stats

from treset.errors import Faults, TresetError
from treset.monitor import clinical, read_clinical, run_monitor
from treset.stats import hazard_ratio, rate_ratio, spearman
from treset.study.model import ClinicalMonitor, Contrast, Endpoint, Monitors, Outcome, TregMonitor

N = 12
NAMES = [f"P{i + 1:02d}" for i in range(2 * N)]
TREG = TregMonitor((Endpoint("expansion", "primary", "Treg", "percent_of_parent", "D8"),))
RNG = np.random.default_rng(3)
CHANGE = RNG.normal(0.2, 0.3, 2 * N)
FINAL = RNG.normal(0, 1, 2 * N) - 3 * (np.arange(2 * N) < N) - 2 * CHANGE
LESIONS = RNG.poisson(RNG.gamma(2, np.where(np.arange(2 * N) < N, 0.5, 2)))
WHEN = RNG.integers(20, 300, 2 * N)
SEEN = RNG.random(2 * N) < 0.7

SCORE = Outcome("sledai", "SLEDAI", "score", "primary")
COUNT = Outcome("lesions", "new lesions", "count", window=(0.0, 180.0))
EVENT = Outcome("relapse", "relapse", "event")


def trial():
    samples = visits(NAMES, {"D0": 0, "D8": 8})
    samples["arm"] = np.where(samples["patient"] <= f"P{N:02d}", "IL-2", "placebo")
    return treg_trial(CHANGE, samples), samples


def clinical_rows() -> list[tuple]:
    rows = []
    for i, name in enumerate(NAMES):
        rows += [(name, -1, "SLEDAI", 10), (name, 84, "SLEDAI", 99), (name, 168, "SLEDAI", 10 + FINAL[i])]
        rows += [(name, 90, "new lesions", LESIONS[i]), (name, 180, "new lesions", 0), (name, 200, "new lesions", 50)]
        rows.append((name, int(WHEN[i]), "relapse", int(SEEN[i])))
    return rows


@pytest.fixture
def file(tmp_path):
    def write(rows: list[tuple] | None = None, name: str = "clinical.tsv"):
        lines = ["patient\tday\tmeasure\tvalue", *("\t".join(map(str, row)) for row in rows or clinical_rows())]
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def run(table: pd.DataFrame, *outcomes: Outcome, samples: pd.DataFrame | None = None, **more: object):
    waist, plain = trial()
    settings = ClinicalMonitor("clinical.tsv", outcomes or (SCORE, COUNT, EVENT), **more)
    # the sheet says the arms
    return clinical(waist.assign(arm=""), plain if samples is None else samples, table, settings, TREG, "D0")


def test_three_kinds_of_outcomes_are_compared(file):
    result = run(read_clinical(file()))
    found = result.effects[result.effects["role"].isin(["primary", "secondary"])].set_index("endpoint")
    treated = np.arange(2 * N) < N
    score = found.loc["sledai"]
    assert score["contrast"] == "IL-2 vs placebo" and score["verdict"] == "met" and score["n"] == 2 * N
    theirs = scipy_stats.mannwhitneyu(FINAL[treated], FINAL[~treated], method="exact")
    assert score["p_value"] == pytest.approx(theirs.pvalue)
    assert score["estimate"] == pytest.approx(np.median(np.subtract.outer(FINAL[treated], FINAL[~treated])))
    # day 200 lies outside of the window
    counts = rate_ratio(LESIONS, np.full(2 * N, 180.0), treated)
    assert found.loc["lesions", "estimate"] == pytest.approx(counts.estimate)
    hazard = hazard_ratio(WHEN, SEEN, treated)
    assert (found.loc["relapse", "estimate"], found.loc["relapse", "p_value"]) == pytest.approx(
        (hazard.estimate, hazard.p_value)
    )
    family = scipy_stats.false_discovery_control(found.loc[["lesions", "relapse"], "p_value"].to_numpy(float))
    assert found.loc[["lesions", "relapse"], "q_value"].to_numpy(float) == pytest.approx(family)
    assert result.summary["verdict"] == "met" and "sledai" in result.summary["reason"]


def test_each_arm_is_described(file):
    effects = run(read_clinical(file())).effects
    arms = effects[effects["role"] == "supporting"].set_index(["endpoint", "contrast"])
    assert arms.loc[("sledai", "arm IL-2"), "estimate"] == pytest.approx(np.median(FINAL[:N]))
    rate = 365.25 * LESIONS[:N].sum() / (180 * N)
    assert arms.loc[("lesions", "arm IL-2"), "estimate"] == pytest.approx(rate)
    assert arms["p_value"].isna().all() and arms.loc[("relapse", "arm placebo"), "scale"] == "days"


def test_association_with_the_immune_response_has_an_interval(file):
    effects = run(read_clinical(file())).effects
    found = effects[effects["role"] == "association"].set_index(["endpoint", "contrast"])
    row = found.loc[("sledai", "with expansion, arm IL-2")]
    theirs = spearman(CHANGE[:N], FINAL[:N])
    # counts of cells are rounded: the ranks are the same
    assert (row["estimate"], row["lower"], row["upper"]) == pytest.approx((theirs.estimate, theirs.lower, theirs.upper))
    shown = found[found["p_value"].notna()]
    assert shown["lower"].notna().all() and set(found["scale"]) == {"correlation", "log_ratio"}


def test_what_cannot_be_answered_is_not_evaluable(file):
    table = read_clinical(file())
    one = trial()[1].assign(arm="")
    assert "one arm" in run(table, samples=one).summary["reason"]
    three = trial()[1]
    three["arm"] = np.where(three["patient"] > "P20", "high", three["arm"])
    assert "which are not pooled" in run(table, samples=three).summary["reason"]
    named = run(table, samples=three, contrast=Contrast("IL-2", "placebo"))
    assert named.effects.iloc[0]["contrast"] == "IL-2 vs placebo" and named.effects.iloc[0]["n"] == 20
    absent = run(table, Outcome("x", "EDSS", "score", "primary"))
    assert absent.summary["verdict"] == "not evaluable" and "no patient with a value" in absent.summary["reason"]
    assert (absent.patients["why"] == "no row of EDSS").all()
    assert run(table, COUNT).summary["reason"] == "No primary outcome is set"


def test_an_excluded_patient_is_shown_with_the_reason(file):
    samples = trial()[1]
    samples.loc[samples["patient"] == "P03", "exclude"] = "protocol violation"
    result = run(read_clinical(file()), samples=samples)
    own = result.patients[result.patients["patient"] == "P03"]
    assert (own["call"] == "not evaluable").all() and own["why"].str.contains("protocol violation").all()
    assert result.effects.iloc[0]["n"] == 2 * N - 1


def test_an_event_counts_from_day_0_to_the_window(file):
    rows = [(name, 50, "relapse", 1) if i % 2 else (name, 50, "relapse", 0) for i, name in enumerate(NAMES)]
    rows[0] = (NAMES[0], -3, "relapse", 1)
    found = run(read_clinical(file(rows)), Outcome("r", "relapse", "event", window=(0.0, 40.0))).patients
    assert found["why"].iloc[0] == "the event is on or before day 0"
    assert (found["value"].iloc[1:] == 0).all() and (found["time"].iloc[1:] == 40).all()


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([("P01", 1, "SLEDAI", "high")], "line 2, column value: 'high' is not a number"),
        ([("P01", "", "SLEDAI", 3)], "line 2, column day: '' is not a number"),
        ([("", 1, "SLEDAI", 3)], "line 2, column patient: is blank"),
        ([("P01", 1, "SLEDAI", 3), ("P01", 1, "SLEDAI", 4)], "line 3: says again what line 2 says of patient 'P01'"),
    ],
)
def test_a_broken_table_names_line_and_column(file, rows, sentence):
    with pytest.raises(Faults) as error:
        read_clinical(file(rows))
    assert sentence in str(error.value)


def test_faults_against_the_sheet_and_the_kind(file, tmp_path):
    with pytest.raises(TresetError, match="line 2, column patient: 'P99' is not in the sample sheet"):
        run(read_clinical(file([("P99", 1, "SLEDAI", 3)])))
    with pytest.raises(TresetError, match=r"line 2, column value: 1\.5 is no count"):
        run(read_clinical(file([("P01", 90, "new lesions", 1.5)])), COUNT)
    with pytest.raises(TresetError, match="line 2, column value: 2 is no event"):
        run(read_clinical(file([("P01", 90, "relapse", 2)])), EVENT)
    with pytest.raises(TresetError, match="no such file"):
        read_clinical(tmp_path / "none.tsv")
    (tmp_path / "odd.csv").write_text("patient,day,value\n")
    with pytest.raises(TresetError, match="expected are exactly patient, day, measure, value"):
        read_clinical(tmp_path / "odd.csv")


def test_it_runs_by_name(file):
    waist, samples = trial()
    monitors = Monitors(treg=TREG, clinical=ClinicalMonitor("clinical.tsv", (SCORE,)))
    result = run_monitor("clinical", waist, samples, monitors, "D0", read_clinical(file()))
    assert result.name == "clinical" and math.isfinite(result.summary["primary"]["estimate"])
    with pytest.raises(TresetError, match=r"needs the table that monitors\.clinical\.file names"):
        run_monitor("clinical", waist, samples, monitors, "D0")
