"""One function a job: read files, call the steps, write files whole."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from treset.errors import TresetError


@contextmanager
def logged(log: str) -> Iterator[None]:
    """Send what the job says to its log; end the process with one sentence when a user can mend the fault.

    Parameters
    ----------
    log
        The log file of the job.
    """
    path = Path(log)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as stream, redirect_stdout(stream), redirect_stderr(stream):
        try:
            yield
        except TresetError as error:
            print(f"error: {error}", file=stream)
            print(f"error: {error}", file=sys.__stderr__)
            raise SystemExit(1) from None
        except Exception:
            traceback.print_exc(file=stream)
            raise
