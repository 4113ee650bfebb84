"""Names made unique, with a record of what was renamed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

#: An assembly's name and one or more underscores, as in ``mm10___Cd3d``.
_GENOME = re.compile(r"(?:GRC[hm]\d+|hg\d+|mm\d+)_+", re.IGNORECASE)


def make_unique(names: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    """Append -1, -2 ... to the second and later uses of a name, as anndata does.

    Parameters
    ----------
    names
        Names in order.

    Returns
    -------
    The unique names in the same order, and the renames (old, new).
    """
    taken, seen = set(names), Counter()
    unique: list[str] = []
    renamed: list[tuple[str, str]] = []
    for name in names:
        new = name
        if seen[name]:
            suffix = seen[name]
            while (new := f"{name}-{suffix}") in taken:
                suffix += 1
            taken.add(new)
            renamed.append((name, new))
        seen[name] += 1
        unique.append(new)
    return tuple(unique), renamed


def without_genome(symbols: Sequence[str]) -> tuple[list[str], str]:
    """Gene symbols without the genome that Cell Ranger puts before them (``GRCh38_CD3D``, ``hg19_CD3D``).

    Parameters
    ----------
    symbols
        Of genes, antibodies among them allowed.

    Returns
    -------
    The symbols, and the prefix that was taken off: "" where fewer than half have one, or where there are several
    genomes (a mixture of species, whose names must stay apart).
    """
    found = [match[0] for symbol in symbols if (match := _GENOME.match(symbol))]
    if len(set(found)) != 1 or len(found) < len(symbols) / 2:
        return list(symbols), ""
    return [symbol.removeprefix(found[0]) for symbol in symbols], found[0]
