"""A blinded study: arms become codes at the door, so that no job downstream ever reads their names.

The codes keep names out of sight; they are no cipher. Whoever holds the sample sheet can tell the arms apart.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from treset.study.faults import Collector, place, shown
from treset.study.model import Contrast, Monitors, Study
from treset.study.sheet import COLUMNS

_CODE = re.compile(r"arm [A-Z]+")
#: Columns of the sheet whose text becomes folders, labels and rows: they must not name an arm.
_IDS = ("sample", "patient", "visit", "batch")


def arm_codes(samples: pd.DataFrame) -> dict[str, str]:
    """Give each arm of a sheet its code, ``arm A``, ``arm B`` ...

    Parameters
    ----------
    samples
        In the form of ``Study.samples``.

    Returns
    -------
    Label -> code, in the order of the codes. The order is that of a hash of the allocation, so that it follows neither
    the alphabet nor the sheet's order, and the same sheet gives the same codes. Labels that are codes stay.
    """
    arms = sorted({str(arm) for arm in samples["arm"]} - {""})
    if all(_CODE.fullmatch(arm) for arm in arms):
        return {arm: arm for arm in arms}
    pairs = sorted(set(zip(samples["patient"].astype(str), samples["arm"].astype(str), strict=True)))

    def key(arm: str) -> str:
        return hashlib.sha256(repr((arm, pairs)).encode()).hexdigest()

    return {arm: f"arm {_letters(number)}" for number, arm in enumerate(sorted(arms, key=key))}


def _letters(number: int) -> str:
    """A, B, ... Z, AA, AB ..."""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


class Words:
    """Finds the names of arms in text, as whole words in any case, and puts ``[arm]`` in their place.

    The code itself would not do: "interleukin against arm A" says what arm A is.
    """

    def __init__(self, arms: Iterable[str]) -> None:
        self.arms = [arm for arm in arms if arm and not _CODE.fullmatch(arm)]
        # an underscore parts words: il2_placebo names the arm placebo
        inside = "|".join(re.escape(arm) for arm in sorted(self.arms, key=len, reverse=True)) or r"(?!)"
        self.pattern = re.compile(rf"(?<![^\W_])(?:{inside})(?![^\W_])", re.IGNORECASE)

    def within(self, text: object) -> bool:
        """Whether a text names an arm."""
        return self.pattern.search(str(text)) is not None

    def replace(self, text: str) -> str:
        """The text without the arms' names."""
        return self.pattern.sub("[arm]", text)


def check_blind(study: str, sheet: pd.DataFrame, file: Path, config_file: Path, faults: Collector) -> None:
    """Refuse ids that name an arm, since they would unblind every file and figure; warn of the study's name.

    Parameters
    ----------
    study
        The study's name.
    sheet
        In the form of ``Study.samples``.
    file, config_file
        The sheet and the config, for the place of a fault.
    faults
        Receives the sentences.
    """
    words = Words(arm_codes(sheet))
    for column in _IDS:
        named = [value for value in dict.fromkeys(sheet[column]) if words.within(value)]
        if named:
            what = f"'{named[0]}'" + (f" and {len(named) - 1} more name" if len(named) > 1 else " names")
            sentence = f"{what} an arm, and the study is blinded: choose names that do not tell the arm"
            faults.add(place(file, None, column), sentence)
    if words.within(study):
        faults.warn(
            shown(config_file), f"the study's name '{study}' holds the name of an arm, and the study is blinded"
        )


def blind_study(study: Study) -> Study:
    """Give a blinded study without the names of its arms; an open one, and one blinded before, is unchanged.

    Arms become codes (`arm_codes`). Doses of samples without stimulus (the drug's) are blanked, and so is every
    covariate that tells the arms apart. What would say which code is the reference (``reference_arm``, contrasts
    between arms) is taken out of the monitors' settings, and so are the arms' names out of the title, the warnings and
    the covariates (``[arm]``).
    """
    if not study.blinded:
        return study
    codes = arm_codes(study.samples)
    words, telling = Words(codes), telling_columns(study.samples)
    samples = study.samples.copy()
    for column in [c for c in samples.columns if c not in COLUMNS or c == "exclude"]:
        if pd.api.types.is_string_dtype(samples[column]) or samples[column].dtype == object:
            samples[column] = samples[column].map(lambda v: words.replace(v) if isinstance(v, str) else v)
    for column in telling:
        samples[column] = "" if not pd.api.types.is_numeric_dtype(samples[column]) else np.nan
    samples["arm"] = samples["arm"].map(lambda arm: codes.get(str(arm), str(arm)))
    samples["dose"] = samples["dose"].where(samples["stimulus"].astype(str) != "")
    return replace(
        study,
        title=words.replace(study.title),
        samples=samples,
        monitors=_neutral(study.monitors, {"arm", *telling}, sorted(codes.values())),
        warnings=tuple(words.replace(warning) for warning in study.warnings),
        simulate=None if words.within(study.simulate) else study.simulate,
    )


def telling_columns(samples: pd.DataFrame) -> list[str]:
    """Covariates whose labels are each found in one arm only, and shared by patients: another name of the arm."""
    known = samples[samples["arm"].astype(str) != ""].drop_duplicates("patient")
    if known["arm"].nunique() < 2:
        return []
    found = []
    for column in [c for c in samples.columns if c not in COLUMNS]:
        filled = known[known[column].astype(str).str.strip() != ""]
        labels = filled.groupby(column)["arm"].nunique()
        if 1 < len(labels) <= len(filled) / 2 and (labels == 1).all():
            found.append(str(column))
    return found


def _neutral(monitors: Monitors, telling: set[str], codes: list[str]) -> Monitors:
    """Settings that do not say which arm is compared with which."""

    def open_contrast(contrast: Contrast | None) -> Contrast | None:
        return None if contrast is not None and contrast.column in telling else contrast

    treg, clinical, discovery = monitors.treg, monitors.clinical, monitors.discovery
    if treg is not None:
        endpoints = tuple(replace(e, contrast=open_contrast(e.contrast)) for e in treg.endpoints)
        treg = replace(treg, reference_arm=None, endpoints=endpoints)
    if clinical is not None:
        clinical = replace(clinical, reference_arm=None, contrast=open_contrast(clinical.contrast))
    if discovery is not None and len(codes) > 1:
        if discovery.column in telling:
            discovery = replace(discovery, column="arm", reference=codes[0], test=codes[1])
        if discovery.between is not None and discovery.between.column in telling:
            discovery = replace(discovery, between=Contrast(codes[1], codes[0], "arm"))
    return replace(monitors, treg=treg, clinical=clinical, discovery=discovery)
