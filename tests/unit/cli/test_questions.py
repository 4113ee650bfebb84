"""`treset init` asks in a terminal only, each question with a proposed answer."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from treset.cli.names import guess
from treset.cli.questions import proposed, visits
from treset.cli.scaffold import scaffold
from treset.io.fcs_write import write_fcs
from treset.study import read_study

MASS = {"Time": "Time", "Er170Di": "CD3", "Nd145Di": "CD4", "Tm169Di": "CD25", "Ho165Di": "CD127"}
FLOW = {"FSC-A": "", "SSC-A": "", "BV421-A": "CD3", "PE-A": "CD25", "APC-A": "CD127"}


def files(folder: Path, names: tuple[str, ...], channels: dict[str, str] = MASS) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        events = np.random.default_rng(0).gamma(1, 20, (50, len(channels))).astype("f4")
        write_fcs(folder / f"{name}.fcs", events, list(channels), list(channels.values()))
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return files(tmp_path / "raw", ("P01_D0", "P01_D8", "P01_D28", "P02_D0", "P02_D8", "P02_D28"))


def typed(answers: str, *arguments: object) -> tuple[int, str]:
    """Run treset at a terminal and type; every answer waits for its question, as a person does."""
    ours, theirs = pty.openpty()
    # the terminal becomes the command's own, or else Ctrl-C would be a character that interrupts nobody
    own = "import os, sys; os.login_tty(0); os.execv(sys.executable, [sys.executable, '-m', 'treset', *sys.argv[1:]])"
    command = [sys.executable, "-c", own, *map(str, arguments)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said, waiting, end = "", answers.splitlines(keepends=True), time.monotonic() + 120
        while time.monotonic() < end:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                part = os.read(ours, 4096).decode()
            except OSError:  # Linux says so when the other end is closed
                break
            if not part:
                break
            said += part
            if waiting and said.rstrip(" ").endswith("]:"):
                os.write(ours, waiting.pop(0).encode())
        os.close(ours)
        assert time.monotonic() < end, f"the command still waits after 120 s; it said {said!r}"
        return process.wait(timeout=20), said.replace("\r\n", "\n")


def test_enter_takes_what_is_proposed(tmp_path: Path, data: Path) -> None:
    code, said = typed("\n" * 5, "init", tmp_path / "asked", "--data", data)
    assert code == 0, said
    assert "6 files: 2 patients, visits D0, D8, D28 (by the files' names)" in said
    assert [q in said for q in ("[asked]", "[mass_cytometry]", "[D0]", "[D8]", "[y/N]")] == [True] * 5
    scaffold(tmp_path / "plain" / "asked", data)
    assert (tmp_path / "asked" / "config.yaml").read_text() == (tmp_path / "plain/asked/config.yaml").read_text()


def test_answers_go_into_the_config(tmp_path: Path, data: Path) -> None:
    title = 'Low dose: "IL-2" \\ open'
    code, said = typed(f"{title}\nflow\nflow_cytometry\nD8\nD28\ny\n", "init", tmp_path / "asked", "--data", data)
    assert code == 0 and "flow is none of: mass_cytometry, flow_cytometry" in said, said
    study = read_study(tmp_path / "asked" / "config.yaml")
    assert (study.title, study.modality, study.baseline, study.blinded) == (title, "flow_cytometry", "D8", True)
    assert study.monitors.discovery is not None and study.monitors.treg is not None
    assert (study.monitors.discovery.reference, study.monitors.discovery.test) == ("D8", "D28")
    assert study.monitors.treg.endpoints[0].visit == "D28"


def test_an_interrupted_question_writes_nothing(tmp_path: Path, data: Path) -> None:
    code, said = typed("\x03", "init", tmp_path / "asked", "--data", data)
    assert code != 0 and "Traceback" not in said
    assert not (tmp_path / "asked").exists()


def test_nothing_is_asked_elsewhere_nor_with_yes(tmp_path: Path, data: Path) -> None:
    command = [sys.executable, "-m", "treset", "init", str(tmp_path / "piped"), "--data", str(data)]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0 and "Title" not in done.stdout + done.stderr
    code, said = typed("", "init", tmp_path / "sure", "--data", data, "--yes")
    assert code == 0 and "Title" not in said and "wrote" in said


def test_two_stimuli_of_one_visit_are_compared() -> None:
    guesses = guess(["x_patient1_BCR-XL", "x_patient1_Reference", "x_patient2_BCR-XL"])
    answers = proposed("t", "mass_cytometry", guesses)
    assert answers.compared == ("stimulus", "Reference", "BCR-XL") and visits(guesses) == ["D0"]
    assert not answers.blinded


def test_light_scatter_tells_a_flow_cytometer(tmp_path: Path) -> None:
    scaffold(tmp_path / "flow", files(tmp_path / "raw", ("P01_D0", "P01_D8"), FLOW))
    assert "modality: flow_cytometry " in (tmp_path / "flow" / "config.yaml").read_text()
    scaffold(tmp_path / "mass", files(tmp_path / "more", ("P01_D0", "P01_D8")))
    assert "modality: mass_cytometry " in (tmp_path / "mass" / "config.yaml").read_text()
