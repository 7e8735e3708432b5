"""What the whole suite shares: no sockets where none belong, hypothesis' profile, the account.

At the end the run says which tests were not run here and why (``make test`` gathers it).
What is not here: fixtures of one folder; those stand in that folder's conftest.
"""

from __future__ import annotations

import gc
import os
import socket
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
import structlog
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

HERE = Path(__file__).parent
OPEN_FOLDERS = frozenset(
    {"wire", "portal", "netns", "e2e", "faults", "powershell"}
)  # may talk to the network
A_LEAK = 16  # exit code when a test of leaks failed: tools/test.sh tries nothing of it again
INTERNET = (socket.AF_INET, socket.AF_INET6)

# A failed assertion of a contract suite says what it compared, as one of a test file does.
pytest.register_assert_rewrite("tests.contracts")

# What broke is told by its lines. Their locals too, as structlog does where rich is installed,
# would be a whole application's objects, drawn for a minute.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)

# The programs that tests start keep what they compile: compiling it is half of a server's start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Each test leaves an application behind, in rings: looking for them after every few hundred new
# objects took a fifth of the time.
gc.set_threshold(50_000, 20, 50)

# Two shared cores: a deadline per example would measure the neighbours, not us.
settings.register_profile("suite", deadline=None, print_blob=True)
settings.register_profile(
    "thorough", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

_LEAKS: list[str] = []  # failed tests that are marked so


def _folder(item: pytest.Item) -> str:
    parts = item.path.relative_to(HERE).parts if item.path.is_relative_to(HERE) else ()
    return parts[0] if len(parts) > 1 else ""


@pytest.fixture(autouse=True)
def one_set_up_of_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program run in this process sets up its own for good, also for the tests after it.

    Each logger keeps what it first logged by, so that ``capture_logs`` would see none of its lines
    once that was set up again.
    """
    monkeypatch.setattr(structlog, "configure", lambda **_: None)


@pytest.fixture(autouse=True)
def no_sockets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit test that reaches for the network would pass here and fail elsewhere."""
    item: pytest.Item = request.node
    if _folder(item) in OPEN_FOLDERS or item.get_closest_marker("sockets"):
        return
    for verb in ("connect", "connect_ex", "bind"):
        monkeypatch.setattr(socket.socket, verb, _refusing(getattr(socket.socket, verb)))


def _refusing(real: object) -> object:
    def guarded(self: socket.socket, address: object) -> object:
        if self.family in INTERNET:
            _refuse(address)
        return real(self, address)  # type: ignore[operator]  # reason: a slot wrapper of socket

    return guarded


def _refuse(address: object) -> NoReturn:
    pytest.fail(f"this test opened a socket to {address}; mark it sockets, or move its folder")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Give a run in which somebody may have got through an exit code of its own."""
    if _LEAKS and session.exitstatus == pytest.ExitCode.TESTS_FAILED:
        session.exitstatus = A_LEAK


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Heard where the outcome is decided, with workers too."""
    if report.failed and "leak" in report.keywords:
        _LEAKS.append(report.nodeid)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Write the reasons for which tests were not run, once each, with how many they stopped."""
    counts: dict[str, int] = defaultdict(int)
    for report in terminalreporter.stats.get("skipped", []):
        where = Path(report.nodeid.partition("::")[0])
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        counts[f"{where}: {why.removeprefix('Skipped: ')}"] += 1
    target = os.environ.get("BASCULE_NOT_RUN")
    if target and counts:
        with Path(target).open("a", encoding="utf-8") as file:
            file.writelines(f"  {count} in {where}\n" for where, count in counts.items())
