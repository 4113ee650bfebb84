from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from treset.errors import TresetError
from treset.normalise import cytometry, rna


def events():
    adata = AnnData(
        np.array([[1, 10, 5, 0], [2, 20, 50, -3]], np.float32),
        obs=pd.DataFrame({"keep": [True, False]}, index=["0", "1"]),
        uns={"treset_io": {"format": "FCS3.1"}},
    )
    adata.var_names = ["Time", "Nd142Di", "Er170Di", "Dy162Di"]
    adata.var["role"] = ["time", "lineage", "state", "lineage"]
    adata.var["marker"] = ["Time", "CD19", "pS6", "FOXP3"]
    adata.var["cofactor"] = [np.nan, np.nan, 1.0, np.nan]
    return adata


def test_default_cofactors():
    assert cytometry.default_cofactor("mass_cytometry") == 5
    assert cytometry.default_cofactor("flow_cytometry") == 150
    with pytest.raises(TresetError, match="rna"):
        cytometry.default_cofactor("rna")


def test_arcsinh_by_hand_with_own_cofactor_and_technical_aside():
    given_events = events()
    out = cytometry.transform(given_events, 5)
    assert list(out.var_names) == ["CD19", "pS6", "FOXP3"]
    assert list(out.var.columns) == ["role", "channel", "cofactor"]
    assert out.var["channel"].tolist() == ["Nd142Di", "Er170Di", "Dy162Di"]
    assert out.var["cofactor"].tolist() == [5, 1, 5]
    # arcsinh(x) = ln(x + sqrt(x^2 + 1)): arcsinh(10/5) = 1.443635, arcsinh(50) = 4.605270, arcsinh(-3/5) = -0.568825
    assert out.X[0, 0] == pytest.approx(1.443635, abs=1e-6)
    assert out.X[1, 1] == pytest.approx(4.605270, abs=1e-6)
    assert out.X[1, 2] == pytest.approx(-0.568825, abs=1e-6)
    assert out.X.dtype == np.float32
    assert out.layers["raw"].dtype == np.float32
    assert out.layers["raw"].tolist() == [[10, 5, 0], [20, 50, -3]]
    assert out.obsm["technical"].columns.tolist() == ["Time"]
    assert out.obsm["technical"]["Time"].tolist() == [1, 2]
    assert out.obs["keep"].tolist() == [True, False]
    assert out.uns["treset_io"]["format"] == "FCS3.1"
    assert given_events.X[0, 1] == 10


def test_many_events_are_transformed_as_few_are():
    values = np.random.default_rng(0).gamma(1.0, 50.0, (40_001, 3)).astype(np.float32)
    whole = np.arcsinh(values / np.array([5.0, 1.0, 150.0])).astype(np.float32)
    adata = AnnData(values)
    adata.var["role"], adata.var["marker"], adata.var["cofactor"] = "lineage", ["A", "B", "C"], [np.nan, 1.0, 150.0]
    assert np.array_equal(cytometry.transform(adata, 5).X, whole)


@given(values=arrays(np.float32, (5, 2), elements=st.floats(-1e6, 1e6, width=32)), cofactor=st.floats(0.5, 500))
@settings(max_examples=50, deadline=None)
def test_arcsinh_can_be_undone(values, cofactor):
    adata = AnnData(values)
    adata.var["role"], adata.var["marker"] = "lineage", ["A", "B"]
    out = cytometry.transform(adata, cofactor)
    assert np.sinh(out.X.astype(float)) * cofactor == pytest.approx(values.astype(float), rel=1e-4, abs=1e-3)


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("role", None, "apply the panel"),
        ("role", ["ignore"] * 4, "no channel has the role"),
        ("marker", ["Time", "X", "X", "Y"], "Nd142Di, Er170Di share the marker 'X'"),
        ("cofactor", [1.0, -2.0, 1.0, 1.0], "cofactor of marker 'CD19' is -2"),
    ],
)
def test_what_cannot_be_transformed_is_said(column, values, message):
    adata = events()
    if values is None:
        del adata.var[column]
    else:
        adata.var[column] = values
    with pytest.raises(TresetError, match=message):
        cytometry.transform(adata, 5)


def test_log_normalisation_agrees_with_the_formula_and_keeps_empty_cells():
    counts = np.array([[1, 0, 3], [0, 0, 0], [10, 20, 70]], np.float32)
    adata = AnnData(sp.csr_matrix(counts))
    out = rna.transform(adata, 10_000)
    assert out.X[0].toarray()[0] == pytest.approx(np.log1p([2500, 0, 7500]), rel=1e-6)
    assert out.X[1].nnz == 0
    assert out.X[2].toarray()[0] == pytest.approx(np.log1p([1000, 2000, 7000]), rel=1e-6)
    assert out.X.dtype == np.float32
    assert (out.layers["raw"].toarray() == counts).all()
    assert (adata.X.toarray() == counts).all()


@given(arrays(np.int64, (6, 9), elements=st.integers(0, 50)))
@settings(max_examples=50, deadline=None)
def test_every_cell_sums_to_the_target(counts):
    out = rna.log_normalise(sp.csr_matrix(counts.astype(np.float32)), 1e4)
    sums = np.expm1(out.toarray().astype(float)).sum(axis=1)
    assert sums == pytest.approx(np.where(counts.sum(axis=1) > 0, 1e4, 0), rel=1e-4)


def test_antibodies_are_set_aside_raw():
    adata = AnnData(sp.csr_matrix(np.array([[5, 5, 900]], np.float32)))
    adata.var_names = ["CD3D", "CD4", "CD3_protein"]
    adata.var["feature_type"] = ["Gene Expression", "Gene Expression", "Antibody Capture"]
    out = rna.transform(adata, 1e4)
    assert list(out.var_names) == ["CD3D", "CD4"]
    assert out.X.toarray()[0] == pytest.approx(np.log1p([5000, 5000]), rel=1e-6)
    assert out.obsm["technical"]["CD3_protein"].tolist() == [900]


@pytest.mark.parametrize("target", [0, -1, float("nan")])
def test_target_sum_must_be_above_zero(target):
    with pytest.raises(TresetError, match="target_sum"):
        rna.transform(AnnData(sp.csr_matrix((1, 1), dtype=np.float32)), target)
