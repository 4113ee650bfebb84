"""The fake driver, its memory and its failures."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable

ALLOCATORS: list[Callable] = []
_TOTAL = 80_000_000_000


class CUDARuntimeError(RuntimeError):
    """Named as CuPy's."""


class OutOfMemoryError(MemoryError):
    """Named as CuPy's."""


def asked(word: str) -> str:
    """The value of a word of TRESET_FAKE_GPU, the word itself where it has none, "" where it is not there."""
    for part in os.environ.get("TRESET_FAKE_GPU", "").split(","):
        name, _, value = part.partition("=")
        if name == word:
            return value or name
    return ""


def check(step: str) -> None:
    """Fail as the device would in this step."""
    if asked("crash"):
        sys.stdout.flush()
        os._exit(139)
    if asked("no-driver") or asked("mismatch"):
        raise CUDARuntimeError(
            "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version"
        )
    if asked("no-device"):
        raise CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
    if asked("oom") == step:
        if step in ("leiden", "neighbors"):
            raise RuntimeError("non-success value returned from cugraph: std::bad_alloc: out_of_memory: CUDA error")
        if step == "pool":
            raise MemoryError("std::bad_alloc: out_of_memory: CUDA error (failed to allocate 1.0 GiB)")
        raise OutOfMemoryError("Out of memory allocating 1,000,000,000 bytes (allocated so far: 79,000,000,000 bytes).")
    if asked("broken") == step:
        raise CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered")


def set_allocator(allocator: Callable) -> None:
    ALLOCATORS.append(allocator)


def _mem_get_info() -> tuple[int, int]:
    check("memory")
    return int(float(asked("free") or 0.9 * _TOTAL)), _TOTAL


def _properties(device: int) -> dict:
    return {"name": b"Fake GPU", "major": 9, "minor": 0}


runtime = types.SimpleNamespace(
    CUDARuntimeError=CUDARuntimeError,
    memGetInfo=_mem_get_info,
    getDeviceProperties=_properties,
    driverGetVersion=lambda: 0 if asked("no-driver") else 12040 if asked("mismatch") else 13000,
    runtimeGetVersion=lambda: 13000,
    deviceSynchronize=lambda: None,
)
