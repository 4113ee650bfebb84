"""Raw cytometry made clean: every bar with its figure.

    [TRESET_DATA=folder] python benchmarks/preprocessing.py [cells] [fuzzed files]

Prints a table and writes benchmarks/results/preprocessing.json. ``cells`` (default 100,000) is how many are
compensated for the time of 5 million x 39; ``fuzzed files`` default to 20,000. Without TRESET_DATA only the simulated
cases are run. Labels and keys of the data are for scoring only. A figure that falls short stands as it is.
"""

from __future__ import annotations

import datetime
import itertools
import json
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.optimize import nnls as active_set
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.fuzz_fcs import run as fuzz

from treset import simulate
from treset.clean.beads import bead_columns, bead_slopes, find_beads
from treset.clean.cytonorm import train, train_and_judge
from treset.clean.debarcode import Key, apply_cutoffs, assign, cutoffs, single_stain_key
from treset.clean.distances import compare
from treset.clean.flow_rate import flow_rate
from treset.clean.key import read_key
from treset.clean.levelling import level
from treset.clean.masses import metal_mass
from treset.clean.peaks import unstable
from treset.clean.single_stains import spillover_matrix
from treset.clean.spillover import compensate_mass
from treset.io.fcs import linearise, read_fcs, write_fcs
from treset.quality.cytometry import flag
from treset.simulate.cytometry import simulate_events
from treset.simulate.panel import CHANNELS
from treset.simulate.trial import KINDS
from treset.study.model import CytometryQuality

OUT = Path(__file__).parent / "results" / "preprocessing.json"
Row = tuple[str, str, float, str, bool | None]
STAINED = {139, *range(141, 157), *range(158, 177)}


def spillover(folder: Path, cells: int) -> list[Row]:
    """ss_exp: the matrix from one half of the beads, judged on the other; mp_cells: signs, exactness, speed."""
    header, events = read_fcs(folder / "ss_exp.fcs")
    channels = list(header.channels)
    stained = [c for c in channels if (found := metal_mass(c)) and found[1] in STAINED]
    first = assign(events[:, [channels.index(c) for c in stained]], single_stain_key(stained))
    names = np.array([*stained, ""], dtype=object)[apply_cutoffs(first, cutoffs(first, len(stained))).sample]
    half = np.arange(len(events)) % 2 == 0
    matrix = spillover_matrix(events[half], channels, names[half])
    done = compensate_mass(events[~half], channels, matrix)
    worst = {}
    for what, values in (("before", events[~half]), ("after", done)):
        shares = []
        for stain in stained:
            medians, own = np.median(values[names[~half] == stain], axis=0), channels.index(stain)
            shares.append(np.delete(medians, own).max() / medians[own])
        worst[what] = max(shares)
    header, cells_events = read_fcs(folder / "mp_cells.fcs")
    after = compensate_mass(cells_events, list(header.channels), matrix)
    full = np.eye(len(channels))
    full[[channels.index(name) for name in matrix.emitters]] = matrix.matrix
    exact = np.array([active_set(full.T, row.astype(float))[0] for row in cells_events[:500]])
    many = np.tile(cells_events, (-(-cells // len(cells_events)), 1))[:cells]
    start = time.perf_counter()
    compensate_mass(many, list(header.channels), matrix)
    minutes = (time.perf_counter() - start) / cells * 5e6 / 60
    return [
        ("spillover", "largest receiver / stain, before", 100 * worst["before"], "%", None),
        ("spillover", "largest receiver / stain, after (unseen half)", 100 * worst["after"], "%",
         worst["after"] <= 0.03),
        ("spillover", "lowest value, beads and mp_cells", min(done.min(), after.min()), "counts",
         min(done.min(), after.min()) >= 0),
        ("spillover", "difference from Lawson-Hanson", np.abs(after[:500] - exact).max(), "counts",
         np.abs(after[:500] - exact).max() <= 1e-6),
        ("spillover", f"5 million cells, from {cells}", minutes, "min", minutes <= 10),
    ]  # fmt: skip


def beads(folder: Path) -> list[Row]:
    """raw_data_V1 and V2: variation and drift of the beads, before and after."""
    rows: list[Row] = []
    for name in ("raw_data_V1", "raw_data_V2"):
        header, events = read_fcs(folder / f"{name}.fcs")
        channels = list(header.channels)
        columns, dna = bead_columns(channels, "dvs"), [channels.index("Ir191Di"), channels.index("Ir193Di")]
        found = find_beads(events[:, columns], events[:, dna])
        before, moments = events[np.ix_(found.single, columns)].astype(float), events[found.single, 0].astype(float)
        after = before * bead_slopes(before, moments).at(moments)[:, None]
        first, last = (part.std(axis=0) / part.mean(axis=0) for part in (before, after))
        drift = [abs(spearmanr(moments, part.mean(axis=1)).statistic) for part in (before, after)]
        each = max(abs(spearmanr(moments, column).statistic) for column in after.T)
        rows += [
            (name, "single beads", float(len(before)), "", None),
            (name, "mean CV of the isotopes, before", first.mean(), "", None),
            (name, "mean CV of the isotopes, after", last.mean(), "", last.mean() < first.mean()),
            (name, "isotopes whose CV falls, of 5", float((last < first).sum()), "", bool((last < first).all())),
            (name, "|Spearman| of beads with time, before", drift[0], "", None),
            (name, "|Spearman| of beads with time, after", drift[1], "", drift[1] < 0.1),
            (name, "the same, worst single isotope", each, "", each < 0.1),
        ]
    return rows


def simulated_drift() -> list[Row]:
    """A loss of 40 % over the acquisition: cells' true intensities, in twenty stretches."""
    rng = np.random.default_rng(0)
    events, level_of = 20_000, np.array([2800, 2200, 2900, 2850, 2700.0])
    moments = np.sort(rng.uniform(0, 1.8e6, events))
    bead = rng.random(events) < 0.03
    true = np.where(bead, 0, rng.lognormal(4, 0.5, events))
    signal = np.where(bead[:, None], level_of * rng.lognormal(0, 0.08, (events, 5)), rng.exponential(0.3, (events, 5)))
    dna = np.where(bead, 0.3, rng.lognormal(5.3, 0.2, events))
    loss = 1 - 0.4 * moments / moments.max()
    seen = rng.poisson(np.column_stack([signal, dna, true]) * loss[:, None]).astype(float)
    found = find_beads(seen[:, :5], seen[:, 5:6])
    done = seen[:, 6] * bead_slopes(seen[found.single, :5], moments[found.single]).at(moments)
    parts = np.array_split(np.flatnonzero(~bead), 20)
    off = {}
    for what, values in (("before", seen[:, 6]), ("after", done)):
        ratio = np.array([values[part].mean() / true[part].mean() for part in parts])
        off[what] = 100 * np.abs(ratio / np.median(ratio) - 1).max()
    return [
        ("simulated drift", "largest error of the true intensity, before", off["before"], "%", None),
        ("simulated drift", "largest error of the true intensity, after", off["after"], "%", off["after"] <= 3),
    ]


def debarcoding(folder: Path) -> list[Row]:
    """sample_ff against its key."""
    header, events = read_fcs(folder / "sample_ff.fcs")
    key = read_key(folder / "sample_key.csv", header.channels, header.markers)
    first = assign(events, key)
    counts = np.bincount(first.sample[first.sample >= 0], minlength=len(key.samples))
    last = apply_cutoffs(first, cutoffs(first, len(key.samples)))
    kept = last.sample >= 0
    codes = key.codes[last.sample[kept]]
    agree = np.where(codes, events[kept], np.inf).min(1) > np.where(codes, -np.inf, events[kept]).max(1)
    return [
        ("sample_ff", "barcodes with exactly 1,000 events", float((counts == 1000).sum()), "of 20",
         bool((counts == 1000).all())),
        ("sample_ff", "assigned with the cut-offs", 100 * kept.mean(), "%", None),
        ("sample_ff", "of these, with the pattern of the key", 100 * agree.mean(), "%", bool(agree.all())),
    ]  # fmt: skip


def simulated_barcodes() -> list[Row]:
    """Twenty barcodes of three in six channels, a tenth of the events doublets of two samples."""
    rng = np.random.default_rng(0)
    codes = np.array([[n in code for n in range(6)] for code in itertools.combinations(range(6), 3)])
    key = Key(tuple(map(str, range(20))), tuple(f"Pd{n}" for n in range(6)), codes)
    truth, events = rng.integers(0, 20, 20_000), 20_000
    brightness = rng.lognormal(5, 0.3, 20)

    def counts(samples: np.ndarray) -> np.ndarray:
        cell = rng.lognormal(0, 0.35, (len(samples), 1))
        bright = brightness[samples][:, None] * cell * rng.lognormal(0, 0.25, (len(samples), 6))
        return np.where(codes[samples], bright, rng.exponential(2, (len(samples), 6)))

    values, double = counts(truth), rng.random(events) < 0.1
    values[double] += counts((truth + rng.integers(1, 20, events))[double] % 20)
    first = assign(values, key)
    found = apply_cutoffs(first, cutoffs(first, 20)).sample
    single, taken = ~double, found >= 0
    right = (found == truth)[single & taken].mean()
    return [
        ("simulated barcodes", "singlets assigned", 100 * taken[single].mean(), "%", None),
        ("simulated barcodes", "of these, to their own sample", 100 * right, "%", right == 1),
        ("simulated barcodes", "doublets left out", 100 * (~taken[double]).mean(), "%", None),
    ]


def _score(case: str, found: np.ndarray, truth: np.ndarray) -> list[Row]:
    recall, precision = (found & truth).sum() / truth.sum(), (found & truth).sum() / max(int(found.sum()), 1)
    return [
        (case, "recall", float(recall), "", bool(recall >= 0.9)),
        (case, "precision", float(precision), "", bool(precision >= 0.9)),
    ]


def events_of_mass() -> list[Row]:
    """Doublets and dead cells of a simulated sample of mass cytometry, by the filters of the default config."""
    trial = simulate.plan("il2_open_label", patients=1, seed=1)
    drawn = simulate_events(trial, "P01_D0")
    roles = trial.panel.set_index("channel")["role"]
    data = AnnData(drawn.values.copy(), obs=pd.DataFrame(index=np.arange(len(drawn.kind)).astype(str)))
    data.var_names = list(CHANNELS)
    data.var["role"] = [roles.get(channel, "ignore") for channel in CHANNELS]
    data.var["cofactor"] = np.nan
    flag(data, CytometryQuality())
    kind = np.array(KINDS)[drawn.kind]
    # beads and debris, which the DNA filter removes too, are neither
    doublets = data.obs["qc_dna_singlets"].to_numpy() & ~np.isin(kind, ["bead", "debris"])
    dead = data.obs["qc_viability"].to_numpy()
    return _score("mass, doublets", doublets, kind == "doublet") + _score("mass, dead cells", dead, kind == "dead")


def events_of_flow() -> list[Row]:
    """Doublets by FSC-A / FSC-H, dead cells by a viability stain, of simulated flow cytometry."""
    rng = np.random.default_rng(0)
    count = 20_000
    double, dead = rng.random(count) < 0.08, rng.random(count) < 0.1
    area = rng.lognormal(11, 0.3, count)
    # two cells in a row: the area of both, the height of little more than one
    height = area / rng.lognormal(0, 0.03, count) / np.where(double, rng.uniform(1.5, 2.0, count), 1)
    stain = np.where(dead, rng.lognormal(8.5, 0.5, count), rng.lognormal(4.5, 0.5, count))
    values = np.column_stack([area, height, stain]).astype(np.float32)
    data = AnnData(values, obs=pd.DataFrame(index=np.arange(count).astype(str)))
    data.var_names = ["FSC-A", "FSC-H", "AmCyan-A"]
    data.var["role"], data.var["cofactor"] = ["scatter", "scatter", "viability"], np.nan
    flag(data, CytometryQuality())
    return _score("flow, doublets", data.obs["qc_scatter_singlets"].to_numpy(), double) + _score(
        "flow, dead cells", data.obs["qc_viability"].to_numpy(), dead
    )


def faults_of_time() -> list[Row]:
    """Clogged seconds, and a stretch with a shifted signal."""
    rng = np.random.default_rng(0)
    moments = np.sort(rng.uniform(0, 600, 30_000))
    clogs = [(100.0, 110.0), (400.0, 403.0)]
    clogged = np.any([(moments >= a) & (moments < b) for a, b in clogs], axis=0)
    left = moments[~clogged | (rng.random(len(moments)) < 0.05)]
    rate = flow_rate(left)
    seconds = np.arange(600) + 0.5
    place = np.clip(np.searchsorted(rate.edges, seconds) - 1, 0, len(rate.counts) - 1)
    truth = np.any([(seconds >= a) & (seconds < b) for a, b in clogs], axis=0)
    rows = _score("clogged seconds", rate.low[place], truth)
    values = np.where(rng.random((30_000, 6)) < 0.4, rng.normal(4, 0.5, (30_000, 6)), rng.normal(0.5, 0.4, (30_000, 6)))
    shifted = np.zeros(30_000, dtype=bool)
    shifted[12_000:15_000] = True
    steady = unstable(values, np.arange(30_000)).events.mean()
    values[shifted, 2] += 1
    rows += _score("shifted signal", unstable(values, np.arange(30_000)).events, shifted)
    return [*rows, ("steady acquisition", "events flagged", 100 * float(steady), "%", bool(steady < 0.01))]


def batches(folder: Path) -> list[Row]:
    """cytonorm/: taught by the first replicate of three plates, judged on the second."""

    def plates(number: int) -> tuple[dict[str, np.ndarray], list[str]]:
        found, names = {}, []
        for plate in ("021", "028", "034"):
            header, events = read_fcs(folder / f"Gates_PTLG{plate}_Unstim_Control_{number}.fcs")
            used = [n for n, m in enumerate(header.markers) if m and not m.startswith(("BC", "DNA", "beadDist"))]
            found[plate], names = np.arcsinh(events[:, used] / 5).astype(float), [header.markers[n] for n in used]
        return found, names

    (anchors, names), (unseen, _) = plates(1), plates(2)
    alone = train(anchors)
    learnt, _ = train_and_judge(anchors, names)
    done = {plate: level(values, plate, learnt) for plate, values in unseen.items()}
    everything = {plate: np.full(len(values), "x") for plate, values in unseen.items()}
    table = compare(unseen, done, everything, names)
    table = table[table["population"] == "cells"]
    floor = np.mean([compare({"1": anchors[p], "2": unseen[p]}, {"1": anchors[p], "2": unseen[p]},
                             {"1": everything[p], "2": everything[p]}, names)["emd_before"].mean()
                     for p in anchors])  # fmt: skip
    fall = 100 * (1 - table["emd_after"].mean() / table["emd_before"].mean())
    each = 100 * (1 - table["emd_after"] / table["emd_before"])
    every = {plate: level(values, plate, alone) for plate, values in unseen.items()}
    kernel = compare(unseen, every, everything, names).query("population == 'cells'")
    kernel_fall = 100 * (1 - kernel["emd_after"].mean() / kernel["emd_before"].mean())
    large = (table["emd_before"] > 0.2) | (table["emd_after"] > 0.2)
    width = 100 * (table["mad_after"].mean() / table["mad_before"].mean() - 1)
    wide = table["mad_before"] >= 0.05
    most = 100 * (table["mad_after"] / table["mad_before"] - 1).abs()[wide].max()
    return [
        ("cytonorm", "markers levelled", float(learnt.markers.sum()), f"of {len(names)}", None),
        ("cytonorm", "mean EMD between plates, before", table["emd_before"].mean(), "", None),
        ("cytonorm", "mean EMD between plates, after", table["emd_after"].mean(), "", None),
        ("cytonorm", "mean EMD of two replicates of one plate", float(floor), "", None),
        ("cytonorm", "fall of the mean EMD, nothing taken back", kernel_fall, "%", kernel_fall >= 40),
        ("cytonorm", "fall of the mean EMD, as a study does it", fall, "%", fall >= 40),
        ("cytonorm", "mean fall of a marker's EMD, markers with EMD > 0.2", each[large].mean(), "%",
         each[large].mean() >= 40),
        ("cytonorm", "mean fall of a marker's EMD, all markers", each.mean(), "%", each.mean() >= 40),
        ("cytonorm", "markers further apart than before", float((each < 0).sum()), f"of {len(names)}", None),
        ("cytonorm", "change of the mean MAD", width, "%", abs(width) <= 10),
        ("cytonorm", "largest change of a marker's MAD (MAD >= 0.05)", most, "%", most <= 10),
    ]  # fmt: skip


def conformance(folder: Path) -> list[Row]:
    """Files with a stored truth, and every readable file written and read again."""
    scratch = OUT.parent / ".roundtrip.fcs"
    read, same = 0, 0
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.read_bytes()[:3] != b"FCS":
            continue
        try:
            header, events = read_fcs(path)
        except Exception as error:
            if type(error).__name__ != "TresetError":
                raise
            continue
        read += 1
        names = [name.replace(",", ".") for name in header.channels]
        if events.dtype == np.float32 and len(set(names)) == len(names):
            write_fcs(scratch, events, names, header.markers)
            same += np.array_equal(read_fcs(scratch)[1], events)
        else:
            narrow = events.astype(np.float32)
            write_fcs(scratch, narrow, names, header.markers)
            same += np.array_equal(read_fcs(scratch)[1], narrow)
    scratch.unlink(missing_ok=True)
    flow = folder / "flowio"
    truths = {
        "data1.fcs": ("data1_original_events.npy", "data1_preprocessed.npy"),
        "B01 KC-A-W---91-US.fcs": ("B01 KC-A-W---91-US_preprocessed_events.npy",),
    }
    equal = []
    for name, files in truths.items():
        header, events = read_fcs(flow / name)
        # the preprocessed truth has $PnG and $TIMESTEP applied, which the events as they are stored have not
        linear = linearise(header, events)[0] / np.array(header.gains)
        columns = [n for n, channel in enumerate(header.channels) if channel.lower() != "time"]
        for file in files:
            truth = np.load(flow / file).reshape(events.shape)
            stored = np.array_equal(events[:, columns], truth[:, columns])
            equal.append(stored or np.allclose(linear[:, columns], truth[:, columns], rtol=1e-6))
    return [
        (
            "fcs_conformance",
            "stored truths that the events equal",
            float(sum(equal)),
            f"of {len(equal)}",
            all(equal),
        ),
        ("fcs_conformance", "files read", float(read), "", None),
        ("fcs_conformance", "written, read again and equal", float(same), f"of {read}", same == read),
    ]


def main(cells: int = 100_000, fuzzed: int = 20_000) -> None:
    """Run every case that its data allow."""
    rows: list[Row] = []
    if folder := os.environ.get("TRESET_DATA"):
        data = Path(folder)
        rows += spillover(data / "catalyst", cells) + beads(data / "catalyst") + debarcoding(data / "catalyst")
        rows += batches(data / "cytonorm") + conformance(data / "fcs_conformance")
    rows += simulated_drift() + simulated_barcodes() + events_of_mass() + events_of_flow() + faults_of_time()
    broken = fuzz(fuzzed)
    rows += [
        ("fuzzer", f"faults in {fuzzed} broken files", float(sum(broken["faults"].values())), "",  # type: ignore[attr-defined]
         not broken["faults"]),
        ("fuzzer", "slowest file", float(broken["slowest_s"]), "s", None),  # type: ignore[arg-type]
    ]  # fmt: skip
    for case, figure, value, unit, met in rows:
        print(f"{case:<20} {figure:<62} {value:>12.4g} {unit:<7} {'' if met is None else 'met' if met else 'not met'}")
    result = {
        "date": datetime.date.today().isoformat(),
        "architecture": platform.machine(),
        "figures": [
            {"case": case, "figure": figure, "value": float(f"{value:.4g}"), "unit": unit,
             "met": None if met is None else bool(met)}
            for case, figure, value, unit, met in rows
        ],
    }  # fmt: skip
    OUT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
