"""Negative-binomial tests of counts, and moderated t: against edgeR's and limma's ports where they are installed."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from scipy import stats as scipy_stats

from treset.errors import TresetError
from treset.stats import moderated_t, negative_binomial_f


def needs(package: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed (pip install treset[compare])")


def draw(seed: int, paired: bool, rows: int = 24, n: int = 6, fold: float = 0.0, dispersion: float = 0.08):
    """Counts (rows, 2 n), totals and design; the first row changes by ``fold`` (log2)."""
    rng = np.random.default_rng(seed)
    totals = rng.integers(800, 20_000, 2 * n)
    share = 0.02 * np.exp(rng.normal(0, 1, rows))
    own = np.tile(rng.normal(0, 0.3, (rows, n)), 2) if paired else np.zeros((rows, 2 * n))
    group = np.repeat([0.0, 1.0], n)
    mean = totals * share[:, None] * np.exp(own)
    mean[0] *= 2 ** (fold * group)
    counts = rng.negative_binomial(1 / dispersion, 1 / (1 + dispersion * mean))
    blocks = np.tile(np.eye(n), (2, 1)) if paired else np.ones((2 * n, 1))
    return counts, totals, np.column_stack([blocks, group])


@needs("pyedger")
@needs("edgepython")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("paired", [False, True])
def test_log10_p_is_that_of_edgepython(paired: bool):
    import edgepython

    counts, totals, design = draw(3, paired, fold=1.5)
    ours = negative_binomial_f(counts, totals, design)
    made = edgepython.make_dgelist(counts.astype(float), lib_size=totals.astype(float))
    # the dispersion is given: theirs is found on another grid
    fit = edgepython.glm_ql_fit(made, design, dispersion=ours.dispersion, abundance_trend=False, legacy=True)
    table = edgepython.glm_ql_ftest(fit, coef=design.shape[1] - 1)["table"]
    assert np.log10(ours.p_value) == pytest.approx(np.log10(table["PValue"].to_numpy()), abs=1e-6)
    assert ours.estimate == pytest.approx(table["logFC"].to_numpy(), abs=1e-6)


@needs("pylimma")
@pytest.mark.filterwarnings("ignore")
def test_log10_p_is_that_of_pylimma():
    import pylimma

    rng = np.random.default_rng(5)
    y = rng.normal(size=(60, 12)) * np.sqrt(6 / rng.chisquare(6, (60, 1)))
    design = np.column_stack([np.ones(12), np.repeat([0.0, 1.0], 6), rng.normal(size=12)])
    y[:4] += 2 * design[:, 1]
    theirs = pylimma.e_bayes(pylimma.lm_fit(y, design))
    p = np.asarray(theirs["p_value"])[:, 1]
    assert np.log10(moderated_t(y, design, coefficient=1).p_value) == pytest.approx(np.log10(p), abs=1e-6)


@needs("pyedger")
def test_a_fold_change_is_found_and_covered():
    covered, estimates = 0, []
    for seed in range(30):
        fit = negative_binomial_f(*draw(seed, paired=True, rows=12, fold=1.0))
        estimates.append(fit.estimate[0])
        covered += fit.lower[0] <= 1.0 <= fit.upper[0]
        assert fit.converged.all()
    assert np.mean(estimates) == pytest.approx(1.0, abs=0.1)
    # 95 % asked for: 24 or fewer of 30 has p < 0.001
    assert covered > 24


@needs("pyedger")
def test_null_p_values_are_uniform_and_order_does_not_matter():
    p = np.concatenate([negative_binomial_f(*draw(seed, paired=False)).p_value for seed in range(12)])
    assert scipy_stats.kstest(p, "uniform").pvalue > 0.001
    counts, totals, design = draw(1, paired=False)
    turned = np.random.default_rng(0).permutation(len(counts))
    again = negative_binomial_f(counts[turned], totals, design)
    assert again.p_value == pytest.approx(negative_binomial_f(counts, totals, design).p_value[turned], rel=1e-6)


@needs("pyedger")
def test_without_dispersion_it_is_the_poisson_model():
    """Never surer than counting alone: the likelihood ratio test of two Poisson totals, by hand."""
    rng = np.random.default_rng(4)
    totals = np.full(12, 10_000)
    counts = rng.poisson(200, (8, 12))
    design = np.column_stack([np.ones(12), np.repeat([0.0, 1.0], 6)])
    a, b = counts[:, :6].sum(axis=1), counts[:, 6:].sum(axis=1)
    ratio = 2 * (a * np.log(2 * a / (a + b)) + b * np.log(2 * b / (a + b)))
    assert (negative_binomial_f(counts, totals, design).p_value >= scipy_stats.chi2.sf(ratio, 1) - 1e-9).all()


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch):
    counts, totals, design = draw(0, paired=False)
    with pytest.raises(ValueError, match="at least 3 are needed"):
        negative_binomial_f(counts[:2], totals, design)
    with pytest.raises(ValueError, match="do not fit"):
        negative_binomial_f(counts, totals[:3], design)
    with pytest.raises(ValueError, match="0 or more"):
        negative_binomial_f(-counts - 1, totals, design)
    with pytest.raises(ValueError, match="full rank"):
        negative_binomial_f(counts, totals, design[:, [0, 0]])
    monkeypatch.setitem(__import__("sys").modules, "pyedger", None)
    with pytest.raises(TresetError, match=r"install treset\[edger\]"):
        negative_binomial_f(counts, totals, design)
