import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from treset.errors import TresetError
from treset.phenotype.consensus import consensus_labels, consensus_matrix, consensus_partitions

GROUPS = np.repeat([0, 1, 2], [12, 8, 5])
ITEMS = np.random.default_rng(0).normal(10.0 * np.eye(3)[GROUPS], 0.3)


def test_clear_groups_give_a_matrix_of_zeros_and_ones():
    matrix = consensus_matrix(ITEMS, 3, seed=1)
    assert np.array_equal(matrix, (GROUPS[:, None] == GROUPS).astype(float))


def test_the_matrix_is_that_of_monti_computed_pair_by_pair():
    items = np.random.default_rng(3).normal(size=(14, 2))
    generator = np.random.default_rng(9)
    together, drawn = np.zeros((14, 14)), np.zeros((14, 14))
    for _ in range(20):
        rows = np.sort(generator.choice(14, size=11, replace=False))
        labels = fcluster(linkage(items[rows], "average"), 4, "maxclust")
        for a, i in enumerate(rows):
            for b, j in enumerate(rows):
                drawn[i, j] += 1
                together[i, j] += labels[a] == labels[b]
    expected = together / drawn
    found = consensus_matrix(items, 4, repeats=20, share=0.8, seed=9)
    assert found == pytest.approx(expected)
    # uncertain pairs are what the matrix is for
    assert ((found > 0) & (found < 1)).any()


def test_labels_are_the_groups():
    labels = consensus_labels(ITEMS, 3, seed=2)
    assert len(set(zip(GROUPS.tolist(), labels.tolist(), strict=True))) == 3


def test_several_k_share_their_draws():
    both = consensus_partitions(ITEMS, [2, 3], repeats=30, seed=4)
    assert np.array_equal(both[3], consensus_labels(ITEMS, 3, repeats=30, seed=4))
    assert len(set(both[2].tolist())) == 2


@pytest.mark.parametrize("k", [1, 23])
def test_a_number_of_groups_that_a_draw_cannot_give_is_refused(k):
    with pytest.raises(TresetError, match="expected 2 to 22"):
        consensus_matrix(ITEMS, k)
