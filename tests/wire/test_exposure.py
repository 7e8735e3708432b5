"""Bascule.Access: exposure now and then, port-hours; what is shown to whom."""

from __future__ import annotations

from typing import Any

import pytest

from bascule.domain.times import format_utc
from bascule.domain.weaknesses import NOT_ENFORCED, SECOND_PORT
from bascule.protocol.codec import encode
from tests.wire.house import BASCULE, COMPUTE, JIT, House, port_rule
from tests.wire.somebody import somebody

LIST = "/providers/Bascule.Access/exposures"
HOURS = "/providers/Bascule.Access/portHours/default"
SHUT_22 = [{"number": 22, "protocol": "TCP", "onExpiry": "keep"}]


@pytest.fixture
def web(house: House) -> House:
    return prepared(house)


def prepared(house: House) -> House:
    """web-1 is to keep 22 shut; db-1 is in no policy."""
    for name in ("web-1", "db-1"):
        house.add_machine(name)
    rules = f"{house.machine('web-1')}/providers/Bascule.Access/machineRules/default"
    house.call("PUT", rules, {"properties": {"ports": [port_rule(22)]}})
    return house


def exposure(house: House, name: str = "web-1", **params: str) -> Any:
    path = f"{house.machine(name)}/providers/Bascule.Access/exposures/default"
    return house.call("GET", path, params=params)


def opened(house: House, span: str = "PT1H") -> str:
    """web-1 keeps 22 shut, and lets the administrator in; returns the grant's id."""
    uid = str(house.call("GET", house.machine("web-1")).json()["properties"]["vmId"])
    agent = house.enrol("web-1")
    house.clock.pass_time(1)
    house.report(agent, uid, closed=SHUT_22)
    house.clock.pass_time(120)
    port = {"number": 22, "duration": span, "allowedSourceAddressPrefix": "198.51.100.7"}
    body = {
        "virtualMachines": [{"id": house.machine("web-1"), "ports": [port]}],
        "justification": "deploy",
    }
    answer = house.call("POST", f"{house.policy()}/initiate", body, JIT)
    assert answer.status_code == 202, answer.text
    state = agent.get(f"/bascule/points/{uid}/state").json()
    (grant,) = [each["grantId"] for each in state["leases"]]
    house.report(agent, uid, grant, closed=SHUT_22)
    return str(grant)


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [each["id"].split("/")[8] for each in answer.json()["value"]]


def test_a_machine_tells_what_was_read_back(web: House) -> None:
    """Shut by policy alone is not shut; the same is told of the moment before."""
    start = web.clock.now()
    told = exposure(web).json()["properties"]
    assert told["nothingClosed"] is True
    assert told["hasAgent"] is False
    (port,) = told["ports"]
    assert (port["closed"], port["shouldBeClosed"]) == (False, True)
    grant = opened(web)
    (port,) = exposure(web).json()["properties"]["ports"]
    assert port["closed"] is True
    assert "shouldBeClosed" not in port
    (opening,) = port["openings"]
    assert opening["justification"] == "deploy"
    assert opening["grantId"] == grant
    assert opening["confirmed"] is True
    assert opening["sources"] == ["198.51.100.7"]
    before = exposure(web, at=format_utc(start))
    assert before.json()["properties"]["nothingClosed"] is True
    assert "hasAgent" not in before.json()["properties"], "of the past it is not known"


def test_lists_are_narrowed_and_paged(web: House) -> None:
    opened(web)
    assert names(web.call("GET", LIST)) == ["db-1", "web-1"]
    first = web.call("GET", LIST, params={"$top": "1"})
    assert names(first) == ["db-1"]
    assert names(web.client.get(first.json()["nextLink"])) == ["web-1"]
    for state, wanted in (("open", ["web-1"]), ("nothingClosed", ["db-1"]), ("OPEN", ["web-1"])):
        found = web.call("GET", LIST, params={"$filter": f"state eq '{state}'"})
        assert names(found) == wanted


def test_port_hours_are_added_up_to_now(web: House) -> None:
    opened(web)
    web.clock.pass_time(1800)
    web.client = web.client_of(web.service_token())
    told = web.call("GET", HOURS).json()["properties"]
    assert told["open"] == 0.5
    assert round(told["closed"], 4) == round(120 / 3600, 4)
    assert [day["open"] for day in told["days"]] == [0.5]
    assert told["now"] == {
        "machines": 2,
        "machinesWithNothingClosed": 1,
        "closedPorts": 1,
        "openPorts": 1,
        "openings": 1,
        "machinesWithOpenings": 1,
        "agents": 1,
        "silentAgents": 0,
    }


@pytest.mark.parametrize(
    ("query", "target"),
    [
        ("at=yesterday", "at"),
        ("at=2999-01-01T00:00:00Z", "at"),
        ("from=2029-12-31T00:00:00Z&until=2029-12-30T00:00:00Z", "from"),
        ("from=1999-12-31T00:00:00Z", "from"),
        ("at=0001-01-01T00:00:00Z", "from"),
        ("$filter=state eq 'closed'", "$filter"),
        ("$filter=name eq 'x'", "$filter"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(web: House, query: str, target: str) -> None:
    answer = web.call("GET", LIST, params=dict(each.split("=") for each in [*query.split("&")]))
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["target"] == target


# -- who is shown what ------------------------------------------------------------------------

MACHINE_READ = "Microsoft.Compute/virtualMachines/read"
POLICY_READ = "Microsoft.Security/locations/jitNetworkAccessPolicies/read"


def test_who_may_read_a_machine_sees_it_and_no_other(web: House) -> None:
    opened(web)
    one = somebody(web, web.machine("db-1"), MACHINE_READ)
    assert names(one.get(web.subscription + LIST)) == ["db-1"]
    only = {"$filter": "state eq 'open'"}
    assert names(one.get(web.subscription + LIST, params=only)) == []
    mine = f"{web.machine('db-1')}/providers/Bascule.Access/exposures/default"
    others = f"{web.machine('web-1')}/providers/Bascule.Access/exposures/default"
    assert one.get(mine).status_code == 200
    assert one.get(others).status_code == 403
    now = one.get(web.subscription + HOURS).json()["properties"]
    assert (now["closed"], now["open"], now["now"]["machines"]) == (0, 0, 1)
    group = somebody(web, web.group, MACHINE_READ)
    assert group.get(web.subscription + HOURS).json()["properties"]["now"]["machines"] == 2


def test_who_was_let_in_is_told_to_those_who_may_read_requests(web: House) -> None:
    """Others see that somebody is let in and from where, and neither who nor why."""
    grant = opened(web)
    path = f"{web.machine('web-1')}/providers/Bascule.Access/exposures/default"
    reader = somebody(web, web.machine("web-1"), MACHINE_READ)
    answer = reader.get(path)
    (opening,) = answer.json()["properties"]["ports"][0]["openings"]
    assert set(opening) == {"sources", "openedAt", "confirmed", "endTimeUtc"}
    assert grant not in answer.text
    assert "deploy" not in answer.text
    both = somebody(web, web.machine("web-1"), MACHINE_READ, POLICY_READ)
    (opening,) = both.get(path).json()["properties"]["ports"][0]["openings"]
    assert opening["justification"] == "deploy"


def test_who_holds_nothing_is_refused(web: House) -> None:
    nobody = web.client_of(somebody(web, web.group, POLICY_READ).headers["Authorization"][7:])
    path = f"{web.machine('web-1')}/providers/Bascule.Access/exposures/default"
    assert nobody.get(f"{path}?api-version={BASCULE}").status_code == 403


def test_a_machine_that_is_not_there_is_not_found(web: House) -> None:
    assert exposure(web, "none").status_code == 404


def test_what_an_agent_held_that_can_enforce_nothing_is_not_confirmed(web: House) -> None:
    """It is heard, and says so: nobody knows whether what it last read back is so still."""
    opened(web)
    path, began = web.machine("web-1"), format_utc(web.clock.now())
    machine = web.call("GET", path).json()["properties"]
    assert [each["readBack"] for each in machine["bascule"]["closedPorts"]] == [True]
    told = exposure(web).json()["properties"]
    assert "notEnforcedSince" not in told
    agent = web.client_of(web.agent_token(machine["vmId"]))
    web.report(
        agent, machine["vmId"], generation=0, weaknesses=[encode(NOT_ENFORCED(problem="EPERM"))]
    )
    web.clock.pass_time(5)
    told = exposure(web).json()["properties"]
    assert told["notEnforcedSince"] == began
    assert [each["confirmed"] for each in told["ports"][0]["openings"]] == [False]
    point = web.call("GET", path).json()["properties"]["bascule"]["enforcementPoint"]
    assert (point["state"], point["notEnforcedSince"]) == ("online", began)
    view = web.call("GET", f"{path}/instanceView", version=COMPUTE).json()
    assert [each["code"] for each in view["statuses"]][1] == "PowerState/running"
    (status,) = view["vmAgent"]["statuses"]
    assert status["displayStatus"] == "Not Ready"
    assert status["message"] == "The agent is connected but cannot enforce anything."


def test_what_is_reached_past_us_is_not_called_closed(web: House) -> None:
    """EDGES G7: now, with the rule and what to do; of the past nothing of the kind is known."""
    opened(web)
    uid = str(web.call("GET", web.machine("web-1")).json()["properties"]["vmId"])
    found = SECOND_PORT(port="22/tcp", other="2222/tcp", program="sshd", rule="listener *:2222")
    agent = web.enrol("web-1")
    web.report(agent, uid, closed=SHUT_22, weaknesses=[encode(found)])
    before = format_utc(web.clock.now())
    (port,) = exposure(web).json()["properties"]["ports"]
    assert port["shadow"] == "openPastUs"
    (told,) = port["shadows"]
    assert (told["code"], told["rule"]) == ("SecondPort", "listener *:2222")
    assert "2222/tcp" in told["advice"]
    machine = web.call("GET", web.machine("web-1")).json()["properties"]["bascule"]
    assert [each["shadow"] for each in machine["closedPorts"]] == ["openPastUs"]
    web.clock.pass_time(60)
    (port,) = exposure(web, at=before).json()["properties"]["ports"]
    assert "shadow" not in port
