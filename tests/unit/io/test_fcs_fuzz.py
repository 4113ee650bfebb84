"""The FCS reader on broken files: values or one sentence, never a crash, a hang or a blow-up of memory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.fuzzing import attempt, mutated, seeds

from treset.io.fcs import read_fcs


def test_the_seeds_are_sound(tmp_path: Path) -> None:
    for number, data in enumerate(seeds()):
        path = tmp_path / f"{number}.fcs"
        path.write_bytes(data)
        dataset = 1 if number == 15 else None
        header, events = read_fcs(path, dataset)
        assert events.shape == (20, 3)
        assert header.channels[1:] == ("C2", "C3")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_broken_files_are_read_or_refused(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "broken.fcs"
    found: Counter[str] = Counter()
    for number, data in enumerate(mutated(seeds(), 500, seed)):
        result = attempt(path, data)
        assert result in ("read", "refused"), (number, result)
        found[result] += 1
    # the mutator neither breaks every file nor none
    assert min(found.values()) > 50
