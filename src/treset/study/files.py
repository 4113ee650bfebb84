"""The samples' files by their headers: readable, of one panel, able to answer the questions. No cell is read."""

from __future__ import annotations

import filecmp
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from treset.errors import Faults, TresetError
from treset.io import Peek, peek
from treset.io.panel import propose_panel, reconcile
from treset.study.clean import check_spillover
from treset.study.document import read_document
from treset.study.faults import Collector, listed, place, shown
from treset.study.measurable import check_measured
from treset.study.model import Study
from treset.study.panel import PHENOTYPE
from treset.study.read import panel_markers
from treset.study.table import read_table

#: Bytes in the middle of two files of one size that are compared before the files are.
_PROBE = 65_536


def check_files(study: Study) -> list[str]:
    """Check the header of every included sample's file.

    Parameters
    ----------
    study
        As :func:`treset.study.read_study` gave it. Files that ``simulate`` has yet to make are passed over.

    Returns
    -------
    Warnings, one sentence each: what was tolerated in the files, populations that cannot be measured.

    Raises
    ------
    Faults
        Files that cannot be read, are truncated, hold no cells or are of another modality; one file under two names;
        lineage and state markers of the panel that a file lacks; endpoints that the files cannot answer.
    """
    faults = Collector()
    places = _places(study)
    peeks = _peek_all(study, places, faults)
    _copies(study, peeks, places, faults)
    if study.modality == "rna":
        _check_genes(study, peeks, faults)
    else:
        _check_panel(study, peeks, places, faults)
        # files that cannot be read have their own fault already
        if len(peeks) == len(study.included):
            check_spillover(study, lambda sample: _where(places, sample), faults)
    faults.stop()
    return faults.warnings


def state_markers(panel: Sequence[Mapping[str, object]]) -> list[str]:
    """Give the markers of role state among :func:`panel_rows`: discovery tests them where its settings name none."""
    return [str(row["marker"]) for row in panel if row["role"] == "state"]


def panel_rows(study: Study) -> list[dict[str, object]]:
    """Give the panel in use as plain rows: the study's own, or the one proposed from the files' headers.

    Parameters
    ----------
    study
        A checked study.

    Returns
    -------
    One dictionary a channel: channel, marker, role (text), cofactor (float, None: the default). Empty for RNA.

    Raises
    ------
    TresetError
        The study has no panel file and a header cannot be read, the headers contradict each other, or the files are
        yet to be simulated.
    """
    if study.modality == "rna":
        return []
    panel = study.panel
    if panel is None:
        faults = Collector()
        peeks = _peek_all(study, _places(study), faults)
        if not peeks and study.simulate is not None and not len(faults):
            faults.add(
                shown(study.config_file),
                "a simulated study has no files yet to propose a panel from: give the key panel",
            )
        panel = _propose(peeks, study, faults)
        faults.stop()
        assert panel is not None
    rows = []
    for channel, marker, role, cofactor in panel[["channel", "marker", "role", "cofactor"]].itertuples(index=False):
        value = None if np.isnan(cofactor) else float(cofactor)
        rows.append({"channel": str(channel), "marker": str(marker), "role": str(role), "cofactor": value})
    return rows


def _places(study: Study) -> dict[str, str]:
    """Sample -> the place of its file in the sheet."""
    table = read_table(study.samples_file, "samples", Collector())
    if table is None:
        return {}
    return {row.cells["sample"]: f"{table.where(row, 'file')}: sample '{row.cells['sample']}'" for row in table.rows}


def _where(places: Mapping[str, str], sample: str) -> str:
    return places.get(sample, f"sample '{sample}'")


def _sentences(error: TresetError) -> list[str]:
    messages = error.messages if isinstance(error, Faults) else [str(error)]
    return [" ".join(message.split()).removesuffix(".") for message in messages]


def _peek_all(study: Study, places: Mapping[str, str], faults: Collector) -> dict[str, Peek]:
    included = study.included
    peeks: dict[str, Peek] = {}
    notes: dict[str, list[str]] = {}
    small = []
    for sample, file in zip(included["sample"], included["file"], strict=True):
        if study.simulate is not None and not Path(file).exists():
            continue
        try:
            found = peek(Path(file), study.modality)
        except TresetError as error:
            for sentence in _sentences(error):
                faults.add(_where(places, sample), sentence)
            continue
        if found.n_cells == 0:
            faults.add(_where(places, sample), f"{file} holds no cells: export it again, or exclude the sample")
            continue
        peeks[sample] = found
        for note in found.notes:
            notes.setdefault(note.removesuffix("."), []).append(sample)
        if found.n_cells < study.quality.min_cells:
            small.append(f"{sample} ({found.n_cells})")
    for note, samples in notes.items():
        faults.warn(f"{_samples(samples)}", note)
    if small:
        sentence = f"fewer cells in the file than quality.min_cells ({study.quality.min_cells}): {listed(small, 40)}"
        faults.warn(shown(study.samples_file), sentence)
    return peeks


def _samples(samples: list[str]) -> str:
    return f"sample {samples[0]}" if len(samples) == 1 else f"{len(samples)} samples ({listed(samples, 5)})"


def _copies(study: Study, peeks: Mapping[str, Peek], places: Mapping[str, str], faults: Collector) -> None:
    """Two files with the same bytes are one sample under two names."""
    files = dict(zip(study.included["sample"], study.included["file"], strict=True))
    seen: dict[tuple[int, str], str] = {}
    for sample in peeks:
        path = Path(files[sample])
        if not path.is_file():
            continue
        size = path.stat().st_size
        with path.open("rb") as stream:
            stream.seek(max(0, size // 2 - _PROBE // 2))
            probe = hashlib.sha256(stream.read(_PROBE)).hexdigest()
        other = seen.setdefault((size, probe), sample)
        if other != sample and filecmp.cmp(files[other], path, shallow=False):
            sentence = (
                f"{shown(path)} is a copy, byte for byte, of the file "
                f"of sample '{other}': give each sample its own file"
            )
            faults.add(_where(places, sample), sentence)


def _propose(peeks: Mapping[str, Peek], study: Study, faults: Collector) -> pd.DataFrame | None:
    try:
        panel = propose_panel({sample: (found.variables, found.markers) for sample, found in peeks.items()})
    except TresetError as error:
        for sentence in _sentences(error):
            faults.add(shown(study.samples_file), sentence)
        return None
    if peeks and not (panel["role"] == "lineage").any():
        sentence = "no channel of the files has a marker name from which a panel can be proposed: write a panel.tsv"
        faults.add(shown(study.samples_file), sentence)
    return panel


def _check_panel(study: Study, peeks: Mapping[str, Peek], places: Mapping[str, str], faults: Collector) -> None:
    if not peeks:
        return
    panel = study.panel
    if panel is None:
        panel = _propose(peeks, study, faults)
        if panel is None:
            return
        document = read_document(study.config_file, Collector())
        source = "the panel proposed from the files"
        check_measured(document, study.monitors, study.populations, panel_markers(panel), source, faults)
    names = {sample: (found.variables, found.markers) for sample, found in peeks.items()}
    table = reconcile(names, panel, study.aliases)
    needed = set(panel_markers(panel))
    _unmatched(study, table[table["marker"].isin(needed)], names, places, faults)
    for (marker, channel, how), rows in table[table["how"].isin(["spelling", "alias", "marker"])].groupby(
        ["marker", "channel", "how"], sort=False
    ):
        told = {"marker": "its marker name", "spelling": "another spelling of its name", "alias": "an alias"}[str(how)]
        samples = [str(sample) for sample in rows["sample"]]
        faults.warn(
            _samples(samples),
            f"the marker {marker} was found in channel {channel} by {told}, not by the panel's channel",
        )
    filters = panel.loc[~panel["role"].isin([*PHENOTYPE, "ignore"]), "marker"]
    lost = table[table["marker"].isin(filters) & (table["channel"] == "")]
    for marker, rows in lost.groupby("marker", sort=False):
        samples = [str(sample) for sample in rows["sample"]]
        faults.warn(
            _samples(samples), f"the channel of {marker} is not in the file: the filter that uses it is passed over"
        )


def _unmatched(
    study: Study, table: pd.DataFrame, names: Mapping[str, tuple], places: Mapping[str, str], faults: Collector
) -> None:
    """One sentence a sample and reason: the markers of the panel that its file lacks."""
    reasons = {
        "missing": "lacks the panel's markers",
        "contradicted": "names another marker in the channels of the panel's",
        "ambiguous": "has several channels for the panel's markers",
    }
    source = shown(study.panel_file) if study.panel_file is not None else "the panel proposed from the files"
    for (sample, how), rows in table[table["how"].isin(list(reasons))].groupby(["sample", "how"], sort=False):
        lacking = [str(marker) for marker in rows["marker"]]
        channels, markers = names[str(sample)]
        own = [marker or channel for channel, marker in zip(channels, markers, strict=True)]
        sentence = (
            f"the file {reasons[str(how)]} {listed(lacking, 40)} ({source}); "
            f"it has {listed(own, 40)}: add aliases to the config, "
            "give the channels the role ignore, or exclude the sample"
        )
        faults.add(_where(places, str(sample)), sentence)


def _check_genes(study: Study, peeks: Mapping[str, Peek], faults: Collector) -> None:
    if not peeks:
        return
    common = set.intersection(*(set(found.variables) for found in peeks.values()))
    if not common:
        faults.add(
            place(study.samples_file, None, "file"),
            "the samples have no gene in common: check that all files use the same gene names (symbols, one species)",
        )
        return
    document = read_document(study.config_file, Collector())
    check_measured(
        document, study.monitors, study.populations, common, "the genes that all samples have", faults, "rna"
    )
