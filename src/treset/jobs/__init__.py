"""One function a job: read files, call the steps, write files whole."""

from __future__ import annotations

import errno
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NoReturn

from treset.errors import TresetError

_DISK = {
    errno.ENOSPC: "no space is left on the disk: free some",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EROFS: "the disk is read-only: mount it for writing or choose another folder for the results",
    errno.EACCES: "permission is denied: change the permissions",
    errno.EPERM: "permission is denied: change the permissions",
    errno.EIO: "the disk or the network failed: have it checked",
    errno.ESTALE: "the network file system lost the file: have it checked",
}


@contextmanager
def logged(log: str) -> Iterator[None]:
    """Send what the job says to its log; end the process with one sentence when a user can mend the fault.

    Parameters
    ----------
    log
        The log file of the job.
    """
    path = Path(log)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as stream, redirect_stdout(stream), redirect_stderr(stream):
            try:
                yield
            except TresetError as error:
                print(f"error: {error}", file=stream)
                _end(str(error))
            except (OSError, RuntimeError) as error:
                traceback.print_exc(file=stream)
                _mend(error, path)
                raise
            except Exception:
                traceback.print_exc(file=stream)
                raise
    except OSError as error:
        # the log itself cannot be written
        _mend(error, path)
        raise


def _mend(error: OSError | RuntimeError, log: Path) -> None:
    """End with a sentence when the disk is at fault; HDF5 gives the number in its text only, at times."""
    number = getattr(error, "errno", None)
    told = re.search(r"errno = (\d+)", str(error))
    if number not in _DISK and told is not None:
        number = int(told.group(1))
    if number not in _DISK:
        return
    name = getattr(error, "filename", None)
    where = f"{name}: " if name else f"while the job of {log} wrote its results, "
    _end(f"{where}{_DISK[number]}, and 'treset run' resumes; no half-written file was kept")


def _end(sentence: str) -> NoReturn:
    print(f"error: {sentence}", file=sys.__stderr__)
    raise SystemExit(1) from None
