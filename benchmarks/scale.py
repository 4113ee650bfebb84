"""A simulated trial of millions of cells, raw FCS to report, by the real workflow: time, memory, disk by step.

    python benchmarks/scale.py [CELLS ...] [--folder DIR] [--cores 2] [--keep]

CELLS defaults to 1000000; a sample has 200,000 events of 40 channels, a patient five visits. Every size is simulated
with the generator of ``treset simulate``, run by ``treset run`` and removed again (--keep: left in DIR). CPU time is of
all processes of the run (user and system), the peak is the largest resident set of any of them as the kernel counted
it, times by step are those of the Snakemake benchmarks. Prints a table and writes benchmarks/results/scale.json, where
sizes run before are kept. Bars: peak under 4 GB; CPU time per cell from 1 to 10 million grows no more than 1.1 times.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd

from treset.io.table import write_tsv
from treset.provenance.timings import timings
from treset.simulate import Trial, expected_sheet, plan, write

RESULTS = Path(__file__).parent / "results" / "scale.json"
EVENTS, VISITS, DAYS = 200_000, ["D0", "D8", "D28", "D56", "D84"], [0, 8, 28, 56, 84]
PEAK_GB, GROWTH = 4.0, 1.1
CONFIG = """\
study: scale
modality: mass_cytometry
samples: samples.tsv
panel: panel.tsv
baseline: D0
seed: 1
backend: cpu
monitors:
  treg:
    endpoints:
      - {name: treg_expansion, role: primary, population: Treg, measure: percent_of_parent, visit: D8}
  discovery: {column: visit, reference: D0, test: D8, pair: patient}
"""


def trial_of(cells: int) -> Trial:
    patients = max(1, round(cells / EVENTS / len(VISITS)))
    flat = [1.0] * len(VISITS)
    return plan(
        "il2_open_label", patients=patients, events=EVENTS, seed=9, visits=VISITS, days=DAYS,
        treg_folds=[1.0, 2.0, 1.5, 1.2, 1.0], cd25_folds=[1.0, 1.8, 1.3, 1.1, 1.0], foxp3_folds=flat,
        nk_bright_folds=flat,
    )  # fmt: skip


def _write_one(cells: int, folder: Path, sample: str) -> None:
    write(trial_of(cells), folder, [sample])


def make_study(cells: int, folder: Path, cores: int) -> Trial:
    """Write the raw files (some at once), sheet, panel and config."""
    trial = trial_of(cells)
    with ProcessPoolExecutor(cores) as pool:
        for _ in pool.map(_write_one, *zip(*[(cells, folder / "data", s) for s in trial.plans], strict=True)):
            pass
    shutil.rmtree(folder / "data" / "truth")
    write_tsv(expected_sheet(trial), folder / "samples.tsv")
    write_tsv(trial.panel, folder / "panel.tsv")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    return trial


def size_of(folder: Path, pattern: str) -> float:
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file()) / 1e9


def measure(cells: int, folder: Path, cores: int) -> dict:
    """Simulate, run, and say what it took."""
    start = time.perf_counter()
    trial = make_study(cells, folder, cores)
    written = time.perf_counter() - start
    command = [sys.executable, "-m", "treset", "run", str(folder / "config.yaml"), "--cores", str(cores)]
    before, load, start = resource.getrusage(resource.RUSAGE_CHILDREN), os.getloadavg()[0], time.perf_counter()
    done = subprocess.Popen([sys.executable, "-c", _WATCH, *command], stdout=subprocess.PIPE, text=True)
    said, _ = done.communicate()
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"treset run failed ({folder}):\n{said[-3000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    results = folder / "results" / "scale"
    steps = timings(results / "benchmarks")
    n = len(trial.plans) * EVENTS
    return {
        "cells": n,
        "samples": len(trial.plans),
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "cpu_s_per_million": round(cpu / n * 1e6, 1),
        "peak_gb": round(int(said.strip().splitlines()[-1]) * 1024 / 1e9, 2),
        "simulated_s": round(written, 1),
        "raw_gb": round(size_of(folder / "data", "*.fcs"), 2),
        "prepared_gb": round(size_of(results, "prepared.h5ad"), 2),
        "cells_gb": round(size_of(results, "cells.h5ad"), 2),
        "results_gb": round(size_of(results, "*"), 2),
        "load_before": round(load, 1),
        "cores": cores,
        "machine": platform.platform(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "steps": steps.to_dict("records"),
    }


#: Runs the command and prints the largest resident set (KiB) of any process under it.
_WATCH = """\
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def main() -> None:
    """Measure the sizes asked for, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", nargs="*", type=int, default=[1_000_000])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    known = {row["cells"]: row for row in (json.loads(RESULTS.read_text()) if RESULTS.exists() else [])}
    for cells in options.cells:
        folder = (options.folder or Path(tempfile.mkdtemp(prefix="treset-scale-"))) / str(cells)
        folder.mkdir(parents=True)
        row = measure(cells, folder, options.cores)
        print({k: v for k, v in row.items() if k != "steps"})
        print(pd.DataFrame(row["steps"]).to_string(index=False), flush=True)
        known[row["cells"]] = row
        RESULTS.write_text(json.dumps([known[n] for n in sorted(known)], indent=1) + "\n", encoding="utf-8")
        if not options.keep:
            shutil.rmtree(folder)
    rows = [known[n] for n in sorted(known)]
    peak = max(row["peak_gb"] for row in rows)
    print(f"peak {peak} GB (bar {PEAK_GB}): {'met' if peak < PEAK_GB else 'NOT met'}")
    if len(rows) > 1:
        growth = rows[-1]["cpu_s_per_million"] / rows[0]["cpu_s_per_million"]
        # the cohort's job costs the same at any size and hides the rest: what more cells cost, beside
        each = [(row["cpu_s"] - _cohort(row)) / row["cells"] for row in rows]
        told = f"{rows[0]['cells']:,} to {rows[-1]['cells']:,} cells: CPU per cell x{growth:.2f} (bar {GROWTH})"
        print(f"{told}: {'met' if growth <= GROWTH else 'NOT met'}; without the cohort's job x{each[-1] / each[0]:.2f}")


def _cohort(row: dict) -> float:
    return sum(step["cpu_s"] for step in row["steps"] if step["step"] == "cohort")


if __name__ == "__main__":
    main()
