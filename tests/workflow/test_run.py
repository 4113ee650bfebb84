"""The whole path on a small simulated trial: files, verdicts against the truth, repeatability, what reruns."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from tests.workflow.conftest import REPOSITORY, planned, summary, treset
from treset.io.fcs import read_fcs
from treset.io.fcs_write import write_fcs
from treset.io.table import read_profiles
from treset.study import read_study

SAMPLES = {f"P{patient:02d}_{visit}" for patient in range(1, 7) for visit in ("D0", "D8")}


def results(study: Path) -> Path:
    return study / "results" / "small"


def test_every_contracted_file_is_there(finished: Path) -> None:
    expected = {
        "profiles.parquet", "profiles.tsv", "quality.tsv", "report.html",
        "provenance/run.json", "provenance/config.yaml",
        *(f"cohort/{name}.tsv" for name in ("clusters", "populations", "thresholds", "panel")), "cohort/sketch.h5ad",
        *(f"monitors/{m}/{f}" for m in ("treg", "discovery") for f in ("effects.tsv", "patients.tsv", "summary.json")),
        *(f"samples/{s}/{f}" for s in SAMPLES for f in ("prepared.h5ad", "quality.tsv", "cells.h5ad")),
        *(f"samples/{s}/profile.parquet" for s in SAMPLES),
    }  # fmt: skip
    there = {str(path.relative_to(results(finished))) for path in results(finished).rglob("*") if path.is_file()}
    assert expected <= there
    assert not [name for name in there if "/." in name or name.startswith(".")], "temporary files are left"


def test_verdicts_agree_with_the_truth(finished: Path) -> None:
    truth = pd.read_csv(finished / "data" / "truth.tsv", sep="\t").set_index("endpoint")
    found = summary(finished, "treg")
    assert found["verdict"] == truth.loc["treg_expansion", "verdict"] == "met"
    assert found["primary"]["lower"] <= truth.loc["treg_expansion", "value"] <= found["primary"]["upper"]
    effects = pd.read_csv(results(finished) / "monitors" / "treg" / "effects.tsv", sep="\t")
    cd8 = effects[(effects["endpoint"] == "cd8_share") & (effects["role"] == "secondary")].iloc[0]
    assert cd8["verdict"] == "not met"


def test_the_shares_by_gate_are_those_of_the_files(finished: Path) -> None:
    truth = pd.read_csv(finished / "data" / "truth" / "composition.tsv", sep="\t")
    truth = truth.set_index(["sample", "population"])["true_percent_of_total"]
    profiles = read_profiles(results(finished) / "profiles.parquet")
    shares = profiles[profiles["measure"] == "percent_of_total"].set_index(["origin", "sample", "population"])["value"]
    for origin in ("gate", "cluster"):
        for population in ("T", "CD4 T", "CD8 T", "B", "NK"):
            found = np.array([shares[origin, sample, population] for sample in sorted(SAMPLES)])
            true = np.array([truth[sample, population] for sample in sorted(SAMPLES)])
            assert np.abs(found - true).max() < 3.0, (origin, population)
    found = np.array([shares["gate", sample, "Treg"] for sample in sorted(SAMPLES)])
    true = np.array([truth[sample, "Treg"] for sample in sorted(SAMPLES)])
    assert np.corrcoef(found, true)[0, 1] > 0.98


def test_cells_carry_their_labels_and_what_ran(finished: Path) -> None:
    cells = anndata.read_h5ad(results(finished) / "samples" / "P01_D0" / "cells.h5ad")
    assert cells.n_obs == 2500 and cells.X.dtype == np.float32
    assert {"sample", "batch", "keep", "cluster", "population", "population_reason", "cluster_confidence"} <= set(
        cells.obs
    )
    assert np.isfinite(cells.obsm["X_umap"][cells.obs["keep"]]).all()
    assert np.isnan(cells.obsm["X_umap"][~cells.obs["keep"]]).all()
    assert np.allclose(cells.X, np.arcsinh(cells.layers["raw"] / 5.0), atol=1e-5)
    assert cells.uns["treset"]["backend_used"] == "cpu"
    unassigned = cells.obs["keep"] & (cells.obs["population"] == "unassigned")
    assert (cells.obs.loc[unassigned, "population_reason"] != "").all()


def test_the_report_is_one_file_with_the_verdict(finished: Path) -> None:
    page = (results(finished) / "report.html").read_text(encoding="utf-8")
    assert "Small simulated trial" in page and "research use only" in page.lower()
    assert summary(finished, "treg")["headline"]["value"].lstrip("x") in page
    assert "src=http" not in page and 'src="http' not in page and "@import" not in page


def test_nothing_is_left_to_do(finished: Path) -> None:
    assert planned(finished) == {}


@pytest.fixture(scope="module")
def again(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The study run once more, from nothing but its raw files and what its provenance holds; the end of that run."""
    folder = tmp_path_factory.mktemp("elsewhere")
    provenance = str(results(finished) / "provenance")
    done = treset("run", "--from", provenance, "--into", "again", "--cores", "2", cwd=folder)
    return folder / "again", done


def test_the_same_seed_gives_the_same_bytes(
    finished: Path, again: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    folder, done = again
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = (read_study(one / "config.yaml") for one in (finished, folder))
    # the same settings, though the files are named otherwise
    for name in ("seed", "modality", "quality", "normalise", "cohort", "gates", "populations", "monitors"):
        assert getattr(first, name) == getattr(second, name)
    for name in ("profiles.parquet", "report.html"):
        assert (results(folder) / name).read_bytes() == (results(finished) / name).read_bytes()


def test_a_changed_file_reruns_its_sample_and_what_depends_on_it(copy: Path) -> None:
    file = copy / "data" / "P03_D8.fcs"
    header, events = read_fcs(file)
    write_fcs(file, events[:-5], header.channels, header.markers)
    jobs = planned(copy)
    assert jobs["prepare"] == {"P03_D8"}
    assert jobs["map"] == SAMPLES
    assert set(jobs) == {"prepare", "cohort", "map", "profiles", "monitor", "report"}


def test_a_changed_covariate_reruns_the_monitors_and_the_report_only(copy: Path) -> None:
    sheet = copy / "samples.tsv"
    table = pd.read_csv(sheet, sep="\t", dtype=str, keep_default_na=False)
    table["age"] = "61"
    time.sleep(0.01)
    table.to_csv(sheet, sep="\t", index=False)
    assert planned(copy) == {"monitor": {"treg", "discovery"}, "report": set()}


def test_a_changed_disease_reruns_no_cells(copy: Path) -> None:
    sheet = copy / "samples.tsv"
    sheet.write_text(sheet.read_text().replace("arthritis", "psoriasis"))
    assert set(planned(copy)) == {"profiles", "monitor", "report"}


def test_changed_settings_rerun_what_they_touch(copy: Path) -> None:
    config = copy / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace("min_events: 20", "min_events: 30"))
    assert planned(copy) == {"monitor": {"treg", "discovery"}, "report": set()}
    config.write_text(text.replace("umap_epochs: 50", "umap_epochs: 60"))
    assert set(planned(copy)) == {"cohort", "map", "profiles", "monitor", "report"}


@pytest.mark.parametrize(
    ("module", "rules"),
    [
        ("monitor/treg.py", {"monitor", "report"}),
        ("report/text.py", {"report"}),
        ("phenotype/density.py", {"cohort", "map", "profiles", "monitor", "report"}),
        ("quality/cytometry.py", {"prepare", "cohort", "map", "profiles", "monitor", "report"}),
    ],
)
def test_edited_library_code_reruns_what_uses_it(copy: Path, tmp_path: Path, module: str, rules: set[str]) -> None:
    shutil.copytree(REPOSITORY / "src", tmp_path / "repo" / "src")
    shutil.copytree(REPOSITORY / "workflow", tmp_path / "repo" / "workflow")
    shutil.copy(REPOSITORY / "Snakefile", tmp_path / "repo")
    environment = {"PYTHONPATH": str(tmp_path / "repo" / "src")}
    with (tmp_path / "repo" / "src" / "treset" / module).open("a", encoding="utf-8") as stream:
        stream.write("\n# edited\n")
    assert set(planned(copy, environment)) == rules


def test_a_broken_sample_ends_the_run_in_one_sentence_and_leaves_the_results(copy: Path) -> None:
    before = (results(copy) / "profiles.parquet").read_bytes()
    file = copy / "data" / "P02_D0.fcs"
    file.write_bytes(file.read_bytes()[:-1000])
    done = treset("run", str(copy), "--cores", "2", cwd=copy)
    assert done.returncode != 0
    assert "P02_D0.fcs" in done.stderr and "Traceback" not in done.stderr + done.stdout
    assert (results(copy) / "profiles.parquet").read_bytes() == before


@pytest.mark.parametrize("name", ["treg", "discovery"])
def test_a_monitor_runs_on_a_table_from_elsewhere(finished: Path, tmp_path: Path, name: str) -> None:
    profiles = read_profiles(results(finished) / "profiles.parquet")
    profiles.to_csv(tmp_path / "mine.csv", index=False)
    done = treset(
        "monitor", name, "--profiles", str(tmp_path / "mine.csv"), "--config", str(finished / "config.yaml"),
        "--out", str(tmp_path / "out"), cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    own = pd.read_csv(tmp_path / "out" / "effects.tsv", sep="\t")
    pd.testing.assert_frame_equal(own, pd.read_csv(results(finished) / "monitors" / name / "effects.tsv", sep="\t"))


def test_the_provenance_records_what_a_rerun_needs_and_finds_what_changed(copy: Path, tmp_path: Path) -> None:
    import json

    from rocrate.rocrate import ROCrate

    provenance = results(copy) / "provenance"
    assert (provenance / "config.yaml").read_bytes() == (copy / "config.yaml").read_bytes()
    crate = ROCrate(provenance)
    held = {entity.get("alternateName") for entity in crate.get_entities()}
    assert {"profiles.parquet", "report.html", "data/P01_D0.fcs"} <= held
    assert crate.mainEntity.id == "workflow/Snakefile"
    run = json.loads((provenance / "run.json").read_text())
    assert run["seed"] == 3 and run["backend"]["used"] == "cpu" and run["backend"]["device"]
    file = copy / "data" / "P03_D8.fcs"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    done = treset("run", "--from", str(provenance), "--into", "again", cwd=tmp_path)
    assert done.returncode == 2 and not (tmp_path / "again").exists()
    assert "P03_D8.fcs is not the file that was analysed (its SHA-256 differs)" in done.stderr


def test_the_provenance_runs_again_to_the_byte(
    finished: Path, again: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    folder, done = again
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same to the byte" in done.stdout
    again_bytes = (results(folder) / "profiles.parquet").read_bytes()
    assert again_bytes == (results(finished) / "profiles.parquet").read_bytes()


def test_snakemakes_own_report_is_made_without_a_network(finished: Path) -> None:
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = treset("export", "workflow", str(finished), cwd=finished, environment=nowhere)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(results(finished) / "workflow.zip") as archive:
        assert archive.namelist() == ["workflow/report.html"]
        page = archive.read("workflow/report.html").decode()
    assert not re.search(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//", page)
    assert all(rule in page for rule in ("prepare", "cohort", "map", "profiles", "monitor"))
