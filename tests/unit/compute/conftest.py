"""The fake GPU: its libraries on the path, of this process and of the children, for one test or one module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FAKES = Path(__file__).resolve().parents[2] / "fakes" / "gpu"
NAMES = ("cupy", "cupyx", "cuml", "cugraph", "cudf", "cuvs", "rmm", "rapids_singlecell")


@pytest.fixture
def fake_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A machine with a GPU; ``setenv("TRESET_FAKE_GPU", ...)`` of what is given breaks it."""
    from treset.compute import device

    for name in [m for m in sys.modules if m.split(".")[0] in NAMES]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(FAKES))
    import os

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FAKES), *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.delenv("TRESET_FAKE_GPU", raising=False)
    monkeypatch.setattr(device, "_POOLS", [])
    # anndata was imported without a CuPy, whose arrays it would know
    import anndata.typing
    import cupy
    from cupyx.scipy.sparse import spmatrix

    known = anndata.typing._ArrayDataStructureTypes
    monkeypatch.setattr(anndata.typing, "_ArrayDataStructureTypes", known | cupy.ndarray | spmatrix)
    yield monkeypatch
    for name in [m for m in sys.modules if m.split(".")[0] in NAMES]:
        del sys.modules[name]
