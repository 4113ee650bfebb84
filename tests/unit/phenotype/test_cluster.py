import numpy as np
import pytest

from treset.compute import open_backend
from treset.errors import TresetError
from treset.phenotype.cluster import cluster_cells, metaclusters, overcluster
from treset.phenotype.stability import STABILITY_COLUMNS, adjusted_rand
from treset.study.model import Cohort

CPU = open_backend("cpu")


@pytest.fixture(scope="module")
def blobs():
    generator = np.random.default_rng(3)
    label = np.repeat(np.arange(5), [400, 300, 200, 100, 40])
    x = generator.normal(8.0 * np.eye(6)[label], 0.5).astype(np.float32)
    return x, label, CPU.graph(x, 15, 0)


def test_a_fixed_resolution_is_used_and_no_stability_is_claimed(blobs):
    x, label, graph = blobs
    found = cluster_cells(x, graph, Cohort(resolution=0.05), CPU, 0)
    assert adjusted_rand(found.labels, label) == 1.0
    assert list(found.stability.columns) == STABILITY_COLUMNS
    assert np.isnan(found.stability.loc[0, "ari_mean"]) and not found.stability.loc[0, "stable"]


def test_auto_takes_a_resolution_at_which_the_real_groups_come_back(blobs):
    x, label, graph = blobs
    found = cluster_cells(x, graph, Cohort(), CPU, 0)
    row = found.stability[found.stability["chosen"]].iloc[0]
    assert row["stable"] and row["setting"] == found.setting and row["ari_mean"] >= 0.8
    # clusters may cut a group but never join two
    assert all(len(set(label[found.labels == k].tolist())) == 1 for k in range(found.labels.max() + 1))
    again = cluster_cells(x, graph, Cohort(), CPU, 0)
    assert again.labels.tobytes() == found.labels.tobytes() and again.stability.equals(found.stability)


def test_metaclusters_are_the_groups_and_repeat(blobs):
    x, label, graph = blobs
    found = cluster_cells(x, graph, Cohort(algorithm="som", metaclusters=5), CPU, 0)
    assert adjusted_rand(found.labels, label) == 1.0
    assert np.bincount(found.labels).tolist() == [400, 300, 200, 100, 40]
    one, two = metaclusters(x, [5, 9], CPU, 4), metaclusters(x, [5, 9], CPU, 4)
    assert one[9.0].tobytes() == two[9.0].tobytes()


def test_too_many_clusters_name_the_setting_to_change(blobs):
    x, _, graph = blobs
    with pytest.raises(TresetError, match=r"max_clusters = 2: lower cohort\.resolution \(used: 1\)"):
        cluster_cells(x, graph, Cohort(resolution=1.0, max_clusters=2), CPU, 0)
    with pytest.raises(TresetError, match=r"lower cohort\.metaclusters \(used: 9\)"):
        cluster_cells(x, graph, Cohort(algorithm="som", metaclusters=9, max_clusters=2), CPU, 0)


def test_overclustering_leaves_no_group_mixed_and_can_be_left_out(blobs):
    x, label, _ = blobs
    node = overcluster(x, 20, CPU, 0)
    # 1,040 cells hold a map of 7 x 7 at twenty cells a node
    assert node is not None and len(set(node.tolist())) <= 49
    assert all(len(set(label[node == k].tolist())) == 1 for k in set(node.tolist()))
    assert overcluster(x, 0, CPU, 0) is None and overcluster(x[:50], 20, CPU, 0) is None
