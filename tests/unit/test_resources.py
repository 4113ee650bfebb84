"""What jobs ask for: from the header, growing with the input and the attempt, above what was measured."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from treset.io.fcs_write import write_fcs
from treset.resources import (
    Size,
    cohort_need,
    gather_need,
    map_need,
    prepare_need,
    sample_size,
    simulated_size,
    table_need,
)  # fmt: skip

PROFILES = Path(__file__).resolve().parents[2] / "workflow" / "profiles"
SIZES = st.builds(lambda cells, channels: Size(cells, cells * channels), st.integers(1, 10**7), st.integers(1, 80))


def _file(path: Path, events: int) -> Path:
    write_fcs(path, np.ones((events, 3), dtype="f4"), ["A", "B", "C"], ["CD3", "CD4", "CD8"])
    return path


def test_the_size_is_that_of_the_header(tmp_path: Path) -> None:
    assert sample_size(_file(tmp_path / "a.fcs", 700), "mass_cytometry") == Size(700, 2100)


def test_a_file_written_anew_is_sized_anew(tmp_path: Path) -> None:
    path = _file(tmp_path / "a.fcs", 700)
    sample_size(path, "mass_cytometry")
    _file(path, 900)
    os.utime(path, ns=(1, 1))
    assert sample_size(path, "mass_cytometry").cells == 900


def test_a_file_without_a_readable_header_is_sized_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.fcs"
    path.write_bytes(b"FCS3.1 and no more" * 100)
    assert sample_size(path, "mass_cytometry").values == path.stat().st_size


def test_a_file_that_is_not_there_is_no_guess(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sample_size(tmp_path / "none.fcs", "mass_cytometry")


def test_simulated_files_are_sized_by_their_parameters() -> None:
    assert simulated_size({"design": "il2_placebo", "events": 5000}).cells == 5000


@pytest.mark.parametrize("modality", ["mass_cytometry", "rna"])
@given(small=SIZES, factor=st.integers(1, 20))
def test_a_larger_input_never_asks_for_less_nor_for_more_than_its_share(
    modality: str, small: Size, factor: int
) -> None:
    large = Size(small.cells * factor, small.values * factor)
    for need in (
        lambda size: prepare_need(size, modality),
        lambda size: map_need(size, modality, 50_000),
        lambda size: cohort_need([size], modality, 50_000, 500_000),
    ):
        one, many = need(small), need(large)
        assert one.mem_mb <= many.mem_mb <= factor * one.mem_mb
        assert one.threads <= many.threads <= 8
        assert many.runtime * many.threads <= 10 * factor * one.runtime * one.threads


def test_gathering_needs_the_memory_of_a_sample_not_of_all() -> None:
    assert gather_need(5000).mem_mb < 2 * gather_need(5).mem_mb < table_need(5000).mem_mb


def test_the_cohort_needs_the_memory_of_its_sketch_and_largest_sample_not_of_all_samples() -> None:
    size = Size(200_000, 8_000_000)
    few, many = (cohort_need([size] * n, "mass_cytometry", 50_000, 400_000) for n in (2, 500))
    assert few.mem_mb == many.mem_mb
    assert few.runtime < many.runtime


def test_needs_lie_above_what_was_measured() -> None:
    # max_rss of the benchmark files of a run with two samples of 200 000 events, 40 channels; sketch of 20 000 cells
    size = Size(200_000, 8_000_000)
    assert prepare_need(size, "mass_cytometry").mem_mb > 2 * 328
    assert map_need(size, "mass_cytometry", 20_000).mem_mb > 2 * 359
    assert cohort_need([size, size], "mass_cytometry", 20_000, 500_000).mem_mb > 2 * 577
    # four samples, 26 228 rows of the waist: profiles, monitor, report
    assert table_need(4, 500).mem_mb > 2 * 168 and table_need(4, 800).mem_mb > 2 * 184
    assert table_need(4, 1000, 3).mem_mb > 2 * 245
    assert gather_need(4).mem_mb > 2 * 168
    # benchmarks/waist.py, 8,573 rows a sample: the largest of the monitors and the report
    assert table_need(500, 800).mem_mb > 2 * 626 and table_need(500, 1000).mem_mb > 2 * 589
    assert table_need(5000, 800).mem_mb > 2 * 3789
    assert table_need(500, 1000).mem_mb < 2_500 and table_need(5000, 1000).mem_mb < 10_000


@pytest.mark.parametrize("name", ["default", "workstation", "slurm"])
def test_profiles_keep_what_is_done_and_show_what_failed(name: str) -> None:
    profile = yaml.safe_load((PROFILES / name / "config.yaml").read_text(encoding="utf-8"))
    assert profile["keep-going"] and profile["rerun-incomplete"] and profile["show-failed-logs"]
    assert "cores" in profile


def test_the_slurm_profile_heeds_what_cost_others_hours() -> None:
    profile = yaml.safe_load((PROFILES / "slurm" / "config.yaml").read_text(encoding="utf-8"))
    assert profile["executor"] == "slurm" and profile["retries"] >= 1 and isinstance(profile["cores"], int)
    assert profile["slurm-status-command"] == "squeue"
    groups = set(profile["groups"].values())
    assert {"prepare", "map"} <= set(profile["groups"]) and set(profile["group-components"]) <= groups
    # gpu comes with the rule; a second request by gres would be sent beside it
    assert not {"gpu", "gres"} & set(profile["set-resources"]["cohort"])
    rules = "".join(path.read_text(encoding="utf-8") for path in PROFILES.parent.joinpath("rules").glob("*.smk"))
    assert "retries" not in rules and "gres" not in rules


def test_gpu_jobs_of_a_workstation_queue() -> None:
    profile = yaml.safe_load((PROFILES / "workstation" / "config.yaml").read_text(encoding="utf-8"))
    assert profile["resources"]["gpu"] == 1
