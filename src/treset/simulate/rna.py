"""Raw scRNA-seq counts of one planned sample: negative binomial, with doublets, dying cells and near-empty droplets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.sparse as sp

from treset.simulate.genes import GENE_OF_MARKER, expression_table, gene_names
from treset.simulate.panel import MARKERS
from treset.simulate.populations import LEAVES
from treset.simulate.trial import Trial, draw_counts, generator

#: Median counts of a living cell, between-cell s.d. of their log, and factors by leaf (platelets are small).
_DEPTH, _DEPTH_SD = 4_000.0, 0.30
_SMALL = {"Platelets": 0.35}
#: Negative binomial: variance = mean + mean^2 * dispersion.
_DISPERSION = 0.15
#: s.d. of the log mitochondrial share between living cells, and what dying cells keep of their counts.
_MITO_SD = 0.30
_DYING_MITO, _DYING_DEPTH = (0.30, 0.70), 0.5
#: Near-empty droplets hold this many counts of ambient RNA.
_AMBIENT = 120.0


@dataclass(frozen=True)
class Counts:
    """The barcodes of a file and what they are; see ``cytometry.Events``."""

    matrix: sp.csr_matrix
    barcodes: list[str]
    genes: list[str]
    kind: np.ndarray
    population: np.ndarray
    partner: np.ndarray


@lru_cache(maxsize=2)
def _assay(genes: int) -> tuple[tuple[str, ...], np.ndarray]:
    names = gene_names(genes)
    table = expression_table(names)
    table.flags.writeable = False
    return tuple(names), table


def simulate_counts(trial: Trial, sample: str) -> Counts:
    """Draw the counts of one sample.

    Parameters
    ----------
    trial
        The trial; its plan of the sample gives composition and effects (on the gene of a marker).
    sample
        One of its samples.
    """
    plan = trial.plans[sample]
    names, table = _assay(trial.parameters["genes"])
    kinds, leaves = draw_counts(trial, sample)
    cells, doublets, debris, dead, _ = kinds
    rng = generator(trial.seed, "counts of genes", sample)
    shares = _shares(trial, plan.batch, table, plan.folds, names)
    mito = np.array([name.startswith("MT-") for name in names])

    more = rng.choice(len(LEAVES), size=doublets + debris + dead, p=plan.composition)
    first = np.concatenate([np.repeat(np.arange(len(LEAVES)), leaves), more])
    second = rng.choice(len(LEAVES), size=doublets, p=plan.composition)
    expected = _cells(rng, shares, first, mito)
    expected[cells : cells + doublets] += _cells(rng, shares, second, mito)
    ambient = plan.composition @ shares
    empty = slice(cells + doublets, cells + doublets + debris)
    expected[empty] = _AMBIENT * np.exp(rng.normal(0, 0.4, (debris, 1))) * ambient
    _die(rng, expected[cells + doublets + debris :], mito)

    noise = rng.gamma(1 / _DISPERSION, _DISPERSION, expected.shape)
    counts = rng.poisson(expected * noise).astype(np.int32)
    kind = np.repeat(np.arange(5), kinds)
    population = np.where(kind == 2, -1, first)
    partner = np.full(len(kind), -1)
    partner[cells : cells + doublets] = second
    order = rng.permutation(len(kind))
    return Counts(
        matrix=sp.csr_matrix(counts[order]),
        barcodes=_barcodes(rng, len(kind)),
        genes=list(names),
        kind=kind[order],
        population=population[order],
        partner=partner[order],
    )


def _shares(trial: Trial, batch: str, table: np.ndarray, folds: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Shares of counts by gene with this sample's effects and this batch's gains; shape (leaves, genes)."""
    shares = table.copy()
    for marker, gene in GENE_OF_MARKER.items():
        shares[:, names.index(gene)] *= folds[:, MARKERS.index(marker)]
    gains = generator(trial.seed, "batch of genes", batch).normal(0, trial.parameters["batch_sd"], len(names))
    shares *= np.exp(gains)
    return shares / shares.sum(axis=1, keepdims=True)


def _cells(rng: np.random.Generator, shares: np.ndarray, leaves: np.ndarray, mito: np.ndarray) -> np.ndarray:
    """Expected counts of living cells; shape (cells, genes)."""
    small = np.array([_SMALL.get(leaf, 1.0) for leaf in LEAVES])[leaves]
    depth = _DEPTH * small * np.exp(rng.normal(0, _DEPTH_SD, len(leaves)))
    expected = shares[leaves] * depth[:, None]
    expected[:, mito] *= np.exp(rng.normal(0, _MITO_SD, (len(leaves), 1)))
    return expected


def _die(rng: np.random.Generator, expected: np.ndarray, mito: np.ndarray) -> None:
    """Turn cells into dying ones: cytoplasm lost, mitochondria left. Changes ``expected``."""
    total = expected.sum(axis=1, keepdims=True) * _DYING_DEPTH
    share = rng.uniform(*_DYING_MITO, (len(expected), 1))
    for part, of_it in ((mito, share), (~mito, 1 - share)):
        block = expected[:, part]
        expected[:, part] = block / block.sum(axis=1, keepdims=True) * total * of_it


def _barcodes(rng: np.random.Generator, count: int) -> list[str]:
    """Draw distinct 16-base barcodes with the suffix of Cell Ranger."""
    codes: dict[str, None] = {}
    while len(codes) < count:
        bases = np.array(list("ACGT"))[rng.integers(0, 4, (count - len(codes), 16))]
        codes |= dict.fromkeys("".join(row) + "-1" for row in bases)
    return list(codes)
