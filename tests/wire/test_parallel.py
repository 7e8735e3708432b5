"""Gateways in parallel and how long they are waited for, by the wire and the command line (EDGES G3, G4).

app-1 is behind gw-1 and gw-2, bound in parallel. What opens it is in ``unit/test_services_parallel``.
"""

from __future__ import annotations

from typing import Any

import pytest

from bascule.cli.show import opened_lines
from bascule.client.access import read_request
from tests.wire.house import BASCULE, COMPUTE, JIT, House, port_rule
from tests.wire.test_bindings import points_of
from tests.wire.test_cli_principals import Cli, cli  # noqa: F401  # reason: a fixture
from tests.wire.test_gateway_faces import CLOSED, refused, tell, uid_of

NAMES = ("gw-1", "gw-2")
MINUTE = 61.0  # seconds


@pytest.fixture
def desk(cli: Cli) -> Cli:  # noqa: F811  # reason: the fixture of that name
    house = cli.house
    for name in ("app-1", *NAMES):
        house.add_machine(name)
    rules = f"{house.machine('app-1')}/providers/Bascule.Access/machineRules/default"
    house.call("PUT", rules, {"properties": {"ports": [port_rule(22)]}}, BASCULE)
    return cli


def bind(desk: Cli) -> dict[str, Any]:
    """Both in parallel, by the command line; the agents of the gateways, which have closed it."""
    agents = {name: desk.house.enrol(name) for name in NAMES}
    for name in NAMES:
        told = desk.done("machine", "behind", name, "app-1", "--parallel", "--address", "10.1.0.10")
        assert f"app-1 is behind {name}, at 10.1.0.10, in parallel" in told.out
    for name, agent in agents.items():
        tell(desk.house, agent, name, "app-1", **CLOSED)
        tell(desk.house, agent, name, name)
    return agents


def request(house: House) -> str:
    """Its grant's id."""
    port = {"number": 22, "duration": "PT1H", "allowedSourceAddressPrefix": "192.0.2.7"}
    body = {"virtualMachines": [{"id": house.machine("app-1"), "ports": [port]}]}
    answer = house.call("POST", f"{house.policy()}/initiate", body, JIT)
    assert answer.status_code == 202, answer.text
    (listed,) = house.call("GET", requests_of(house), version=BASCULE).json()["value"]
    return str(port_in(listed)["bascule"]["grantId"])


def requests_of(house: House) -> str:
    return f"{house.policy().split('/resourceGroups/')[0]}/providers/Bascule.Access/accessRequests"


def words(house: House) -> str:
    """What the command line says of it when it is open."""
    path = requests_of(house)
    (listed,) = house.call("GET", path, version=BASCULE).json()["value"]
    return "\n".join(opened_lines(read_request(listed), house.clock.now()))


def port_in(listed: dict[str, Any]) -> dict[str, Any]:
    (machine,) = listed.get("properties", listed)["virtualMachines"]
    (port,) = machine["ports"]
    found: dict[str, Any] = port
    return found


def test_the_order_is_set_kept_and_shown(desk: Cli) -> None:
    bind(desk)
    house = desk.house
    path = points_of(house, "app-1", uid_of(house, "gw-2"))

    def order() -> list[bool]:
        """Of gw-1 and of gw-2."""
        told = house.call("GET", points_of(house, "app-1")).json()["value"]
        by = {each["name"]: each["properties"]["parallel"] for each in told}
        return [by[uid_of(house, name)] for name in NAMES]

    assert order() == [True, True]
    assert house.call("PUT", path, {"addresses": ["10.1.0.10"]}).status_code == 200
    assert order() == [True, True], "nothing was said of it"
    assert house.call("PUT", path, {"parallel": False}).status_code == 200
    assert order() == [True, False]
    assert house.call("PUT", path, {"parallel": "perhaps"}).status_code == 400
    assert order() == [True, False]
    assert len(house.events("PointArranged")) == len(NAMES) + 1
    log = [line for line in desk.done("activity").out.splitlines() if "PointArranged" in line]
    assert log
    assert all("gateway: gw-" in line and "uid" not in line for line in log)
    shown = desk.done("machine", "show", "app-1").out
    assert "gw-1, in parallel, forwards to 10.1.0.10: online" in shown
    assert "gw-2, in series, forwards to 10.1.0.10: " in shown
    listed = desk.json("machine", "show", "app-1")["points"]
    by_name = {each["id"].rpartition("/")[2]: each["parallel"] for each in listed}
    assert by_name == {"gw-1": True, "gw-2": False}
    again = desk.done("machine", "behind", "gw-2", "app-1", "--parallel", "--address", "10.1.0.10")
    assert "app-1 stays behind gw-2" in again.out
    assert order() == [True, True]


def test_an_owner_trusts_a_route(desk: Cli) -> None:
    bind(desk)
    path = points_of(desk.house, "app-1", uid_of(desk.house, "gw-2"))
    at = ("gw-2", "app-1", "--address", "10.1.0.10")
    assert "route is trusted" in desk.done("machine", "behind", *at, "--trust-route").out
    assert "gw-2, in parallel, forwards to 10.1.0.10, route trusted: " in (
        desk.done("machine", "show", "app-1").out
    )
    listed = desk.json("machine", "show", "app-1")["points"]
    assert sorted(each["trustRoute"] for each in listed) == [False, True]
    assert desk.house.call("PUT", path, {"trustRoute": "perhaps"}).status_code == 400
    assert desk.house.call("PUT", path, {"parallel": True}).status_code == 200
    told = desk.house.call("GET", points_of(desk.house, "app-1")).json()["value"]
    assert sorted(each["properties"]["trustRoute"] for each in told) == [False, True]
    assert "route is checked" in desk.done("machine", "behind", *at, "--check-route").out
    assert len(desk.house.events("RouteTrusted")) == 2


def test_a_gateway_is_in_series_unless_it_is_said(desk: Cli) -> None:
    """Nobody asked for less than all of them."""
    desk.house.enrol("gw-1")
    desk.done("machine", "behind", "gw-1", "app-1", "--address", "10.1.0.10")
    shown = desk.done("machine", "show", "app-1").out
    assert "gw-1, in series" in shown
    assert "in parallel" not in shown
    assert refused(desk, "machine", "behind", "gw-1", "app-1", "--parallel", "--bogus").code


def test_how_long_a_request_waits_is_told_before(desk: Cli) -> None:
    bind(desk)
    house = desk.house
    (first, _) = house.call("GET", points_of(house, "app-1")).json()["value"]
    assert first["properties"]["patienceSeconds"] == 60
    assert "a request fails that is not open in 1m\n" in desk.done("machine", "show", "app-1").out
    assert desk.json("machine", "show", "app-1")["agent"]["patienceSeconds"] == 60


def test_no_report_says_how_long_it_is_waited_for(desk: Cli) -> None:
    """EDGES G4: a stolen agent gets no more time."""
    agents = bind(desk)
    house = desk.house
    tell(house, agents["gw-1"], "gw-1", "app-1", **CLOSED, patienceSeconds=3600)
    (first, _) = house.call("GET", points_of(house, "app-1")).json()["value"]
    assert first["properties"]["patienceSeconds"] == 60


def test_through_which_it_is_open_and_who_was_withdrawn_is_told(desk: Cli) -> None:
    agents = bind(desk)
    house = desk.house
    grant = request(house)
    tell(house, agents["gw-1"], "gw-1", "app-1", grant, **CLOSED)
    tell(house, agents["gw-1"], "gw-1", "gw-1")

    def told() -> dict[str, Any]:
        (listed,) = house.call("GET", requests_of(house), version=BASCULE).json()["value"]
        return port_in(listed)

    assert told()["bascule"]["state"] == "open"
    states = {each["name"]: each["state"] for each in told()["bascule"]["points"]}
    assert states == {"gw-1": "open", "gw-2": "waiting"}
    assert "gw-2 has not answered yet" in words(house)
    house.clock.pass_time(MINUTE)
    house.sweep()
    tell(house, agents["gw-1"], "gw-1", "app-1", grant, **CLOSED)
    tell(house, agents["gw-1"], "gw-1", "gw-1")
    states = {each["name"]: each["state"] for each in told()["bascule"]["points"]}
    assert states == {"gw-1": "open", "gw-2": "withdrawn"}
    assert told()["bascule"]["state"] == "open"
    shown = words(house)
    assert "open through gw-1" in shown
    assert "gw-2 was withdrawn: " in shown
    assert house.events("PointWithdrawn") == ["PointWithdrawn"]
    agent = agents["gw-2"]
    where = {"machine": uid_of(house, "app-1")}
    state = agent.get(f"/bascule/points/{uid_of(house, 'gw-2')}/state", params=where).json()
    assert state["leases"] == [], "it is told of it no more"


def test_with_both_silent_the_failure_names_both(desk: Cli) -> None:
    bind(desk)
    house = desk.house
    request(house)
    house.clock.pass_time(MINUTE)
    house.sweep()
    (listed,) = house.call("GET", requests_of(house), version=BASCULE).json()["value"]
    ours = port_in(listed)["bascule"]
    assert ours["state"] == "failed"
    assert all(name in ours["failure"] for name in NAMES), ours["failure"]


def test_the_silent_gateway_is_named_and_what_can_still_be_requested(desk: Cli) -> None:
    """No face says *away* of a machine that the other gateway serves, and none says *online*."""
    agents = bind(desk)
    house = desk.house
    machine = house.machine("app-1")

    def point() -> dict[str, Any]:
        ours = house.call("GET", machine, version=COMPUTE).json()["properties"]["bascule"]
        found: dict[str, Any] = ours["enforcementPoint"]
        return found

    def of_policy() -> tuple[list[str], list[dict[str, Any]]]:
        """Where nothing opens, and where it opens through others."""
        ours = house.call("GET", house.policy(), version=JIT).json()["properties"]["bascule"]
        return ours["away"], ours["partlyOnline"]

    assert (point()["state"], point()["silentGateways"]) == ("online", [])
    assert of_policy() == ([], [])
    house.clock.pass_time(MINUTE)
    assert (point()["state"], point()["silentGateways"]) == ("offline", []), "both"
    assert of_policy() == ([machine], [])
    assert "away since" in desk.done("machine", "list").out
    tell(house, agents["gw-1"], "gw-1", "app-1", **CLOSED)
    tell(house, agents["gw-1"], "gw-1", "gw-1")
    assert (point()["state"], point()["silentGateways"]) == ("partlyOnline", ["gw-2"])
    view = house.call("GET", f"{machine}/instanceView", version=COMPUTE).json()
    (agent,) = view["vmAgent"]["statuses"]
    assert agent["message"] == "gw-2 away: requests open through the other gateways."
    said = "gw-2 away, requests open through the other gateways"
    assert f"gw-1 and gw-2: {said}" in desk.done("machine", "list").out
    shown = desk.done("machine", "show", "app-1").out
    assert f"gw-1 and gw-2, {said}" in shown
    assert "22/tcp at gw-1 and gw-2; last known at gw-2" in shown
    assert desk.json("machine", "show", "app-1")["agent"]["silentGateways"] == ["gw-2"]
    exposure = f"{machine}/providers/Bascule.Access/exposures/default"
    told = house.call("GET", exposure, version=BASCULE).json()["properties"]
    assert told["silentGateways"] == ["gw-2"]
    assert "gw-2 has been silent since" in desk.done("exposure", "app-1").err
    status = desk.done("status").out
    assert said in status
    assert of_policy() == ([], [{"id": machine, "silentGateways": ["gw-2"]}])
    house.call("PUT", points_of(house, "app-1", uid_of(house, "gw-2")), {"parallel": False})
    assert (point()["state"], point()["silentGateways"]) == ("offline", ["gw-2"])
    assert of_policy() == ([machine], [])
    assert "gw-2 away, requests fail" in desk.done("machine", "list").out
