"""Small pure functions on arrays: the statistics of the monitors."""

from treset.stats.censored import CensoredMean, censored_mean
from treset.stats.counts import CountFit, negative_binomial_f
from treset.stats.dose_response import DoseFit, fit_dose_response, fit_dose_responses, hook_doses, logistic4
from treset.stats.equivalence import Equivalence, equivalence_between, equivalence_paired
from treset.stats.estimate import Estimate, from_t, no_estimate
from treset.stats.exact import Interval, clopper_pearson, poisson_interval
from treset.stats.linear import ancova, linear_model
from treset.stats.meta import Pooled, random_effects
from treset.stats.mixed import repeated_measures, time_averaged
from treset.stats.moderated import ModeratedFit, PairedT, fit_f_dist, moderated_t, paired_t, squeeze_variances
from treset.stats.multiple import bh
from treset.stats.noise import Noise, noise_band, reference_range
from treset.stats.outcomes import hazard_ratio, km_median, rate_ratio, spearman
from treset.stats.rank import (
    RankTest,
    mann_whitney,
    mann_whitney_attainable,
    pairs_needed,
    wilcoxon_signed_rank,
)
from treset.stats.turnbull import MedianTime, Turnbull, median_time, turnbull
from treset.stats.weighted import precision_weights

__all__ = [
    "CensoredMean",
    "CountFit",
    "DoseFit",
    "Equivalence",
    "Estimate",
    "Interval",
    "MedianTime",
    "ModeratedFit",
    "Noise",
    "PairedT",
    "Pooled",
    "RankTest",
    "Turnbull",
    "ancova",
    "bh",
    "censored_mean",
    "clopper_pearson",
    "equivalence_between",
    "equivalence_paired",
    "fit_dose_response",
    "fit_dose_responses",
    "fit_f_dist",
    "from_t",
    "hazard_ratio",
    "hook_doses",
    "km_median",
    "linear_model",
    "logistic4",
    "mann_whitney",
    "mann_whitney_attainable",
    "median_time",
    "moderated_t",
    "negative_binomial_f",
    "no_estimate",
    "noise_band",
    "paired_t",
    "pairs_needed",
    "poisson_interval",
    "precision_weights",
    "random_effects",
    "rate_ratio",
    "reference_range",
    "repeated_measures",
    "spearman",
    "squeeze_variances",
    "time_averaged",
    "turnbull",
    "wilcoxon_signed_rank",
]
