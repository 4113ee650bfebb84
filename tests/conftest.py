"""What all tests share: which are slow, and the table of faults at the end (reports come here from every worker)."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

#: Stays on one worker, as a file does: what these tests import compiles for 20 s in every process.
COMPILED = "tests/unit/compute/"
#: What runs a whole study, or takes a minute otherwise, the longest first: begun last, it would leave cores idle.
LONG = (
    "tests/workflow/test_run.py",
    "tests/workflow/test_blinded.py",
    COMPILED,
    "tests/faults/",
    "tests/workflow/",
)

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
    """Skip what is marked slow unless it was asked for; begin with what takes longest."""
    items.sort(key=lambda item: _turn(item.nodeid))
    if not config.getoption("--slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


def _turn(nodeid: str) -> int:
    """Place in the order: of what is long its own, the rest after it."""
    return next((turn for turn, name in enumerate(LONG) if nodeid.startswith(name)), len(LONG))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Keep the order of collection, where pytest-xdist would put files of many tests before long ones."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return COMPILED if file.startswith(COMPILED) else file

    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return Scheduling(config, log)


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
