"""Where the code that runs comes from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import treset
from treset.errors import TresetError


def snakefile() -> Path:
    """The Snakefile: of the checkout, or the one shipped in the wheel."""
    package = Path(treset.__file__).resolve().parent
    for candidate in (package.parents[1] / "Snakefile", package / "_workflow" / "Snakefile"):
        if candidate.is_file():
            return candidate
    raise TresetError("the Snakefile is missing from this installation: install treset again")


def git_commit() -> str:
    """The commit of the checkout, with ``+changes`` where files differ from it; "" for an installed package."""
    root = Path(treset.__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        commit = _git(root, "rev-parse", "HEAD").stdout.strip()
        changed = _git(root, "diff", "--quiet", "HEAD", "--", "src", "workflow", "Snakefile").returncode == 1
    except OSError:
        return ""
    return commit + ("+changes" if commit and changed else "")


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
