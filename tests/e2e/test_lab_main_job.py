"""The main job in the lab: shut, opened for one, shut again, and shut whatever dies."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.lab_world import LabWorld, until

pytestmark = [pytest.mark.root, pytest.mark.leak]


@pytest.fixture(autouse=True)
def shut(lab: LabWorld) -> Iterator[None]:
    """Begin and leave with nothing open."""
    assert not lab.reaches("client")
    yield
    lab.on("client", "bascule", "revoke", "--all")


def test_request_opens_for_the_client_alone_and_revoke_shuts(lab: LabWorld) -> None:
    assert not lab.reaches("stranger")
    lab.said("client", "bascule", "request", "web-1", "--for", "5m")
    assert lab.reaches("client")
    assert not lab.reaches("stranger")
    assert not lab.reaches("client", "web-1", "-6")  # one address was granted
    lab.said("client", "bascule", "revoke")
    assert not lab.reaches("client")


def test_bascule_ssh_asks_by_itself(lab: LabWorld) -> None:
    assert lab.said("client", "bascule", "ssh", "web-1", "--", "hostname") == "web-1"
    assert not lab.reaches("stranger")


def test_plain_ssh_asks_by_itself_with_the_generated_lines(lab: LabWorld) -> None:
    lab.said("client", "sh", "-c", "bascule ssh-config > ~/.ssh/config")
    try:
        assert lab.said("client", "ssh", "-o", "BatchMode=yes", "web-1", "hostname") == "web-1"
    finally:
        lab.said("client", "sh", "-c", "rm ~/.ssh/config")


def test_ssh_goes_where_the_grant_is(lab: LabWorld) -> None:
    """EDGES A22: a grant for an IPv6 source is used over IPv6, one for IPv4 over IPv4."""
    (client,) = (host for host in lab.info()["hosts"] if host["name"] == "client")
    addresses = dict(zip((4, 6), client["addresses"], strict=True))
    assert ":" in addresses[6]
    for family in (6, 4):
        lab.said(
            "client", "bascule", "request", "web-1", "--for", "5m", "--from", addresses[family]
        )
        seen = lab.said("client", "bascule", "ssh", "web-1", "--", "echo $SSH_CONNECTION")
        assert seen.split()[0] == addresses[family]
        lab.said("client", "bascule", "revoke")


def test_nothing_opens_because_something_died(lab: LabWorld) -> None:
    """The agent is killed and every rule flushed while it is away: the supervisor keeps the socket
    that owns the table, so the flush does not reach it (EDGES A5)."""
    before = lab.info()["pids"]
    lab.kill(before["agents"]["web-1"])
    lab.on("web-1", "nft", "flush", "ruleset")
    assert not lab.reaches("stranger")
    refused = lab.on("web-1", "nft", "delete", "table", "inet", "bascule")
    assert refused.returncode != 0
    old = before["agents"]["web-1"]
    assert until(lambda: lab.info()["pids"]["agents"].get("web-1", old) != old)
    assert lab.info()["pids"]["agents"]["db-1"] == before["agents"]["db-1"]
    assert until(lambda: lab.on("client", "bascule", "ssh", "web-1", "--", "true").returncode == 0)


def test_open_port_stays_open_over_deaths_and_ends_all_the_same(lab: LabWorld) -> None:
    lab.said("client", "bascule", "request", "web-1", "--for", "20s")
    pids = lab.info()["pids"]
    for pid in (pids["server"], pids["agents"]["web-1"]):
        lab.kill(pid)
    assert lab.reaches("client")
    assert not lab.reaches("stranger")
    assert until(lambda: not lab.reaches("client"), 40)
    assert lab.info()["pids"]["server"] != pids["server"]


def test_agents_commands_find_the_agent(lab: LabWorld) -> None:
    assert "22/tcp" in lab.said("web-1", "bascule", "agent", "status")
