"""Scanpy, imported so that what its kernels compile to is found again by the next process."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

#: Where fast-array-utils keeps the Numba types of sparse matrices, which scanpy's kernels take.
TYPES = "fast_array_utils._plugins.numba_sparse"


def import_scanpy() -> ModuleType:
    """Import scanpy and let Numba's cache on disk know scanpy's sparse matrices again.

    Scanpy's kernels ask for that cache, but fast-array-utils (seen in 1.5.1) makes the types of sparse matrices without
    a name by which they could be imported. So Numba stores them by value, takes them for other types in the next
    process, compiles anew (6 s of a core in every job) and stores one copy more. With a name they are found. Where the
    library has names, or is another than it was, nothing is changed.

    Returns
    -------
    The module ``scanpy``.
    """
    scanpy = import_module("scanpy")
    types = sys.modules.get(TYPES)
    for made in getattr(types, "TYPES", ()):
        if not hasattr(types, made.__name__):
            setattr(types, made.__name__, made)
            made.__module__ = TYPES
    return scanpy
