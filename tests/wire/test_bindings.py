"""Binding machines to points over the wire (EDGES F3): who may, and what a credential reaches."""

from __future__ import annotations

from typing import Any

import pytest

from bascule.domain.actions import ENROLMENT_WRITE, MACHINE_WRITE, POINT_READ
from tests.wire.house import BASCULE, JIT, House, port_rule
from tests.wire.somebody import somebody


@pytest.fixture
def uids(house: House) -> tuple[str, str]:
    """Of web-1, whose agent is the point, and of db-1."""
    return house.add_machine("web-1"), house.add_machine("db-1")


def points_of(house: House, machine: str, uid: str = "") -> str:
    path = f"{house.machine(machine)}/providers/Bascule.Fleet/enforcementPoints"
    return f"{path}/{uid}" if uid else path


def report(agent: Any, point: str, machine: str, generation: int, **more: Any) -> Any:
    body = {"generation": generation, "inForce": [], **more}
    return agent.post(f"/bascule/points/{point}/report", params={"machine": machine}, json=body)


def test_a_bound_machine_is_told_to_its_point_and_reported_by_it(
    house: House, uids: tuple[str, str]
) -> None:
    web, db = uids
    agent = house.enrol("web-1")
    rules = {"virtualMachines": [{"id": house.machine("db-1"), "ports": [port_rule()]}]}
    house.call("PUT", house.policy(), {"kind": "Basic", "properties": rules}, JIT)
    assert house.call("PUT", points_of(house, "db-1", web)).status_code == 201
    assert house.call("PUT", points_of(house, "db-1", web)).status_code == 200
    told = agent.get(f"/bascule/points/{web}/state", params={"machine": db})
    assert told.status_code == 200, told.text
    assert told.json()["machineUid"] == db
    assert [each["number"] for each in told.json()["closed"]] == [22]
    generation = told.json()["generation"]
    own = agent.get(f"/bascule/points/{web}/state").json()
    assert own["guards"] == {db: generation}, "by which an agent without a line knows of it"
    assert "guards" not in told.json() or told.json()["guards"] is None
    closed = [{"protocol": "TCP", "number": 22, "onExpiry": "keep"}]
    assert report(agent, web, db, generation, closed=closed).status_code == 200
    (shown,) = house.call("GET", points_of(house, "db-1")).json()["value"]
    assert shown["name"] == web
    assert shown["properties"]["machineId"] == house.machine("db-1")
    assert shown["properties"]["observedGeneration"] == generation
    assert house.events("MachineBound") == ["MachineBound"]


def test_a_point_is_told_where_it_forwards_to_and_the_former_address(
    house: House, uids: tuple[str, str]
) -> None:
    """Over HTTP as over the line; without a body nothing is said of it."""
    web, db = uids
    agent = house.enrol("web-1")

    def told() -> Any:
        answer = agent.get(f"/bascule/points/{web}/state", params={"machine": db})
        return answer.json().get("where")

    def put(addresses: list[str] | None) -> Any:
        path = points_of(house, "db-1", web)
        return house.call("PUT", path, {"addresses": addresses}).status_code

    assert put(["10.1.0.10", "fd01::10"]) == 201
    more: dict[str, Any] = {"former": [], "released": {}, "mapped": [], "name": "db-1"}
    assert told() == {"addresses": ["10.1.0.10", "fd01::10"], **more}
    assert put(["10.1.0.11"]) == 200
    assert told()["former"] == ["10.1.0.10", "fd01::10"]
    assert put(None) == 200
    assert house.call("PUT", points_of(house, "db-1", web)).status_code == 200
    assert told()["addresses"] == ["10.1.0.11"]
    (shown,) = house.call("GET", points_of(house, "db-1")).json()["value"]
    assert shown["properties"]["addresses"] == ["10.1.0.11"]
    assert shown["properties"]["formerAddresses"] == ["10.1.0.10", "fd01::10"]
    for wrong in (["10.1.0.300"], ["fe80::1%eth0"], ["127.0.0.1"], ["10.0.0.1"] * 3):
        assert put(wrong) == 400
    assert house.events("MachinePlaced") == ["MachinePlaced"] * 2


def test_a_credential_of_one_point_reaches_nothing_that_is_not_bound_to_it(
    house: House, uids: tuple[str, str]
) -> None:
    """Stolen, it closes, opens, reads and reports no other machine; nothing of it is taken."""
    web, db = uids
    agent = house.enrol("web-1")
    answers = [
        agent.get(f"/bascule/points/{web}/state", params={"machine": db}),
        report(agent, web, db, 1, notes=["let me in"]),
        report(agent, web, "no-machine", 1),
        agent.get(f"/bascule/points/{db}/state"),
    ]
    assert [each.status_code for each in answers] == [403] * 4
    assert {each.json()["error"]["code"] for each in answers[:3]} == {"NotBound"}
    assert house.call("PUT", points_of(house, "db-1", web)).status_code == 201
    assert (
        agent.put(points_of(house, "db-1", web), params={"api-version": BASCULE}).status_code == 403
    )
    assert report(agent, web, db, 1).status_code == 200
    assert house.call("DELETE", points_of(house, "db-1", web)).status_code == 200
    assert house.call("DELETE", points_of(house, "db-1", web)).status_code == 204
    assert report(agent, web, db, 1).status_code == 403
    assert house.events("AgentReported") == []


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_it_takes_both_rights_at_that_machine(
    house: House, uids: tuple[str, str], method: str
) -> None:
    web, _ = uids
    house.enrol("web-1")
    here, elsewhere = house.machine("db-1"), house.machine("web-1")

    def tries(scope: str, *actions: str) -> int:
        one = somebody(house, scope, *actions)
        path = points_of(house, "db-1", web)
        return int(one.request(method, path, params={"api-version": BASCULE}).status_code)

    assert tries(here, ENROLMENT_WRITE) == 403
    assert tries(here, MACHINE_WRITE, POINT_READ) == 403
    assert tries(elsewhere, ENROLMENT_WRITE, MACHINE_WRITE) == 403
    assert tries(here, ENROLMENT_WRITE, MACHINE_WRITE) < 300


def test_an_address_takes_the_right_to_change_the_gateway_too(
    house: House, uids: tuple[str, str]
) -> None:
    """Who owns one machine alone closes and opens nothing at an address that they make up."""
    web, _ = uids
    house.enrol("web-1")
    here, needed = house.machine("db-1"), (ENROLMENT_WRITE, MACHINE_WRITE)

    def tries(scope: str, *addresses: str) -> Any:
        one = somebody(house, scope, *needed)
        body, asked = {"addresses": list(addresses)}, {"api-version": BASCULE}
        return one.put(points_of(house, "db-1", web), json=body, params=asked)

    refused = tries(here, "10.9.0.9")
    assert refused.status_code == 403
    assert house.machine("web-1") in refused.text
    assert tries(here).status_code == 201, "no address: nothing is closed or opened there"
    assert tries(here, "10.9.0.9").status_code == 403, "nor later"
    assert house.events("MachinePlaced") == []
    assert tries(here.split("/providers/")[0], "10.9.0.9").status_code == 200
    assert len(house.events("MachinePlaced")) == 1


def test_what_cannot_be_bound_is_said(house: House, uids: tuple[str, str]) -> None:
    web, db = uids
    house.enrol("web-1")
    own = house.call("PUT", points_of(house, "web-1", web))
    assert (own.status_code, own.json()["error"]["code"]) == (409, "BoundByEnrolment")
    assert house.call("PUT", points_of(house, "web-1", db)).status_code == 404, "it has no agent"
    assert house.call("GET", points_of(house, "db-1")).json()["value"] == []
