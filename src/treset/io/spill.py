"""Spillover matrices in the keywords of FCS files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from treset.errors import TresetError

#: In order of preference. ``$COMP`` (FCS 2.0 and 3.0) names no channels and is not read.
KEYWORDS = ("$SPILLOVER", "SPILLOVER", "SPILL", "$COMP", "COMP")


@dataclass(frozen=True)
class Spillover:
    """Share of each stain's signal that is seen in each channel.

    Attributes
    ----------
    source
        Where it comes from: a keyword or a file, for messages.
    emitters
        Channels of the stains: the rows.
    receivers
        Channels that see them: the columns.
    matrix
        Shape (emitters, receivers), float64; 1 where a stain meets its own channel.
    """

    source: str
    emitters: tuple[str, ...]
    receivers: tuple[str, ...]
    matrix: np.ndarray

    @property
    def is_identity(self) -> bool:
        """Whether it says that nothing spills."""
        return self.emitters == self.receivers and np.array_equal(self.matrix, np.eye(len(self.emitters)))


def spillover_keyword(keywords: Mapping[str, str]) -> tuple[str, str]:
    """Give name and text of the keyword with a spillover matrix, ("", "") where there is none."""
    return next(((name, keywords[name]) for name in KEYWORDS if keywords.get(name, "").strip()), ("", ""))


def parse_spillover(keyword: str, text: str) -> Spillover:
    """Read ``n, channel 1 .. channel n, the n x n matrix by rows`` (FCS 3.1, section 3.2.21; doi:10.1002/cyto.a.20825).

    Parameters
    ----------
    keyword, text
        As `spillover_keyword` gives them.

    Raises
    ------
    TresetError
        The text is of another form, a number is not finite, a channel is named twice, or a stain has no signal in its
        own channel.
    """
    fields = [field.strip() for field in text.strip().split(",")]
    count = int(fields[0]) if fields[0].isdecimal() and len(fields[0]) < 6 else 0
    if count < 1 or len(fields) != 1 + count + count * count:
        raise TresetError(
            f"keyword {keyword}: is no spillover matrix (number of channels, their names, the values by rows): it has "
            f"{len(fields)} fields and begins with {text[:30]!r}; give it as a CSV file or switch spillover off."
        )
    names = tuple(fields[1 : 1 + count])
    try:
        matrix = np.array([float(field) for field in fields[1 + count :]]).reshape(count, count)
    except ValueError as error:
        raise TresetError(
            f"keyword {keyword}: {error}; give the matrix as a CSV file or switch spillover off."
        ) from None
    return checked(Spillover(f"keyword {keyword}", names, names, matrix))


def checked(spill: Spillover) -> Spillover:
    """Check a matrix and scale each row to 1 in the stain's own channel.

    Raises
    ------
    TresetError
        As `parse_spillover`; and for a negative value, or a stain whose channel is not among the columns.
    """
    for names in (spill.emitters, spill.receivers):
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise TresetError(f"{spill.source}: names the channel {twice!r} twice; keep it once.")
    if lacking := [name for name in spill.emitters if name not in spill.receivers]:
        raise TresetError(
            f"{spill.source}: the stains {', '.join(lacking)} are rows without a column of the same name; add it."
        )
    if not np.isfinite(spill.matrix).all():
        raise TresetError(f"{spill.source}: a value of the spillover matrix is not finite; correct it.")
    own = spill.matrix[np.arange(len(spill.emitters)), [spill.receivers.index(name) for name in spill.emitters]]
    if (own <= 0).any():
        bad = spill.emitters[int(np.argmax(own <= 0))]
        raise TresetError(f"{spill.source}: the stain {bad} has no signal in its own channel, expected 1; correct it.")
    return Spillover(spill.source, spill.emitters, spill.receivers, spill.matrix / own[:, None])
