"""The project's own files agree with each other."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import yaml

from treset.simulate.examples import write_examples
from treset.study.reference import reference

ROOT = Path(__file__).resolve().parents[2]


def test_uv_uses_the_pinned_versions() -> None:
    pins = [line.strip() for line in (ROOT / "envs" / "pins.txt").read_text().splitlines() if line.strip()]
    constraints = tomllib.loads((ROOT / "uv.toml").read_text())["constraint-dependencies"]
    assert [re.sub("[\"']", "", c) for c in constraints] == [re.sub("[\"']", "", p) for p in pins]


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {re.split("[=; ]", line)[0] for line in (ROOT / "envs" / "pins.txt").read_text().splitlines()}
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["dev"], *extras["slurm"]]
    assert {re.split("[<>=\\[; ]", name)[0] for name in wanted} <= pinned


def test_ci_runs_what_the_readme_says() -> None:
    readme = (ROOT / "README.md").read_text()
    commands = re.findall(r"^    (pip install uv && .+)$", readme, flags=re.MULTILINE)
    assert len(commands) == 2
    script = (ROOT / ".ci" / "run").read_text()
    assert all(command in script.splitlines() for command in commands)


def test_the_example_sheets_are_those_of_their_designs(tmp_path: Path) -> None:
    written = write_examples(ROOT / "config", tmp_path)
    assert len({path.name for path in written}) == 5
    for path in written:
        assert path.read_bytes() == (ROOT / "config" / path.name).read_bytes(), path.name


def test_the_reference_of_the_config_is_that_of_the_code() -> None:
    assert (ROOT / "docs" / "config.md").read_text(encoding="utf-8") == reference()


def test_no_file_names_a_package_registry() -> None:
    hosts = re.compile(
        "(" + "|".join(["py" + "pi.org", "python" + "hosted", "npm" + "js", "conda.ana" + "conda"]) + ")"
    )
    skipped = {".git", ".venv", ".snakemake", "results", "data", "uv.lock"}
    for path in ROOT.rglob("*"):
        if path.is_file() and not skipped & set(path.relative_to(ROOT).parts) and path.suffix not in (".pyc", ".png"):
            assert not hosts.search(path.read_text(encoding="utf-8", errors="replace")), path


def test_the_library_knows_no_workflow_engine_and_only_compute_the_gpu() -> None:
    banned = {"snakemake"}
    gpu = {"cupy", "cupyx", "cuml", "cugraph", "cuvs", "rmm", "rapids_singlecell"}
    for path in (ROOT / "src" / "treset").rglob("*.py"):
        names = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names.add((node.module or "").split(".")[0])
        assert not names & banned, path
        assert "compute" in path.parts or not names & gpu, path


def test_rules_declare_log_benchmark_threads_and_memory() -> None:
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        for rule in re.split(r"^\s*rule ", path.read_text(), flags=re.MULTILINE)[1:]:
            name = rule.partition(":")[0]
            assert all(word in rule for word in ("log:", "benchmark:", "threads:", "mem_mb", "code=")), name
    for path in (ROOT / "workflow" / "scripts").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 15, path


def test_the_packaged_populations_have_sources_and_ontology_ids() -> None:
    for path in (ROOT / "src" / "treset" / "data").glob("populations_*.yaml"):
        for population in yaml.safe_load(path.read_text())["populations"]:
            assert re.fullmatch(r"CL:\d{7}", population["ontology"]), population["name"]
            assert population["source"].startswith("doi:"), population["name"]
