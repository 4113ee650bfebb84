"""Scores of gene and marker sets."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

import numpy as np
from scipy import sparse

from treset.study.model import Signature

#: A signature of which less than this share was measured is not scored: it would be another signature under its name.
MIN_SHARE = 0.5


def measured(names: Sequence[str], available: Container[str]) -> list[str] | None:
    """The names that were measured; None when they are too few to stand for the set."""
    present = [name for name in names if name in available]
    return present if present and len(present) >= MIN_SHARE * len(names) else None


def gene_weights(
    signature: Signature, genes: Sequence[str], mean: np.ndarray, seed: int, *, bins: int = 25, controls: int = 50
) -> np.ndarray | None:
    """Weights of a gene score: its genes against controls of like expression.

    Tirosh 2016 (doi:10.1126/science.aad0501), as scanpy's ``score_genes``: mean of the set minus mean of ``controls``
    genes drawn from each of its genes' bins of mean expression; genes that should be low count negatively in the same
    way.

    Parameters
    ----------
    signature
        ``genes`` and ``genes_down``.
    genes, mean
        (p,) names and mean log-normalised expression in the sketch.
    seed
        Draws the controls.

    Returns
    -------
    (p,) float64 such that ``X @ weights`` is the score; None when less than half of the genes was measured.
    """
    index = {gene: i for i, gene in enumerate(genes)}
    if measured(signature.genes, index) is None:
        return None
    total = np.zeros(len(genes))
    rank = np.argsort(np.argsort(mean, kind="stable"), kind="stable")
    bin_of = rank * bins // max(len(genes), 1)
    generator = np.random.default_rng(seed)
    for names, sign in ((signature.genes, 1.0), (signature.genes_down, -1.0)):
        members = np.array([index[g] for g in names if g in index], dtype=int)
        if not len(members):
            continue
        chosen: set[int] = set()
        for b in sorted(set(bin_of[members].tolist())):
            pool = np.setdiff1d(np.flatnonzero(bin_of == b), members)
            chosen.update(generator.choice(pool, size=min(controls, len(pool)), replace=False).tolist())
        total[members] += sign / len(members)
        if chosen:
            total[sorted(chosen)] -= sign / len(chosen)
    return total


def score_genes(x: sparse.csr_matrix, weights: np.ndarray) -> np.ndarray:
    """Score of every cell: (n,) float64."""
    return np.asarray(x @ weights).ravel()


def score_markers(signature: Signature, columns: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Mean of the signature's measured markers per cell: (n,); None when less than half of them was measured."""
    present = measured(signature.markers, columns)
    return np.mean([columns[m] for m in present], axis=0) if present else None
