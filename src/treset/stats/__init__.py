"""Small pure functions on arrays: the statistics of the monitors."""

from treset.stats.censored import CensoredMean, censored_mean
from treset.stats.dose_response import DoseFit, fit_dose_response, fit_dose_responses, hook_doses, logistic4
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
from treset.stats.turnbull import MedianTime, Turnbull, median_time, turnbull
from treset.stats.weighted import precision_weights

__all__ = [
    "CensoredMean",
    "DoseFit",
    "Interval",
    "MedianTime",
    "ModeratedFit",
    "PairedT",
    "RankTest",
    "Turnbull",
    "bh",
    "censored_mean",
    "clopper_pearson",
    "fit_dose_response",
    "fit_dose_responses",
    "fit_f_dist",
    "hook_doses",
    "logistic4",
    "mann_whitney",
    "mann_whitney_attainable",
    "median_time",
    "moderated_t",
    "paired_t",
    "pairs_needed",
    "poisson_interval",
    "precision_weights",
    "squeeze_variances",
    "turnbull",
    "wilcoxon_signed_rank",
]
