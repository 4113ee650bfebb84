"""Write study folders for the public data that TRESET_DATA names: sheet, config, nothing copied.

    TRESET_DATA=/path/to/data python benchmarks/real_studies.py studies [bcrxl himc pbmc3k kang ...]

Then ``treset run studies/bcrxl`` and so on. What is known of each data set is in docs/real-data.md.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd

SHEET = ["sample", "file", "patient", "visit", "day", "stimulus", "batch"]


def bcrxl(data: Path, folder: Path) -> tuple[pd.DataFrame, str]:
    """Bodenmiller 2012 (doi:10.1038/nbt.2317): 8 donors, reference against B-cell receptor cross-linking."""
    key = pd.read_csv(data / "bcrxl" / "samples.csv", dtype=str)
    key["condition"] = key["condition"].map({"Ref": "Reference", "BCRXL": "BCR-XL"})
    files = [data / "bcrxl" / name for name in key["file_name"]]
    sheet = pd.DataFrame(
        {
            "sample": key["shortname"],
            "file": files,
            "patient": "patient" + key["patient"],
            "stimulus": key["condition"],
        }
    )
    config = """\
modality: mass_cytometry
monitors:
  discovery: {column: stimulus, reference: Reference, test: BCR-XL, pair: patient}
"""
    return sheet, config


def himc(data: Path, folder: Path) -> tuple[pd.DataFrame, str]:
    """One PBMC control, one file a manual gate (HIMC plate 3)."""
    files = sorted((data / "himc_plate3").glob("*.fcs"))
    sheet = pd.DataFrame({"sample": [f.stem for f in files], "file": files, "patient": "control"})
    return sheet, "modality: mass_cytometry\n"


def cytonorm(data: Path, folder: Path) -> tuple[pd.DataFrame, str]:
    """Two controls on three plates."""
    files = sorted((data / "cytonorm").glob("*.fcs"))
    sheet = pd.DataFrame({"sample": [f.stem for f in files], "file": files})
    sheet["patient"] = [f"control {f.stem[-1]}" for f in files]
    sheet["batch"] = [f.stem.split("_")[1] for f in files]
    return sheet, "modality: mass_cytometry\n"


def flow_tcell(data: Path, folder: Path) -> tuple[pd.DataFrame, str]:
    """Fluorescence flow cytometry of a mouse."""
    return pd.DataFrame({"sample": ["ff"], "file": [data / "flow_tcell" / "ff.fcs"]}), "modality: flow_cytometry\n"


def pbmc3k(data: Path, folder: Path) -> tuple[pd.DataFrame, str]:
    """10x PBMC 3k, an old matrix folder."""
    return pd.DataFrame({"sample": ["pbmc3k"], "file": [data / "rna" / "pbmc3k_mtx"]}), "modality: rna\n"


def kang(data: Path, folder: Path) -> tuple[pd.DataFrame, str]:
    """Kang 2018 (doi:10.1038/nbt.4042): 2 donors, control and interferon beta, already filtered to 1,267 genes."""
    import anndata

    cells = anndata.read_h5ad(data / "rna" / "kang_example_sce.h5ad")
    rows = []
    for sample, part in cells.obs.groupby("sample_id", observed=True):
        file = folder / f"{sample}.h5ad"
        cells[part.index].copy().write_h5ad(file)
        rows.append((sample, file, f"donor{str(sample)[-3:]}", part["group_id"].iloc[0]))
    # chosen genes of filtered cells: the library-size and doublet filters have nothing to work on
    config = """\
modality: rna
quality: {rna: {min_counts: 50, min_genes: 20, doublets: false}}
monitors:
  discovery: {column: stimulus, reference: ctrl, test: stim, pair: patient}
"""
    return pd.DataFrame(rows, columns=["sample", "file", "patient", "stimulus"]), config


STUDIES: dict[str, Callable[[Path, Path], tuple[pd.DataFrame, str]]] = {
    "bcrxl": bcrxl,
    "himc": himc,
    "cytonorm": cytonorm,
    "flow_tcell": flow_tcell,
    "pbmc3k": pbmc3k,
    "kang": kang,
}


def write_study(name: str, data: Path, out: Path) -> Path:
    """Write ``out/name`` with ``samples.tsv`` and ``config.yaml`` (and, for kang, one file a sample)."""
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    sheet, config = STUDIES[name](data, folder.resolve())
    for column in SHEET:
        if column not in sheet:
            sheet[column] = {"patient": "P1", "visit": "D0", "day": "0"}.get(column, "")
    sheet[SHEET].astype(str).to_csv(folder / "samples.tsv", sep="\t", index=False)
    head = f"study: {name}\ntitle: {STUDIES[name].__doc__.splitlines()[0]!r}\nsamples: samples.tsv\nbaseline: D0\n"
    (folder / "config.yaml").write_text(head + config, encoding="utf-8")
    return folder


if __name__ == "__main__":
    if "TRESET_DATA" not in os.environ:
        sys.exit("TRESET_DATA is not set: name the folder of the public data")
    target = Path(sys.argv[1])
    for study in sys.argv[2:] or list(STUDIES):
        print(write_study(study, Path(os.environ["TRESET_DATA"]).resolve(), target))
