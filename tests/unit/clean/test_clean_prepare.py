"""The steps inside the prepare job."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from treset.io.fcs import write_fcs
from treset.io.h5ad import read_h5ad
from treset.jobs.prepare import PrepareSettings, prepare
from treset.jobs.profiles import gather_text
from treset.study.model import Clean, CytometryQuality, Normalise, Quality

CHANNELS = ["Time", "A", "B"]
PANEL = tuple(
    {"channel": channel, "marker": marker, "role": role, "cofactor": None}
    for channel, marker, role in zip(CHANNELS, ["Time", "CD3", "CD4"], ["time", "lineage", "lineage"], strict=True)
)


def run(folder: Path, clean: Clean, events: np.ndarray, keywords=None, modality="flow_cytometry"):
    source = folder / "s.fcs"
    write_fcs(source, events, CHANNELS, ["", "CD3", "CD4"], keywords)
    settings = PrepareSettings(modality, PANEL, {}, Quality(CytometryQuality()), Normalise(), 0, clean)
    out = [folder / name for name in ("prepared.h5ad", "quality.tsv", "clean.tsv")]
    prepare("s", "b", source, settings, *out)
    return read_h5ad(out[0]), pd.read_csv(out[1], sep="\t"), pd.read_csv(out[2], sep="\t")


def events(seed=0, count=12_000):
    rng = np.random.default_rng(seed)
    bright = np.where(rng.random((count, 2)) < 0.4, rng.lognormal(8, 0.4, (count, 2)), rng.normal(0, 100, (count, 2)))
    return np.column_stack([np.sort(rng.uniform(0, 300, count)), bright]).astype(np.float32)


def test_the_arcsinh_is_of_compensated_values(tmp_path: Path):
    values = events()
    matrix = np.array([[1, 0.2], [0.05, 1]])
    mixed = values.copy()
    mixed[:, 1:] = values[:, 1:] @ matrix
    cells, quality, clean = run(tmp_path, Clean(), mixed, {"$SPILLOVER": "2,A,B,1,0.2,0.05,1"})
    assert cells.layers["raw"] == pytest.approx(values[:, 1:], rel=1e-3, abs=0.01)
    assert pytest.approx(np.arcsinh(values[:, 1:] / 150), rel=1e-3, abs=1e-3) == cells.X
    assert "non-negative" not in clean["note"].iloc[0]
    assert list(clean["step"].unique()) == ["spillover"]
    assert quality["filter"].iloc[0] == "beads"


def test_without_a_matrix_nothing_changes_and_it_is_told(tmp_path: Path):
    values = events()
    cells, _, clean = run(tmp_path, Clean(), values)
    np.testing.assert_array_equal(cells.layers["raw"], values[:, 1:])
    assert clean["note"].tolist() == ["the file carries no spillover matrix: values are as they were recorded"]


def test_faults_in_time_are_flagged_not_deleted(tmp_path: Path):
    values = events()
    off = (values[:, 0] > 100) & (values[:, 0] < 130)
    values[off, 1] *= 4
    values = values[~((values[:, 0] > 200) & (values[:, 0] < 206))]
    off = (values[:, 0] > 100) & (values[:, 0] < 130)
    cells, quality, _ = run(tmp_path, Clean(time=True), values)
    assert cells.n_obs == len(values)
    assert quality["filter"].tolist()[:2] == ["flow_rate", "signal_over_time"]
    assert quality["cells_in"].iloc[0] == len(values)
    assert (quality["cells_in"] - quality["dropped"] == quality["kept"]).all()
    flagged = cells.obs["qc_signal_over_time"].to_numpy()
    assert flagged[off].mean() > 0.9
    assert flagged[~off].mean() < 0.05
    assert not cells.obs["keep"][flagged].any()
    assert "clogged" in quality["note"].iloc[0]
    assert "CD3" in quality["note"].iloc[1]


def test_two_runs_write_the_same_bytes(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    clean = Clean(time=True)
    for name in "ab":
        run(tmp_path / name, clean, events(), {"$SPILLOVER": "2,A,B,1,0.2,0.05,1"})
    for file in ("prepared.h5ad", "quality.tsv", "clean.tsv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_samples_are_gathered_as_they_are(tmp_path: Path):
    _, _, clean = run(tmp_path, Clean(), events())
    gather_text([tmp_path / "clean.tsv", tmp_path / "clean.tsv"], tmp_path / "all.tsv")
    both = (tmp_path / "all.tsv").read_text().splitlines()
    assert len(both) == 1 + 2 * len(clean)
    assert both[0] == "sample\tstep\tmeasure\tchannel\tbefore\tafter\tnote"
