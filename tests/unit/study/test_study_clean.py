"""The block clean against modality, files and sheet: faults with their place, before anything is computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from treset.errors import Faults
from treset.io.fcs import write_fcs
from treset.study import check_files, read_study

CONFIG = "study: s\nmodality: {modality}\nsamples: samples.tsv\npanel: panel.tsv\nclean: {clean}\n"
HEAD = "sample\tfile\tpatient\tvisit\tday\tarm\tbatch\tanchor"
CHANNELS = ["A", "B", "C", "D", "E", "F"]
PANEL = "channel\tmarker\trole\n" + "".join(
    f"{c}\t{marker}\tlineage\n"
    for c, marker in zip(CHANNELS, ("CD3", "CD19", "CD4", "CD8", "CD25", "CD127"), strict=True)
)


def study(root: Path, clean: str = "{}", modality: str = "flow_cytometry", rows: tuple[str, ...] = (), **keywords: str):
    rows = rows or ("a\ta.fcs\tP1\tD0\t0\t\tb1\t", "b\tb.fcs\tP1\tD8\t8\t\tb1\t")
    (root / "config.yaml").write_text(CONFIG.format(modality=modality, clean=clean))
    (root / "samples.tsv").write_text("\n".join([HEAD, *rows]) + "\n")
    (root / "panel.tsv").write_text(PANEL)
    rng = np.random.default_rng(0)
    for row in rows:
        write_fcs(root / row.split("\t")[1], rng.normal(size=(600, 6)), CHANNELS, None, keywords)
    return root / "config.yaml"


def faults_of(config: Path) -> str:
    with pytest.raises(Faults) as caught:
        read_study(config)
    assert all("\n" not in message for message in caught.value.messages)
    return " | ".join(caught.value.messages)


@pytest.mark.parametrize(
    ("clean", "modality", "told"),
    [
        ("{beads: dvs}", "flow_cytometry", "clean.beads is for mass cytometry, and the modality is flow_cytometry"),
        ("{spillover: none.csv}", "flow_cytometry", "there is no such file; expected is a spillover matrix"),
        ("{batch: cytonorm}", "mass_cytometry", "the sheet has one batch only"),
        ("{beads: dvs, bead_baseline: [1, 2]}", "mass_cytometry", "bead_baseline has 2 numbers"),
        ("{beads: gold}", "mass_cytometry", "clean.beads is 'gold'; allowed: none, dvs, beta"),
    ],
)
def test_faults_of_the_block(tmp_path: Path, clean: str, modality: str, told: str) -> None:
    found = faults_of(study(tmp_path, clean, modality))
    assert told in found
    assert "config.yaml:5:" in found or "config.yaml, line 5" in found


def test_a_batch_without_an_anchor(tmp_path: Path) -> None:
    rows = (
        "a\ta.fcs\tP1\tD0\t0\t\tb1\t", "b\tb.fcs\tP1\tD8\t8\t\tb2\t",
        "c\tc.fcs\tctrl\tctrl\t\t\tb1\ttrue",
    )  # fmt: skip
    assert "b2 have none" in faults_of(study(tmp_path, "{batch: cytonorm}", rows=rows))


def test_confounding_is_told_before_anything_is_computed(tmp_path: Path) -> None:
    rows = tuple(
        f"{p}{v}\t{p}{v}.fcs\tP{p}\tD{v}\t{v}\t{'drug' if p < 4 else 'placebo'}\tb{1 + (p >= 4)}\t"
        for p in range(8)
        for v in (0, 8)
    )
    (warning,) = [w for w in read_study(study(tmp_path, rows=rows)).warnings if "confounded" in w]
    assert (
        "batch is confounded with arm (bias-corrected Cramer's V 1.00, permutation p " in warning
        and "8 patients" in warning
    )


def test_a_matrix_that_fits_is_no_fault_and_no_warning(tmp_path: Path) -> None:
    config = study(tmp_path, SPILL="2,A,B,1,0.1,0,1")
    assert not [warning for warning in check_files(read_study(config)) if "spill" in warning.lower()]


def test_a_matrix_of_other_channels_is_found_by_the_headers(tmp_path: Path) -> None:
    with pytest.raises(Faults) as caught:
        check_files(read_study(study(tmp_path, SPILL="2,A,X,1,0.1,0,1")))
    assert len(caught.value.messages) == 2
    assert "names channels that the file lacks (X)" in caught.value.messages[0]
    assert "sample 'a'" in caught.value.messages[0]


def test_a_csv_matrix_is_checked_against_the_files(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(",A,Y\nA,1,0.1\nY,0,1\n")
    with pytest.raises(Faults, match=r"lacks \(Y\)"):
        check_files(read_study(study(tmp_path, "{spillover: m.csv}", "mass_cytometry")))


def test_transformed_files_are_told_by_their_headers(tmp_path: Path) -> None:
    warnings = check_files(read_study(study(tmp_path, SPILL="2,A,B,1,0.1,0,1", TRANSFORMATION="custom")))
    assert len([warning for warning in warnings if "no spillover matrix is applied" in warning]) == 2


def rows_of(batch, arm) -> tuple[str, ...]:
    return tuple(f"{p}{v}\t{p}{v}.fcs\tP{p}\tD{v}\t{v}\t{arm(p, v)}\t{batch(p, v)}\t" for p in range(8) for v in (0, 8))


@pytest.mark.parametrize(
    ("batch", "told"),
    [
        (lambda p, v: f"b{p // 4}", "batch is confounded with arm (bias-corrected Cramer's V 1.00"),
        (lambda p, v: f"b{v}", "batch is confounded with visit"),
        # a batch for each patient: no association that Cramer's V would find
        (lambda p, v: f"b{p}", "each batch holds one arm only"),
    ],
)
def test_without_anchors_nothing_is_levelled_that_may_be_the_trials_effect(tmp_path: Path, batch, told: str) -> None:
    rows = rows_of(batch, lambda p, v: "drug" if p < 4 else "placebo")
    found = faults_of(study(tmp_path, "{batch: cycombine}", rows=rows))
    assert told in found
    assert "clean.batch: cycombine would take" in found
    assert "set clean.batch: none" in found


def test_without_anchors_mixed_batches_are_levelled(tmp_path: Path) -> None:
    rows = rows_of(lambda p, v: f"b{p % 2}", lambda p, v: "drug" if p < 4 else "placebo")
    assert read_study(study(tmp_path, "{batch: cycombine}", rows=rows)).clean.batch == "cycombine"


def test_without_anchors_few_patients_cannot_tell_a_batch(tmp_path: Path) -> None:
    rows = rows_of(lambda p, v: f"b{p % 4}", lambda p, v: "drug" if p < 4 else "placebo")
    few = tuple(row for row in rows if row[0] in "0145")
    assert "there are 3 ways to deal them" in faults_of(study(tmp_path, "{batch: cycombine}", rows=few))


def test_a_frozen_cohort_is_not_levelled_by_its_later_samples(tmp_path: Path) -> None:
    rows = rows_of(lambda p, v: f"b{p % 2}", lambda p, v: "drug" if p < 4 else "placebo")
    config = study(tmp_path, "{batch: cycombine}", rows=rows)
    config.write_text(config.read_text() + "cohort: {frozen: first/results/first/cohort}\n")
    assert "learns from all samples" in faults_of(config)
