"""What stays on the device between steps, and the count of what is moved.

An array is kept there only where it cannot change: :func:`frozen` puts a copy of it into ``bytes``, whose memory NumPy
lets nobody write to, not even by setting ``flags.writeable``. The copy on the device is found again by that memory,
which is held as long as the copy is, so that neither a changed nor a freed array is ever taken for another one. All
other arrays are sent each time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from treset.compute.device import CHUNK_BYTES

Rows = np.ndarray | sparse.csr_matrix


@dataclass(frozen=True)
class Place:
    """Where values lie that cannot change; as long as this is held, no others can come to lie there."""

    #: Address, shape, strides and type of each array.
    where: tuple[tuple, ...]
    memory: tuple[bytes, ...] = field(compare=False)


@dataclass(frozen=True)
class _Kept:
    value: Any
    size: int


class Resident:
    """Copies on the device of arrays that cannot change; the longest unused are dropped first.

    Parameters
    ----------
    limit
        Bytes that are kept at most; a larger array is sent each time.

    Attributes
    ----------
    sent, taken
        Bytes moved to the device and from it so far.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.sent = self.taken = 0
        self._kept: OrderedDict[Place, _Kept] = OrderedDict()

    @property
    def size(self) -> int:
        """Bytes kept now."""
        return sum(kept.size for kept in self._kept.values())

    def clear(self) -> None:
        """Keep nothing more."""
        self._kept.clear()

    def rows(self, x: np.ndarray) -> Any:
        """``x`` (n, p) on the device, C order, float32."""
        size = 4 * x.size
        return self._get(place(x), size, lambda: self.send(x, np.float32))

    def graph(self, graph: sparse.csr_matrix) -> Any:
        """A graph on the device: ``cupyx``'s ``csr_matrix``, weights float32."""
        size = 4 * (graph.nnz * 2 + graph.shape[0] + 1)
        return self._get(place(graph), size, lambda: self.send(graph, np.float32))

    def send(self, x: Any, dtype: Any) -> Any:
        """An array (C order) or a CSR matrix to the device, counted and not kept."""
        if sparse.issparse(x):
            import cupyx.scipy.sparse as device_sparse

            given = sparse.csr_matrix(x, dtype=dtype)
            self.sent += given.data.nbytes + given.indices.nbytes + given.indptr.nbytes
            return device_sparse.csr_matrix(given)
        import cupy

        self.sent += x.size * np.dtype(dtype).itemsize
        return cupy.asarray(x, dtype=dtype, order="C")

    def take(self, found: Any) -> np.ndarray:
        """An array from the device, counted."""
        import cupy

        self.taken += found.nbytes
        return cupy.asnumpy(found)

    def _get(self, where: Place | None, size: int, make: Callable[[], Any]) -> Any:
        if where is None or size > self.limit:
            return make()
        if where not in self._kept:
            while self.size + size > self.limit:
                self._kept.popitem(last=False)
            self._kept[where] = _Kept(make(), size)
        self._kept.move_to_end(where)
        return self._kept[where].value


class Pieces:
    """Rows on the device, part by part, as often as they are gone through: sent once where they fit.

    Parameters
    ----------
    resident
        Counts, and says how many bytes may stay.
    x
        (n, p), float32; any other type is sent as float64.
    row_bytes
        What a row takes while it is worked on; a part takes :data:`~treset.compute.device.CHUNK_BYTES` at most.
    """

    def __init__(self, resident: Resident, x: Rows, row_bytes: int) -> None:
        self._resident, self._x = resident, x
        self._slices = list(parts(x.shape[0], row_bytes))
        size = x.nbytes if isinstance(x, np.ndarray) else x.data.nbytes + x.indices.nbytes + x.indptr.nbytes
        self._stay = size <= resident.limit
        self._sent: list[Any] = []
        dense = isinstance(x, np.ndarray) and x.dtype == np.float32 and is_frozen(x)
        self._whole = resident.rows(x) if dense else None

    def __iter__(self) -> Iterator[tuple[slice, Any]]:
        """Each part's rows and the part: dense, float64."""
        for i, rows in enumerate(self._slices):
            if self._whole is not None:
                part = self._whole[rows]
            elif i < len(self._sent):
                part = self._sent[i]
            else:
                part = self._resident.send(self._x[rows], np.float32 if self._x.dtype == np.float32 else np.float64)
                if self._stay:
                    self._sent.append(part)
            yield rows, (part.toarray() if hasattr(part, "toarray") else part).astype(np.float64)


def parts(n: int, row_bytes: int) -> Iterator[slice]:
    """Slices of ``n`` rows, none of more than :data:`~treset.compute.device.CHUNK_BYTES` (one row at least)."""
    step = max(1, CHUNK_BYTES // max(row_bytes, 1))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


def frozen[Array: (np.ndarray, sparse.csr_matrix)](x: Array) -> Array:
    """The same values in memory that nothing can write to: a copy, or ``x`` itself where it is one already."""
    if is_frozen(x):
        return x
    if isinstance(x, np.ndarray):
        whole = np.ascontiguousarray(x)
        if not whole.size:
            return x
        return np.frombuffer(whole.tobytes(), dtype=whole.dtype).reshape(whole.shape)
    # sorted now: it could not be done in place later
    ordered = x.sorted_indices()
    held = sparse.csr_matrix((frozen(ordered.data), frozen(ordered.indices), frozen(ordered.indptr)), shape=x.shape)
    held.has_sorted_indices = True
    return held


def is_frozen(x: Rows) -> bool:
    """Whether the values of ``x`` lie in memory that nothing can write to."""
    return place(x) is not None


def place(x: Rows) -> Place | None:
    """Where the values of ``x`` lie; None: in memory that can be written to."""
    arrays = (x,) if isinstance(x, np.ndarray) else (x.data, x.indices, x.indptr)
    memory = tuple(found for found in map(_memory, arrays) if found is not None)
    if len(memory) < len(arrays):
        return None
    where = tuple((a.__array_interface__["data"][0], a.shape, a.strides, a.dtype.str) for a in arrays)
    return Place(where, memory)


def _memory(array: np.ndarray) -> bytes | None:
    """The ``bytes`` that an array is a view of; None: it is of memory that can be written to."""
    behind: Any = array
    while isinstance(behind, np.ndarray):
        behind = behind.base
    return behind if isinstance(behind, bytes) else None
