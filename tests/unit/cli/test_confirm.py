"""Acts that open, end or delete are asked for first (EDGES E11)."""

from __future__ import annotations

import copy
import sys
from io import StringIO

import pytest
from click.testing import CliRunner

from bascule.agent import commands
from bascule.errors import InvalidInput
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_server import FakeServer, rule
from tests.unit.cli.test_owner import closed

PORT = {"machineId": "x", "number": 22, "protocol": "TCP"}
ACTS = {
    "policy remove web-1": ("opens 22/tcp for everybody", "ends at once: ada"),
    "machine remove web-1": (
        "all access to it ends",
        "stay closed until the agent is uninstalled",
    ),
    "machine release web-1": ("opens 80/tcp for everybody",),
    "machine release web-1 -p 22": ("opens 22/tcp for everybody",),
    "plan off": ("Everybody's access in all resource groups ends",),
    "plan off --group test": ("Everybody's access in resource group test ends",),
    "audit prune --before 2029-01-01": ("deletes all events from before 2029-01-01",),
    "audit sinks remove siem": ("No further events are sent to siem",),
}


@pytest.fixture
def ready(server: FakeServer) -> FakeServer:
    server.add_machine("web-1", closed=[closed(22), closed(80, in_policy=False)])
    server.set_rules("web-1", rule(22))
    server.preview = {"opens": [PORT], "endsGrants": [{**PORT, "requestor": "ada"}]}
    return server


def world(server: FakeServer) -> object:
    """All that an act could change."""
    acts = [path for method, path, _ in server.calls if method == "POST" and "/token" not in path]
    return copy.deepcopy((server.machines, server.policies, server.plans, acts))


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("act", ACTS)
def test_without_a_terminal_it_is_refused_and_nothing_is_done(
    cli: Cli, ready: FakeServer, act: str
) -> None:
    """A script that means it says --yes; a slip in one opens nothing."""
    before = world(ready)
    result = cli(*act.split())
    assert result.code == 2
    for words in ACTS[act]:
        assert words in result.err
    assert "Nothing was done" in result.err
    assert "--yes" in result.err
    assert world(ready) == before


@pytest.mark.parametrize("act", ACTS)
def test_a_no_does_nothing(
    cli: Cli, ready: FakeServer, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world(ready)
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    result = cli(*act.split())
    assert result.code == 1
    assert "Continue?" in result.err
    assert result.err.endswith("Nothing was done.\n")
    assert world(ready) == before


def test_a_yes_does_it(cli: Cli, ready: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert cli("policy", "remove", "web-1").code == 0
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert cli("machine", "remove", "web-1").code == 0
    assert not ready.machines


def test_what_changes_nothing_is_not_asked_for(cli: Cli, ready: FakeServer) -> None:
    assert cli("policy", "remove", "web-1", "--dry-run").code == 0
    ready.add_machine("bare-1")
    assert cli("policy", "remove", "bare-1").code == 0
    assert cli("machine", "release", "bare-1").code == 0
    assert cli("plan", "inherit", "--group", "test").code == 0, "it is on for all"


def test_a_group_that_loses_its_own_plan_is_asked_for(cli: Cli, ready: FakeServer) -> None:
    assert cli("plan", "off", "--yes").code == 0
    assert cli("plan", "on", "--group", "test").code == 0
    result = cli("plan", "inherit", "--group", "test")
    assert result.code == 2
    assert "in resource group test ends at once" in result.err


def test_uninstalling_without_a_terminal_is_refused() -> None:
    done = CliRunner().invoke(commands.agent, ["uninstall"])
    assert isinstance(done.exception, InvalidInput)
    assert "--yes" in done.exception.advice
