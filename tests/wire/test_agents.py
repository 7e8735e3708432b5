"""What agents call over HTTP: enrolment, the state, the report (EDGES A8, A12, A13)."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from bascule.api.networks import AGENTS_KNOWN_FOR
from bascule.bootstrap.networks import remember_networks
from bascule.domain.actions import ENROLMENT_DELETE, ENROLMENT_WRITE, POINT_READ
from bascule.domain.grant import SILENCE_BOUND
from bascule.domain.machine import EnforcementPoint
from bascule.interfaces.points import Contact
from bascule.interfaces.store import Transaction
from bascule.protocol.enrolment import SIGNATURE_HEADER
from bascule.protocol.signed import Kind, Pinned
from bascule.services.act import Act
from bascule.services.denials import RECORDED_PER_SOURCE
from bascule.services.fleet import hash_token
from tests.support.enrolling import NONCE, enrol_body
from tests.wire.house import BASCULE, BASE, JIT, PUBLIC_KEY, House, port_rule
from tests.wire.somebody import somebody

OTHER_KEY = base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("=")


@pytest.fixture
def uid(house: House) -> str:
    return house.add_machine("web-1")


def token_for(house: House, **body: Any) -> dict[str, Any]:
    path = f"{house.machine('web-1')}/providers/Bascule.Fleet/enrolments"
    answer = house.call("POST", path, body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["properties"])


def enrol(house: House, token: str, key: str = PUBLIC_KEY) -> Any:
    return house.client_of(None).post("/bascule/enrol", json=enrol_body(token, key))


def test_a_token_names_its_machine_and_pins_the_ca(house: House, uid: str) -> None:
    made = token_for(house)
    prefix, _, content = made["token"].partition(".")
    said = json.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))
    assert (prefix, said["u"], said["c"]) == ("bascule-enrol", uid, made["caFingerprint"])
    assert made["machineUid"] == uid
    assert made["expiresAt"] == "2030-01-01T12:15:00.0000000Z"
    assert made["command"] == f"bascule agent run --server {BASE}"
    assert made["installCommand"] == f"bascule agent install --server {BASE}"
    assert token_for(house, validMinutes=2)["expiresAt"] == "2030-01-01T12:02:00.0000000Z"
    assert said["k"] == house.state.trust_key.public_key
    events = house.call("GET", "/providers/Bascule.Audit/events").text
    assert made["token"] not in events
    assert said["s"] not in events


def test_an_enrolment_answers_who_the_agent_is(house: House, uid: str) -> None:
    answer = enrol(house, token_for(house)["token"])
    assert answer.json() == {
        "machineUid": uid,
        "machineId": house.machine("web-1"),
        "tenantId": house.installation.tenant_id,
        "serverTime": "2030-01-01T12:00:00.0000000Z",
    }


def test_a_token_works_once_and_not_late(house: House, uid: str) -> None:
    made, early = (token_for(house)["token"] for _ in range(2))
    assert enrol(house, made).status_code == 200
    for token in (made, early):  # used; over a live key
        answer = enrol(house, token, OTHER_KEY)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "EnrolmentRefused")
    late = token_for(house, replace=True)["token"]
    house.clock.pass_time(901)
    assert "expired" in enrol(house, late).json()["error"]["message"]
    assert house.events("EnrolmentRefused") == ["EnrolmentRefused"] * 3
    point = house.see(lambda reader: reader.enforcement_point(uid))
    assert point is not None
    assert point.public_key == PUBLIC_KEY


def test_no_token_is_made_that_could_only_be_refused(house: House, uid: str) -> None:
    house.enrol("web-1")
    path = f"{house.machine('web-1')}/providers/Bascule.Fleet/enrolments"
    answer = house.call("POST", path, {})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "AgentEnrolled")
    assert "--replace" in answer.text
    assert token_for(house, replace=True)["token"]


@pytest.mark.parametrize("changed", ["publicKey", "machineUid", "nonce", "proof", "tokenKey"])
def test_whoever_stands_in_between_enrols_no_key_of_theirs(
    house: House, uid: str, changed: str
) -> None:
    """I1: the proof is for this key, machine and question; the token is not in it."""
    token = token_for(house)["token"]
    body = enrol_body(token, PUBLIC_KEY)
    other = house.add_machine("web-2")
    for value in {
        "publicKey": [OTHER_KEY],
        "machineUid": [other, ""],
        "nonce": ["m" * 24],
        "proof": [enrol_body(token, OTHER_KEY)["proof"], "", "A" * 86],
        "tokenKey": [OTHER_KEY, enrol_body("bascule-enrol.x", PUBLIC_KEY)["tokenKey"]],
    }[changed]:
        answer = house.client_of(None).post("/bascule/enrol", json={**body, changed: value})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "EnrolmentRefused")
    assert house.see(lambda reader: reader.enforcement_point(uid)) is None
    assert house.client_of(None).post("/bascule/enrol", json=body).status_code == 200


def test_an_enrolment_s_answer_is_signed_for_its_question(house: House, uid: str) -> None:
    answer = enrol(house, token_for(house)["token"])
    signature = answer.headers[SIGNATURE_HEADER]
    pinned = Pinned(house.state.trust_key.public_key)
    assert pinned.is_of(Kind.ANSWER, uid, NONCE, 200, answer.content, signature)


def test_the_database_alone_enrols_nobody(house: House, uid: str) -> None:
    """A27: what is kept of a token proves nothing, and is not what is sent."""
    token = token_for(house)["token"]
    sent = enrol_body(token, PUBLIC_KEY)["tokenKey"]
    kept = house.see(lambda reader: reader.enrolment_by_hash(hash_token(sent)))
    assert kept is not None
    assert token not in repr(kept)
    assert sent not in repr(kept)
    assert enrol(house, sent).status_code == 403


def test_guessed_tokens_leave_few_rows(house: House) -> None:
    for number in range(30):
        answer = enrol(house, f"bascule-enrol.{number}")
        assert answer.status_code == 403
    assert len(house.events()) < 10


def test_an_old_token_tried_again_and_again_leaves_a_few_rows(house: House, uid: str) -> None:
    """B8: a used or expired token in somebody's script must not fill the record."""
    token = token_for(house)["token"]
    assert enrol(house, token).status_code == 200
    for _ in range(RECORDED_PER_SOURCE + 7):
        answer = enrol(house, token, OTHER_KEY)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "EnrolmentRefused")
    assert len(house.events("EnrolmentRefused")) == RECORDED_PER_SOURCE
    house.clock.pass_time(60)
    enrol(house, token, OTHER_KEY)
    assert len(house.events("EnrolmentRefused")) == RECORDED_PER_SOURCE + 1, "a new minute"


def test_a_replaced_agents_token_is_refused_at_once(house: House, uid: str) -> None:
    old = house.enrol("web-1")
    assert enrol(house, token_for(house, replace=True)["token"], OTHER_KEY).status_code == 200
    answer = old.get(f"/bascule/points/{uid}/state")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "RevokedToken")


def test_a_deleted_machines_agent_is_told_so(house: House, uid: str) -> None:
    agent = house.enrol("web-1")
    house.call("DELETE", house.machine("web-1"))
    for call in (
        agent.get(f"/bascule/points/{uid}/state"),
        agent.get(f"/bascule/agents/{uid}/stream"),  # of before the line
        agent.post(f"/bascule/points/{uid}/report", json={"generation": 0, "inForce": []}),
    ):
        assert (call.status_code, call.json()["error"]["code"]) == (401, "AgentUnknown")


def test_the_state_counts_what_remains(house: House, uid: str) -> None:
    agent = house.enrol("web-1")
    rules = [port_rule(22, protocol="*"), port_rule(80)]
    body = {"properties": {"virtualMachines": [{"id": house.machine("web-1"), "ports": rules}]}}
    house.call("PUT", house.policy(), body, JIT)
    port = {
        "number": 22,
        "duration": "PT1M",
        "allowedSourceAddressPrefixes": ["192.0.2.1", "2001:db8::/64"],
    }
    asked = {"virtualMachines": [{"id": house.machine("web-1"), "ports": [port]}]}
    request = house.call("POST", house.policy() + "/initiate", asked, JIT).json()["bascule"]
    house.clock.pass_time(0.0015)
    state = agent.get(f"/bascule/points/{uid}/state").json()
    assert state["closed"] == [
        {"protocol": "TCP", "number": 22, "onExpiry": "keep"},
        {"protocol": "TCP", "number": 80, "onExpiry": "keep"},
        {"protocol": "UDP", "number": 22, "onExpiry": "kill"},
    ]
    (lease,) = state["leases"]
    assert lease["remainingMs"] == 59_998  # rounded down, never up
    assert lease["sources"] == ["192.0.2.1", "2001:db8::/64"]
    assert lease["ports"] == [{"protocol": "TCP", "number": 22}, {"protocol": "UDP", "number": 22}]
    assert (state["machineUid"], state["machineName"]) == (uid, "web-1")
    house.call("POST", f"{request['resourceId']}/revoke", {"kill": True})
    state = agent.get(f"/bascule/points/{uid}/state").json()
    assert state["leases"] == []
    assert [cut["grantId"] for cut in state["cuts"]] == [lease["grantId"]]


def test_what_root_opened_is_never_crowded_out(house: House, uid: str) -> None:
    """A25: whatever else a report says."""
    opened = [{"port": "22/tcp", "sources": ["192.0.2.1"], "seconds": 900}]
    drift = [f"change {each}" for each in range(64)]
    house.report(house.enrol("web-1"), uid, localOpenings=opened, drift=drift)
    assert house.events("OpenedLocally") == ["OpenedLocally"]


def test_a_report_is_kept_and_bounded(house: House, uid: str) -> None:
    agent = house.enrol("web-1")
    house.report(
        agent,
        uid,
        localPortRange=[32768, 60999],
        blockedAttempts=7,
        knocks=[{"source": "192.0.2.9", "protocol": "TCP", "number": 22, "attempts": 3}],
        weaknesses=[{"code": "Newer", "arguments": {"what": "w" * 5000}}],
        facts={"kernel": "6.18"},
        agentVersion="0.1",
        clock="2030-01-01T12:00:00Z",
        drift=["x" * 5000],
        localOpenings=[{"port": "22/tcp", "sources": ["192.0.2.1"], "seconds": 900}],
        notes=["late"] * 500,
        somethingNew=1,
    )
    (point,) = house.call("GET", "/providers/Bascule.Fleet/enforcementPoints").json()["value"]
    shown = point["properties"]
    assert (
        shown.items()
        >= {
            "state": "online",
            "blockedAttempts": 7,
            "countedAt": "2030-01-01T12:00:00.0000000Z",
            "agentVersion": "0.1",
            "facts": {"kernel": "6.18"},
        }.items()
    )
    (weakness,) = shown["weaknesses"]
    assert len(weakness["arguments"]["what"]) == 500
    assert (weakness["code"], weakness["severity"]) == ("Newer", "severe"), "EDGES F2"
    assert "Newer" in weakness["text"]
    assert house.call("GET", point["id"]).json() == point
    assert len(house.events("DriftHealed", "AgentReported")) == 60
    assert house.events("OpenedLocally") == ["OpenedLocally"]
    assert len(house.events("NotesWithheld")) == 1


# -- agents of before the line


def test_the_lines_place_says_what_it_is(house: House, uid: str) -> None:
    answer = house.client_of(None).get(f"/bascule/points/{uid}/line")
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
    assert answer.json()["error"]["code"] == "UpgradeRequired"


def old_calls(agent: TestClient, uid: str) -> Iterator[Any]:
    for path in ("stream", "state?seen=0&knows=cuts,kill,udp"):
        yield agent.get(f"/bascule/agents/{uid}/{path}")
    yield agent.post(f"/bascule/agents/{uid}/report", json={"generation": 1, "inForce": []})


def point_of(house: House, uid: str) -> EnforcementPoint:
    point = house.see(lambda reader: reader.agent_of(uid))
    assert point is not None
    return point


def opened(house: House, agent: TestClient, uid: str) -> Any:
    """Port 22 is closed, and access to it was asked for."""
    rules = {"virtualMachines": [{"id": house.machine("web-1"), "ports": [port_rule()]}]}
    house.call("PUT", house.policy(), {"kind": "Basic", "properties": rules}, JIT)
    house.report(agent, uid)
    return ask(house)


def ask(house: House) -> Any:
    port = {"number": 22, "allowedSourceAddressPrefix": "192.0.2.1", "duration": "PT1H"}
    asked = {"virtualMachines": [{"id": house.machine("web-1"), "ports": [port]}]}
    return house.call("POST", f"{house.policy()}/initiate", asked, JIT)


def test_an_agent_of_before_the_line_is_too_old_and_its_machine_says_so(
    house: House, uid: str
) -> None:
    """EDGES F4: never a refused key, which would have it end what it holds."""
    agent = house.enrol("web-1")
    opened(house, agent, uid)
    (grant,) = house.see(lambda reader: reader.live_grants([uid]))
    house.report(agent, uid, grant.id)
    heard = point_of(house, uid).last_contact_at
    house.clock.pass_time(20)
    for _ in range(2):
        for answer in old_calls(agent, uid):
            assert answer.status_code == 426
            assert answer.json()["error"]["code"] == "AgentTooOld"
    assert len(house.see(lambda reader: reader.live_grants([uid]))) == 1, "it ends by itself"
    point = point_of(house, uid)
    assert [each.code for each in point.weaknesses] == ["AgentProtocolTooOld"]
    assert point.last_contact_at == heard, "nothing was read back"
    view = house.call("GET", f"{house.machine('web-1')}/instanceView", version="2024-07-01").json()
    (agent_status,) = view["vmAgent"]["statuses"]
    assert agent_status["message"].startswith("The agent is too old for this server.")
    refused = ask(house)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "AgentTooOld")


def test_who_waits_at_an_agent_that_is_too_old_is_told_at_once(house: House, uid: str) -> None:
    agent = house.enrol("web-1")
    assert opened(house, agent, uid).status_code == 202
    assert next(old_calls(agent, uid)).status_code == 426
    assert not house.see(lambda reader: reader.live_grants([uid]))


def test_an_upgraded_agent_is_no_longer_too_old(house: House, uid: str) -> None:
    agent = house.enrol("web-1")
    for answer in old_calls(agent, uid):
        assert answer.status_code == 426
    assert opened(house, agent, uid).status_code == 202
    assert point_of(house, uid).weaknesses == ()


def test_a_stranger_marks_no_agent(house: House, uid: str) -> None:
    house.enrol("web-1")
    other = house.add_machine("db-1")
    thief = house.enrol("db-1")
    for client, status in ((house.client_of(None), 401), (house.client, 403), (thief, 403)):
        for answer in old_calls(client, uid):
            assert answer.status_code == status
    assert point_of(house, uid).weaknesses == ()
    assert next(old_calls(thief, other)).status_code == 426


# -- an agent is removed


def point_path(uid: str) -> str:
    return f"/providers/Bascule.Fleet/enforcementPoints/{uid}"


def test_a_removed_agent_is_refused_and_its_grants_end(house: House, uid: str) -> None:
    """EDGES A12: what it keeps shut stays shut; the machine stays, with its policies."""
    agent = house.enrol("web-1")
    rules = {"virtualMachines": [{"id": house.machine("web-1"), "ports": [port_rule()]}]}
    house.call("PUT", house.policy(), {"kind": "Basic", "properties": rules}, JIT)
    house.report(agent, uid)
    waiting = token_for(house, replace=True)["token"]
    port = {"number": 22, "allowedSourceAddressPrefix": "192.0.2.1", "duration": "PT1H"}
    asked = {"virtualMachines": [{"id": house.machine("web-1"), "ports": [port]}]}
    made = house.call("POST", f"{house.policy()}/initiate", asked, JIT)
    assert made.status_code == 202, made.text

    assert house.call("DELETE", point_path(uid)).status_code == 200
    assert agent.get(f"/bascule/points/{uid}/state").status_code in (401, 403)
    assert house.call("GET", point_path(uid)).status_code == 404
    assert house.see(lambda reader: reader.live_grants([uid])) == []
    assert house.see(lambda reader: {each.port.number for each in reader.closed_ports(uid)}) == {22}
    assert house.call("GET", house.machine("web-1"), version="2024-07-01").status_code == 200
    assert enrol(house, waiting).status_code >= 400, "a token of before brings nobody back"
    assert house.events("AgentRemoved", "GrantEnded") == ["AgentRemoved", "GrantEnded"]
    assert house.call("DELETE", point_path(uid)).status_code == 204


def test_an_agent_is_removed_by_who_may_do_so_at_its_machine(house: House, uid: str) -> None:
    """And who may not learns nothing of whose a uid is: one that is nobody's is told the same."""
    house.enrol("web-1")
    reader = somebody(house, house.subscription, POINT_READ, ENROLMENT_WRITE)
    nowhere = house.subscription + point_path("11111111-2222-3333-4444-555555555555")
    here = house.subscription + point_path(uid)
    told = [reader.delete(path, params={"api-version": BASCULE}) for path in (here, nowhere)]
    assert [each.status_code for each in told] == [403, 403]
    assert told[0].json()["error"]["message"] == told[1].json()["error"]["message"]
    assert house.see(lambda tx: tx.enforcement_point(uid)) is not None
    keeper = somebody(house, house.machine("web-1"), ENROLMENT_DELETE)
    assert keeper.delete(here, params={"api-version": BASCULE}).status_code == 200


def test_what_an_agent_alone_closes_is_taken_by_name_or_released(house: House, uid: str) -> None:
    """EDGES E7: an owner decides, port by port."""
    agent = house.enrol("web-1")
    claims = [{"protocol": "TCP", "number": n, "onExpiry": "keep"} for n in (80, 443, 8080)]
    state = house.report(agent, uid, closed=claims)
    assert state["closed"] == []
    assert agent.get(f"/bascule/points/{uid}/state").json()["closed"] == [], "told to nobody"
    rules = f"{house.machine('web-1')}/providers/Bascule.Access/machineRules/default"

    def shown(key: str) -> list[int]:
        return [each["number"] for each in house.call("GET", rules).json()["properties"][key]]

    assert (shown("closedPorts"), shown("claimedPorts")) == ([], [80, 443, 8080])
    body = {"ports": [{"number": 80, "protocol": "TCP"}]}
    answer = house.call("POST", f"{rules}/take", body)
    assert answer.json() == {"taken": [{"number": 80, "protocol": "TCP"}]}
    assert (shown("closedPorts"), shown("claimedPorts")) == ([80], [443, 8080])
    again = house.call("POST", f"{rules}/take", body)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "PortNotClaimed")
    body = {"ports": [{"number": 443, "protocol": "TCP"}]}
    assert house.call("POST", f"{rules}/release", body).status_code == 200
    assert shown("claimedPorts") == [8080]
    told = agent.get(f"/bascule/points/{uid}/state").json()
    assert [each["number"] for each in told["closed"]] == [80]
    assert [each["number"] for each in told["released"]] == [443]
    assert house.call("POST", f"{rules}/take").json()["taken"][0]["number"] == 8080


def test_a_doubted_agent_is_believed_again_by_a_call(house: House, uid: str) -> None:
    agent = house.enrol("web-1")
    for _ in range(2):
        known = agent.get(f"/bascule/points/{uid}/state").json()["generation"]
        house.report(agent, uid, generation=known + 1)
    assert house.events("GenerationOvertaken", "AgentDoubted") == [
        "AgentDoubted",
        "GenerationOvertaken",
    ]
    path = f"{house.machine('web-1')}/providers/Bascule.Fleet/enforcementPoints/default/believe"
    assert house.call("POST", path).json() == {"isChanged": True}
    assert house.call("POST", path).json() == {"isChanged": False}
    assert house.events("AgentBelieved") == ["AgentBelieved"]


def test_where_agents_were_a_day_ago_is_known_to_the_next_start(house: House) -> None:
    """Their handshakes have turns of their own, also right after a start (EDGES H8)."""
    heard_from(house, "web-1", "192.0.2.1/32", house.clock.now() - timedelta(seconds=5))
    heard_from(house, "db-1", "192.0.2.2/32", house.clock.now() - timedelta(seconds=90_000))
    asyncio.run(remember_networks(house.state))
    networks, at = house.state.agent_networks, house.clock.boottime()
    assert networks.has("192.0.2.1/32", at)
    assert networks.has("192.0.2.1/32", at + AGENTS_KNOWN_FOR - 6)
    assert not networks.has("192.0.2.1/32", at + AGENTS_KNOWN_FOR)
    assert not networks.has("192.0.2.2/32", at)


def heard_from(house: House, name: str, network: str, at: datetime) -> None:
    """A machine's agent comes from a network, and is last heard there at that time."""
    uid = house.add_machine(name)
    house.enrol(name)

    def hear(tx: Transaction, act: Act) -> None:
        point = tx.agent_of(uid)
        assert point is not None
        tx.put_enforcement_point(replace(point, last_contact_at=at - timedelta(seconds=9)))
        contact = Contact(uid, point.public_key, at, network=network)
        tx.put_contacts([contact], act.now, SILENCE_BOUND)

    house.do(hear)
