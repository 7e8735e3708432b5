"""The main job through the HTTP face: a port asked for, reported open, revoked, shut."""

from __future__ import annotations

from tests.wire.house import COMPUTE, JIT, House, port_rule


def test_a_port_is_asked_for_opened_extended_revoked_and_shut(house: House) -> None:
    uid = house.add_machine("web-1", properties={"bascule": {"addresses": ["10.0.0.1"]}})
    agent = house.enrol("web-1")
    house.report(agent, uid)
    machine = house.machine("web-1")

    body = {
        "kind": "Basic",
        "properties": {"virtualMachines": [{"id": machine, "ports": [port_rule()]}]},
    }
    put = house.call("PUT", house.policy(), body, JIT)
    assert put.status_code == 200, put.text
    assert put.json()["properties"]["provisioningState"] == "Updating"
    assert put.headers["etag"] == put.json()["etag"]

    state = house.report(agent, uid)
    assert state["closed"] == [{"protocol": "TCP", "number": 22, "onExpiry": "keep"}]
    got = house.call("GET", house.policy(), version=JIT).json()
    assert got["properties"]["provisioningState"] == "Succeeded"
    assert got["properties"]["bascule"]["away"] == []

    asked = {"virtualMachines": [{"id": machine, "ports": [{"number": 22, "duration": "PT1H"}]}]}
    answer = house.call("POST", house.policy() + "/initiate", asked, JIT)
    assert answer.status_code == 202, answer.text
    (port,) = answer.json()["virtualMachines"][0]["ports"]
    assert port["status"] == "Initiating"
    assert port["statusReason"] == "UserRequested"
    assert port["allowedSourceAddressPrefix"] == "198.51.100.7"
    assert "justification" not in answer.json()
    grant_id = port["bascule"]["grantId"]
    request = answer.json()["bascule"]["resourceId"]

    state = agent.get(f"/bascule/points/{uid}/state").json()
    assert state["leases"] == [
        {
            "grantId": grant_id,
            "ports": [{"protocol": "TCP", "number": 22}],
            "sources": ["198.51.100.7"],
            "remainingMs": 3600_000,
            "extension": 0,
        }
    ]
    house.report(agent, uid, grant_id)
    shown = house.call("GET", request, params={"waitSeconds": 10}).json()["properties"]
    assert shown["state"] == "open"
    assert shown["virtualMachines"][0]["bascule"] == {"addresses": ["10.0.0.1"]}
    assert shown["virtualMachines"][0]["ports"][0]["bascule"]["openedAt"]

    longer = house.call("POST", request + "/extend", {"duration": "PT2H"})
    assert longer.json()["properties"]["endTimeUtc"] == "2030-01-01T14:00:00.0000000Z"

    revoked = house.call("POST", request + "/revoke")
    assert revoked.json()["properties"]["state"] == "closing"
    house.report(agent, uid, sessions={grant_id: 1})
    closed = house.call("GET", request, params={"waitSeconds": 10, "waitFor": "closed"})
    (port,) = closed.json()["properties"]["virtualMachines"][0]["ports"]
    assert port["bascule"]["state"] == "closed"
    assert port["bascule"]["sessionsAlive"] == 1
    assert (port["status"], port["statusReason"]) == ("Revoked", "UserRequested")

    listed = house.call("GET", "/providers/Microsoft.Compute/virtualMachines", version=COMPUTE)
    point = listed.json()["value"][0]["properties"]["bascule"]["enforcementPoint"]
    assert point["state"] == "online"
