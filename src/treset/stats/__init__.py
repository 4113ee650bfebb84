"""Small pure functions on arrays: the statistics of the monitors."""

from treset.stats.exact import Interval, clopper_pearson, poisson_interval
from treset.stats.moderated import ModeratedFit, PairedT, fit_f_dist, moderated_t, paired_t, squeeze_variances
from treset.stats.multiple import bh
from treset.stats.rank import (
    RankTest,
    mann_whitney,
    mann_whitney_attainable,
    pairs_needed,
    wilcoxon_signed_rank,
)

__all__ = [
    "Interval",
    "ModeratedFit",
    "PairedT",
    "RankTest",
    "bh",
    "clopper_pearson",
    "fit_f_dist",
    "mann_whitney",
    "mann_whitney_attainable",
    "moderated_t",
    "paired_t",
    "pairs_needed",
    "poisson_interval",
    "squeeze_variances",
    "wilcoxon_signed_rank",
]
