"""EC50 of pSTAT5 under IL-2, IL-15 and Fc-IL-2 muteins, and how selective each is for Treg.

    TRESET_DATA=... python benchmarks/signalling.py

Reads ``signalling/il2_pstat5_wt_dimeric.csv`` (1 h rows) of TRESET_DATA. Two readings: one curve for each ligand and
cell through all experiments (its interval takes all points for independent), and, by the monitor itself, one curve an
experiment with the geometric mean over experiments. Prints tables and writes benchmarks/results/signalling.json.
Nothing is fitted to the bars.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from treset.monitor import signalling
from treset.profile import COLUMNS
from treset.stats import DoseFit, fit_dose_response
from treset.study.model import SignallingMonitor

CELLS = ("Treg", "Thelper", "CD8", "NK")
#: Ligand -> lowest and highest Treg against T-helper selectivity asked for.
BARS = {"IL2": (8.0, 25.0), "IL15": (0.8, 2.5), "R38Q N-term": (100.0, math.inf)}


def read(folder: Path) -> pd.DataFrame:
    table = pd.read_csv(folder / "signalling" / "il2_pstat5_wt_dimeric.csv")
    return table[table["Time"] == 1.0]


def pooled(table: pd.DataFrame) -> dict[tuple[str, str], DoseFit]:
    """One fit for each ligand and cell, the experiments as replicates."""
    return {
        (str(ligand), str(cell)): fit_dose_response(own["Dose"], own["Mean"])
        for (ligand, cell), own in table.groupby(["Ligand", "Cell"])
    }


def spoken(fit: DoseFit) -> str:
    if fit.status == "above":
        return f"> {fit.bound:.3g} (lower limit {fit.lower:.3g}; {fit.why})"
    if fit.status == "below":
        return f"< {fit.low_dose:g}"
    if fit.status != "fitted":
        return f"{fit.status}: {fit.why}"
    return f"{fit.ec50:.3g} [{fit.lower:.3g} to {fit.upper:.3g}]"


def waist(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The same rows as profiles and sheet: an experiment (date) is a donor, its replicates are samples."""
    again = table.groupby(["Ligand", "Date", "Dose", "Cell"]).cumcount().astype(str)
    long = table.assign(
        sample=table["Ligand"] + "|" + table["Date"] + "|" + table["Dose"].astype(str) + "|" + again,
        patient=table["Date"],
        visit="V1", day=0.0, arm="", disease="", batch=table["Date"], stimulus=table["Ligand"], dose=table["Dose"],
        population=table["Cell"], parent="cells", origin="external", measure="median", marker="pSTAT5",
        value=table["Mean"], n_cells=1000,
    )[list(COLUMNS)]  # fmt: skip
    samples = long.drop_duplicates("sample")[["sample", "patient", "visit", "day", "stimulus", "dose", "batch"]]
    return long.reset_index(drop=True), samples.reset_index(drop=True)


def by_experiment(table: pd.DataFrame) -> pd.DataFrame:
    # mean fluorescence, background subtracted: 200 is little beside the 300 to 50,000 of these cells
    settings = SignallingMonitor(
        marker="pSTAT5", origin="external", against=("Thelper", "CD8", "NK"), stimulus="IL2", min_response=200.0
    )
    result = signalling(*waist(table), settings, "V1")
    print("\nMonitor, EC50s of each experiment: geometric mean and t interval")
    for note in result.summary["notes"]:
        print("  note:", note)
    print(f"  verdict for IL2: {result.summary['verdict']}. {result.summary['reason']}")
    return result.effects


def selectivity(fits: dict[tuple[str, str], DoseFit], ligand: str, cell: str) -> tuple[float, str]:
    """EC50 over that of Treg, and the sign where it is a bound."""
    treg, other = fits[ligand, "Treg"], fits[ligand, cell]
    if treg.status != "fitted" or other.status not in ("fitted", "above"):
        return math.nan, ""
    if other.status == "above":
        return other.bound / treg.ec50, ">"
    return other.ec50 / treg.ec50, ""


def main() -> None:
    if not (data := os.environ.get("TRESET_DATA")):
        sys.exit("TRESET_DATA is not set: it names the folder of the public data")
    started = time.perf_counter()
    table = read(Path(data))
    fits = pooled(table)
    figures: dict[str, object] = {}
    print("One curve for each ligand and cell, EC50 in nM [95 % interval]")
    for (ligand, cell), fit in fits.items():
        print(f"  {ligand:12s} {cell:8s} n = {fit.n:2d}  {spoken(fit)}")
        name = f"ec50_{ligand}_{cell}".replace(" ", "_")
        figures[name] = fit.ec50 if fit.status == "fitted" else fit.status
        figures |= {f"{name}_lower": fit.lower, f"{name}_upper": fit.upper}
    effects = by_experiment(table)
    print("\nSelectivity, EC50 over that of Treg           one curve   experiments [95 % interval]")
    for ligand in dict.fromkeys(ligand for ligand, _ in fits):
        for cell in CELLS[1:]:
            ratio, sign = selectivity(fits, ligand, cell)
            row = effects[(effects["endpoint"] == "selectivity") & (effects["contrast"] == f"{ligand}: {cell} vs Treg")]
            mean, low, high = (10.0 ** float(row.iloc[0][name]) for name in ("estimate", "lower", "upper"))
            print(f"  {ligand:12s} {cell:8s} {sign:>20s}{ratio:12.3g}   {mean:8.3g} [{low:.3g} to {high:.3g}]")
            name = f"selectivity_{ligand}_{cell}".replace(" ", "_")
            figures |= {name: ratio, f"{name}_bound": sign, f"{name}_experiments": mean}
            figures |= {f"{name}_experiments_lower": low, f"{name}_experiments_upper": high}
    print("\nBars on Treg against T-helper")
    for ligand, (low, high) in BARS.items():
        name = f"selectivity_{ligand}_Thelper".replace(" ", "_")
        for reading in (name, f"{name}_experiments"):
            value = float(figures[reading])  # type: ignore[arg-type]
            met = bool(low <= value <= high)
            figures[f"{reading}_bar_met"] = met
            print(f"  {reading:48s} {value:8.3g}  asked {low:g} to {high:g}: {'met' if met else 'MISSED'}")
    finite = [fit for fit in fits.values() if fit.status == "fitted"]
    figures |= {"fits": len(fits), "fits_finite": len(finite), "seconds": round(time.perf_counter() - started, 2)}
    figures |= {"date": datetime.date.today().isoformat(), "machine": f"{platform.machine()} {platform.system()}"}
    path = Path(__file__).parent / "results" / "signalling.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({key: _plain(value) for key, value in figures.items()}, indent=1) + "\n")
    print(f"\n{len(finite)} of {len(fits)} EC50s finite; {figures['seconds']} s; wrote {path.name}")


def _plain(value: object) -> object:
    """JSON knows no infinity: null, as for what is not a number."""
    if isinstance(value, float | np.floating):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


if __name__ == "__main__":
    main()
