"""The cell map."""

from __future__ import annotations

import numpy as np
import pandas as pd

from treset.report import text
from treset.report.blocks import Block, CellMap, Note, Section, download
from treset.report.cellmap import pack
from treset.report.context import Context


def cells_section(context: Context) -> Section:
    """Make the map of the sketch, or say why there is none."""
    sketch = context.results.sketch
    blocks: list[Block]
    if sketch is None:
        blocks = [
            Note(context.results.gaps.get("cohort/sketch.h5ad", "The sketch is missing: no cell map."), "missing")
        ]
    elif sketch.umap is None or not np.isfinite(sketch.umap).all(axis=1).any():
        blocks = [Note("The sketch holds no positions (X_umap): no cell map can be drawn.", "missing")]
    else:
        payload, left_out = pack(context, sketch)
        caption = (
            f"UMAP of the sketch: {text.plural(len(sketch.obs), 'cell')}, kept cells of all samples. Distances between "
            "islands mean little; no test rests on this picture. Click it, then scroll or press + and \u2212 to zoom, "
            "drag or use the arrow keys to move, double-click to reset; untick a name to hide it, point at it to "
            "light it up."
        )
        if sketch.weight is not None:
            caption += " More cells are drawn where cells are rare; the percentages are of all kept cells."
        columns = [c for c in ("sample", "population", "cluster", "cluster_population") if c in sketch.obs]
        counts = (
            sketch.obs.groupby(columns, sort=True).size().rename("n_cells").reset_index() if columns else pd.DataFrame()
        )
        title = f"Cell map, {text.plural(len(sketch.obs), 'cell')}"
        caption += f" {left_out[0].upper()}{left_out[1:]}." if left_out else ""
        blocks = [CellMap(title, payload, caption, download("sketch_counts", counts))]
    return Section("cells", "Cell map", blocks)
