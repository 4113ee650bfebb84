"""RNA populations against sorted cells and published labels, and scorers of a Treg compared.

    TRESET_DATA=/path/to/data python benchmarks/phenotypes_rna.py [sorted pbmc3k kang eccite]

Labels score, and are used for nothing else. Prints tables and writes benchmarks/results/phenotypes_rna.json. In
``sorted`` each sort is a sequencing library of its own, so neighbours share the library besides the cell type: the
control pools random sets of genes of like expression, and its AUROC says how much of the gain that may be.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

import anndata
import hdf5plugin  # noqa: F401
import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import rankdata
from sklearn.metrics import f1_score, roc_auc_score

from treset.compute import open_backend
from treset.jobs.cohort import CohortSettings, cohort
from treset.jobs.map import MapSettings, map_sample
from treset.jobs.prepare import PrepareSettings, prepare
from treset.normalise.protein import is_protein
from treset.phenotype import rna, signatures
from treset.phenotype.map import smooth
from treset.phenotype.rna_sketch import _stored
from treset.phenotype.tree import resolve
from treset.study.faults import Collector
from treset.study.model import Cohort, Normalise, Quality, RnaQuality, Signature
from treset.study.populations import packaged, read_populations, read_signatures

CPU = open_backend("cpu")
T_POPULATIONS = ("T", "CD4 T", "CD8 T", "Treg", "Tconv", "CD4", "CD8")
TOP = {"B": "B", "NK": "NK", "Monocytes": "monocyte", "Myeloid": "monocyte"}
SORT = {"bcells": "B", "nk": "NK", "monocytes": "monocyte"}
CD4_SORTS = ("regulatoryt", "memoryt", "thelper", "naivet")
KANG = {
    "CD14+ Monocytes": "Monocytes classical", "FCGR3A+ Monocytes": "Monocytes non-classical", "B cells": "B",
    "NK cells": "NK", "CD4 T cells": "T", "CD8 T cells": "T", "Dendritic cells": "mDC", "Megakaryocytes": "Platelets",
}  # fmt: skip


def run(files: dict[str, Path], quality: RnaQuality, folder: Path) -> dict[str, anndata.AnnData]:
    """The jobs prepare, cohort and map; the cells of each sample."""
    faults = Collector()
    tree, sets = (
        read_populations(packaged("populations", "rna"), faults),
        read_signatures(packaged("signatures", "rna"), faults),
    )
    assert tree is not None and sets is not None
    first = PrepareSettings("rna", (), {}, Quality(rna=quality), Normalise(), 0)
    options = Cohort(umap_epochs=20)
    prepared = {sample: folder / f"{sample}.h5ad" for sample in files}
    for sample, file in files.items():
        prepare(sample, "1", file, first, prepared[sample], folder / f"{sample}.tsv")
    cohort(prepared, CohortSettings("rna", options, tree, 2000, "cpu", 0), folder)
    last = MapSettings("rna", tree, sets, options.map_neighbors, options.neighbors, "cpu", 0)
    out = {}
    for sample in files:
        map_sample(prepared[sample], folder, last, folder / f"{sample}.cells.h5ad", folder / f"{sample}.parquet")
        out[sample] = anndata.read_h5ad(folder / f"{sample}.cells.h5ad")
    return out


def top(name: str) -> str:
    """B, NK, T or monocyte."""
    if name in T_POPULATIONS or name.startswith(("CD4 ", "CD8 ", "Treg")):
        return "T"
    return next((value for key, value in TOP.items() if name.startswith(key)), name)


def table(title: str, figures: dict[str, float]) -> None:
    """Print a few figures."""
    print(f"\n{title}")
    for name, value in figures.items():
        print(f"  {name:<58}{value:>10.3f}" if isinstance(value, float) else f"  {name:<58}{value:>10}")


def f1s(truth: np.ndarray, called: np.ndarray, kinds: list[str], prefix: str) -> dict[str, float]:
    """F1 of each kind and their mean."""
    each = {f"{prefix}_f1_{k}": float(f1_score(truth == k, called == k, zero_division=0)) for k in kinds}
    return each | {f"{prefix}_macro_f1": float(np.mean(list(each.values())))}


def sorted_cells(data: Path, folder: Path) -> dict[str, float]:
    """Bead-sorted populations (Zheng 2017)."""
    file = data / "rna" / "sorted10x_reference.h5ad"
    cells = run({"s": file}, RnaQuality(doublets=False), folder)["s"]
    label = anndata.read_h5ad(file).obs["sorted_type"].astype(str).to_numpy()
    kept = cells.obs["keep"].to_numpy()
    cells, label = cells[kept].copy(), label[kept]
    called = cells.obs["population"].astype(str).to_numpy()
    truth = np.array([SORT.get(name, "T") for name in label])
    figures: dict[str, float] = {}
    for how in ("population", "cluster_population"):
        mine = np.array([top(name) for name in cells.obs[how].astype(str)])
        figures |= f1s(truth, mine, ["B", "NK", "monocyte", "T"], f"sorted_{'gates' if how[0] == 'p' else 'clusters'}")
    inside = np.isin(label, CD4_SORTS)
    treg, said = label[inside] == "regulatoryt", called[inside] == "Treg"
    sure = cells.obs["population_confidence"].to_numpy()[inside]
    figures |= {
        "treg_call_precision": float(treg[said].mean()),
        "treg_call_recall": float(said[treg].mean()),
        "treg_call_false_positive_rate": float(said[~treg].mean()),
        "treg_call_share_of_sorted_cd4": float(treg.mean()),
    }
    for low, high in ((0.5, 0.9), (0.9, 1.01)):
        part = said & (sure >= low) & (sure < high)
        figures[f"treg_call_precision_at_confidence_{low}_to_{min(high, 1.0)}"] = float(treg[part].mean())
        figures[f"treg_calls_at_confidence_{low}_to_{min(high, 1.0)}"] = int(part.sum())
    return figures | scorers(cells, folder, label)


def scorers(cells: anndata.AnnData, folder: Path, label: np.ndarray) -> dict[str, float]:
    """AUROC of sorted Tregs against the other sorted CD4 T cells, by scorer."""
    x, genes = sparse.csr_matrix(cells.X), list(cells.var_names)
    inside = np.isin(label, CD4_SORTS)
    treg = label[inside] == "regulatoryt"
    mean = np.asarray(x.mean(axis=0)).ravel()
    names = ["FOXP3", "IL2RA", "CTLA4", "IKZF2", "TIGIT", "RTKN2"]
    present = [genes.index(g) for g in names if g in genes]
    plain = signatures.score_genes(x, signatures.gene_weights(Signature("", tuple(names)), genes, mean, 0))
    read = {s.name: s for s in read_signatures(packaged("signatures", "rna"), Collector()) or ()}
    identity = signatures.score_genes(x, signatures.gene_weights(read["Treg identity"], genes, mean, 0))
    ranks = _aucell(x, present)
    tree = read_populations(packaged("populations", "rna"), Collector()) or ()
    sketch = anndata.read_h5ad(folder / "sketch.h5ad")
    space = next(s for s in _stored(sketch) if s.population == "CD4 T")
    used = [genes.index(v) for v in space.representation.variables]
    all_cells = space.representation.transform(x[:, used])
    own = space.rows[CPU.knn(space.coordinates, all_cells, rna.WIDER * 15)[0]]
    everywhere = CPU.knn(
        cells.obsm["X_pca"] if "X_pca" in cells.obsm else sketch.obsm["X_pca"], sketch.obsm["X_pca"], 15
    )[0]
    figures = {}

    def auroc(name: str, score: np.ndarray) -> None:
        figures[f"treg_auroc_{name}"] = float(roc_auc_score(treg, score[inside]))

    def pool(score: np.ndarray, around: np.ndarray) -> np.ndarray:
        return smooth(score[:, None], around)[:, 0]

    for name, score in (("score_genes", plain), ("score_genes_identity", identity), ("aucell", ranks)):
        auroc(f"{name}_per_cell", score)
        auroc(f"{name}_pooled_all_cells", pool(score, everywhere))
        auroc(f"{name}_pooled_cd4_space", pool(score, own))
    mine = np.asarray(x[:, present].mean(axis=1)).ravel()
    auroc("mean_pooled_cd4_space", pool(mine, own))
    nodes = resolve(tree, genes, str)
    thresholds = pd.read_csv(
        folder / "thresholds.tsv", sep="\t", keep_default_na=False, na_values={"threshold": [""]}, dtype={"batch": str}
    )
    pooled = rna.read(
        x, genes, sparse.csr_matrix(sketch.X), everywhere, np.full(len(label), "1"), nodes, thresholds,
        _stored(sketch), CPU,
    )  # fmt: skip
    auroc("default_as_the_gate_reads_it", next(v for k, v in pooled.columns.items() if "FOXP3" in k))
    # random sets of like expression, pooled alike: what the libraries alone would give
    generator, order = np.random.default_rng(0), np.argsort(mean)
    place = np.argsort(order)
    control = []
    for _ in range(50):
        drawn = [order[np.clip(place[g] + generator.integers(-150, 150), 0, len(order) - 1)] for g in present]
        score = pool(np.asarray(x[:, drawn].mean(axis=1)).ravel(), own)
        control.append(roc_auc_score(treg, score[inside]))
    figures["treg_auroc_random_sets_pooled_median"] = float(np.median(control))
    figures["treg_auroc_random_sets_pooled_95th_percentile"] = float(np.quantile(control, 0.95))
    return figures


def _aucell(x: sparse.csr_matrix, members: list[int]) -> np.ndarray:
    """Mean rank of the set among each cell's genes (ranked as by AUCell; Aibar 2017, doi:10.1038/nmeth.4463)."""
    out = np.empty(x.shape[0])
    for i in range(x.shape[0]):
        out[i] = rankdata(x[i].toarray().ravel())[members].mean()
    return out


def pbmc3k(data: Path, folder: Path) -> dict[str, float]:
    """10x PBMC 3k: the eight well-known types are found."""
    cells = run({"s": data / "rna" / "pbmc3k_mtx"}, RnaQuality(), folder)["s"]
    count = cells.obs["population"].astype(str).value_counts()
    types = {
        "CD4_T": ["Tconv", "Treg", "CD4 T"], "CD8_T": ["CD8 T"], "B": ["B", "B naive", "B memory"], "NK": ["NK"],
        "CD14_monocytes": ["Monocytes classical"], "FCGR3A_monocytes": ["Monocytes non-classical"], "mDC": ["mDC"],
        "platelets": ["Platelets"],
    }  # fmt: skip
    figures = {f"pbmc3k_cells_{k}": int(count.reindex(v).fillna(0).sum()) for k, v in types.items()}
    figures["pbmc3k_types_found_of_8"] = sum(value > 0 for value in figures.values())
    return figures | {"pbmc3k_cells_Treg": int(count.get("Treg", 0))}


def kang(data: Path, folder: Path) -> dict[str, float]:
    """Kang 2018, eight donors: the published clusters; CD4 and CD8 are one, as the file has no CD8A, CD8B or CD4."""
    source = anndata.read_h5ad(data / "rna" / "kang_ctrl_8donors.h5ad")
    files, labels = {}, []
    for sample, part in source.obs.groupby("sample_id", observed=True):
        files[str(sample)] = folder / f"raw_{sample}.h5ad"
        source[part.index].copy().write_h5ad(files[str(sample)])
        labels.append(part["cluster_id"].astype(str).to_numpy())
    done = run(files, RnaQuality(min_counts=50, min_genes=20, doublets=False), folder)
    truth = np.array([KANG[name] for name in np.concatenate(labels)])
    called = np.concatenate([cells.obs["population"].astype(str).to_numpy() for cells in done.values()])
    called = np.array([top(c) if top(c) in ("B", "NK", "T") else c for c in called])
    kinds = ["B", "NK", "T", "Monocytes classical", "Monocytes non-classical"]
    lost = np.isin(truth, ["mDC", "Platelets"])
    return f1s(truth, called, kinds, "kang") | {"kang_cells_of_types_without_measured_genes": int(lost.sum())}


def eccite(data: Path, folder: Path) -> dict[str, float]:
    """CITE-seq: protein where it works, genes elsewhere; no labels."""
    cells = run({"s": data / "rna" / "eccite_pbmc_500.h5ad"}, RnaQuality(), folder)["s"]
    told = pd.read_csv(folder / "populations.tsv", sep="\t", keep_default_na=False)
    good = told[told["measurable"].astype(str) == "True"]
    called = cells.obs["population"].astype(str)
    return {
        "eccite_cells_kept": int(cells.obs["keep"].sum()),
        "eccite_populations_on_protein": int(good["reason"].str.contains("read on surface protein").sum()),
        "eccite_populations_on_genes": int(good["reason"].str.contains("read from genes").sum()),
        "eccite_populations_not_measurable": int(len(told) - len(good)),
        "eccite_proteins": sum(is_protein(c) for c in cells.obsm["protein"].columns),
        "eccite_CD4_T": int(called.str.startswith(("CD4", "Treg", "Tconv")).sum()),
        "eccite_CD8_T": int(called.str.startswith("CD8").sum()),
        "eccite_in_no_population": int((called == "unassigned").sum()),
    }


PARTS = {"sorted": sorted_cells, "pbmc3k": pbmc3k, "kang": kang, "eccite": eccite}

if __name__ == "__main__":
    if "TRESET_DATA" not in os.environ:
        sys.exit("TRESET_DATA is not set: name the folder of the public data")
    source = Path(os.environ["TRESET_DATA"]).resolve()
    out = Path(__file__).parent / "results" / "phenotypes_rna.json"
    out.parent.mkdir(exist_ok=True)
    found = json.loads(out.read_text()) if out.exists() else {}
    for part in sys.argv[1:] or list(PARTS):
        with tempfile.TemporaryDirectory() as place:
            figures = PARTS[part](source, Path(place))
        table(PARTS[part].__doc__.splitlines()[0], figures)
        found |= figures
    found |= {"date": datetime.date.today().isoformat(), "machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    out.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
