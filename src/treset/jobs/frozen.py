"""A finished cohort taken as it is, so that samples of later visits are mapped onto it without clustering again.

As a running trial needs: clusters, names and thresholds were fixed before the later samples were seen, and those of the
earlier samples do not move.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from treset.errors import TresetError
from treset.io.files import atomic
from treset.io.h5ad import read_parts
from treset.io.table import write_tsv
from treset.jobs.cohort import PANEL_COLUMNS, CohortSettings
from treset.plain import to_plain
from treset.study.model import FROZEN_FILES


def take(samples: Mapping[str, Path], frozen: Path, settings: CohortSettings, folder: Path) -> None:
    """Copy a frozen cohort, after checking that it and the samples speak of the same things.

    Parameters
    ----------
    samples
        Sample id -> its prepared cells.
    frozen
        ``cohort/`` of a finished study.
    settings
        The study's.
    folder
        The files of ``frozen`` are copied there; ``panel.tsv`` is of these samples.

    Raises
    ------
    TresetError
        All that does not fit, listed: another modality or tree, a variable that a sample lacks or that was transformed
        with another cofactor.
    """
    variables, about = _read(frozen / "sketch.h5ad")
    faults = _unlike(about, settings)
    panels = []
    for sample, path in samples.items():
        own, uns = _read(path, "treset_panel")
        faults += _differences(sample, variables, own)
        found = dict(uns) or {
            "sample": [sample], "marker": ["(genes)"], "channel": [str(len(own))], "how": ["genes in the file"]
        }  # fmt: skip
        panels.append(pd.DataFrame({name: list(values) for name, values in found.items()}, columns=PANEL_COLUMNS))
    if faults:
        raise TresetError(f"the frozen cohort {frozen} does not fit this study:\n" + "\n".join(faults))
    for name in FROZEN_FILES:
        with atomic(folder / name) as target:
            shutil.copyfile(frozen / name, target)
    write_tsv(pd.concat(panels, ignore_index=True), folder / "panel.tsv")
    print(f"{len(samples)} samples are mapped onto the frozen cohort {frozen} ({len(variables)} variables)")


def _read(path: Path, uns: str = "treset") -> tuple[pd.DataFrame, dict]:
    """The variables and one entry of ``uns``, without reading the cells."""
    parts = read_parts(path, "var", f"uns/{uns}")
    return parts["var"], parts.get(f"uns/{uns}", {})


def _unlike(about: Mapping[str, str], settings: CohortSettings) -> list[str]:
    known = {"modality": settings.modality, "populations": json.dumps(to_plain(settings.populations))}
    what = {"modality": "it is of another modality", "populations": "its tree of populations is another"}
    advice = "use the populations.yaml and modality with which it was made, or run without cohort.frozen"
    return [f"{what[key]}: {advice}" for key, value in known.items() if str(about.get(key, "")) != value]


def _differences(sample: str, variables: pd.DataFrame, own: pd.DataFrame) -> list[str]:
    lacking = [name for name in variables.index if name not in own.index]
    if lacking:
        more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        return [f"sample {sample} lacks {', '.join(lacking[:5])}{more}: each of the cohort's variables is needed"]
    if "cofactor" not in variables:
        return []
    theirs = variables["cofactor"].astype(float).to_numpy()
    mine = own.loc[variables.index, "cofactor"].astype(float).to_numpy()
    other = [str(name) for name in variables.index[~np.isclose(mine, theirs, equal_nan=True)]]
    if not other:
        return []
    return [f"sample {sample}: the cofactor of {', '.join(other[:5])} is not the cohort's: set the same in panel.tsv"]
