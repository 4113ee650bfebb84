"""A study read from its files: types, defaults, warnings, and faults the gallery does not show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from treset.errors import Faults
from treset.plain import to_plain
from treset.study import panel_rows, read_study
from treset.study.faults import Collector
from treset.study.measurable import not_measurable, sentence
from treset.study.model import Condition, Config, GateOverride, Population
from treset.study.populations import packaged, read_populations, read_signatures
from treset.study.table import number

CONFIG = "study: s\nmodality: mass_cytometry\nsamples: samples.tsv\npanel: panel.tsv\nbaseline: D0\n"
TREG = """\
monitors:
  treg:
    endpoints:
      - {name: e, role: primary, population: Treg, measure: percent_of_parent, visit: D8}
"""
HEAD = "sample\tfile\tpatient\tvisit\tday"
ROWS = ("1\ta.fcs\tP1\tD0\t0", "2\tb.fcs\tP1\tD8\t8")
PANEL = "channel\tmarker\trole\n" + "".join(
    f"c{n}\t{marker}\tlineage\n" for n, marker in enumerate(("CD3", "CD19", "CD4", "CD8", "CD25", "CD127"))
)


def write(
    root: Path,
    config: str = CONFIG + TREG,
    head: str = HEAD,
    rows: tuple[str, ...] = ROWS,
    panel: str = PANEL,
    **others: str,
) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    files = {"config.yaml": config, "samples.tsv": "\n".join([head, *rows]) + "\n", "panel.tsv": panel}
    files |= {f"{name}.yaml": text for name, text in others.items()}
    for name, text in files.items():
        (root / name).write_text(text, encoding="utf-8", newline="")
    return root / "config.yaml"


def faults_of(config: Path, **options: object) -> list[str]:
    with pytest.raises(Faults) as caught:
        read_study(config, files=False, **options)  # type: ignore[arg-type]
    return [message.replace(f"{config.parent}/", "") for message in caught.value.messages]


def test_types_and_defaults(tmp_path: Path) -> None:
    head, rows = (
        f"{HEAD}\tdose\tanchor\tsite",
        ("007\ta.fcs\t01\tD0\t0\t0.5\t\tn.a.", "008\tb.fcs\t01\tD8\t8\t\tTRUE\t3"),
    )
    study = read_study(
        write(tmp_path, CONFIG + ("cohort: {sketch_cells: 5e3, resolution: 2}\n"), head, rows), files=False
    )
    table = study.samples
    assert list(table["sample"]) == ["007", "008"]
    assert table["day"].dtype == np.float64
    assert table["dose"].tolist()[0] == 0.5
    assert np.isnan(table["dose"].tolist()[1])
    assert table["anchor"].tolist() == [False, True]
    assert table["anchor"].dtype == bool
    assert list(table["site"]) == ["n.a.", "3"]
    assert list(table["arm"]) == ["", ""]
    assert isinstance(table["arm"].dtype, pd.StringDtype)
    assert list(table["file"]) == [str(tmp_path / "a.fcs"), str(tmp_path / "b.fcs")]
    assert study.results == tmp_path / "results" / "s"
    assert study.title == "s"
    assert study.cohort.sketch_cells == 5000
    assert isinstance(study.cohort.sketch_cells, int)
    assert isinstance(study.cohort.resolution, float)
    defaults = Config(study="s", modality="mass_cytometry", samples="samples.tsv")
    assert study.quality == defaults.quality
    assert study.monitors == defaults.monitors


def test_the_study_starts_above_a_folder_named_config(tmp_path: Path) -> None:
    write(
        tmp_path / "config",
        CONFIG.replace("samples.tsv", "config/samples.tsv").replace("panel.tsv", "config/panel.tsv"),
    )
    study = read_study(tmp_path / "config" / "config.yaml", files=False)
    assert study.root == tmp_path
    assert study.samples["file"].iloc[0] == str(tmp_path / "a.fcs")


def test_a_byte_order_mark_and_windows_line_ends_are_tolerated(tmp_path: Path) -> None:
    config = write(tmp_path)
    for name in ("config.yaml", "samples.tsv", "panel.tsv"):
        path = tmp_path / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert list(read_study(config, files=False).samples["sample"]) == ["1", "2"]


def test_command_line_values(tmp_path: Path) -> None:
    config = write(tmp_path)
    values = yaml.safe_load(config.read_text())
    # Snakemake hands nested values over as text
    merged = {**values, "seed": 7, "cohort": {"resolution": "0.5", "sketch_cells": "1000"}, "blinded": True}
    study = read_study(config, merged, files=False)
    assert (study.seed, study.cohort.resolution, study.cohort.sketch_cells, study.blinded) == (7, 0.5, 1000, True)
    assert "command line: seed is 'x', expected a whole number" in faults_of(config, values={**values, "seed": "x"})


def test_a_resolution_is_a_number_or_auto(tmp_path: Path) -> None:
    def read(text: str) -> object:
        return read_study(write(tmp_path, CONFIG + f"cohort: {{resolution: {text}}}\n"), files=False).cohort.resolution

    assert read("auto") == "auto" and read("2") == 2.0 and isinstance(read("2"), float)
    faults = faults_of(write(tmp_path, CONFIG + "cohort: {resolution: best, metaclusters: 2.5}\n"))
    assert any("cohort.resolution is 'best', expected: a number above 0, or auto" in fault for fault in faults)
    assert any(
        "cohort.metaclusters is 2.5 (a number), expected: a whole number from 2 to 90, or auto" in fault
        for fault in faults
    )
    values = {**yaml.safe_load(write(tmp_path).read_text()), "cohort": {"metaclusters": "12", "resolution": "auto"}}
    cohort = read_study(write(tmp_path), values, files=False).cohort
    assert (cohort.metaclusters, cohort.resolution) == (12, "auto")


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12))
def test_a_patient_id_stays_as_it_is_written(tmp_path_factory: pytest.TempPathFactory, patient: str) -> None:
    if '"' in patient:
        return
    config = write(tmp_path_factory.mktemp("s"), CONFIG, rows=(f"1\ta.fcs\t{patient}\tD0\t0",))
    assert list(read_study(config, files=False).samples["patient"]) == [patient]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8", 8.0),
        ("-7", -7.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1,5", None),
        ("nan", None),
        ("1_0", None),
        ("8 d", None),
    ],
)
def test_number(text: str, value: float | None) -> None:
    assert number(text) == value


def test_warnings_do_not_stop(tmp_path: Path) -> None:
    rows = (*ROWS, "3\tc.fcs\tP2\tD8\t8", "4\td.fcs\tP1\tD8\t8", "5\te.fcs\tP3\tD0\t9", "6\tf.fcs\tP3\tD8\t8")
    warnings = read_study(write(tmp_path, rows=rows), files=False).warnings
    text = "\n".join(warnings)
    assert "patient P2 has no sample at the baseline 'D0': not evaluable" in text
    assert "patient 'P1' at visit 'D8' is also in line 3" in text
    assert "visit 'D8' is not after the baseline 'D0' by its day for P3" in text
    assert "populations that cannot be measured" in text
    assert "without TCRgd: gdT" in text


def test_excluded_samples_are_kept_in_the_sheet(tmp_path: Path) -> None:
    config = write(
        tmp_path, head=f"{HEAD}\texclude", rows=(f"{ROWS[0]}\t", f"{ROWS[1]}\t", "3\tlost.fcs\tP2\tD0\t0\tfile lost")
    )
    for name in ("a.fcs", "b.fcs"):
        (tmp_path / name).touch()
    study = read_study(config)  # the excluded sample's file is not there
    assert len(study.samples) == 3
    assert list(study.included["sample"]) == ["1", "2"]


def test_files_that_will_be_simulated_need_not_be_there(tmp_path: Path) -> None:
    study = read_study(write(tmp_path, CONFIG + "simulate: {design: il2_open_label, events: 100}\n"))
    assert study.simulate == {"design": "il2_open_label", "events": 100}


def test_baseline_is_asked_for_by_a_monitor_only(tmp_path: Path) -> None:
    without = CONFIG.replace("baseline: D0\n", "")
    assert read_study(write(tmp_path, without), files=False).baseline == ""
    assert any("the key baseline is missing" in fault for fault in faults_of(write(tmp_path, without + TREG)))


def test_primary_visit_without_pairs_is_a_fault(tmp_path: Path) -> None:
    rows = ("1\ta.fcs\tP1\tD0\t0", "2\tb.fcs\tP2\tD8\t8")
    assert any(
        ("no patient has samples at both 'D0' and 'D8'") in fault for fault in faults_of(write(tmp_path, rows=rows))
    )


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("measure: percent_of_parent", "measure: percent_of_parent, parent: B", "'B' does not contain 'Treg'"),
        ("measure: percent_of_parent", "measure: count, parent: T", "a parent, which measure count does not use"),
        ("measure: percent_of_parent", "measure: count, marker: CD3", "a marker, which it does not use"),
        ("measure: percent_of_parent", "measure: ratio, marker: Tcnv", "named 'Tcnv' (did you mean 'Tconv'?)"),
        ("measure: percent_of_parent", "measure: signature, marker: Interferon", "with markers is named 'Interferon'"),
        ("visit: D8", "visit: D0", "compares the visit 'D0' with itself"),
        ("visit: D8", "visit: D8, baseline: D-7", "no sample has the visit 'D-7'"),
        ("role: primary", "role: secondary", "no primary endpoint"),
        ("visit: D8", "visit: 8", 'put it in quotes, "8"'),
    ],
)  # fmt: skip
def test_endpoints(tmp_path: Path, old: str, new: str, says: str) -> None:
    faults = faults_of(write(tmp_path, CONFIG + TREG.replace(old, new)))
    assert any(says in fault and fault.startswith("config.yaml, line") for fault in faults), faults


@pytest.mark.parametrize("parent", ["T", "CD4 T", "cells"])
def test_any_population_above_may_be_the_denominator(tmp_path: Path, parent: str) -> None:
    config = TREG.replace("visit: D8", f"visit: D8, parent: {parent}")
    study = read_study(write(tmp_path, CONFIG + config), files=False)
    assert study.monitors.treg is not None
    assert study.monitors.treg.endpoints[0].parent == parent


@pytest.mark.parametrize(
    ("bcell", "says"),
    [
        ("{b: B cell}", "no population of the tree is named 'B cell'"),
        ("{of: T}", "monitors.bcell.of is 'T', which does not contain 'B'; allowed: cells"),
        ("{naive: [NK]}", "names 'NK', which is not below 'B'"),
        ("{}", "needs the population 'B naive', which cannot be measured without IgD or IgM and CD27"),
    ],
)
def test_bcell_monitor(tmp_path: Path, bcell: str, says: str) -> None:
    faults = faults_of(write(tmp_path, CONFIG + f"monitors:\n  bcell: {bcell}\n"))
    assert any(says in fault for fault in faults), faults


def test_contrast_of_a_number_column(tmp_path: Path) -> None:
    rows = tuple(f"{row}\t{dose}" for row, dose in zip(ROWS, ("0", "10.0"), strict=True))
    config = CONFIG + 'monitors:\n  discovery: {column: dose, reference: "0", test: "10"}\n'
    assert read_study(write(tmp_path, config, f"{HEAD}\tdose", rows), files=False).monitors.discovery is not None
    config = config.replace('"10"', '"5"')
    assert any(
        "no sample's dose is '5'; found: 0, 10" in fault
        for fault in faults_of(write(tmp_path, config, f"{HEAD}\tdose", rows))
    )


@pytest.mark.parametrize(
    ("between", "says"),
    [
        ("{test: IL-2, reference: sham}", "no sample's arm is 'sham'; found: IL-2, placebo"),
        ("{test: IL-2, reference: IL-2}", "test and reference are both 'IL-2'"),
        ("{column: centre, test: a, reference: b}", "no column of groups named 'centre'"),
        ("{column: visit, test: D8, reference: D0}", "between.column is 'visit'"),
        ("{test: IL-2, reference: placebo}, pair: null", "between compares the changes within pairs"),
        ("{test: IL-2, reference: placebo}", ""),
    ],
)
def test_groups_whose_changes_are_compared(tmp_path: Path, between: str, says: str) -> None:
    rows = tuple(f"{row}\t{arm}" for row, arm in zip(ROWS, ("IL-2", "placebo"), strict=True))
    rows += tuple(
        f"{n}\t{n}.fcs\t{patient}\t{visit}\t{day}\t{arm}"
        for n, patient, visit, day, arm in (("x1", "A", "D0", 0, "IL-2"), ("x2", "A", "D8", 8, "IL-2"))
    )
    config = CONFIG + f"monitors:\n  discovery: {{column: visit, reference: D0, test: D8, between: {between}}}\n"
    folder = write(tmp_path, config, f"{HEAD}\tarm", rows)
    if says:
        assert any(says in fault for fault in faults_of(folder)), faults_of(folder)
    else:
        assert not [message for message in _messages(folder) if "between" in message]


def _messages(config: Path) -> list[str]:
    try:
        read_study(config, files=False)
    except Faults as caught:
        return list(caught.messages)
    return []


def test_aliases(tmp_path: Path) -> None:
    config = CONFIG + "aliases: {CD25: [IL2R], CD3: [il2r]}\n"
    assert any(
        ("alias 'il2r' is given to both 'CD25' and 'CD3'") in fault for fault in faults_of(write(tmp_path, config))
    )
    study = read_study(write(tmp_path, CONFIG + "aliases: {CD26: [DPP4]}\n"), files=False)
    assert any("'CD26', which is not in the panel (did you mean" in warning for warning in study.warnings)
    twice = PANEL + "c9\tIL2R\tlineage\n"
    faults = faults_of(write(tmp_path, CONFIG + "aliases: {CD25: [IL2R]}\n", panel=twice))
    assert any("the marker 'IL2R' is 'CD25', which was already given in line 6" in fault for fault in faults)


def test_ids_that_collide_on_some_file_systems(tmp_path: Path) -> None:
    rows = ("s1\ta.fcs\tP1\tD0\t0", "S1\tb.fcs\tP1\tD8\t8", "e\u0301\tc.fcs\tP2\tD0\t0", "\u00e9\td.fcs\tP2\tD8\t8")
    faults = faults_of(write(tmp_path, CONFIG, rows=rows))
    assert sum("by case or accents only" in fault for fault in faults) == 2


@pytest.mark.parametrize("sample", ["a/b", "a\\b", "..", ".hidden", "con.x", "x" * 101, "a{b}", "a:b", "x."])
def test_ids_that_cannot_be_folders(tmp_path: Path, sample: str) -> None:
    faults = faults_of(write(tmp_path, CONFIG, rows=(f"{sample}\ta.fcs\tP1\tD0\t0",)))
    assert len(faults) == 1
    assert "cannot name a folder" in faults[0]


def test_a_quote_that_is_not_closed(tmp_path: Path) -> None:
    faults = faults_of(write(tmp_path, CONFIG, rows=('1\ta.fcs\t"P1\tD0\t0', ROWS[1])))
    assert any("samples.tsv, line 2: a quote" in fault for fault in faults)


def test_panel_rows(tmp_path: Path) -> None:
    study = read_study(
        write(tmp_path, panel="channel\tmarker\trole\tcofactor\nc0\tCD3\tlineage\t5\nc1\t\tdna\t\n", config=CONFIG),
        files=False,
    )
    assert panel_rows(study) == [
        {"channel": "c0", "marker": "CD3", "role": "lineage", "cofactor": 5.0},
        {"channel": "c1", "marker": "", "role": "dna", "cofactor": None},
    ]


def test_a_panel_of_an_rna_study_is_a_fault(tmp_path: Path) -> None:
    faults = faults_of(
        write(tmp_path, CONFIG.replace("mass_cytometry", "rna"), rows=tuple(row.replace("fcs", "h5") for row in ROWS))
    )
    assert faults == [
        ("config.yaml, line 4, column 1: a panel is for cytometry, and the modality is rna: remove the key panel")
    ]


# ---- trees


def tree(tmp_path: Path, text: str) -> tuple[tuple[Population, ...] | None, list[str]]:
    file = tmp_path / "p.yaml"
    file.write_text("populations:\n" + text, encoding="utf-8")
    faults = Collector()
    return read_populations(file, faults), faults.messages()


@pytest.mark.parametrize("modality", ["mass_cytometry", "flow_cytometry", "rna"])
def test_the_packaged_trees_and_signatures_are_valid(modality: str) -> None:
    faults = Collector()
    populations = read_populations(packaged("populations", modality), faults)  # type: ignore[arg-type]
    signatures = read_signatures(packaged("signatures", modality), faults)  # type: ignore[arg-type]
    assert faults.messages() == []
    assert populations
    assert signatures
    assert {"T", "B", "NK", "Treg", "Tconv"} <= {population.name for population in populations}
    assert all(population.source and population.ontology for population in populations)
    seen: set[str | None] = {None}
    for population in populations:
        assert population.parent in seen
        assert set(population.without) <= seen
        seen.add(population.name)


def test_rules(tmp_path: Path) -> None:
    found, faults = tree(
        tmp_path,
        '  - {name: B, parent: A, rule: {"CD3D,CD3E": hi}, where_measured: {FOXP3: "+"}, without: [C]}\n'
        '  - {name: A, rule: {"CD19|CD20": "-"}, parent: cells}\n'
        '  - {name: C, parent: A, rule: {X: "+"}}\n',
    )
    assert faults == []
    assert found is not None
    assert [population.name for population in found] == ["A", "C", "B"]
    assert found[0].parent is None
    assert found[0].conditions == (Condition(("CD19", "CD20"), "-", "first"),)
    assert found[2].conditions == (
        Condition(("CD3D", "CD3E"), "hi", "mean"),
        Condition(("FOXP3",), "+", "first", optional=True),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('  - {name: cells, rule: {A: "+"}}\n', "reserved for the root"),
        ('  - {name: C07, rule: {A: "+"}}\n', "reserved for a cluster"),
        ("  - {name: A, rule: {}}\n", "the rule of 'A' is empty"),
        ('  - {name: A, rule: {"X|Y,Z": "+"}}\n', "mixes | (first measured) and , (mean)"),
        ('  - {name: A, rule: {"X|": "+"}}\n', "a blank marker name"),
        ('  - {name: A, rule: {X: "+"}, where_measured: {X: "-"}}\n', "in rule and in where_measured"),
        ('  - {name: A, rule: {X: "+"}}\n  - {name: A, rule: {Y: "+"}}\n', "'A' was already given in line 2"),
        ('  - {name: A, rule: {X: "+"}, without: [B]}\n', "without 'B', which is no population"),
        (
            ('  - {name: A, rule: {X: "+"}}\n  - {name: B, rule: {X: "-"}, parent: A, without: [A]}\n'),
            "not one of its siblings",
        ),
        ('  - {name: A, rule: {X: "+"}, ontology: 815}\n', "expected text or null"),
        ('  - {name: A, rule: {X: "+"}, ontology: CL_815}\n', "a Cell Ontology id such as"),
        ("  - {name: A, rule: {X: yes}}\n", "YAML 1.1 reads as true"),
        ("  - {name: A, rule: {X: 1}}\n", "1 (a number)"),
    ],
)
def test_faulty_trees(tmp_path: Path, text: str, says: str) -> None:
    _, faults = tree(tmp_path, text)
    assert any(says in fault for fault in faults), faults


def test_what_cannot_be_measured() -> None:
    populations = (
        Population("T", None, (Condition(("CD3",), "+"), Condition(("CD19", "CD20"), "-"))),
        Population("Treg", "T", (Condition(("CD25",), "hi"), Condition(("FOXP3",), "+", optional=True))),
        Population("B", None, (Condition(("CCR7",), "+"),)),
    )
    assert not_measurable(populations, {"CD3", "CD20", "CD25", "CCR7"}) == {}
    assert sentence({}) is None
    reasons = {"T": "without CD19 or CD20", "Treg": "without CD19 or CD20", "B": "without CCR7"}
    assert not_measurable(populations, {"CD3", "CD25"}) == reasons
    assert "without CD19 or CD20: T, Treg" in (sentence(reasons) or "")
    # a synonym is the same marker, for genes it is another gene
    assert "B" not in not_measurable(populations, {"CD3", "CD25", "CD197"})
    assert "B" in not_measurable(populations, {"CD3", "CD25", "CD197"}, "rna")


def test_settings_survive_the_way_to_another_node(tmp_path: Path) -> None:
    study = read_study(write(tmp_path), files=False)
    assert yaml.safe_load(yaml.safe_dump(to_plain(study.monitors))) == to_plain(study.monitors)


def test_a_file_name_that_no_folder_can_hold_is_a_missing_file(tmp_path: Path) -> None:
    config = write(tmp_path, CONFIG, rows=(f"1\t{'x' * 300}.fcs\tP1\tD0\t0", "2\tnone/b.fcs\tP1\tD8\t8"))
    with pytest.raises(Faults) as caught:
        read_study(config)
    assert ["does not exist" in message for message in caught.value.messages] == [True, True]
    assert "its folder" in caught.value.messages[1]


GATES = """\
gates:
  overrides:
    - {marker: CD25 - CD127, threshold: 1.2, population: Treg}
    - {marker: CD4, threshold: 2.0, sample: "2"}
"""


def test_thresholds_set_by_hand(tmp_path: Path) -> None:
    study = read_study(write(tmp_path, CONFIG + TREG + GATES), files=False)
    assert study.gates.per_sample
    assert study.gates.overrides == (
        GateOverride("CD25 - CD127", 1.2, population="Treg"),
        GateOverride("CD4", 2.0, sample="2"),
    )


def test_thresholds_set_by_hand_for_what_is_not_in_the_sheet(tmp_path: Path) -> None:
    faults = faults_of(write(tmp_path, CONFIG + TREG + GATES.replace('"2"', '"7"')))
    assert any("the override of CD4 is for sample '7', which no included sample has" in fault for fault in faults)


def test_differences_and_conditions_in_order_that_may_be_missing(tmp_path: Path) -> None:
    head = "  - name: A\n    rule: "
    populations, faults = tree(tmp_path, head + '{"CD16?": "-", "CD25 - CD127": pos}\n')
    assert faults == [] and populations is not None
    assert populations[0].conditions == (
        Condition(("CD16",), "-", optional=True),
        Condition(("CD25", "CD127"), "pos", "difference"),
    )
    _, faults = tree(tmp_path, head + '{"A - B - C": pos}\n')
    assert "no difference of two markers" in faults[0]
