"""A blinded trial, run as a user does: no file of its results names an arm; its provenance runs again to the byte."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import anndata
import h5py
import pandas as pd
import pytest

from tests.workflow.conftest import treset

CONFIG = """\
study: small
title: Interleukin against Placebo
modality: mass_cytometry
samples: samples.tsv
panel: panel.tsv
baseline: D0
seed: 3
backend: cpu
blinded: true
cohort: {sketch_cells: 3000, umap_epochs: 20}
monitors:
  treg:
    min_events: 10
    reference_arm: placebo   # the placebo arm is compared with
    endpoints:
      - {name: treg_expansion, role: primary, population: Treg, measure: percent_of_parent, visit: D5,
         contrast: {test: IL-2, reference: placebo}}
      - {name: cd8, role: secondary, population: CD8 T, measure: percent_of_parent, visit: D5, direction: either}
  clinical: {file: clinical.tsv, outcomes: [{name: score, measure: SLEDAI, kind: score, role: primary}]}
  discovery: {column: visit, reference: D0, test: D5, pair: patient}
"""
ARMS = re.compile(rb"placebo|IL-2", re.IGNORECASE)


@pytest.fixture(scope="module")
def blinded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from treset.io.table import write_tsv
    from treset.simulate import expected_sheet, plan, write

    folder = tmp_path_factory.mktemp("masked")
    trial = plan(
        "il2_placebo", patients=2, events=900, seed=5, visits=["D0", "D5"], days=[0, 5], treg_folds=[1.0, 2.5],
        cd25_folds=[1.0, 1.8], foxp3_folds=[1.0, 1.3], nk_bright_folds=[1.0, 1.0],
    )  # fmt: skip
    write(trial, folder / "data")
    sheet = expected_sheet(trial)
    sheet["treatment"] = sheet["arm"].map({"IL-2": "active", "placebo": "inert"})
    sheet["remark"] = "asked for Placebo"
    write_tsv(sheet, folder / "samples.tsv")
    write_tsv(trial.panel, folder / "panel.tsv")
    patients = sheet["patient"].unique()
    rows = [(p, day, "SLEDAI", 10 - day / 10) for p in patients for day in (0, 30)]
    write_tsv(pd.DataFrame(rows, columns=["patient", "day", "measure", "value"]), folder / "clinical.tsv")
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    done = treset("run", str(folder), "--cores", "2", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not ARMS.search(done.stdout.encode()), done.stdout
    assert "Treg expansion: not evaluable" in done.stdout and "report: " in done.stdout
    return folder


def _texts(path: Path) -> list[bytes]:
    """A file's bytes, and what a compressed one holds."""
    texts = [path.read_bytes()]
    if path.suffix == ".parquet":
        texts.append(pd.read_parquet(path).to_csv().encode())
    if path.suffix == ".h5ad":
        held = anndata.read_h5ad(path)
        texts += [held.obs.to_csv().encode(), held.var.to_csv().encode(), repr(held.uns).encode()]
        with h5py.File(path) as file:
            file.visititems(lambda name, item: texts.append(f"{name} {dict(item.attrs)}".encode()))
    return texts


def test_no_file_of_the_results_names_an_arm(blinded: Path) -> None:
    results = blinded / "results"
    files = [path for path in results.rglob("*") if path.is_file()]
    assert len(files) > 60
    assert not [path for path in files if ARMS.search(str(path.relative_to(results)).encode())]
    assert not [str(path) for path in files for text in _texts(path) if ARMS.search(text)]


def test_snakemakes_report_names_no_arm(blinded: Path, tmp_path: Path) -> None:
    out = tmp_path / "workflow.zip"
    done = treset("export", "workflow", str(blinded), "--out", str(out), cwd=blinded)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(out) as archive:
        for name in archive.namelist():
            assert not ARMS.search(name.encode())
            assert not ARMS.search(archive.read(name)), name


def test_the_page_and_its_payloads_name_no_arm(blinded: Path) -> None:
    import base64
    import gzip

    page = (blinded / "results/small/report.html").read_text(encoding="utf-8")
    packed = re.findall(r"base64,([A-Za-z0-9+/=]{40,})|\"blob\":\"([A-Za-z0-9+/=]+)\"", page)
    assert len(packed) > 5
    for one, two in packed:
        assert not ARMS.search(gzip.decompress(base64.b64decode(one or two)))
    assert "arm A" in page and "arm B" in page and "blinded (arms by code" in page


def test_codes_stand_for_the_arms_and_nothing_compares_them(blinded: Path) -> None:
    sheet = pd.read_csv(blinded / "samples.tsv", sep="\t").set_index("sample")["arm"]
    waist = pd.read_parquet(blinded / "results/small/profiles.parquet").drop_duplicates("sample")
    pairs = set(zip(waist["sample"].map(sheet), waist["arm"], strict=True))
    assert {code for _, code in pairs} == {"arm A", "arm B"} and len(pairs) == 2
    assert waist["dose"].isna().all()
    kept = pd.read_csv(blinded / "results/small/provenance/samples.tsv", sep="\t")
    assert "treatment" not in kept and "[arm]" in kept["remark"][0]
    for name in ("treg", "clinical"):
        effects = pd.read_csv(blinded / f"results/small/monitors/{name}/effects.tsv", sep="\t", keep_default_na=False)
        between = effects[effects["contrast"] == "between arms"]
        assert len(between) and set(between["verdict"]) == {"not evaluable"} and set(between["p_value"]) == {""}
        assert not effects["contrast"].str.contains("arm [AB]").any()


def test_the_provenance_runs_again_to_the_byte(blinded: Path, tmp_path: Path) -> None:
    provenance = blinded / "results/small/provenance"
    done = treset("run", "--from", str(provenance), "--into", "again", "--cores", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same to the byte" in done.stdout
    again = tmp_path / "again/results/small/profiles.parquet"
    assert again.read_bytes() == (blinded / "results/small/profiles.parquet").read_bytes()
