"""The parts of the report: numbers as text, scales, packing, what is computed for a picture."""

from __future__ import annotations

import base64
import gzip
import json
import math
from dataclasses import replace
from pathlib import Path

import fake_results
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from treset.report import svg, text
from treset.report.blind import names
from treset.report.blocks import download
from treset.report.cellmap import categories, level, marker_share, pack, quantise, safe_json, steps, z_order
from treset.report.context import Context, visits
from treset.report.figures.paired import direction, noted
from treset.report.figures.timeline import limits
from treset.report.read import read_results
from treset.report.sections.bcell import shares
from treset.report.sections.clusters import concordance, scale
from treset.report.sections.populations import cuts
from treset.report.sections.quality import by_sample


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (1.895, "1.90"),
        (9.996, "10.0"),
        (-0.01234, "\u22120.0123"),
        (123456, "123\u202f456"),
        (999.7, "1\u202f000"),
        (0.00001, "1.00e\u221205"),
        (math.nan, "\u2013"),
        (None, "\u2013"),
        (-math.inf, "\u2212\u221e"),
    ],
)
def test_numbers_are_written_for_people(value: float | None, shown: str) -> None:
    assert text.number(value) == shown


@given(st.floats(min_value=1e-4, max_value=1e9))
def test_a_written_number_is_the_number_to_three_digits(value: float) -> None:
    back = float(text.number(value).replace("\u202f", "").replace("\u2212", "-"))
    assert math.isclose(back, value, rel_tol=0.0051)


@pytest.mark.parametrize(
    ("p", "shown"), [(0.0009999, "<0.001"), (0.0213, "0.021"), (0.5, "0.50"), (math.nan, "\u2013")]
)
def test_p_values(p: float, shown: str) -> None:
    assert text.p_value(p) == shown


def test_effects_are_written_on_their_scale() -> None:
    assert text.change(math.log(1.9), "log_ratio") == "\u00d71.90"
    assert text.change(-12.5, "percent_change") == "\u221212.5\u202f%"
    assert text.change(0.7, "difference") == "+0.700"
    assert text.change(40, "percent") == "40.0\u202f%"
    assert text.interval(math.log(1.6), math.log(2.3), "log_ratio") == "\u00d71.60 to \u00d72.30"
    assert text.interval(math.nan, math.nan, "difference") == "no interval"


def test_measures_name_their_denominator() -> None:
    assert text.measure("percent_of_parent", "Treg", "CD4 T") == "Treg, % of CD4 T"
    assert text.measure("median", "Treg", "CD4 T", "CD25") == "CD25 on Treg, median (arcsinh)"
    assert text.measure("ratio", "Treg", "CD4 T", "Tconv") == "Treg / Tconv ratio"


@given(st.text())
def test_any_text_stays_text_in_svg(value: str) -> None:
    drawing = svg.Drawing(10, 10, value)
    drawing.text(1, 1, value, label=value)
    drawing.mark(1, 1, 0, 2, "#000", value)
    made = str(drawing.markup())
    assert made.count("<") == made.count(">")
    assert made.count("<script") == 0
    assert str(Markup.escape(value)) in made


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_lie_inside_and_are_few(low: float, span: float) -> None:
    ticks = svg.nice_ticks(low, low + span, 5)
    assert len(ticks) <= 7
    assert all(low - 1e-6 * span <= t <= low + span * (1 + 1e-6) for t in ticks)


def test_scales_meet_their_ends() -> None:
    log = svg.Log(0.01, 100, 200, 0)
    assert [log(0.01), log(1), log(100)] == pytest.approx([200, 100, 0])
    assert log(1e-9) == pytest.approx(200)  # held inside
    assert svg.Linear(0, 10, 0, 100)(2.5) == pytest.approx(25)
    assert 1 in svg.Log(0.8, 3, 0, 1).ticks(4)


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.1."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        (svg.INK, "#ffffff"),
        (svg.SOFT, "#ffffff"),
        (svg.SOFT, "#f4f6f8"),
        ("#8a4b00", "#fff7ec"),
        ("#ffffff", "#1a7353"),
        ("#ffffff", "#4a5968"),
        ("#ffffff", "#8a4b00"),
        ("#0b4f8a", "#ffffff"),
        ("#1a7353", "#ffffff"),
    ],
)
def test_text_has_contrast(ink: str, ground: str) -> None:
    light, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
    css = (Path(svg.__file__).parent / "report.css").read_text(encoding="utf-8")
    assert ink in css + svg.INK + svg.SOFT or ink == "#ffffff"


def test_palette_is_at_most_ten_and_distinct() -> None:
    assert len(set(svg.PALETTE)) == len(svg.PALETTE) <= 10


def test_poisson_limits_are_garwoods() -> None:
    # Garwood 1936, table for 95 %: 0 -> (0, 3.689), 1 -> (0.0253, 5.572), 10 -> (4.795, 18.390)
    lower, upper = limits(np.array([0, 1, 10]), np.array([100, 100, 100]))
    assert lower == pytest.approx([0, 0.0253, 4.795], abs=1e-3)
    assert upper == pytest.approx([3.689, 5.572, 18.390], abs=1e-3)


def test_downloads_are_reproducible_and_exact() -> None:
    frame = pd.DataFrame({"x": [0.1 + 0.2, 1e-300], "name": ["007", "a\tb"]})
    made = download("a name/with:signs", frame)
    assert made == download("a name/with:signs", frame)
    assert made.name == "a_name_with_signs.tsv"
    back = gzip.decompress(base64.b64decode(made.data)).decode()
    assert "0.30000000000000004\t007" in back


def test_direction_counts_complete_pairs() -> None:
    values = pd.DataFrame({"pair": list("abcd"), "reference": [1, 2, 3, np.nan], "test": [2, 3, 1, 9]})
    assert direction(values) == "rises in 2 of 3 patients"
    assert direction(values.iloc[3:]) == "no complete pair"
    assert noted("down in 8 of 8 pairs; a change under the minimum of 0.1") == "falls in 8 of 8 patients"


def test_visits_are_ordered_by_day_not_by_name() -> None:
    table = pd.DataFrame({"visit": ["D8", "D28", "baseline", "extra"], "day": [8, 28, -7, np.nan]})
    assert visits(table) == ["baseline", "D8", "D28", "extra"]


def test_arms_are_found_as_whole_words() -> None:
    assert names("D8 vs D0, arm IL-2 high", ["IL-2 high"])
    assert names("(Placebo): n = 6", ["placebo"])
    assert not names("placebos are none", ["placebo"])
    assert not names("D8 vs D0", ["IL-2", "placebo"])


def test_json_cannot_leave_its_element() -> None:
    made = safe_json({"a": "</script><!--&\u2028"})
    assert not set("<>&\u2028") & set(made)
    assert json.loads(made) == {"a": "</script><!--&\u2028"}


def _walk(packed: np.ndarray, n: int) -> np.ndarray:
    """What report.js does with the steps of one axis."""
    folded = packed[:n].astype(int) | (packed[n : 2 * n].astype(int) << 8)
    return np.cumsum(np.where(folded & 1, -((folded + 1) >> 1), folded >> 1))


def test_steps_go_both_ways_over_the_whole_map() -> None:
    values = np.array([0, 16383, 0, 5, 4, 16383, 16382])
    packed = np.frombuffer(steps(values), "u1")
    assert _walk(packed, len(values)).tolist() == values.tolist()
    square = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [2, 0]])
    assert z_order(square).tolist() == [0, 1, 2, 3, 4]


def test_markers_are_thinned_before_any_is_left_out() -> None:
    assert marker_share(100_000, 40) == (1, 40) and marker_share(0, 0) == (1, 0)
    assert marker_share(500_000, 35) == (5, 35)
    every, kept = marker_share(500_000, 200)
    assert (every, kept) == (10, 80), "fifty thousand cells is the least that is drawn"
    assert marker_share(20_000, 60) == (1, 60) and marker_share(90_000, 40) == (1, 40)


def test_packed_map_is_the_sketch(tmp_path: Path) -> None:
    study = fake_results.il2(tmp_path, cells=500)
    results = read_results(study, tmp_path)
    assert results.sketch is not None
    payload, left_out = pack(Context(study, results), results.sketch)
    data = json.loads(payload)
    blob = gzip.decompress(base64.b64decode(data["blob"]))
    assert left_out == ""
    assert data["n"] == 500
    bytes_ = np.frombuffer(blob, "u1")
    places = [_walk(bytes_[1000 * axis :], 500) for axis in (0, 1)]
    umap = results.sketch.umap.astype(np.float64)
    wanted = [np.rint((u - u.min()) / (u.max() - u.min()) * (data["places"] - 1)).astype(int) for u in umap.T]
    curve = np.argsort(z_order(np.column_stack(wanted)), kind="stable")
    for axis in (0, 1):
        assert places[axis].tolist() == wanted[axis][curve].tolist()
    for field in data["fields"]:
        codes = np.frombuffer(blob, f"<u{field['bytes']}", 500, field["offset"])
        assert [field["names"][c] for c in codes] == results.sketch.obs[field["key"]].iloc[curve].tolist()
    marker = data["markers"][3]
    levels = np.frombuffer(blob, "u1", 500, marker["offset"])
    assert levels.max() == 15
    assert np.corrcoef(levels, results.sketch.X[curve, 3])[0, 1] > 0.97
    visit = next(s for s in data["sheet"] if s["key"] == "visit")
    samples = next(f for f in data["fields"] if f["key"] == "sample")["names"]
    assert all(s.split("_")[1] == visit["names"][v] for s, v in zip(samples, visit["of"], strict=True))


def test_cells_without_position_are_counted_not_hidden(tmp_path: Path) -> None:
    study = fake_results.il2(tmp_path, cells=100)
    results = read_results(study, tmp_path)
    assert results.sketch is not None and results.sketch.umap is not None
    results.sketch.umap[:3] = np.nan
    payload, left_out = pack(Context(study, results), results.sketch)
    assert json.loads(payload)["n"] == 97
    assert left_out == "3 cells have no position"


def test_packing_of_what_does_not_vary() -> None:
    assert quantise(np.full(3, 2.5, np.float32), 65535).tolist() == [0, 0, 0]
    assert level(np.zeros(4, np.float32))[0].tolist() == [0, 0, 0, 0]
    # 1 of 200 cells is positive: above the 99th percentile, which is 0; it must still be seen
    assert level(np.r_[np.zeros(199), 4].astype(np.float32))[0][-1] == 15
    found, codes = categories(pd.Series(["b", "a", "b", "c"]))
    assert found == ["b", "a", "c"]
    assert codes.tolist() == [0, 1, 0, 2]


def test_heat_is_scaled_by_marker() -> None:
    scaled = scale(pd.DataFrame({"CD3": [0.0, 2, 4], "flat": [1.0, 1, 1], "holes": [np.nan, 1, 3]}))
    assert scaled["CD3"].tolist() == [0, 0.5, 1]
    assert scaled["flat"].tolist() == [0, 0, 0]
    assert math.isnan(scaled["holes"][0]) and scaled["holes"][2] == 1


def test_concordance_by_hand(tmp_path: Path) -> None:
    study = fake_results.il2(tmp_path, cells=100)
    results = read_results(study, tmp_path)
    row = concordance(Context(study, results)).set_index("population").loc["Treg"]
    waist = pd.read_parquet(tmp_path / "profiles.parquet")
    waist = waist[(waist["population"] == "Treg") & (waist["measure"] == "percent_of_parent")]
    gate, cluster = (waist[waist["origin"] == o].set_index("sample")["value"] for o in ("gate", "cluster"))
    assert row["difference"] == pytest.approx((gate - cluster).abs().median())
    assert row["r"] == pytest.approx(np.corrcoef(gate, cluster.reindex(gate.index))[0, 1])
    assert row["samples"] == 34


def test_quality_adds_up(tmp_path: Path) -> None:
    study = fake_results.il2(tmp_path, cells=100)
    table = by_sample(Context(study, read_results(study, tmp_path)))
    dropped = table[["beads", "dna_singlets", "viability", "gaussian"]].sum(axis=1)
    assert (table["events"] - dropped == table["kept"]).all()
    assert table.loc[table["flag"] != "", "sample"].tolist() == ["P07_D28_poor"]


def test_naive_share_is_not_written_on_few_b_cells(tmp_path: Path) -> None:
    study = fake_results.cart(tmp_path, cells=100)
    context = Context(study, read_results(study, tmp_path))
    table = shares(context, study.monitors.bcell).set_index("sample")
    assert table.loc["L1_D30", ["share", "count"]].tolist() == [0, 0]
    assert math.isnan(table.loc["L1_D30", "naive"])
    row = table.loc["L1_D180"]
    counts = context.profiles[(context.profiles["sample"] == "L1_D180") & (context.profiles["measure"] == "count")]
    counts = counts[counts["origin"] == "gate"].set_index("population")["value"]
    assert row["naive"] == pytest.approx(100 * (counts["B naive"] + counts["B transitional"]) / counts["B"])


def test_share_of_an_ancestor_is_the_ratio_of_counts(tmp_path: Path) -> None:
    study = fake_results.il2(tmp_path, cells=100)
    context = Context(study, read_results(study, tmp_path))
    rows = context.values("Treg", "percent_of_parent", "gate", "T").set_index("sample")
    counts = context.profiles.query("measure == 'count' and origin == 'gate' and sample == 'P01_D8'").set_index(
        "population"
    )["value"]
    assert rows.loc["P01_D8", "value"] == pytest.approx(100 * counts["Treg"] / counts["T"])
    assert context.values("Treg", "percent_of_parent", "gate", "B").empty
    assert context.values("Treg", "percent_of_parent", "gate", "cells")["parent"].eq("CD4 T").all()


def test_cuts_hold_the_parents_cells_and_each_batchs_threshold(tmp_path: Path) -> None:
    study = fake_results.il2(tmp_path, cells=400)
    context = Context(study, read_results(study, tmp_path))
    found = {(c.parent, c.marker): c for c in cuts(context)}
    assert found["cells", "CD3"].thresholds == [("B1", 2.31), ("B2", 2.52)]
    assert len(found["cells", "CD3"].values) == 400
    # CD4 T and what lies below it in the tree: Treg
    inside = context.results.sketch.obs["population"].isin(["CD4 T", "Treg"])
    assert len(found["CD4 T", "CD25"].values) == int(inside.sum())


def test_percentages_of_the_map_are_those_of_all_cells_not_of_the_draw(tmp_path: Path) -> None:
    study = fake_results.il2(tmp_path, cells=400)
    results = read_results(study, tmp_path)
    assert "shares" not in json.loads(str(pack(Context(study, results), results.sketch)[0]))["fields"][0]
    # one population was drawn ten times as densely as it is
    inside = (results.sketch.obs["population"] == "Treg").to_numpy()
    weight = np.where(inside, 1.0, 10.0)
    drawn = replace(results.sketch, weight=weight)
    field = json.loads(str(pack(Context(study, results), drawn)[0]))["fields"][0]
    shares = dict(zip(field["names"], field["shares"], strict=True))
    assert inside.any() and shares["Treg"] == pytest.approx(100 * inside.sum() / weight.sum(), abs=1e-3)
    assert sum(shares.values()) == pytest.approx(100, abs=0.02)
    assert field["shares"] == sorted(field["shares"], reverse=True)
