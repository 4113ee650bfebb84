"""The panel in use: the study's own, or one proposed from its files."""

from __future__ import annotations

import math

import pandas as pd

from treset.errors import TresetError
from treset.io import peek
from treset.io.panel import propose_panel
from treset.io.table import write_tsv
from treset.study.model import Study

COLUMNS = ["channel", "marker", "role", "cofactor"]


def panel_rows(study: Study) -> list[dict]:
    """The panel as plain rows (channel, marker, role, cofactor); empty for RNA.

    Without a panel file one is proposed from the headers of all included samples and written to
    ``results/<study>/panel.proposed.tsv`` for the user to edit.

    Raises
    ------
    TresetError
        There is no panel and the files that it would be proposed from are still to be simulated.
    """
    if study.modality == "rna":
        return []
    panel = study.panel
    if panel is None:
        if study.simulate is not None:
            raise TresetError(
                f"{study.config_file}: a simulated study needs its panel.tsv ('treset simulate' writes one)"
            )
        files = zip(study.included["sample"], study.included["file"], strict=True)
        seen = {sample: peek(file, study.modality) for sample, file in files}
        panel = propose_panel({sample: (found.variables, found.markers) for sample, found in seen.items()})
        out = study.results / "panel.proposed.tsv"
        if not out.exists():
            write_tsv(panel, out)
    records = pd.DataFrame(panel, columns=COLUMNS).to_dict("records")
    return [{**row, "cofactor": _number(row["cofactor"])} for row in records]


def _number(value: object) -> float | None:
    """A cofactor, None for the default (NaN compares unequal to itself, which would look like a change)."""
    number = float("nan") if value in (None, "") else float(value)
    return None if math.isnan(number) else number
