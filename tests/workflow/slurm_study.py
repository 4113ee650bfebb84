"""The study that slurm.sh runs, and the table of what Slurm saw: exit code 1 where something promised was not seen."""

from __future__ import annotations

import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.workflow.tiny import make_tiny, undisturbed


@dataclass(frozen=True)
class Job:
    """One line of ``squeue --states=all``."""

    id: str
    state: str
    partition: str
    cpus: int
    memory: str
    gpus: str
    comment: str
    time: str


def jobs(text: str) -> list[Job]:
    """Read what slurm.sh asked of ``squeue``."""
    found = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split("|")]
        found.append(Job(parts[0], parts[1], parts[2], int(parts[3]), *parts[4:8]))
    return found


def megabytes(memory: str) -> float:
    """``1500M`` or ``2.5G`` in MB."""
    number, unit = re.fullmatch(r"([\d.]+)([MG])", memory).groups()
    return float(number) * (1024 if unit == "G" else 1)


def seen(study: Path, table: list[Job], log: str, used: str, first: int) -> list[tuple[str, str, bool]]:
    """Promise, what was seen, whether it holds."""
    cohort = [job for job in table if "rule_cohort" in job.comment]
    group = [job for job in table if "per_sample_prepare" in job.comment]
    tail = [job for job in table if "tables" in job.comment]
    array = [job for job in table if "_" in job.id and "rule_map" in job.comment]
    last = cohort[-1] if cohort else None
    granted = "granted" if re.search(r"^gpu\S*:1\b", used, flags=re.MULTILINE) else "never granted"
    states = ", ".join(f"{job.id} {job.state}" for job in table)
    profiles = study / "results" / "tiny" / "profiles.parquet"
    with tempfile.TemporaryDirectory() as folder:
        same = profiles.exists() and (
            undisturbed(study / "config.yaml", Path(folder)).read_bytes() == profiles.read_bytes()
        )
    why = re.search(r"slurm job \d+: .*memory limit", log)
    # the memory asked for a group is the sum of its two jobs
    own = [int(value) for value in re.findall(r"rule prepare:.*?mem_mb=(\d+)", log, flags=re.DOTALL)]
    return [
        ("every job goes through Slurm", states, len(table) >= 6 and len(tail) >= 1),
        (
            "per-sample jobs are grouped, with their memory added up",
            f"one job for both samples, {group[0].cpus} CPUs, {group[0].memory}" if group else "no group",
            len(group) == 1 and group[0].cpus == 2 and megabytes(group[0].memory) >= max(own, default=0) * 1.9,
        ),
        (
            "the light jobs at the end are one",
            f"profiles, monitor and report in job {tail[0].id}" if tail else "no group",
            len(tail) == 1 and not any(re.search("rule_(monitor|report)", job.comment) for job in table),
        ),
        (
            "or are one array",
            f"{', '.join(job.id for job in array)}" if array else "no array",
            len(array) == 2 and len({job.id.split("_")[0] for job in array}) == 1,
        ),
        (
            "a job that fails for memory comes again with more",
            "; ".join(f"{job.memory} {job.state} after {job.time}" for job in cohort),
            len(cohort) == 2
            and megabytes(cohort[0].memory) == first
            and cohort[0].state in ("OUT_OF_MEMORY", "FAILED", "CANCELLED")
            and megabytes(cohort[1].memory) > first
            and cohort[1].state == "COMPLETED",
        ),
        (
            "the cohort's job is granted the GPU, in its partition",
            f"partition {last.partition}, {last.gpus}, {granted}" if last else "no job",
            last is not None and last.partition == "gpu" and last.gpus == "gres:gpu:1" and granted == "granted",
        ),
        (
            "no other job asks for it",
            str(sum("gpu" in job.gpus for job in table if job not in cohort)),
            not any("gpu" in job.gpus for job in table if job not in cohort),
        ),
        ("why the failed job failed is said", why.group(0) if why else "no", why is not None),
        ("profiles.parquet is that of an undisturbed computation", "the same bytes" if same else "differs", same),
    ]


def main() -> int:
    if sys.argv[1] == "make":
        # the backend is left open, so that the cohort's job asks for a GPU; the fake one is no CUDA device
        make_tiny(Path(sys.argv[2]), backend="auto")
        return 0
    study, table, log, used = (Path(name) for name in sys.argv[2:6])
    rows = seen(study, jobs(table.read_text()), log.read_text(), used.read_text(), int(sys.argv[6]))
    print("| promised | seen | |\n| --- | --- | --- |")
    for promised, found, holds in rows:
        print(f"| {promised} | {found} | {'yes' if holds else 'NO'} |")
    return int(not all(holds for _, _, holds in rows))


if __name__ == "__main__":
    sys.exit(main())
