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
        batches, samples = _coded(batch), _coded(sample)
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


def _coded(labels: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    if len(labels) and (labels == labels[0]).all():  # a sample of its own, the usual case: no sorting of strings
        return (str(labels[0]),), np.zeros(len(labels), dtype=np.intp)
    names, codes = np.unique(labels, return_inverse=True)
    return tuple(names.tolist()), codes
