"""The record as a Workflow Run RO-Crate (Leo et al. 2024, PLoS ONE, doi:10.1371/journal.pone.0309210)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from treset.io.files import atomic
from treset.provenance.record import sha256
from treset.provenance.source import snakefile

_PROFILES = (
    "https://w3id.org/ro/wfrun/process/0.5",
    "https://w3id.org/ro/wfrun/workflow/0.5",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
)
_TYPES = {".yaml": "application/yaml", ".tsv": "text/tab-separated-values", ".json": "application/json"}
_OUTPUTS = ("profiles.parquet", "quality.tsv", "report.html", "cohort/*.tsv", "monitors/*/*.tsv", "monitors/*/*.json")


def write_crate(results: Path, run: Mapping[str, Any]) -> Path:
    """Describe ``provenance/`` as an RO-Crate 1.1 of the Workflow Run profile.

    Parameters
    ----------
    results
        The run's folder, its ``provenance/`` written by `write_record`.
    run
        What ``run.json`` holds.

    Returns
    -------
    ``provenance/ro-crate-metadata.json``. Config, sheet and panel lie in the crate; raw files and results are named by
    their SHA-256 (``urn:sha256:...``) with their place as ``alternateName``. The same run on the same day gives the
    same bytes.
    """
    from rocrate.rocrate import ROCrate

    folder = results / "provenance"
    crate = ROCrate(version="1.1")
    crate.name = f"treset run: {run['study']}"
    crate.description = "Config, sample sheet, panel, checksums, versions, device and seed of a treset run."
    crate.license = "https://spdx.org/licenses/BSD-3-Clause"
    workflow = _workflow(crate, folder, run)
    crate.root_dataset["conformsTo"] = [{"@id": profile} for profile in _PROFILES]
    crate.root_dataset["datePublished"] = run["date"]
    given = [crate.add_file(path, path.name, properties=_file(path)) for path in sorted(_own(folder))]
    raw = pd.read_csv(folder / "inputs.tsv", sep="\t", dtype=str, keep_default_na=False)
    given += [
        _named(crate, row["sha256"], row["file"], row["bytes"]) for row in raw.to_dict("records") if row["sha256"]
    ]
    made = sorted({path for pattern in _OUTPUTS for path in results.glob(pattern)})
    outputs = [_named(crate, sha256(p), p.relative_to(results).as_posix(), str(p.stat().st_size)) for p in made]
    crate.root_dataset["mentions"] = _action(crate, workflow, given, outputs, run)
    text = json.dumps(crate.metadata.generate(), indent=1, sort_keys=True, ensure_ascii=False)
    with atomic(folder / "ro-crate-metadata.json") as path:
        path.write_text(_dated(text, run["date"]) + "\n", encoding="utf-8")
    return folder / "ro-crate-metadata.json"


def _own(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.suffix in _TYPES and p.name != "ro-crate-metadata.json"]


def _file(path: Path) -> dict[str, Any]:
    return {"name": path.name, "encodingFormat": _TYPES[path.suffix], "sha256": sha256(path)}


def _named(crate: Any, digest: str, place: str, size: str) -> Any:
    """A file that is not in the crate, known by its content."""
    known = {"@id": f"urn:sha256:{digest}", "@type": "File", "name": Path(place).name, "alternateName": place}
    found = crate.add_or_update_jsonld({**known, "sha256": digest, "contentSize": size})
    crate.root_dataset.append_to("hasPart", found)
    return found


def _workflow(crate: Any, folder: Path, run: Mapping[str, Any]) -> Any:
    """Snakefile and rules, copied into the crate."""
    source = snakefile()
    (folder / "workflow" / "rules").mkdir(parents=True, exist_ok=True)
    for path in [source, *sorted((source.parent / "workflow" / "rules").glob("*.smk"))]:
        inside = Path("workflow") / ("rules" if path.suffix == ".smk" else "") / path.name
        shutil.copyfile(path, folder / inside)
        if path != source:
            crate.add_file(folder / inside, inside.as_posix())
    workflow = crate.add_workflow(
        folder / "workflow" / "Snakefile",
        "workflow/Snakefile",
        main=True,
        lang="snakemake",
        properties={"name": "treset"},
    )
    workflow["version"] = str(run["treset"])
    workflow["softwareRequirements"] = [f"{name}=={number}" for name, number in sorted(run["versions"].items())]
    return workflow


def _action(crate: Any, workflow: Any, given: list[Any], made: list[Any], run: Mapping[str, Any]) -> Any:
    from rocrate.model.contextentity import ContextEntity

    settings = []
    facts = {key: run[key] for key in ("seed", "blinded", "commit", "code", "python", "profiles_sha256")}
    facts |= {f"backend {key}": value for key, value in run["backend"].items()}
    for name, value in facts.items():
        known = {"@type": "PropertyValue", "name": name, "value": str(value)}
        settings.append(crate.add(ContextEntity(crate, f"#{name.replace(' ', '-')}", properties=known)))
    known = {
        "@type": "CreateAction",
        "name": f"treset {run['treset']} on {run['study']}",
        "endTime": run["date"],
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }
    action = crate.add(ContextEntity(crate, "#run", properties=known))
    action["instrument"] = workflow
    action["object"] = [*given, *settings]
    action["result"] = made
    return action


def _dated(text: str, date: str) -> str:
    """The library may write the hour it ran at; the run's date is the one that counts."""
    content = json.loads(text)
    for entity in content["@graph"]:
        for key in ("datePublished", "dateCreated", "dateModified"):
            if key in entity:
                entity[key] = date
    content["@graph"].sort(key=lambda entity: entity["@id"])
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
