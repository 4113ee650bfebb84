"""Which test for shares of clusters: realised false discoveries and power, null and sparse, paired and between groups.

    python benchmarks/abundance.py [null repeats, default 1000] [repeats with effects, default a fifth]

Compares the moderated t test on log shares (with and without weights by precision) with the negative-binomial test of
the counts (monitors.discovery.abundance; where pyedger is installed, else said to be missing). Counts are drawn: shares
vary by a log-normal between patients and between samples, cells are counted by a multinomial, samples differ in size.
The rest of the cells (not tested) takes up what changed clusters gain: shares that are said not to change do not.
Writes benchmarks/results/abundance.json.
"""

from __future__ import annotations

import datetime
import importlib.util
import json
import platform
import sys
import time
from pathlib import Path

import numpy as np

from treset.stats import bh, moderated_t, negative_binomial_f, precision_weights
from treset.stats.counts import LEAST_ROWS

CLUSTERS, CHANGED, FOLD = 40, 4, 1.0


def draw(
    rng: np.random.Generator, n: int, low: int, high: int, changed: int, paired: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Counts (clusters, 2 n) and cells (2 n): n references, then their n partners."""
    share = np.exp(rng.normal(0, 1.6, CLUSTERS))
    own = rng.normal(0, 0.3, (CLUSTERS, n))
    # between groups: other patients
    both = np.hstack([own, own if paired else rng.normal(0, 0.3, (CLUSTERS, n))])
    log = np.log(share)[:, None] + both + rng.normal(0, 0.2, (CLUSTERS, 2 * n))
    log[:changed, n:] += FOLD
    cells = np.exp(rng.uniform(np.log(low), np.log(high), 2 * n)).astype(int)
    # the rest takes up what the others gain, so that a cluster without a change has none in its share either
    p = 0.4 * np.exp(log) / share.sum()
    p = np.vstack([p, np.maximum(0.0, 1 - p.sum(axis=0))])
    p /= p.sum(axis=0)
    return np.stack([rng.multinomial(cells[j], p[:, j]) for j in range(2 * n)], axis=1)[:-1], cells


def p_values(counts: np.ndarray, cells: np.ndarray, n: int, paired: bool, weighted: bool) -> np.ndarray:
    y = np.log2((counts + 0.5) / (cells + 1))
    group = np.repeat([0.0, 1.0], n)
    mean = np.where(group == 0, y[:, :n].mean(axis=1, keepdims=True), y[:, n:].mean(axis=1, keepdims=True))
    sampling = 1 / (2**mean * (cells + 1) + 0.5)
    if paired:
        y, sampling = y[:, n:] - y[:, :n], sampling[:, n:] + sampling[:, :n]
        design, mean = np.ones((n, 1)), y.mean(axis=1, keepdims=True)
        residuals = (y - mean) * np.sqrt(n / (n - 1))
    else:
        design = np.column_stack([np.ones(2 * n), group])
        residuals = (y - mean) * np.sqrt(2 * n / (2 * n - 2))
    weights = precision_weights(residuals, sampling, common=True) if weighted else None
    return moderated_t(y, design, weights=weights).p_value


def of_counts(counts: np.ndarray, cells: np.ndarray, n: int, paired: bool) -> np.ndarray:
    if len(counts) < LEAST_ROWS:
        return np.full(len(counts), np.nan)  # discovery says not evaluable
    group = np.repeat([0.0, 1.0], n)
    blocks = np.tile(np.eye(n), (2, 1)) if paired else np.ones((2 * n, 1))
    return negative_binomial_f(counts, cells, np.column_stack([blocks, group])).p_value


def run(rng: np.random.Generator, nulls: int, effects: int) -> dict[str, float]:
    figures = {}
    tests = {
        "plain": lambda c, k, paired: p_values(c, k, 8, paired, weighted=False),
        "weighted": lambda c, k, paired: p_values(c, k, 8, paired, weighted=True),
    }
    if importlib.util.find_spec("pyedger") is not None:
        tests["negative_binomial"] = lambda c, k, paired: of_counts(c, k, 8, paired)
    for label, low, high in (("rich", 20_000, 100_000), ("sparse", 300, 5_000)):
        for paired in (True, False):
            for changed in (0, CHANGED):
                found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in tests}
                for _ in range(effects if changed else nulls):
                    counts, cells = draw(rng, 8, low, high, changed, paired)
                    # as discovery does: a median of 20 cells in one condition at least
                    enough = np.maximum(np.median(counts[:, :8], axis=1), np.median(counts[:, 8:], axis=1)) >= 20
                    truth = (np.arange(CLUSTERS) < changed)[enough]
                    for name, kept in found.items():
                        p = tests[name](counts[enough], cells, paired)
                        called = bh(p) < 0.05
                        false = (called & ~truth).sum() / max(1, called.sum())
                        kept.append(
                            (
                                false,
                                (called & truth).sum() / max(1, truth.sum()),
                                np.mean(p[~truth] < 0.05) if (~truth).any() else 0.0,
                            )
                        )
                for name, pairs in found.items():
                    fdr, power, wrong = np.mean(pairs, axis=0)
                    stem = f"{label}_{'paired' if paired else 'between'}_{'effects' if changed else 'null'}_{name}"
                    figures[f"{stem}_fdr"] = round(float(fdr), 4)
                    if not changed:
                        figures[f"{stem}_p_under_0.05"] = round(float(wrong), 4)
                    if changed:
                        figures[f"{stem}_power"] = round(float(power), 4)
    return figures


def main() -> None:
    nulls = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    effects = int(sys.argv[2]) if len(sys.argv) > 2 else max(1, nulls // 5)
    start = time.perf_counter()
    figures: dict[str, object] = dict(run(np.random.default_rng(1), nulls, effects))
    for name, value in figures.items():
        print(f"{name:55s} {value}")
    if importlib.util.find_spec("pyedger") is None:
        print("pyedger is not installed: no figures of the negative-binomial test")
    figures |= {"null_repeats": nulls, "effect_repeats": effects, "seconds": round(time.perf_counter() - start, 1)}
    figures["machine"] = platform.machine()
    figures["date"] = datetime.date.today().isoformat()
    path = Path(__file__).parent / "results" / "abundance.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
