"""EDGES J14: ``bascule ssh --close`` with a real ssh over a real network, whatever becomes of the client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bascule.domain.runs import BOUND
from tests.e2e.lab_world import LabWorld, until

pytestmark = [pytest.mark.root, pytest.mark.leak]

LATEST = BOUND.total_seconds() + 25  # a busy machine: sweep, report, packets
CUT = "add table inet cut; add chain inet cut out { type filter hook output priority 0; }; "
CUT += "add rule inet cut out tcp dport 8443 drop"


@pytest.fixture(autouse=True)
def shut(lab: LabWorld) -> Iterator[None]:
    """Begin and leave with nothing open."""
    assert not lab.reaches("client")
    yield
    lab.on("client", "bascule", "revoke", "--all", "--kill")


class Run:
    """A ``bascule ssh`` in the background; its process becomes ssh."""

    def __init__(self, lab: LabWorld, machine: str = "web-1", *options: str) -> None:
        self.lab = lab
        words = " ".join(("bascule ssh", *options, machine, "'echo in; sleep 600'"))
        self.said = f"~/said-{machine}"
        line = f"{words} </dev/null >{self.said} 2>&1 & echo $!"
        self.pid = lab.said("client", "sh", "-c", f"rm -f {self.said}; {line}")
        assert until(self.is_in, 60), self.text()

    def text(self) -> str:
        return self.lab.on("client", "sh", "-c", f"cat {self.said}").stdout

    def is_in(self) -> bool:
        return "in\n" in self.text()

    @property
    def is_alive(self) -> bool:
        return self.lab.on("client", "kill", "-0", self.pid).returncode == 0

    @property
    def children(self) -> list[str]:
        return self.lab.said("client", "cat", f"/proc/{self.pid}/task/{self.pid}/children").split()

    def signal(self, name: str, *pids: str) -> None:
        self.lab.said("client", "kill", f"-{name}", *(pids or (self.pid,)))


def is_closed(lab: LabWorld, machine: str = "web-1") -> bool:
    shown = lab.said("client", "bascule", "status", "-o", "json")
    return f"/{machine}" not in shown


def test_it_closes_when_ssh_ends(lab: LabWorld) -> None:
    assert lab.said("client", "bascule", "ssh", "--close", "web-1", "--", "hostname") == "web-1"
    assert until(lambda: not lab.reaches("client"), 15)


def test_by_the_environment(lab: LabWorld) -> None:
    command = "BASCULE_SSH_CLOSE=1 bascule ssh web-1 -- hostname"
    assert lab.said("client", "sh", "-c", command) == "web-1"
    assert until(lambda: not lab.reaches("client"), 15)


@pytest.mark.parametrize("name", ["TERM", "KILL"])
def test_it_closes_when_ssh_is_killed(lab: LabWorld, name: str) -> None:
    run = Run(lab, "web-1", "--close")
    run.signal(name)
    assert until(lambda: not lab.reaches("client"), 15)


def test_behind_a_gateway_too(lab: LabWorld) -> None:
    assert lab.said("client", "bascule", "ssh", "--close", "app-1", "--", "hostname") == "app-1"
    assert until(lambda: is_closed(lab, "app-1"), 15)


def test_the_last_of_two_closes(lab: LabWorld) -> None:
    first = Run(lab, "web-1", "--close")
    assert lab.said("client", "bascule", "ssh", "--close", "web-1", "--", "hostname") == "web-1"
    assert not until(lambda: not lab.reaches("client"), 4)
    first.signal("TERM")
    assert until(lambda: not lab.reaches("client"), 15)


def test_a_run_without_close_keeps_it(lab: LabWorld) -> None:
    first = Run(lab, "web-1", "--close")
    lab.said("client", "bascule", "ssh", "web-1", "--", "true")
    first.signal("KILL")
    assert not until(lambda: not lab.reaches("client"), 5)


def test_what_was_open_before_stays_open(lab: LabWorld) -> None:
    lab.said("client", "bascule", "request", "web-1", "--for", "5m")
    done = lab.on("client", "bascule", "ssh", "--close", "web-1", "--", "hostname")
    assert done.stdout == "web-1\n"
    assert "was open before, and stays open until its time is over" in done.stderr
    assert not until(lambda: not lab.reaches("client"), 4)


def test_the_end_is_told_to_a_server_that_starts_again(lab: LabWorld) -> None:
    run = Run(lab, "web-1", "--close")
    lab.kill(lab.info()["pids"]["server"])
    run.signal("TERM")
    assert until(lambda: not lab.reaches("client"), 60)


@pytest.mark.long  # two times the bound
@pytest.mark.timeout(500)
def test_missed_heartbeats_close_and_cut_nothing(lab: LabWorld) -> None:
    """The client's processes are killed, or sleep; one that goes on stays open, until its network is cut."""
    killed, asleep, well = (Run(lab, each, "--close") for each in ("web-1", "app-1", "sql-1"))
    killed.signal("KILL", killed.pid, *killed.children)
    ssh_and_child = asleep.children  # behind a gateway ssh is a child too
    asleep.signal("STOP", asleep.pid, *ssh_and_child)
    assert lab.reaches("client"), "it was closed before a heartbeat could be missed"
    assert until(lambda: is_closed(lab, "web-1") and is_closed(lab, "app-1"), LATEST)
    assert not lab.reaches("client")
    asleep.signal("CONT", asleep.pid, *ssh_and_child)
    assert asleep.is_alive, "the session was cut"
    assert well.is_alive
    assert not is_closed(lab, "sql-1")
    lab.said("client", "nft", CUT)
    try:
        assert not until(lambda: not well.is_alive, LATEST)
    finally:
        lab.said("client", "nft", "delete", "table", "inet", "cut")
    assert is_closed(lab, "sql-1")
    assert well.is_alive, "the session was cut"
    for each in (asleep, well):
        each.signal("TERM")
