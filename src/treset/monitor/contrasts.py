"""Which samples discovery compares, how they are paired, and the design of a formula."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from treset.monitor.common import NOT_EVALUABLE, Cohort, join, suggest
from treset.study.formula import InvalidFormula, check_formula, design_matrix, formula_columns
from treset.study.model import Contrast, DiscoveryMonitor

#: Fewest pairs (paired) or samples in each group (unpaired) with which a test is made.
MIN_REPLICATES = 3
PATIENT_COLUMNS = ("patient", "arm", "disease", "reference_samples", "test_samples", "call", "why")


@dataclass(frozen=True)
class Groups:
    """The samples compared: reference and test in the same order when paired.

    Attributes
    ----------
    reference, test
        Samples.
    paired
        Whether the n-th of both belong together.
    design, coefficient
        Of a formula: shape (reference + test samples, coefficients), and the tested column; None without a formula.
    treated
        Where the changes of two groups are compared: shape (pairs,), 1 in the test group and 0 in the reference; else
        None.
    """

    reference: tuple[str, ...]
    test: tuple[str, ...]
    paired: bool
    design: np.ndarray | None = None
    coefficient: int = -1
    treated: np.ndarray | None = None

    @property
    def full_design(self) -> tuple[np.ndarray, int]:
        """Design over all samples, reference first: that of the formula, a block for each pair, or two groups."""
        if self.design is not None:
            return self.design, self.coefficient
        n, group = len(self.reference), np.repeat([0.0, 1.0], [len(self.reference), len(self.test)])
        blocks = np.tile(np.eye(n), (2, 1)) if self.paired else np.ones((group.size, 1))
        if self.treated is not None:
            # the change of the reference group, and by how much that of the other differs from it
            return np.column_stack([blocks, group, group * np.tile(self.treated, 2)]), -1
        return np.column_stack([blocks, group]), -1


def unknown(cohort: Cohort, settings: DiscoveryMonitor) -> str:
    """Why the contrast cannot be made from this sheet, or ""."""
    columns = [str(name) for name in cohort.sheet.columns]
    between = settings.between
    if between is not None and (settings.formula or not settings.pair):
        return "between compares changes within pairs: set pair, and no formula"
    for column in (settings.column, None if settings.formula else settings.pair, between and between.column):
        if column is not None and column not in columns:
            return f"the sample sheet has no column {column!r}{suggest(column, columns)}"
    labels = _labels(cohort.sheet[settings.column], settings)
    for role, label in (("reference", settings.reference), ("test", settings.test)):
        if label == "":
            return f"the {role} label of column {settings.column} is not set"
        if label not in set(labels):
            return f"no sample has {settings.column} {label!r} ({role}){suggest(label, labels.unique())}"
    if settings.reference == settings.test:
        return f"reference and test are both {settings.test!r}"
    if between is not None:
        known = cohort.sheet[between.column].astype("str")
        for label in (between.reference, between.test):
            if label not in set(known):
                return f"no sample has {between.column} {label!r} (between){suggest(label, known.unique())}"
        if between.reference == between.test:
            return f"both groups of between are {between.test!r}"
    if settings.formula:
        try:
            check_formula(settings.formula, columns, settings.column)
        except InvalidFormula as wrong:
            return str(wrong)
    return ""


def _labels(column: pd.Series, settings: DiscoveryMonitor) -> pd.Series:
    """The column as labels; numbers take the spelling of the settings (dose 10.0 is the label ``10``)."""
    labels = column.astype("str")
    for label in (settings.reference, settings.test):
        try:
            same = pd.to_numeric(column, errors="coerce") == float(label)
        except ValueError:
            continue
        labels = labels.mask(same, label)
    return labels


def no_patients(cohort: Cohort, problem: str) -> pd.DataFrame:
    """Give every patient as not evaluable."""
    rows = [_who(cohort, str(p), [], [], NOT_EVALUABLE, problem) for p in cohort.patients.index]
    return pd.DataFrame(rows, columns=list(PATIENT_COLUMNS))


def _who(cohort: Cohort, patient: str, *rest: object) -> dict[str, object]:
    reference, test, call, why = rest
    return {
        "patient": patient, **cohort.patients.loc[patient].to_dict(), "reference_samples": ", ".join(reference),
        "test_samples": ", ".join(test), "call": call, "why": why,
    }  # fmt: skip


def groups(cohort: Cohort, settings: DiscoveryMonitor) -> tuple[Groups | None, pd.DataFrame, str]:
    """Pair the samples, or put them in groups.

    Returns
    -------
    The groups (None where there are too few samples, where the pairing is not unique or the formula's design is none),
    what became of each patient, and why there are no groups.
    """
    labels = _labels(cohort.sheet[settings.column], settings)
    if settings.formula:
        blocks, known = cohort.sheet["patient"].astype("str"), _complete(cohort.sheet, settings)
    else:
        blocks, known = cohort.sheet[settings.pair or "patient"].astype("str"), pd.Series(True, cohort.sheet.index)
    reference, test = [], []
    fates: dict[str, tuple[str, str]] = {}
    for block in blocks.unique():
        ours = blocks == block
        low = list(labels.index[ours & known & (labels == settings.reference)])
        high = list(labels.index[ours & known & (labels == settings.test)])
        fate = _fate(low, high, settings, str(block))
        if fate[0] == "left out" and (labels[ours & ~known].isin([settings.reference, settings.test])).any():
            fate = ("left out", f"no value of a column of the formula '{settings.formula}'")
        if fate[0] == "used" and settings.between is not None:
            fate = _of_a_group(cohort.sheet, low[0], high[0], settings.between)
        if fate[0] == "used":
            reference, test = reference + low, test + high
        for patient in cohort.sheet.loc[ours, "patient"].unique():
            fates[str(patient)] = fate
    patients = _fates(cohort, settings, labels, fates)
    if (patients["call"] == "ambiguous").any() or min(len(reference), len(test)) < MIN_REPLICATES:
        return None, patients, _too_few(patients, settings)
    if settings.between is not None:
        treated = (cohort.sheet.loc[test, settings.between.column].astype("str") == settings.between.test).to_numpy(
            float
        )
        least = int(min(treated.sum(), (1 - treated).sum()))
        if least < MIN_REPLICATES:
            return None, patients, f"{named(settings)}: {least} complete pairs in one group, {MIN_REPLICATES} needed"
        return Groups(tuple(reference), tuple(test), True, treated=treated), patients, ""
    if not settings.formula:
        return Groups(tuple(reference), tuple(test), settings.pair is not None), patients, ""
    rows = cohort.sheet.loc[[*reference, *test]]
    rows = rows.assign(**{settings.column: np.repeat([0.0, 1.0], [len(reference), len(test)])})
    try:
        matrix, at, _ = design_matrix(settings.formula, rows, settings.column)
    except InvalidFormula as wrong:
        return None, patients, str(wrong)
    return Groups(tuple(reference), tuple(test), False, matrix, at), patients, ""


def named(settings: DiscoveryMonitor) -> str:
    """Name the contrast, as ``D5 vs D0, drug vs placebo``."""
    between = settings.between
    groups = f", {between.test} vs {between.reference}" if between is not None else ""
    return f"{settings.test} vs {settings.reference}{groups}"


def _of_a_group(sheet: pd.DataFrame, low: str, high: str, between: Contrast) -> tuple[str, str]:
    """Whether a pair is of one of the two groups whose changes are compared."""
    first, second = (str(sheet.loc[sample, between.column]) for sample in (low, high))
    if first != second:
        return "left out", f"{between.column} is {first!r} in {low} and {second!r} in {high}"
    if first not in (between.reference, between.test):
        return "left out", f"{between.column} is {first!r}, not {between.reference} or {between.test}"
    return "used", ""


def _complete(sheet: pd.DataFrame, settings: DiscoveryMonitor) -> pd.Series:
    """Samples with a value in every column of the formula."""
    columns = list(check_formula(settings.formula, list(map(str, sheet.columns)), settings.column))
    values = sheet[columns]
    return values.notna().all(axis=1) & (values.astype("str") != "").all(axis=1)


def _fates(
    cohort: Cohort, settings: DiscoveryMonitor, labels: pd.Series, fates: dict[str, tuple[str, str]]
) -> pd.DataFrame:
    """What became of each patient."""
    rows = []
    for patient in cohort.patients.index:
        own = cohort.sheet["patient"] == patient
        call, why = fates.get(str(patient), ("left out", "no sample is used"))
        low, high = (list(labels.index[own & (labels == label)]) for label in (settings.reference, settings.test))
        rows.append(_who(cohort, str(patient), low, high, call, why))
    return pd.DataFrame(rows, columns=list(PATIENT_COLUMNS))


def _fate(low: list[str], high: list[str], settings: DiscoveryMonitor, block: str) -> tuple[str, str]:
    """Whether a block's samples are used, and why not."""
    if not low and not high:
        return "left out", f"no sample with {settings.column} {settings.reference} or {settings.test}"
    if settings.formula:
        if len(low) + len(high) == 1 or "patient" in formula_columns(settings.formula):
            return "used", ""
        listed = ", ".join(low + high)
        return "ambiguous", f"patient {block} has several samples ({listed}): add patient to the formula"
    if max(len(low), len(high)) > 1 or (settings.pair is None and low and high):
        listed = ", ".join(low + high)
        cure = "exclude all but one in the sheet" if settings.pair else "set pair, its samples are not independent"
        return "ambiguous", f"{settings.pair or 'patient'} {block} has several samples ({listed}): {cure}"
    if settings.pair is not None and not (low and high):
        missing = settings.test if low else settings.reference
        return "left out", f"no sample with {settings.column} {missing}"
    return "used", ""


def _too_few(patients: pd.DataFrame, settings: DiscoveryMonitor) -> str:
    if found := join(patients.loc[patients["call"] == "ambiguous", "why"]):
        return found
    paired = settings.pair and not settings.formula
    unit = "complete pairs" if paired else "samples in each group"
    used = int((patients["call"] == "used").sum())
    hint = f"; only {used} of {len(patients)} patients have both" if paired else ""
    return f"fewer than {MIN_REPLICATES} {unit} of {settings.reference} and {settings.test}{hint}"
