"""The array of the device: operations with arrays of the host raise, as CuPy's do."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _traffic


class ndarray:
    def __init__(self, host: np.ndarray) -> None:
        self._host = np.asarray(host)

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    # NumPy's arrays leave an operation with this one to this one, which then refuses
    __array_ufunc__ = None
    __hash__ = None

    def get(self) -> np.ndarray:
        _traffic.taken("get", self._host)
        return self._host.copy()

    def __float__(self) -> float:
        return float(self._host)

    def __int__(self) -> int:
        return int(self._host)

    def __len__(self) -> int:
        return len(self._host)

    def __getitem__(self, key: Any) -> ndarray:
        keys = key if isinstance(key, tuple) else (key,)
        found = tuple(of_device(k) if isinstance(k, ndarray | np.ndarray) else k for k in keys)
        return ndarray(self._host[found if isinstance(key, tuple) else found[0]])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._host[of_device(key) if isinstance(key, ndarray | np.ndarray) else key] = of_device(value)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._host, name)
        if callable(value):
            return on_device(value)
        return ndarray(value) if isinstance(value, np.ndarray) else value

    def __neg__(self) -> ndarray:
        return ndarray(-self._host)


def of_device(value: Any) -> Any:
    """What lies behind an array of the device; an array of the host is refused, numbers pass."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    return value


def on_device(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of NumPy that takes and gives arrays of the device."""

    def run(*args: Any, **kwargs: Any) -> Any:
        found = function(*map(of_device, args), **{name: of_device(value) for name, value in kwargs.items()})
        return ndarray(found) if isinstance(found, np.ndarray | np.generic) else found

    return run


def _operators() -> None:
    for name in ("add", "sub", "mul", "truediv", "pow", "matmul", "and_", "lt", "le", "gt", "ge", "eq", "ne"):
        function = getattr(operator, name)
        setattr(ndarray, f"__{name.rstrip('_')}__", lambda a, b, f=function: on_device(f)(a, b))
        if name not in ("lt", "le", "gt", "ge", "eq", "ne"):
            setattr(ndarray, f"__r{name.rstrip('_')}__", lambda a, b, f=function: on_device(f)(b, a))
    for name in ("add", "sub"):
        inplace = getattr(operator, f"i{name}")
        setattr(ndarray, f"__i{name}__", lambda a, b, f=inplace: ndarray(f(a._host, of_device(b))))


_operators()
