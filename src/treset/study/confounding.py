"""Whether batches can be told from what the trial asks: found before anything is corrected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

#: Columns whose effect a batch effect may be mistaken for, and what one unit of each is.
COLUMNS = {"arm": ["patient", "batch"], "visit": ["sample"], "disease": ["patient", "batch"]}
#: Bias-corrected Cramer's V from which batch and column are associated, and are one and the same division.
ASSOCIATED, COMPLETE = 0.5, 0.9


@dataclass(frozen=True)
class Confounding:
    """One column against the batches.

    Attributes
    ----------
    column
        arm, visit or disease.
    v
        Bias-corrected Cramer's V, 0 to 1.
    """

    column: str
    v: float

    @property
    def complete(self) -> bool:
        """Whether the two divide the samples (almost) in the same way."""
        return self.v >= COMPLETE

    @property
    def sentence(self) -> str:
        """What a reader must know."""
        how = "is confounded with" if self.complete else "is strongly associated with"
        return (
            f"batch {how} {self.column} (Cramer's V {self.v:.2f}): a difference between batches cannot be told from a "
            f"difference between the {self.column}s"
        )


def cramers_v(table: np.ndarray) -> float:
    """Bias-corrected Cramer's V of a table of counts (Bergsma 2013, doi:10.1016/j.jkss.2012.10.002).

    Parameters
    ----------
    table
        Counts, shape (rows, columns).

    Returns
    -------
    0 to 1; 0 where a margin has one level only, or chance alone explains as much.
    """
    table = np.asarray(table, dtype=float)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    rows, columns, count = *table.shape, table.sum()
    if min(rows, columns) < 2 or count < 2:
        return 0.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / count
    phi = float(((table - expected) ** 2 / expected).sum() / count)
    phi = max(0.0, phi - (rows - 1) * (columns - 1) / (count - 1))
    least = min(rows - (rows - 1) ** 2 / (count - 1), columns - (columns - 1) ** 2 / (count - 1)) - 1
    return float(min(np.sqrt(phi / least), 1.0)) if least > 0 else 0.0


def nested(samples: pd.DataFrame) -> list[str]:
    """Find the columns of which every batch holds one value only, though there are several.

    A batch for each patient is such a case of the arm, and not found by Cramer's V: whatever levels batches without
    anchors then levels patients.

    Parameters
    ----------
    samples
        As for `confounded`.

    Returns
    -------
    Names out of arm, visit and disease that `confounded` does not name already.
    """
    rows = samples[~samples["anchor"].astype(bool)]
    told = {found.column for found in confounded(samples)}
    found = []
    for column in COLUMNS:
        known = rows[(rows[column] != "") & (rows["batch"] != "")]
        one_each = len(known) > 0 and bool((known.groupby("batch")[column].nunique() == 1).all())
        if column not in told and one_each and known[column].nunique() > 1:
            found.append(column)
    return found


def confounded(samples: pd.DataFrame) -> list[Confounding]:
    """Find the columns that batches cannot be told from.

    Parameters
    ----------
    samples
        Rows of the sheet that are analysed: sample, patient, batch, anchor, arm, visit, disease. Anchors, and rows with
        a blank in question, do not count. Arms and diseases are counted once a patient and batch, visits once a sample.

    Returns
    -------
    Those with a bias-corrected Cramer's V of at least 0.5. A batch for each patient is no confounding with the arm:
    the correction for bias brings it to 0.
    """
    rows = samples[~samples["anchor"].astype(bool)]
    found = []
    for column, unit in COLUMNS.items():
        known = rows[(rows[column] != "") & (rows["batch"] != "")].drop_duplicates([*unit, column])
        if known.empty:
            continue
        v = cramers_v(pd.crosstab(known["batch"], known[column]).to_numpy())
        if v >= ASSOCIATED:
            found.append(Confounding(column, v))
    return found
