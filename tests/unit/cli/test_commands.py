"""The command line: new studies, checks, one sentence for every fault."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from treset import __version__
from treset.cli.commands import app, find_config
from treset.cli.names import Guess, contrast, guess
from treset.errors import TresetError
from treset.io.fcs_write import write_fcs
from treset.study import check_files, read_study

RUNNER = CliRunner()


def run(*arguments: object) -> str:
    done = RUNNER.invoke(app, [str(a) for a in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_names_say_patient_visit_and_day() -> None:
    assert guess(["P01_D0", "P01_D8"]) == [Guess("P01", "D0", "0", ""), Guess("P01", "D8", "8", "")]


def test_parts_that_all_names_share_say_nothing() -> None:
    names = ["PBMC8_30min_patient1_BCR-XL", "PBMC8_30min_patient1_Reference", "PBMC8_30min_patient2_BCR-XL"]
    found = guess(names)
    assert [g.patient for g in found] == ["patient1", "patient1", "patient2"]
    assert [g.stimulus for g in found] == ["BCR-XL", "Reference", "BCR-XL"]
    assert contrast(found) == ("stimulus", "Reference", "BCR-XL")


def test_what_cannot_be_compared_is_not_asked() -> None:
    assert contrast(guess(["a", "b"])) is None
    assert contrast(guess(["x_D28_P1", "x_D0_P1", "x_D8_P1"])) == ("visit", "D0", "D8")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "raw files"
    generator = np.random.default_rng(0)
    for name in ("P01_D0", "P01_D8", "P02_D0", "P02_D8"):
        markers = ["Time", "CD3", "CD4", "CD19", "CD25", "CD127", "pSTAT5"]
        channels = ["Time", "Er170Di", "Nd145Di", "Nd142Di", "Tm169Di", "Ho165Di", "Nd150Di"]
        folder.mkdir(exist_ok=True)
        write_fcs(folder / f"{name}.fcs", generator.gamma(1, 20, (800, 7)).astype("f4"), channels, markers)
    return folder


def test_a_folder_of_files_becomes_a_study_that_checks(tmp_path: Path, data: Path) -> None:
    study = tmp_path / "my study"
    assert "treset check" in run("init", study, "--data", data)
    read = read_study(study / "config.yaml")
    check_files(read)
    assert list(read.samples["patient"]) == ["P01", "P01", "P02", "P02"]
    assert read.monitors.treg is not None and read.monitors.treg.endpoints[0].visit == "D8"
    assert read.panel is not None
    assert dict(zip(read.panel["marker"], read.panel["role"], strict=True))["pSTAT5"] == "state"
    assert "no fault" in run("check", study)


def test_init_overwrites_nothing(tmp_path: Path, data: Path) -> None:
    (tmp_path / "config.yaml").write_text("mine")
    with pytest.raises(TresetError, match=r"already holds config.yaml: nothing was written"):
        run("init", tmp_path, "--data", data)
    assert (tmp_path / "config.yaml").read_text() == "mine"
    assert not (tmp_path / "samples.tsv").exists()


def test_init_without_files_gives_an_empty_sheet(tmp_path: Path) -> None:
    run("init", tmp_path / "new")
    assert (tmp_path / "new" / "samples.tsv").read_text().startswith("sample\tfile\tpatient\tvisit\tday")


@pytest.mark.parametrize("design", ["il2_open_label", "il2_placebo", "cart_lupus", "pstat5_dose"])
def test_every_design_is_written_as_a_study_that_checks(tmp_path: Path, design: str) -> None:
    run("simulate", design, tmp_path / "s", "--set", "patients=2", "--set", "events=600")
    assert "no fault" in run("check", tmp_path / "s")


def test_a_parameter_without_value_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(TresetError, match="expected name=value"):
        run("simulate", "cart_lupus", tmp_path / "s", "--set", "patients")


def test_version_and_doctor() -> None:
    assert run("--version").strip() == __version__
    said = run("doctor")
    assert "memory" in said and "gpu" in said


def test_a_config_is_found_in_a_folder_or_its_config_folder(tmp_path: Path) -> None:
    with pytest.raises(TresetError, match=r"no config.yaml in"):
        find_config(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").touch()
    assert find_config(tmp_path) == tmp_path / "config" / "config.yaml"
