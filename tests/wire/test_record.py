"""The record over HTTP: sealed, signed, exported, verified with no server, pruned."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from bascule.client.signature import RecordKeys
from bascule.domain.builtin_roles import READER
from bascule.domain.proof import BreakKind, Proof, Verdict
from bascule.domain.proof import Witness as ProofWitness
from bascule.interfaces.store import Transaction
from bascule.services import record, seal
from bascule.services.act import Act, Services
from tests.wire.house import CALLER, House
from tests.wire.people import Person

AUDIT = "/providers/Bascule.Audit"
DAY = 86_400


def export(house: House) -> list[bytes]:
    answer = house.call("GET", f"{AUDIT}/export")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/jsonl"
    return list(answer.content.splitlines(keepends=True))


def public_key(house: House) -> str:
    return str(house.call("GET", f"{AUDIT}/key").json()["properties"]["publicKey"])


def prove(lines: list[bytes], key: str) -> Verdict:
    proof = Proof(RecordKeys([key]))
    for line in lines:
        proof.take(line)
    return proof.verdict()


def verified(house: House) -> dict[str, Any]:
    answer = house.call("POST", f"{AUDIT}/verification")
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["properties"])


def by_hand(house: House, statement: str, **values: int) -> None:
    """What somebody does who can write the database file."""
    house.do(lambda tx, _: tx._connection.execute(text(statement), values))


def test_an_export_proves_itself_with_the_public_key_alone(house: House) -> None:
    house.add_machine("web-1")
    verdict = prove(export(house), public_key(house))
    assert verdict.is_intact
    assert verdict.count == len(house.events()) >= 2
    assert verdict.checkpoints == 1


def test_an_export_is_nothing_to_another_key(house: House, tmp_path: Any) -> None:
    from bascule.identity.record_key import RecordKey

    verdict = prove(export(house), RecordKey(tmp_path).public_key)
    assert verdict.break_ is not None
    assert verdict.break_.kind is BreakKind.FORGED


def test_two_pages_are_one_export(house: House, monkeypatch: Any) -> None:
    monkeypatch.setattr("bascule.services.record.PAGE", 3)
    for n in range(4):
        house.add_machine(f"m-{n}")
    house.do(lambda tx, act: (seal.seal(tx), seal.sign_head(tx, act, house.state.record_key)))
    for n in range(4, 8):
        house.add_machine(f"m-{n}")
    verdict = prove(export(house), public_key(house))
    assert verdict.is_intact
    assert (verdict.count, verdict.checkpoints) == (len(house.events()), 2)


@pytest.mark.parametrize("form", ["bascule", "ocsf"])
@pytest.mark.parametrize("lose", ["token", "right"])
def test_an_export_is_cut_off_when_its_token_or_right_is_gone(
    house: House, monkeypatch: pytest.MonkeyPatch, form: str, lose: str
) -> None:
    """EDGES B5. Nobody reads on in the record after he was shown the door."""
    auditor = Person(house, "auditor", (READER.id, house.subscription))
    for n in range(6):
        house.add_machine(f"m-{n}")
    monkeypatch.setattr("bascule.services.record.PAGE", 3)
    name = "export_pages" if form == "bascule" else "ocsf_pages"
    pages_of = getattr(record, name)
    whole = len(auditor.call("GET", f"{house.subscription}{AUDIT}/export", format=form).content)

    def take_away(tx: Transaction, _: Act) -> None:
        (held,) = tx.role_assignments_of([auditor.id])
        found = tx.service_principal(auditor.id)
        assert found is not None
        if lose == "right":
            tx.delete_role_assignment(held.id)
        else:
            tx.put_service_principal(replace(found, is_enabled=False))

    async def pages_and_a_loss(services: Services, *key: Any) -> AsyncIterator[list[bytes]]:
        pages = pages_of(services, *key)
        yield await anext(pages)
        await services.perform(take_away)
        async for page in pages:
            yield page

    monkeypatch.setattr(f"bascule.api.routes.record.{name}", pages_and_a_loss)
    path = f"{house.subscription}{AUDIT}/export"
    assert 0 < len(auditor.call("GET", path, format=form).content) < whole


def test_events_say_where_they_are_in_the_chain(house: House) -> None:
    house.add_machine("web-1")
    (newest, *_) = house.call("GET", f"{AUDIT}/events").json()["value"]
    assert "hash" not in newest, "not sealed yet"
    exported = [json.loads(line) for line in export(house)]
    listed = house.call("GET", f"{AUDIT}/events").json()["value"]
    places = {each["event"]["id"]: each for each in exported if "event" in each}
    for each in listed:
        assert each["position"] == places[each["id"]]["position"]
        assert each["hash"] == places[each["id"]]["hash"]


def test_checkpoints_are_made_once_a_place_and_listed(house: House) -> None:
    made = house.call("POST", f"{AUDIT}/checkpoints").json()
    again = house.call("POST", f"{AUDIT}/checkpoints").json()
    assert made == again
    house.add_machine("web-1")
    later = house.call("POST", f"{AUDIT}/checkpoints").json()
    listed = house.call("GET", f"{AUDIT}/checkpoints", params={"$top": "1"}).json()
    assert listed["value"] == [later]
    rest = house.client.get(listed["nextLink"]).json()
    assert rest["value"] == [made]
    assert set(made["properties"]) == {"at", "hash", "keyId", "position", "signature"}


def test_the_server_names_what_somebody_did_to_its_database(house: House) -> None:
    for n in range(5):
        house.add_machine(f"m-{n}")
    assert verified(house)["isIntact"] is True
    by_hand(
        house, "UPDATE events SET record = replace(record, 'm-3', 'm-9') WHERE record LIKE '%m-3%'"
    )
    found = verified(house)["firstBreak"]
    assert found["kind"] == "edited"
    edited = found["position"]
    by_hand(
        house, "UPDATE events SET record = replace(record, 'm-9', 'm-3') WHERE record LIKE '%m-9%'"
    )
    assert verified(house)["firstBreak"] is None
    by_hand(house, "DELETE FROM events WHERE sequence = :n", n=edited)
    found = verified(house)["firstBreak"]
    assert (found["kind"], found["position"]) == ("removed", edited)


def test_a_tail_that_was_deleted_is_named_by_its_checkpoint(house: House) -> None:
    for n in range(4):
        house.add_machine(f"m-{n}")
    through = verified(house)["verifiedThrough"]["position"]
    by_hand(house, "DELETE FROM event_seals WHERE position >= :n", n=through - 1)
    by_hand(house, "DELETE FROM events WHERE sequence >= :n", n=through - 1)
    verdict = house_verdict(house)
    assert verdict.break_ is not None
    assert (verdict.break_.kind, verdict.break_.position) == (BreakKind.REMOVED, through - 1)


def house_verdict(house: House) -> Verdict:
    import asyncio

    from bascule.services.record import verify_record

    return asyncio.run(verify_record(house.services, house.state.record_key))


def test_a_break_is_on_record(house: House) -> None:
    import asyncio

    house.add_machine("web-1")
    export(house)
    asyncio.run(seal.verify_all(house.services, house.state.record_key))
    assert house.events("RecordBroken") == []
    by_hand(house, "UPDATE events SET record = replace(record, 'web-1', 'web-2')")
    asyncio.run(seal.verify_all(house.services, house.state.record_key))
    assert house.events("RecordBroken") == ["RecordBroken"]


@pytest.mark.parametrize("record", ["'x'", '\'{"kind": "X"}\'', "x'ff'"])
def test_a_row_that_cannot_be_read_is_named_and_ends_no_export(house: House, record: str) -> None:
    for n in range(3):
        house.add_machine(f"m-{n}")
    through = verified(house)["verifiedThrough"]["position"]
    by_hand(house, f"UPDATE events SET record = {record} WHERE sequence = 3")  # noqa: S608  # reason: ours
    found = verified(house)["firstBreak"]
    assert (found["kind"], found["position"]) == ("edited", 3)
    lines = export(house)
    assert [json.loads(line)["position"] for line in lines if b'"event"' in line][-1] >= through
    verdict = prove(lines, public_key(house))
    assert verdict.break_ is not None
    assert (verdict.break_.kind, verdict.break_.position) == (BreakKind.EDITED, 3)
    answer = house.call("GET", f"{AUDIT}/export", params={"format": "ocsf"})
    told = [json.loads(line) for line in answer.content.splitlines()]
    assert [each["metadata"]["sequence"] for each in told] == list(range(1, len(told) + 1))
    assert len(told) >= through
    assert [each["message"] for each in told].count("RecordGap") == 1
    assert told[2]["unmapped"]["data"]["first"] == told[2]["unmapped"]["data"]["last"] == 3
    assert house.call("GET", f"{AUDIT}/events").status_code == 200


# -- retention -----------------------------------------------------------------------------


def years_later(house: House) -> None:
    house.clock.pass_time(400 * DAY)
    house.client = house.client_of(house.service_token())


def prune(house: House, before: str) -> Any:
    return house.call("POST", f"{AUDIT}/prune", {"before": before})


def test_retention_leaves_a_record_that_proves_itself(house: House) -> None:
    house.add_machine("web-1")
    export(house)
    before = len(house.events())
    years_later(house)
    house.add_machine("db-1")
    answer = prune(house, "2030-01-02T12:00:00Z")
    assert answer.status_code == 200, answer.text
    assert answer.json()["properties"]["events"] == before
    assert house.events()[0] == "RecordPruned"
    verdict = prove(export(house), public_key(house))
    assert verdict.is_intact
    assert verdict.begin.position == before
    assert verified(house)["isIntact"] is True


def test_retention_that_was_done_by_hand_is_named(house: House) -> None:
    house.add_machine("web-1")
    through = verified(house)["verifiedThrough"]["position"]
    house.add_machine("db-1")
    by_hand(house, "DELETE FROM events WHERE sequence <= :n", n=through)
    by_hand(house, "DELETE FROM event_seals WHERE position <= :n", n=through)
    found = verified(house)["firstBreak"]
    assert found["kind"] == "removed"
    assert "no event records who did it" in found["message"]


def test_what_is_not_signed_or_not_old_is_not_pruned(house: House) -> None:
    house.add_machine("web-1")
    assert prune(house, "2029-09-30T00:00:00Z").json()["error"]["code"] == "NothingToPrune"
    assert prune(house, "2031-01-01T00:00:00Z").json()["error"]["code"] == "InvalidDate"
    assert prune(house, "yesterday").json()["error"]["code"] == "InvalidDateTime"
    assert house.call("POST", f"{AUDIT}/prune", {}).status_code == 400
    assert "RecordPruned" not in house.events()


def test_whoever_holds_every_right_cannot_delete_below_the_floor(house: House) -> None:
    """EDGES E2: a checkpoint and a time of now took the whole record along."""
    house.add_machine("web-1")
    assert house.call("POST", f"{AUDIT}/checkpoints").status_code == 200
    before = house.events()
    house.clock.pass_time(60)
    for body in (
        {"before": "2030-01-01T12:01:00Z"},
        {"before": "2030-01-01T12:01:00Z", "floor": "PT0S", "recordFloor": 0, "force": True},
    ):
        answer = house.call("POST", f"{AUDIT}/prune", body)
        assert answer.status_code in (400, 409), answer.text
    assert prune(house, "2030-01-01T12:01:00Z").json()["error"]["code"] == "BelowRecordFloor"
    assert house.events() == before


def test_who_pruned_is_on_record(house: House) -> None:
    years_later(house)
    assert prune(house, "2030-01-02T00:00:00Z").status_code == 200
    (newest, *_) = house.call("GET", f"{AUDIT}/events").json()["value"]
    assert newest["kind"] == "RecordPruned"
    assert newest["actor"]["principal_id"] == house.administrator
    assert newest["actor"]["address"] == CALLER


# -- witnesses -----------------------------------------------------------------------------


def told(house: House, agent: Any, uid: str, seen: int = 0) -> Any:
    return agent.get(f"/bascule/points/{uid}/state", params={"seen": seen}).json()["record"]


def test_agents_are_told_of_the_record(house: House) -> None:
    """EDGES B9: where it ends, and what stands at the place that they saw."""
    uid = house.add_machine("web-1")
    agent = house.enrol("web-1")
    assert told(house, agent, uid) == {
        "position": 0,
        "hash": "0" * 64,
        "begin": 0,
        "floorMs": 90 * DAY * 1000,
    }
    export(house)
    head = told(house, agent, uid)
    assert head["position"] == len(house.events())
    house.add_machine("db-1")
    export(house)
    later = told(house, agent, uid, head["position"])
    assert later["position"] > head["position"]
    assert later["seenHash"] == head["hash"]
    beyond = told(house, agent, uid, later["position"] + 1)
    assert ("seenHash" in beyond, beyond["begin"]) == (False, 0)


def test_a_witness_finds_what_a_holder_of_the_key_did(house: House) -> None:
    """The rows are cut and what is left is signed anew: only who saw more can tell."""
    from bascule.agent.witness import Witness
    from bascule.protocol.codec import decode
    from bascule.protocol.state import RecordMark

    uid = house.add_machine("web-1")
    agent = house.enrol("web-1")
    export(house)
    witness = Witness()
    witness.take(decode(RecordMark, told(house, agent, uid)), house.clock.wall)
    assert witness.weaknesses() == ()
    last = witness.head.position
    by_hand(house, "DELETE FROM events WHERE sequence = :n", n=last)
    by_hand(house, "DELETE FROM event_seals WHERE position = :n", n=last)
    by_hand(house, "DELETE FROM checkpoints WHERE position >= :n", n=last)
    assert verified(house)["isIntact"] is True
    witness.take(decode(RecordMark, told(house, agent, uid, last)), house.clock.wall)
    (what,) = witness.pending()
    house.report(agent, uid, disputes=[what])
    assert house.events("RecordDisputed") == ["RecordDisputed"]
    house.add_machine("db-1")
    house.add_machine("db-2")
    export(house)
    verdict = prove(export(house), public_key(house))
    assert verdict.is_intact
    assert witness.first is not None
    proof = Proof(RecordKeys([public_key(house)]), [ProofWitness("web-1", witness.first[0])])
    for line in export(house):
        proof.take(line)
    found = proof.verdict().break_
    assert found is not None
    assert found.kind is BreakKind.REWRITTEN


def test_events_are_found_by_caller_and_correlation(house: House) -> None:
    answer = house.call(
        "PUT",
        house.machine("web-1"),
        {},
        "2024-07-01",
        headers={"x-ms-correlation-request-id": b"corr-1", "user-agent": b"azcli/9 \x1bbad\xe9"},
    )
    assert answer.status_code == 201

    def kinds(text: str) -> list[str]:
        found = house.call("GET", f"{AUDIT}/events", params={"$filter": text}).json()["value"]
        return [each["kind"] for each in found]

    (added, *_) = house.call("GET", f"{AUDIT}/events").json()["value"]
    assert added["actor"]["client"] == "azcli/9 bad"
    assert kinds("correlationId eq 'CORR-1'") == ["MachineAdded"]
    assert kinds(f"caller eq '{house.administrator}'") == ["MachineAdded"]
    assert kinds("caller eq 'bascule'")[-1] == "InstallationCreated"
    assert kinds("caller eq 'nobody'") == []


def test_the_record_in_ocsf(house: House, monkeypatch: Any) -> None:
    """Every event, a line each, over page borders, with the requestor and not the agent."""
    import jsonschema_rs

    from tests.ocsf_schema import SCHEMAS
    from tests.wire.house import JIT, port_rule

    monkeypatch.setattr("bascule.services.record.PAGE", 3)
    uid = house.add_machine("web-1")
    agent = house.enrol("web-1")
    rules = [{"id": house.machine("web-1"), "ports": [port_rule()]}]
    house.call("PUT", house.policy(), {"properties": {"virtualMachines": rules}}, JIT)
    port = {"number": 22, "duration": "PT1H", "allowedSourceAddressPrefix": "192.0.2.7"}
    asked = {"virtualMachines": [{"id": house.machine("web-1"), "ports": [port]}]}
    assert house.call("POST", f"{house.policy()}/initiate", asked, JIT).status_code == 202
    state = agent.get(f"/bascule/points/{uid}/state").json()
    house.report(agent, uid, state["leases"][0]["grantId"])
    answer = house.call("GET", f"{AUDIT}/export", params={"format": "ocsf"})
    events = [json.loads(line) for line in answer.content.splitlines()]
    for each in events:
        jsonschema_rs.validator_for(SCHEMAS[each["class_uid"]]).validate(each)
    assert [each["message"] for each in events] == house.events()[::-1]
    (opened,) = [each for each in events if each["message"] == "GrantOpened"]
    assert opened["user"]["uid"] == house.administrator
    assert opened["privileges"] == ["reach port 22/TCP from 192.0.2.7"]
    assert house.call("GET", f"{AUDIT}/export", params={"format": "x"}).status_code == 400
