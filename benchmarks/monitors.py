"""How often the monitors' tests err: false positives, coverage, false discoveries; beside scipy's paired t test.

    python benchmarks/monitors.py [repeats]

Prints the figures and writes benchmarks/results/monitors.json. Values are drawn, not cells simulated: this measures the
statistics alone.
"""

from __future__ import annotations

import datetime
import json
import platform
import sys
import time
from pathlib import Path

import numpy as np
from scipy import stats

from treset.stats import bh, mann_whitney, moderated_t, wilcoxon_signed_rank

SHIFT = 0.5
SHAPES = {
    "normal": lambda rng, n: rng.normal(0, 0.4, n),
    "heavy": lambda rng, n: 0.3 * rng.standard_t(2, n),
    "ties": lambda rng, n: np.round(rng.normal(0, 0.4, n), 1),
    "skewed": lambda rng, n: rng.exponential(0.4, n) - 0.4 * np.log(2),
}


def paired(rng: np.random.Generator, repeats: int) -> dict[str, float]:
    figures = {}
    for name, draw in SHAPES.items():
        for n in (6, 8, 12, 24):
            wrong = theirs = covered = 0
            estimates = []
            for _ in range(repeats):
                null = draw(rng, n)
                wrong += wilcoxon_signed_rank(null).p_value < 0.05
                theirs += stats.ttest_1samp(null, 0).pvalue < 0.05
                found = wilcoxon_signed_rank(draw(rng, n) + SHIFT)
                covered += found.lower <= SHIFT <= found.upper
                estimates.append(found.estimate)
            figures |= {
                f"paired_{name}_n{n}_false_positive": wrong / repeats,
                f"paired_{name}_n{n}_false_positive_t_test": theirs / repeats,
                f"paired_{name}_n{n}_coverage": covered / repeats,
                f"paired_{name}_n{n}_bias": float(np.mean(estimates) - SHIFT),
            }
    return figures


def between(rng: np.random.Generator, repeats: int) -> dict[str, float]:
    figures = {}
    for sizes in ((5, 5), (15, 15), (20, 8)):
        wrong = covered = 0
        for _ in range(repeats):
            x, y = (rng.normal(0, 0.4, n) for n in sizes)
            wrong += mann_whitney(x, y).p_value < 0.05
            found = mann_whitney(x + SHIFT, y)
            covered += found.lower <= SHIFT <= found.upper
        label = f"between_n{sizes[0]}_n{sizes[1]}"
        figures |= {f"{label}_false_positive": wrong / repeats, f"{label}_coverage": covered / repeats}
    return figures


def many(rng: np.random.Generator, repeats: int, tests: int = 400, true: int = 20) -> dict[str, float]:
    """8 pairs, 400 tests, 20 of them true: the share of false calls and of true ones found, moderated and plain."""
    false = {"moderated": [], "plain": []}
    power = {"moderated": [], "plain": []}
    for _ in range(repeats):
        spread = 0.2 * np.sqrt(4 / rng.chisquare(4, (tests, 1)))
        d = rng.normal(size=(tests, 8)) * spread
        d[:true] += SHIFT
        for name, p in (("moderated", moderated_t(d).p_value), ("plain", stats.ttest_1samp(d, 0, axis=1).pvalue)):
            called = bh(p) < 0.05
            false[name].append(called[true:].sum() / max(called.sum(), 1))
            power[name].append(called[:true].mean())
    return {f"discovery_{k}_fdr": float(np.mean(v)) for k, v in false.items()} | {
        f"discovery_{k}_power": float(np.mean(v)) for k, v in power.items()
    }


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    rng = np.random.default_rng(1)
    start = time.perf_counter()
    figures = paired(rng, repeats) | between(rng, repeats) | many(rng, max(repeats // 10, 20))
    figures |= {"repeats": repeats, "seconds": round(time.perf_counter() - start, 1)}
    for name, value in figures.items():
        print(f"{name:50s} {value:.4g}")
    about = {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), "machine": platform.machine()}
    target = Path(__file__).parent / "results" / "monitors.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures | about, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
