"""Small results folders, strictly to the contracts, with made-up numbers.

``il2(folder)``     an open-label IL-2 trial: 12 patients x 3 visits, one missing, one excluded, one poor sample
``bcrxl(folder)``   a single visit, two stimuli, 8 patients
``cart(folder)``    B cells after CAR-T: aplasia and recovery
"""

from __future__ import annotations

import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from treset.study import model

TREE = {
    "T": "cells",
    "CD4 T": "T",
    "Treg": "CD4 T",
    "CD8 T": "T",
    "B": "cells",
    "B naive": "B",
    "B transitional": "B",
    "B switched": "B",
    "NK": "cells",
    "NK CD56bright": "NK",
    "Monocytes": "cells",
}
SHARE = {
    "T": 60,
    "CD4 T": 62,
    "Treg": 5,
    "CD8 T": 30,
    "B": 10,
    "B naive": 60,
    "B transitional": 5,
    "B switched": 20,
    "NK": 12,
    "NK CD56bright": 8,
    "Monocytes": 15,
}
LEAVES = [p for p in TREE if p not in TREE.values()] + ["CD4 T"]
LINEAGE = ["CD45", "CD3", "CD4", "CD8", "CD19", "CD25", "CD127", "FOXP3", "IgD", "CD27", "CD56", "CD14"]
STATE = ["pS6", "pSTAT5", "Ki-67"]
MARKERS = LINEAGE + STATE
EFFECTS = [
    "endpoint",
    "population",
    "measure",
    "marker",
    "contrast",
    "n",
    "estimate",
    "scale",
    "lower",
    "upper",
    "p_value",
    "q_value",
    "method",
    "converged",
    "verdict",
    "note",
    "role",
    "origin",
]
HOSTILE = "<script>alert(1)</script>\"'&"


def sheet(rows: list[dict]) -> pd.DataFrame:
    """Make the sheet of Study.samples from a few columns, the others blank."""
    base = {
        "sample": "",
        "file": "",
        "patient": "",
        "visit": "",
        "day": np.nan,
        "arm": "",
        "disease": "",
        "batch": "B1",
        "anchor": False,
        "stimulus": "",
        "dose": np.nan,
        "cells_per_ul": np.nan,
        "counted_population": "",
        "exclude": "",
    }
    return pd.DataFrame([{**base, **row} for row in rows])


def study(folder: Path, samples: pd.DataFrame, monitors: model.Monitors, **more: object) -> model.Study:
    """Make a checked study without reading files."""
    tree = tuple(
        model.Population(p, None if parent == "cells" else parent, (model.Condition(("CD3",), "+"),))
        for p, parent in TREE.items()
    )
    panel = pd.DataFrame(
        {
            "channel": [f"Ch{i}" for i in range(len(MARKERS))],
            "marker": MARKERS,
            "role": ["lineage"] * len(LINEAGE) + ["state"] * len(STATE),
            "cofactor": np.nan,
        }
    )
    fields = {
        "name": "fake",
        "title": "Fake trial",
        "modality": "mass_cytometry",
        "root": folder,
        "config_file": folder / "config.yaml",
        "samples_file": folder / "samples.tsv",
        "panel_file": None,
        "populations_file": folder / "populations.yaml",
        "signatures_file": folder / "signatures.yaml",
        "results": folder,
        "samples": samples,
        "panel": panel,
        "populations": tree,
        "signatures": (),
        "baseline": "D0",
        "seed": 1,
        "backend": "auto",
        "blinded": False,
        "aliases": {},
        "quality": model.Quality(),
        "normalise": model.Normalise(),
        "cohort": model.Cohort(),
        "monitors": monitors,
        "simulate": None,
        "warnings": (),
    }
    return model.Study(**{**fields, **more})


def profiles(
    samples: pd.DataFrame, share, medians, clusters: dict[str, str], cells: int = 4000, seed: int = 0
) -> pd.DataFrame:
    """Make the waist: ``share(row, population)`` in percent of parent, ``medians(row, population, marker)``."""
    rng = np.random.default_rng(seed)
    rows = []
    for sample in samples[samples["exclude"] == ""].to_dict("records"):
        total = 300 if "poor" in sample["sample"] else cells
        for origin in ("gate", "cluster"):
            counts = {"cells": total}
            names = dict(TREE)
            for population, parent in TREE.items():
                of = counts[parent]
                counts[population] = (
                    round(of * min(100.0, share(sample, population) * rng.normal(1, 0.04)) / 100) if of else 0
                )
            if origin == "cluster":
                for cluster, population in clusters.items():
                    names[cluster] = population
                    counts[cluster] = counts[population] // max(1, list(clusters.values()).count(population))
            for population, parent in names.items():
                n, of = counts[population], counts[parent]
                common = {"sample": sample["sample"], "population": population, "parent": parent, "origin": origin}
                rows.append({**common, "measure": "count", "marker": "", "value": n, "n_cells": n})
                rows.append(
                    {
                        **common,
                        "measure": "percent_of_parent",
                        "marker": "",
                        "value": 100 * n / of if of else np.nan,
                        "n_cells": of,
                    }
                )
                rows.append(
                    {**common, "measure": "percent_of_total", "marker": "", "value": 100 * n / total, "n_cells": total}
                )
                for marker in MARKERS:
                    value = medians(sample, (TREE.get(population, "") and population) or parent, marker) + rng.normal(
                        0, 0.08
                    )
                    rows.append(
                        {**common, "measure": "median", "marker": marker, "value": value if n else np.nan, "n_cells": n}
                    )
    table = pd.DataFrame(rows)
    columns = ["sample", "patient", "visit", "day", "arm", "disease", "batch", "stimulus", "dose"]
    table = samples[columns].merge(table, on="sample", sort=False)
    return table[[*columns, "population", "parent", "origin", "measure", "marker", "value", "n_cells"]]


def effect(**values: object) -> dict:
    """Make one row of effects.tsv."""
    base = dict.fromkeys(EFFECTS, "") | {
        "n": 0,
        "estimate": np.nan,
        "lower": np.nan,
        "upper": np.nan,
        "p_value": np.nan,
    }
    return {**base, "q_value": np.nan, "converged": True, "origin": "gate", **values}


def monitor(folder: Path, name: str, effects: list[dict], patients: pd.DataFrame, summary: dict) -> None:
    """Write a monitor's three files."""
    place = folder / "monitors" / name
    place.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(effects, columns=EFFECTS).to_csv(place / "effects.tsv", sep="\t", index=False)
    patients.to_csv(place / "patients.tsv", sep="\t", index=False)
    (place / "summary.json").write_text(json.dumps({"monitor": name, "notes": [], "settings": {}, **summary}))


def quality(folder: Path, samples: pd.DataFrame, cells: int) -> None:
    """Write quality.tsv."""
    rows = []
    for sample in samples[samples["exclude"] == ""]["sample"]:
        kept = 300 if "poor" in sample else cells
        left = kept + 900
        for filter_, dropped in (("beads", 400), ("dna_singlets", 350), ("viability", 150), ("gaussian", 0)):
            note = "no Gaussian parameters in the file: filter not applied" if filter_ == "gaussian" else ""
            rows.append((sample, filter_, left, dropped, left - dropped, "3.2", note))
            left -= dropped
    names = ["sample", "filter", "cells_in", "dropped", "kept", "threshold", "note"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "quality.tsv", sep="\t", index=False)
    ids = samples[samples["exclude"] == ""]["sample"]
    mapped = [(sample, cells, i, 2 * i, 0.9) for i, sample in enumerate(ids)]
    names = ["sample", "cells", "unlike_sketch", "unassigned", "median_confidence"]
    pd.DataFrame(mapped, columns=names).to_csv(folder / "mapping.tsv", sep="\t", index=False)


def cohort(folder: Path, samples: pd.DataFrame, clusters: dict[str, str], cells: int, seed: int = 0) -> None:
    """Write cohort/: a sketch with a map, clusters, populations, thresholds, panel."""
    place = folder / "cohort"
    place.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    names = list(clusters)
    which = rng.choice(len(names), cells, p=np.arange(len(names), 0, -1) / np.arange(1, len(names) + 1).sum())
    centre = rng.uniform(-9, 9, (len(names), 2))
    level = rng.choice([0.3, 1.2, 3.5, 5.0], (len(names), len(MARKERS)))
    X = np.clip(level[which] + rng.normal(0, 0.6, (cells, len(MARKERS))), 0, None).astype(np.float32)
    population = np.array([clusters[n] for n in names])[which]
    obs = pd.DataFrame(
        {
            "sample": rng.choice(samples[samples["exclude"] == ""]["sample"].to_numpy(dtype=object), cells),
            "cluster": np.array(names)[which],
            "population": np.where(rng.random(cells) < 0.06, "cells", population),
            "cluster_population": population,
        },
        index=[str(i) for i in range(cells)],
    )
    for column in obs:
        obs[column] = obs[column].astype("category")
    sketch = ad.AnnData(
        X, obs=obs, var=pd.DataFrame({"role": ["lineage"] * len(LINEAGE) + ["state"] * len(STATE)}, index=MARKERS)
    )
    sketch.obsm["X_umap"] = (centre[which] + rng.normal(0, 0.8, (cells, 2))).astype(np.float32)
    sketch.write_h5ad(place / "sketch.h5ad")
    rows = [
        (
            n,
            p,
            0.55 + 0.4 * rng.random(),
            int((which == i).sum()),
            "CD3+ CD4+ CD25hi CD127lo",
            "most of its cells are gated so",
        )
        for i, (n, p) in enumerate(clusters.items())
    ]
    pd.DataFrame(rows, columns=["cluster", "population", "confidence", "n_cells", "evidence", "reason"]).to_csv(
        place / "clusters.tsv", sep="\t", index=False
    )
    agree = [("cells", "", cells, cells, cells, "", "", "", 0.83, "")]
    agree += [(p, q, 90, 100, 80, 0.8, 80 / 90, 160 / 190, "", "") for p, q in TREE.items()]
    named = ["population", "parent", "gate_cells", "cluster_cells", "both", "precision", "recall", "f1", "ari", "note"]
    pd.DataFrame(agree, columns=named).to_csv(place / "concordance.tsv", sep="\t", index=False)
    stable = [(0.5, 9, 0.95, 0.9, 10, True, False, ""), (1.0, 12, 0.85, 0.8, 10, True, True, "the finest")]
    named = ["setting", "clusters", "ari_mean", "ari_min", "pairs", "stable", "chosen", "note"]
    pd.DataFrame(stable, columns=named).to_csv(place / "stability.tsv", sep="\t", index=False)
    rows = [(p, q, "CL:0000084", True, "", "CD3+", "doi:10.1038/nri3158") for p, q in TREE.items()]
    rows.append(("gdT", "T", "CL:0000798", False, "the panel has no TCRgd", "TCRgd+", "doi:10.1038/nri3158"))
    pd.DataFrame(rows, columns=["population", "parent", "ontology", "measurable", "reason", "rule", "source"]).to_csv(
        place / "populations.tsv", sep="\t", index=False
    )
    rows = [
        ("cells", "CD3", "B1", 2.31, "mixture", 0.93),
        ("CD4 T", "CD25", "B1", 1.9, "quantile of the negative", 0.41),
    ]
    rows += [("cells", "CD3", "B2", 2.52, "mixture", 0.91)]
    pd.DataFrame(rows, columns=["population_parent", "marker", "batch", "threshold", "method", "separation"]).to_csv(
        place / "thresholds.tsv", sep="\t", index=False
    )
    first = samples["sample"].iloc[0]
    rows = [(first, "CD3", "Ch1", "channel"), (first, "CD127", "Ch6", "alias IL7Ra")]
    pd.DataFrame(rows, columns=["sample", "marker", "channel", "how"]).to_csv(
        place / "panel.tsv", sep="\t", index=False
    )


def provenance(folder: Path) -> None:
    """Write provenance/run.json."""
    run = {
        "treset": "0.1.0",
        "versions": {"python": "3.12.1", "numpy": "2.4.0", "scanpy": "1.12"},
        "backend": {
            "requested": "auto",
            "used": "cpu",
            "device": "x86_64, 2 cores",
            "reason": "no NVIDIA driver was found",
        },
        "seed": 1,
        "cells": {"total": 160000, "kept": 131000},
    }
    (folder / "provenance").mkdir(parents=True, exist_ok=True)
    (folder / "provenance" / "run.json").write_text(json.dumps(run))


CLUSTERS = {
    "C01": "CD4 T",
    "C02": "CD4 T",
    "C03": "CD8 T",
    "C04": "Monocytes",
    "C05": "NK",
    "C06": "B naive",
    "C07": "Treg",
    "C08": "B switched",
    "C09": "NK CD56bright",
    "C10": "B transitional",
    "C11": "T",
}


def il2(
    folder: Path, cells: int = 2000, hostile: bool = False, arms: tuple[str, ...] = (), **more: object
) -> model.Study:
    """Write the IL-2 trial and give its study."""
    rng = np.random.default_rng(5)
    rows = []
    for i in range(12):
        patient = f"P{i + 1:02d}" if not (hostile and i == 0) else HOSTILE
        arm = arms[i % len(arms)] if arms else ""
        for visit, day in (("D0", 0), ("D8", 8), ("D28", 28)):
            if (i, visit) == (4, "D28"):
                continue
            rows.append(
                {
                    "sample": f"{patient}_{visit}" + ("_poor" if (i, visit) == (6, "D28") else ""),
                    "patient": patient,
                    "visit": visit,
                    "day": float(day),
                    "arm": arm,
                    "disease": HOSTILE if hostile else ("SLE", "T1D", "RA")[i % 3],
                    "batch": f"B{i // 6 + 1}",
                    "exclude": "clotted tube" if (i, visit) == (8, "D0") else "",
                }
            )
    samples = sheet(rows)
    base = {p: rng.lognormal(0, 0.25) for p in samples["patient"].unique()}
    fold = {p: rng.lognormal(0.64, 0.2) for p in samples["patient"].unique()}

    def share(sample: dict, population: str) -> float:
        lift = fold[sample["patient"]] if sample["arm"] != "placebo" else 1.0
        rise = {"D8": lift, "D28": lift**0.4}.get(sample["visit"], 1.0) if population == "Treg" else 1.0
        return SHARE[population] * (base[sample["patient"]] * rise if population == "Treg" else 1.0)

    def medians(sample: dict, population: str, marker: str) -> float:
        lift = 0.7 if (population, marker, sample["visit"]) == ("Treg", "CD25", "D8") else 0
        return (len(population) * 7 + len(marker) * 3) % 11 / 2.5 + lift

    profiles(samples, share, medians, CLUSTERS).to_parquet(folder / "profiles.parquet")
    endpoints = (
        model.Endpoint("treg_expansion", "primary", "Treg", "percent_of_parent", "D8", minimum_effect=0.1823),
        model.Endpoint("treg_cd25", "secondary", "Treg", "median", "D8", marker="CD25", scale="difference"),
        model.Endpoint("nk_bright", "secondary", "NK CD56bright", "percent_of_parent", "D8"),
    )
    common = {"contrast": "D8 vs D0", "n": 11, "method": "Wilcoxon signed rank, exact", "scale": "log_ratio"}
    effects = [
        effect(
            endpoint="treg_expansion",
            population="Treg",
            measure="percent_of_parent",
            estimate=0.64,
            lower=0.47,
            upper=0.83,
            p_value=0.00098,
            verdict="met",
            role="primary",
            **common,
        ),
        effect(
            endpoint="treg_cd25",
            population="Treg",
            measure="median",
            marker="CD25",
            estimate=0.69,
            lower=0.61,
            upper=0.78,
            p_value=0.00098,
            q_value=0.00195,
            verdict="met",
            role="secondary",
            **{**common, "scale": "difference"},
        ),
        effect(
            endpoint="nk_bright",
            population="NK CD56bright",
            measure="percent_of_parent",
            estimate=0.01,
            lower=-0.04,
            upper=0.05,
            p_value=0.63,
            q_value=0.63,
            verdict="not met",
            role="secondary",
            **common,
        ),
        effect(
            endpoint="treg_expansion",
            population="Treg",
            measure="percent_of_parent",
            estimate=0.62,
            lower=0.44,
            upper=0.85,
            p_value=0.00098,
            verdict="met",
            role="supporting",
            **common,
        )
        | {"origin": "cluster"},
        effect(
            endpoint="gdT",
            population="gdT",
            measure="percent_of_parent",
            contrast="D8 vs D0",
            verdict="not evaluable",
            note="the panel has no TCRgd",
            role="descriptive",
            scale="log_ratio",
        ),
    ]
    patients = pd.DataFrame(
        {
            "patient": samples["patient"].unique(),
            "endpoint": "treg_expansion",
            "baseline": 5.1,
            "value": 9.9,
            "fold": 1.94,
            "call": "yes",
            "why": "fold 1.94 reaches 1.5",
        }
    )
    patients.loc[8, ["baseline", "fold"]] = np.nan
    patients.loc[8, ["call", "why"]] = ["not evaluable", "no baseline: the sample was excluded (clotted tube)"]
    headline = {"value": "\u00d71.9", "caption": "median fold change D8 vs D0 (95 % CI 1.6 to 2.3), n = 11"}
    monitor(
        folder,
        "treg",
        effects,
        patients,
        {
            "title": "Treg expansion",
            "verdict": "met",
            "headline": headline,
            "primary": {k: v for k, v in effects[0].items() if not pd.isna(v)},
            "reason": "Treg rose by a median factor of 1.9, at least the 1.2 asked for, p = 0.001.",
            "notes": [HOSTILE] if hostile else [],
        },
    )
    settings = model.Monitors(treg=model.TregMonitor(endpoints, responder_fold=1.5))
    cohort(folder, samples, CLUSTERS, cells)
    quality(folder, samples, 4000)
    provenance(folder)
    warnings = ("patient P09 has no baseline sample: not evaluable for change",)
    return study(
        folder, samples, settings, title="Low-dose IL-2" + (HOSTILE if hostile else ""), warnings=warnings, **more
    )


def bcrxl(folder: Path, cells: int = 2000, **more: object) -> model.Study:
    """Write the study of two stimuli and give it."""
    rows = [
        {"sample": f"{p}_{s}", "patient": p, "visit": "V1", "day": 0.0, "stimulus": s}
        for p in (f"patient{i + 1}" for i in range(8))
        for s in ("Reference", "BCR-XL")
    ]
    samples = sheet(rows)

    def medians(sample: dict, population: str, marker: str) -> float:
        lift = 2.7 if population.startswith("B") and marker == "pS6" and sample["stimulus"] == "BCR-XL" else 0
        return (len(population) * 7 + len(marker) * 3) % 11 / 4 + lift

    waist = profiles(samples, lambda s, p: SHARE[p], medians, CLUSTERS)
    waist.to_parquet(folder / "profiles.parquet")
    rng = np.random.default_rng(3)
    effects = []
    for origin, names in (("gate", list(TREE)), ("cluster", list(CLUSTERS))):
        for population in names:
            for marker in ("", *MARKERS):
                hit = marker == "pS6" and CLUSTERS.get(population, population).startswith("B")
                estimate = 2.7 if hit else rng.normal(0, 0.05)
                p = 10 ** -rng.uniform(6, 9) if hit else rng.uniform(0.01, 1)
                effects.append(
                    effect(
                        endpoint="state" if marker else "abundance",
                        population=population,
                        measure="median" if marker else "percent_of_parent",
                        marker=marker,
                        contrast="BCR-XL vs Reference",
                        n=8,
                        estimate=estimate,
                        scale="difference" if marker else "log2_ratio",
                        lower=estimate - 0.2,
                        upper=estimate + 0.2,
                        p_value=p,
                        q_value=min(1.0, p * 40),
                        method="moderated paired t",
                        verdict="called" if hit else "not called",
                        role="discovery",
                        origin=origin,
                    )
                )
    effects.sort(key=lambda row: row["p_value"])
    monitor(
        folder,
        "discovery",
        effects,
        pd.DataFrame({"patient": samples["patient"].unique(), "pairs": "complete"}),
        {
            "title": "What changed",
            "verdict": "met",
            "primary": None,
            "reason": "8 changes were called at a false discovery rate of 5 %.",
            "headline": {"value": "8", "caption": "called of 352 tested, BCR-XL vs Reference, n = 8"},
        },
    )
    settings = model.Monitors(discovery=model.DiscoveryMonitor("stimulus", "Reference", "BCR-XL"))
    cohort(folder, samples, CLUSTERS, cells)
    quality(folder, samples, 4000)
    provenance(folder)
    return study(folder, samples, settings, title="BCR-XL of PBMC", baseline="V1", **more)


def cart(folder: Path, cells: int = 2000, **more: object) -> model.Study:
    """Write the CAR-T study and give it."""
    days = {"baseline": -7, "D14": 14, "D30": 30, "D60": 60, "D90": 90, "D120": 120, "D150": 150, "D180": 180}
    rows = [
        {"sample": f"{p}_{v}", "patient": p, "visit": v, "day": float(d), "disease": "SLE"}
        for p in (f"L{i + 1}" for i in range(5))
        for v, d in days.items()
        if (p, v) != ("L4", "D60")
    ]
    samples = sheet(rows)
    back = {"L1": 88, "L2": 101, "L3": 115, "L4": 142, "L5": 400}

    def share(sample: dict, population: str) -> float:
        since = sample["day"] - back[sample["patient"]]
        if population == "B":
            return 9 if sample["day"] < 0 else (0.0 if since < 0 else min(8.0, 1.2 + since / 12))
        if population == "B naive" and sample["day"] > 0:
            return 84
        return SHARE[population]

    waist = profiles(samples, share, lambda s, p, m: 1.0, CLUSTERS)
    waist.to_parquet(folder / "profiles.parquet")
    effects = [
        effect(
            endpoint="naive_share",
            population="B naive",
            measure="percent_of_parent",
            contrast=f"{v} vs baseline",
            n=4,
            estimate=22.0,
            scale="difference",
            lower=np.nan,
            upper=np.nan,
            p_value=0.125,
            method="Wilcoxon signed rank, exact",
            verdict="not evaluable",
            note="fewer than 6 patients",
            role="descriptive",
        )
        for v in ("D120", "D150", "D180")
    ]
    patients = pd.DataFrame(
        {
            "patient": list(back),
            "aplasia_day": 14.0,
            "recovery_after_day": [60.0, 90, 90, 120, np.nan],
            "recovery_day": [90.0, 120, 120, 150, np.nan],
            "naive_percent": [84.0, 83, 85, 84, np.nan],
            "call": ["reset"] * 4 + ["not evaluable"],
            "reason": ["naive share 84 % at recovery"] * 4 + ["not recovered by day 180 (censored)"],
        }
    )
    monitor(
        folder,
        "bcell",
        effects,
        patients,
        {
            "title": "B-cell reset",
            "verdict": "met",
            "primary": None,
            "reason": "4 of 4 evaluable patients are reset; 1 is not evaluable.",
            "headline": {"value": "4 / 4", "caption": "evaluable patients reset; 1 of 5 not evaluable"},
        },
    )
    cohort(folder, samples, CLUSTERS, cells)
    quality(folder, samples, 4000)
    provenance(folder)
    settings = model.Monitors(bcell=model.BcellMonitor())
    return study(folder, samples, settings, title="CD19 CAR-T in lupus", baseline="baseline", **more)
