"""The lab's machines behind ``gw``: app-1 without an agent, sql-1 with one (EDGES G3, G7)."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest

from tests.e2e.lab_world import SILENT, LabWorld, until

pytestmark = [pytest.mark.root, pytest.mark.leak]

BEHIND = ("app-1", "sql-1")


@pytest.fixture(autouse=True)
def shut(lab: LabWorld) -> Iterator[None]:
    """Begin and leave with nothing open."""
    lab.on("client", "bascule", "revoke", "--all")
    yield
    lab.on("client", "bascule", "revoke", "--all")


@pytest.mark.parametrize("name", BEHIND)
def test_a_machine_behind_the_gateway_is_opened_for_the_client_alone(
    lab: LabWorld, name: str
) -> None:
    for family in ("-4", "-6"):
        assert not lab.reaches("client", name, family)
        assert not lab.reaches("stranger", name, family)
    assert lab.said("client", "bascule", "ssh", name, "--", "hostname") == name
    assert lab.reaches("client", name)
    assert not lab.reaches("client", name, "-6"), "one address was granted"
    assert not lab.reaches("stranger", name)
    seen = lab.said("client", "bascule", "ssh", name, "--", "echo $SSH_CONNECTION")
    assert seen.split()[0] == "10.203.0.10", "the machine sees the true client"
    lab.said("client", "bascule", "revoke")
    assert until(lambda: not lab.reaches("client", name))


def test_killed_and_flushed_the_gateway_keeps_both_closed(lab: LabWorld) -> None:
    pids = lab.info()["pids"]["agents"]
    assert set(pids) == {"web-1", "db-1", "gw", "sql-1"}, "app-1 has none"
    lab.said("client", "bascule", "request", "app-1", "--for", "5m")
    lab.kill(pids["gw"])
    lab.on("gw", "nft", "flush", "ruleset")
    assert lab.reaches("client", "app-1"), "its lease is the kernel's"
    for name in BEHIND:
        assert not lab.reaches("stranger", name)
    lab.said("client", "bascule", "revoke")
    assert until(lambda: not lab.reaches("client", "app-1"), 20), "the next agent hears of it"


def test_both_are_reached_by_the_gateway_s_address_and_their_host_keys_do_not_clash(
    lab: LabWorld,
) -> None:
    for name, port in (("app-1", "2200"), ("sql-1", "2201")):  # as ``lab info`` says
        told = lab.said("client", "bascule", "request", name, "--for", "5m")
        assert f"\n  ssh -p {port} -o HostKeyAlias={name} 10.203.0.23\n" in told
        done = lab.on("client", "bascule", "ssh", "-v", name, "--", "echo $SSH_CONNECTION")
        assert done.returncode == 0, done.stderr
        assert f"Connecting to 10.203.0.23 [10.203.0.23] port {port}." in done.stderr
        assert "IDENTIFICATION HAS CHANGED" not in done.stderr
        source, _, machine, number = done.stdout.split()
        assert (source, number) == ("10.203.0.10", "22"), "it sees the true client"
        assert machine == {"app-1": "10.203.1.31", "sql-1": "10.203.1.32"}[name]
        knock = ("ssh", "-o", "ConnectTimeout=2", "-p", port, "10.203.0.23", "hostname")
        assert lab.on("stranger", *knock).returncode == SILENT


def test_ssh_and_scp_go_by_the_public_port_with_the_generated_lines(lab: LabWorld) -> None:
    """Plain ssh and scp, which know nothing of gateways and ask for access by themselves."""
    lab.said("client", "sh", "-c", "bascule ssh-config > ~/.ssh/config")
    try:
        for name in BEHIND:
            done = lab.on(
                "client",
                "sh",
                "-c",
                f"echo to {name} > ~/sent && scp -v -B ~/sent {name}:got-{name}"
                f" && ssh -o BatchMode=yes {name} 'hostname; cat got-{name}; rm got-{name}'",
            )
            assert done.returncode == 0, done.stderr
            assert done.stdout.splitlines()[-2:] == [name, f"to {name}"]
            assert re.search(r"Connecting to 10\.203\.0\.23 .*port 22\d\d\.", done.stderr)
            assert f"Connecting to {name}" not in done.stderr
            assert not lab.reaches("stranger", name)
    finally:
        lab.said("client", "sh", "-c", "rm -f ~/.ssh/config ~/sent")


def test_a_default_route_elsewhere_is_found_and_the_request_fails_with_that_word(
    lab: LabWorld,
) -> None:
    """EDGES G7: at once, and no more as soon as the route is mended."""
    (server,) = (each["addresses"][0] for each in lab.hosts() if each["name"] == "server")
    lab.said("sql-1", "ip", "route", "add", server, "via", "10.203.1.1")  # its agent is heard
    lab.said("sql-1", "ip", "route", "replace", "default", "via", "10.203.1.31")
    try:
        began = time.monotonic()
        done = lab.on("client", "bascule", "request", "sql-1", "--for", "5m")
        assert done.returncode != 0
        assert time.monotonic() - began < 15, "it does not wait out its patience"
        words = "sql-1 does not answer this source through a gateway that it is behind"
        assert words in done.stdout + done.stderr
        assert not lab.reaches("client", "sql-1")

        def is_told() -> bool:
            return "10.203.1.31" in lab.said("client", "bascule", "machine", "show", "sql-1")

        assert until(is_told, 20)
        found = json.loads(lab.on("sql-1", "bascule", "doctor", "-o", "json").stdout)
        assert "RouteElsewhere" in {each["code"] for each in found["findings"]}
        assert lab.said("client", "bascule", "request", "app-1", "--for", "1m"), "it is another's"
    finally:
        lab.said("sql-1", "ip", "route", "replace", "default", "via", "10.203.1.1")
    assert until(lambda: not is_told(), 20)
    assert lab.said("client", "bascule", "ssh", "sql-1", "--", "hostname") == "sql-1"


def test_what_is_said_of_them(lab: LabWorld) -> None:
    assert "22/tcp at gw" in lab.said("client", "bascule", "machine", "show", "app-1")
    shown = lab.said("client", "bascule", "machine", "show", "sql-1")
    assert "22/tcp" in shown
    assert " at gw" not in shown, "its own agent closes it too"
    kinds = {each["name"]: (each["kind"], each["gateway"]) for each in lab.info()["machines"]}
    assert kinds["web-1"] == ("host", None)
    assert kinds["gw"] == ("gateway", None)
    assert kinds["app-1"] == kinds["sql-1"] == ("behind", "gw")
    for line in (
        "app-1 (no agent) is reached through gateway gw: its port 22 by 10.203.0.23:2200",
        "sql-1 (its own agent too) is reached through gateway gw: its port 22 by 10.203.0.23:2201",
    ):
        assert line in lab.run("info").stdout
