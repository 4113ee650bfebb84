"""Peak memory and time of each job that sees all samples, on a made-up waist.

    python benchmarks/waist.py [SAMPLES ...]          500 by default; each sample has about 8,000 rows
    python benchmarks/waist.py 50 --jobs gather treg  only these jobs

Every job runs in a process of its own, as in a run; its peak is the largest resident set that the kernel counted for it
(VmHWM), libraries included. No cell is simulated and no pipeline is run: rows are drawn as ``map`` writes them. Prints
a table and writes benchmarks/results/waist.json, where sizes measured before are kept.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd

from treset.io.table import write_tsv
from treset.simulate import plan
from treset.study import read_study
from treset.study.model import Study

RESULTS = Path(__file__).parent / "results" / "waist.json"
CLUSTERS, MARKERS = 40, 36
#: Bars: GB at a number of samples.
BARS = {500: 2.0, 5_000: 8.0}
CONFIG = """\
study: waist
modality: mass_cytometry
samples: samples.tsv
panel: panel.tsv
baseline: D0
seed: 1
monitors:
  treg:
    endpoints:
      - {name: treg_expansion, role: primary, population: Treg, measure: percent_of_parent, visit: D8}
      - {name: cd25, role: secondary, population: Treg, measure: median, marker: CD25, visit: D8, scale: difference}
      - {name: treg_of_all, role: secondary, population: Treg, measure: percent_of_parent, parent: cells, visit: D8}
  bcell: {naive: [B naive]}
  discovery: {column: visit, reference: D0, test: D8, pair: patient}
"""
SHEET = ["sample", "patient", "visit", "day", "arm", "disease", "batch", "stimulus", "dose"]


def make_study(folder: Path, samples: int) -> None:
    """Write the sheet, the panel and the config; two visits a patient, one sample in five counted elsewhere."""
    rows = []
    for number in range(samples):
        patient, visit = f"P{number // 2:05d}", ("D0", "D8")[number % 2]
        day, arm = {"D0": 0, "D8": 8}[visit], ("placebo", "IL-2")[number // 2 % 2]
        counted = ("4.2", "cells") if number % 5 == 0 else ("", "")
        name = f"{patient}_{visit}"
        rows.append((name, f"{name}.fcs", patient, visit, day, arm, "SLE", f"b{number % 5}", *counted))
    columns = ["sample", "file", "patient", "visit", "day", "arm", "disease", "batch"]
    write_tsv(pd.DataFrame(rows, columns=[*columns, "cells_per_ul", "counted_population"]), folder / "samples.tsv")
    write_tsv(plan("il2_open_label", patients=1, events=1).panel, folder / "panel.tsv")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")


def markers(study: Study) -> list[str]:
    """Markers of the panel, and more up to the number wanted."""
    assert study.panel is not None
    named = [str(row["marker"]) for row in study.panel.to_dict("records") if row["role"] in ("lineage", "state")]
    return [*named, *(f"M{number:02d}" for number in range(MARKERS - len(named)))]


def write_rows(folder: Path) -> None:
    """Write the rows of every sample as ``map`` does, and its table of quality."""
    study = read_study(folder / "config.yaml", files=False)
    tree = {"cells": "", **{p.name: p.parent or "cells" for p in study.populations}}
    clusters = {f"C{number + 1:02d}": list(tree)[number % len(tree)] for number in range(CLUSTERS)}
    parts = [(p, q, o) for o, of in (("gate", tree), ("cluster", tree | clusters)) for p, q in of.items()]
    measures = [("count", ""), ("percent_of_parent", ""), ("percent_of_total", "")]
    measures += [(m, k) for k in markers(study) for m in ("median", "percent_positive")]
    rows = pd.DataFrame(
        [(p, q, o, m, k) for p, q, o in parts for m, k in measures],
        columns=["population", "parent", "origin", "measure", "marker"],
    )
    measure, groups = rows["measure"].to_numpy(), len(parts)
    for number, sample in enumerate(study.included["sample"]):
        rng = np.random.default_rng(number)
        of = rng.integers(50, 40_000, groups)
        cells = np.repeat(of, len(measures))
        value = rng.gamma(2.0, 0.6, len(rows))
        value = np.where(
            np.isin(measure, ["percent_positive", "percent_of_parent"]), np.minimum(10 * value, 100.0), value
        )
        value = np.where(measure == "count", cells, value)
        own = rows.assign(value=np.where(measure == "percent_of_total", cells / 400.0, value), n_cells=cells)
        own.insert(0, "sample", sample)
        out = folder / "samples" / str(sample)
        out.mkdir(parents=True)
        own.to_parquet(out / "profile.parquet", index=False)
        (out / "quality.tsv").write_text(
            f"sample\tfilter\tcells_in\tdropped\tkept\tthreshold\tnote\n{sample}\tnone\t40000\t0\t40000\t\t\n"
        )


def gather_all(folder: Path) -> None:
    from treset.jobs.profiles import SHEET_COLUMNS, gather

    sheet = read_study(folder / "config.yaml", files=False).included.reset_index(drop=True)
    rows = {s: folder / "samples" / s / "profile.parquet" for s in sheet["sample"]}
    quality = {s: folder / "samples" / s / "quality.tsv" for s in sheet["sample"]}
    out = folder / "results"
    columns = ["sample", *SHEET_COLUMNS, "cells_per_ul", "counted_population"]
    gather(rows, quality, sheet[columns], out / "profiles.parquet", out / "profiles.tsv", out / "quality.tsv")


def monitor_one(name: str) -> Callable[[Path], None]:
    def run(folder: Path) -> None:
        from treset.jobs.monitor import monitor

        study, out = read_study(folder / "config.yaml", files=False), folder / "results"
        monitor(name, out / "profiles.parquet", study, out / "monitors" / name, markers(study)[: MARKERS // 2])

    return run


def monitor_text(folder: Path) -> None:
    from treset.jobs.monitor import monitor

    study = read_study(folder / "config.yaml", files=False)
    monitor("treg", folder / "results" / "profiles.tsv", study, folder / "text", [])


def report_all(folder: Path) -> None:
    from treset.report import build_report

    study, out = read_study(folder / "config.yaml", files=False), folder / "results"
    build_report(study, out, out / "report.html")


def export_all(folder: Path) -> None:
    from treset.export.tables import export_tables

    export_tables(folder / "results", folder / "tables")


JOBS: dict[str, Callable[[Path], None]] = {
    "gather": gather_all, "treg": monitor_one("treg"), "bcell": monitor_one("bcell"),
    "discovery": monitor_one("discovery"), "treg of TSV": monitor_text, "report": report_all,
    "export tables": export_all,
}  # fmt: skip
#: Not measured unless asked for: beyond the rows of a sheet of Excel, and minutes long.
SLOW = ("treg of TSV", "export tables")


def run_one(job: str, folder: Path) -> None:
    """Run one job here and say its peak, time and what it wrote."""
    start, spent = time.perf_counter(), time.process_time()
    with redirect_stdout(sys.stderr):
        JOBS[job](folder)
    wall, cpu = time.perf_counter() - start, time.process_time() - spent
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    found = {"peak_gb": int(status["VmHWM"].split()[0]) * 1024 / 1e9, "wall_s": wall, "cpu_s": cpu}
    print(json.dumps({key: round(value, 3) for key, value in found.items()}))


def measure(samples: int, jobs: list[str], folder: Path) -> dict:
    """Make the waist and run each job in a process of its own."""
    if not (folder / "config.yaml").exists():
        make_study(folder, samples)
        write_rows(folder)
    found: dict = {"samples": samples, "date": datetime.datetime.now(datetime.UTC).date().isoformat()}
    for job in jobs:
        command = [sys.executable, str(Path(__file__)), "--one", job, "--folder", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found[job] = json.loads(done.stdout) if not done.returncode else {"failed": done.stderr[-300:]}
        print(samples, job, found[job], flush=True)
    profiles = folder / "results" / "profiles.parquet"
    return found | {"profiles_gb": round(profiles.stat().st_size / 1e9, 3), "load": round(os.getloadavg()[0], 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("samples", nargs="*", type=int, default=[500])
    parser.add_argument("--jobs", nargs="+", default=[job for job in JOBS if job not in SLOW])
    parser.add_argument("--folder", type=Path, help="where the waist is made and kept [default: made and removed]")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.one:
        run_one(options.one, options.folder)
        return
    known = {row["samples"]: row for row in (json.loads(options.out.read_text()) if options.out.exists() else [])}
    for samples in options.samples:
        folder = options.folder or Path(tempfile.mkdtemp(prefix="treset-waist-"))
        folder.mkdir(parents=True, exist_ok=True)
        row = measure(samples, options.jobs, folder) | {"machine": platform.platform()}
        known[samples] = known.get(samples, {}) | row
        options.out.write_text(json.dumps([known[n] for n in sorted(known)], indent=1) + "\n", encoding="utf-8")
        if options.folder is None:
            shutil.rmtree(folder)
        for bar in (limit for size, limit in BARS.items() if size == samples):
            over = [job for job in options.jobs if row[job].get("peak_gb", bar) >= bar]
            print(f"under {bar} GB at {samples} samples: {'all' if not over else 'NOT ' + ', '.join(over)}")


if __name__ == "__main__":
    main()
