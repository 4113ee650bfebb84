"""Surface protein of CITE-seq: centred log-ratios, named as the cytometry tree names its markers."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from treset.io.panel import canonical, clean_marker

#: Where 10x and the readers keep counts of antibodies.
RAW = "Antibody Capture"
_MARK = " (protein)"
#: Antibodies that bind nothing of the cell: they tell the background, not a population.
_ISOTYPE = re.compile(
    r"isotype|^(?:mouse|rat|hamster|human|m)?[-_ ]?ig[gm]\d?[abc]?(?:[-_ ,].*)?$",
    re.IGNORECASE,
)
_DECORATION = re.compile(
    r"^(?:adt|ab|prot|anti[-_ ](?:human|mouse)|hu|anti)[-_. ]+"
    r"|[-_. ]+(?:total(?:seq)?[-_ ]?[abc]?|adt|ab|prot(?:ein)?)$",
    re.IGNORECASE,
)
_BRACKET = re.compile(r"^(?P<name>[^(\[]+?)\s*[(\[](?P<other>[^)\]]+)[)\]]\s*$")


def column_of(marker: str) -> str:
    """How a protein's column is called, so that it is no gene's name: ``CD4 (protein)``."""
    return f"{marker}{_MARK}"


def marker_of(column: str) -> str:
    """The marker of a protein's column."""
    return column.removesuffix(_MARK)


def is_protein(column: str) -> bool:
    """Whether a column is surface protein."""
    return column.endswith(_MARK)


def clr(counts: np.ndarray) -> np.ndarray:
    """Centred log-ratio of each cell's antibody counts (Stoeckius 2017, doi:10.1038/nmeth.4380).

    ``log1p(x / g)`` with ``g`` the cell's geometric mean of 1 + x, less 1 put back as in Seurat: the cell's own
    background divides out, no other cell matters.

    Parameters
    ----------
    counts
        (n, p) counts.

    Returns
    -------
    (n, p) float32, 0 for a count of 0; a cell without counts stays 0.
    """
    values = np.asarray(counts, dtype=np.float64)
    centre = np.exp(np.log1p(values).mean(axis=1, keepdims=True))
    return np.log1p(values / centre).astype(np.float32)


def normalised(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Antibody counts as columns that the tree can read.

    Parameters
    ----------
    table
        (n, p) counts of one sample, columns as in the file.

    Returns
    -------
    (n, q) centred log-ratios, columns ``CD4 (protein)``, and notes: isotype controls take part in a cell's background
    and are no marker; a marker that several antibodies carry is left out, as it is not known which to believe.
    """
    names = marker_names(list(table.columns))
    values = clr(table.to_numpy())
    isotypes = [str(column) for column in table.columns if _ISOTYPE.search(str(column))]
    notes = [f"isotype controls, not read as markers: {', '.join(isotypes)}"] if isotypes else []
    roots: dict[str, list[str]] = {}
    for column, marker in names.items():
        roots.setdefault(canonical(marker), []).append(column)
    kept = {}
    for position, column in enumerate(table.columns):
        if column not in names:
            continue
        same = roots[canonical(names[column])]
        if len(same) == 1:
            kept[column_of(names[column])] = values[:, position]
        elif column == same[0]:
            notes.append(f"antibodies {', '.join(same)} are of one marker and none is read: leave one in the file")
    return pd.DataFrame(kept, index=table.index), notes


def marker_names(columns: Sequence[str]) -> dict[str, str]:
    """The marker of each antibody: without clone decorations, a known synonym brought to the usual name.

    ``anti-human_CD3_TotalSeqB`` -> CD3, ``IL7Ralpha (CD127)`` -> CD127, ``MHCII (HLA-DR)`` -> HLA-DR. Isotype controls
    are absent.
    """
    found = {}
    for column in columns:
        name = str(column)
        if _ISOTYPE.search(name):
            continue
        plain = name
        while (shorter := _DECORATION.sub("", plain)) != plain:
            plain = shorter
        if match := _BRACKET.match(plain):
            # the CD number or the usual name, whichever half is one
            halves = [match["name"].strip(), match["other"].strip()]
            plain = next((half for half in halves if re.match(r"CD\d|HLA-", half)), halves[0])
        found[column] = clean_marker(plain, plain) or plain
    return found
