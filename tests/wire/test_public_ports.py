"""What the requestor is told of public ports: publicIpAddress and mappedPort, as Azure has them."""

from __future__ import annotations

from typing import Any

import pytest
from azure.mgmt.security.models import JitNetworkAccessPolicy, JitNetworkAccessRequest

from tests.support.statements import statements
from tests.wire import swagger
from tests.wire.house import JIT, House, port_rule
from tests.wire.test_initiate import asked

GUARD = {
    "ports": None,
    "sources": None,
    "maxDuration": None,
    "mayRelease": True,
    "problem": "",
    "forwarding": {
        "networks": ["10.1.0.0/16", "fd01::/16"],
        "addresses": ["198.51.100.7", "2001:db8::7"],
        "first": 2222,
        "last": 2223,
    },
}
SOURCE = "203.0.113.9"


class Gateway:
    """web-1, and the machines behind it."""

    def __init__(self, house: House, name: str = "web-1") -> None:
        self.house, self.name = house, name
        self.uid = house.add_machine(name)
        self.agent = house.enrol(name)
        self.report(GUARD)

    def report(self, guard: dict[str, Any]) -> None:
        self.house.report(self.agent, self.uid, guard=guard)

    def bind(self, machine: str, *addresses: str) -> None:
        path = f"{self.house.machine(machine)}/providers/Bascule.Fleet/enforcementPoints"
        answer = self.house.call("PUT", f"{path}/{self.uid}", {"addresses": list(addresses)})
        assert answer.status_code == 201, answer.text

    def state(self, machine_uid: str) -> Any:
        path = f"/bascule/points/{self.uid}/state"
        return self.agent.get(path, params={"machine": machine_uid}).json()

    def tell(self, machine_uid: str, *in_force: str) -> None:
        told = self.state(machine_uid)
        body = {
            "generation": told["generation"],
            "inForce": list(in_force),
            "closed": told["closed"],
        }
        answer = self.agent.post(
            f"/bascule/points/{self.uid}/report", params={"machine": machine_uid}, json=body
        )
        assert answer.status_code == 200, answer.text


@pytest.fixture
def gateway(house: House) -> Gateway:
    made = Gateway(house)
    house.uid = house.add_machine("app-1")  # type: ignore[attr-defined]  # reason: for these tests
    made.bind("app-1", "10.1.0.10")
    put(house)
    return made


def put(house: House, *ports: dict[str, Any], **more: Any) -> Any:
    machine = {"id": house.machine("app-1"), "ports": list(ports) or [port_rule()], **more}
    body = {"kind": "Basic", "properties": {"virtualMachines": [machine]}}
    answer = house.call("PUT", house.policy(), body, JIT)
    assert answer.status_code == 200, answer.text
    return answer.json()


def initiate(house: House, machine: str = "app-1", source: str = SOURCE) -> Any:
    port = asked(allowedSourceAddressPrefix=source)
    body = {"virtualMachines": [{"id": house.machine(machine), "ports": [port]}]}
    return house.call("POST", f"{house.policy()}/initiate", body, JIT)


def test_every_answer_names_address_and_port(house: House, gateway: Gateway) -> None:
    """Initiate's own, the policy's requests, and our resource; azure-mgmt-security reads them."""
    answer = initiate(house)
    assert answer.status_code == 202, answer.text
    made = answer.json()
    swagger.check(made, "JitNetworkAccessRequest")
    request_id = made["bascule"]["requestId"]
    told = house.call("GET", house.policy(), version=JIT).json()
    swagger.check(told, "JitNetworkAccessPolicy")
    (listed,) = told["properties"]["requests"]
    path = f"/providers/Bascule.Access/accessRequests/{request_id}"
    own = house.call("GET", path).json()["properties"]
    for each in (made, listed, own):
        (machine,) = each["virtualMachines"]
        (port,) = machine["ports"]
        assert machine["publicIpAddress"] == "198.51.100.7"
        assert port["mappedPort"] == 2222
        assert port["bascule"]["publicPorts"] == [
            {
                "gateway": house.machine("web-1"),
                "publicIpAddress": "198.51.100.7",
                "mappedPort": 2222,
                "protocol": "TCP",
            }
        ]
    read = JitNetworkAccessRequest.deserialize(made)
    assert read.virtual_machines[0].ports[0].mapped_port == 2222
    policy = JitNetworkAccessPolicy.deserialize(told)
    assert policy.virtual_machines[0].public_ip_address == "198.51.100.7"
    assert policy.requests is not None
    assert policy.requests[0].virtual_machines[0].ports[0].mapped_port == 2222


def test_the_gateway_is_told_in_the_state_of_the_machine(house: House, gateway: Gateway) -> None:
    uid = house.uid  # type: ignore[attr-defined]  # reason: see above
    assert gateway.state(uid)["where"]["mapped"] == []
    initiate(house)
    (mapped,) = gateway.state(uid)["where"]["mapped"]
    assert mapped == {
        "protocol": "TCP",
        "number": 22,
        "at": [{"address": "198.51.100.7", "number": 2222}],
    }


def test_what_is_over_names_no_public_port(house: House, gateway: Gateway) -> None:
    """It is a true view: who reads an old request is not sent to a port that leads nobody."""
    made = initiate(house).json()
    path = f"/providers/Bascule.Access/accessRequests/{made['bascule']['requestId']}"
    assert house.call("POST", f"{path}/revoke", {}).status_code in (200, 202, 204)
    (machine,) = house.call("GET", path).json()["properties"]["virtualMachines"]
    assert "publicIpAddress" not in machine
    assert "mappedPort" not in machine["ports"][0]
    assert "publicPorts" not in machine["ports"][0]["bascule"]


def test_a_source_of_another_ip_version_is_told_of_no_port(house: House, gateway: Gateway) -> None:
    (machine,) = initiate(house, source="2001:db8:1::9").json()["virtualMachines"]
    assert "mappedPort" not in machine["ports"][0], "app-1 has no IPv6 address there"


def test_where_none_is_free_nobody_waits(house: House, gateway: Gateway) -> None:
    for name in ("app-2", "app-3"):
        house.add_machine(name)
        gateway.bind(name, f"10.1.0.2{name[-1]}")
    machines = [{"id": house.machine(f"app-{n}"), "ports": [port_rule()]} for n in (1, 2, 3)]
    body = {"kind": "Basic", "properties": {"virtualMachines": machines}}
    assert house.call("PUT", house.policy(), body, JIT).status_code == 200
    assert initiate(house, "app-1").status_code == 202
    assert initiate(house, "app-2").status_code == 202
    answer = initiate(house, "app-3")
    assert answer.status_code == 400
    error = answer.json()["error"]
    (detail,) = error.get("details") or [error]
    assert detail["code"] == "NoPublicPortFree"
    assert "public_ports" in detail["message"], "what to do"
    assert detail["target"] == "virtualMachines[0].ports[0].number"


def test_a_policy_that_is_read_and_written_back_keeps_no_address_of_ours(
    house: House, gateway: Gateway
) -> None:
    """Else it would be told when the gateway has another."""
    told = house.call("GET", house.policy(), version=JIT).json()
    (machine,) = told["properties"]["virtualMachines"]
    assert machine["publicIpAddress"] == "198.51.100.7"
    again = house.call("PUT", house.policy(), told, JIT).json()
    assert again["etag"] == told["etag"]
    assert again["properties"]["virtualMachines"][0]["publicIpAddress"] == "198.51.100.7"
    other = {**GUARD, "forwarding": {**GUARD["forwarding"], "addresses": ["198.51.100.8"]}}  # type: ignore[dict-item]  # reason: JSON
    gateway.report(other)
    told = house.call("GET", house.policy(), version=JIT).json()
    assert told["properties"]["virtualMachines"][0]["publicIpAddress"] == "198.51.100.8"
    put(house, publicIpAddress="192.0.2.77")
    told = house.call("GET", house.policy(), version=JIT).json()
    assert told["properties"]["virtualMachines"][0]["publicIpAddress"] == "192.0.2.77"


def test_of_two_gateways_the_first_bound_is_named_and_all_are_listed(
    house: House, gateway: Gateway
) -> None:
    house.clock.pass_time(1)
    second = Gateway(house, "web-0")
    second.report(
        {**GUARD, "forwarding": {**GUARD["forwarding"], "addresses": ["198.51.100.9"]}}  # type: ignore[dict-item]  # reason: JSON
    )
    second.bind("app-1", "10.1.0.10")
    made = initiate(house).json()
    (machine,) = made["virtualMachines"]
    (port,) = machine["ports"]
    assert machine["publicIpAddress"] == "198.51.100.7"
    listed = [each["publicIpAddress"] for each in port["bascule"]["publicPorts"]]
    assert listed == ["198.51.100.7", "198.51.100.9"]
    second.tell(house.uid, port["bascule"]["grantId"])  # type: ignore[attr-defined]  # reason: see above
    path = f"/providers/Bascule.Access/accessRequests/{made['bascule']['requestId']}"
    (machine,) = house.call("GET", path).json()["properties"]["virtualMachines"]
    assert machine["publicIpAddress"] == "198.51.100.9", "there it is in force"
    told = house.call("GET", house.policy(), version=JIT).json()
    assert "publicIpAddress" not in told["properties"]["virtualMachines"][0], "neither alone"


def test_a_policy_names_its_public_port_and_keeps_it(house: House, gateway: Gateway) -> None:
    """In our own part of a port; a client that does not know of it takes nothing away (EDGES A15)."""
    named = {"onExpiry": "kill", "publicPort": 2223, "publicIpAddress": "198.51.100.7"}
    told = put(house, port_rule(22, bascule=named), port_rule(23))
    swagger.check(told, "JitNetworkAccessPolicy")
    first, second = told["properties"]["virtualMachines"][0]["ports"]
    assert first["bascule"] == {**named, "justificationRequired": False}
    assert second["bascule"] == {"onExpiry": "keep", "justificationRequired": False}
    again = put(house, port_rule(22), port_rule(23))
    assert again["etag"] == told["etag"], "as a client of Azure's writes it back"
    (machine,) = initiate(house).json()["virtualMachines"]
    assert machine["ports"][0]["mappedPort"] == 2223
    reset = put(house, port_rule(22, bascule=None), port_rule(23))
    assert "publicPort" not in reset["properties"]["virtualMachines"][0]["ports"][0]["bascule"]


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ({"publicPort": 2221}, "PublicPortNotGiven"),
        ({"publicPort": 2222, "publicIpAddress": "198.51.100.9"}, "PublicPortNotGiven"),
        ({"publicIpAddress": "198.51.100.7"}, "PublicPortRequired"),
        ({"publicPort": 0}, "InvalidPort"),
        ({"publicPort": 65536}, "InvalidPort"),
        ({"publicPort": 2222, "publicIpAddress": "gw.example"}, "InvalidAddress"),
    ],
)
def test_a_policy_that_names_what_cannot_be_had_is_refused(
    house: House, gateway: Gateway, named: dict[str, Any], code: str
) -> None:
    machine = {"id": house.machine("app-1"), "ports": [port_rule(bascule=named)]}
    body = {"kind": "Basic", "properties": {"virtualMachines": [machine]}}
    before = house.call("GET", house.policy(), version=JIT).json()
    answer = house.call("PUT", house.policy(), body, JIT)
    assert answer.status_code == 400
    error = answer.json()["error"]
    (detail,) = error.get("details") or [error]
    assert detail["code"] == code, detail
    assert detail["target"].startswith("properties.virtualMachines[0].ports[0]")
    assert house.call("GET", house.policy(), version=JIT).json() == before


FIRST, AGAIN = 23, 21  # statements of an initiate that is given a public port, and of the next
STATE = 12  # of an agent that asks for a machine behind it


def test_what_it_costs_is_bounded(house: House, gateway: Gateway) -> None:
    """Beside a machine with its own agent: where the machine is, its gateways, its public ports; all
    that the gateway gives only where a new one is chosen.
    """
    initiate(house)  # rights are worked out
    counts = []
    with statements() as seen:
        initiate(house, source="203.0.113.10")
    counts.append((len(seen), AGAIN, seen))
    put(house, port_rule(23), port_rule(22))
    with statements() as seen:
        body = {
            "virtualMachines": [
                {"id": house.machine("app-1"), "ports": [asked(number=23)]},
            ]
        }
        assert house.call("POST", f"{house.policy()}/initiate", body, JIT).status_code == 202
    counts.append((len(seen), FIRST, seen))
    with statements() as seen:
        gateway.state(house.uid)  # type: ignore[attr-defined]  # reason: see above
    counts.append((len(seen), STATE, seen))
    for count, most, each in counts:
        assert count <= most, f"\n{each}"
