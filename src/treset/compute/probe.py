"""Whether this machine has a GPU that works, and if not, why, in words."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec

#: What the GPU backend imports; rapids-singlecell alone installs without the rest.
LIBRARIES = ("cupy", "rapids_singlecell", "cuml", "cugraph", "cudf", "cuvs", "rmm")

_DRIVER_LIBRARY = "libcuda.so.1"


@dataclass(frozen=True)
class Gpu:
    """What a probe of this machine's GPU found."""

    usable: bool
    #: Name and memory, the same on every run.
    device: str
    #: Why it is not usable, "" when it is.
    reason: str
    #: Bytes of device memory free at the probe.
    free: int = 0


def probe_gpu(timeout: float = 120.0) -> Gpu:
    """Compile and run one CUDA kernel in a child process.

    Parameters
    ----------
    timeout
        Seconds after which the GPU counts as not usable.
    """
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        return Gpu(False, "", _not_installed(missing))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "treset.compute.kernel"],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Gpu(False, "", f"a test kernel did not finish within {timeout:.0f} s")
    answer: dict = {}
    for line in done.stdout.splitlines():
        # the libraries may print lines of their own
        if line.startswith("{"):
            answer |= json.loads(line)
    if done.returncode or "device" not in answer:
        return Gpu(False, "", _why(answer, _last(done.stderr) or f"exit code {done.returncode}"))
    device = f"{answer['device']} (compute capability {answer['capability']}, {answer['total'] / 1e9:.0f} GB)"
    return Gpu(True, device, "", int(answer["free"]))


def driver_cuda() -> int | None:
    """The CUDA version this machine's driver supports (13000 is 13.0); None where there is no driver."""
    try:
        library = ctypes.CDLL(_DRIVER_LIBRARY)
    except OSError:
        return None
    found = ctypes.c_int(0)
    return found.value if library.cuDriverGetVersion(ctypes.byref(found)) == 0 and found.value else None


def pip_line(cuda: int | None) -> str:
    """The pip line for a driver; CUDA 13 where the driver is not known."""
    return f"pip install 'treset[gpu-cu{12 if cuda is not None and cuda < 13000 else 13}]'"


def _not_installed(missing: list[str]) -> str:
    cuda, which = driver_cuda(), ", ".join(missing)
    if cuda is None:
        return (
            "no NVIDIA driver was found and RAPIDS is not installed (without a driver no GPU can be used; with one: "
            f"{pip_line(None)} on Linux)"
        )
    if cuda < 12000:
        return f"the NVIDIA driver is for CUDA {_version(cuda)}, and RAPIDS needs 12.0 or newer: update the driver"
    return f"RAPIDS is not installed ({which} not found; the driver is for CUDA {_version(cuda)}): {pip_line(cuda)}"


def _why(answer: dict, said: str) -> str:
    """The reason in words, from the versions that the child gave and the error that ended it."""
    driver, runtime = answer.get("driver"), answer.get("runtime")
    if driver == 0:
        return f"no NVIDIA driver was found ({said}): install one, or run on a node that has a GPU"
    if driver and runtime and driver // 1000 < runtime // 1000:
        return (
            f"CUDA mismatch: the driver is for CUDA {_version(driver)}, the installed RAPIDS for {_version(runtime)}: "
            f"update the driver, or in a fresh environment {pip_line(driver)}"
        )
    if "NoDevice" in said or "no CUDA-capable device" in said or "InvalidDevice" in said:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        told = f" (CUDA_VISIBLE_DEVICES is '{visible}')" if visible is not None else ""
        return f"the driver sees no GPU{told}: ask the scheduler for one, or unset CUDA_VISIBLE_DEVICES"
    if "DynamicLibNotFound" in said or "ImportError" in said or "OSError" in said:
        return f"a CUDA library is missing ({said}): {pip_line(driver)}"
    return f"a test kernel failed: {said}"


def _version(cuda: int) -> str:
    return f"{cuda // 1000}.{cuda % 1000 // 10}"


def _last(stderr: str) -> str:
    lines = stderr.strip().splitlines()
    return lines[-1][:300] if lines else ""
