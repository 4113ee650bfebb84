"""The sketch: a seeded, per-sample stratified subset that bounds the cohort job however many cells there are."""

from __future__ import annotations

import hashlib

import numpy as np


def sample_seed(seed: int, sample: str) -> int:
    """A seed of its own for each sample, so that a sample's draw does not depend on the other samples."""
    digest = hashlib.sha256(f"{seed}:{sample}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def allocate(available: dict[str, int], budget: int) -> dict[str, int]:
    """Share ``budget`` cells equally over samples; what a small sample cannot give goes to the others.

    Parameters
    ----------
    available
        Kept cells per sample.
    budget
        Cells wanted in all.

    Returns
    -------
    Cells to draw per sample, at most what is available, in all ``min(budget, sum(available))``.
    """
    shares: dict[str, int] = {}
    rest = min(budget, sum(available.values()))
    waiting = sorted(available, key=lambda sample: (available[sample], sample))
    for position, sample in enumerate(waiting):
        # the smallest come first: an equal share of what is left, rounded so that the sum is exact
        share = min(available[sample], rest // (len(waiting) - position))
        shares[sample] = share
        rest -= share
    return {sample: shares[sample] for sample in available}


def draw(n_cells: int, size: int, seed: int) -> np.ndarray:
    """``size`` different row numbers out of ``n_cells``, in order: (size,) int64."""
    return np.sort(np.random.default_rng(seed).choice(n_cells, size=min(size, n_cells), replace=False))
