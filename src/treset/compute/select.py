"""The one decision: CPU or GPU."""

from __future__ import annotations

import os
import platform
from typing import Literal

from treset.compute.interface import Backend, Choice
from treset.compute.probe import probe_gpu
from treset.errors import TresetError


def open_backend(
    requested: Literal["auto", "gpu", "cpu"], need: int = 0, fell_back: str = "", too_large: str = ""
) -> Backend:
    """Choose the backend, once.

    Parameters
    ----------
    requested
        ``cpu``; ``gpu`` (an error without a usable GPU); ``auto`` (the GPU where one is usable, else the CPU, and why
        is kept in the returned backend's ``choice``).
    need
        Bytes of device memory the work is estimated to take; a GPU with less free counts as not usable.
    fell_back
        Why the CPU is taken although the GPU was chosen before; "" on the first try. For ``auto`` only.
    too_large
        Why no GPU holds the work, whatever its memory (:func:`treset.compute.device.too_large`); "" where one may.

    Raises
    ------
    TresetError
        ``gpu`` was asked for and no GPU is usable, or the word is unknown.
    DeviceError
        The GPU was chosen, and its memory pool cannot be made.
    """
    if requested not in ("auto", "gpu", "cpu"):
        raise TresetError(f"backend is '{requested}', allowed are auto, gpu and cpu")
    if requested == "cpu":
        return _cpu(Choice("cpu", "cpu", cpu_name(), "asked for"))
    if fell_back:
        if requested == "gpu":
            raise TresetError(f"backend is gpu, and the CPU is no substitute for it: {fell_back}")
        return _cpu(Choice("auto", "cpu", cpu_name(), fell_back))
    gpu = probe_gpu()
    reason = gpu.reason
    if gpu.usable and need > gpu.free:
        reason = (
            f"not enough memory: about {need / 1e9:.1f} GB are needed, {gpu.free / 1e9:.1f} GB free on {gpu.device}"
        )
    reason = reason or too_large
    if not reason:
        from treset.compute.gpu import GpuBackend

        return GpuBackend(Choice(requested, "gpu", gpu.device, "a test kernel ran on it"), need)
    if requested == "gpu":
        raise TresetError(
            f"backend is gpu, but no GPU is usable on {platform.node()}: {reason}; or set backend: auto or cpu"
        )
    return _cpu(Choice("auto", "cpu", cpu_name(), f"no usable GPU: {reason}"))


def cpu_name() -> str:
    """The processor in words, with the cores this process may use."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return f"{platform.machine()} CPU, {count} core{'s' if count != 1 else ''}"


def _cpu(choice: Choice) -> Backend:
    from treset.compute.cpu import CpuBackend

    return CpuBackend(choice)
