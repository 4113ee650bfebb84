"""A study as small as one can be and still be run through, and what its waist must be, computed without a workflow."""

from __future__ import annotations

from pathlib import Path

CONFIG = """\
study: tiny
modality: mass_cytometry
samples: samples.tsv
panel: panel.tsv
baseline: D0
seed: 3
backend: {backend}
cohort: {{sketch_cells: 600, algorithm: som, metaclusters: 8, overcluster: 0, neighbors: 5, umap_epochs: 5}}
monitors:
  treg:
    min_events: 5
    endpoints:
      - {{name: treg_expansion, role: primary, population: Treg, measure: percent_of_parent, visit: D8}}
"""


def make_tiny(folder: Path, patients: int = 1, events: int = 800, backend: str = "cpu") -> Path:
    """Write a study of ``patients`` at two visits; give its config."""
    from treset.io.table import write_tsv
    from treset.simulate import expected_sheet, plan, write

    trial = plan(
        "il2_open_label", patients=patients, events=events, seed=5, visits=["D0", "D8"], days=[0, 8],
        treg_folds=[1.0, 2.5], cd25_folds=[1.0, 1.8], foxp3_folds=[1.0, 1.3], nk_bright_folds=[1.0, 1.0],
        diseases=["lupus"],
    )  # fmt: skip
    write(trial, folder / "data")
    write_tsv(expected_sheet(trial), folder / "samples.tsv")
    write_tsv(trial.panel, folder / "panel.tsv")
    config = folder / "config.yaml"
    config.write_text(CONFIG.format(backend=backend), encoding="utf-8")
    return config


def undisturbed(config: Path, folder: Path) -> Path:
    """Compute the waist by the library alone: no Snakemake, no scheduler, nothing that could be disturbed.

    Returns
    -------
    The path of ``profiles.parquet``.
    """
    from treset.jobs.cohort import CohortSettings, cohort
    from treset.jobs.map import MapSettings, map_sample
    from treset.jobs.prepare import PrepareSettings, prepare
    from treset.jobs.profiles import SHEET_COLUMNS, gather
    from treset.study import panel_rows, read_study

    study = read_study(config)
    first = PrepareSettings(
        study.modality, tuple(panel_rows(study)), study.aliases, study.quality, study.normalise, study.seed
    )
    sheet = study.included.set_index("sample", drop=False)
    prepared, rows, quality = {}, {}, {}
    for sample in sheet.index:
        prepared[sample], quality[sample] = folder / sample / "prepared.h5ad", folder / sample / "quality.tsv"
        prepare(
            sample, sheet.loc[sample, "batch"], Path(sheet.loc[sample, "file"]), first, prepared[sample],
            quality[sample],
        )  # fmt: skip
    settings = CohortSettings(
        study.modality, study.cohort, study.populations, study.normalise.n_top_genes, study.backend, study.seed,
        study.gates,
    )  # fmt: skip
    cohort(prepared, settings, folder / "cohort")
    mapping = MapSettings(
        study.modality, study.populations, study.signatures, study.cohort.map_neighbors, study.cohort.neighbors,
        study.backend, study.seed, study.gates.per_sample,
    )  # fmt: skip
    for sample in sheet.index:
        rows[sample] = folder / sample / "profile.parquet"
        map_sample(prepared[sample], folder / "cohort", mapping, folder / sample / "cells.h5ad", rows[sample])
    columns = ["sample", *SHEET_COLUMNS, "cells_per_ul", "counted_population"]
    out = folder / "profiles.parquet"
    gather(rows, quality, sheet[columns].reset_index(drop=True), out, folder / "profiles.tsv", folder / "quality.tsv")
    return out
