"""What ``treset run`` shows while Snakemake works: a bar over jobs with the samples at work and the time left.

Found by Snakemake by its name (``--logger treset``). In a terminal it draws a bar; elsewhere it says each tenth that is
done. Failed jobs are also written, a JSON object a line, to the file that ``TRESET_FAILURES`` names.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

#: Names of jobs at work that fit beside the bar.
_SHOWN = 3


class LogHandler(LogHandlerBase):
    """Draws the progress of a run on standard error."""

    def __post_init__(self) -> None:
        self.console = Console(file=sys.stderr, highlight=False, markup=False)
        self.names: dict[int, str] = {}
        self.running: dict[int, str] = {}
        self.bar: Progress | None = None
        self.said = 0
        self.held: list[str] = []
        self.job_failed = False
        target = os.environ.get("TRESET_FAILURES", "")
        self.failures = Path(target) if target else None

    @property
    def writes_to_stream(self) -> bool:
        """It takes the place of Snakemake's own messages."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """It writes no log: Snakemake's own is in ``.snakemake/log``."""
        return False

    @property
    def has_filter(self) -> bool:
        """It chooses by the event."""
        return True

    @property
    def has_formatter(self) -> bool:
        """It formats nothing else."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """It does not draw the rules."""
        return False

    def emit(self, record: logging.LogRecord) -> None:
        """Take one message of Snakemake."""
        event = getattr(record, "event", None)
        told = record.__dict__
        if event == LogEvent.JOB_INFO:
            self._started(told)
        elif event == LogEvent.JOB_FINISHED:
            self.running.pop(told["job_id"], None)
        elif event == LogEvent.PROGRESS:
            self._progress(int(told["done"]), int(told["total"]))
        elif event == LogEvent.RUN_INFO:
            self._progress(0, int(told["stats"].get("total", 0)))
        elif event == LogEvent.JOB_ERROR:
            self._failed(told)
        elif event == LogEvent.ERROR or (event is None and record.levelno >= logging.ERROR):
            self.held.append(record.getMessage())
        elif event is None and record.levelno >= logging.WARNING:
            self.console.print(record.getMessage())

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
        # where a job failed, its own sentence says more than Snakemake's account of the exit
        if not self.job_failed:
            for message in self.held:
                self.console.print(message)
        self.held = []
        super().close()

    def _started(self, told: dict[str, Any]) -> None:
        name = " ".join([str(told["rule_name"]), *map(str, (told.get("wildcards") or {}).values())])
        self.names[told["jobid"]] = self.running[told["jobid"]] = name
        self._draw()

    def _progress(self, done: int, total: int) -> None:
        if not total:
            return
        if not self.console.is_terminal:
            tenth = 10 * done // total
            if tenth > self.said:
                self.said = tenth
                self.console.print(f"{done} of {total} jobs done")
            return
        if self.bar is None:
            left = TextColumn("left about")
            self.bar = Progress(
                TextColumn("jobs"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(), left,
                TimeRemainingColumn(), TextColumn("{task.description}"), console=self.console, transient=True,
            )  # fmt: skip
            self.bar.add_task("", total=total)
            self.bar.start()
        self.bar.update(self.bar.task_ids[0], completed=done, total=total)
        self._draw()

    def _draw(self) -> None:
        if self.bar is not None:
            names = list(self.running.values())
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            self.bar.update(self.bar.task_ids[0], description=", ".join(names[:_SHOWN]) + more)

    def _failed(self, told: dict[str, Any]) -> None:
        job = told.get("jobid")
        self.job_failed = True
        self.running.pop(job, None)
        name = self.names.get(job, str(told.get("rule_name", "")))
        # said at once: a retry may mend it, and the run's last words name only what stayed undone
        self.console.print(f"job failed: {name}")
        rule, _, of = name.partition(" ")
        if self.failures is not None:
            line = json.dumps({"rule": rule, "of": of, "log": [str(path) for path in told.get("log") or []]})
            with self.failures.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
