"""A study read from its files: everything that needs no cell data, all faults at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from treset.study.blind import blind_study, check_blind
from treset.study.clean import check_batches, check_clean
from treset.study.config import read_config, study_root
from treset.study.document import Document
from treset.study.faults import Collector, folded, hint, shown
from treset.study.measurable import check_measured
from treset.study.model import FROZEN_FILES, Config, Population, Signature, Study
from treset.study.panel import PHENOTYPE, read_panel
from treset.study.populations import packaged, read_populations, read_signatures
from treset.study.questions import Asked, check_questions
from treset.study.sheet import Sheet, absolute, read_sheet


def read_study(config_file: Path | str, values: Mapping[str, Any] | None = None, files: bool = True) -> Study:
    """Read and check a study: config, sample sheet, panel, populations, signatures, and each against the others.

    Parameters
    ----------
    config_file
        ``config.yaml``. Relative paths in it and in the sheet start at the study's folder: the config's own, or the one
        above when that is named ``config``.
    values
        Config values as Snakemake merged them (``--config a=b``); those that differ from the file are located at the
        command line. Default: the file's alone.
    files
        Whether the samples' files must be there (not asked of files that ``simulate`` will make). Default True.

    Returns
    -------
    The study, with warnings that do not stop a run.

    Raises
    ------
    Faults
        All faults found, one sentence each, with file, line and column.
    """
    faults = Collector()
    config_file = Path(config_file).absolute()
    config, document = read_config(config_file, values, faults)
    if config is None or document is None:
        faults.stop()
        raise AssertionError("a config that cannot be read has a fault")
    root = study_root(config_file)
    parts = _Parts(config, document, root, faults, files)
    _cross_checks(config, document, parts, faults)
    _frozen(config, document, root, faults)
    if config.blinded and parts.sheet is not None:
        check_blind(config.study, parts.sheet.samples, parts.samples_file, config_file, faults)
    faults.stop()
    assert parts.sheet is not None and parts.populations is not None and parts.signatures is not None
    study = Study(
        name=config.study,
        title=config.title or config.study,
        modality=config.modality,
        root=root,
        config_file=config_file,
        samples_file=parts.samples_file,
        panel_file=parts.panel_file,
        populations_file=parts.populations_file,
        signatures_file=parts.signatures_file,
        results=absolute(config.results, root) / config.study,
        samples=parts.sheet.samples,
        panel=parts.panel,
        populations=parts.populations,
        signatures=parts.signatures,
        baseline=config.baseline,
        seed=config.seed,
        backend=config.backend,
        blinded=config.blinded,
        aliases=config.aliases,
        quality=config.quality,
        clean=config.clean,
        normalise=config.normalise,
        cohort=config.cohort,
        gates=config.gates,
        monitors=config.monitors,
        parity=config.parity,
        simulate=config.simulate,
        warnings=tuple(faults.warnings),
        dosing=config.dosing,
    )
    return blind_study(study)


class _Parts:
    """The files that the config names, read as far as they can be; None where they cannot, or have faults."""

    def __init__(self, config: Config, document: Document, root: Path, faults: Collector, files: bool) -> None:
        modality = None if document.is_broken("modality") else config.modality
        self.samples_file = absolute(config.samples, root)
        self.sheet: Sheet | None = None
        if not document.is_broken("samples"):
            exist = files and config.simulate is None and not document.is_broken("simulate")
            where = document.where(("samples",))
            self.sheet = read_sheet(self.samples_file, faults, root=root, modality=modality, files=exist, where=where)
        self.panel_file = None if config.panel is None else absolute(config.panel, root)
        self.panel: pd.DataFrame | None = None
        if self.panel_file is not None and modality == "rna":
            faults.add(
                document.where(("panel",)), "a panel is for cytometry, and the modality is rna: remove the key panel"
            )
        elif self.panel_file is not None:
            before = len(faults)
            panel = read_panel(self.panel_file, faults, config.aliases, document.where(("panel",)))
            self.panel = panel if len(faults) == before else None
        self.populations_file = self._file(config.populations, packaged("populations", config.modality), root)
        self.signatures_file = self._file(config.signatures, packaged("signatures", config.modality), root)
        self.populations: tuple[Population, ...] | None = None
        if not document.is_broken("populations") and (modality is not None or config.populations != "default"):
            before = len(faults)
            populations = read_populations(self.populations_file, faults, document.where(("populations",)))
            self.populations = populations if len(faults) == before else None
        self.signatures: tuple[Signature, ...] | None = None
        if not document.is_broken("signatures"):
            before = len(faults)
            signatures = read_signatures(self.signatures_file, faults, document.where(("signatures",)))
            self.signatures = signatures if len(faults) == before else None

    @staticmethod
    def _file(name: str, default: Path, root: Path) -> Path:
        return default if name == "default" else absolute(name, root)


def _cross_checks(config: Config, document: Document, parts: _Parts, faults: Collector) -> None:
    check_clean(config, document, study_root(document.file), faults)
    check_batches(config, document, parts.sheet, faults)
    _overrides(config, document, parts, faults)
    check_questions(Asked(config, document, parts.sheet, parts.populations, parts.signatures, faults))
    measured = None if parts.panel is None else panel_markers(parts.panel)
    _aliases(config, document, measured, faults)
    if measured is not None and parts.populations is not None and parts.panel_file is not None:
        check_measured(document, config.monitors, parts.populations, measured, shown(parts.panel_file), faults)


def _overrides(config: Config, document: Document, parts: _Parts, faults: Collector) -> None:
    """Thresholds set by hand must name batches and samples of the sheet; markers are checked against the tree later."""
    if parts.sheet is None or not parts.sheet.whole:
        return
    rows = parts.sheet.included
    for position, override in enumerate(config.gates.overrides):
        for key, known in (("batch", set(rows["batch"])), ("sample", set(rows["sample"]))):
            named = getattr(override, key)
            if named is not None and named not in known:
                sentence = f"the override of {override.marker} is for {key} '{named}', which no included sample has"
                faults.add(document.where(("gates", "overrides", position, key)), sentence + hint(named, known))


def _frozen(config: Config, document: Document, root: Path, faults: Collector) -> None:
    """A frozen cohort must be whole, of another run, and leaves no threshold to be set by hand."""
    if config.cohort.frozen is None:
        return
    where, folder = document.where(("cohort", "frozen")), absolute(config.cohort.frozen, root)
    if folder == absolute(config.results, root) / config.study / "cohort":
        faults.add(where, "the frozen cohort is this study's own: name the cohort/ folder of another study's results")
    elif lacking := [name for name in FROZEN_FILES if not (folder / name).is_file()]:
        sentence = (
            f"the frozen cohort {folder} has no {', '.join(lacking)}: name the cohort/ folder of finished results"
        )
        faults.add(where, sentence)
    if config.clean.batch != "none":
        sentence = "batches would be levelled anew, not as the frozen cohort's were: set clean.batch: none"
        faults.add(document.where(("clean", "batch")), sentence)
    if config.gates.overrides:
        sentence = "thresholds set by hand have no effect on a frozen cohort: set them in the study that made it"
        faults.add(document.where(("gates", "overrides")), sentence)


def panel_markers(panel: pd.DataFrame) -> list[str]:
    """Give the markers of role lineage and state, in the panel's order."""
    return list(panel.loc[panel["role"].isin(PHENOTYPE), "marker"])


def _aliases(config: Config, document: Document, measured: Collection[str] | None, faults: Collector) -> None:
    owner: dict[str, str] = {}
    for marker, others in config.aliases.items():
        route = ("aliases", marker)
        if measured is not None and marker not in measured:
            sentence = (
                f"the alias is of the marker '{marker}', which is not "
                f"in the panel{hint(marker, measured)}: it has no effect"
            )
            faults.warn(document.where(route), sentence)
        for other in others:
            before = owner.setdefault(folded(other), marker)
            if before != marker:
                faults.add(
                    document.where(route), f"the alias '{other}' is given to both '{before}' and '{marker}': keep one"
                )
