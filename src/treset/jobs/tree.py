"""The tree as the cohort and map jobs read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from treset.phenotype.protein import separates
from treset.phenotype.rna_sketch import PROTEIN
from treset.phenotype.rna_tree import study_tree
from treset.phenotype.tree import Node, resolve, spelling
from treset.study.faults import Collector
from treset.study.model import Population
from treset.study.populations import packaged, read_populations

if TYPE_CHECKING:
    from anndata import AnnData


def study_nodes(modality: str, populations: Sequence[Population], sketch: AnnData) -> list[Node]:
    """Resolve the study's tree against what the sketch measures.

    Where the sketch has surface protein and the study reads RNA by the tree that comes with treset, the cytometry tree
    is read on protein; a tree of the user's own is taken as it is.

    Parameters
    ----------
    modality, populations
        The study's.
    sketch
        Variables, and ``obsm["protein"]`` where every sample has it.
    """
    if modality != "rna":
        return resolve(populations, sketch.var_names, spelling(modality))
    if PROTEIN not in sketch.obsm:
        return study_tree(populations, sketch.var_names)
    default = tuple(populations) == _packaged("rna")
    table = sketch.obsm[PROTEIN]
    failed = [column for column in table if not separates(table[column].to_numpy(dtype=np.float64))]
    cytometry = _packaged("mass_cytometry") if default else ()
    return study_tree(populations, sketch.var_names, list(table), cytometry, failed)


def _packaged(modality: str) -> tuple[Population, ...]:
    faults = Collector()
    found = read_populations(packaged("populations", modality), faults)  # type: ignore[arg-type]
    return found or ()
