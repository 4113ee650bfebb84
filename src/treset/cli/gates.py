"""``treset gates``: take a study's gates to another program, or bring gates from one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from treset.errors import TresetError

if TYPE_CHECKING:
    import pandas as pd

    from treset.phenotype.gate_export import Axis
    from treset.study.model import Study

app = typer.Typer(help="GatingML 2.0: export the gates of a study, import gates.", no_args_is_help=True)
ConfigArgument = Annotated[Path, typer.Argument(help="config.yaml of the study, or its folder.")]


@app.command("export")
def export(
    config: ConfigArgument,
    out: Annotated[Path, typer.Option(help="GatingML 2.0 file to write.")],
    sample: Annotated[str | None, typer.Option(help="Thresholds of this sample [default: the pooled ones].")] = None,
    batch: Annotated[str | None, typer.Option(help="Thresholds of this batch.")] = None,
) -> None:
    """Write the populations of a finished run with their thresholds as GatingML 2.0, on the channels of the files."""
    from treset.cli.commands import console, find_config
    from treset.io.gatingml import write_gatingml
    from treset.phenotype.gate_export import export_gates
    from treset.phenotype.tree import resolve, spelling
    from treset.study import read_study

    if sample is not None and batch is not None:
        raise TresetError("gates export takes a sample or a batch, not both: a sample's thresholds are its own")
    study = read_study(find_config(config), files=False)
    if study.modality == "rna":
        raise TresetError(f"{study.name} is an RNA study, whose gates are on genes: GatingML is for cytometry")
    folder = study.results
    axes = _axes(study, _table(folder / "cohort" / "panel.tsv"), sample)
    nodes = resolve(study.populations, list(axes), spelling(study.modality))
    found = export_gates(nodes, _thresholds(study, folder, sample, batch), axes)
    of = f"sample {sample}" if sample else f"batch {batch}" if batch else "all batches"
    note = (
        f"treset: study {study.name}, thresholds of {of}, found among the cells that pass its quality filters, "
        "which are no gates of this file"
    )
    write_gatingml(found.gates, out, note)
    for sentence in found.left_out:
        console.print(f"warning: {sentence}", style="yellow")
    console.print(f"wrote {out}: {len(nodes) - len(found.left_out)} of {len(nodes)} populations")


@app.command("import")
def bring(
    file: Annotated[Path, typer.Argument(help="GatingML 2.0 file.")],
    config: ConfigArgument,
    out: Annotated[Path, typer.Option(help="Folder for populations.yaml and overrides.yaml.")],
) -> None:
    """Turn ranges, rectangles and treset's own diagonals into a tree and its thresholds, for the study's panel."""
    from treset.cli.commands import console, find_config
    from treset.io.gatingml import read_gatingml
    from treset.phenotype.gate_import import import_gates
    from treset.study import read_study

    if not file.is_file():
        raise TresetError(f"the gates {file} do not exist: name a GatingML 2.0 file")
    targets = [out / "populations.yaml", out / "overrides.yaml"]
    if there := [str(target) for target in targets if target.exists()]:
        raise TresetError(f"{' and '.join(there)} exists: nothing is overwritten, name another folder")
    study = read_study(find_config(config), files=False)
    markers = {a.channel: (marker, a.cofactor) for marker, a in _axes(study, None, None).items()}
    found = import_gates(read_gatingml(file), markers)
    if not found.populations:
        raise TresetError(f"no gate of {file} can be imported: {'; '.join(found.refused) or 'it holds none'}")
    _write_yaml(targets[0], {"populations": found.populations}, found.refused)
    _write_yaml(targets[1], {"gates": {"overrides": found.overrides}}, ["paste this into config.yaml"])
    for sentence in found.refused:
        console.print(f"warning: {sentence}", style="yellow")
    if found.compensated:
        names = ", ".join(found.compensated)
        console.print(f"warning: on intensities compensated by the FCS file's own matrix: {names}", style="yellow")
    console.print(f"wrote {targets[0]} and {targets[1]}: {len(found.populations)} populations")


def _axes(study: Study, panel: pd.DataFrame | None, sample: str | None) -> dict[str, Axis]:
    """Lineage and state markers with their channel and cofactor.

    Parameters
    ----------
    study
        A checked study.
    panel
        ``cohort/panel.tsv``, which says each file's own channels; None: the channels of the study's panel.
    sample
        The sample whose channels are wanted; None: those on which all samples agree.
    """
    from treset.normalise.cytometry import default_cofactor
    from treset.phenotype.gate_export import Axis
    from treset.study import panel_rows
    from treset.study.panel import PHENOTYPE

    usual = study.normalise.cofactor or default_cofactor(study.modality)
    rows = [row for row in panel_rows(study) if row["role"] in PHENOTYPE]
    cofactors = {str(row["marker"]): float(row["cofactor"] or usual) for row in rows}  # type: ignore[arg-type]
    channels: Mapping[str, set[str]] = {str(row["marker"]): {str(row["channel"])} for row in rows}
    if panel is not None:
        # what not every sample measures the tree was not resolved against
        shared = panel.groupby("marker")["sample"].nunique() == panel["sample"].nunique()
        panel = panel[panel["marker"].isin(shared.index[shared])]
        if sample is not None:
            panel = panel[panel["sample"] == sample]
        channels = {marker: set(part["channel"]) for marker, part in panel.groupby("marker")}
        for marker in cofactors:
            if len(channels.get(marker, ())) > 1:
                several = ", ".join(sorted(channels[marker]))
                raise TresetError(
                    f"{marker} lies on different channels in the samples ({several}): export the gates of one sample "
                    "(--sample)"
                )
    return {m: Axis(next(iter(channels[m])), cofactor) for m, cofactor in cofactors.items() if channels.get(m)}


def _thresholds(study: Study, folder: Path, sample: str | None, batch: str | None) -> pd.DataFrame:
    if sample is not None:
        if sample not in set(study.included["sample"]):
            raise TresetError(f"{sample} is no included sample of {study.name}")
        return _table(folder / "samples" / sample / "thresholds.tsv")
    table = _table(folder / "cohort" / "thresholds.tsv")
    table = table[table["sample"] == ""]
    if batch is not None and batch not in set(study.included["batch"]):
        raise TresetError(f"{batch} is no batch of an included sample of {study.name}")
    # a batch without a threshold of its own takes the pooled one
    chosen = table[table["batch"].isin(["", batch or ""])].sort_values("batch", ascending=False, kind="stable")
    return chosen.drop_duplicates(["population_parent", "marker"])


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise TresetError(f"{path} does not exist: run the study first (treset run)")
    missing = {"threshold": [""], "spread": [""]}
    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=missing, dtype={"batch": str, "sample": str})


def _write_yaml(path: Path, content: dict[str, Any], comments: list[str]) -> None:
    import yaml

    from treset.io.files import atomic

    text = "".join(f"# {' '.join(line.split())}\n" for line in comments)
    with atomic(path) as target:
        target.write_text(text + yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
