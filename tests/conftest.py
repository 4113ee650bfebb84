"""What all tests share: the table of faults at the end (reports come here from every worker)."""

from __future__ import annotations

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was promised and seen of each injected fault."""
    rows = [
        str(value)
        for report in terminalreporter.stats.get("passed", [])
        for name, value in report.user_properties
        if name == "fault"
    ]
    if rows:
        terminalreporter.section("faults")
        terminalreporter.write_line("| fault | promised | seen |\n| --- | --- | --- |")
        for row in rows:
            terminalreporter.write_line(row)
