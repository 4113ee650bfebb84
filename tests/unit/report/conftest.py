from __future__ import annotations

import sys
from pathlib import Path

import pytest

# the helpers of this folder: tests are collected in importlib mode, which puts no folder on the path
sys.path.insert(0, str(Path(__file__).parent))

import fake_results

from treset.report import build_report


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The reports of the made-up studies, built once."""
    made = {}
    for name, build, more in (
        ("il2", fake_results.il2, {}),
        ("arms", fake_results.il2, {"arms": ("IL-2", "placebo")}),
        ("hostile", fake_results.il2, {"hostile": True}),
        ("bcrxl", fake_results.bcrxl, {}),
        ("cart", fake_results.cart, {}),
    ):
        folder = tmp_path_factory.mktemp(name)
        study = build(folder, cells=600, **more)
        made[name] = build_report(study, folder, folder / "report.html").read_text(encoding="utf-8")
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
