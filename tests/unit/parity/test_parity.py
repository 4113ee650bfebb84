"""The comparison of the backends: figures by hand, and what is not within its tolerance is said to be so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from treset.cli.parity import sentences
from treset.errors import TresetError
from treset.parity import judge as comparison
from treset.parity.cells import cluster_ari, paired, population_f1
from treset.parity.endpoints import KEYS, effects, shares
from treset.parity.steps import apart, compare_steps, recall
from treset.study.model import Parity

PARENTS = {"T": "cells", "CD4 T": "T", "Treg": "CD4 T", "B": "cells"}


def cells(population: list[str], cluster: list[str] | None = None) -> pd.DataFrame:
    index = [f"s:{i}" for i in range(len(population))]
    own = {"population": population, "cluster_population": population, "cluster": cluster or population}
    return pd.DataFrame(own, index=index)


def test_f1_counts_a_cell_in_every_population_above_its_own() -> None:
    cpu = cells(["Treg", "Treg", "CD4 T", "B", "unassigned"])
    gpu = cells(["Treg", "CD4 T", "CD4 T", "B", "B"])
    rows = {(r["reading"], r["population"]): r for r in population_f1(cpu, gpu, PARENTS, 2)}
    treg = rows["gate", "Treg"]
    assert (treg["cells_cpu"], treg["cells_gpu"], treg["both"]) == (2, 1, 1)
    assert treg["f1"] == pytest.approx(2 / 3) and treg["judged"]
    assert rows["gate", "CD4 T"]["f1"] == 1.0 and rows["gate", "T"]["cells_cpu"] == 3
    assert rows["cluster", "B"]["f1"] == pytest.approx(2 / 3)
    none = population_f1(cells(["B"]), cells(["B"]), PARENTS, 2)
    assert next(r for r in none if r["population"] == "Treg")["f1"] is None and not none[0]["judged"]


def test_clusters_are_compared_whatever_their_numbers() -> None:
    assert cluster_ari(cells(["B"] * 4, list("aabb")), cells(["B"] * 4, list("xxyy"))) == 1.0
    assert cluster_ari(cells(["B"] * 4, list("aabb")), cells(["B"] * 4, list("xyxy"))) < 0.1


def test_runs_of_different_cells_are_not_compared() -> None:
    with pytest.raises(TresetError, match="kept 2 cells and the GPU run 1"):
        paired(cells(["B", "B"]), cells(["B"]))


def profiles(rows: list[tuple]) -> pd.DataFrame:
    columns = ["origin", "population", "parent", "sample", "measure", "value", "n_cells"]
    return pd.DataFrame(rows, columns=columns)


def test_the_largest_change_of_a_share_is_found_among_the_samples_that_are_judged() -> None:
    of = ("gate", "Treg", "CD4 T")
    cpu = profiles([(*of, "a", "percent_of_parent", 5.0, 900), (*of, "b", "percent_of_parent", 5.0, 300),
                    (*of, "c", "percent_of_parent", 5.0, 10), (*of, "a", "count", 45.0, 900)])  # fmt: skip
    gpu = profiles([(*of, "a", "percent_of_parent", 5.1, 900), (*of, "b", "percent_of_parent", 4.8, 300),
                    (*of, "c", "percent_of_parent", 50.0, 10), (*of, "a", "count", 46.0, 900)])  # fmt: skip
    (row,) = shares(cpu, gpu, ["gate"], 200)
    assert (row["sample"], row["judged"]) == ("b", True) and row["change"] == pytest.approx(-0.2)
    (only,) = shares(cpu.iloc[2:3], gpu.iloc[2:3], ["gate"], 200)
    assert only["change"] == 45.0 and not only["judged"]


def test_a_share_that_one_backend_lacks_is_no_agreement() -> None:
    of = ("gate", "Treg", "CD4 T", "a", "percent_of_parent")
    (row,) = shares(profiles([(*of, 5.0, 900)]), profiles([(*of, np.nan, 900)]), ["gate"], 200)
    assert row["missing"] and row["change"] is None
    assert comparison._share_check([row], Parity())["within"] is False
    both = shares(profiles([(*of, np.nan, 900)]), profiles([(*of, np.nan, 900)]), ["gate"], 200)
    assert not both[0]["missing"]
    ids = profiles([("cluster", "C07", "B", "a", "percent_of_parent", 5.0, 900)])
    assert shares(ids, ids, ["gate", "cluster"], 200) == []


def write_effects(folder: Path, estimate: float, verdict: str, role: str = "primary", lower: float = 0.4) -> Path:
    target = folder / "monitors" / "treg"
    target.mkdir(parents=True)
    row = dict.fromkeys(KEYS, "") | {"endpoint": "e", "population": "Treg", "role": role, "origin": "gate"}
    row |= {"estimate": estimate, "lower": lower, "upper": 0.8, "verdict": verdict}
    pd.DataFrame([row, row | {"role": "supporting", "estimate": 9.0}]).to_csv(
        target / "effects.tsv", sep="\t", index=False
    )
    (target / "summary.json").write_text(json.dumps({"verdict": verdict}))
    return folder


@pytest.mark.parametrize(
    ("gpu", "verdict", "lower", "within"),
    [
        (0.61, "met", 0.4, True),  # a tenth of the half-width is 0.02
        (0.63, "met", 0.4, False),
        (0.60, "not met", 0.4, False),
        (np.nan, "met", 0.4, False),
        (0.60, "met", np.nan, True),  # no interval: only the same estimate will do
        (0.6001, "met", np.nan, False),
    ],
)
def test_an_endpoint_may_change_by_a_share_of_its_interval(
    tmp_path: Path, gpu: float, verdict: str, lower: float, within: bool
) -> None:
    mine = write_effects(tmp_path / "cpu", 0.60, "met", lower=lower)
    other = write_effects(tmp_path / "gpu", gpu, verdict, lower=lower)
    (row,) = effects(mine, other, "treg", 0.1)
    assert row["within"] is within
    assert row["change"] == (None if np.isnan(gpu) else pytest.approx(gpu - 0.60))
    check = comparison._estimate_check([row], Parity())
    assert check["within"] is within and ("not so: e" in check["note"]) is not within


def test_an_endpoint_of_one_backend_alone_is_no_agreement(tmp_path: Path) -> None:
    mine = write_effects(tmp_path / "cpu", 0.6, "met")
    other = write_effects(tmp_path / "gpu", 0.6, "met", role="secondary")
    rows = effects(mine, other, "treg", 0.1)
    assert len(rows) == 2 and not any(row["within"] for row in rows)


def test_recall_counts_neighbours_that_are_as_near() -> None:
    exact = np.array([[0.0, 1.0, 2.0], [0.0, 0.0, 0.0]])
    assert recall(exact, np.array([[0.0, 1.0, 2.0], [0.0, 0.0, 0.0]])) == 1.0
    assert recall(exact, np.array([[0.0, 2.0, 2.5], [0.0, 0.0, 0.1]])) == pytest.approx(4 / 6)
    x = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]], np.float32)
    assert apart(x, np.array([[0, 1, 2], [1, 2, 0], [2, 0, 1]]))[0].tolist() == [0.0, 1.0, 5.0]


class Same:
    """A backend that answers from a table."""

    def __init__(self, shift: int = 0, steady: bool = True) -> None:
        self.shift, self.steady, self.calls = shift, steady, 0

    def knn(self, x: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        apart = np.abs(queries - x.T)
        near = np.argsort(apart, axis=1)[:, self.shift : self.shift + k]
        return near, np.take_along_axis(apart, near, 1)

    def graph(self, x: np.ndarray, k: int, seed: int) -> np.ndarray:
        return x

    def leiden(self, graph: np.ndarray, resolution: float, seed: int) -> np.ndarray:
        self.calls += 1
        cut = 5 if self.steady else 5 + self.calls
        return (np.arange(len(graph)) >= cut).astype(np.int32)


def test_steps_are_run_on_the_same_input() -> None:
    x = np.arange(10, dtype=np.float32)[:, None] ** 1.5
    told = compare_steps(x, 3, 1.0, 0, Same(), Same())
    assert told == {"cells": 10, "recall": 1.0, "ari": 1.0, "ari_reseeded": 1.0, "clusters_cpu": 2, "clusters_gpu": 2,
                    "repeats": True}  # fmt: skip
    worse = compare_steps(x, 3, 1.0, 0, Same(), Same(shift=1, steady=False))
    assert worse["recall"] < 0.8 and not worse["repeats"] and worse["ari"] < 1.0
    checks = comparison._step_checks(worse, Parity())
    assert [check["within"] for check in checks] == [False, False, False]
    by_map = compare_steps(x, 3, None, 0, Same(), Same())
    assert [c["within"] for c in comparison._step_checks(by_map, Parity())] == [True, None]


def test_a_side_that_ran_elsewhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TresetError, match=r"run.json is missing: the gpu run did not finish"):
        comparison._run(tmp_path, "gpu")
    (tmp_path / "provenance").mkdir()
    backend = {"used": "gpu", "map": [{"used": "gpu"}, {"used": "cpu"}]}
    (tmp_path / "provenance" / "run.json").write_text(json.dumps({"backend": backend}))
    with pytest.raises(TresetError, match="ran on cpu, gpu: nothing can be compared"):
        comparison._run(tmp_path, "gpu")


def test_the_verdicts_must_all_be_the_same() -> None:
    same = [{"monitor": "treg", "cpu": "met", "gpu": "met"}]
    rows = [{"verdict_cpu": "met", "verdict_gpu": "not met"}]
    assert comparison._verdict_check(same, [])["within"] is True
    assert comparison._verdict_check(same, rows) == {
        "what": "verdicts that are the same", "found": 1.0, "allowed": 2.0, "within": False,
        "note": "all, of monitors and endpoints",
    }  # fmt: skip
    assert comparison._verdict_check([], [])["within"] is None


def test_the_reason_names_what_failed_and_what_was_not_judged() -> None:
    rows = [{"what": word, "within": within} for word, within in (("a", True), ("b", None), ("c", False))]
    assert comparison.reason(rows[:1]) == "every check is within its tolerance"
    assert comparison.reason(rows[:2]) == "every check that could be judged is within its tolerance (not judged: b)"
    assert comparison.reason(rows) == "not within the tolerances: c (not judged: b)"


def test_what_is_said_tells_the_three_outcomes_apart() -> None:
    checks = [
        {"what": "a", "found": 0.5, "allowed": 0.4, "within": True, "note": "x"},
        {"what": "b", "found": 0.1, "allowed": 0.4, "within": False, "note": "y"},
        {"what": "c", "found": None, "allowed": None, "within": None, "note": "z"},
    ]
    said = sentences({"checks": checks, "agree": False, "reason": "not within the tolerances: b"})
    assert said[0] == "a: 0.5 (tolerance 0.4): within; x" and "NOT WITHIN" in said[1] and "not judged" in said[2]
    assert said[3].startswith("the backends DO NOT agree")
