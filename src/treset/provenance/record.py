"""``provenance/``: config, sheet, panel, populations and signatures as they were, ``inputs.tsv`` and ``run.json``."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from treset.fingerprint import code_hash
from treset.io.checksum import read_record, record
from treset.io.files import atomic
from treset.io.table import write_tsv
from treset.plain import to_plain
from treset.provenance.source import git_commit
from treset.study.blind import Words, arm_codes, telling_columns
from treset.study.document import load_yaml
from treset.study.inputs import record_file
from treset.study.model import Study

#: Keys of the config that name a file, and the file's name in ``provenance/``.
FILES = {"panel": "panel.tsv", "populations": "populations.yaml", "signatures": "signatures.yaml"}


#: What is recorded of a choice of backend.
CHOICE = ("requested", "used", "device", "reason")


def write_record(
    study: Study,
    results: Path,
    ran: Mapping[str, str],
    values: Mapping[str, Any] | None = None,
    mapped: Sequence[Mapping[str, str]] = (),
) -> dict[str, Any]:
    """Write ``provenance/`` but its crate.

    Parameters
    ----------
    study
        The study as read (of a blinded one, with codes for arms).
    results
        The run's folder.
    ran
        ``uns["treset"]`` of the sketch: backend, device, versions; empty when there is none.
    values
        The config with what the command line set over it; None: as in the file.
    mapped
        ``uns["treset"]`` of the samples' cells.

    Returns
    -------
    What ``run.json`` holds.

    Notes
    -----
    The date (UTC) is that of the run, or of ``SOURCE_DATE_EPOCH`` where that is set (reproducible-builds.org).
    """
    folder = results / "provenance"
    folder.mkdir(parents=True, exist_ok=True)
    words = _words(study)
    inputs = checksums(study)
    inputs["file"] = inputs["file"].map(words.replace)
    write_tsv(inputs, folder / "inputs.tsv")
    _copy_sheet(study, folder / "samples.tsv", words)
    for key, name in FILES.items():
        _copy(getattr(study, f"{key}_file"), folder / name, comments=not study.blinded)
    clinical = study.monitors.clinical
    _copy(None if clinical is None else study.root / clinical.file, folder / "clinical.tsv", ("arm",) * study.blinded)
    _copy_config(study, folder / "config.yaml", values, words)
    profiles = results / "profiles.parquet"
    run = {
        "study": study.name,
        "date": _date(),
        "treset": version("treset"),
        "commit": git_commit(),
        "code": code_hash("treset.cli"),
        "python": platform.python_version(),
        "versions": json.loads(ran.get("versions", "{}")),
        "backend": {key: ran.get(f"backend_{key}", "") for key in CHOICE} | {"map": _devices(mapped)},
        "seed": study.seed,
        "blinded": study.blinded,
        # the study's folder from here, so that a study moved as a whole can be run again
        "root": Path(os.path.relpath(study.root, folder)).as_posix(),
        "profiles_sha256": sha256(profiles) if profiles.is_file() else "",
        "settings": {name: to_plain(getattr(study, name)) for name in ("quality", "normalise", "cohort", "monitors")},
    }
    with atomic(folder / "run.json") as path:
        path.write_text(json.dumps(run, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return run


def _devices(mapped: Sequence[Mapping[str, str]]) -> list[dict[str, str | int]]:
    """Where the map jobs ran: each choice that was made, with its number of samples, most samples first."""
    choices = Counter(tuple(own.get(f"map_backend_{key}", "") for key in CHOICE) for own in mapped)
    rows = [dict(zip(CHOICE, choice, strict=True)) | {"samples": count} for choice, count in choices.items()]
    return sorted(rows, key=lambda row: (-int(row["samples"]), str(row)))


def checksums(study: Study) -> pd.DataFrame:
    """The files that the results rest on, as they were when they were read.

    Returns
    -------
    Columns sample, file (relative to the study's folder where it lies in it), bytes, sha256; one row a sample analysed,
    as found on disk now where the run left no record of it, with blanks where it is gone.
    """
    rows = []
    for sample, file in zip(study.included["sample"], study.included["file"], strict=True):
        path = Path(file)
        known = read_record(record_file(study, sample)) or (record(path) if path.exists() else None)
        shown = path.relative_to(study.root).as_posix() if path.is_relative_to(study.root) else str(path)
        rows.append((sample, shown, known and known.bytes, known.sha256 if known else ""))
    table = pd.DataFrame(rows, columns=["sample", "file", "bytes", "sha256"])
    return table.astype({"bytes": "Int64"})


def sha256(path: Path) -> str:
    """SHA-256 of a file or folder (:class:`treset.io.checksum.InputRecord`)."""
    return record(path).sha256


def _date() -> str:
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    return time.strftime("%Y-%m-%d", time.gmtime(int(epoch) if epoch.isdigit() else None))


def _words(study: Study) -> Words:
    """Finds the names of the arms in the files of a blinded study; nothing in those of an open one."""
    return Words(arm_codes(_raw_sheet(study)) if study.blinded else ())


def _raw_sheet(study: Study) -> pd.DataFrame:
    sheet = pd.read_csv(study.samples_file, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8-sig")
    sheet.columns = [str(c).strip() for c in sheet.columns]
    sheet = sheet.apply(lambda column: column.str.strip())
    return sheet if "arm" in sheet else sheet.assign(arm="")


def _copy(source: Path | None, target: Path, without: Sequence[str] = (), comments: bool = True) -> None:
    """Copy a file as it is, a table without some columns, YAML without comments; nothing is left of an older run's."""
    if source is None or not source.is_file():
        target.unlink(missing_ok=True)
        return
    if without:
        separator = "," if source.suffix.lower() == ".csv" else "\t"
        table = pd.read_csv(source, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        write_tsv(table.drop(columns=[c for c in table if str(c).strip().casefold() in without]), target)
        return
    with atomic(target) as path:
        if comments or source.suffix not in (".yaml", ".yml"):
            shutil.copyfile(source, path)
        else:
            path.write_text(yaml.safe_dump(load_yaml(source), sort_keys=False, allow_unicode=True), encoding="utf-8")


def _copy_sheet(study: Study, target: Path, words: Words) -> None:
    """A blinded study's sheet has codes for arms, and neither the drug's doses nor another name of the arm."""
    if not study.blinded:
        _copy(study.samples_file, target)
        return
    sheet = _raw_sheet(study)
    sheet = sheet.drop(columns=telling_columns(sheet))
    arms = dict(zip(study.samples["sample"], study.samples["arm"], strict=True))
    sheet = sheet.map(words.replace)
    sheet["arm"] = sheet["sample"].map(lambda s: arms.get(s, ""))
    if "dose" in sheet:
        in_vitro = sheet["stimulus"] != "" if "stimulus" in sheet else False
        sheet["dose"] = sheet["dose"].where(in_vitro, "")
    write_tsv(sheet, target)


def _copy_config(study: Study, target: Path, values: Mapping[str, Any] | None, words: Words) -> None:
    """The config as it is, comments and all; written anew where the command line set keys or arms must go."""
    given = load_yaml(study.config_file)
    used = dict(given if values is None else values)
    if used == given and not study.blinded:
        _copy(study.config_file, target)
        return
    head = "# As it was run: written anew, since the command line set some keys.\n"
    if study.blinded:
        head = "# As it was run, blinded: what says which arm is compared with which is left out.\n"
        telling = {"arm", *telling_columns(_raw_sheet(study))}
        used = _without_arms({k: v for k, v in used.items() if k != "simulate"}, telling)
        # nothing but the title is free text; names of markers and populations stay what they are
        used["title"] = words.replace(str(used.get("title") or ""))
    with atomic(target) as path:
        path.write_text(head + yaml.safe_dump(used, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _without_arms(value: Any, telling: set[str]) -> Any:
    """Settings without what says which arm is compared with which."""
    if isinstance(value, list):
        return [_without_arms(item, telling) for item in value]
    if not isinstance(value, Mapping):
        return value
    if value.get("column") in telling and "reference" in value:
        value = {**value, "column": "arm", "reference": "arm A", "test": "arm B"}
    return {k: _without_arms(v, telling) for k, v in value.items() if not _says_the_arm(k, v, telling)}


def _says_the_arm(key: str, value: Any, telling: set[str]) -> bool:
    if key == "reference_arm":
        return True
    return key == "contrast" and isinstance(value, Mapping) and value.get("column", "arm") in telling
