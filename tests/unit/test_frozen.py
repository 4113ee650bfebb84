"""What does not fit a frozen cohort is named before anything is copied."""

from __future__ import annotations

import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from treset.errors import TresetError
from treset.io.h5ad import write_h5ad
from treset.jobs.cohort import CohortSettings
from treset.jobs.frozen import take
from treset.plain import to_plain
from treset.study.model import FROZEN_FILES, Cohort, Population


def cells(path: Path, markers: list[str], cofactor: float = 5.0, about: dict | None = None) -> Path:
    var = pd.DataFrame({"cofactor": cofactor}, index=markers)
    data = anndata.AnnData(np.zeros((3, len(markers)), dtype=np.float32), var=var)
    data.obs_names = [f"c{i}" for i in range(3)]
    data.uns["treset"] = about or {}
    data.uns["treset_panel"] = {"sample": ["s"], "marker": [markers[0]], "channel": ["X"], "how": ["name"]}
    write_h5ad(data, path)
    return path


@pytest.fixture
def frozen(tmp_path: Path) -> tuple[Path, CohortSettings]:
    settings = CohortSettings("mass_cytometry", Cohort(), (Population("T", "cells", ()),), 2000, "cpu", 1)
    folder = tmp_path / "frozen"
    folder.mkdir()
    about = {"modality": settings.modality, "populations": json.dumps(to_plain(settings.populations))}
    cells(folder / "sketch.h5ad", ["CD3", "CD4"], about=about)
    for name in FROZEN_FILES[1:]:
        (folder / name).write_text(f"{name}\n", encoding="utf-8")
    return folder, settings


def test_what_fits_is_copied_to_the_byte(frozen: tuple[Path, CohortSettings], tmp_path: Path) -> None:
    folder, settings = frozen
    out = tmp_path / "out"
    out.mkdir()
    take({"s": cells(tmp_path / "s.h5ad", ["CD4", "CD3", "CD8"])}, folder, settings, out)
    assert all((out / name).read_bytes() == (folder / name).read_bytes() for name in FROZEN_FILES)
    assert (out / "panel.tsv").read_text(encoding="utf-8").splitlines()[1] == "s\tCD4\tX\tname"


def test_all_that_does_not_fit_is_listed_and_nothing_is_copied(
    frozen: tuple[Path, CohortSettings], tmp_path: Path
) -> None:
    folder, _ = frozen
    other = CohortSettings("mass_cytometry", Cohort(), (Population("B", "cells", ()),), 2000, "cpu", 1)
    out = tmp_path / "out"
    out.mkdir()
    samples = {
        "less": cells(tmp_path / "less.h5ad", ["CD4"]),
        "scaled": cells(tmp_path / "scaled.h5ad", ["CD3", "CD4"], cofactor=150.0),
    }
    with pytest.raises(TresetError) as caught:
        take(samples, folder, other, out)
    said = str(caught.value)
    assert "its tree of populations is another" in said
    assert "sample less lacks CD3" in said
    assert "sample scaled: the cofactor of CD3, CD4 is not the cohort's" in said
    assert not list(out.iterdir())
