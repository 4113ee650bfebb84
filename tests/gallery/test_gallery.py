"""The gallery of bad input: one good study, broken in one way at a time; every fault is one sentence with its place."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from good_study import CHANNELS, LINEAGE, MARKERS, SAMPLES, GoodStudy

from treset.errors import Faults, TresetError
from treset.io import check_values, read_sample
from treset.io.panel import apply_panel
from treset.study import check_files, panel_rows, read_study


@dataclass(frozen=True)
class Case:
    """One way to break the study; ``says`` are parts that one and the same sentence must hold (``a|b``: either)."""

    name: str
    break_it: Callable[[GoodStudy], object]
    says: tuple[str, ...]
    #: Config values from the command line.
    values: dict | None = None


CASES: list[Case] = []


def case(*says: str, values: dict | None = None) -> Callable[[Callable[[GoodStudy], object]], Callable]:
    def register(break_it: Callable[[GoodStudy], object]) -> Callable:
        CASES.append(Case(break_it.__name__.strip("_"), break_it, says, values))
        return break_it

    return register


# ---- the config


@case("config.yaml", "does not exist", "did you mean 'config.yml'?")
def _no_config(study: GoodStudy) -> None:
    study.config.rename(study.root / "config.yml")


@case("config.yaml, line 8, column 1", "unknown key 'qualty'", "did you mean 'quality'?")
def _config_typo(study: GoodStudy) -> None:
    study.replace("config.yaml", "quality:", "qualty:")


@case("config.yaml, line 9, column 15", "unknown key 'viabilty' in quality.cytometry", "did you mean 'viability'?")
def _config_typo_nested(study: GoodStudy) -> None:
    study.replace("config.yaml", "{viability: false}", "{viabilty: false}")


@case("config.yaml, line 3, column 1", "modality is 'mass-cytometry'", "did you mean 'mass_cytometry'?", "rna")
def _config_modality(study: GoodStudy) -> None:
    study.replace("config.yaml", "mass_cytometry", "mass-cytometry")


@case("config.yaml, line 7, column 1", "seed is 'one'", "expected a whole number")
def _config_text_for_number(study: GoodStudy) -> None:
    study.replace("config.yaml", "seed: 1", "seed: one")


@case("config.yaml, line 7, column 7", "seed is 010", "reads as 8", "in decimal")
def _config_octal(study: GoodStudy) -> None:
    study.replace("config.yaml", "seed: 1", "seed: 010")


@case("config.yaml, line 6, column 1", "baseline is 0 (a number)", 'put it in quotes, "0"')
def _config_number_for_label(study: GoodStudy) -> None:
    study.replace("config.yaml", "baseline: D0", "baseline: 0")


@case("config.yaml, line 6, column 11", "baseline is no", "YAML 1.1 reads as false", '"no" in quotes')
def _config_no_is_false(study: GoodStudy) -> None:
    study.replace("config.yaml", "baseline: D0", "baseline: no")


@case("config.yaml, line 20, column 1", "'seed' was already given in line 7")
def _config_duplicate_key(study: GoodStudy) -> None:
    study.append("config.yaml", "seed: 2\n")


@case("config.yaml, line 9, column 1", "a tab is used for indentation", "use spaces")
def _config_tab(study: GoodStudy) -> None:
    study.replace("config.yaml", "  cytometry:", "\tcytometry:")


@case("config.yaml, line 1", "lacks the key 'samples'", "add it")
def _config_no_samples(study: GoodStudy) -> None:
    study.replace("config.yaml", "samples: samples.tsv\n", "")


@case("config.yaml, line 2", "byte 0xE9 is not UTF-8", "save it as UTF-8")
def _config_latin1(study: GoodStudy) -> None:
    study.config.write_bytes(study.config.read_bytes().replace(b"A tiny study", "Une étude".encode("latin-1")))


@case("config.yaml, line 9", "the YAML alias", "write the value out")
def _config_alias(study: GoodStudy) -> None:
    study.replace("config.yaml", "title: A tiny study", "title: &t A tiny study")
    study.replace("config.yaml", "{viability: false}", "{viability: *t}")


@case("config.yaml, line 20, column 11", "the YAML tag", "python/object", "not supported")
def _config_python_tag(study: GoodStudy) -> None:
    study.append("config.yaml", "simulate: !!python/object/apply:os.system [echo]\n")


@case("command line", "cohort.resolution is -1", "expected more than 0", values={"cohort": {"resolution": "-1"}})
def _command_line_value(study: GoodStudy) -> None:
    """Nothing in the files is wrong."""


@case("command line", "unknown key 'bakend'", "did you mean 'backend'?", values={"bakend": "gpu"})
def _command_line_typo(study: GoodStudy) -> None:
    """Nothing in the files is wrong."""


# ---- the questions


@case("config.yaml, line 17, column 9", "no sample has the visit 'D9'", "found: D0, D8")
def _visit_unknown(study: GoodStudy) -> None:
    study.replace("config.yaml", "        visit: D8", "        visit: D9")


@case("config.yaml, line 6", "no patient has a sample at the baseline", "'D1'", "found: D0, D8")
def _baseline_unknown(study: GoodStudy) -> None:
    study.replace("config.yaml", "baseline: D0", "baseline: D1")


@case("config.yaml, line 6", "only excluded or anchor samples have it", "'D0'")
def _no_patient_with_baseline(study: GoodStudy) -> None:
    lines = SAMPLES.splitlines()
    rows = [lines[0] + "\texclude", *(line + ("\tclotted" if "\tD0\t" in line else "\t") for line in lines[1:])]
    study.write("samples.tsv", "\n".join(rows) + "\n")


@case("config.yaml, line 15, column 9", "no population of the tree is named 'Tregs'", "did you mean 'Treg'?")
def _population_unknown(study: GoodStudy) -> None:
    study.replace("config.yaml", "        population: Treg\n", "        population: Tregs\n")


@case("config.yaml, line 18, column 74", "needs the marker 'cd-25'", "did you mean 'CD25'?", "panel.tsv")
def _endpoint_marker_unknown(study: GoodStudy) -> None:
    study.replace("config.yaml", "marker: CD25", "marker: cd-25")


@case("config.yaml, line 18, column 57", "measure median lacks the key marker")
def _endpoint_without_marker(study: GoodStudy) -> None:
    study.replace("config.yaml", "marker: CD25, ", "")


@case("config.yaml, line 12, column 5", "2 primary endpoints", "treg_expansion, cd25", "exactly one")
def _two_primaries(study: GoodStudy) -> None:
    study.replace("config.yaml", "role: secondary", "role: primary")


@case("config.yaml, line 16, column 9", "is per_ul, but no sample has cells_per_ul", "samples.tsv")
def _per_ul_without_counts(study: GoodStudy) -> None:
    study.replace("config.yaml", "measure: percent_of_parent", "measure: per_ul")


@case("config.yaml, line 19, column 45", "no sample's visit is 'D7'", "found: D0, D8")
def _contrast_label_unknown(study: GoodStudy) -> None:
    study.replace("config.yaml", "test: D8}", "test: D7}")


@case("config.yaml, line 19, column 15", "the sheet has no column to contrast named 'stimulus'", "found: patient")
def _contrast_column_unknown(study: GoodStudy) -> None:
    study.replace("config.yaml", "column: visit", "column: stimulus")


@case("config.yaml, line 19, column 55", "no batch has samples of both", "pair: null")
def _nothing_to_pair(study: GoodStudy) -> None:
    study.replace("config.yaml", "test: D8}", "test: D8, pair: batch}")
    study.write("samples.tsv", re.sub(r"(D8\t8\tactive\t)b1", r"\1b2", study.text("samples.tsv")))


@case("config.yaml, line 11", "monitors.bcell is blank", "write {}")
def _monitor_blank(study: GoodStudy) -> None:
    study.replace("config.yaml", "monitors:\n", "monitors:\n  bcell:\n")


# ---- the sample sheet


@case("config.yaml, line 4", "samples.tsv does not exist", "did you mean 'sample.tsv'?")
def _no_sheet(study: GoodStudy) -> None:
    (study.root / "samples.tsv").rename(study.root / "sample.tsv")


@case("samples.tsv, line 1", "comma-delimited, expected tab-delimited")
def _wrong_delimiter(study: GoodStudy) -> None:
    study.write("samples.tsv", SAMPLES.replace("\t", ","))


@case("samples.tsv", "is an Excel workbook", "UTF-8 text")
def _excel(study: GoodStudy) -> None:
    (study.root / "samples.tsv").write_bytes(b"PK\x03\x04rest of a workbook")


@case("samples.tsv", "UTF-16", "UTF-8")
def _utf16(study: GoodStudy) -> None:
    (study.root / "samples.tsv").write_bytes(SAMPLES.encode("utf-16"))


@case("samples.tsv, line 3", "byte 0xFC is not UTF-8", "Latin-1")
def _not_utf8(study: GoodStudy) -> None:
    lines = SAMPLES.encode().split(b"\n")
    lines[2] = lines[2].replace(b"active", b"f\xfcr")
    (study.root / "samples.tsv").write_bytes(b"\n".join(lines))


@case("samples.tsv, line 4, column patient", "is blank", "id of the patient")
def _blank_patient(study: GoodStudy) -> None:
    study.replace("samples.tsv", "c.fcs\t02", "c.fcs\t")


@case("samples.tsv, line 5, column day", "'8,5' found, expected a number")
def _day_with_comma(study: GoodStudy) -> None:
    study.replace("samples.tsv", "d.fcs\t02\tD8\t8\t", "d.fcs\t02\tD8\t8,5\t")


@case("samples.tsv, line 3, column visit", "has a space at its start or end", "remove it")
def _trailing_space(study: GoodStudy) -> None:
    study.replace("samples.tsv", "b.fcs\t01\tD8\t", "b.fcs\t01\tD8 \t")


@case("samples.tsv, line 5, column sample", "'007' was already given in line 2")
def _duplicate_ids(study: GoodStudy) -> None:
    study.replace("samples.tsv", "010\t", "007\t")


@case("samples.tsv, line 4, column file", "already that of the sample in line 2")
def _file_twice(study: GoodStudy) -> None:
    study.replace("samples.tsv", "data/c.fcs", "data/a.fcs")


@case("samples.tsv, line 4, column file", "data/c.FCS", "does not exist (tried /", "did you mean 'c.fcs'?")
def _missing_file(study: GoodStudy) -> None:
    study.replace("samples.tsv", "data/c.fcs", "data/c.FCS")


@case("samples.tsv, line 4, column file", "(tried /", "write / between folders")
def _windows_path(study: GoodStudy) -> None:
    study.replace("samples.tsv", "data/c.fcs", "data\\c.fcs")


@case("samples.tsv, line 2, column sample", "'../x' cannot name a folder", "it holds /")
def _id_is_a_path(study: GoodStudy) -> None:
    study.replace("samples.tsv", "007", "../x")


@case("samples.tsv, line 2, column sample", "'aux' cannot name a folder", "Windows reserves")
def _id_reserved(study: GoodStudy) -> None:
    study.replace("samples.tsv", "007", "aux")


@case("samples.tsv, line 1, column bath", "did you mean 'batch'?")
def _column_typo(study: GoodStudy) -> None:
    study.replace("samples.tsv", "\tbatch", "\tbath")


@case("samples.tsv, line 1", "the column 'visit'", "is missing", "found: sample, file")
def _column_missing(study: GoodStudy) -> None:
    study.replace("samples.tsv", "\tvisit\t", "\twhen\t")


@case("samples.tsv, line 3, column all", "the row has 7 cells, expected 8", "a tab is missing")
def _tab_missing(study: GoodStudy) -> None:
    study.replace("samples.tsv", "b.fcs\t01\tD8", "b.fcs\t01 D8")


@case("samples.tsv, line 3, column arm", "has arm 'placebo' here and 'active' in line 2", "one arm")
def _patient_in_two_arms(study: GoodStudy) -> None:
    study.replace("samples.tsv", "b.fcs\t01\tD8\t8\tactive", "b.fcs\t01\tD8\t8\tplacebo")


@case("samples.tsv, line 2, column anchor", "'maybe' found, expected true or false")
def _anchor(study: GoodStudy) -> None:
    study.write(
        "samples.tsv", SAMPLES.replace("\tage", "\tanchor").replace("\t60\n", "\tmaybe\n").replace("\t51\n", "\t\n")
    )


@case("samples.tsv, line 2, column counted_population", "is blank although cells_per_ul is given")
def _counts_of_what(study: GoodStudy) -> None:
    text = SAMPLES.replace("\tage\n", "\tcells_per_ul\tcounted_population\n").replace("\t51\n", "\t\t\n")
    study.write("samples.tsv", text.replace("\t60\n", "\t60\t\n"))


@case("samples.tsv, line 1, column value", "reserved for results")
def _covariate_reserved(study: GoodStudy) -> None:
    study.replace("samples.tsv", "\tage", "\tvalue")


@case("samples.tsv", "every sample is excluded")
def _all_excluded(study: GoodStudy) -> None:
    study.write("samples.tsv", SAMPLES.replace("\tage", "\texclude"))


@case("samples.tsv", "no rows")
def _no_rows(study: GoodStudy) -> None:
    study.write("samples.tsv", SAMPLES.splitlines()[0] + "\n")


@case("samples.tsv, line 5, column file", "d.h5", "holds RNA counts", "mass_cytometry", "one modality a study")
def _mixed_modalities(study: GoodStudy) -> None:
    (study.root / "data" / "d.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    study.replace("samples.tsv", "data/d.fcs", "data/d.h5")


@case("samples.tsv, line 5, column file", "d.docx", "a type that cannot be read")
def _file_type(study: GoodStudy) -> None:
    (study.root / "data" / "d.docx").write_bytes(b"a letter")
    study.replace("samples.tsv", "data/d.fcs", "data/d.docx")


# ---- the panel


@case("panel.tsv, line 3, column role", "'linage' found", "did you mean 'lineage'?")
def _role_typo(study: GoodStudy) -> None:
    study.replace("panel.tsv", "CD19\tlineage", "CD19\tlinage")


@case("panel.tsv, line 3, column channel", "'Xy140Di' was already given in line 2")
def _channel_twice(study: GoodStudy) -> None:
    study.replace("panel.tsv", "Xy141Di", "Xy140Di")


@case("panel.tsv, line 3, column marker", "'CD3' was already given in line 2")
def _marker_twice(study: GoodStudy) -> None:
    study.replace("panel.tsv", "CD19", "CD3")


@case("panel.tsv, line 3, column cofactor", "'0' found, expected more than 0")
def _cofactor(study: GoodStudy) -> None:
    study.replace("panel.tsv", "CD19\tlineage\t", "CD19\tlineage\t0")


@case("panel.tsv", "no channel has the role lineage")
def _no_lineage(study: GoodStudy) -> None:
    study.write("panel.tsv", study.text("panel.tsv").replace("lineage", "state"))


@case("config.yaml, line 15, column 9", "needs the population 'Treg'", "cannot be measured without CD4", "panel.tsv")
def _panel_without_cd4(study: GoodStudy) -> None:
    study.replace("panel.tsv", "Xy142Di\tCD4\tlineage\t\n", "")


@case("samples.tsv, line 3, column file", "sample '008'", "lacks the panel's markers CD4", "panel.tsv")
def _file_without_cd4(study: GoodStudy) -> None:
    kept = [place for place, marker in enumerate(MARKERS) if marker != "CD4"]
    channels, markers = tuple(CHANNELS[p] for p in kept), tuple(MARKERS[p] for p in kept)
    study.rewrite("b.fcs", lambda data: data[:, kept], channels, markers)


@case("samples.tsv, line 3, column file", "sample '008'", "another marker in the channels of the panel's CD4")
def _file_with_other_antibody(study: GoodStudy) -> None:
    study.rewrite("b.fcs", markers=tuple("CD99" if marker == "CD4" else marker for marker in MARKERS))


# ---- the populations and signatures


@case("populations.yaml, line 8, column 5", "'CD4 T cell' of 'Treg' is no population", "did you mean 'CD4 T'?")
def _parent_unknown(study: GoodStudy) -> None:
    study.own_tree()
    study.replace("populations.yaml", "parent: CD4 T\n", "parent: CD4 T cell\n")


@case("populations.yaml", "in a circle", "T, CD4 T, Treg")
def _tree_in_a_circle(study: GoodStudy) -> None:
    study.own_tree()
    study.replace("populations.yaml", "  - name: T\n", "  - name: T\n    parent: Treg\n")


@case("populations.yaml, line 9", "CD127 is 'low'", "allowed: +, -, hi, lo")
def _level_unknown(study: GoodStudy) -> None:
    study.own_tree()
    study.replace("populations.yaml", '"lo"', '"low"')


@case("populations.yaml, line 4", "a lone - starts a list", '"-" in quotes')
def _bare_minus(study: GoodStudy) -> None:
    study.own_tree()
    study.replace("populations.yaml", 'rule: {CD3: "+", "CD19|CD20": "-"}', "rule:\n      CD3: -")


@case("populations.yaml, line 6", "A is blank", "expected text")
def _comma_key_unquoted(study: GoodStudy) -> None:
    study.own_tree()
    study.replace("populations.yaml", '{CD4: "+", CD8: "-"}', '{A,CD4: "+", CD8: "-"}')


@case("signatures.yaml, line 2", "'Empty' has neither genes nor markers")
def _signature_empty(study: GoodStudy) -> None:
    study.write("signatures.yaml", "signatures:\n  - name: Empty\n")
    study.append("config.yaml", "signatures: signatures.yaml\n")


# ---- the samples' files


@case("samples.tsv, line 2, column file", "sample '007'", "a.fcs", "truncated|beyond|shorter")
def _truncated(study: GoodStudy) -> None:
    path = study.root / "data" / "a.fcs"
    path.write_bytes(path.read_bytes()[:-1000])


@case("samples.tsv, line 2, column file", "sample '007'", "a.fcs", "no events|zero events|0 events")
def _zero_events(study: GoodStudy) -> None:
    study.rewrite("a.fcs", lambda data: data[:0])


@case("samples.tsv, line 2, column file", "sample '007'", "a.fcs")
def _not_an_fcs(study: GoodStudy) -> None:
    (study.root / "data" / "a.fcs").write_text("a table, renamed\n" * 50)


@case("samples.tsv, line 2, column file", "sample '007'", "a.fcs")
def _empty_file(study: GoodStudy) -> None:
    (study.root / "data" / "a.fcs").write_bytes(b"")


@case("samples.tsv, line 5, column file", "d.fcs is a copy, byte for byte", "sample '007'")
def _copied_file(study: GoodStudy) -> None:
    shutil.copyfile(study.root / "data" / "a.fcs", study.root / "data" / "d.fcs")


@case("samples.tsv, line 2, column file", "sample '007'", "a.h5", "HDF5")
def _broken_10x(study: GoodStudy) -> None:
    study.rna()
    path = study.root / "data" / "a.h5"
    path.write_bytes(path.read_bytes()[:600])


# ---- the values, once the files are read


@case("Sample 008", "Xy140Di (CD3)", "event 18")
def _nan(study: GoodStudy) -> None:
    def spoil(data: np.ndarray) -> np.ndarray:
        data[17, 0] = np.nan
        return data

    study.rewrite("b.fcs", spoil)


@case("Sample 008", "Xy141Di (CD19)", "is 0 in all 600 events")
def _all_zero_channel(study: GoodStudy) -> None:
    study.rewrite("b.fcs", lambda data: data * (np.arange(data.shape[1]) != 1))


@case("b.h5", "holds the value", "no whole number")
def _rna_not_counts(study: GoodStudy) -> None:
    import h5py

    study.rna()
    with h5py.File(study.root / "data" / "b.h5", "r+") as file:
        values = file["matrix/data"][:].astype(np.float32) + 0.5
        del file["matrix/data"]
        file["matrix/data"] = values


def examine(study: GoodStudy, values: dict | None = None) -> None:
    """Everything that is looked at before a step computes: as `treset check`, then each sample as it is read."""
    checked = read_study(study.config, values)
    check_files(checked)
    panel = pd.DataFrame(panel_rows(checked), columns=["channel", "marker", "role", "cofactor"]).astype(
        {"cofactor": float}
    )
    for sample, file in zip(checked.included["sample"], checked.included["file"], strict=True):
        data = read_sample(Path(file), checked.modality)
        if checked.modality != "rna":
            data = apply_panel(data, panel, checked.aliases, sample)
        check_values(data, sample)


@pytest.fixture
def study(tmp_path: Path) -> GoodStudy:
    good = GoodStudy(tmp_path / "study")
    earlier = good.root / "results" / "tiny"
    earlier.mkdir(parents=True)
    (earlier / "report.html").write_text("of an earlier run")
    return good


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_bad_input_is_one_clear_sentence(case: Case, study: GoodStudy) -> None:
    case.break_it(study)
    before = everything(study.root)
    values = None
    if case.values is not None:
        import yaml

        values = {**yaml.safe_load(study.text("config.yaml")), **case.values}
    with pytest.raises(TresetError) as caught:
        examine(study, values)
    messages = caught.value.messages if isinstance(caught.value, Faults) else [str(caught.value)]
    fits = [m for m in messages if all(any(word in m for word in part.split("|")) for part in case.says)]
    assert fits, f"no sentence with {case.says} in:\n{caught.value}"
    for message in messages:
        assert "\n" not in message and "Traceback" not in message
        assert len(message) < 1500
    assert everything(study.root) == before


def test_the_command_says_it_without_a_traceback(study: GoodStudy) -> None:
    command = [sys.executable, "-m", "treset", "check", str(study.config)]
    good = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stderr) == (0, "")
    study.replace("config.yaml", "quality:", "qualty:")
    before = everything(study.root)
    bad = subprocess.run(command, capture_output=True, text=True, check=False)
    assert bad.returncode == 2
    assert "did you mean 'quality'?" in " ".join(bad.stderr.split())
    assert "Traceback" not in bad.stderr
    assert everything(study.root) == before


def test_the_gallery_breaks_a_study_that_is_good(study: GoodStudy) -> None:
    assert len(CASES) >= 30
    examine(study)


def test_good_rna_study(study: GoodStudy) -> None:
    study.rna()
    examine(study)


def test_spaces_and_accents_in_paths_work(tmp_path: Path) -> None:
    study = GoodStudy(tmp_path / "Étude n° 1 – γδ T")
    (study.root / "data" / "a.fcs").rename(study.root / "data" / "J0 prélèvement.fcs")
    study.replace("samples.tsv", "data/a.fcs", "data/J0 prélèvement.fcs")
    study.replace("samples.tsv", "007", "patient é 7")
    examine(study)
    assert read_study(study.config).samples["sample"].iloc[0] == "patient é 7"


def test_five_faults_at_once(study: GoodStudy) -> None:
    study.replace("config.yaml", "seed: 1", "sed: 1")
    study.replace("config.yaml", "        visit: D8", "        visit: D9")
    study.replace("samples.tsv", "010\t", "007\t")
    study.replace("samples.tsv", "data/c.fcs", "data/x.fcs")
    study.replace("panel.tsv", "CD19\tlineage", "CD19\tlinage")
    with pytest.raises(Faults) as caught:
        read_study(study.config)
    text = caught.value.messages
    assert len(text) == 5, str(caught.value)
    for part in (
        "unknown key 'sed'",
        "no sample has the visit 'D9'",
        "'007' was already",
        "x.fcs' does not exist",
        "'linage' found",
    ):
        assert sum(part in message for message in text) == 1
    assert str(caught.value).startswith("5 faults:")


def test_the_lineage_of_the_good_study_is_what_its_panel_says(study: GoodStudy) -> None:
    rows = panel_rows(read_study(study.config))
    assert [row["marker"] for row in rows if row["role"] == "lineage"] == list(LINEAGE)
