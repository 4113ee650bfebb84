"""The benchmark files of a run, by step."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from treset.provenance.timings import COLUMNS, timings, write_timings

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def _benchmark(path: Path, seconds: str, memory: str, cpu: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEAD}{seconds}\t0:00:08\t{memory}\t0\t0\t0\t0\t0\t0\t{cpu}\n", encoding="utf-8")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    _benchmark(folder / "benchmarks" / "map" / "s1.tsv", "8.5", "300.0", "6")
    _benchmark(folder / "benchmarks" / "map" / "s2.tsv", "1.5", "500.0", "4")
    _benchmark(folder / "benchmarks" / "cohort.tsv", "20", "900.0", "30")
    # a job too short to be looked at
    _benchmark(folder / "benchmarks" / "profiles.tsv", "0.2", "NA", "-")
    return folder


def test_jobs_are_summed_by_step_and_the_costliest_comes_first(results: Path) -> None:
    found = timings(results / "benchmarks").set_index("step")
    assert list(found.index) == ["cohort", "map", "profiles"]
    assert found.loc["map"].to_dict() == {
        "jobs": 2, "wall_s": 10.0, "cpu_s": 10.0, "peak_mb": 500.0, "percent_of_cpu": 25.0,
    }  # fmt: skip
    assert found.loc["cohort", "percent_of_cpu"] == 75.0


def test_what_was_not_measured_is_blank_and_not_nothing(results: Path) -> None:
    write_timings(results)
    line = (results / "timings.tsv").read_text(encoding="utf-8").splitlines()[-1]
    assert line.split("\t") == ["profiles", "1", "0.2", "", "", ""]


def test_a_run_without_benchmarks_has_an_empty_table(tmp_path: Path) -> None:
    found = pd.read_csv(write_timings(tmp_path), sep="\t")
    assert list(found.columns) == COLUMNS and not len(found)
