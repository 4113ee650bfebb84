"""What crossed between host and device, for tests: (direction, step, bytes), in order."""

from __future__ import annotations

from typing import Any

MOVED: list[tuple[str, str, int]] = []


def sent(step: str, *arrays: Any) -> None:
    MOVED.append(("in", step, sum(array.nbytes for array in arrays)))


def taken(step: str, *arrays: Any) -> None:
    MOVED.append(("out", step, sum(array.nbytes for array in arrays)))
