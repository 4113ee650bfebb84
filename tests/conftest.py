"""What all tests share: which are slow, and the table of faults at the end (reports come here from every worker)."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# no timed asserts: a loaded machine is not a fault
settings.register_profile("treset", deadline=None)
settings.load_profile("treset")


def pytest_configure(config: pytest.Config) -> None:
    """Let the many processes that tests start share compiled Python code, also where it is not to be written."""
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        os.environ.setdefault("PYTHONPYCACHEPREFIX", str(config.rootpath / ".pytest_cache" / "pycache"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the slow tests run: skipped, visibly, so that the whole suite takes under ten minutes on two cores."""
    parser.addoption("--slow", action="store_true", help="run the slow tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is marked slow unless it was asked for."""
    if not config.getoption("--slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


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
