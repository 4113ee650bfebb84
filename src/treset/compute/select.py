"""The one decision: CPU or GPU."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from treset.compute.interface import Backend, Choice
from treset.errors import TresetError

# Importing RAPIDS succeeds without a driver, NVML ignores CUDA_VISIBLE_DEVICES, and a CUDA error poisons a process:
# so a GPU counts as usable only when a child process compiled and ran a kernel on it.
_PROBE = """
import json
try:
    import cupy
    free, total = cupy.cuda.runtime.memGetInfo()
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    assert int(cupy.arange(1000, dtype=cupy.int64).sum()) == 499500
    print(json.dumps({"usable": True, "device": name, "free_gb": free / 1e9}))
except BaseException as error:
    print(json.dumps({"usable": False, "reason": f"{type(error).__name__}: {error}".splitlines()[0]}))
"""


@dataclass(frozen=True)
class Gpu:
    """What a probe of this machine's GPU found."""

    usable: bool
    device: str
    #: Why it is not usable, "" when it is.
    reason: str


def probe_gpu(timeout: float = 120.0) -> Gpu:
    """Compile and run one CUDA kernel in a child process.

    Parameters
    ----------
    timeout
        Seconds after which the GPU counts as not usable.
    """
    if find_spec("rapids_singlecell") is None or find_spec("cupy") is None:
        extra = _extra_for_driver()
        return Gpu(False, "", f"RAPIDS is not installed (pip install 'treset[{extra}]' on Linux with an NVIDIA driver)")
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return Gpu(False, "", f"a test kernel did not finish within {timeout:.0f} s")
    lines = done.stdout.strip().splitlines()
    if not lines:
        return Gpu(False, "", f"the test of the GPU ended with exit code {done.returncode}")
    answer = json.loads(lines[-1])
    if not answer["usable"]:
        return Gpu(False, "", f"a test kernel failed: {answer['reason']}")
    return Gpu(True, f"{answer['device']} ({answer['free_gb']:.0f} GB free)", "")


def open_backend(requested: Literal["auto", "gpu", "cpu"]) -> Backend:
    """Choose the backend, once.

    Parameters
    ----------
    requested
        ``cpu``; ``gpu`` (an error without a usable GPU); ``auto`` (the GPU where one is usable, else the CPU, and why
        is kept in the returned backend's ``choice``).

    Raises
    ------
    TresetError
        ``gpu`` was asked for and no GPU is usable, or the word is unknown.
    """
    if requested not in ("auto", "gpu", "cpu"):
        raise TresetError(f"backend is '{requested}', allowed are auto, gpu and cpu")
    if requested == "cpu":
        return _cpu(Choice("cpu", "cpu", cpu_name(), "asked for"))
    gpu = probe_gpu()
    if gpu.usable:
        from treset.compute.gpu import GpuBackend

        return GpuBackend(Choice(requested, "gpu", gpu.device, "a test kernel ran on it"))
    if requested == "gpu":
        raise TresetError(
            f"backend is gpu, but no GPU is usable on {platform.node()}: {gpu.reason}; or set backend: auto or cpu"
        )
    return _cpu(Choice("auto", "cpu", cpu_name(), f"no usable GPU: {gpu.reason}"))


def cpu_name() -> str:
    """The processor in words, with the cores this process may use."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return f"{platform.machine()} CPU, {count} core{'s' if count != 1 else ''}"


def _cpu(choice: Choice) -> Backend:
    from treset.compute.cpu import CpuBackend

    return CpuBackend(choice)


def _extra_for_driver() -> str:
    """The extra for the CUDA version of this machine's driver; CUDA 13 where that cannot be told."""
    try:
        done = subprocess.run(["nvidia-smi"], capture_output=True, text=True, timeout=20, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return "gpu-cu13"
    return "gpu-cu12" if "CUDA Version: 12" in done.stdout else "gpu-cu13"
