"""Trial statistics against R, scipy, statsmodels, published examples and hand calculation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from treset.stats import (
    ancova,
    equivalence_between,
    equivalence_paired,
    hazard_ratio,
    km_median,
    noise_band,
    random_effects,
    rate_ratio,
    reference_range,
    repeated_measures,
    spearman,
    time_averaged,
    wilcoxon_signed_rank,
)

# R metafor's dat.bcg (Colditz et al. 1994, doi:10.1001/jama.1994.03510330076038): tuberculosis yes and no,
# vaccinated and control
BCG = np.array(
    [
        (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761),
        (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232),
        (17, 1699, 65, 1600), (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825),
    ],
    dtype=float,
)  # fmt: skip


def bcg() -> tuple[np.ndarray, np.ndarray]:
    a, b, c, d = BCG.T
    return np.log(a / (a + b) / (c / (c + d))), 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)


def test_random_effects_are_those_of_metafor():
    # rma(yi, vi, data = escalc("RR", ...), test = "knha"), Viechtbauer 2010, doi:10.18637/jss.v036.i03
    reml = random_effects(*bcg())
    assert (reml.tau2, reml.estimate) == pytest.approx((0.3132, -0.7145), abs=5e-5)
    assert (reml.q, reml.i2) == pytest.approx((152.2330, 92.22), abs=5e-3)
    assert (reml.se, reml.lower, reml.upper) == pytest.approx((0.1808, -1.1084, -0.3206), abs=5e-5)
    assert reml.converged and reml.groups == 13
    dl = random_effects(*bcg(), tau="DL")
    assert (dl.tau2, dl.estimate, dl.i2) == pytest.approx((0.3088, -0.7141, 92.12), abs=5e-3)
    # metafor's Wald interval of DL is -1.0644 to -0.3638: the weights are the same
    wald = 1 / math.sqrt((1 / (bcg()[1] + dl.tau2)).sum())
    assert (dl.estimate - 1.959964 * wald, dl.estimate + 1.959964 * wald) == pytest.approx((-1.0644, -0.3638), abs=5e-5)


def test_equal_variances_give_the_t_test_of_the_means():
    # with equal weights Hartung-Knapp is the one-sample t test of the effects
    y = np.array([0.1, 0.5, 0.3, 0.9, -0.2])
    ours, theirs = random_effects(y, np.full(5, 0.04)), scipy_stats.ttest_1samp(y, 0)
    limits = theirs.confidence_interval()
    assert (ours.p_value, ours.lower, ours.upper) == pytest.approx((theirs.pvalue, limits.low, limits.high))
    # and REML = DerSimonian-Laird = variance of the means less the sampling variance
    assert ours.tau2 == pytest.approx(y.var(ddof=1) - 0.04)
    assert random_effects(y, np.full(5, 0.04), tau="DL").tau2 == pytest.approx(ours.tau2)


def test_homogeneous_groups_have_no_variance_between_and_one_group_is_not_pooled():
    found = random_effects([0.5, 0.51, 0.49], [1.0, 1.0, 1.0])
    assert found.tau2 == 0 and found.i2 == 0
    one = random_effects([0.5], [0.1])
    assert one.estimate == 0.5 and math.isnan(one.lower) and "one group" in one.note
    with pytest.raises(ValueError, match="variances above 0"):
        random_effects([0.5, 0.4], [0.1, 0.0])


@given(st.floats(-5, 5), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_a_shift_of_all_groups_shifts_the_summary(shift, seed):
    rng = np.random.default_rng(seed)
    y, v = rng.normal(size=6), rng.uniform(0.01, 0.5, 6)
    first, second = random_effects(y, v), random_effects(y + shift, v)
    assert second.estimate == pytest.approx(first.estimate + shift, abs=1e-6)
    assert (second.tau2, second.q) == pytest.approx((first.tau2, first.q), abs=1e-6)


def test_ancova_is_the_linear_model():
    from statsmodels.regression.linear_model import OLS

    rng = np.random.default_rng(0)
    base, arm = rng.normal(size=20), np.arange(20) < 8
    y = 0.4 * base + 0.5 * arm + rng.normal(0, 0.3, 20)
    theirs = OLS(y, np.column_stack([np.ones(20), arm, base])).fit()
    ours = ancova(y, base, arm)
    assert (ours.estimate, ours.se, ours.p_value) == pytest.approx((theirs.params[1], theirs.bse[1], theirs.pvalues[1]))
    assert (ours.lower, ours.upper) == pytest.approx(theirs.conf_int()[1]) and ours.df == 17
    # change and value at the visit are the same question once the baseline is in the model
    assert ancova(y - base, base, arm).estimate == pytest.approx(ours.estimate)


def test_ancova_says_what_it_cannot():
    flat = ancova([1.0, 2.0, 3.0, 5.0], [1.0] * 4, [True, True, False, False])
    assert flat.estimate == pytest.approx(-2.5) and "no spread" in flat.note and flat.df == 2
    assert not ancova([1.0, 2, 3], [1.0, 2, 3], [True, False, False]).converged
    perfect = ancova([2.0, 3, 1, 2], [1.0, 2, 1, 2], [True, True, False, False])
    assert perfect.estimate == pytest.approx(1) and math.isnan(perfect.p_value) and not perfect.converged
    assert "tells the groups apart" in ancova([1.0, 2, 3, 5], [1.0, 1, 0, 0], [True, True, False, False]).note
    with pytest.raises(ValueError, match="finite"):
        ancova([1.0, math.nan, 3, 5], [1.0, 1, 0, 0], [True, True, False, False])


def long(seed: int, between: float, n: int = 16, drop: int = 0):
    rng = np.random.default_rng(seed)
    patient, visit = np.repeat(np.arange(n), 3), np.tile(["a", "b", "c"], n)
    arm, base = patient < n // 2, np.repeat(rng.normal(size=n), 3)
    y = np.repeat(rng.normal(0, between, n), 3) + rng.normal(0, 0.3, 3 * n) + 0.4 * arm + 0.2 * base
    keep = np.sort(rng.permutation(3 * n)[drop:])
    return tuple(x[keep] for x in (y, visit, patient, base, arm))


def test_repeated_measures_are_those_of_statsmodels():
    from statsmodels.regression.mixed_linear_model import MixedLM

    y, visit, patient, base, arm = long(1, 0.4, drop=5)
    dummies = np.column_stack([visit == label for label in dict.fromkeys(visit.tolist())]).astype(float)
    design = np.column_stack([dummies, dummies * arm[:, None], base - base.mean()])
    theirs = MixedLM(y, design, groups=patient).fit(reml=True, method=["powell"])
    ours = repeated_measures(y, visit, patient, base, arm)
    labels = list(dict.fromkeys(visit.tolist()))
    assert [ours[v].estimate for v in labels] == pytest.approx(theirs.fe_params[3:6], abs=1e-4)
    assert [ours[v].se for v in labels] == pytest.approx(theirs.bse_fe[3:6], abs=1e-3)
    assert ours[None].estimate == pytest.approx(np.mean(theirs.fe_params[3:6]), abs=1e-4)
    assert all(found.converged and found.df == 13 for found in ours.values())


def test_complete_repeated_measures_average_is_the_ancova_of_the_means():
    # balanced data: the mean over the visits carries all information between patients
    y, visit, patient, base, arm = long(3, 0.5)
    mine = repeated_measures(y, visit, patient, base, arm)[None]
    means = [np.array([x[patient == p].mean() for p in range(16)]) for x in (y, base)]
    theirs = ancova(means[0], means[1], np.arange(16) < 8)
    assert (mine.estimate, mine.se, mine.p_value) == pytest.approx(
        (theirs.estimate, theirs.se, theirs.p_value), rel=1e-5
    )


def test_repeated_measures_at_the_limit_and_without_data():
    y, visit, patient, base, arm = long(0, 0.0)
    # take each patient's mean out: less spread between patients than within explains
    y = y - np.repeat([y[patient == p].mean() for p in range(16)], 3) + 0.4 * arm
    found = repeated_measures(y, visit, patient, base, arm)
    assert "at its limit 0" in found[None].note and found[None].estimate == pytest.approx(0.4)
    few = repeated_measures(
        y[visit == "a"], visit[visit == "a"], patient[visit == "a"], base[visit == "a"], arm[visit == "a"]
    )
    assert not few[None].converged and "at least 2 visits" in few[None].note and math.isnan(few[None].estimate)
    lone = repeated_measures(y, visit, patient, base, patient == 0)
    assert "at least 2 and 2" in lone["a"].note


def test_time_average_by_hand():
    # trapezoids 0-10: 5 * 1 = 5; 10-30: 20 * 1.5 = 30; over 30 days
    assert time_averaged([10, 30], [1.0, 2.0]) == pytest.approx(35 / 30)
    with pytest.raises(ValueError, match="increase"):
        time_averaged([10, 10], [1.0, 2.0])


def test_tost_p_values_are_those_of_scipy():
    rng = np.random.default_rng(2)
    d = rng.normal(0.05, 0.2, 14)
    ours = equivalence_paired(d, 0.3)
    assert ours.p_below == pytest.approx(scipy_stats.wilcoxon(d - 0.3, alternative="less", method="exact").pvalue)
    assert ours.p_above == pytest.approx(scipy_stats.wilcoxon(d + 0.3, alternative="greater", method="exact").pvalue)
    assert ours.p_value == max(ours.p_below, ours.p_above)
    x, y = rng.normal(0, 0.2, 9), rng.normal(0.1, 0.2, 11)
    both = equivalence_between(x, y, 0.4)
    assert both.p_below == pytest.approx(
        scipy_stats.mannwhitneyu(x - 0.4, y, alternative="less", method="exact").pvalue
    )
    assert both.p_above == pytest.approx(
        scipy_stats.mannwhitneyu(x + 0.4, y, alternative="greater", method="exact").pvalue
    )


@given(st.integers(0, 500), st.floats(0.05, 0.6))
@settings(max_examples=40, deadline=None)
def test_equivalence_is_the_90_percent_interval_inside_the_margin(seed, margin):
    d = np.random.default_rng(seed).normal(0, 0.4, 12)
    # exact levels differ from 5 %: ask the interval whose confidence is attained
    interval = wilcoxon_signed_rank(d, 0.90)
    level = (1 - interval.confidence) / 2
    inside = -margin < interval.lower and interval.upper < margin
    assert inside == (equivalence_paired(d, margin).p_value <= level + 1e-12)


def test_a_large_sample_uses_the_normal_approximation_and_errors_are_refused():
    d = np.random.default_rng(5).normal(0, 1, 200)
    ours = equivalence_paired(d, 0.3)
    assert ours.p_below == pytest.approx(scipy_stats.wilcoxon(d - 0.3, alternative="less").pvalue, rel=0.05)
    assert math.isnan(equivalence_paired([], 0.3).p_value)
    with pytest.raises(ValueError, match="above 0"):
        equivalence_paired(d, 0.0)


def test_rate_ratio_of_overdispersed_and_of_poisson_counts():
    from statsmodels.genmod.families import NegativeBinomial
    from statsmodels.genmod.generalized_linear_model import GLM

    # offsets: twice the time, half the rate
    rng = np.random.default_rng(0)
    arm = np.arange(60) < 30
    time = rng.uniform(0.5, 2, 60)
    counts = rng.poisson(rng.gamma(1.5, 1 / 1.5, 60) * np.where(arm, 1.5, 4) * time).astype(float)
    ours = rate_ratio(counts, time, arm)
    # the dispersion makes Pearson's statistic its degrees of freedom; given it, the model is the GLM of statsmodels
    dispersion = float(ours.note.split()[-1])
    design = np.column_stack([np.ones(60), arm]).astype(float)
    theirs = GLM(counts, design, NegativeBinomial(alpha=dispersion), offset=np.log(time)).fit()
    assert theirs.pearson_chi2 == pytest.approx(58, rel=0.02)
    assert (ours.estimate, ours.se) == pytest.approx((theirs.params[1], theirs.bse[1]), rel=0.01)
    assert ours.method.startswith("negative binomial") and ours.lower < math.log(1.5 / 4) < ours.upper
    even = rate_ratio([2, 2, 2, 2, 4, 4, 4, 4], [1.0] * 8, [True] * 4 + [False] * 4)
    assert even.estimate == pytest.approx(math.log(0.5)) and even.se == pytest.approx(math.sqrt(1 / 8 + 1 / 16))
    assert "no overdispersion" in even.method
    none = rate_ratio([0, 0, 3, 4], [1.0] * 4, [True, True, False, False])
    assert math.isnan(none.estimate) and "no event" in none.note


def test_log_rank_and_cox_on_freireichs_leukaemia_trial():
    # 6-MP against placebo, 21 pairs; Freireich et al. 1963. Log-rank chi-squared 16.79, R survival::survdiff; Cox with
    # Efron ties: coefficient -1.5721, se 0.4124, R survival::coxph
    mp = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    seen = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    placebo = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
    found = hazard_ratio(mp + placebo, seen + [1] * 21, [True] * 21 + [False] * 21)
    assert found.p_value == pytest.approx(scipy_stats.chi2.sf(16.79, 1), rel=5e-3)
    assert (found.estimate, found.se) == pytest.approx((-1.5721, 0.4124), abs=1e-4)
    assert km_median(mp, seen).time == 23 and km_median(placebo, [1] * 21).time == 8
    assert km_median([5, 6], [0, 0]).time == math.inf
    nobody = hazard_ratio([5, 6, 7, 8], [1, 1, 0, 0], [True, True, False, False])
    assert math.isnan(nobody.estimate) and nobody.p_value < 1 and "no hazard ratio" in nobody.note


def test_spearman_with_its_interval():
    # Bonett and Wright: z +- 1.96 sqrt((1 + r^2 / 2) / (n - 3)), by hand for r = 0.6, n = 28
    x = np.random.default_rng(0).normal(size=28)
    y = x + np.random.default_rng(1).normal(size=28)
    found = spearman(x, y)
    r = scipy_stats.spearmanr(x, y)
    assert (found.estimate, found.p_value) == pytest.approx((r.statistic, r.pvalue))
    half = 1.959964 * math.sqrt((1 + r.statistic**2 / 2) / 25)
    assert (found.lower, found.upper) == pytest.approx(
        (math.tanh(math.atanh(r.statistic) - half), math.tanh(math.atanh(r.statistic) + half))
    )
    assert math.isnan(spearman([1, 2, 3], [1, 2, 3]).estimate) and "no correlation" in spearman([1] * 6, range(6)).note
    assert "perfect" in spearman(range(6), range(6)).note


def test_noise_by_hand():
    # pairs 1, 2 and 4, 4: squares 0.5 + 0 on 2 df: s = 0.5; band = t(0.975, 2) sqrt(2) s
    noise = noise_band([[1.0, 2.0], [4.0, 4.0], [7.0]])
    assert (noise.sd, noise.df, noise.groups) == (0.5, 2, 2)
    assert noise.band == pytest.approx(4.302653 * math.sqrt(2) * 0.5)
    assert math.isnan(noise_band([[1.0]]).band)


def test_reference_range_by_hand():
    # 1..9: mean 5, s 2.7386, t(0.975, 8) = 2.3060
    low, high = reference_range(np.arange(1.0, 10.0))
    half = 2.306004 * 2.738613 * math.sqrt(10 / 9)
    assert (low, high) == pytest.approx((5 - half, 5 + half), abs=1e-5)
    with pytest.raises(ValueError, match="at least 2"):
        reference_range([1.0])
