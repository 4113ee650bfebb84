"""Compensation against scipy, hand calculation, and single-stained beads."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import nnls as scipy_nnls
from typer.testing import CliRunner

from treset.clean.debarcode import apply_cutoffs, assign, cutoffs, single_stain_key
from treset.clean.masses import metal_mass, receives
from treset.clean.nnls import nnls
from treset.clean.prepare import clean_sample
from treset.clean.single_stains import spillover_matrix
from treset.clean.spillover import already_compensated, compensate_flow, compensate_mass, read_spillover_csv
from treset.cli.commands import app
from treset.errors import TresetError
from treset.io.fcs import write_fcs
from treset.io.spill import Spillover, parse_spillover
from treset.jobs.spillover import measure_spillover
from treset.study.model import Clean


def spill(matrix, emitters=("A", "B"), receivers=("A", "B")):
    return Spillover("a test", tuple(emitters), tuple(receivers), np.array(matrix, dtype=float))


@settings(max_examples=60, deadline=None)
@given(
    targets=hnp.arrays(np.float64, (12, 7), elements=st.floats(-50, 5000)),
    spread=st.floats(0, 0.9),
    seed=st.integers(0, 10_000),
)
def test_nnls_is_that_of_scipy(targets, spread, seed):
    matrix = np.eye(7) + spread * np.random.default_rng(seed).random((7, 7)) * (1 - np.eye(7))
    if np.linalg.cond(matrix) > 1e4:
        return
    expected = np.array([scipy_nnls(matrix.T, row)[0] for row in targets])
    assert nnls(matrix, targets) == pytest.approx(expected, abs=1e-6, rel=1e-6)


def test_nnls_of_a_matrix_far_from_the_identity():
    rng = np.random.default_rng(3)
    matrix, targets = rng.random((8, 10)) + 0.5, rng.random((40, 10)) * 100 - 20
    expected = np.array([scipy_nnls(matrix.T, row)[0] for row in targets])
    assert nnls(matrix, targets) == pytest.approx(expected, abs=1e-5)


def test_nnls_refuses_dependent_rows_and_wrong_shapes():
    with pytest.raises(TresetError, match="linearly dependent"):
        nnls(np.ones((2, 3)), np.ones((4, 3)))
    with pytest.raises(TresetError, match="do not agree"):
        nnls(np.eye(3), np.ones((4, 2)))
    with pytest.raises(TresetError, match="not finite"):
        nnls(np.eye(2), np.array([[np.nan, 1]]))


def test_flow_by_hand():
    # 100 of A spill 20 into B, 50 of B spill 5 into A
    seen = np.array([[105.0, 70.0, 7.0]])
    done = compensate_flow(seen, ["A", "B", "Time"], spill([[1, 0.2], [0.1, 1]]))
    assert done == pytest.approx(np.array([[100, 50, 7]]))
    assert seen[0, 0] == 105


def test_rows_in_another_order_than_columns():
    done = compensate_flow(np.array([[105.0, 70.0]]), ["A", "B"], spill([[0.1, 1], [1, 0.2]], ("B", "A")))
    assert done == pytest.approx(np.array([[100, 50]]))


def test_flow_keeps_values_below_zero_and_mass_has_none():
    seen = np.array([[0.0, 10.0]])
    matrix = spill([[1, 0], [0.5, 1]])
    assert compensate_flow(seen, ["A", "B"], matrix)[0, 0] == pytest.approx(-5)
    mass = compensate_mass(seen, ["A", "B"], matrix)
    assert mass.min() >= 0
    # min over b of (0.5 b)^2 + (10 - b)^2 with a = 0
    assert mass == pytest.approx(np.array([[0, 8]]))


def test_mass_channels_without_a_row_spill_nowhere():
    done = compensate_mass(np.array([[100.0, 7.0]]), ["A", "B"], spill([[1, 0.05]], ("A",)))
    assert done == pytest.approx(np.array([[100, 2]]))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda: compensate_flow(np.ones((1, 1)), ["A"], spill(np.eye(2))),
            r"names channels that the file lacks \(B\)",
        ),
        (lambda: compensate_flow(np.ones((1, 2)), ["A", "B"], spill([[1, 1], [1, 1]])), "cannot be inverted"),
        (lambda: compensate_flow(np.ones((1, 2)), ["A", "B"], spill([[1, 0.1]], ("A",))), "needs a square matrix"),
        (lambda: parse_spillover("SPILL", "2,A,B,1,0.1,0"), "is no spillover matrix"),
        (lambda: parse_spillover("SPILL", "2,A,B,1,x,0,1"), "could not convert"),
        (lambda: parse_spillover("SPILL", "2,A,A,1,0,0,1"), "twice"),
        (lambda: parse_spillover("SPILL", "2,A,B,0,1,0,1"), "no signal in its own channel"),
        (lambda: parse_spillover("SPILL", "2,A,B,1,nan,0,1"), "not finite"),
    ],
)
def test_faults_are_one_sentence(change, sentence):
    with pytest.raises(TresetError, match=sentence) as raised:
        change()
    assert "\n" not in str(raised.value)


def test_rows_are_scaled_to_their_own_channel():
    assert parse_spillover("SPILL", "2,A,B,2,0.2,0,1").matrix == pytest.approx(np.array([[1, 0.1], [0, 1]]))


def test_csv(tmp_path: Path):
    path = tmp_path / "m.csv"
    path.write_text(",A,B,C\nA,1,0.1,0\nB,0,1,0.02\n")
    read = read_spillover_csv(path)
    assert (read.emitters, read.receivers) == (("A", "B"), ("A", "B", "C"))
    path.write_text("x,A\nB,1\n")
    with pytest.raises(TresetError, match="rows without a column"):
        read_spillover_csv(path)
    path.write_text("x,A\nA,one\n")
    with pytest.raises(TresetError, match="expected a number"):
        read_spillover_csv(path)
    with pytest.raises(TresetError, match="no such file"):
        read_spillover_csv(tmp_path / "none.csv")


def test_a_file_exported_compensated_is_left_alone():
    matrix = spill(np.eye(2) + 0.1)
    assert already_compensated(["Comp-A", "Comp-B", "Time"], matrix)
    assert not already_compensated(["A", "B"], matrix)


def flow_sample(keyword=None):
    events = np.array([[105.0, 70.0], [105.0, 70.0]], dtype=np.float32)
    var = pd.DataFrame({"marker": ["CD3", "CD4"], "role": "lineage", "cofactor": np.nan}, index=["A", "B"])
    return AnnData(events, var=var, uns={"treset_spillover": keyword} if keyword else {})


def test_the_files_own_matrix_is_applied_to_flow_and_told():
    adata = flow_sample({"keyword": "SPILL", "text": "2,A,B,1,0.2,0.1,1"})
    done = clean_sample(adata, Clean(), "flow_cytometry", "s1")
    assert np.allclose(adata.X, [[100, 50], [100, 50]])
    assert adata.X.dtype == np.float32
    assert "treset_spillover" not in adata.uns
    assert done.rows[0][-1] == "keyword SPILL, 2 stains, inverse of the matrix"
    assert done.rows[1][:3] == ("spillover", "median", "A")
    assert done.rows[1][3:5] == pytest.approx((105, 100))


@pytest.mark.parametrize(
    ("asked", "modality", "told"),
    [
        (Clean(spillover="none"), "flow_cytometry", "switched off"),
        (Clean(), "mass_cytometry", "only a CSV matrix"),
    ],
)
def test_a_matrix_that_is_not_applied_is_told(asked, modality, told):
    adata = flow_sample({"keyword": "SPILL", "text": "2,A,B,1,0.2,0.1,1"})
    done = clean_sample(adata, asked, modality, "s1")
    assert told in done.rows[0][-1]
    assert adata.X[0, 0] == 105


@pytest.mark.parametrize(
    ("factor", "keyword", "told"),
    [(1, "custom", "TRANSFORMATION is 'custom'"), (0.04, "", "no value reaches 20 (the largest is 4.2)")],
)
def test_transformed_intensities_are_not_compensated(tmp_path: Path, factor, keyword, told):
    carried = {"keyword": "SPILL", "text": "2,A,B,1,0.2,0.1,1"}
    adata = flow_sample(carried)
    adata.uns["treset_transformation"] = keyword
    adata.X = (adata.X * factor).astype(np.float32)
    before = adata.X.copy()
    done = clean_sample(adata, Clean(), "flow_cytometry", "s1")
    assert told in done.rows[0][-1]
    assert len(done.rows) == 1
    np.testing.assert_array_equal(adata.X, before)
    path = tmp_path / "m.csv"
    path.write_text(",A,B\nA,1,0.2\nB,0.1,1\n")
    # a file of mass cytometry carries no matrix of its own, and the keyword counts all the same
    adata.uns["treset_transformation"] = keyword
    with pytest.raises(TresetError, match="a matrix is of linear ones"):
        clean_sample(adata, Clean(spillover=str(path)), "mass_cytometry", "s1")


def test_integers_made_linear_are_compensated():
    adata = flow_sample({"keyword": "SPILL", "text": "2,A,B,1,0.2,0.1,1"})
    adata.uns["treset_transformation"] = "applied"
    clean_sample(adata, Clean(), "flow_cytometry", "s1")
    assert np.allclose(adata.X, [[100, 50], [100, 50]])


def test_a_matrix_of_other_channels_stops_the_sample():
    adata = flow_sample({"keyword": "SPILL", "text": "2,A,X,1,0.2,0.1,1"})
    with pytest.raises(TresetError, match=r"^Sample s1: keyword SPILL: .* lacks \(X\)"):
        clean_sample(adata, Clean(), "flow_cytometry", "s1")


def test_masses_that_receive():
    assert metal_mass("(Pd102)Di") == ("Pd", 102)
    assert metal_mass("176Yb_CD45") == ("Yb", 176)
    assert metal_mass("Time") is None
    assert receives("Gd156Di", "Gd157Di")  # neighbour
    assert receives("La139Di", "Gd155Di")  # oxide
    assert receives("Nd142Di", "Nd150Di")  # isotope
    assert not receives("Nd142Di", "Lu175Di")
    assert not receives("Nd142Di", "Nd142Di")


def test_a_known_matrix_comes_back_from_single_stains():
    rng = np.random.default_rng(0)
    channels = ["Gd155Di", "Gd156Di", "Tb159Di", "Lu175Di"]
    truth = np.array([[1, 0.03, 0, 0], [0.01, 1, 0, 0], [0, 0, 1, 0.02], [0, 0, 0, 1]])
    stains = np.repeat(channels, 500)
    pure = np.zeros((2000, 4))
    pure[np.arange(2000), np.repeat(np.arange(4), 500)] = rng.lognormal(6, 0.3, 2000)
    seen = rng.poisson(pure @ truth + 2).astype(float)
    found = spillover_matrix(seen, channels, stains)
    assert found.matrix == pytest.approx(truth, abs=0.002)


def test_command_measures_a_matrix_that_a_study_can_read(tmp_path: Path):
    rng = np.random.default_rng(0)
    channels = ["Gd155Di", "Gd156Di", "Lu175Di"]
    truth = np.array([[1, 0.03, 0], [0.01, 1, 0], [0, 0, 1]])
    pure = np.zeros((1500, 3))
    pure[np.arange(1500), np.repeat(np.arange(3), 500)] = rng.lognormal(6, 0.3, 1500)
    seen = rng.poisson(pure @ truth + 1).astype(np.float32)
    source, out = tmp_path / "beads.fcs", tmp_path / "m.csv"
    write_fcs(source, seen, channels)
    result = CliRunner().invoke(app, ["spillover", str(source), "--stains", "155-156,175", "--out", str(out)])
    assert result.exit_code == 0, result.output
    read = read_spillover_csv(out)
    assert read.emitters == tuple(channels)
    assert read.matrix == pytest.approx(truth, abs=0.003)
    write_fcs(source, np.arcsinh(seen / 5), channels)
    with pytest.raises(TresetError, match="measured on raw counts"):
        measure_spillover(source, "155-156,175", out)
    with pytest.raises(TresetError, match="no channel of mass 160"):
        measure_spillover(source, "155,160", out)
    with pytest.raises(TresetError, match="is no mass and no range"):
        measure_spillover(source, "Gd155", out)


DATA = os.environ.get("TRESET_DATA")


@pytest.mark.realdata
@pytest.mark.skipif(DATA is None, reason="TRESET_DATA is not set")
def test_single_stained_beads_are_compensated_within_3_percent():
    from treset.io.fcs import read_fcs

    header, events = read_fcs(Path(str(DATA)) / "catalyst" / "ss_exp.fcs")
    channels = list(header.channels)
    stained = [c for c in channels if metal_mass(c)[1] in {139, *range(141, 157), *range(158, 177)}]
    key = single_stain_key(stained)
    first = assign(events[:, [channels.index(c) for c in stained]], key)
    assigned = apply_cutoffs(first, cutoffs(first, len(stained))).sample
    names = np.array([*stained, ""], dtype=object)[assigned]
    # measured on one half, judged on the other
    half = np.arange(len(events)) % 2 == 0
    matrix = spillover_matrix(events[half], channels, names[half])
    done, names = compensate_mass(events[~half], channels, matrix), names[~half]
    assert done.min() >= 0
    for stain in stained:
        medians = np.median(done[names == stain], axis=0)
        own = channels.index(stain)
        assert np.delete(medians, own).max() <= 0.03 * medians[own], stain


@pytest.mark.realdata
@pytest.mark.skipif(DATA is None, reason="TRESET_DATA is not set")
def test_a_public_flow_file_that_was_transformed_is_left_alone():
    from treset.io import read_sample

    adata = read_sample(Path(str(DATA)) / "flow_tcell" / "ff.fcs", "flow_cytometry")
    adata.var["role"], adata.var["cofactor"] = "lineage", np.nan
    before = adata.X.copy()
    done = clean_sample(adata, Clean(), "flow_cytometry", "ff")
    assert "was not applied: keyword TRANSFORMATION is 'custom'" in done.rows[0][-1]
    np.testing.assert_array_equal(adata.X, before)
