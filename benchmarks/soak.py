"""Soak: a trial of many samples with tiny files. Is the scheduler quick, and does any rule grow faster than its input?

    python benchmarks/soak.py                      500 samples: check and dry run, each under 60 s
    python benchmarks/soak.py --samples 50 --grow  besides, the jobs on all samples at growing numbers

The dry run plans every job with its real memory, time and threads from the files' headers. The jobs on all samples
(profiles, monitors) are run on made-up rows; those of one sample do not see how many samples there are, and the
cohort's reads each once (``treset.resources``).
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd

from treset.io.fcs_write import write_fcs
from treset.io.table import write_tsv
from treset.simulate import plan

LIMIT_S = 60.0
CONFIG = """\
study: soak
modality: mass_cytometry
samples: samples.tsv
panel: panel.tsv
baseline: D0
seed: 1
monitors:
  treg:
    endpoints:
      - {name: treg_expansion, role: primary, population: Treg, measure: percent_of_parent, visit: D8}
  discovery: {column: visit, reference: D0, test: D8, pair: patient}
"""


def make_study(folder: Path, samples: int, events: int = 40) -> Path:
    """Write a study of ``samples`` files of ``events`` events each, two visits a patient; give its config."""
    panel = plan("il2_open_label", patients=1, events=1).panel
    channels, markers = list(panel["channel"]), list(panel["marker"])
    generator, rows = np.random.default_rng(1), []
    (folder / "data").mkdir(parents=True)
    for number in range(samples):
        patient, visit = f"P{number // 2:04d}", ("D0", "D8")[number % 2]
        name = f"{patient}_{visit}"
        values = generator.gamma(1.0, 20.0, (events, len(channels))).astype("f4")
        write_fcs(folder / "data" / f"{name}.fcs", values, channels, markers)
        rows.append((name, f"data/{name}.fcs", patient, visit, {"D0": 0, "D8": 8}[visit], "active", f"b{number % 5}"))
    columns = ["sample", "file", "patient", "visit", "day", "arm", "batch"]
    write_tsv(pd.DataFrame(rows, columns=columns), folder / "samples.tsv")
    write_tsv(panel, folder / "panel.tsv")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    return folder / "config.yaml"


def seconds(*arguments: str) -> tuple[float, float]:
    """Wall and processor time of ``treset ARGUMENTS``; a failure ends the benchmark."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "treset", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, cpu


def sample_table(samples: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of the waist of ``samples`` samples without the sheet's columns, and the sheet."""
    generator = np.random.default_rng(2)
    tree = {"T": "cells", "CD4 T": "T", "Treg": "CD4 T", "CD8 T": "T", "B": "cells", "NK": "cells"}
    clusters = {f"C{number:02d}": "T" for number in range(1, 25)}
    rows, sheet = [], []
    for number in range(samples):
        name, visit = f"S{number:04d}", ("D0", "D8")[number % 2]
        sheet.append((name, f"P{number // 2:04d}", visit, 8.0 * (number % 2), "active", "", "b1", "", np.nan))
        for origin, parts in (("gate", tree), ("cluster", clusters)):
            for population, parent in parts.items():
                count = int(generator.integers(50, 500))
                rows.append((name, population, parent, origin, "count", "", float(count), 5000))
                for measure in ("percent_of_parent", "percent_of_total"):
                    rows.append((name, population, parent, origin, measure, "", count / 50, 5000))
                rows += [
                    (name, population, parent, origin, "median", f"M{marker}", float(generator.normal()), count)
                    for marker in range(20)
                ]
    columns = ["sample", "population", "parent", "origin", "measure", "marker", "value", "n_cells"]
    names = ["sample", "patient", "visit", "day", "arm", "disease", "batch", "stimulus", "dose"]
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(sheet, columns=names)


def grown(samples: int, folder: Path) -> dict[str, float]:
    """Seconds of the jobs that see all samples."""
    from treset.jobs.monitor import monitor
    from treset.jobs.profiles import gather
    from treset.study import read_study

    table, sheet = sample_table(samples)
    folder.mkdir(parents=True)
    config = make_study(folder / "study", 2)
    rows, quality = {}, {}
    for name, part in table.groupby("sample", sort=False):
        rows[name], quality[name] = folder / f"{name}.parquet", folder / f"{name}.tsv"
        part.to_parquet(rows[name], index=False)
        quality[name].write_text(f"sample\tfilter\tcells_in\tdropped\tkept\n{name}\tnone\t1\t0\t1\n", encoding="utf-8")
    took = {}
    start = time.perf_counter()
    counted = sheet.assign(cells_per_ul=np.nan, counted_population="")
    gather(rows, quality, counted, folder / "profiles.parquet", folder / "profiles.tsv", folder / "quality.tsv")
    took["profiles"] = time.perf_counter() - start
    written = sheet.drop(columns=["dose"]).assign(file=[f"{name}.fcs" for name in sheet["sample"]])
    write_tsv(written.astype({"day": int}), folder / "study" / "samples.tsv")
    study = read_study(config, files=False)
    for name in ("treg", "discovery"):
        start = time.perf_counter()
        with redirect_stdout(sys.stderr):
            monitor(name, folder / "profiles.parquet", study, folder / name, ["M0", "M1"])
        took[f"monitor {name}"] = time.perf_counter() - start
    return took


def main() -> None:
    """Measure and print."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--samples", type=int, default=500)
    asked.add_argument("--grow", action="store_true", help="time the jobs on all samples at 1/4, 1/2 and all of them")
    asked.add_argument("--out", type=Path, help="write the numbers as JSON")
    options = asked.parse_args()
    found: dict[str, float] = {"samples": options.samples}
    with tempfile.TemporaryDirectory() as name:
        config = make_study(Path(name) / "study", options.samples)
        found["check_s"], found["check_cpu_s"] = seconds("check", str(config))
        found["dry_run_s"], found["dry_run_cpu_s"] = seconds("run", str(config), "-n", "--quiet", "all")
        if options.grow:
            grown(4, Path(name) / "warm")
            sizes = [options.samples // 4, options.samples // 2, options.samples]
            times = [grown(size, Path(name) / str(size)) for size in sizes]
            for job in times[0]:
                found |= {f"{job} at {size} (s)": took[job] for size, took in zip(sizes, times, strict=True)}
                # seconds grow as samples to this power; 1 is in step with the input
                found[f"{job} exponent"] = math.log2(times[2][job] / times[1][job])
    print(json.dumps({key: round(value, 2) for key, value in found.items()}, indent=1))
    if options.out:
        options.out.write_text(json.dumps({key: round(value, 2) for key, value in found.items()}, indent=1) + "\n")
    slow = [key for key in ("check_s", "dry_run_s") if found[key] > LIMIT_S]
    sys.exit(f"over {LIMIT_S:.0f} s: {', '.join(slow)}" if slow else 0)


if __name__ == "__main__":
    main()
