from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from cupy import _traffic
from cupy._array import ndarray
from cupy.cuda import check
from scipy import sparse


class spmatrix:
    """The base of all, which anndata knows."""


class csr_matrix(spmatrix):
    """As much of CuPy's as treset uses; 2^31 stored values are refused, as its 32-bit indices would."""

    def __init__(self, arg1, shape=None, dtype=None, copy=False) -> None:
        check("csr_matrix")
        assert sparse.issparse(arg1) and arg1.nnz < 2**31
        self._host = sparse.csr_matrix(arg1, shape=shape, dtype=dtype, copy=True)
        self.shape = self._host.shape
        _traffic.sent("csr_matrix", self._host.data, self._host.indices, self._host.indptr)

    def toarray(self, order=None, out=None):
        return ndarray(self._host.toarray(order=order))

    def tocoo(self, copy=False):
        found = self._host.tocoo(copy=copy)
        row, col = (ndarray(part.astype(np.int32)) for part in (found.row, found.col))
        return SimpleNamespace(row=row, col=col, data=ndarray(found.data), shape=self.shape)


class csc_matrix(csr_matrix):
    """Imported by anndata where there is a CuPy; treset makes none."""
