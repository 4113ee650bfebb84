"""What scanpy's kernels compile to is found again by the next process."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from treset.compute.cached import TYPES, import_scanpy

KEY = """
from numba.core import serialize
from numba.core.typing.typeof import typeof
from scipy import sparse
from treset.compute.cached import import_scanpy
import sys
import_scanpy()
sys.stdout.buffer.write(serialize.dumps(typeof(sparse.csr_matrix((2, 2), dtype="f4"))))
"""


def test_a_sparse_matrix_is_of_the_same_type_in_the_next_process() -> None:
    from numba.core.typing.typeof import typeof
    from scipy import sparse

    import_scanpy()
    stored = subprocess.run([sys.executable, "-c", KEY], capture_output=True, check=True).stdout
    # Numba compares what it stored with what it is asked for
    assert pickle.loads(stored) == typeof(sparse.csr_matrix((2, 2), dtype="f4"))  # noqa: S301  from our own process
    assert pickle.loads(stored) != typeof(sparse.csr_matrix((2, 2), dtype="f8"))  # noqa: S301


def test_a_library_that_is_another_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    import_scanpy()
    types = sys.modules[TYPES]
    before = [(made, made.__module__) for made in types.TYPES]
    import_scanpy()
    assert [(made, made.__module__) for made in types.TYPES] == before
    monkeypatch.delitem(sys.modules, TYPES)
    assert import_scanpy().__name__ == "scanpy"
    assert TYPES not in sys.modules
