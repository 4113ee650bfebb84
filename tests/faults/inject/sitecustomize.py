"""Kill a process at the moment it would give a file its final name; read by every Python started with this folder on
PYTHONPATH.

``TRESET_TEST_KILL`` is ``ending=who;ending=who``: the first time a file of that ending is to be renamed, half of the
temporary file is cut off, and the job (``job``) or the whole process group (``all``, a lost node) gets SIGKILL.
``TRESET_TEST_MARKS`` is a folder that remembers which endings had their turn.
"""

import os
import signal

_replace = os.replace


def _killing(source: str, target: str, **options: object) -> None:
    for rule in os.environ["TRESET_TEST_KILL"].split(";"):
        ending, _, who = rule.partition("=")
        if not os.fspath(target).endswith(ending):
            continue
        mark = os.path.join(os.environ["TRESET_TEST_MARKS"], ending.replace("/", "_"))
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        os.truncate(source, os.path.getsize(source) // 2)
        if who == "all":
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    _replace(source, target, **options)


if os.environ.get("TRESET_TEST_KILL"):
    os.replace = _killing
