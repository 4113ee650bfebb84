"""The last words of a run: what to look at first, or what failed and how to go on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from treset.study.model import Study

MONITORS = ("treg", "bcell", "signalling", "clinical", "discovery")
_MOST = 5


@dataclass(frozen=True)
class Failure:
    """A job that failed."""

    rule: str
    #: The sample or monitor; "" for a job of the whole study.
    of: str
    logs: tuple[str, ...]


def verdicts(study: Study) -> list[str]:
    """One line a monitor, then what the data quality asks to be looked at."""
    lines = []
    for name in MONITORS:
        path = study.results / "monitors" / name / "summary.json"
        if getattr(study.monitors, name) is None or not path.is_file():
            continue
        summary = json.loads(path.read_text(encoding="utf-8"))
        lines.append(f"{summary.get('title') or name}: {summary['verdict']} - {summary['reason']}")
    return [*lines, *_quality(study)]


def _quality(study: Study) -> list[str]:
    path = study.results / "quality.tsv"
    if not path.is_file():
        return []
    rows = pd.read_csv(path, sep="\t", dtype={"sample": str}, keep_default_na=False)
    kept = rows.groupby("sample", sort=False)["kept"].last()
    few = [str(sample) for sample in kept.index[kept < study.quality.min_cells]]
    out = int((study.samples["exclude"] != "").sum())
    said = f"Data quality: {len(kept) - len(few)} of {len(kept)} samples have {study.quality.min_cells} kept cells"
    if few:
        said += f"; fewer: {', '.join(few[:_MOST])}" + (f" and {len(few) - _MOST} more" if len(few) > _MOST else "")
    return [said + (f"; {out} excluded by the sheet" if out else "")]


def read_failures(path: Path) -> list[Failure]:
    """What the logger wrote, each job once (the last of its attempts)."""
    if not path.is_file():
        return []
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        found[told["rule"], told["of"]] = Failure(told["rule"], told["of"], tuple(told["log"]))
    return list(found.values())


def failed(study: Study, failures: Sequence[Failure], command: str) -> list[str]:
    """Rule, sample, the one sentence and the log of each failed job, and how to resume."""
    lines = []
    for failure in failures[:_MOST]:
        log = next((study.root / name for name in failure.logs), None)
        lines.append(f"failed: {failure.rule}" + (f", {failure.of}" if failure.of else ""))
        lines.append(f"  {sentence(log)}")
        if log is not None:
            lines.append(f"  log: {log}")
    if len(failures) > _MOST:
        lines.append(f"and {len(failures) - _MOST} more jobs failed; logs in {study.results / 'logs'}")
    if not failures:
        lines.append(f"not finished: what Snakemake said is above, logs in {study.results / 'logs'}")
    lines.append(f"what is done is kept; mend it, then resume with:  {command}")
    return lines


def sentence(log: Path | None) -> str:
    """The fault's sentence in a log; of a bug or a kill the last line."""
    if log is None or not log.is_file():
        return "the job left no log: it was stopped from outside (memory, time limit or a lost node)"
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    if not lines:
        return "the job ended without a word: it was stopped from outside (memory, time limit or a lost node)"
    at = next((i for i, line in enumerate(lines) if line.startswith("error: ")), None)
    if at is None:
        return lines[-1]
    # several faults are told in the lines that follow
    return " ".join([lines[at].removeprefix("error: "), *(line.strip() for line in lines[at + 1 :][:_MOST])])
