"""Collecting faults: every sentence has a place, and none hides another."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from treset.errors import Faults

#: Faults of one kind in one column are written out up to this many times; the rest are one sentence with their lines.
WRITTEN_OUT = 5


def shown(path: Path) -> str:
    """Give a path as a user would type it: relative when below the working folder, else absolute."""
    absolute = Path(os.path.abspath(path))
    here = Path.cwd()
    return absolute.relative_to(here).as_posix() if absolute.is_relative_to(here) else str(absolute)


def folded(word: str) -> str:
    """Letters and digits only, lower case: the form in which ``HLA-DR`` and ``hladr`` are the same."""
    return "".join(letter for letter in word.casefold() if letter.isalnum())


def closest(word: str, options: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Give the option most like ``word``, or None when none is close."""
    options = list(dict.fromkeys(options))
    same = [option for option in options if folded(option) == folded(word) and folded(word)]
    if same:
        return same[0]
    lower = {option.casefold(): option for option in reversed(options)}
    found = difflib.get_close_matches(word.casefold(), list(lower), n=1, cutoff=cutoff)
    return lower[found[0]] if found else None


def hint(word: str, options: Iterable[str]) -> str:
    """Give ``" (did you mean 'x'?)"``, or nothing."""
    near = closest(word, options)
    return f" (did you mean '{near}'?)" if near is not None and near != word else ""


def listed(options: Iterable[str], limit: int = 15) -> str:
    """Give the options as one phrase, cut off (and said so) after ``limit``."""
    options = list(dict.fromkeys(options))
    if not options:
        return "none"
    more = f" and {len(options) - limit} more" if len(options) > limit else ""
    return ", ".join(options[:limit]) + more


def place(file: Path | str, line: int | None = None, column: int | str | None = None) -> str:
    """Give ``file, line 3, column visit``."""
    parts = [file if isinstance(file, str) else shown(file)]
    if line is not None:
        parts.append(f"line {line}")
    if column is not None:
        parts.append(f"column {column}")
    return ", ".join(parts)


@dataclass
class _Group:
    #: What the sentences are about: the part of the place before the line.
    about: str
    sentences: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    folded: str = ""


class Collector:
    """Faults and warnings, the faults by file in the order the files were first complained of."""

    def __init__(self) -> None:
        self._groups: dict[object, _Group] = {}
        self.warnings: list[str] = []

    def __len__(self) -> int:
        return sum(len(group.sentences) for group in self._groups.values())

    def add(self, where: str, sentence: str) -> None:
        """Add one fault; the same sentence at the same place is kept once."""
        text = f"{where}: {sentence}"
        self._groups.setdefault(text, _Group(where.partition(", line ")[0], [text]))

    def cell(self, file: Path, line: int, column: str, sentence: str, kind: str) -> None:
        """Add one fault of a table's cell; faults of the same ``kind`` and column are folded when they are many."""
        new = _Group(shown(file), folded=place(file, None, column))
        group = self._groups.setdefault((file, column, kind), new)
        group.sentences.append(f"{place(file, line, column)}: {sentence}")
        group.lines.append(line)

    def warn(self, where: str, sentence: str) -> None:
        """Add one sentence that does not stop a run."""
        text = f"{where}: {sentence}"
        if text not in self.warnings:
            self.warnings.append(text)

    def messages(self) -> list[str]:
        """Give all faults, one sentence each."""
        files = list(dict.fromkeys(group.about for group in self._groups.values()))
        messages: list[str] = []
        for group in sorted(self._groups.values(), key=lambda group: files.index(group.about)):
            messages += group.sentences[:WRITTEN_OUT]
            rest = group.lines[WRITTEN_OUT:]
            if rest:
                lines = ", ".join(str(line) for line in rest)
                many = "1 more line" if len(rest) == 1 else f"{len(rest)} more lines"
                messages.append(f"{group.folded}: the same fault in {many} ({lines})")
        return messages

    def stop(self) -> None:
        """Raise what was collected.

        Raises
        ------
        Faults
            When there is at least one fault.
        """
        if self._groups:
            raise Faults(self.messages())
