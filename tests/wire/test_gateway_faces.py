"""A machine that only a gateway guards is never called plainly *closed*, by any face (EDGES G7)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire.house import BASCULE, COMPUTE, House, port_rule
from tests.wire.test_cli_principals import Cli, Result, cli  # noqa: F401  # reason: a fixture
from tests.wire.test_network import rules as denied

CLOSED = {"closed": [{"protocol": "TCP", "number": 22, "onExpiry": "keep"}]}


def prepare(house: House) -> None:
    """app-1 behind gw-1, which has read it back closed; web-1 with an agent of its own."""
    house.add_machine("web-1", properties={"bascule": {"addresses": ["10.1.0.30", "fd01::30"]}})
    for name in ("gw-1", "app-1"):
        house.add_machine(name)
    for name in ("app-1", "web-1"):
        rules = f"{house.machine(name)}/providers/Bascule.Access/machineRules/default"
        house.call("PUT", rules, {"properties": {"ports": [port_rule(22)]}}, BASCULE)
    gateway, web = house.enrol("gw-1"), house.enrol("web-1")
    point = uid_of(house, "gw-1")
    path = f"{house.machine('app-1')}/providers/Bascule.Fleet/enforcementPoints/{point}"
    assert house.call("PUT", path, {"addresses": ["10.1.0.10"]}).status_code == 201
    tell(house, gateway, "gw-1", "app-1", **CLOSED)
    tell(house, gateway, "gw-1", "gw-1")
    tell(house, web, "web-1", "web-1", **CLOSED)


@pytest.fixture
def desk(cli: Cli) -> Cli:  # noqa: F811  # reason: the fixture of that name
    prepare(cli.house)
    return cli


def uid_of(house: House, name: str) -> str:
    return str(house.call("GET", house.machine(name), version=COMPUTE).json()["properties"]["vmId"])


def tell(house: House, agent: Any, point: str, machine: str, *in_force: str, **more: Any) -> None:
    uid, about = uid_of(house, point), uid_of(house, machine)
    number = house.see(lambda r: r.generation(about))
    body = {"generation": number, "inForce": list(in_force), **more}
    done = agent.post(f"/bascule/points/{uid}/report", params={"machine": about}, json=body)
    assert done.status_code == 200, done.text


def refused(desk: Cli, *args: str) -> Result:
    result = desk(*args)
    assert result.code != 0
    return result


def test_what_root_opened_at_the_gateway_is_said_so(house: House) -> None:
    """On its machine, in exposure and on record: neither closed for all, nor opened on its host."""
    prepare(house)
    told = {"port": "22/tcp", "sources": ["192.0.2.7"], "seconds": 900, "id": "local-1"}
    agent = house.enrol("gw-1")
    tell(
        house, agent, "gw-1", "app-1", "local-1", **CLOSED, localOpenings=[told], heldLocally=[told]
    )
    shown = house.call("GET", house.machine("app-1"), version=COMPUTE).json()
    (opening,) = shown["properties"]["bascule"]["localOpenings"]
    assert opening["gateway"] == "gw-1"
    assert opening["ports"] == [{"number": 22, "protocol": "TCP"}]
    assert opening["endTimeUtc"]
    assert "OpenedLocally" in house.events("OpenedLocally")


def test_the_command_line_says_where(desk: Cli) -> None:
    (row,) = [line for line in desk.done("machine", "list").out.splitlines() if "app-1" in line]
    assert row.split("  ")[-1].strip() == "22/tcp at gw-1"
    assert "gw-1: online" in row, "it has no agent of its own"
    shown = desk.done("machine", "show", "app-1").out
    assert "closed     22/tcp at gw-1" in shown
    assert "whoever reaches it without passing there reaches them" in shown
    assert "agent      none of its own" in shown
    assert "guard" not in shown, "of its gateway's nothing is told here"
    assert "state      configured" in shown
    assert desk.json("machine", "show", "app-1")["closedAt"] == ["gw-1"]
    assert desk.json("machine", "show", "web-1")["closedAt"] == []
    assert "22/tcp at" not in desk.done("machine", "show", "web-1").out
    told = desk.done("exposure", "app-1")
    assert "closed at gw-1" in told.out
    assert "whoever reaches it without passing there" in told.err
    assert "closed at" not in desk.done("exposure", "web-1").out
    assert desk.json("exposure", "app-1")["closedAt"] == ["gw-1"]


def test_the_machine_s_own_security_rules_do_not_say_closed(desk: Cli) -> None:
    """What stands in front of it is elsewhere."""
    house = desk.house
    assert denied(house, "Deny")
    assert denied(house, "Deny", "app-1") == []


def test_an_address_outside_the_gateway_s_networks_is_told_at_once(desk: Cli) -> None:
    house = desk.house
    gateway = house.enrol("gw-1")
    networks = {"networks": ["10.1.0.0/24"], "addresses": [], "first": 0, "last": 0}
    guard = {"ports": None, "sources": None, "maxDuration": None, "mayRelease": True, "problem": ""}
    tell(house, gateway, "gw-1", "gw-1", guard={**guard, "forwarding": networks})
    inside = desk.done("machine", "behind", "gw-1", "app-1", "--address", "10.1.0.12")
    assert "names no network" not in inside.err
    assert "To see it: bascule machine show app-1" in inside.err
    outside = desk.done("machine", "behind", "gw-1", "app-1", "--address", "10.9.0.1")
    assert "names no network with 10.9.0.1" in outside.err
    shown = desk.done("machine", "show", "gw-1").out
    assert "behind     opens machines in 10.1.0.0/24\n" in shown
    public = {**networks, "addresses": ["198.51.100.7"], "first": 2222, "last": 2229}
    tell(house, gateway, "gw-1", "gw-1", guard={**guard, "forwarding": public})
    shown = desk.done("machine", "show", "gw-1").out
    assert "10.1.0.0/24; public ports 2222 to 2229 of 198.51.100.7\n" in shown
    assert desk.json("machine", "show", "gw-1")["agent"]["guard"]["behind"] == {
        "networks": ["10.1.0.0/24"],
        "publicAddresses": ["198.51.100.7"],
        "publicPorts": "2222-2229",
    }
    assert "opens machines" not in desk.done("machine", "show", "web-1").out
    assert "behind itself" in refused(desk, "machine", "behind", "gw-1", "gw-1").err


def test_what_a_gateway_guards_is_bound_shown_moved_and_released(desk: Cli) -> None:
    house = desk.house
    again = desk.done("machine", "behind", "gw-1", "app-1", "--address", "10.1.0.11").out
    assert "app-1 stays behind gw-1; it is at 10.1.0.11 there" in again
    agentless = refused(desk, "machine", "behind", "app-1", "web-1").err
    assert "app-1 has no agent of its own" in agentless
    told = desk.json("machine", "release-at", "gw-1", "app-1", "--yes")
    assert told == {"released": ["10.1.0.10"]}
    assert "no former address" in desk.done("machine", "release-at", "gw-1", "app-1").err
    taken = refused(desk, "machine", "behind", "gw-1", "web-1", "--address", "10.1.0.11")
    assert "another machine" in taken.err
    assert (
        "one IPv4 and one IPv6"
        in refused(
            desk,
            "machine",
            "behind",
            "gw-1",
            "web-1",
            "--address",
            "10.1.0.1",
            "--address",
            "10.1.0.2",
        ).err
    )
    assert (
        "one machine at a time"
        in refused(desk, "machine", "behind", "gw-1", "web-1", "app-1", "--address", "10.1.0.1").err
    )
    made = desk.json("machine", "behind", "gw-1", "web-1")
    (bound,) = made["machines"]
    assert bound["bound"] is True
    assert (
        bound["addresses"]
        == house.call("GET", house.machine("web-1"), version=COMPUTE).json()["properties"][
            "bascule"
        ]["addresses"]
    )
    assert "no longer behind" in desk.done("machine", "not-behind", "gw-1", "app-1", "--yes").out
    assert "not behind" in desk.done("machine", "not-behind", "gw-1", "app-1", "--yes").out
    assert set(house.events("AddressReleased", "MachineUnbound")) == {
        "AddressReleased",
        "MachineUnbound",
    }


AT = "22/tcp of 10.1.0.10"
PROXY: dict[str, Any] = {
    "code": "ProxiedBehind",
    "arguments": {
        "port": AT,
        "other": "8022/tcp",
        "program": "haproxy",
        "rule": "/etc/haproxy/haproxy.cfg: server app 10.1.0.10:22",
    },
}
OF_80: dict[str, Any] = {
    "code": "Unanswered",
    "arguments": {"port": "80/tcp of 10.1.0.10", "address": "10.1.0.10"},
}
UNREAD: dict[str, Any] = {
    "code": "OtherRulesNotRead",
    "arguments": {"unread": "the tables of iptables-legacy"},
}
OWN: dict[str, Any] = {
    "code": "SecondPort",
    "arguments": {"port": "22/tcp", "other": "2222/tcp", "program": "sshd", "rule": "listener"},
}
ELSEWHERE: dict[str, Any] = {
    "code": "ProxiedBehind",
    "arguments": {**PROXY["arguments"], "port": "22/tcp of 10.1.0.99"},
}


def report(house: House, *weaknesses: object) -> None:
    """gw-1's agent has found these."""
    agent = house.client_of(house.agent_token(uid_of(house, "gw-1")))
    tell(house, agent, "gw-1", "app-1", **CLOSED)
    tell(house, agent, "gw-1", "gw-1", weaknesses=list(weaknesses))


def faces(desk: Cli) -> dict[str, str]:
    """What each face says of app-1's port."""
    (row,) = [line for line in desk.done("machine", "list").out.splitlines() if "app-1" in line]
    shown = desk.done("machine", "show", "app-1").out
    (line,) = [each for each in shown.splitlines() if each.startswith("closed ")]
    (port,) = [each for each in desk.done("exposure", "app-1").out.splitlines() if "22/tcp" in each]
    return {
        "machine list": row,
        "machine show": line,
        "exposure of it": port,
        "exposure": desk.done("exposure").out,
        "status": desk.done("status").out,
    }


@pytest.mark.parametrize(
    ("weakness", "words"),
    [(PROXY, "open past us at gw-1"), (UNREAD, "cannot be told at gw-1")],
)
def test_what_is_found_at_the_gateway_is_said_of_the_machine_behind(
    desk: Cli, weakness: dict[str, object], words: str
) -> None:
    report(desk.house, weakness)
    for face, said in faces(desk).items():
        assert words in said, face
        assert "closed at" not in said, face
    shown = desk.done("machine", "show", "app-1").out
    assert "At gw-1: " in shown, "the finding, with its rule"
    told = desk.json("exposure", "app-1")["ports"][0]
    assert told["reachedAt"] == ["gw-1"]
    assert told["shadows"][0]["gateway"] == "gw-1"
    assert desk.json("status")["notCalledClosed"][0]["reachedAt"] == ["gw-1"]
    report(desk.house)
    for face, said in faces(desk).items():
        assert words not in said, face


UNANSWERED: dict[str, Any] = {
    "code": "Unanswered",
    "arguments": {"port": AT, "address": "10.1.0.10"},
}


@pytest.mark.parametrize("weakness", [OWN, ELSEWHERE])
def test_what_is_about_the_gateway_s_own_port_or_another_machine_is_not(
    desk: Cli, weakness: dict[str, object]
) -> None:
    """A second port of gw-1's own sshd leads nobody to app-1."""
    report(desk.house, weakness)
    for face, said in faces(desk).items():
        assert "past us" not in said, face
    assert faces(desk)["machine show"] == "closed     22/tcp at gw-1"


def test_what_leads_past_a_gateway_does_not_lead_past_the_machine_s_own_agent(desk: Cli) -> None:
    """web-1's own agent judges whatever arrives there."""
    house = desk.house
    path = f"{house.machine('web-1')}/providers/Bascule.Fleet/enforcementPoints/"
    bound = house.call("PUT", path + uid_of(house, "gw-1"), {"addresses": ["10.1.0.30"]})
    assert bound.status_code == 201
    gateway, web = (
        house.client_of(house.agent_token(uid_of(house, each))) for each in ("gw-1", "web-1")
    )
    past = {**PROXY, "arguments": {**PROXY["arguments"], "port": "22/tcp of 10.1.0.30"}}
    tell(house, gateway, "gw-1", "web-1", **CLOSED)
    tell(house, gateway, "gw-1", "gw-1", weaknesses=[past])
    tell(house, web, "web-1", "web-1", **CLOSED)
    assert "closed     22/tcp\n" in desk.done("machine", "show", "web-1").out
    tell(house, web, "web-1", "web-1", **CLOSED, weaknesses=[OWN])
    assert "closed     22/tcp (open past us)" in desk.done("machine", "show", "web-1").out


def test_a_gateway_that_something_else_manages_makes_what_is_behind_it_unsupported(
    desk: Cli,
) -> None:
    """As the how-to says of VMs behind firewalls that Azure Firewall Manager controls (EDGES G9)."""
    told = desk.done("machine", "managed-by", "gw-1", "FortiManager")
    assert "gw-1 is managed by FortiManager" in told.out
    shown = desk.done("machine", "show", "app-1").out
    assert "state      unsupported" in shown
    assert "gw-1, in front of app-1, is managed by FortiManager (an owner says so)" in shown
    assert "bascule machine managed-by gw-1 --nobody" in shown
    assert "closed     22/tcp at gw-1" in shown, "it stays closed"
    assert "managed    by FortiManager" in desk.done("machine", "show", "gw-1").out
    asked = refused(desk, "request", "app-1", "-p", "22", "--no-wait")
    assert "managed by something other than Bascule" in asked.err
    assert "FortiManager" not in asked.err, "whose it is, requestors are not told"
    changed = refused(desk, "policy", "set", "app-1", "-p", "22", "-p", "3389")
    assert "ManagedElsewhere" in changed.err or "managed by something other" in changed.err
    assert desk.json("machine", "managed-by", "gw-1", "--nobody")["managedBy"] == ""
    assert "state      configured" in desk.done("machine", "show", "app-1").out
    assert refused(desk, "machine", "managed-by", "gw-1").code == 2
    assert refused(desk, "machine", "managed-by", "gw-1", "x", "--nobody").code == 2
    found = {"code": "FlowsOffloaded", "arguments": {"tables": "inet filter fast"}}
    report(desk.house, found)
    shown = desk.done("machine", "show", "app-1").out
    assert "is managed by flow table inet filter fast (its agent found)" in shown
    desk.done("machine", "managed-by", "gw-1", "bascule")
    assert "state      configured" in desk.done("machine", "show", "app-1").out
    assert "GatewayManaged" in set(desk.house.events("GatewayManaged"))


def test_policy_set_says_what_agent_and_gateway_each_do(desk: Cli) -> None:
    house = desk.house
    assert "A port is open only when" not in desk.done("policy", "set", "app-1", "-p", "22").err
    tell(house, house.enrol("app-1"), "app-1", "app-1", **CLOSED)
    said = desk.done("policy", "set", "app-1", "-p", "22").err
    assert "The agent of app-1 closes the ports for all that arrives there, and gw-1 for" in said
    assert "A port is open only when app-1 and gw-1 have opened it." in said
    house.add_machine("gw-2")
    house.enrol("gw-2")
    for name in ("gw-1", "gw-2"):
        desk.done("machine", "behind", name, "app-1", "--address", "10.1.0.10", "--parallel")
    said = desk.done("policy", "set", "app-1", "-p", "22").err
    assert "A port is open only when app-1 and gw-1 or gw-2 have opened it." in said
    assert "A port is open only when" not in desk.done("policy", "set", "web-1", "-p", "22").err
