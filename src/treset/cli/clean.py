"""``treset debarcode`` and ``treset spillover``: what is done with files before there is a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

console = Console(highlight=False, soft_wrap=True, markup=False)


def debarcode(
    file: Annotated[Path, typer.Argument(help="Barcoded FCS file.")],
    key: Annotated[Path, typer.Option(help="CSV: channels in the first row, samples in the first column, 0 or 1.")],
    out: Annotated[Path, typer.Option(help="Folder of the results.")],
    separation: Annotated[float | None, typer.Option(help="Cut-off for all barcodes [default: estimated].")] = None,
    distance: Annotated[float, typer.Option(help="Largest squared Mahalanobis distance.")] = 30.0,
) -> None:
    """Take a barcoded file apart: one FCS file a sample, the unassigned events, and the yields."""
    from treset.jobs.debarcode import debarcode as run_one

    for row in run_one(file, key, out, separation, distance).to_dict("records"):
        told = f", {row['yield_percent']:.1f} % of its barcode" if row["code"] else ""
        console.print(f"{row['sample']}: {row['assigned']} events{told}")
    console.print(f"wrote {out}")


def spillover(
    file: Annotated[Path, typer.Argument(help="FCS file of single-stained beads (mass cytometry).")],
    out: Annotated[Path, typer.Option(help="CSV file of the matrix: clean.spillover of a study.")],
    stains: Annotated[str, typer.Option(help="Masses of the stains, with commas and ranges: 139,141-156.")],
) -> None:
    """Measure the spillover of mass cytometry on single-stained beads, and write the matrix."""
    from treset.jobs.spillover import measure_spillover

    found = measure_spillover(file, stains, out)
    console.print(f"wrote {out}: {len(found.emitters)} stains x {len(found.receivers)} channels")
