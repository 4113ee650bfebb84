"""``treset debarcode``, ``spillover`` and ``export``: files before a study, and after it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from treset.cli import export

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


@export.app.command("fcs")
def export_fcs(
    out: Annotated[Path, typer.Option(help="Folder of the files.")],
    config: Annotated[Path | None, typer.Argument(help="config.yaml of the study, or its folder.")] = None,
    sample: Annotated[list[str] | None, typer.Option(help="Only this sample; repeatable.")] = None,
    kept: Annotated[bool, typer.Option("--kept", help="Leave out the events that quality dropped.")] = False,
) -> None:
    """Write every sample as FCS with cluster, population and UMAP as channels."""
    from treset.cli.commands import find_config
    from treset.jobs.export import export_fcs as write
    from treset.study import read_study

    for path in write(read_study(find_config(config)), out, sample, dropped=not kept):
        console.print(f"wrote {path}")
