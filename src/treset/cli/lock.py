"""One run at a time in a study's folder, and none shut out by a run that was killed.

The lock is the kernel's (``flock``), held by ``treset run`` and by the Snakemake it starts: it ends with the last of
them, however they end. Snakemake's own lock, files in ``.snakemake/locks``, outlives a ``SIGKILL`` or a lost node; it
is taken away where the run that left it is known to be over.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from treset.errors import TresetError

_ENGINE = "snakemake"


@contextmanager
def run_lock(root: Path) -> Iterator[int]:
    """Hold the study's folder.

    Parameters
    ----------
    root
        The study's folder. ``.snakemake/treset.lock`` in it says who holds it.

    Yields
    ------
    The lock's file descriptor, to be passed on to the process that does the work.

    Raises
    ------
    TresetError
        Another run holds it, or the folder cannot be written.
    """
    path = root / ".snakemake" / "treset.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o664)
    except OSError as error:
        raise TresetError(
            f"{root}: the study's folder cannot be written ({error.strerror}), where Snakemake keeps its records: "
            "change its permissions, or run a copy of the study elsewhere"
        ) from None
    try:
        before = _holder(descriptor)
        if not _locked(descriptor, path):
            raise TresetError(
                f"{root}: another run of this study is going on (process {before.get('pid', 'unknown')} on "
                f"{before.get('host', 'an unknown machine')}): wait for it to end, or stop it"
            )
        _free_engine(root, before)
        _write(descriptor, {"host": socket.gethostname(), "pid": os.getpid()})
        yield descriptor
        _write(descriptor, {})
    finally:
        os.close(descriptor)


def _locked(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            # a file system without locks (some Lustre mounts): Snakemake's own lock is left to guard
            return True
        raise TresetError(f"{path}: cannot be locked ({error.strerror}): check the file system") from None
    return True


def _holder(descriptor: int) -> dict[str, object]:
    text = os.pread(descriptor, 4096, 0)
    try:
        found = json.loads(text or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _write(descriptor: int, holder: dict[str, object]) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder).encode(), 0)


def _free_engine(root: Path, before: dict[str, object]) -> None:
    """Take away Snakemake's lock where its run is over; say how where that cannot be known from here."""
    locks = list((root / ".snakemake" / "locks").glob("*.lock"))
    if not locks:
        return
    running = engine_processes(root)
    if running:
        raise TresetError(
            f"{root}: Snakemake is at work in this folder (process {', '.join(map(str, running))}): wait for it to "
            "end, or stop it"
        )
    host = before.get("host")
    if host != socket.gethostname():
        where = f"a run on {host} (process {before.get('pid')})" if host else "a run not started by treset"
        raise TresetError(
            f"{root}: {where} locked this folder and did not unlock it: if it is not running any more, "
            "'treset run --unlock' frees the folder and 'treset run' resumes"
        )
    for lock in locks:
        lock.unlink(missing_ok=True)


def engine_processes(root: Path) -> list[int]:
    """Ids of the Snakemake processes of this machine that work in a folder (none where there is no ``/proc``)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            same = os.path.samefile(entry / "cwd", root)
            command = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            # another user's process, or one that has ended
            continue
        if same and int(entry.name) != os.getpid() and any(_ENGINE in os.fsdecode(word) for word in command):
            found.append(int(entry.name))
    return sorted(found)
