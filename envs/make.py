"""Write the conda environments from pyproject.toml (a test compares them): python envs/make.py"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: Names that differ on conda-forge and bioconda.
CONDA_NAMES = {"igraph": "python-igraph", "snakemake": "snakemake-minimal"}
#: Environment -> extra of pyproject.toml that it adds by pip.
ENVIRONMENTS = {"cpu": None, "gpu-cuda12": "gpu-cu12", "gpu-cuda13": "gpu-cu13"}


def requirement(text: str) -> tuple[str, str]:
    """``"numpy>=2.0,<2.5"`` as name and versions; markers and extras are cut off."""
    name, versions = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?\s*([^;]*?)\s*(?:;.*)?", text).groups()
    return name, versions


def environment(name: str, project: dict) -> str:
    """The text of one environment file."""
    lines = [
        "# Written by envs/make.py from pyproject.toml: change that, and run this again.",
        f"name: treset-{name}",
        "channels: [conda-forge, bioconda, nodefaults]",
        "dependencies:",
        f'  - "python{project["requires-python"]},<3.13"',
        "  - pip",
    ]
    for text in project["dependencies"]:
        package, versions = requirement(text)
        lines.append(f'  - "{CONDA_NAMES.get(package, package)}{versions}"')
    extra = ENVIRONMENTS[name]
    if extra is not None:
        lines += [
            "  - pip:",
            *(f'      - "{text.split(";")[0].strip()}"' for text in project["optional-dependencies"][extra]),
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write all."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name in ENVIRONMENTS:
        (HERE / f"{name}.yaml").write_text(environment(name, project), encoding="utf-8")


if __name__ == "__main__":
    main()
