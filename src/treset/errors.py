"""The errors a user sees: one sentence each, all at once."""

from __future__ import annotations

from collections.abc import Iterable


class TresetError(Exception):
    """Something a user can mend.

    The message is one sentence that says what is wrong, where (file, line, column, sample), what was expected and
    what to do. It is shown without a traceback.
    """


class Faults(TresetError):
    """Several faults, found together and shown together.

    Parameters
    ----------
    messages
        One sentence each, in the order of the files they are about.
    """

    def __init__(self, messages: Iterable[str]) -> None:
        self.messages = list(messages)
        count = len(self.messages)
        head = "1 fault" if count == 1 else f"{count} faults"
        super().__init__(f"{head}:\n" + "\n".join(f"  - {message}" for message in self.messages))
