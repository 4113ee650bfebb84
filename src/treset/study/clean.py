"""The steps before the filters, checked against the modality, the files and the sheet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from treset.errors import TresetError
from treset.study.confounding import confounded, nested
from treset.study.document import Document
from treset.study.faults import Collector, listed, shown
from treset.study.model import Config, Study
from treset.study.sheet import Sheet, absolute


def check_clean(config: Config, document: Document, root: Path, faults: Collector) -> None:
    """Check the block ``clean``.

    Parameters
    ----------
    config, document
        The settings and their places.
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


def check_batches(config: Config, document: Document, sheet: Sheet | None, faults: Collector) -> None:
    """Report what batches are confounded with, refuse corrections that would take it for an effect of the batch.

    Parameters
    ----------
    config, document
        The settings and their places.
    sheet
        The samples; None where they could not be read.
    faults
        Receives faults and warnings.
    """
    if sheet is None or not sheet.whole or document.is_broken("clean") or document.is_broken("cohort"):
        return
    rows = sheet.included
    levelled = config.clean.batch == "cytonorm"
    for found in confounded(rows):
        if found.complete and config.cohort.batch == "harmony":
            sentence = f"{found.sentence}, and cohort.batch: harmony would take both out: set cohort.batch: none"
            faults.add(document.where(("cohort", "batch")), sentence)
            continue
        if config.clean.batch == "cycombine":
            sentence = f"{found.sentence}, and clean.batch: cycombine would take both out: set clean.batch: none"
            faults.add(document.where(("clean", "batch")), sentence)
            continue
        rest = "the anchors alone tell them apart" if levelled else "read the results with that in mind"
        faults.warn(shown(sheet.file), f"{found.sentence}; {rest}")
    if config.clean.batch == "none":
        return
    where = document.where(("clean", "batch"))
    batches = list(dict.fromkeys(rows["batch"]))
    if len(batches) < 2:
        sentence = f"clean.batch is {config.clean.batch}, but the sheet has one batch only: set clean.batch: none"
        faults.add(where, sentence)
        return
    if not levelled:
        _without_anchors(config, rows, where, faults)
        return
    anchored = set(rows.loc[rows["anchor"].astype(bool), "batch"])
    if lacking := [batch for batch in batches if batch not in anchored]:
        sentence = (
            f"clean.batch is cytonorm, which needs an anchor (a shared control) in every batch, and {listed(lacking)} "
            "have none: mark the control's rows in the column anchor, or set clean.batch: none"
        )
        faults.add(where, sentence)


def _without_anchors(config: Config, rows: pd.DataFrame, where: str, faults: Collector) -> None:
    from treset.clean.cycombine import LEAST_DEALS, deals

    ways = deals(rows.drop_duplicates(["patient", "batch"])["batch"].tolist())
    if ways < LEAST_DEALS:
        sentence = (
            f"clean.batch: cycombine cannot tell a batch from its patients where there are {ways} ways to deal them "
            f"into batches of these sizes, expected at least {LEAST_DEALS} (two batches of four): set clean.batch: none"
        )
        faults.add(where, sentence)
    for column in nested(rows):
        sentence = (
            f"each batch holds one {column} only, and clean.batch: cycombine would take the difference between the "
            f"{column}s for one between batches: measure a shared control (clean.batch: cytonorm), or set "
            "clean.batch: none"
        )
        faults.add(where, sentence)
    if config.cohort.frozen is not None:
        sentence = (
            "clean.batch: cycombine learns from all samples, so that later ones would move what the frozen cohort was "
            "read from: set clean.batch: none, or take out cohort.frozen"
        )
        faults.add(where, sentence)


def check_spillover(study: Study, where: Callable[[str], str], faults: Collector) -> None:
    """Check that the spillover matrices fit the files, by their headers: found now, not hours later.

    Parameters
    ----------
    study
        A checked study.
    where
        Sample -> the place of its file in the sheet.
    faults
        Receives one sentence a sample whose matrix cannot be applied.
    """
    from treset.clean.spillover import already_compensated, columns_of, not_linear, read_spillover_csv
    from treset.io import file_format
    from treset.io.fcs import read_header
    from treset.io.spill import parse_spillover, spillover_keyword

    asked = study.clean.spillover
    if asked == "none" or study.modality == "rna" or (asked == "auto" and study.modality != "flow_cytometry"):
        return
    own = None if asked == "auto" else read_spillover_csv(absolute(asked, study.root))
    for sample, file in zip(study.included["sample"], study.included["file"], strict=True):
        if not Path(file).is_file() or file_format(file) != "fcs":
            continue
        header = read_header(file)
        keyword, text = spillover_keyword(header.text)
        if not keyword and own is None:
            continue
        try:
            spill = own or (parse_spillover(keyword, text) if keyword else None)
            if why := not_linear(header.text.get("TRANSFORMATION", "")):
                told = faults.warn if own is None else faults.add
                told(where(str(sample)), f"{why}; no spillover matrix is applied: export raw intensities")
            elif spill is not None and not spill.is_identity and not already_compensated(header.channels, spill):
                columns_of(header.channels, spill)
        except TresetError as error:
            faults.add(where(str(sample)), str(error).removesuffix("."))


def _matrix(path: Path, document: Document, faults: Collector) -> None:
    from treset.clean.spillover import read_spillover_csv

    try:
        read_spillover_csv(path)
    except TresetError as error:
        faults.add(document.where(("clean", "spillover")), str(error).removesuffix("."))
