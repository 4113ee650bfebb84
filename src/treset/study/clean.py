"""The steps before the filters, checked against the modality, the files and the sheet."""

from __future__ import annotations

from pathlib import Path

from treset.errors import TresetError
from treset.study.document import Document
from treset.study.faults import Collector
from treset.study.model import Config
from treset.study.sheet import Sheet, absolute


def check_clean(config: Config, document: Document, sheet: Sheet | None, root: Path, faults: Collector) -> None:
    """Check the block ``clean``.

    Parameters
    ----------
    config, document
        The settings and their places.
    sheet
        The samples; None where they could not be read.
    root
        The study's folder.
    faults
        Receives what is wrong.
    """
    if document.is_broken("clean") or document.is_broken("modality"):
        return
    asked = config.clean
    mass_only = {"beads": asked.beads != "none"}
    cytometry_only = {
        "spillover": asked.spillover not in ("auto", "none"),
        "time": asked.time,
        "batch": asked.batch != "none",
    }
    wanted = {**mass_only, **cytometry_only}
    for key, on in wanted.items():
        wrong = config.modality == "rna" or (key in mass_only and config.modality != "mass_cytometry")
        if on and wrong:
            kind = "mass cytometry" if key in mass_only else "cytometry"
            sentence = f"clean.{key} is for {kind}, and the modality is {config.modality}: remove the key"
            faults.add(document.where(("clean", key)), sentence)
    if asked.bead_baseline and len(asked.bead_baseline) != 5:
        sentence = (
            f"clean.bead_baseline has {len(asked.bead_baseline)} numbers, expected one for each of the 5 isotopes"
        )
        faults.add(document.where(("clean", "bead_baseline")), sentence)
    if cytometry_only["spillover"] and config.modality != "rna":
        _matrix(absolute(asked.spillover, root), document, faults)


def _matrix(path: Path, document: Document, faults: Collector) -> None:
    from treset.clean.spillover import read_spillover_csv

    try:
        read_spillover_csv(path)
    except TresetError as error:
        faults.add(document.where(("clean", "spillover")), str(error).removesuffix("."))
