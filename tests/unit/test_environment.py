"""What jobs are given."""

from __future__ import annotations

from pathlib import Path

from treset.environment import job_environment


def test_compiled_code_is_shared_where_it_is_not_to_be_written(tmp_path: Path) -> None:
    given = job_environment({"HOME": "/h", "PYTHONDONTWRITEBYTECODE": "1"}, tmp_path)
    assert given == {"HOME": "/h", "PYTHONPYCACHEPREFIX": str(tmp_path.resolve() / ".snakemake" / "pycache")}


def test_a_place_that_the_user_chose_stays(tmp_path: Path) -> None:
    given = job_environment({"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": "/mine"}, tmp_path)
    assert given == {"PYTHONPYCACHEPREFIX": "/mine"}


def test_elsewhere_nothing_changes(tmp_path: Path) -> None:
    assert job_environment({"A": "b"}, tmp_path) == {"A": "b"}
    assert job_environment({"PYTHONDONTWRITEBYTECODE": ""}, tmp_path) == {}
