from __future__ import annotations

from cupy._array import ndarray
from cupy.cuda import check
from scipy import sparse


class csr_matrix:
    """As much of CuPy's as treset uses; 2^31 stored values are refused, as its 32-bit indices would."""

    def __init__(self, arg1, shape=None, dtype=None, copy=False) -> None:
        check("csr_matrix")
        assert sparse.issparse(arg1) and arg1.nnz < 2**31
        self._host = sparse.csr_matrix(arg1, shape=shape, dtype=dtype, copy=copy)

    def toarray(self, order=None, out=None):
        return ndarray(self._host.toarray(order=order))


class csc_matrix(csr_matrix):
    """Imported by anndata where there is a CuPy; treset makes none."""


class spmatrix:
    """As above."""
