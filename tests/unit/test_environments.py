"""The conda environments and the container say what pyproject.toml says."""

from __future__ import annotations

import os
import re
import runpy
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ENVS = ROOT / "envs"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MAKE = runpy.run_path(str(ENVS / "make.py"))
EXTRAS = {"cpu": None, "gpu-cuda12": "gpu-cu12", "gpu-cuda13": "gpu-cu13"}


@pytest.mark.parametrize("name", EXTRAS)
def test_an_environment_is_what_is_written_from_the_project(name: str) -> None:
    assert (ENVS / f"{name}.yaml").read_text(encoding="utf-8") == MAKE["environment"](name, PROJECT)


@pytest.mark.parametrize("name", EXTRAS)
def test_an_environment_holds_every_dependency_with_its_versions(name: str) -> None:
    # read as conda reads it, not as it was written
    found = yaml.safe_load((ENVS / f"{name}.yaml").read_text(encoding="utf-8"))
    plain = [text for text in found["dependencies"] if isinstance(text, str)]
    other = {"python-igraph": "igraph", "snakemake-minimal": "snakemake"}
    split = {re.split(r"[<>=]", text)[0]: text for text in plain}
    named = {other.get(key, key): text.removeprefix(key) for key, text in split.items()}
    for text in PROJECT["dependencies"]:
        package = re.split(r"[<>=]", text)[0]
        assert named.pop(package) == text.removeprefix(package)
    assert named == {"python": PROJECT["requires-python"] + ",<3.13", "pip": ""}
    added = [text for part in found["dependencies"] if isinstance(part, dict) for text in part["pip"]]
    extra = EXTRAS[name]
    wanted = [] if extra is None else [text.split(";")[0].strip() for text in PROJECT["optional-dependencies"][extra]]
    assert added == wanted


def test_every_pin_lies_within_its_environments_versions() -> None:
    from packaging.requirements import Requirement
    from packaging.version import Version

    pins = dict(
        re.fullmatch(r"([^=]+)==([^ ;]+)(?: ;.*)?", line.strip()).groups()
        for line in (ENVS / "pins.txt").read_text().splitlines()
        if line.strip()
    )
    for text in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["slurm"]]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(Version(pins[requirement.name])), text


@pytest.mark.parametrize("name", EXTRAS)
def test_treset_itself_is_installed_without_its_dependencies(name: str) -> None:
    script = ENVS / f"{name}.post-deploy.sh"
    assert os.access(script, os.X_OK)
    assert '--no-deps "${TRESET_SOURCE:-treset}"' in script.read_text(encoding="utf-8")


def test_the_container_holds_the_pins_the_workflow_and_an_extra_that_exists() -> None:
    text = (ENVS / "treset.def").read_text(encoding="utf-8")
    sections = re.findall(r"^%(\w+)", text, flags=re.MULTILINE)
    assert sections == ["arguments", "files", "post", "test", "runscript"]
    copied = re.search(r"%files\n(.*?)\n\n", text, flags=re.DOTALL).group(1).split()
    for source in (part for part in copied if not part.startswith("/")):
        assert (ROOT / source).exists(), source
    assert f"python:{PROJECT['requires-python'].removeprefix('>=')}" in text
    for extra in re.findall(r"gpu-cu\d+", text):
        assert extra in PROJECT["optional-dependencies"]
    assert "--nv" in text


def test_every_rule_runs_in_the_environment_and_the_workflow_in_the_container() -> None:
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        for rule in re.split(r"^\s*rule ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            assert re.search(r"conda:\n\s+ENVIRONMENT\n", rule), rule.partition(":")[0]
    assert re.search(r'^container: "treset.sif"$', (ROOT / "Snakefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
