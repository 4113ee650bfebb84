"""What a user types. Each command is a few lines over the library."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from treset.cli import clean, export
from treset.cli.gates import app as gates_app
from treset.errors import Faults, TresetError

app = typer.Typer(
    name="treset",
    help="Single-cell phenotyping for immunotherapy trials: from raw files and a sample sheet to a report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(export.app, name="export")
console = Console(highlight=False, soft_wrap=True, markup=False)

ConfigArgument = Annotated[
    Path | None,
    typer.Argument(help="config.yaml of the study, or its folder [default: ./config.yaml or ./config/config.yaml]"),
]


def _print_version(asked: bool) -> None:
    if asked:
        from treset import __version__

        console.print(__version__)
        raise typer.Exit


@app.callback()
def main_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Single-cell phenotyping for immunotherapy trials: from raw files and a sample sheet to a report."""


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the new study.")],
    data: Annotated[Path | None, typer.Option(help="Folder of FCS or 10x files to make sheet and panel from.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing, take what is proposed.")] = False,
) -> None:
    """Scaffold a study: config.yaml, samples.tsv and panel.tsv to edit. Nothing that exists is overwritten.

    In a terminal a few questions are asked, each with a proposed answer; elsewhere the proposals are taken.
    """
    from treset.cli.questions import ask
    from treset.cli.scaffold import scaffold

    asked = not yes and sys.stdin.isatty() and sys.stdout.isatty()
    for path in scaffold(folder, data, ask if asked else None):
        console.print(f"wrote {path}")
    console.print(
        f"next: treset check {folder}, then treset run {folder}; patients, visits and roles are guesses to look at"
    )


@app.command()
def check(
    config: ConfigArgument = None,
    checksums: Annotated[
        bool, typer.Option("--checksums", help="Read every analysed file whole and compare it with its checksum.")
    ] = False,
) -> None:
    """Validate config, sheet, panel, populations and every file's header; no computing."""
    from treset.study import check_files, read_study
    from treset.study.inputs import changed_inputs, dated_ahead

    study = read_study(find_config(config))
    warnings = [*study.warnings, *check_files(study), *dated_ahead(study)]
    changed = changed_inputs(study, whole=checksums)
    if checksums and changed:
        raise Faults([one.sentence() for one in changed])
    warnings += [one.sentence() for one in changed]
    for sentence in warnings:
        console.print(f"warning: {sentence}", style="yellow")
    count = len(study.included)
    patients, kind = study.included["patient"].nunique(), study.modality.replace("_", " ")
    told = f"{len(warnings)} warning{'s' if len(warnings) != 1 else ''}"
    console.print(f"{study.name}: {count} samples of {patients} patients, {kind}: no fault, {told}")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run(
    context: typer.Context,
    config: ConfigArgument = None,
    profile: Annotated[str, typer.Option(help="Workflow profile: one of workflow/profiles, or a path.")] = "default",
    provenance: Annotated[
        Path | None, typer.Option("--from", help="Run again what results/STUDY/provenance records, and compare.")
    ] = None,
    into: Annotated[Path | None, typer.Option(help="With --from: folder of the rerun [default: rerun-STUDY].")] = None,
) -> None:
    """Run the study through to its report. Any other option goes to Snakemake (--cores 4, -n, --forcerun cohort)."""
    from treset.cli.workflow import rerun, run_workflow

    extra = list(context.args)
    # `treset run -n`: an option for Snakemake is no config
    if config is not None and str(config).startswith("-"):
        extra.insert(0, str(config))
        config = None
    if provenance is not None:
        raise typer.Exit(rerun(provenance, into, profile, extra, console))
    raise typer.Exit(run_workflow(find_config(config), profile, extra, console))


@app.command()
def doctor() -> None:
    """Say what this machine has: cores, memory, GPU and why not, versions."""
    from treset.cli.doctor import findings

    for name, value in findings():
        console.print(f"{name:<12} {value}")


@app.command()
def simulate(
    design: Annotated[str, typer.Argument(help="il2_open_label, il2_placebo, cart_lupus or pstat5_dose.")],
    folder: Annotated[Path, typer.Argument(help="Folder of the new study.")],
    parameter: Annotated[list[str] | None, typer.Option("--set", help="name=value of the design; repeatable.")] = None,
) -> None:
    """Write a simulated trial with a known truth: raw files, sheet, panel, config, truth.tsv."""
    from treset.cli.scaffold import simulated_study

    for path in simulated_study(design, folder, parameter or []):
        console.print(f"wrote {path}")
    console.print(f"next: treset run {folder}")


@app.command()
def monitor(
    name: Annotated[str, typer.Argument(help="treg, bcell, signalling, clinical or discovery.")],
    profiles: Annotated[Path, typer.Option(help="Profiles table: parquet, TSV or CSV of the waist's columns.")],
    config: Annotated[Path, typer.Option(help="config.yaml with the monitor's settings.")],
    samples: Annotated[Path | None, typer.Option(help="Sample sheet, when not the config's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Results [default: monitors/NAME beside the profiles].")] = None,
) -> None:
    """Run one monitor on any profiles table, such as frequencies exported from another program."""
    from treset.jobs.monitor import monitor as run_one
    from treset.study import panel_rows, read_study, state_markers

    if not profiles.exists():
        raise TresetError(f"the profiles table {profiles} does not exist")
    values = None
    if samples is not None:
        from treset.study.document import load_yaml

        values = {**load_yaml(config), "samples": str(samples.resolve())}
    study = read_study(find_config(config), values, files=False)
    folder = out or profiles.parent / "monitors" / name
    markers: list[str] = []
    if name == "discovery" and study.panel is not None:
        # as in a run: discovery tests the state markers, not those that define the populations
        markers = state_markers(panel_rows(study))
    elif name == "discovery" and study.modality != "rna":
        console.print("the config names no panel, which tells state markers: every marker of the table is tested")
    run_one(name, profiles, study, folder, markers)
    console.print(f"wrote {folder}/effects.tsv, patients.tsv, summary.json")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def parity(
    context: typer.Context,
    config: ConfigArgument = None,
    report: Annotated[bool, typer.Option("--report", help="Put the comparison into the study's report.")] = False,
    profile: Annotated[str, typer.Option(help="Workflow profile: one of workflow/profiles, or a path.")] = "default",
) -> None:
    """Run the study on the CPU and on the GPU and compare: neighbours, clusters, populations, endpoints, verdicts."""
    from treset.cli.parity import run_parity

    extra = list(context.args)
    if config is not None and str(config).startswith("-"):
        extra.insert(0, str(config))
        config = None
    raise typer.Exit(run_parity(find_config(config), profile, report, extra, console))


@app.command()
def power(
    design: Annotated[str, typer.Argument(help="il2_open_label, il2_placebo, cart_lupus or pstat5_dose.")],
    patients: Annotated[str, typer.Option(help="Numbers of patients, with commas.")],
    cells: Annotated[str, typer.Option(help="Cells a sample, with commas.")] = "5000",
    parameter: Annotated[list[str] | None, typer.Option("--set", help="name=value of the design; repeatable.")] = None,
    repeats: Annotated[int, typer.Option(help="Simulated trials of each size.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the trials.")] = 1,
    config: Annotated[Path | None, typer.Option(help="Study whose monitors are asked [default: the design's].")] = None,
    out: Annotated[Path | None, typer.Option(help="Table to write besides.")] = None,
) -> None:
    """Say how many patients and cells an effect needs: how often a simulated trial meets its primary endpoint."""
    from treset.cli.power import power_table, sentences

    for line in sentences(power_table(design, patients, cells, parameter or [], repeats, seed, config, out)):
        console.print(line)


app.command()(clean.debarcode)
app.command()(clean.spillover)
app.add_typer(gates_app, name="gates")


def find_config(given: Path | None) -> Path:
    """The config a command means: a file, a folder that holds one, or the current folder's."""
    folder = Path() if given is None else given
    if folder.is_file():
        return folder
    for candidate in (folder / "config.yaml", folder / "config" / "config.yaml"):
        if candidate.is_file():
            return candidate
    raise TresetError(
        f"no config.yaml in {folder.resolve()} nor in its folder config: name one (treset run PATH/config.yaml) "
        "or make one (treset init DIR)"
    )
