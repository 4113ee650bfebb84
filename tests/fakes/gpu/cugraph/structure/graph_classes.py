from __future__ import annotations

import numpy as np
from cupy.cuda import check


class Graph:
    """An undirected network, held as igraph's."""

    def __init__(self, m_graph=None, directed=False):
        assert m_graph is None and not directed
        self.network = None

    def from_cudf_edgelist(
        self, input_df, source="source", destination="destination", edge_attr=None, weight=None, edge_id=None,
        edge_type=None, renumber=True, store_transposed=False, symmetrize=None, vertices=None,
    ):  # fmt: skip
        import igraph

        check("network")
        head, tail, strength = (input_df.columns[name] for name in (source, destination, weight))
        assert head.dtype == tail.dtype == vertices.values.dtype == np.int32 and strength.dtype == np.float64
        assert np.array_equal(vertices.values, np.arange(len(vertices.values)))
        # stored both ways: an edge that is there once only would be doubled
        assert sorted(zip(head, tail, strength, strict=True)) == sorted(zip(tail, head, strength, strict=True))
        upper = head < tail
        self.network = igraph.Graph(
            n=len(vertices.values), edges=np.column_stack([head[upper], tail[upper]]),
            edge_attrs={"weight": strength[upper]},
        )  # fmt: skip
