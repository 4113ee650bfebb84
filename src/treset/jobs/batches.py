"""Batches levelled: one job learns, from the anchors or from all samples, one job a sample applies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from treset.clean.cycombine import Combined, apply_combined, combine_and_judge
from treset.clean.cytonorm import train_and_judge
from treset.clean.levelling import Levelling, level
from treset.errors import TresetError
from treset.io.files import atomic
from treset.io.h5ad import read_h5ad, write_h5ad
from treset.io.table import write_tsv

_ARRAYS = ("codes", "cluster", "quantiles", "goal", "markers")
_COMBINED = ("centre", "scale", "codes", "slope", "intercept", "low", "high", "markers")
#: Cells from which all samples together are levelled without anchors, the same number of each.
_MOST_CELLS = 200_000


def learn(
    samples: Sequence[Path], seed: int, model: Path, table: Path, method: str = "cytonorm",
    patients: Sequence[str] | None = None,
) -> None:  # fmt: skip
    """Learn the levelling from kept cells.

    Parameters
    ----------
    samples
        Prepared cells, of the anchors (``cytonorm``; those of one batch are put together) or of all samples
        (``cycombine``).
    seed
        The study's.
    model, table
        Written: the levelling, and what it does to each marker (``treset.clean.cytonorm.train_and_judge``).
    method
        ``cytonorm`` or ``cycombine``.
    patients
        Of each sample, for ``cycombine``. Default: every sample is a patient.

    Raises
    ------
    TresetError
        Too few batches, markers in common or cells.
    """
    values, batch, names = _read(samples)
    if method == "cycombine":
        rng, share = np.random.default_rng(seed), max(_MOST_CELLS // len(values), 1)
        drawn = [v if len(v) <= share else v[np.sort(rng.choice(len(v), share, False))] for v in values]
        learnt, rows = combine_and_judge(drawn, batch, names, seed, patients)
    else:
        together = {b: np.vstack([v for v, k in zip(values, batch, strict=True) if k == b]) for b in sorted(set(batch))}
        learnt, rows = train_and_judge(together, names, seed=seed)
    off = [name for name, used in zip(names, learnt.markers, strict=True) if not used]
    print(f"batches {', '.join(learnt.batches)}: {int(learnt.markers.sum())} of {len(names)} markers levelled")
    if off:
        print(f"left as they were, because the correction did not help: {', '.join(off)}")
    write_tsv(rows, table)
    _save(learnt, names, model)


def _read(samples: Sequence[Path]) -> tuple[list[np.ndarray], list[str], list[str]]:
    """Kept cells and batch of each sample, and the markers, which are the same in all."""
    values: list[np.ndarray] = []
    batch: list[str] = []
    names: list[str] = []
    for path in samples:
        cells = read_h5ad(path)
        own = list(cells.var_names.astype(str))
        names = names or own
        if set(own) != set(names):
            odd = sorted(set(own) ^ set(names))
            raise TresetError(f"{path}: the samples have different markers ({', '.join(odd)}); correct panel.tsv.")
        kept = cells.obs["keep"].to_numpy()
        batch.append(str(cells.obs["batch"].iloc[0]))
        values.append(np.asarray(cells[:, names].X, dtype=np.float64)[kept])
    return values, batch, names


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
        The sample's batch was not learnt, or it lacks a marker.
    """
    learnt, names = _load(model)
    cells = read_h5ad(prepared)
    if lacking := [name for name in names if name not in cells.var_names]:
        raise TresetError(f"{prepared}: lacks the markers {', '.join(lacking)} that are levelled; correct panel.tsv.")
    columns = cells.var_names.get_indexer(names)
    values = np.asarray(cells.X)
    levelled = values.copy()
    batch = str(cells.obs["batch"].iloc[0])
    if isinstance(learnt, Combined):
        done = apply_combined(values[:, columns], batch, learnt)
    else:
        done = level(values[:, columns], batch, learnt)
    levelled[:, columns] = done.astype(np.float32)
    # a marker that is not corrected keeps its very bytes
    untouched = columns[~learnt.markers]
    levelled[:, untouched] = values[:, untouched]
    cells.X = levelled
    write_h5ad(cells, out)


def _save(learnt: Levelling | Combined, names: Sequence[str], path: Path) -> None:
    wanted = _COMBINED if isinstance(learnt, Combined) else _ARRAYS
    arrays = {name: getattr(learnt, name) for name in wanted}
    with atomic(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, batches=np.array(learnt.batches), names=np.array(names), **arrays)


def _load(path: Path) -> tuple[Levelling | Combined, list[str]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            combined = "slope" in file.files
            arrays = {name: file[name] for name in (*(_COMBINED if combined else _ARRAYS), "batches", "names")}
    except (OSError, ValueError, KeyError) as error:
        raise TresetError(f"{path}: cannot be read ({error}); run the step that wrote it again.") from None
    names, batches = (tuple(map(str, arrays.pop(name))) for name in ("names", "batches"))
    return (Combined if combined else Levelling)(batches=batches, **arrays), list(names)
