"""``treset export``: a finished study's results for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Write a finished study's results for other programs.", no_args_is_help=True)

Results = Annotated[Path, typer.Argument(help="results/STUDY of a finished run.")]


@app.command("tables")
def tables(results: Results, out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("tables")) -> None:
    """Frequencies, medians, effects and quality as TSV and Excel, and CP-like rows (SDTM Cell Phenotype Findings)."""
    from treset.export.tables import export_tables

    for path in export_tables(results, out):
        print(f"wrote {path}")


@app.command("sketch")
def sketch(results: Results, out: Annotated[Path, typer.Option(help="File to write.")] = Path("sketch.h5ad")) -> None:
    """The sketch as one .h5ad with the usual keys, for scanpy and cellxgene."""
    from treset.export.sketch import export_sketch

    print(f"wrote {export_sketch(results, out)}")


@app.command("mudata")
def mudata(results: Results, out: Annotated[Path, typer.Option(help="File to write.")] = Path("sketch.h5mu")) -> None:
    """The sketch of a CITE-seq study as one .h5mu: RNA and surface protein of the same cells (needs treset[mudata])."""
    from treset.export.multimodal import export_mudata

    print(f"wrote {export_mudata(results, out)}")


@app.command("workflow")
def workflow(
    config: Annotated[Path | None, typer.Argument(help="config.yaml of a study that has run, or its folder.")] = None,
    out: Annotated[Path | None, typer.Option(help="File [default: workflow.zip beside report.html].")] = None,
) -> None:
    """Snakemake's own report as a zip: rules with their code, run times and dates. Works without a network."""
    from treset.cli.commands import find_config
    from treset.export.workflow import export_workflow

    print(f"wrote {export_workflow(find_config(config), out)}")
