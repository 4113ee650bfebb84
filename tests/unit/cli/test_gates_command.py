"""``treset gates``: a study's thresholds out to GatingML and back into a study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from treset import simulate
from treset.cli.commands import app
from treset.errors import TresetError
from treset.io.table import write_tsv
from treset.phenotype.gates import apply_gates, fit_thresholds
from treset.phenotype.tree import resolve
from treset.simulate.cytometry import simulate_events
from treset.simulate.panel import CHANNELS
from treset.study import panel_rows, read_study
from treset.study.panel import PHENOTYPE

RUNNER = CliRunner()


def run(*arguments: object) -> str:
    done = RUNNER.invoke(app, [str(a) for a in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """A simulated study with the tables of a run that the gates need, and its cells."""
    folder = tmp_path_factory.mktemp("study") / "trial"
    run("simulate", "il2_open_label", folder, "--set", "patients=2", "--set", "events=2500", "--set", "seed=3")
    read = read_study(folder / "config.yaml", files=False)
    plan = simulate.plan("il2_open_label", patients=2, events=2500, seed=3)
    raw = np.vstack([simulate_events(plan, s).values for s in plan.sheet["sample"]])
    rows = [row for row in panel_rows(read) if row["role"] in PHENOTYPE]
    columns = {str(r["marker"]): np.arcsinh(raw[:, CHANNELS.index(str(r["channel"]))] / 5.0) for r in rows}
    nodes = resolve(read.populations, columns)
    thresholds = fit_thresholds(columns, np.full(len(raw), "plate1"), nodes).assign(spread=0.0)
    panel = pd.DataFrame(
        [(s, r["marker"], r["channel"], "channel") for s in read.included["sample"] for r in rows],
        columns=["sample", "marker", "channel", "how"],
    )
    write_tsv(thresholds, read.results / "cohort" / "thresholds.tsv")
    write_tsv(panel, read.results / "cohort" / "panel.tsv")
    return folder, columns


def test_gates_of_a_study_come_back_as_the_same_populations(
    study: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    folder, columns = study
    told = run("gates", "export", folder, "--out", tmp_path / "gates.xml")
    assert "warning" not in told
    told = run("gates", "import", tmp_path / "gates.xml", folder, "--out", tmp_path / "new")
    assert "warning" not in told
    # the study with the imported tree and thresholds is a valid one, and gates the same cells
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    config |= yaml.safe_load((tmp_path / "new" / "overrides.yaml").read_text(encoding="utf-8"))
    config["populations"] = str(tmp_path / "new" / "populations.yaml")
    (folder / "again.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    again, first = (read_study(folder / name, files=False) for name in ("again.yaml", "config.yaml"))
    batch = np.full(len(columns["CD3"]), "plate1")
    masks = []
    for read in (first, again):
        nodes = resolve(read.populations, columns)
        table = fit_thresholds(columns, batch, nodes, overrides=read.gates.overrides)
        masks.append(apply_gates(columns, batch, nodes, table))
    assert set(masks[0]) == set(masks[1])
    for name, cells in masks[0].items():
        np.testing.assert_array_equal(cells, masks[1][name], err_msg=name)


def test_faults_of_gates_are_sentences(study: tuple[Path, dict[str, np.ndarray]], tmp_path: Path) -> None:
    folder, _ = study
    with pytest.raises(TresetError, match="run the study first"):
        run("gates", "export", folder, "--out", tmp_path / "g.xml", "--sample", "P01_D0")
    with pytest.raises(TresetError, match="no included sample"):
        run("gates", "export", folder, "--out", tmp_path / "g.xml", "--sample", "nobody")
    with pytest.raises(TresetError, match="not both"):
        run("gates", "export", folder, "--out", tmp_path / "g.xml", "--sample", "P01_D0", "--batch", "plate1")
    with pytest.raises(TresetError, match="do not exist"):
        run("gates", "import", tmp_path / "none.xml", folder, "--out", tmp_path)
    (tmp_path / "populations.yaml").write_text("mine", encoding="utf-8")
    run("gates", "export", folder, "--out", tmp_path / "g.xml", "--batch", "plate1")
    with pytest.raises(TresetError, match="nothing is overwritten"):
        run("gates", "import", tmp_path / "g.xml", folder, "--out", tmp_path)
