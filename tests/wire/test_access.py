"""Bascule.Access: waiting, revoking, extending, lists; one machine's rules and release."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from bascule.api import waiting as long_poll
from bascule.domain.actions import POLICY_READ
from bascule.services.hub import request_topic
from bascule.services.views import view_request
from bascule.store.open import open_store
from tests.support.stores import NO_JSON, is_postgresql
from tests.wire.house import BASCULE, BASE, JIT, PUBLIC_KEY, House, port_rule
from tests.wire.people import Person, make_role

LIST = "/providers/Bascule.Access/accessRequests"


@pytest.fixture
def web(house: House) -> House:
    house.add_machine("web-1")
    house.add_machine("db-1")
    put_rules(house, "web-1", port_rule(22), port_rule(80))
    return house


def uid_of(house: House, name: str = "web-1") -> str:
    return str(house.call("GET", house.machine(name)).json()["properties"]["vmId"])


def rules_of(house: House, name: str) -> str:
    return f"{house.machine(name)}/providers/Bascule.Access/machineRules/default"


def put_rules(house: House, name: str, *ports: dict[str, Any], **more: Any) -> Any:
    properties = {"ports": list(ports), **more.pop("properties", {})}
    return house.call("PUT", rules_of(house, name), {"properties": properties}, **more)


def initiate(house: House, *numbers: int, name: str = "web-1", span: str = "PT1H") -> str:
    """Ask for ports; returns the access request's path."""
    ports = [{"number": number, "duration": span} for number in numbers or (22,)]
    body = {"virtualMachines": [{"id": house.machine(name), "ports": ports}]}
    answer = house.call("POST", house.policy() + "/initiate", body, JIT)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["bascule"]["resourceId"])


def properties(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["properties"])


def states(answer: Any) -> list[str]:
    machines = properties(answer)["virtualMachines"]
    return [port["bascule"]["state"] for machine in machines for port in machine["ports"]]


def grant_ids(answer: Any) -> list[str]:
    machines = properties(answer)["virtualMachines"]
    return [port["bascule"]["grantId"] for machine in machines for port in machine["ports"]]


# -- waiting ----------------------------------------------------------------------------


def in_one_loop(house: House, work: Callable[[httpx2.AsyncClient], Awaitable[Any]]) -> Any:
    """Run calls side by side in one loop, as the server does."""

    async def run() -> Any:
        transport = httpx2.ASGITransport(house.app, client=("198.51.100.7", 1))
        headers = {"Authorization": f"Bearer {house.service_token()}"}
        async with httpx2.AsyncClient(
            transport=transport, base_url=BASE, headers=headers, params={"api-version": BASCULE}
        ) as client:
            return await asyncio.wait_for(work(client), 90)

    return asyncio.run(run())


async def until_waiting(house: House, request: str, count: int) -> None:
    """Until so many wait for the request: to act before proves nothing."""
    topic = request_topic(request.rpartition("/")[2])
    async with asyncio.timeout(60):
        while house.services.hub.listeners(topic) < count:  # noqa: ASYNC110  # reason: the hub tells nobody who listens
            await asyncio.sleep(0.01)


def test_a_wait_ends_as_soon_as_the_port_is_reported(web: House) -> None:
    agent = web.enrol("web-1")
    uid = uid_of(web)
    web.report(agent, uid)
    request = initiate(web)
    (grant,) = grant_ids(web.call("GET", request))
    generation = agent.get(f"/bascule/points/{uid}/state").json()["generation"]

    async def work(client: httpx2.AsyncClient) -> Any:
        waiting = asyncio.create_task(client.get(request, params={"waitSeconds": 60}))
        await until_waiting(web, request, 1)
        assert not waiting.done()
        said = {"generation": generation, "inForce": [grant]}
        token = {"Authorization": f"Bearer {web.agent_token(uid)}"}
        await client.post(f"/bascule/points/{uid}/report", json=said, headers=token)
        return await waiting

    assert states(in_one_loop(web, work)) == ["open"]


def test_a_wait_that_is_over_answers_what_is_so(web: House) -> None:
    request = initiate(web)
    answer = web.call("GET", request, params={"waitSeconds": 0.01})
    assert states(answer) == ["opening"]


def test_what_is_long_to_read_is_not_read_on_the_event_loop(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request of long ago, or for many ports: others wait meanwhile. What is told is the same."""
    house = House(data_dir, store=open_store(tmp_path / "database"))
    threads: list[str] = []
    view = view_request

    def noted(*arguments: Any) -> Any:
        threads.append(threading.current_thread().name)
        return view(*arguments)

    monkeypatch.setattr(long_poll, "view_request", noted)
    try:
        house.add_machine("web-1")
        put_rules(house, "web-1", port_rule(22))
        request = initiate(house)
        found = house.call("GET", request).json()
        with monkeypatch.context() as patched:
            patched.setattr(long_poll, "FEW_PORTS", 0)
            assert house.call("GET", request).json() == found
        house.clock.pass_time(long_poll.NEW.total_seconds() + 1)
        house.call("GET", request)
    finally:
        house.close()
    assert [each.startswith("bascule-reader") for each in threads] == [False, True, True]


def test_a_stopping_server_answers_its_waiters(web: House) -> None:
    request = initiate(web)

    async def work(client: httpx2.AsyncClient) -> Any:
        waiting = asyncio.create_task(client.get(request, params={"waitSeconds": 60}))
        await until_waiting(web, request, 1)
        web.services.hub.close()
        return await waiting

    assert states(in_one_loop(web, work)) == ["opening"]


def test_waiting_holds_no_thread_and_no_connection(web: House) -> None:
    """A thousand waits, and another caller is served (EDGES A17, A27)."""
    request = initiate(web)

    async def work(client: httpx2.AsyncClient) -> Any:
        waits = [
            asyncio.create_task(client.get(request, params={"waitSeconds": 60})) for _ in range(200)
        ]
        await until_waiting(web, request, 200)
        served = await asyncio.wait_for(client.get(web.machine("web-1")), 30)
        web.services.hub.close()
        return served, await asyncio.gather(*waits)

    served, waits = in_one_loop(web, work)
    assert served.status_code == 200
    assert {each.status_code for each in waits} == {200}


# -- revoking and extending -------------------------------------------------------------


def test_revoking_some_grants_leaves_the_others(web: House) -> None:
    request = initiate(web, 22, 80)
    first, _ = grant_ids(web.call("GET", request))
    answer = web.call("POST", f"{request}/revoke", {"grantIds": [first.upper()], "kill": None})
    assert states(answer) == ["closed", "opening"]  # no agent: it never was open
    assert properties(answer)["state"] == "opening"


def test_revoking_what_is_over_says_so_and_killing_reaches_it(web: House) -> None:
    request = initiate(web)
    assert web.call("POST", f"{request}/revoke").status_code == 200
    again = web.call("POST", f"{request}/revoke", {})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "GrantNotLive")
    assert web.call("POST", f"{request}/revoke", {"kill": True}).status_code == 200


@pytest.mark.parametrize("kind", ["GrantOpened", "GrantClosed"])
@pytest.mark.parametrize("record", ["'x'", '\'{"kind": "X"}\'', "x'ff'"])
def test_a_damaged_event_undoes_no_revocation(web: House, kind: str, record: str) -> None:
    """Who can write one row of the record must not keep a door open by it."""
    if is_postgresql() and "{" not in record:
        pytest.skip(NO_JSON)
    agent, uid = web.enrol("web-1"), uid_of(web)
    request = initiate(web, 22, 80)
    first, second = grant_ids(web.call("GET", request))
    web.report(agent, uid, first, second)
    assert web.call("POST", f"{request}/revoke", {"grantIds": [first]}).status_code == 200
    web.report(agent, uid, second)
    assert sorted(states(web.call("GET", request))) == ["closed", "open"]
    statement = text(f"UPDATE events SET record = {record} WHERE kind = :kind")  # noqa: S608  # reason: ours
    web.do(lambda tx, _: tx._connection.execute(statement, {"kind": kind}))
    answer = web.call("POST", f"{request}/revoke")
    assert sorted(states(answer)) == ["closed", "closing"]
    assert sorted(states(web.call("GET", request))) == ["closed", "closing"]


def test_an_answer_that_cannot_be_made_undoes_no_revocation(
    web: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = initiate(web)
    with monkeypatch.context() as patch:
        patch.setattr("bascule.api.routes.access.view_request", lambda *_: 1 / 0)
        assert web.call("POST", f"{request}/revoke").status_code == 500
    assert states(web.call("GET", request)) == ["closed"]


def test_extending_moves_the_end_from_now(web: House) -> None:
    request = initiate(web)
    web.clock.pass_time(600)
    longer = properties(web.call("POST", f"{request}/extend", {"duration": "PT3H"}))
    assert longer["endTimeUtc"] == "2030-01-01T15:10:00.0000000Z"
    web.clock.pass_time(600)
    exact = properties(
        web.call("POST", f"{request}/extend", {"endTimeUtc": "2030-01-01T15:20:00Z"})
    )
    assert exact["endTimeUtc"].startswith("2030-01-01T15:20:00")
    earlier = web.call("POST", f"{request}/extend", {"endTimeUtc": "2030-01-01T14:00:00Z"})
    assert (earlier.status_code, earlier.json()["error"]["code"]) == (409, "EndTimeEarlier")


def test_a_denied_extension_changes_nothing_and_is_on_record(web: House) -> None:
    request = initiate(web)
    before = web.call("GET", request).json()
    answer = web.call("POST", f"{request}/extend", {"duration": "PT4H"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "DurationTooLong")
    assert web.call("GET", request).json() == before
    assert web.events("AccessDenied", "GrantExtended") == ["AccessDenied"]


def test_silence_shows_as_not_confirmed(web: House) -> None:
    agent = web.enrol("web-1")
    uid = uid_of(web)
    request = initiate(web)
    web.report(agent, uid, *grant_ids(web.call("GET", request)))
    assert states(web.call("GET", request)) == ["open"]
    web.clock.pass_time(31)
    shown = properties(web.call("GET", request))
    (port,) = shown["virtualMachines"][0]["ports"]
    assert (shown["state"], port["status"]) == ("notConfirmed", "Initiated")
    assert port["bascule"]["notConfirmedSince"] == "2030-01-01T12:00:00.0000000Z"
    assert port["bascule"]["openedAt"] == "2030-01-01T12:00:00.0000000Z"
    assert port["protocol"] == "TCP"


# -- lists ------------------------------------------------------------------------------


def test_what_is_closing_is_listed_among_the_live(web: House) -> None:
    """It may still let somebody in until its agent has said that it is shut."""
    agent = web.enrol("web-1")
    uid = uid_of(web)
    request = initiate(web)
    web.report(agent, uid, *grant_ids(web.call("GET", request)))
    assert states(web.call("POST", f"{request}/revoke")) == ["closing"]

    def listed() -> list[str]:
        answer = web.call("GET", LIST, params={"$filter": "live eq true"})
        return [each["properties"]["state"] for each in answer.json()["value"]]

    assert listed() == ["closing"]
    web.report(agent, uid)
    assert listed() == []


def test_lists_filter_and_page(web: House) -> None:
    body = {
        "properties": {
            "virtualMachines": [
                {"id": web.machine(name), "ports": [port_rule()]} for name in ("web-1", "db-1")
            ]
        }
    }
    web.call("PUT", web.policy(), body, JIT)
    paths = []
    for name in ("web-1", "db-1", "web-1"):
        paths.append(initiate(web, name=name))
        web.clock.pass_time(1)

    def listed(text: str, **more: Any) -> list[str]:
        answer = web.call("GET", LIST, params={"$filter": text, **more})
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["value"]]

    newest_first = paths[::-1]
    assert listed("") == newest_first
    assert listed("live eq true") == newest_first[:2]  # the newer took the older's place
    assert listed("live eq false") == [paths[0]]
    assert listed(f"machine eq '{web.machine('DB-1')}'") == [paths[1]]
    assert listed(f"live eq true and machine eq '{web.machine('web-1')}'") == [paths[2]]
    assert listed("requestor eq 'me'") == newest_first
    assert listed(f"requestor eq '{web.administrator.upper()}'") == newest_first
    assert listed("requestor eq '11111111-2222-3333-4444-555555555555'") == []
    assert listed(f"machine eq '{web.machine('nobody')}'") == []
    first = web.call("GET", LIST, params={"$top": 2, "$filter": "requestor eq 'me'"}).json()
    rest = web.client.get(first["nextLink"]).json()
    assert [each["id"] for each in first["value"] + rest["value"]] == newest_first
    assert "nextLink" not in rest


# -- machine rules ----------------------------------------------------------------------


def test_rules_of_one_machine_leave_the_others(web: House) -> None:
    answer = put_rules(web, "db-1", port_rule(5432))
    assert answer.status_code == 200, answer.text
    assert answer.json()["name"] == "default"
    assert answer.json()["properties"]["policies"][0]["policyId"] == web.policy()
    policy = web.call("GET", web.policy(), version=JIT)
    assert len(policy.json()["properties"]["virtualMachines"]) == 2
    assert answer.headers["etag"] == answer.json()["etag"] == policy.headers["etag"]


def test_rules_in_a_policy_of_another_name(web: House) -> None:
    answer = put_rules(web, "web-1", port_rule(443), properties={"policyName": "extra"})
    names = [
        each["policyId"].rpartition("/")[2] for each in answer.json()["properties"]["policies"]
    ]
    assert names == ["default", "extra"]
    assert [each["number"] for each in answer.json()["properties"]["closedPorts"]] == [22, 80, 443]


def test_rules_honour_if_match(web: House) -> None:
    etag = web.call("GET", rules_of(web, "web-1")).headers["etag"]
    put_rules(web, "db-1", port_rule(5432))
    answer = put_rules(web, "web-1", port_rule(22), headers={"If-Match": etag})
    assert answer.status_code == 412


def test_what_leaves_a_policy_stays_shut_until_released(web: House) -> None:
    """EDGES A10 through the wire."""
    answer = put_rules(web, "web-1", port_rule(22))
    unread = {"onExpiry": "keep", "readBack": False, "shadow": None, "reachedAt": []}
    assert answer.json()["properties"]["closedPorts"] == [
        {"number": 22, "protocol": "TCP", "inPolicy": True, **unread},
        {"number": 80, "protocol": "TCP", "inPolicy": False, **unread},
    ]
    release = f"{rules_of(web, 'web-1')}/release"
    named = web.call("POST", release, {"ports": [{"number": 22, "protocol": "TCP"}]})
    assert (named.status_code, named.json()["error"]["code"]) == (409, "PortInPolicy")
    done = web.call("POST", release, {"ports": [{"number": 80, "protocol": "*"}]})
    assert done.json() == {"released": [{"number": 80, "protocol": "TCP"}]}
    assert web.call("POST", release).json() == {"released": []}


def test_release_without_ports_is_all_that_no_policy_names(web: House) -> None:
    put_rules(web, "web-1", port_rule(22, protocol="*"))
    put_rules(web, "web-1")
    released = web.call("POST", f"{rules_of(web, 'web-1')}/release", {}).json()["released"]
    assert {(each["number"], each["protocol"]) for each in released} == {
        (22, "TCP"),
        (22, "UDP"),
        (80, "TCP"),
    }


def test_deleting_rules_opens_what_they_named(web: House) -> None:
    first = web.call("DELETE", rules_of(web, "web-1"))
    again = web.call("DELETE", rules_of(web, "web-1"))
    assert (first.status_code, again.status_code) == (200, 204)
    got = web.call("GET", rules_of(web, "web-1")).json()["properties"]
    assert (got["policies"], got["closedPorts"]) == ([], [])
    assert web.events("PortReleased") == ["PortReleased"] * 2


def test_a_machine_without_rules(web: House) -> None:
    got = web.call("GET", rules_of(web, "db-1"))
    assert got.json()["properties"] == {
        "machineId": web.machine("db-1"),
        "policies": [],
        "closedPorts": [],
        "claimedPorts": [],
        "hostGuard": None,
        "patienceSeconds": 60,
    }
    assert PUBLIC_KEY not in got.text


# -- refused requests ---------------------------------------------------------------------


def refuse(house: House, name: str = "web-1") -> Any:
    """Ask for a port that no policy offers."""
    ports = [{"number": 2222, "duration": "PT1H"}]
    body = {
        "virtualMachines": [{"id": house.machine(name), "ports": ports}],
        "justification": "deploy",
    }
    answer = house.call("POST", house.policy() + "/initiate", body, JIT)
    assert answer.status_code == 400, answer.text
    return answer


def listed(house: House, wanted: str = "") -> list[Any]:
    params = {"$filter": wanted} if wanted else {}
    return list(house.call("GET", LIST, params=params).json()["value"])


def test_a_refused_request_is_found_and_read(web: House) -> None:
    refuse(web)
    initiate(web)
    (found,) = listed(web, "state eq 'refused'")
    answer = web.call("GET", found["id"])
    told = properties(answer)
    assert told == found["properties"]
    assert (told["state"], told["justification"]) == ("refused", "deploy")
    assert [each["code"] for each in told["reasons"]] == ["PortNotInPolicy"]
    assert states(answer) == ["refused"]
    assert "status" not in told["virtualMachines"][0]["ports"][0], "a word of Azure's for grants"
    on_web = f"machine eq '{web.machine('web-1')}' and state eq 'refused'"
    assert [each["id"] for each in listed(web, on_web)] == [found["id"]]
    assert listed(web, f"machine eq '{web.machine('db-1')}' and state eq 'refused'") == []
    assert [each["properties"]["state"] for each in listed(web, "live eq true")] == ["opening"]
    assert len(listed(web)) == 2
    wrong = web.call("GET", LIST, params={"$filter": "state eq 'pending'"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "InvalidFilter")


def test_azures_clients_are_shown_no_refused_request(web: House) -> None:
    """CONTRACT 1.5: a policy's requests are those that it allowed."""
    before = web.call("GET", web.policy(), version=JIT).content
    refuse(web)
    assert web.call("GET", web.policy(), version=JIT).content == before
    assert web.call("GET", web.policy(), version=JIT).json()["properties"]["requests"] == []


def test_a_refused_request_is_neither_waited_for_nor_ended_nor_extended(web: House) -> None:
    refuse(web)
    (found,) = listed(web)
    waited = web.call("GET", f"{found['id']}?waitSeconds=30&waitFor=closed")
    assert properties(waited)["state"] == "refused"
    for act, body in (("revoke", {"kill": True}), ("extend", {"duration": "PT1H"})):
        answer = web.call("POST", f"{found['id']}/{act}", body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "GrantNotLive")
    assert web.see(lambda reader: reader.live_grants()) == []


def test_what_another_was_refused_is_hidden(web: House) -> None:
    """As what another was granted: it takes the right at each machine that was asked for."""
    refuse(web)
    (found,) = listed(web)
    role = make_role(web, "reads policies", POLICY_READ)
    for name, sees in (("db-1", False), ("web-1", True)):
        someone = Person(web, f"who reads {name}", (role, web.machine(name)))
        answer = someone.client.get(found["id"], params={"api-version": BASCULE})
        assert answer.status_code == (200 if sees else 403)
        assert ("deploy" in answer.text) is sees
        answer = someone.client.get(f"{web.subscription}{LIST}", params={"api-version": BASCULE})
        assert [each["id"] for each in answer.json()["value"]] == [found["id"]] * sees
