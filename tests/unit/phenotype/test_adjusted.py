"""The adjusted count takes back what the vote gets wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treset.compute import open_backend
from treset.phenotype.adjusted import adjusted, confusion
from treset.phenotype.map import majority


def test_two_groups_by_hand():
    # of A 10 % are voted B, of B 30 % are voted A; of 1,000 A and 500 B 1,050 and 450 votes: 900 + 150, 100 + 350
    table = np.array([[0.9, 0.3], [0.1, 0.7]])
    assert adjusted(np.array([1050.0, 450.0]), table) == pytest.approx([2 / 3, 1 / 3], abs=1e-6)


def test_a_vote_that_errs_nowhere_changes_nothing():
    assert adjusted(np.array([5.0, 0.0, 15.0]), np.eye(3)) == pytest.approx([0.25, 0.0, 0.75])


@given(
    st.lists(st.floats(0.01, 1.0), min_size=4, max_size=4),
    st.lists(st.floats(0.0, 0.1), min_size=12, max_size=12),
)
def test_it_inverts_the_confusion_and_stays_a_share(sizes, errors):
    true = np.array(sizes) / np.sum(sizes)
    table = np.zeros((4, 4))
    table[~np.eye(4, dtype=bool)] = errors
    table += np.diag(1.0 - table.sum(axis=0))
    found = adjusted(1e6 * table @ true, table)
    assert found.min() >= 0 and found.sum() == pytest.approx(1.0)
    assert found == pytest.approx(true, abs=2e-3)


def test_the_confusion_is_that_of_the_vote_of_the_others():
    # four cells on a line, A A B B: the second's neighbours are an A and a B, of which the nearer one counts
    label = np.array([0, 0, 1, 1])
    voted = majority(label[np.array([[1], [2], [1], [2]])], 2)
    table = confusion(label, voted, 2)
    assert table.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    # weights count cells, and a group that the sketch lacks stays what it is
    table = confusion(label, voted, 3, np.array([3.0, 1.0, 1.0, 1.0]))
    assert table[:, 0].tolist() == [0.75, 0.25, 0.0] and table[:, 2].tolist() == [0.0, 0.0, 1.0]


def test_two_normals_that_overlap_get_their_shares_back_whatever_the_sample_holds():
    generator, backend = np.random.default_rng(0), open_backend("cpu")

    def cells(large, small):
        label = np.repeat([0, 1], [large, small])
        return (generator.normal(size=(len(label), 2)) + 2.0 * label[:, None]).astype(np.float32), label

    x, label = cells(9_000, 1_000)
    table = confusion(label, majority(label[backend.knn(x, x, 6)[0][:, 1:]], 2), 2)
    for large, small in ((18_000, 2_000), (10_000, 10_000)):
        other, true = cells(large, small)
        votes = np.bincount(majority(label[backend.knn(x, other, 5)[0]], 2), minlength=2).astype(float)
        found = adjusted(votes, table)[1]
        assert abs(found / true.mean() - 1) < 0.04 < abs(votes[1] / votes.sum() / true.mean() - 1)
