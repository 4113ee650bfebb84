"""What sketching costs: populations of sketch and map against clustering every cell.

    python benchmarks/sketch_map.py [simulated] [himc] [large[=CELLS]] [million[=CELLS]] [--gates]
    (himc needs TRESET_DATA)

``himc`` is ``himc_plate3`` pooled (28 manual gates); ``simulated`` 100,000 events of ``treset simulate`` in which
basophils are thinned to 0.05 %, ``large`` 300,000 of them, ``million`` 1,000,000. Each is clustered whole (the sketch
holds every cell), whole with another seed (what differs between these two no sketch can beat), and from sketches drawn
stratified and by density: of a fifth of the cells and of the product's default size. The other cells are mapped. A
million is not clustered whole. Leiden at resolution 2 in all of them, so that nothing but the sketch differs; the
layout is left out. Labels are for scoring. Told are

- mean F1 of the truth's populations, best cluster each ("clusters") and best name ("named"), bar: within 0.02 of all;
- cells of the rare population in the sketch (bar: 50 of a 0.05 % population), and its F1;
- shares of the named populations by cluster, sketch and map against all cells; those of labels known of all cells (the
  truth's, and the named clusters of the whole clustering) carried over by the map alone, as voted and adjusted for what
  the vote gets wrong (``treset.phenotype.adjusted``), and the same in samples made otherwise than the sketch. Bar: over
  1 % within 2 % (relative), below within the exact 95 % interval of the count in all cells;
- ``gates``: shares by gate with thresholds found on fewer cells than there are (three draws each), against those with
  thresholds found on all; the same bar.

Of each sketch two more draws are told in short (``more_draws``), but of ``large`` and ``million``. With ``--gates``
nothing is clustered and only ``gates`` is told anew; ``four_million`` is always run so.

Prints tables and writes benchmarks/results/sketch_map.json.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import anndata
import numpy as np
import pandas as pd
from scipy.stats import beta

sys.path.insert(0, str(Path(__file__).parent))
from phenotypes_clusters import f1_table, pool, score

from treset.compute import Backend, open_backend
from treset.compute.cpu import CpuBackend
from treset.io.h5ad import write_h5ad
from treset.jobs.cohort import CohortSettings, draw_sketch, embed, phenotype
from treset.jobs.gating import find_thresholds, read_gate_cells
from treset.phenotype.adjusted import adjusted, confusion, sizes
from treset.phenotype.gates import apply_gates
from treset.phenotype.map import majority, others, place
from treset.phenotype.tree import Node, resolve, spelling
from treset.simulate import plan
from treset.simulate.cytometry import simulate_events
from treset.simulate.panel import CHANNELS
from treset.simulate.populations import LEAVES
from treset.study.model import Cohort
from treset.study.populations import packaged

RESULT = Path(__file__).parent / "results" / "sketch_map.json"
SHARE, RESOLUTION, VOTES = 0.2, 2.0, 5
SIZES = {"large": 300_000, "million": 1_000_000, "four_million": 4_000_000}


class NoLayout(CpuBackend):
    """The layout is drawn and moves no share."""

    def umap(self, x: np.ndarray, graph: object, **_: object) -> np.ndarray:
        return np.ascontiguousarray(x[:, :2])


def simulated(living_cells: int = 100_000) -> tuple[anndata.AnnData, np.ndarray, tuple, str]:
    """About as many living single cells of one simulated sample, basophils thinned to 0.05 % (at least 50 cells)."""
    from treset.study.faults import Collector
    from treset.study.populations import read_populations

    trial = plan("il2_open_label", patients=1, events=round(1.25 * living_cells), seed=31)
    events = simulate_events(trial, next(iter(trial.plans)))
    panel = trial.panel.set_index("channel")
    panel = panel[panel["role"].isin(["lineage", "state"])]
    living = np.flatnonzero(events.kind == 0)
    truth = np.array(LEAVES)[events.population[living]]
    rare = np.flatnonzero(truth == "Basophils")
    wanted = max(50, round(0.0005 * (len(living) - len(rare))))
    generator = np.random.default_rng(3)
    kept = np.sort(np.concatenate([np.flatnonzero(truth != "Basophils"), generator.permutation(rare)[:wanted]]))
    columns = [CHANNELS.index(channel) for channel in panel.index]
    values = np.arcsinh(events.values[np.ix_(living[kept], columns)] / 5).astype(np.float32)
    var = pd.DataFrame({"role": panel["role"].to_numpy()}, index=panel["marker"].to_numpy())
    populations = read_populations(packaged("populations", "mass_cytometry"), Collector())
    assert populations is not None
    return _one_sample(values, var), truth[kept], tuple(populations), "Basophils"


def himc() -> tuple[anndata.AnnData, np.ndarray, tuple, str]:
    """The pooled manual gates."""
    with TemporaryDirectory() as folder:
        whole, truth, populations = pool(Path(os.environ["TRESET_DATA"]).resolve(), Path(folder))
    return whole, truth, populations, "Basophil"


def _one_sample(values: np.ndarray, var: pd.DataFrame) -> anndata.AnnData:
    whole = anndata.AnnData(values, var=var)
    whole.obs_names = [f"{i}" for i in range(whole.n_obs)]
    whole.obs["sample"], whole.obs["batch"], whole.obs["keep"] = "pool", "", True
    whole.uns["treset_panel"] = {}
    return whole


@dataclass(frozen=True)
class Data:
    """All cells of a data set, in memory and as the file that the job reads."""

    name: str
    whole: anndata.AnnData
    truth: np.ndarray
    populations: tuple
    rare: str
    file: Path

    def settings(self, options: Cohort, seed: int) -> CohortSettings:
        return CohortSettings("mass_cytometry", options, self.populations, 2000, "cpu", seed)

    @property
    def nodes(self) -> list[Node]:
        return resolve(self.populations, self.whole.var_names, spelling("mass_cytometry"))


def load(name: str, folder: Path) -> Data:
    what, _, size = name.partition("=")
    cells = int(size or SIZES.get(what, 100_000))
    whole, truth, populations, rare = himc() if what == "himc" else simulated(cells)
    write_h5ad(whole, folder / "pool.h5ad")
    return Data(what, whole, truth.astype(str), populations, rare, folder / "pool.h5ad")


def reading(data: Data, options: Cohort, seed: int, backend: Backend, known: dict[str, np.ndarray]) -> dict:
    """Cluster and name a sketch, map every cell onto it; carry ``known`` labels of the sketch's cells over as well."""
    settings, start = data.settings(options, seed), time.process_time()
    cells, _ = draw_sketch({"pool": data.file}, settings, backend)
    drawn = time.process_time() - start
    neighbors, _ = embed(cells, settings, backend)
    _, names, _ = phenotype(cells, {"pool": data.file}, data.nodes, neighbors, settings, backend)
    inside, coordinates = cells.var["embedded"].to_numpy(), cells.obsm["X_pca"]
    every = np.ascontiguousarray(data.whole.X[:, inside])
    clusters, codes = np.unique(cells.obs["cluster"].to_numpy(dtype=str), return_inverse=True)
    rows = cells.obs_names.astype(int).to_numpy()
    own = np.full(len(every), -1)
    own[rows] = np.arange(len(rows))
    placed = place(backend, coordinates, codes, cells.obsm["X_umap"], every, VOTES + 1, np.inf, VOTES, own=own)
    called = dict(zip(names["cluster"], names["population"], strict=True))
    spent, near = time.process_time() - start, others(placed.neighbors, own, VOTES)
    # clustered whole, every cell has a label of its own and none is put to the vote
    cluster = clusters[placed.cluster if len(rows) < len(every) else codes[np.argsort(rows)]]
    weight = cells.obs["weight"].to_numpy() if "weight" in cells.obs else None
    named = np.array([called[c] for c in cluster])
    return {
        "rows": rows,
        "cpu_s": spent,
        "draw_cpu_s": drawn,
        "clusters": cluster,
        "named": named,
        "adjusted": freed(named, cells.uns["vote"]),
        "carried": {name: carried(label, rows, near, weight) for name, label in known.items()},
    }


def freed(named: np.ndarray, vote: dict) -> dict[str, float]:
    """Shares as the map job adjusts them."""
    found = sizes(dict(zip(*np.unique(named, return_counts=True), strict=True)), vote)
    return {name: size / len(named) for name, size in found.items()}


def carried(label: np.ndarray, rows: np.ndarray, near: np.ndarray, weight: np.ndarray | None):
    """Shares of labels known in the sketch alone, as the map votes and adjusted; and by all cells."""
    names, codes = np.unique(label, return_inverse=True)
    own = codes[rows]
    voted = majority(own[near], len(names))
    votes = np.bincount(voted, minlength=len(names)).astype(float)
    table = confusion(own, voted[rows], len(names), weight)
    exact = np.bincount(codes, minlength=len(names)) / len(codes)
    told = [
        dict(zip(names.tolist(), s.tolist(), strict=True)) for s in (votes / votes.sum(), adjusted(votes, table), exact)
    ]
    return *told, otherwise_made(codes, voted, table)


def otherwise_made(codes: np.ndarray, voted: np.ndarray, table: np.ndarray) -> dict[str, list[float]]:
    """Shares in samples that are not made as the sketch is, as those of a trial: of 40 of them, as voted and adjusted.

    Each label's size is changed log-normally (s.d. 0.7) and 20,000 cells are drawn. Told of shares over 1 %: the median
    and the 90th percentile of their relative error.
    """
    rng, n = np.random.default_rng(11), len(table)
    errors: dict[str, list[np.ndarray]] = {"voted": [], "adjusted": []}
    for _ in range(40):
        chance = np.exp(rng.normal(0, 0.7, n))[codes]
        drawn = rng.choice(len(codes), 20_000, p=chance / chance.sum())
        true = np.bincount(codes[drawn], minlength=n) / len(drawn)
        votes = np.bincount(voted[drawn], minlength=n).astype(float)
        for what, share in (("voted", votes / votes.sum()), ("adjusted", adjusted(votes, table))):
            errors[what].append(np.abs(share / np.where(true > 0, true, 1) - 1)[true > 0.01])
    return {
        what: [round(float(np.quantile(np.concatenate(found), q)), 4) for q in (0.5, 0.9)]
        for what, found in errors.items()
    }


def gated(data: Data, budget: int, seed: int) -> tuple[dict[str, float], float]:
    """Shares by gate where thresholds are found on ``budget`` cells, and what finding them took."""
    start = time.process_time()
    cells = read_gate_cells({"pool": data.file}, list(data.whole.var_names), budget, seed)
    thresholds, _ = find_thresholds(cells, data.nodes, ())
    spent = time.process_time() - start
    columns = {marker: np.asarray(data.whole.X[:, i]) for i, marker in enumerate(data.whole.var_names)}
    masks = apply_gates(columns, np.full(data.whole.n_obs, ""), data.nodes, thresholds)
    return {name: float(mask.mean()) for name, mask in masks.items()}, spent


def shares(labels: np.ndarray) -> dict[str, float]:
    names, counts = np.unique(labels, return_counts=True)
    return dict(zip(names.tolist(), (counts / len(labels)).tolist(), strict=True))


def compared(found: dict[str, float], exact: dict[str, float], n: int) -> dict:
    """How far shares lie from the exact ones: over 1 % relatively, below by the interval of the exact count."""
    large, outside, small = {}, {}, 0
    for name, share in exact.items():
        if share > 0.01:
            large[name] = abs(found.get(name, 0.0) / share - 1)
            continue
        small += 1
        count = round(share * n)
        low = beta.ppf(0.025, count, n - count + 1) if count else 0.0
        high = beta.ppf(0.975, count + 1, n - count)
        if not low <= found.get(name, 0.0) <= high:
            outside[name] = [round(100 * share, 4), round(100 * found.get(name, 0.0), 4)]
    worst = max(large, key=large.__getitem__) if large else ""
    return {
        "over_1_percent": len(large),
        "beyond_2_percent": sum(int(value > 0.02) for value in large.values()),
        "median_relative": round(float(np.median(list(large.values()))), 4),
        "worst_relative": round(large.get(worst, 0.0), 4),
        "worst": worst,
        "below_1_percent": small,
        "outside_interval": len(outside),
        "outside": outside,
    }


def gates_by_cells(data: Data, exact: dict[str, float]) -> dict:
    """How far shares by gate lie from those by thresholds of all cells, by the cells on which they are found."""
    out, n = {}, data.whole.n_obs
    for budget in sorted({50_000, 200_000, 500_000, Cohort().gate_cells, *([n // 2] if n < 200_000 else [])}):
        if budget >= n:
            continue
        found = [gated(data, budget, seed) for seed in range(3)]
        rows = [compared(share, exact, n) for share, _ in found]
        out[str(budget)] = {
            "cpu_s": round(float(np.median([spent for _, spent in found])), 1),
            "beyond_2_percent": [row["beyond_2_percent"] for row in rows],
            "of": rows[0]["over_1_percent"],
            "outside_interval": [row["outside_interval"] for row in rows],
            "of_small": rows[0]["below_1_percent"],
            "worst_relative": [row["worst_relative"] for row in rows],
            "worst": [row["worst"] for row in rows],
            "outside": [row["outside"] for row in rows],
        }
    return out


def again(data: Data, options: Cohort, seed: int, backend: Backend, exact: dict, whole: dict) -> dict:
    """The same with another draw, in short: one draw's figures tell little."""
    found = reading(data, options, seed, backend, {"truth": data.truth, "clusters": exact["named"]})
    off = compared(shares(found["named"]), shares(exact["named"]), data.whole.n_obs)
    free = compared(found["adjusted"], shares(exact["named"]), data.whole.n_obs)
    row = {
        f"{s}_loss": round(whole[f"{s}_best"] - score(data.truth, found[s])["best"], 4) for s in ("clusters", "named")
    }
    row["rare_in_sketch"] = int((data.truth[found["rows"]] == data.rare).sum())
    row["named_rare_f1"] = round(float(f1_table(data.truth, found["named"]).max(axis=1)[data.rare]), 3)
    told = {"shares": off, "adjusted": free}
    for what, (voted, corrected, true, _) in found["carried"].items():
        told[f"{what}_mapped"] = compared(voted, true, data.whole.n_obs)
        told[f"{what}_mapped_adjusted"] = compared(corrected, true, data.whole.n_obs)
    keys = ("beyond_2_percent", "outside_interval", "median_relative", "worst_relative")
    return row | {f"{name}_{key}": values[key] for name, values in told.items() for key in keys}


def variants(data: Data) -> dict[str, tuple[Cohort, int]]:
    """What is run: how it is called, its settings and its seed."""
    n, default = data.whole.n_obs, Cohort().sketch_cells
    base = Cohort(resolution=RESOLUTION, umap_epochs=1, sketch="stratified")
    out: dict[str, tuple[Cohort, int]] = {}
    if data.name != "million":
        out = {"all": (replace(base, sketch_cells=n), 0), "all, another seed": (replace(base, sketch_cells=n), 1)}
    fifth = {"fifth": round(SHARE * n)} if data.name in ("simulated", "himc") else {}
    for size, cells in {**fifth, "default": default}.items():
        for how in ("stratified", "density"):
            out[f"{how}, {size}"] = (replace(base, sketch_cells=cells, sketch=how), 0)
    return out


def measure(name: str, only_gates: bool) -> dict:
    backend = NoLayout(open_backend("cpu").choice)
    with TemporaryDirectory() as folder:
        data = load(name, Path(folder))
        n, truth = data.whole.n_obs, data.truth
        out: dict = {"cells": n, "rare": data.rare, "rare_cells": int((truth == data.rare).sum())}
        gates, spent = gated(data, n, 0)
        out["gates"] = {"all": {"cpu_s": round(spent, 1)}} | gates_by_cells(data, gates)
        print(name, json.dumps(out, indent=1), flush=True)
        if only_gates:
            return out
        exact: dict = {}
        for how, (options, seed) in variants(data).items():
            known = {"truth": truth} | ({"clusters": exact["named"]} if exact else {})
            found = reading(data, options, seed, backend, known)
            row: dict = {key: round(found[key], 1) for key in ("cpu_s", "draw_cpu_s")}
            row |= {"sketch": options.sketch_cells, "rare_in_sketch": int((truth[found["rows"]] == data.rare).sum())}
            for step in ("clusters", "named"):
                row |= {f"{step}_{key}": round(v, 4) for key, v in score(truth, found[step]).items()}
                row[f"{step}_rare_f1"] = round(float(f1_table(truth, found[step]).max(axis=1)[data.rare]), 3)
                if exact:
                    row[f"{step}_loss"] = round(out["all"][f"{step}_best"] - row[f"{step}_best"], 4)
            if exact:
                row["shares_by_cluster"] = compared(shares(found["named"]), shares(exact["named"]), n)
            if options.sketch_cells < n:
                if exact:
                    row["shares_adjusted"] = compared(found["adjusted"], shares(exact["named"]), n)
                for what, (voted, free, true, otherwise) in found["carried"].items():
                    row[f"{what}_otherwise_made"] = otherwise
                    row[f"{what}_mapped"] = compared(voted, true, n)
                    row[f"{what}_mapped_adjusted"] = compared(free, true, n)
            exact = exact or (found if how == "all" else {})
            if options.sketch_cells < n and data.name in ("simulated", "himc"):
                row["more_draws"] = [again(data, options, other, backend, exact, out["all"]) for other in (1, 2)]
            out[how] = row
            print(name, how, json.dumps(row, indent=1), flush=True)
    return out


def main() -> None:
    """Measure the data sets asked for, print and keep the figures."""
    only_gates = "--gates" in sys.argv
    asked = [name for name in sys.argv[1:] if name != "--gates"]
    asked = asked or ["simulated", *(["himc"] if "TRESET_DATA" in os.environ else [])]
    for name in asked:
        stamp = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        }
        what, short = name.partition("=")[0], only_gates or name.startswith("four_million")
        row = measure(name, short) | stamp
        # read late: another data set may have been measured meanwhile
        figures = json.loads(RESULT.read_text()) if RESULT.exists() else {}
        # what was clustered before keeps its own date
        row = figures.get(what, row) | {"gates": row["gates"] | stamp} if short else row
        figures[what] = row
        RESULT.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        for how in [key for key, value in row.items() if isinstance(value, dict) and "rare_in_sketch" in value]:
            one = row[how]
            losses = [f"{step} {one[f'{step}_loss']:+.3f}" for step in ("clusters", "named") if f"{step}_loss" in one]
            told = f"mean F1 lost (bar 0.02): {', '.join(losses) or 'nothing to compare with'}"
            print(f"{name}, {how}: {told}; {one['rare_in_sketch']} of {row['rare_cells']} rare cells kept")


if __name__ == "__main__":
    main()
