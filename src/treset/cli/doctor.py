"""What this machine has."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from treset.compute.probe import probe_gpu
from treset.compute.select import cpu_name


def findings() -> Iterator[tuple[str, str]]:
    """Name and value, line by line (the GPU's test takes seconds, so it comes last)."""
    yield "treset", version("treset")
    yield "python", f"{platform.python_version()} on {platform.system()} {platform.release()}"
    yield "processor", cpu_name()
    yield "memory", memory()
    yield "disk", f"{shutil.disk_usage(Path.cwd()).free / 1e9:.0f} GB free here"
    for package in ("snakemake", "scanpy", "anndata", "faiss-cpu", "igraph", "umap-learn"):
        yield package, _version(package)
    yield "slurm", "sbatch found" if shutil.which("sbatch") else "no sbatch"
    yield "rapids", _version("rapids-singlecell-cu13", "rapids-singlecell-cu12")
    gpu = probe_gpu()
    yield "gpu", f"{gpu.device}, {gpu.free / 1e9:.0f} GB free" if gpu.usable else f"none usable: {gpu.reason}"


def memory() -> str:
    """Physical memory and what is free, in words."""
    path = Path("/proc/meminfo")
    if not path.exists():
        return "not known on this system"
    found = {line.split(":")[0]: int(line.split()[1]) for line in path.read_text().splitlines() if line.endswith("kB")}
    return f"{found['MemTotal'] / 1e6:.0f} GB, {found['MemAvailable'] / 1e6:.0f} GB free"


def _version(*names: str) -> str:
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "not installed"
