"""Leiden by cuGraph on a graph that is on the device already.

``rapids_singlecell.tl.leiden`` wraps the same calls, but takes its graph from the host (a CuPy matrix it cannot index)
and builds the network anew for every call; here a draw's network is cut out of the cohort's graph on the device and
serves every resolution. What is called is what rapids-singlecell calls, with its arguments.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from treset.compute.cpu import by_size
from treset.errors import TresetError

#: Levels at most, and how likely the refinement takes a worse community: the defaults of cuGraph and rapids-singlecell.
_LEVELS, _THETA = 100, 1.0


def network(graph: Any, rows: Any = None) -> Any:
    """cuGraph's network of a graph, or of the part of it among some cells; weights float64.

    Parameters
    ----------
    graph
        (n, n) ``cupyx`` ``csr_matrix``.
    rows
        (m,) different rows, on the device; cell ``i`` of the network is ``rows[i]``. Default: all.
    """
    import cudf
    import cugraph
    import cupy

    edges = graph.tocoo()
    source, target, weight = edges.row, edges.col, edges.data
    size = graph.shape[0]
    there = weight != 0
    if rows is not None:
        number = cupy.full(size, -1, dtype=np.int32)
        number[rows] = cupy.arange(len(rows), dtype=np.int32)
        source, target, size = number[source], number[target], len(rows)
        there = there & (source >= 0) & (target >= 0)
    frame = cudf.DataFrame(
        {"source": source[there], "target": target[there], "weight": weight[there].astype(np.float64)}
    )
    made = cugraph.Graph()
    with warnings.catch_warnings():
        # as in rapids-singlecell: that the edges are stored both ways, which they are
        warnings.simplefilter("ignore")
        made.from_cudf_edgelist(
            frame,
            source="source",
            destination="target",
            weight="weight",
            # cells without an edge are cells too
            vertices=cudf.Series(cupy.arange(size, dtype=np.int32)),
        )
    return made


def communities(made: Any, size: int, resolution: float, seed: int) -> np.ndarray:
    """Communities of a network of ``size`` cells, numbered by falling size: (size,) int32.

    Raises
    ------
    TresetError
        Not every cell got a community, or they are smaller than a cell's neighbourhood, which has been seen.
    """
    import cugraph

    found, _ = cugraph.leiden(made, max_iter=_LEVELS, resolution=float(resolution), random_state=seed, theta=_THETA)
    table = found.to_pandas().sort_values("vertex")
    if not np.array_equal(table["vertex"].to_numpy(), np.arange(size)):
        raise TresetError(
            f"Leiden on the GPU gave {len(table)} of {size} cells a community, or one of them two: set backend: cpu, "
            "and report this with the log"
        )
    labels = by_size(table["partition"].to_numpy())
    _guard(labels, resolution)
    return labels


def _guard(labels: np.ndarray, resolution: float) -> None:
    """Refuse clusters that average fewer than ten cells: no community of a graph of neighbours is so small."""
    n, found = len(labels), int(labels.max()) + 1
    bound = max(n // 10, min(100, n // 2))
    if found > bound:
        raise TresetError(
            f"Leiden on the GPU found {found} clusters of {n} cells at resolution {resolution:g}, and more than "
            f"{bound} are no result: lower cohort.resolution, or set backend: cpu"
        )
