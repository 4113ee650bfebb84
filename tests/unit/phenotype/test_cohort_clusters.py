"""The cohort job's part in clusters: what is written, from the same cells, whatever the draw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from treset.compute import open_backend
from treset.compute.cpu import CpuBackend
from treset.errors import TresetError
from treset.io.h5ad import write_h5ad
from treset.jobs.cohort import CohortSettings, draw_sketch, embed, phenotype
from treset.phenotype.tree import resolve
from treset.study.model import Cohort, Condition, Population

TREE = (
    Population("T", None, (Condition(("CD3",), "+"),)),
    Population("CD4 T", "T", (Condition(("CD4",), "+"),)),
    Population("CD8 T", "T", (Condition(("CD4",), "-"),)),
    Population("B", None, (Condition(("CD3",), "-"), Condition(("CD19",), "+"))),
    Population("pDC", None, (Condition(("CD3",), "-"), Condition(("CD19",), "-"), Condition(("CD123",), "+"))),
)
LEVEL = {"CD4 T": (4, 4, 0, 0), "CD8 T": (4, 0, 0, 0), "B": (0, 0, 4, 0), "pDC": (0, 1.5, 0, 5)}
SIZES = {"CD4 T": 1500, "CD8 T": 1000, "B": 490, "pDC": 10}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = np.random.default_rng(0)
    kind = np.repeat(list(SIZES), list(SIZES.values()))
    x = generator.normal([LEVEL[k] for k in kind], 0.4).astype(np.float32)
    var = pd.DataFrame({"role": "lineage"}, index=["CD3", "CD4", "CD19", "CD123"])
    obs = pd.DataFrame({"sample": "s1", "batch": "b1", "keep": True}, index=[f"s1:{k}:{i}" for i, k in enumerate(kind)])
    cells = anndata.AnnData(x, obs=obs, var=var)
    cells.uns["treset_panel"] = {}
    path = tmp_path_factory.mktemp("cohort") / "prepared.h5ad"
    write_h5ad(cells, path)
    return path


class NoLayout(CpuBackend):
    """The layout compiles for half a minute and is not what is tested here."""

    def umap(self, x: np.ndarray, graph: object, **_: object) -> np.ndarray:
        return np.ascontiguousarray(x[:, :2])


def run(sample: Path, **options: object) -> tuple[anndata.AnnData, pd.DataFrame, pd.DataFrame]:
    base = Cohort(sketch_cells=800, umap_epochs=1, resolution=0.1, overcluster=6)
    settings = CohortSettings("mass_cytometry", replace(base, **options), TREE, 2000, "cpu", 0)
    backend = NoLayout(open_backend("cpu").choice)
    cells, _ = draw_sketch({"s1": sample}, settings, backend)
    neighbors, _ = embed(cells, settings, backend)
    _, names, agreement = phenotype(cells, {"s1": sample}, resolve(TREE, cells.var_names), neighbors, settings, backend)
    return cells, names, agreement.set_index("population")


def truth(cells: anndata.AnnData) -> np.ndarray:
    return np.array([name.split(":")[1] for name in cells.obs_names])


def test_a_population_of_a_third_of_a_percent_has_a_cluster_where_the_draw_keeps_it(sample: Path) -> None:
    cells, _, agreement = run(sample, sketch="density")
    assert (truth(cells) == "pDC").sum() == 10
    assert agreement.loc["pDC", "f1"] > 0.9
    # ten of 3,000, though ten of the sketch's 800
    share = np.average(truth(cells) == "pDC", weights=cells.obs["weight"])
    assert share == pytest.approx(10 / 3000, rel=0.3)


@pytest.mark.parametrize("algorithm", ["leiden", "som"])
def test_clusters_are_named_after_what_they_hold(sample: Path, algorithm: str) -> None:
    cells, names, agreement = run(sample, algorithm=algorithm, metaclusters=3)
    named = cells.obs["cluster_population"].to_numpy(dtype=str)
    known = np.isin(truth(cells), ["CD4 T", "CD8 T", "B"])
    assert np.mean(named[known] == truth(cells)[known]) > 0.97
    assert agreement.loc["cells", "ari"] > 0.9
    assert names["n_cells"].sum() == cells.n_obs
    assert set(names["cluster"]) == set(cells.obs["cluster"])


def test_without_overclustering_the_clusters_stay_as_they_were_found(sample: Path) -> None:
    cells, _, _ = run(sample, overcluster=0)
    assert "cluster_before_merge" not in cells.obs


def test_cytometry_is_drawn_by_density_unless_asked_otherwise(sample: Path) -> None:
    def drawn(modality: str, how: str) -> anndata.AnnData:
        settings = CohortSettings(modality, Cohort(sketch_cells=800, sketch=how), TREE, 2000, "cpu", 0)
        return draw_sketch({"s1": sample}, settings, open_backend("cpu"))[0]

    assert drawn("mass_cytometry", "auto").obs.equals(drawn("mass_cytometry", "density").obs)
    assert "weight" not in drawn("mass_cytometry", "stratified").obs
    assert drawn("rna", "auto").obs.equals(drawn("rna", "stratified").obs)


def test_a_draw_by_density_is_refused_for_rna(sample: Path) -> None:
    settings = CohortSettings("rna", Cohort(sketch="density"), TREE, 2000, "cpu", 0)
    with pytest.raises(TresetError, match=r"for cytometry only: set cohort\.sketch: stratified"):
        draw_sketch({"s1": sample}, settings, open_backend("cpu"))
