"""Panels: names cleaned, roles proposed, files reconciled, and nothing guessed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from treset.errors import Faults
from treset.io.markers import ALIASES, key
from treset.io.panel import apply_panel, canonical, clean_marker, propose_panel, reconcile
from treset.study.model import ROLES


@pytest.mark.parametrize(
    ("channel", "marker", "expected"),
    [
        ("Er166Di", "166Er_CD25", "CD25"),
        ("CD3(110:114)Dd", "", "CD3"),
        ("pNFkB(Nd142)Dd", "pNFkB", "pNFkB"),
        ("HLA-DR(Yb174)Dd", "", "HLA-DR"),
        ("DNA-1(Ir191)Dd", "", "DNA-1"),
        ("Ho165Di", "CD127 (IL-7Ra)", "CD127"),
        ("Ho165Di", "CD25/IL2RA", "CD25"),
        ("Pd102Di", "102Pd_CD45-BC2", "CD45-BC2"),
        ("Yb174Di", "174Yb_HLA-DR", "HLA-DR"),
        ("Cd111Di", "111Cd_CD3", "CD3"),
        ("In115Di", "CD45", "CD45"),
        ("Er166Di", "CD25_166Er", "CD25"),
        ("Er166Di", "Er166Di", ""),
        ("Er166Di", "", ""),
        ("(Pd102)Di", "BC102", "BC102"),
        ("In113Di", "CD235ab_CD61", "CD235ab_CD61"),
        ("PE-A", "NK1/1", "NK1/1"),
        ("AmCyan-A", "l/d", "l/d"),
        ("PE-Cy7-A", "CD3 PE-Cy7", "CD3"),
        ("BV421-A", "CD127 BV421", "CD127"),
        ("PE-A", "PE", ""),
        ("FL1-H", "", ""),
        ("FSC-A", "", "FSC-A"),
        ("Time", "", "Time"),
        ("Event_length", "", "Event_length"),
    ],
)
def test_clean_marker(channel: str, marker: str, expected: str) -> None:
    assert clean_marker(channel, marker) == expected


_MASS = {
    "Time": ("", "time"),
    "Event_length": ("", "gaussian"),
    "Center": ("", "gaussian"),
    "Width": ("", "gaussian"),
    "Residual": ("", "gaussian"),
    "Ce140Di": ("140Ce_Beads", "bead"),
    "Ir191Di": ("191Ir_DNA1", "dna"),
    "Ir193Di": ("", "dna"),
    "Pt195Di": ("195Pt_Live", "viability"),
    "Pt198Di": ("", "viability"),
    "Pd102Di": ("102Pd_CD45-BC2", "barcode"),
    "Pd104Di": ("BC1", "barcode"),
    "Ba138Di": ("", "ignore"),
    "beadDist": ("beadDist", "ignore"),
    "Er166Di": ("166Er_CD25", "lineage"),
    "Ho165Di": ("165Ho_FOXP3", "lineage"),
    "Pr141Di": ("141Pr_pSTAT5", "state"),
    "Nd142Di": ("142Nd_Ki-67", "state"),
    "Nd143Di": ("143Nd_CTLA-4", "state"),
    "Nd144Di": ("144Nd_PD-1", "state"),
    "Nd145Di": ("145Nd_pDC", "lineage"),
    "Nd146Di": ("146Nd_CD152", "state"),
}


def _headers(channels: dict[str, tuple[str, str]]) -> tuple[list[str], list[str]]:
    return list(channels), [marker for marker, _ in channels.values()]


def test_proposed_roles() -> None:
    panel = propose_panel({"s1": _headers(_MASS)})
    assert dict(zip(panel["channel"], panel["role"], strict=True)) == {c: role for c, (_, role) in _MASS.items()}
    assert set(panel["role"]) <= set(ROLES)
    assert list(panel.columns) == ["channel", "marker", "role", "cofactor"]
    assert panel["cofactor"].isna().all() and panel["cofactor"].dtype == np.float64
    assert (panel["marker"] != "").all()


def test_proposed_roles_of_flow_cytometry() -> None:
    channels = {
        "FSC-A": ("", "scatter"),
        "SSC-W": ("", "scatter"),
        "AmCyan-A": ("l/d", "viability"),
        "BV605-A": ("Zombie Aqua", "viability"),
        "APC-A": ("TCRgd", "lineage"),
        "Qdot 605-A": ("", "ignore"),
        "Width": ("Width", "ignore"),
        "Time": ("", "time"),
    }
    panel = propose_panel({"s1": _headers(channels)})
    assert dict(zip(panel["channel"], panel["role"], strict=True)) == {c: role for c, (_, role) in channels.items()}


def test_a_proposed_panel_has_unique_markers() -> None:
    panel = propose_panel({"s1": (["Nd143Di", "Nd146Di", "Er170Di"], ["CD68", "CD68", "CD3"])})
    assert list(panel["marker"]) == ["CD68 (Nd143Di)", "CD68 (Nd146Di)", "CD3"]
    table = reconcile({"s1": (["Nd143Di", "Nd146Di", "Er170Di"], ["CD68", "CD68", "CD3"])}, panel)
    assert list(table["how"]) == ["channel"] * 3


def test_a_panel_is_proposed_from_files_that_agree_only() -> None:
    panel = propose_panel({"a": (["Er166Di"], ["CD25"]), "b": (["Er166Di"], ["166Er_IL2RA"]), "c": (["Er166Di"], [""])})
    assert list(panel["marker"]) == ["CD25"]
    with pytest.raises(Faults, match="Channel Er166Di is 'CD25' in sample a and 'CD4' in sample b"):
        propose_panel({"a": (["Er166Di"], ["CD25"]), "b": (["Er166Di"], ["CD4"])})


def _panel(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["channel", "marker", "role"]).assign(cofactor=np.nan)


_PANEL = _panel(("Er166Di", "CD25", "lineage"), ("Ho165Di", "CD127", "lineage"), ("Ir191Di", "DNA1", "dna"))


@pytest.mark.parametrize(
    ("channels", "markers", "expected"),
    [
        (["Er166Di", "Ho165Di", "Ir191Di"], ["166Er_CD25", "", "x"], ["channel", "channel", "channel"]),
        (["a", "b", "c"], ["CD25", "165Ho_CD127", "dna-1"], ["marker", "marker", "spelling"]),
        (["a", "b", "c"], ["IL-2Ra", "IL7R", ""], ["alias", "alias", "missing"]),
        (["Ho165Di", "Er166Di", "c"], ["CD25", "CD127", ""], ["marker", "marker", "missing"]),
        (["Er166Di", "Ho165Di"], ["CXCR5", "CD127"], ["contradicted", "channel", "missing"]),
        (["a", "b", "Ho165Di"], ["CD25", "CD25", ""], ["ambiguous", "channel", "missing"]),
        (["a", "b"], ["my25", "CD127"], ["alias", "marker", "missing"]),
    ],
)
def test_reconcile(channels: list[str], markers: list[str], expected: list[str]) -> None:
    table = reconcile({"s1": (channels, markers)}, _PANEL, {"CD25": ("my25",)})
    assert list(table.columns) == ["sample", "marker", "channel", "how"]
    assert list(table["how"]) == expected
    assert ((table["channel"] == "") == table["how"].isin(["missing", "contradicted", "ambiguous"])).all()


def test_channels_that_swapped_their_markers_follow_the_marker() -> None:
    table = reconcile({"s1": (["Ho165Di", "Er166Di"], ["CD25", "CD127"])}, _PANEL)
    assert dict(zip(table["marker"], table["channel"], strict=True))["CD25"] == "Ho165Di"


def test_built_in_synonyms_do_not_contradict_one_another() -> None:
    groups: dict[str, set[str]] = {}
    for name, others in ALIASES.items():
        for other in (name, *others):
            groups.setdefault(key(other), set()).add(key(name))
    assert {name: roots for name, roots in groups.items() if len(roots) > 1} == {}
    for one, other in [("IL-7Ra", "CD127"), ("TCR-γδ", "TCRgd"), ("gdTCR", "TCRgammadelta"), ("HLADR", "HLA-DR")]:
        assert canonical(one) == canonical(other)
    assert canonical("CCR7") == canonical("CD197") and canonical("FoxP3") == canonical("FOXP3")
    assert canonical("CD3") != canonical("CD33") and canonical("STAT5") != canonical("pSTAT5")


def _sample(channels: list[str], markers: list[str]) -> AnnData:
    values = np.ones((4, len(channels)), dtype=np.float32)
    return AnnData(values, var=pd.DataFrame({"marker": markers}, index=channels))


def test_apply_panel() -> None:
    adata = _sample(["Time", "Er166Di", "Ho165Di", "Ir191Di"], ["", "IL2RA", "CD127", ""])
    panel = _PANEL.assign(cofactor=[3.0, np.nan, np.nan])
    result = apply_panel(adata, panel, {}, "s1")
    assert list(result.var["role"]) == ["ignore", "lineage", "lineage", "dna"]
    assert list(result.var["marker"]) == ["", "CD25", "CD127", "DNA1"]
    assert result.var["cofactor"].iloc[1] == 3.0 and result.var["cofactor"].isna().sum() == 3
    assert result.uns["treset_panel"] == {
        "sample": ["s1"] * 3,
        "marker": ["CD25", "CD127", "DNA1"],
        "channel": ["Er166Di", "Ho165Di", "Ir191Di"],
        "how": ["channel"] * 3,
    }
    assert "role" not in adata.var


def test_missing_markers_are_named_all_at_once() -> None:
    panel = _panel(
        ("Er166Di", "CD25", "lineage"), ("x", "CD127", "state"), ("Ir191Di", "DNA1", "dna"), ("y", "z", "ignore")
    )
    with pytest.raises(Faults) as caught:
        apply_panel(_sample(["Er166Di", "q"], ["CXCR5", "CD12"]), panel, {}, "P07")
    first, second = caught.value.messages
    assert "Sample P07" in first and "'CD25' (channel Er166Di) is 'CXCR5' in the file" in first
    assert "'CD127'" in second and "did you mean 'CD12'?" in second


def test_several_matching_channels_are_not_guessed() -> None:
    with pytest.raises(Faults, match="matches several channels"):
        apply_panel(_sample(["a", "b"], ["CD25", "CD25"]), _panel(("q", "CD25", "lineage")), {}, "s")
