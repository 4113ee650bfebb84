"""What a monitor of a blinded study may say: nothing of what tells the arms apart.

Rows stay, so that nothing is silently dropped: their numbers are removed and their note says why.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from treset.study.model import DiscoveryMonitor

WITHHELD = "withheld: the study is blinded"
#: Columns that may be contrasted without telling the arms apart.
OPEN = ("patient", "visit", "day", "disease", "batch", "stimulus")
NUMBERS = ["estimate", "lower", "upper", "p_value", "q_value", "n"]


def compares_arms(settings: DiscoveryMonitor | None) -> bool:
    """Tell whether discovery contrasts a column that may tell the arms apart."""
    if settings is None:
        return True
    columns = [settings.column, *([settings.between.column] if settings.between is not None else [])]
    return any(column not in OPEN for column in columns)


def names(value: object, arms: Sequence[str]) -> bool:
    """Tell whether a text names an arm (as a whole word, in any case)."""
    text = _words(str(value))
    return any(_words(arm) in text for arm in arms)


def _words(text: str) -> str:
    return " " + " ".join(re.split(r"[\s,;:()\[\]'\"]+", text.casefold())).strip() + " "


def say(value: object, arms: Sequence[str]) -> str:
    """Give a text, or that it is withheld because it names an arm."""
    return WITHHELD if names(value, arms) else str(value)


def blind_effects(effects: pd.DataFrame, arms: Sequence[str], by_arm: bool) -> pd.DataFrame:
    """Withhold the numbers, the verdict and the note of every row that names an arm (``by_arm``: of all rows).

    Parameters
    ----------
    effects
        In the form of ``effects.tsv``.
    arms
        Names or codes of the arms.
    by_arm
        Whether the whole monitor compares arms.
    """
    effects = effects.copy()
    text = effects[["endpoint", "contrast", "note"]].astype(str)
    joined = text.agg(" ; ".join, axis=1) if len(effects) else pd.Series(dtype=str)
    hidden = joined.map(lambda t: by_arm or names(t, arms)).astype(bool)
    effects[NUMBERS] = effects[NUMBERS].astype("float64").mask(hidden)
    effects.loc[hidden, "contrast"] = "between arms"
    effects.loc[hidden, "verdict"] = "not evaluable"
    effects.loc[hidden, "note"] = WITHHELD
    return effects


def blind_summary(summary: dict, arms: Sequence[str], by_arm: bool) -> dict:
    """Withhold the verdict of a monitor that names an arm, and the notes that do."""
    primary, headline = summary.get("primary"), summary.get("headline")
    told = [summary.get("reason", ""), *(headline.values() if isinstance(headline, dict) else ())]
    told += list(primary.values()) if isinstance(primary, dict) else []
    hidden = dict(summary) | {"notes": [say(n, arms) for n in summary.get("notes") or []]}
    if by_arm or any(names(t, arms) for t in told):
        hidden |= {"verdict": "not evaluable", "reason": f"The comparison of the arms is {WITHHELD}.", "primary": None}
        hidden["headline"] = {"value": "blinded", "caption": WITHHELD}
    return hidden
