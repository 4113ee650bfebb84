"""Small pure functions on arrays: the statistics of the monitors."""

from treset.stats.equivalence import Equivalence, equivalence_between, equivalence_paired
from treset.stats.estimate import Estimate, from_t, no_estimate
from treset.stats.exact import Interval, clopper_pearson, poisson_interval
from treset.stats.linear import ancova
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

__all__ = [
    "Equivalence",
    "Estimate",
    "Interval",
    "ModeratedFit",
    "Noise",
    "PairedT",
    "Pooled",
    "RankTest",
    "ancova",
    "bh",
    "clopper_pearson",
    "equivalence_between",
    "equivalence_paired",
    "fit_f_dist",
    "from_t",
    "hazard_ratio",
    "km_median",
    "mann_whitney",
    "mann_whitney_attainable",
    "moderated_t",
    "no_estimate",
    "noise_band",
    "paired_t",
    "pairs_needed",
    "poisson_interval",
    "random_effects",
    "rate_ratio",
    "reference_range",
    "repeated_measures",
    "spearman",
    "squeeze_variances",
    "time_averaged",
    "wilcoxon_signed_rank",
]
