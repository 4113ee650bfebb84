"""Batches and samples of cells, and the thresholds that hold for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

#: (batch, sample) -> threshold; ("", "") is the pooled one, (batch, "") that of a batch.
Limits = Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class Labels:
    """Batches and samples of the cells as names and codes (n,), found once for all rules."""

    batches: tuple[str, ...]
    batch: np.ndarray
    samples: tuple[str, ...]
    sample: np.ndarray

    @classmethod
    def of(cls, batch: np.ndarray, sample: np.ndarray) -> Labels:
        """From the labels of each cell, (n,) each."""
        batches, samples = coded(batch), coded(sample)
        return cls(*batches, *samples)

    def limit(self, limits: Limits) -> np.ndarray | float:
        """Each cell's threshold (n,), or the one of all."""
        pooled = limits["", ""]
        by_batch = np.array([limits.get((name, ""), pooled) for name in self.batches])
        own = {name: value for (_, name), value in limits.items() if name}
        if not own:
            return by_batch[self.batch] if len(by_batch) > 1 else float(by_batch[0])
        by_sample = np.array([own.get(name, np.nan) for name in self.samples])[self.sample]
        has_own = np.array([name in own for name in self.samples])[self.sample]
        return np.where(has_own, by_sample, by_batch[self.batch])


def coded(labels: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Sorted names, and the code of each of (n,) labels.

    Quick where labels come in runs, sample after sample: only the first of each run is sorted.
    """
    if not len(labels):
        return (), np.zeros(0, dtype=np.int32)
    starts = np.flatnonzero(np.concatenate([[True], np.asarray(labels[1:] != labels[:-1], dtype=bool)]))
    names, codes = np.unique(labels[starts], return_inverse=True)
    return tuple(names.tolist()), np.repeat(codes.astype(np.int32), np.diff(np.append(starts, len(labels))))
