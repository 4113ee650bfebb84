"""The device before it works and when it fails: one memory pool, and one error for its many.

The libraries say that memory ran out in five ways (CuPy's ``OutOfMemoryError``, RMM's ``MemoryError: std::bad_alloc``,
two classes named ``CUDARuntimeError``, and ``RuntimeError`` with the text of one of these), so what is told apart here
are the words, not the classes.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Iterator

from treset.errors import TresetError

#: Matrices on the device are handled in parts of at most this many bytes; their indices then fit 32 bits.
CHUNK_BYTES = 1 << 28

#: Edges that cuGraph takes into one network; CuPy's sparse matrices end at 2^31 - 1.
MOST_EDGES = 2_147_483_100

_MEMORY = ("out of memory", "out_of_memory", "outofmemory", "std::bad_alloc", "cudaerrormemoryallocation")
_CUDA = re.compile(r"\b(cuda|cublas|cusolver|cusparse|cugraph|cuvs|nvrtc|rmm|raft)")

_SMALLEST_POOL = 1 << 28

#: Bytes that the pool of this process started with; empty before there is one.
_POOLS: list[int] = []


class DeviceError(TresetError):
    """A step failed on the GPU.

    Attributes
    ----------
    step
        The step, in words.
    out_of_memory
        Whether the device's memory was too small; any other failure is none that another try would mend.
    """

    def __init__(self, step: str, out_of_memory: bool, said: str) -> None:
        self.step, self.out_of_memory = step, out_of_memory
        if out_of_memory:
            told = (
                f"the GPU ran out of memory in {step} ({said}): lower cohort.sketch_cells, use a GPU with more memory, "
                "or set backend: auto or cpu"
            )
        else:
            told = f"the GPU failed in {step} ({said}): run it again with backend: cpu, and report this with the log"
        super().__init__(told)


def on_device[**P, R](step: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Turn what the device's libraries raise into a :class:`DeviceError`; errors of other kinds pass unchanged.

    Parameters
    ----------
    step
        The step, in words.
    """

    def wrap(method: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(method)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return method(*args, **kwargs)
            except (MemoryError, RuntimeError) as error:
                kind = failure(error)
                if kind is None:
                    raise
                raise DeviceError(step, kind == "memory", _first_line(error)) from error

        return run

    return wrap


def failure(error: BaseException) -> str | None:
    """What an exception says of the device.

    Returns
    -------
    ``memory``: the device's memory is too small; ``device``: another failure of the device; None: not of the device
    (numpy's own ``MemoryError`` is of the host).
    """
    said = " | ".join(_words(error)).lower()
    if any(word in said for word in _MEMORY):
        return "memory"
    return "device" if _CUDA.search(said) else None


def one_pool(need: int) -> None:
    """Set the memory manager of this process: one RMM pool that CuPy draws from as well, and no managed memory.

    The second and later calls do nothing, whatever they ask for; a second manager would hold memory that the first
    one lacks, and managed memory would swap without a word instead of saying that the device is too small.

    Parameters
    ----------
    need
        Bytes to start with; the pool grows, and starts with 256 MB at least and 80 % of the free memory at most.
    """
    if _POOLS:
        return
    import cupy
    import rmm
    from rmm.allocators.cupy import rmm_cupy_allocator

    free, _ = cupy.cuda.runtime.memGetInfo()
    start = max(min(need, int(0.8 * free)), _SMALLEST_POOL) // 256 * 256
    rmm.reinitialize(pool_allocator=True, managed_memory=False, initial_pool_size=start)
    cupy.cuda.set_allocator(rmm_cupy_allocator)
    _POOLS.append(start)


def resident_bytes() -> int:
    """Bytes that are kept on the device between steps at most: a quarter of what is free now."""
    import cupy

    return cupy.cuda.runtime.memGetInfo()[0] // 4


def measured[R](run: Callable[[], R]) -> tuple[R, float, int]:
    """Run something on the device and measure it; for benchmarks, after the backend was opened.

    Returns
    -------
    What it gave, seconds with the device's queue emptied before and after, and the most bytes of the pool that it held
    at one time.
    """
    import cupy
    from rmm import statistics

    statistics.enable_statistics()
    cupy.cuda.runtime.deviceSynchronize()
    statistics.push_statistics()
    start = time.perf_counter()
    found = run()
    cupy.cuda.runtime.deviceSynchronize()
    seconds = time.perf_counter() - start
    counted = statistics.pop_statistics()
    return found, seconds, int(counted.peak_bytes) if counted is not None else 0


def need(cells: int, columns: int, neighbors: int) -> int:
    """Bytes of device memory that a job takes at its peak, estimated.

    From the libraries' code (not measured on a device): an edge of the graph, of which a cell stores twice its
    neighbours at most, takes 80 bytes while Leiden's network is built (8 in the graph that is kept, 16 in the list of
    edges, 32 while cuGraph makes it symmetric, 12 in its network, and workspace); coordinates are held three times; the
    CUDA context, the kernels and their workspace take 1.5 GB.

    Parameters
    ----------
    cells
        Cells of the sketch.
    columns
        Coordinates of a cell.
    neighbors
        Of the graph; 0: there is none.
    """
    return int(1.5e9 + cells * (12 * columns + 80 * 2 * neighbors))


def too_large(cells: int, neighbors: int) -> str:
    """Why no GPU holds the graph, whatever its memory: the edges are counted by 32 bits; "" where it may.

    Parameters
    ----------
    cells
        Cells of the sketch.
    neighbors
        Of the graph, which stores twice as many edges a cell at most.
    """
    edges = 2 * cells * neighbors
    if edges <= MOST_EDGES:
        return ""
    return (
        f"a graph of {cells:,} cells and {neighbors} neighbours has up to {edges:,} edges, and cuGraph holds "
        f"{MOST_EDGES:,} at most: lower cohort.sketch_cells or cohort.neighbors"
    )


def _words(error: BaseException) -> Iterator[str]:
    """The classes and texts of an exception and of those it came from."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield f"{type(link).__module__}.{type(link).__name__}: {link}"
        link = link.__cause__ or link.__context__


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
