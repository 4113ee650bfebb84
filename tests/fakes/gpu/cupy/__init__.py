"""A stand-in for CuPy: NumPy behind a wall, so that an array of the host is refused where a device's is wanted.

``TRESET_FAKE_GPU`` says what goes wrong (words with commas between them): ``no-driver``, ``mismatch``, ``no-device``,
``crash``, ``wrong-sum``, ``free=BYTES``, ``oom=STEP``, ``broken=STEP``, ``shatter``,
``lost-cell``. A step is a function of the fakes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _traffic, cuda, linalg
from ._array import ndarray, of_device
from ._array import on_device as _on_device

__version__ = "14.2.0+fake"
__all__ = ["cuda", "linalg", "ndarray"]
float32, float64, int32, int64 = np.float32, np.float64, np.int32, np.int64

abs = _on_device(np.abs)
maximum = _on_device(np.maximum)
sign = _on_device(np.sign)
sqrt = _on_device(np.sqrt)
arcsinh = _on_device(np.arcsinh)
exp = _on_device(np.exp)


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    cuda.check("asarray")
    if isinstance(a, ndarray):
        return ndarray(np.asarray(a._host, dtype=dtype, order=order))
    # a copy, as on another memory
    found = np.array(a, dtype=dtype, order=order or "K")
    _traffic.sent("asarray", found)
    return ndarray(found)


def empty(shape, dtype=float, order="C"):
    cuda.check("empty")
    return ndarray(np.empty(shape, dtype=dtype, order=order))


def full(shape, fill_value, dtype=None, order="C"):
    cuda.check("full")
    return ndarray(np.full(shape, fill_value, dtype=dtype, order=order))


def where(condition, x=None, y=None):
    return ndarray(np.where(of_device(condition), of_device(x), of_device(y)))


def bincount(x, weights=None, minlength=None):
    assert weights is None, "adds in another order every time"
    return ndarray(np.bincount(of_device(x), minlength=minlength or 0))


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    _traffic.taken("asnumpy", of_device(a))
    return np.array(of_device(a), order=order)


def zeros(shape, dtype=float, order="C"):
    cuda.check("zeros")
    return ndarray(np.zeros(shape, dtype=dtype, order=order))


def arange(start, stop=None, step=1, dtype=None):
    cuda.check("arange")
    return ndarray(np.arange(0 if stop is None else start, start if stop is None else stop, step, dtype=dtype))


def argsort(a, axis=-1, kind=None):
    return ndarray(np.argsort(of_device(a), axis=axis, kind="stable"))


def outer(a, b, out=None):
    return ndarray(np.outer(of_device(a), of_device(b)))


def take_along_axis(a, indices, axis):
    return ndarray(np.take_along_axis(of_device(a), of_device(indices), axis))


def trace(a, offset=0, axis1=0, axis2=1, dtype=None, out=None):
    return ndarray(np.trace(of_device(a), offset, axis1, axis2, dtype))


class RawKernel:
    """Knows one kernel by what its source says: the one that adds 1."""

    def __init__(self, code: str, name: str) -> None:
        assert f"__global__ void {name}(" in code
        self.code = code

    def __call__(self, grid: tuple, block: tuple, args: tuple[Any, ...]) -> None:
        cuda.check("kernel")
        assert "x[i] += 1.0f" in self.code
        x, n = args
        covered = min(int(n), grid[0] * block[0])
        of_device(x)[:covered] += 0.5 if cuda.asked("wrong-sum") else 1.0
