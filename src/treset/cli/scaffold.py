"""New studies: from a folder of files, empty, or simulated."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import pandas as pd
import yaml

from treset.cli.names import guess
from treset.cli.questions import FLOW, MASS, RNA, Answers, Ask, proposed
from treset.errors import TresetError
from treset.io.files import atomic
from treset.io.table import write_tsv

_DISCOVERY = """\
monitors:
  discovery:                      # which clusters and markers change; nothing is assumed
    column: {column}
    reference: {reference!r}
    test: {test!r}
    pair: patient
"""
_TREG = """\
  treg:                           # did Treg expand and activate
    endpoints:
      - name: treg_expansion
        role: primary
        population: Treg
        measure: percent_of_parent
        visit: {visit!r}
"""
_SHEET = ["sample", "file", "patient", "visit", "day", "arm", "disease", "batch", "stimulus", "exclude"]
_FCS, _RNA = (".fcs", ".lmd"), (".h5", ".h5ad")


def scaffold(folder: Path, data: Path | None, ask: Ask | None = None) -> list[Path]:
    """Write ``config.yaml``, ``samples.tsv`` and, for cytometry, ``panel.tsv``.

    Parameters
    ----------
    folder
        Of the new study; made when missing.
    data
        Folder with FCS files, 10x files or 10x folders: each becomes a row of the sheet, patient and visit guessed
        from the name for the user to check. None: an empty sheet with its header.
    ask
        Turns the proposed answers into those of a person, before anything is written; None: they are taken.

    Returns
    -------
    The files written.

    Raises
    ------
    TresetError
        A file exists already, or ``data`` holds nothing that can be read.
    """
    existing = [name for name in ("config.yaml", "samples.tsv", "panel.tsv") if (folder / name).exists()]
    if existing:
        raise TresetError(
            f"{folder} already holds {', '.join(existing)}: nothing was written; choose another folder or move them"
        )
    found = _data_files(data) if data is not None else []
    rna = bool(found) and found[0].suffix.lower() not in _FCS
    guesses = guess([path.stem for path in found])
    rows = [
        (path.stem, _relative(path, folder), g.patient, g.visit, g.day, "", "", "", g.stimulus, "")
        for path, g in zip(found, guesses, strict=True)
    ]
    table, modality = None, RNA if rna else MASS
    panel = "# panel: panel.tsv               # without it, one is proposed from the files"
    if found and not rna:
        table, modality = _panel(found)
        panel = "panel: panel.tsv                  # proposed from the files' channel names: check the roles"
    answers = proposed(_name(folder), modality, guesses)
    if ask is not None:
        answers = ask(answers, guesses)
    written = [] if table is None else [write_tsv(table, folder / "panel.tsv")]
    written.append(write_tsv(pd.DataFrame(rows, columns=_SHEET, dtype="str"), folder / "samples.tsv"))
    with atomic(folder / "config.yaml") as path:
        path.write_text(_config(_name(folder), panel, answers), encoding="utf-8")
    return [folder / "config.yaml", *written]


def _panel(found: Sequence[Path]) -> tuple[pd.DataFrame, str]:
    """The proposed panel, and the assay: light scatter is measured by flow cytometers only."""
    from treset.io.fcs import read_header
    from treset.io.panel import propose_panel

    headers = {path.stem: read_header(path) for path in found}
    scatter = any(c.upper().startswith(("FSC", "SSC")) for h in headers.values() for c in h.channels)
    table = propose_panel({sample: (h.channels, h.markers) for sample, h in headers.items()})
    return table, FLOW if scatter else MASS


def _name(folder: Path) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", folder.resolve().name).strip("-") or "study"


def _config(name: str, panel: str, answers: Answers) -> str:
    """The commented config of a new study; questions that its samples cannot answer are left out."""
    monitors = "# monitors:                       # name two visits, stimuli or arms to compare: docs/config.md\n"
    if answers.compared is not None:
        column, reference, test = answers.compared
        monitors = _DISCOVERY.format(column=column, reference=reference, test=test)
        if column == "visit":
            monitors += _TREG.format(visit=test)
    text = (files("treset") / "data" / "config_template.yaml").read_text(encoding="utf-8")
    return text.format(
        name=name, title=json.dumps(answers.title, ensure_ascii=False), modality=answers.modality, panel=panel,
        baseline=answers.baseline, blinded=str(answers.blinded).lower(), monitors=monitors,
    )  # fmt: skip


def simulated_study(design: str, folder: Path, parameters: Sequence[str]) -> list[Path]:
    """Write a simulated trial as a study: raw files under ``data/``, sheet, panel, truth and a config that runs.

    Parameters
    ----------
    design
        See :func:`treset.simulate.plan`.
    folder
        Of the new study.
    parameters
        ``name=value`` each; the value is read as YAML.
    """
    from treset.simulate import expected_sheet, plan, write

    if (folder / "config.yaml").exists():
        raise TresetError(
            f"{folder} already holds config.yaml: nothing was written; choose another folder or move it away"
        )
    options = {}
    for text in parameters:
        name, equals, value = text.partition("=")
        if not equals:
            raise TresetError(f"--set {text}: expected name=value")
        options[name] = yaml.safe_load(value)
    trial = plan(design, **{**options, "prefix": "data"})
    write(trial, folder / "data")
    write_tsv(expected_sheet(trial), folder / "samples.tsv")
    written = [folder / "data", folder / "samples.tsv"]
    if trial.panel is not None:
        write_tsv(trial.panel, folder / "panel.tsv")
        written.append(folder / "panel.tsv")
    with atomic(folder / "config.yaml") as path:
        path.write_text(
            simulated_config(design, folder.resolve().name, trial.panel is not None, trial.parameters), encoding="utf-8"
        )
    return [folder / "config.yaml", *written]


def simulated_config(design: str, name: str, panel: bool, parameters: dict) -> str:
    """The config that asks a simulated trial its own question."""
    source = files("treset") / "data" / "designs" / f"{design}.yaml"
    monitors = source.read_text(encoding="utf-8")
    head = f"study: {re.sub(r'[^A-Za-z0-9_-]+', '-', name)}\ntitle: Simulated trial, design {design}\n"
    head += f"modality: {parameters['modality']}\nsamples: samples.tsv\n" + ("panel: panel.tsv\n" if panel else "")
    return head + monitors


def _data_files(data: Path) -> list[Path]:
    if not data.is_dir():
        raise TresetError(f"--data {data} is not a folder: name the folder that holds the FCS or 10x files")
    fcs = sorted(path for path in data.iterdir() if path.suffix.lower() in _FCS)
    rna = sorted(path for path in data.iterdir() if path.suffix.lower() in _RNA or _is_10x(path))
    if fcs and rna:
        raise TresetError(
            f"{data} holds both FCS and RNA files ({fcs[0].name}, {rna[0].name}): "
            "one modality a study, put them into two folders"
        )
    if not fcs and not rna:
        raise TresetError(f"{data} holds no FCS file, 10x .h5, .h5ad or 10x matrix folder")
    return fcs or rna


def _is_10x(path: Path) -> bool:
    return path.is_dir() and any((path / name).exists() for name in ("matrix.mtx", "matrix.mtx.gz"))


def _relative(path: Path, folder: Path) -> str:
    where, root = path.resolve(), folder.resolve()
    return str(where.relative_to(root) if where.is_relative_to(root) else where)
