"""Whether batches can be told from what the trial asks: found before anything is corrected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

#: Columns whose effect a batch effect may be mistaken for, and what one of each is counted in.
COLUMNS = {"arm": "patients", "visit": "samples", "disease": "patients"}
#: Bias-corrected Cramer's V from which batch and column are associated, and are one and the same division.
ASSOCIATED, COMPLETE = 0.5, 0.9
#: An association under COMPLETE is told where labels dealt out anew explain as much in fewer than this share.
ALPHA, PERMUTATIONS = 0.05, 9_999


@dataclass(frozen=True)
class Confounding:
    """One column against the batches.

    Attributes
    ----------
    column
        arm, visit or disease.
    v
        Bias-corrected Cramer's V, 0 to 1.
    p
        Permutation p of the association.
    n
        Patients (of a visit: samples) counted.
    """

    column: str
    v: float
    p: float
    n: int

    @property
    def complete(self) -> bool:
        """Whether the two divide the samples (almost) in the same way."""
        return self.v >= COMPLETE

    @property
    def sentence(self) -> str:
        """What a reader must know."""
        how = "is confounded with" if self.complete else "is strongly associated with"
        return (
            f"batch {how} {self.column} (bias-corrected Cramer's V {self.v:.2f}, permutation p {self.p:.3f}, "
            f"{self.n} {COLUMNS[self.column]}): a difference between batches cannot be told from a difference between "
            f"the {self.column}s"
        )


def cramers_v(table: np.ndarray) -> float:
    """Bias-corrected Cramer's V of a table of counts (Bergsma 2013, doi:10.1016/j.jkss.2012.10.002).

    Parameters
    ----------
    table
        Counts, shape (rows, columns); a patient of two batches counts a half in each.

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


def permutation_p(batches: np.ndarray, labels: np.ndarray, blocks: np.ndarray | None = None) -> float:
    """How often labels dealt out anew are as associated with the batches (Pearson's statistic) as the real ones.

    Parameters
    ----------
    batches
        Share of each unit in each batch, shape (units, batches).
    labels
        Label of each unit, shape (units,), any type.
    blocks
        Labels change places within these only (a patient's visits), shape (units,); None: among all.

    Returns
    -------
    ``(1 + as associated) / (1 + permutations)`` of 9,999 random permutations (Phipson & Smyth 2010,
    doi:10.2202/1544-6115.1585), with a seed of its own.
    """
    coded = np.unique(labels, return_inverse=True)[1]
    hot = np.eye(coded.max() + 1)[coded]
    expected = np.outer(batches.sum(axis=0), hot.sum(axis=0)) / len(labels)

    def statistic(orders: np.ndarray) -> np.ndarray:
        tables = np.einsum("ub,puk->pbk", batches, hot[orders])
        return ((tables - expected) ** 2 / expected).sum(axis=(1, 2))

    group = np.zeros(len(labels)) if blocks is None else np.unique(blocks, return_inverse=True)[1]
    at = np.argsort(group, kind="stable")
    observed = statistic(np.arange(len(labels))[None])[0] * (1 - 1e-9)
    rng, reached, left = np.random.default_rng(0), 0, PERMUTATIONS
    while left:
        draws = min(left, 500)
        orders = np.empty((draws, len(labels)), dtype=int)
        # sorted by block first and chance second: every block keeps its places
        orders[:, at] = np.lexsort((rng.random((draws, len(labels))), np.tile(group, (draws, 1))))
        reached += int((statistic(orders) >= observed).sum())
        left -= draws
    return (1 + reached) / (1 + PERMUTATIONS)


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
        a blank in question, do not count. Arms and diseases are counted once a patient, who is shared out among the own
        batches; visits once a sample, and change places within a patient.

    Returns
    -------
    Those with a bias-corrected Cramer's V of at least 0.9 (there the design itself cannot tell them apart, whether by
    chance or not), and those of at least 0.5 that chance does not explain (permutation p under 0.05). A batch for each
    patient is no confounding with the arm: the correction for bias brings it to 0.
    """
    rows = samples[~samples["anchor"].astype(bool)]
    found = []
    for column, unit in COLUMNS.items():
        known = rows[(rows[column] != "") & (rows["batch"] != "")]
        if known.empty:
            continue
        key = known["sample"] if unit == "samples" else known["patient"].astype(str) + "\t" + known[column].astype(str)
        batches = pd.crosstab(key, known["batch"], normalize="index")
        of = known.assign(key=key).drop_duplicates("key").set_index("key").loc[batches.index]
        table = batches.groupby(of[column].to_numpy()).sum().to_numpy()
        v = cramers_v(table)
        if v < ASSOCIATED:
            continue
        blocks = of["patient"].to_numpy(dtype=str) if unit == "samples" else None
        p = permutation_p(batches.to_numpy(), of[column].to_numpy(dtype=str), blocks)
        if v >= COMPLETE or p < ALPHA:
            found.append(Confounding(column, v, p, len(of)))
    return found
