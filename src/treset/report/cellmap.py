"""The cell map's data, packed: places as steps along a curve, labels as codes, markers at 16 levels.

Cells are laid along a Z-order curve (Morton 1966): neighbours on the map are neighbours in the file, so steps between
them are small and labels repeat, which is what gzip packs well. Half a million cells take a few megabytes.
"""

from __future__ import annotations

import base64
import gzip
import json

import numpy as np
import pandas as pd
from markupsafe import Markup

from treset.report.context import Context, labels
from treset.report.read import Sketch

#: At most so many points are drawn; a larger sketch is thinned evenly, and the caption says so.
MAX_POINTS = 500_000
#: Marker levels are packed for every cell while there are no more than so many, else for every second, third ... cell.
MAX_MARKER_LEVELS = 4_000_000
#: Fewest cells whose markers are drawn; markers beyond what then fits are left out.
MIN_MARKER_CELLS = 50_000
LEVELS = 16
#: Places along each axis of the map.
PLACES = 2**14

#: Columns of the sheet by which cells can be coloured and filtered.
SHEET = ("patient", "visit", "arm", "disease", "stimulus", "batch")


def _shares(codes: np.ndarray, weight: np.ndarray, names: int) -> list[float]:
    """Percent of all kept cells in each category, by how many each drawn cell stands for."""
    known = codes.astype(np.int64) < names
    total = np.bincount(codes[known], weight[known], names)
    return [round(float(share), 3) for share in 100 * total / max(total.sum(), 1e-12)]


def safe_json(value: object) -> Markup:
    """Write JSON that cannot leave its script element (``<``, ``>``, ``&`` and line separators escaped)."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def pack(context: Context, sketch: Sketch) -> tuple[Markup, str]:
    """Pack a sketch for report.js.

    Returns
    -------
    The JSON payload, and a sentence about what was left out ("" when nothing was).
    """
    umap = sketch.umap
    assert umap is not None
    placed = np.flatnonzero(np.isfinite(umap).all(axis=1))
    shown = placed[:: max(1, -(-len(placed) // MAX_POINTS))]
    places = np.column_stack([quantise(umap[shown, axis], PLACES - 1) for axis in (0, 1)]).astype(np.int64)
    curve = np.argsort(z_order(places), kind="stable")
    shown, places = shown[curve], places[curve]
    parts = [steps(places[:, axis]) for axis in (0, 1)]
    fields: list[dict] = []
    offset, obs, weight = 4 * len(shown), sketch.obs.iloc[shown], sketch.weight
    sample_names: list[str] = []
    for key, label in (("population", "population (gates)"), ("cluster_population", "population (clusters)"),
                       ("cluster", "cluster"), ("sample", "sample")):  # fmt: skip
        if key not in obs:
            continue
        names, codes = categories(obs[key], None if weight is None else weight[shown])
        sample_names = names if key == "sample" else sample_names
        parts.append(codes.tobytes())
        rest = names.index("cells") if "cells" in names and "population" in key else -1
        field = {"key": key, "label": label, "names": names, "offset": offset, "bytes": codes.itemsize, "rest": rest}
        if weight is not None:
            field["shares"] = _shares(codes, weight[shown], len(names))
        fields.append(field)
        offset += codes.nbytes
    every, kept = marker_share(len(shown), len(sketch.markers))
    markers = []
    for j, marker in enumerate(sketch.markers[:kept]):
        levels, low, high = level(sketch.X[shown, j])
        parts.append(levels[::every].tobytes())
        markers.append({"name": marker, "low": round(low, 3), "high": round(high, 3), "offset": offset})
        offset += len(levels[::every])
    blob = base64.b64encode(gzip.compress(b"".join(parts), 9, mtime=0)).decode()
    payload = {
        "n": len(shown),
        "places": PLACES,
        "fields": fields,
        "sheet": sheet_fields(context, sample_names),
        "markers": markers,
        "every": every,
        "levels": LEVELS,
        "blob": blob,
    }
    return safe_json(payload), _left_out(sketch, len(placed), len(shown), len(markers), every)


def z_order(places: np.ndarray) -> np.ndarray:
    """Give the place of each point along the Z-order curve: the bits of x and y (int64, under 2**16) in turn."""
    code = np.zeros(len(places), np.int64)
    for axis in (0, 1):
        for bit in range(16):
            code |= ((places[:, axis] >> bit) & 1) << (2 * bit + axis)
    return code


def steps(values: np.ndarray) -> bytes:
    """Write whole numbers as steps from one to the next, sign in the lowest bit, low bytes first, then high bytes."""
    step = np.diff(values, prepend=0)
    folded = np.where(step < 0, -2 * step - 1, 2 * step).astype("<u2")
    return (folded & 255).astype(np.uint8).tobytes() + (folded >> 8).astype(np.uint8).tobytes()


def marker_share(cells: int, markers: int) -> tuple[int, int]:
    """Give k, where every k-th cell has its markers packed, and how many markers are."""
    every = max(1, -(-cells * markers // MAX_MARKER_LEVELS))
    every = max(1, min(every, cells // MIN_MARKER_CELLS))
    return every, min(markers, MAX_MARKER_LEVELS // max(1, -(-cells // every)))


def quantise(values: np.ndarray, top: int) -> np.ndarray:
    """Spread values over the integers ``0..top``; shape is kept."""
    low, high = float(values.min(initial=np.inf)), float(values.max(initial=-np.inf))
    if not high > low:
        return np.zeros(len(values))
    return np.rint((values.astype(np.float64) - low) / (high - low) * top)


def categories(column: pd.Series, weight: np.ndarray | None = None) -> tuple[list[str], np.ndarray]:
    """Give the names, most frequent first (ties by name), and the code of each cell (uint8, or uint16 where needed)."""
    counts = column.value_counts() if weight is None else pd.Series(weight, column.index).groupby(column).sum()
    names = sorted(counts.index, key=lambda n: (-float(counts[n]), str(n)))
    codes = pd.Categorical(column, categories=names).codes.astype(np.int64)
    return [str(n) for n in names], codes.astype("u1" if len(names) < 256 else "<u2")


def level(values: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Give a marker's levels (uint8 in ``0..15``) between its 1st and 99th percentile, and those two."""
    low, high = (float(q) for q in np.nanpercentile(values, [1, 99])) if len(values) else (0.0, 0.0)
    if not high > low:
        high = float(np.nanmax(values, initial=low))
    scaled = (np.nan_to_num(values) - low) / (high - low) if high > low else np.zeros(len(values))
    return np.clip(np.floor(scaled * LEVELS), 0, LEVELS - 1).astype(np.uint8), low, high


def sheet_fields(context: Context, samples: list[str]) -> list[dict]:
    """Give the sheet's columns with two or more labels: names, and the label of each sample (-1: blank)."""
    sheet = context.samples.drop_duplicates("sample").set_index("sample")
    found = []
    for key in SHEET:
        own = [str(sheet.loc[s, key]) if s in sheet.index else "" for s in samples]
        names = [n for n in labels(context.subjects()[key]) if n in own]
        names += sorted({n for n in own if n} - set(names))
        if len(names) > 1:
            found.append({"key": key, "names": names, "of": [names.index(n) if n in names else -1 for n in own]})
    return found


def _left_out(sketch: Sketch, placed: int, shown: int, markers: int, every: int) -> str:
    total, said = len(sketch.obs), []
    if placed < total:
        said.append(f"{total - placed} cells have no position")
    if shown < placed:
        said.append(f"{shown} of {placed} cells are drawn, thinned evenly")
    if every > 1 and markers:
        said.append(f"coloured by a marker, one cell in {every} is drawn")
    if markers < len(sketch.markers):
        said.append(f"{len(sketch.markers) - markers} markers are left out to keep the file small")
    return "; ".join(said)
