"""The table of what Slurm saw of the demo that slurm.sh runs: exit code 1 where something promised was not seen."""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

#: Of the demo, and as the profile `slurm` groups them.
SAMPLES, IN_GROUP = 21, 8


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


def counted(table: list[Job]) -> str:
    """``4 COMPLETED, 1 FAILED``."""
    return ", ".join(f"{number} {state}" for state, number in Counter(job.state for job in table).items())


def seen(study: Path, table: list[Job], log: str, used: str, first: int, plain: Path) -> list[tuple[str, str, bool]]:
    """Promise, what was seen, whether it holds."""
    cohort = [job for job in table if "rule_cohort" in job.comment]
    groups = [job for job in table if "per_sample_prepare" in job.comment]
    tail = [job for job in table if "tables" in job.comment]
    array = [job for job in table if "_" in job.id and "rule_map" in job.comment]
    last = cohort[-1] if cohort else None
    granted = "granted" if re.search(r"^gpu\S*:1\b", used, flags=re.MULTILINE) else "never granted"
    profiles = study / "results" / "demo" / "profiles.parquet"
    same = profiles.exists() and plain.read_bytes() == profiles.read_bytes()
    why = re.search(r"slurm job \d+: .*memory limit", log)
    # a group is laid out on two cores: two of its jobs at a time, with the memory of both
    told = "".join(path.read_text() for path in (study / ".snakemake" / "log").glob("*.log"))
    own = [int(value) for value in re.findall(r"rule prepare:.*?mem_mb=(\d+)", told, flags=re.DOTALL)]
    sizes = Counter((job.cpus, job.memory) for job in groups)
    return [
        (
            "every job goes through Slurm",
            f"{len(table)} jobs and tasks: {counted(table)}",
            len(table) == len(groups) + len(cohort) + len(array) + len(tail) + 1,
        ),
        (
            "per-sample jobs are grouped, with their memory added up",
            f"{SAMPLES} samples in {len(groups)} jobs: "
            + ", ".join(f"{number} of {cpus} CPUs and {memory}" for (cpus, memory), number in sizes.items()),
            len(groups) == -(-SAMPLES // IN_GROUP)
            and len(own) == SAMPLES
            and all(job.cpus == 2 and megabytes(job.memory) >= max(own) * 1.9 for job in groups),
        ),
        (
            "the light jobs at the end are one",
            f"profiles, 2 monitors and report in job {tail[0].id}" if tail else "no group",
            len(tail) == 1 and not any(re.search("rule_(monitor|report)", job.comment) for job in table),
        ),
        (
            "or are one array",
            f"{array[0].id} to {array[-1].id}: {counted(array)}" if array else "no array",
            len(array) == SAMPLES and len({job.id.split("_")[0] for job in array}) == 1,
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
        ("profiles.parquet is that of the demo without Slurm", "the same bytes" if same else "differs", same),
    ]


def main() -> int:
    """Take the study, squeue's table, the log, the GPUs in use, the first memory and the plain profiles.parquet."""
    study, table, log, used = (Path(name) for name in sys.argv[1:5])
    first, plain = int(sys.argv[5]), Path(sys.argv[6])
    rows = seen(study, jobs(table.read_text()), log.read_text(), used.read_text(), first, plain)
    print("| promised | seen | |\n| --- | --- | --- |")
    for promised, found, holds in rows:
        print(f"| {promised} | {found} | {'yes' if holds else 'NO'} |")
    return int(not all(holds for _, _, holds in rows))


if __name__ == "__main__":
    sys.exit(main())
