import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from treset.phenotype.stability import adjusted_rand, choose, stability, weighted_rand

labels = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=60)


@given(labels)
def test_the_adjusted_rand_index_is_that_of_scikit_learn(pairs):
    a, b = np.array(pairs).T
    assert adjusted_rand(a, b) == pytest.approx(adjusted_rand_score(a, b), abs=1e-12)


def test_the_example_of_hubert_and_arabie_by_hand():
    # table [[2, 1], [0, 2]] of 5 cells: pairs 2, rows 3 + 1, columns 1 + 3, of 10: (2 - 1.6) / (4 - 1.6)
    assert adjusted_rand(np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 1])) == pytest.approx(0.4 / 2.4)


def test_a_weight_of_two_is_a_cell_counted_twice():
    a, b = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 0])
    weight = np.array([2, 1, 1, 2, 1])
    assert weighted_rand(a, b, weight.astype(float)) == pytest.approx(
        adjusted_rand(np.repeat(a, weight), np.repeat(b, weight))
    )


def test_real_groups_are_stable_and_random_splits_are_not():
    truth = np.repeat([0, 1], 200)

    def clusterer(rows, seed):
        split = np.random.default_rng(seed).integers(0, 2, len(rows))
        return {1.0: truth[rows], 2.0: truth[rows] * 2 + split}

    table = stability(400, clusterer, [1.0, 2.0], repeats=4, share=0.8, seed=0).set_index("setting")
    assert table.loc[1.0, "ari_mean"] == 1.0
    # two halves split at random: by hand about (p - e) / (m - e) with p = 1/8, m = 1/4, e = 1/16 of all pairs
    assert table.loc[2.0, "ari_mean"] == pytest.approx(1 / 3, abs=0.05)
    assert table["pairs"].tolist() == [6, 6] and table["clusters"].tolist() == [2, 4]


def table(*rows):
    return pd.DataFrame(rows, columns=["setting", "clusters", "ari_mean", "ari_min", "pairs"])


def test_the_finest_stable_setting_is_chosen():
    done = choose(table((1.0, 9, 0.95, 0.9, 3), (0.5, 5, 0.99, 0.9, 3), (2.0, 20, 0.7, 0.6, 3)), 0.8)
    assert done.loc[done["chosen"], "setting"].tolist() == [1.0]
    assert done["stable"].tolist() == [True, True, False]


def test_where_none_is_stable_the_best_is_taken_and_said():
    done = choose(table((0.5, 5, 0.5, 0.4, 3), (1.0, 9, 0.6, 0.5, 3)), 0.8)
    assert done.loc[done["chosen"], "setting"].tolist() == [1.0]
    assert done["note"].iloc[1] == "none reaches a mean ARI of 0.8: the most stable was taken"


def test_one_cluster_agrees_with_itself_and_is_not_a_choice():
    done = choose(table((0.1, 1, 1.0, 1.0, 3), (1.0, 4, 0.5, 0.4, 3)), 0.8)
    assert done.loc[done["chosen"], "setting"].tolist() == [1.0]
