"""Batches levelled by anchors: one job learns, one job a sample applies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from treset.clean.cytonorm import train_and_judge
from treset.clean.levelling import Levelling, level
from treset.errors import TresetError
from treset.io.files import atomic
from treset.io.h5ad import read_h5ad, write_h5ad
from treset.io.table import write_tsv

_ARRAYS = ("codes", "cluster", "quantiles", "goal", "markers")


def learn(anchors: Sequence[Path], seed: int, model: Path, table: Path) -> None:
    """Learn the levelling from the anchors' kept cells.

    Parameters
    ----------
    anchors
        Prepared cells of the anchors; those of one batch are put together.
    seed
        The study's.
    model, table
        Written: the levelling, and what it does to each marker (``treset.clean.cytonorm.train_and_judge``).

    Raises
    ------
    TresetError
        Too few batches, markers in common or cells.
    """
    values: dict[str, list[np.ndarray]] = {}
    names: list[str] = []
    for path in anchors:
        cells = read_h5ad(path)
        own = list(cells.var_names.astype(str))
        names = names or own
        if set(own) != set(names):
            odd = sorted(set(own) ^ set(names))
            raise TresetError(f"{path}: the anchors have different markers ({', '.join(odd)}); correct panel.tsv.")
        kept = cells.obs["keep"].to_numpy()
        batch = str(cells.obs["batch"].iloc[0])
        values.setdefault(batch, []).append(np.asarray(cells[:, names].X, dtype=np.float64)[kept])
    learnt, rows = train_and_judge(
        {batch: np.vstack(parts) for batch, parts in sorted(values.items())}, names, seed=seed
    )
    off = [name for name, used in zip(names, learnt.markers, strict=True) if not used]
    print(f"batches {', '.join(learnt.batches)}: {int(learnt.markers.sum())} of {len(names)} markers levelled")
    if off:
        print(f"left as they were, because the correction did not help: {', '.join(off)}")
    write_tsv(rows, table)
    _save(learnt, names, model)


def apply(prepared: Path, model: Path, out: Path) -> None:
    """Level one sample.

    Parameters
    ----------
    prepared
        Its prepared cells.
    model
        As `learn` wrote it.
    out
        Written: the same cells, ``X`` levelled (``layers["raw"]`` is not touched).

    Raises
    ------
    TresetError
        The sample's batch has no anchor, or it lacks a marker.
    """
    learnt, names = _load(model)
    cells = read_h5ad(prepared)
    if lacking := [name for name in names if name not in cells.var_names]:
        raise TresetError(f"{prepared}: lacks the markers {', '.join(lacking)} of the anchors; correct panel.tsv.")
    columns = cells.var_names.get_indexer(names)
    values = np.asarray(cells.X)
    levelled = values.copy()
    levelled[:, columns] = level(values[:, columns], str(cells.obs["batch"].iloc[0]), learnt).astype(np.float32)
    # a marker that is not corrected keeps its very bytes
    untouched = columns[~learnt.markers]
    levelled[:, untouched] = values[:, untouched]
    cells.X = levelled
    write_h5ad(cells, out)


def _save(learnt: Levelling, names: Sequence[str], path: Path) -> None:
    arrays = {name: getattr(learnt, name) for name in _ARRAYS}
    with atomic(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, batches=np.array(learnt.batches), names=np.array(names), **arrays)


def _load(path: Path) -> tuple[Levelling, list[str]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in (*_ARRAYS, "batches", "names")}
    except (OSError, ValueError, KeyError) as error:
        raise TresetError(f"{path}: cannot be read ({error}); run the step that wrote it again.") from None
    names, batches = (tuple(map(str, arrays.pop(name))) for name in ("names", "batches"))
    return Levelling(batches=batches, **arrays), list(names)
