"""The isotype of a B cell by its heavy-chain transcripts."""

from __future__ import annotations

import numpy as np

from treset import simulate
from treset.phenotype.isotypes import GENES, classes
from treset.profile import ISOTYPES
from treset.simulate.populations import LEAVES
from treset.simulate.rna import simulate_counts


def test_the_majority_of_the_transcripts_decides():
    """Counts by hand, scaled alike: IgM with a little soup; IgA; none; as many of both; IgD and IgM against IgG1."""
    counts = {
        "IGHM": [9, 0, 0, 2, 3], "IGHD": [4, 0, 0, 0, 3], "IGHG1": [1, 0, 0, 1, 5], "IGHA1": [1, 7, 0, 1, 0],
        "CD27": [0, 5, 2, 1, 0],
    }  # fmt: skip
    found = classes({gene: np.log1p(np.array(c, dtype=np.float32)) for gene, c in counts.items()})
    assert tuple(found) == ISOTYPES
    assert found[ISOTYPES[0]].tolist() == [True, False, False, False, True]
    assert found[ISOTYPES[1]].tolist() == [False, True, False, False, False]


def test_one_side_alone_tells_nothing():
    assert classes({"IGHM": np.ones(3)}) == {} and classes({"IGHG1": np.ones(3)}) == {}


def test_simulated_b_cells_have_the_isotype_of_their_kind():
    """Naive, transitional and unswitched memory against switched, double-negative and plasmablast, counts as drawn."""
    trial = simulate.plan("cart_lupus", modality="rna", events=1500, patients=1)
    counts = simulate_counts(trial, "P01_baseline")
    matrix = counts.matrix.toarray()
    columns = {g: np.log1p(matrix[:, counts.genes.index(g)].astype(np.float32)) for g in GENES if g in counts.genes}
    flags = classes(columns)
    for kinds, name in (
        (("B naive", "B transitional", "B unswitched memory"), ISOTYPES[0]),
        (("B switched memory", "B double negative", "Plasmablast"), ISOTYPES[1]),
    ):
        cells = (counts.kind == 0) & np.isin(counts.population, [LEAVES.index(kind) for kind in kinds])
        assert cells.sum() > 20 and flags[name][cells].mean() > 0.9
