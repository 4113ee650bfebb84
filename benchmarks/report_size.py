"""The report of a large trial: how big, how long to build, how soon ready in a headless Chromium.

    python benchmarks/report_size.py [cells] [patients]

Draws results tables for 40 patients x 6 visits (no pipeline is run), asks the real monitors, builds the page, opens it.
Prints the figures and writes benchmarks/results/report_size.json. Bars: under 6 MB, built in under 20 s, ready in under
3 s on 2 cores.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "browser"))

from devtools import BROWSER, Browser

from treset.io.h5ad import write_h5ad
from treset.io.table import write_tsv
from treset.monitor import run_monitor
from treset.monitor.common import write as write_monitor
from treset.report import build_report
from treset.simulate import expected_sheet, plan
from treset.study import read_study
from treset.study.model import Study

VISITS, DAYS = ["D0", "D5", "D8", "D15", "D28", "D56"], [0, 5, 8, 15, 28, 56]
CLUSTERS = 35
CONFIG = """\
study: large
title: 40 patients, 6 visits
modality: mass_cytometry
samples: samples.tsv
panel: panel.tsv
baseline: D0
monitors:
  treg:
    endpoints:
      - {name: treg_expansion, role: primary, population: Treg, measure: percent_of_parent, visit: D8}
      - {name: cd8, role: secondary, population: CD8 T, measure: percent_of_parent, visit: D8, direction: either}
  discovery: {column: visit, reference: D0, test: D8, pair: patient}
"""


def study_of(folder: Path, patients: int) -> Study:
    flat = [1.0] * len(VISITS)
    trial = plan(
        "il2_placebo", patients=patients // 2, events=100, visits=VISITS, days=DAYS, treg_folds=flat, cd25_folds=flat,
        foxp3_folds=flat, nk_bright_folds=flat,
    )  # fmt: skip
    write_tsv(expected_sheet(trial), folder / "samples.tsv")
    write_tsv(trial.panel, folder / "panel.tsv")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    return read_study(folder / "config.yaml", files=False)


def waist(
    study: Study, markers: list[str], names: dict[str, tuple[str, str]], rng: np.random.Generator
) -> pd.DataFrame:
    """Rows for every sample, population or cluster and measure; shares drift, medians are noise."""
    measures = [("count", ""), ("percent_of_parent", ""), ("percent_of_total", "")]
    measures += [(m, k) for k in markers for m in ("median", "percent_positive")]
    rows = [(p, q, o, m, k) for p, (q, o) in names.items() for m, k in measures]
    table = pd.DataFrame(rows, columns=["population", "parent", "origin", "measure", "marker"])
    columns = ["sample", "patient", "visit", "day", "arm", "disease", "batch", "stimulus", "dose"]
    parts = []
    for sample in study.samples[columns].to_dict("records"):
        n = rng.integers(50, 40_000, len(table))
        own = table.assign(**sample, value=rng.gamma(2, 0.6, len(table)), n_cells=n)
        own.loc[own["measure"] == "count", "value"] = n[own["measure"] == "count"]
        parts.append(own)
    return pd.concat(parts, ignore_index=True)[[*columns, *table.columns, "value", "n_cells"]]


def sketch(
    study: Study, markers: list[str], populations: list[str], cells: int, rng: np.random.Generator
) -> ad.AnnData:
    """Cells around cluster centres with the spread of a UMAP and of arcsinh-transformed markers."""
    share = rng.dirichlet(np.full(CLUSTERS, 0.8))
    which = rng.choice(CLUSTERS, cells, p=share)
    level = rng.choice([0.2, 0.8, 3.0, 4.5], (CLUSTERS, len(markers)), p=[0.5, 0.2, 0.2, 0.1])
    X = np.clip(level[which] + rng.normal(0, 0.7, (cells, len(markers))), 0, None).astype(np.float32)
    centre, lean = rng.uniform(-10, 10, (CLUSTERS, 2)), rng.normal(0, 1, (CLUSTERS, 2, 2))
    place = centre[which] + np.einsum("nij,nj->ni", lean[which], rng.normal(0, 1, (cells, 2)))
    named = np.array(populations)[np.arange(CLUSTERS) % len(populations)]
    strayed = rng.random(cells) < 0.05
    obs = pd.DataFrame(
        {
            "sample": rng.choice(study.included["sample"].to_numpy(dtype=object), cells),
            "cluster": np.array([f"C{i + 1:02d}" for i in range(CLUSTERS)])[which],
            "population": np.where(strayed, "cells", named[which]),
            "cluster_population": named[which],
        },
        index=[str(i) for i in range(cells)],
    ).astype("category")
    found = ad.AnnData(X, obs=obs, var=pd.DataFrame({"role": "lineage"}, index=markers))
    found.obsm["X_umap"] = place.astype(np.float32)
    found.uns["treset"] = {"backend_used": "cpu"}
    return found


def results_of(study: Study, cells: int, folder: Path) -> None:
    rng = np.random.default_rng(1)
    assert study.panel is not None
    markers = list(study.panel.loc[study.panel["role"].isin(["lineage", "state"]), "marker"])
    tree = {p.name: (p.parent or "cells", "gate") for p in study.populations}
    leaves = [p for p in tree if p not in {q for q, _ in tree.values()}]
    clusters = {f"C{i + 1:02d}": (leaves[i % len(leaves)], "cluster") for i in range(CLUSTERS)}
    profiles = waist(study, markers, {"cells": ("", "gate")} | tree | clusters, rng)
    profiles.to_parquet(folder / "profiles.parquet", index=False)
    for name in ("treg", "discovery"):
        write_monitor(
            run_monitor(name, profiles, study.samples, study.monitors, study.baseline), folder / "monitors" / name
        )
    write_h5ad(sketch(study, markers, leaves, cells, rng), folder / "cohort" / "sketch.h5ad")
    counts = rng.integers(1000, 9000, CLUSTERS)
    table = pd.DataFrame({"cluster": list(clusters), "population": [q for q, _ in clusters.values()]})
    write_tsv(table.assign(confidence=0.8, n_cells=counts, evidence="", reason=""), folder / "cohort" / "clusters.tsv")
    filters = ("gaussian", "dna_singlets", "event_length", "viability", "beads")
    rows = [(s, f, 50_000 - 500 * i, 500, 49_500 - 500 * i, "", "") for s in study.samples["sample"]
            for i, f in enumerate(filters)]  # fmt: skip
    names = ["sample", "filter", "cells_in", "dropped", "kept", "threshold", "note"]
    write_tsv(pd.DataFrame(rows, columns=names), folder / "quality.tsv")


def main() -> None:
    cells = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    patients = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    figures: dict[str, object] = {"cells": cells, "patients": patients, "visits": len(VISITS)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = study_of(folder, patients)
        results_of(study, cells, folder)
        start, spent = time.perf_counter(), time.process_time()
        page = build_report(study, folder, folder / "report.html")
        figures["built_seconds"] = round(time.perf_counter() - start, 2)
        figures["built_cpu_seconds"] = round(time.process_time() - spent, 2)
        figures["megabytes"] = round(page.stat().st_size / 1e6, 2)
        if BROWSER is not None:
            ready = []
            for _ in range(3):
                with Browser() as browser:
                    browser.open(page, "document.querySelector('#cellmap')?.dataset.ready === 'yes'", 120)
                    ready.append(browser.value("performance.getEntriesByName('treset-ready')[0].startTime") / 1000)
                    shown = browser.value("document.querySelector('#cellmap .state').textContent")
                    assert "".join(c for c in shown if c.isdigit()) == str(cells), shown
            figures["ready_seconds"] = [round(value, 2) for value in ready]
    figures |= {"load": round(os.getloadavg()[0], 1), "cores": os.cpu_count(), "machine": platform.platform()}
    figures["date"] = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    target = Path(__file__).parent / "results" / "report_size.json"
    target.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    for key, value in figures.items():
        print(f"{key:18} {value}")


if __name__ == "__main__":
    main()
