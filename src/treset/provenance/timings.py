"""Where the time of a run went: the workflow's benchmark files, gathered by step."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from treset.io.table import write_tsv

#: Jobs; seconds of the clock and of processors, summed over the jobs; the largest resident set of any of them (MB); the
#: step's share of all processor time. Blank where no job of the step ran long enough to be measured.
COLUMNS = ["step", "jobs", "wall_s", "cpu_s", "peak_mb", "percent_of_cpu"]


def timings(benchmarks: Path) -> pd.DataFrame:
    """Sum the benchmark files by step.

    Parameters
    ----------
    benchmarks
        Folder of ``<step>.tsv`` and ``<step>/<sample>.tsv`` as Snakemake writes them: columns ``s``, ``cpu_time``
        (seconds), ``max_rss`` (MB), ``-`` or ``NA`` where nothing was measured; one row a repeat.

    Returns
    -------
    :data:`COLUMNS`, the step that took most processor time first. A job that was not run again counts with its last
    run.
    """
    rows = []
    for path in sorted(benchmarks.rglob("*.tsv")):
        table = pd.read_csv(path, sep="\t", na_values=["-", "NA"])
        told = [pd.to_numeric(table.get(name, pd.Series(dtype=float))) for name in ("s", "cpu_time", "max_rss")]
        step = path.relative_to(benchmarks).parts[0].removesuffix(".tsv")
        rows.append((step, told[0].sum(min_count=1), told[1].sum(min_count=1), told[2].max()))
    each = pd.DataFrame(rows, columns=["step", "wall_s", "cpu_s", "peak_mb"]).astype(
        {"wall_s": float, "cpu_s": float, "peak_mb": float}
    )
    found = each.groupby("step", as_index=False).agg(
        jobs=("step", "size"),
        wall_s=("wall_s", lambda x: x.sum(min_count=1)),
        cpu_s=("cpu_s", lambda x: x.sum(min_count=1)),
        peak_mb=("peak_mb", "max"),
    )
    total = found["cpu_s"].sum()
    found["percent_of_cpu"] = 100.0 * found["cpu_s"] / total if total > 0 else float("nan")
    found = found.sort_values(["cpu_s", "step"], ascending=[False, True], na_position="last", ignore_index=True)
    return found[COLUMNS].round(1)


def write_timings(results: Path) -> Path:
    """Write ``timings.tsv`` of a run's folder; the job that writes it is not in it, for it has not ended.

    The times of two runs are never the same, so they stand in no file that is promised to be the same to the byte.
    """
    out = results / "timings.tsv"
    write_tsv(timings(results / "benchmarks"), out)
    return out
