"""Run a study again from its provenance, and say whether the result is the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from treset.errors import Faults, TresetError
from treset.io.files import atomic
from treset.io.table import write_tsv
from treset.provenance.record import FILES, sha256
from treset.study.document import load_yaml


def read_run(provenance: Path) -> dict[str, Any]:
    """``run.json`` of a provenance folder."""
    path = provenance / "run.json"
    if not path.is_file():
        raise TresetError(f"{provenance} holds no run.json: name the folder provenance of a study's results")
    run = json.loads(path.read_text(encoding="utf-8"))
    if "root" not in run or not (provenance / "inputs.tsv").is_file():
        raise TresetError(
            f"{provenance} was written by an older treset, without checksums: it cannot be rerun from here"
        )
    return run


def prepare_rerun(provenance: Path, folder: Path) -> Path:
    """Write the recorded study into a folder of its own, ready to run.

    Parameters
    ----------
    provenance
        ``results/<study>/provenance``.
    folder
        Of the rerun; its config must not exist yet, unless it is that of the same rerun (which then resumes).

    Returns
    -------
    The config to run.

    Raises
    ------
    TresetError
        The folder holds another study, or there is nothing to rerun from.
    Faults
        Input files that are gone or whose content is not the recorded one, each with its name.
    """
    run = read_run(provenance)
    root = (provenance / run["root"]).resolve()
    sheet = pd.read_csv(provenance / "samples.tsv", sep="\t", dtype=str, keep_default_na=False, encoding="utf-8-sig")
    config = load_yaml(provenance / "config.yaml")
    sheet.columns = [str(column).strip() for column in sheet.columns]
    if not (config.get("simulate") and not all((root / file.strip()).exists() for file in sheet["file"] if file)):
        # the files are there: simulating again would write over them
        config.pop("simulate", None)
        _check_inputs(provenance, root)
        sheet["file"] = [str(root / file.strip()) if file.strip() else "" for file in sheet["file"]]
    config |= {"samples": "samples.tsv", "results": "results"}
    if run["backend"]["used"]:
        config["backend"] = run["backend"]["used"]
    copied = {}
    for key, name in FILES.items():
        if (provenance / name).is_file() and not (key == "panel" and config.get("panel") is None):
            config[key] = name
            copied[name] = (provenance / name).read_bytes()
    if (provenance / "clinical.tsv").is_file() and config.get("monitors", {}).get("clinical"):
        config["monitors"]["clinical"]["file"] = "clinical.tsv"
        copied["clinical.tsv"] = (provenance / "clinical.tsv").read_bytes()
    _write(folder, config, sheet, copied)
    return folder / "config.yaml"


def _check_inputs(provenance: Path, root: Path) -> None:
    messages = []
    for row in pd.read_csv(provenance / "inputs.tsv", sep="\t", dtype=str, keep_default_na=False).to_dict("records"):
        path = root / row["file"]
        if not path.exists():
            messages.append(f"sample {row['sample']}: {path} is not there; put back the file that was analysed")
        elif row["sha256"] and sha256(path) != row["sha256"]:
            messages.append(f"sample {row['sample']}: {path} is not the file that was analysed (its SHA-256 differs)")
    if messages:
        raise Faults(messages)


def _write(folder: Path, config: dict[str, Any], sheet: pd.DataFrame, copied: dict[str, bytes]) -> None:
    head = "# A rerun, written by treset run --from.\n"
    text = head + yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    target = folder / "config.yaml"
    if target.exists():
        if target.read_text(encoding="utf-8") != text:
            raise TresetError(f"{target} is another study's: name an empty folder with --into")
        return
    for name, content in copied.items():
        with atomic(folder / name) as path:
            path.write_bytes(content)
    write_tsv(sheet, folder / "samples.tsv")
    with atomic(target) as path:
        path.write_text(text, encoding="utf-8")


def compare(provenance: Path, profiles: Path) -> tuple[bool, str]:
    """Whether a rerun gave the recorded ``profiles.parquet``, and the sentence that says so."""
    run = read_run(provenance)
    if not run["profiles_sha256"]:
        return False, "the recorded run has no checksum of profiles.parquet: nothing to compare with"
    if sha256(profiles) == run["profiles_sha256"]:
        return True, "profiles.parquet is the same to the byte as the recorded one"
    return False, (
        f"profiles.parquet differs from the recorded one (made by treset {run['treset']}, commit "
        f"{run['commit'] or 'not known'}, on {run['backend']['used'] or 'an unknown backend'}): compare versions in "
        f"{provenance / 'run.json'}"
    )
