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


def test_the_command_line_says_where(desk: Cli) -> None:
    (row,) = [line for line in desk.done("machine", "list").out.splitlines() if "app-1" in line]
    assert row.split("  ")[-1].strip() == "22/tcp at gw-1"
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
