import numpy as np
import pytest
from scipy import sparse

from treset.phenotype.signatures import gene_weights, score_genes, score_markers
from treset.study.model import Signature


def expression(seed=0, cells=400, genes=600):
    generator = np.random.default_rng(seed)
    return generator.poisson(generator.gamma(1.0, 1.0, genes), (cells, genes)).astype(np.float32)


def test_a_set_that_is_up_in_some_cells_scores_there_and_nowhere_else():
    x = expression()
    genes = [f"g{i}" for i in range(600)]
    x[:100, :8] += 3.0
    weights = gene_weights(Signature("s", genes=tuple(genes[:8])), genes, x.mean(axis=0), 0)
    score = score_genes(sparse.csr_matrix(x), weights)
    assert score[:100].mean() - score[100:].mean() == pytest.approx(3.0, abs=0.3)


def test_a_set_of_ordinary_genes_scores_near_zero():
    x = np.random.default_rng(1).poisson(np.linspace(0.2, 3.0, 2000), (400, 2000)).astype(np.float32)
    genes = [f"g{i}" for i in range(2000)]
    weights = gene_weights(Signature("s", genes=tuple(genes[::50])), genes, x.mean(axis=0), 0)
    assert weights.sum() == pytest.approx(0.0, abs=1e-9)
    assert abs(score_genes(sparse.csr_matrix(x), weights).mean()) < 0.1


def test_genes_that_should_be_low_count_negatively():
    genes = [f"g{i}" for i in range(600)]
    x = expression(2)
    mean = x.mean(axis=0)
    up = gene_weights(Signature("s", genes=("g1",)), genes, mean, 0)
    both = gene_weights(Signature("s", genes=("g1",), genes_down=("g2",)), genes, mean, 0)
    assert both[1] == pytest.approx(up[1], abs=0.05) and both[2] == pytest.approx(-1.0, abs=0.1)


def test_a_set_of_which_little_was_measured_is_not_scored_under_its_name():
    markers = {"HLA-DR": np.ones(3)}
    assert score_markers(Signature("s", markers=("CD25", "FOXP3", "HLA-DR")), markers) is None
    assert gene_weights(Signature("s", genes=("a", "X", "Y")), ["a", "b"], np.ones(2), 0) is None


def test_no_measured_gene_or_marker_is_no_score():
    assert gene_weights(Signature("s", genes=("X",)), ["a", "b"], np.ones(2), 0) is None
    assert score_markers(Signature("s", markers=("CD99",)), {"CD3": np.ones(3)}) is None


def test_a_marker_score_is_the_mean_of_those_measured():
    score = score_markers(Signature("s", markers=("CD25", "ICOS", "CD99")), {"CD25": np.ones(2), "ICOS": np.zeros(2)})
    assert score.tolist() == [0.5, 0.5]
