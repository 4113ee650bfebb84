"""Compare the demo's verdicts with the truth it was simulated from: exit code 1 where one differs."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    truth = pd.read_csv(ROOT / "data" / "demo" / "truth.tsv", sep="\t", keep_default_na=False).set_index("endpoint")
    effects = pd.read_csv(ROOT / "results" / "demo" / "monitors" / "treg" / "effects.tsv", sep="\t")
    effects = effects[effects["role"].isin(["primary", "secondary"])].set_index("endpoint")
    wrong = 0
    for endpoint, row in effects.iterrows():
        # an endpoint that the truth does not name is one that the simulated drug does not touch
        verdict = truth.loc[endpoint, "verdict"] if endpoint in truth.index else "not met"
        agrees = verdict == row["verdict"]
        wrong += not agrees
        print(f"{endpoint:20} found {row['verdict']:14} truth {verdict:14} {'' if agrees else 'DIFFERS'}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
