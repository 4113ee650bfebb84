"""Names made unique, with a record of what was renamed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence


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
