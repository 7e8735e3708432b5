"""Bascule.Audit/activity over HTTP: who may see what, filters, pages, counts, the chain."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bascule.domain.actions import ACTIVITY_READ, CHECKPOINT_READ, EVENT_READ
from bascule.services.seal import seal_all
from tests.wire.house import JIT, House, port_rule
from tests.wire.people import Person, make_role

AUDIT = "/providers/Bascule.Audit"
VERSION = "2026-01-01"


@pytest.fixture
def lived_in(house: House) -> House:
    """Two machines, a policy on one, a request, one refused; later a machine goes."""
    house.add_machine("web-1")
    house.clock.pass_time(60)
    house.add_machine("db-1")
    rules = [{"id": house.machine("web-1"), "ports": [port_rule()]}]
    body = {"properties": {"virtualMachines": rules}}
    assert house.call("PUT", house.policy(), body, JIT).status_code == 200
    for number, status in ((22, 202), (23, 400)):
        port = {"number": number, "duration": "PT1H", "allowedSourceAddressPrefix": "192.0.2.7"}
        asked = {"virtualMachines": [{"id": house.machine("web-1"), "ports": [port]}]}
        answer = house.call(
            "POST", f"{house.policy()}/initiate", {**asked, "justification": "ticket"}, JIT
        )
        assert answer.status_code == status, answer.text
    house.clock.pass_time(600)
    assert house.call("DELETE", house.machine("db-1"), version="2024-07-01").status_code < 300
    return house


def rows(caller: Any, *clauses: str, **params: str) -> list[dict[str, Any]]:
    answer = ask(caller, "activity", *clauses, **params)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["value"])


def ask(caller: Any, what: str, *clauses: str, **params: str) -> Any:
    house = caller if isinstance(caller, House) else caller.house
    path = f"{house.subscription}{AUDIT}/{what}"
    given = {"$filter": " and ".join(clauses)} if clauses else {}
    if isinstance(caller, House):
        return caller.call("GET", f"{AUDIT}/{what}", version=VERSION, params={**given, **params})
    return caller.call("GET", path, **{**given, **params})


def told(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(each["operation"], each["status"]) for each in found]


def test_each_event_is_told_in_the_activity_logs_words_with_its_own_record(lived_in: House) -> None:
    found = rows(lived_in)
    assert told(found)[0] == ("Delete Virtual Machine", "Succeeded")
    assert ("Initiate JIT Network Access Policy", "Failed") in told(found)
    assert found[0]["kind"] == "MachineDeleted"
    assert found[0]["operationName"] == "Microsoft.Compute/virtualMachines/delete"
    assert "position" not in found[0], "it is not sealed yet"
    asyncio.run(seal_all(lived_in.services, lived_in.state.record_key))
    assert rows(lived_in)[0]["position"] > 0


@pytest.mark.parametrize(
    ("clause", "wanted"),
    [
        ("machine eq 'db-1'", {"Create or Update Virtual Machine", "Delete Virtual Machine"}),
        ("operation eq 'delete virtual machine'", {"Delete Virtual Machine"}),
        ("machine eq 'nothing-here'", set()),
        ("caller eq 'nobody@example.com'", set()),
        ("caller eq ' '", set()),
    ],
)
def test_filters_keep_what_they_say(lived_in: House, clause: str, wanted: set[str]) -> None:
    assert {operation for operation, _ in told(rows(lived_in, clause))} == wanted


def test_a_status_and_an_operation_that_never_go_together_find_nothing(lived_in: House) -> None:
    """An empty list of sorts must not mean any."""
    assert rows(lived_in, "operation eq 'Delete user'", "status eq 'Failed'") == []
    counted = ask(lived_in, "activityCounts", "operation eq 'Delete user'", "status eq 'Failed'")
    assert counted.json()["total"] == 0


@pytest.mark.parametrize(
    "clause",
    [
        "operation eq 'Fly'",
        "status eq 'Nice'",
        "machine eq '../x'",
        "at ge 'yesterday'",
        "kind eq 'X'",
    ],
)
def test_what_is_no_filter_is_refused_with_what_there_is(lived_in: House, clause: str) -> None:
    for what in ("activity", "activityCounts"):
        answer = ask(lived_in, what, clause)
        assert answer.status_code == 400, answer.text


def test_pages_of_audit_activity_meet(lived_in: House) -> None:
    whole = [each["id"] for each in rows(lived_in)]
    paged: list[str] = []
    answer = ask(lived_in, "activity", **{"$top": "2"}).json()
    for _ in range(len(whole)):
        paged += [each["id"] for each in answer["value"]]
        if "nextLink" not in answer:
            break
        answer = lived_in.client.get(answer["nextLink"]).json()
    assert paged == whole
    assert ask(lived_in, "activity", **{"$skiptoken": "WyJhIiwiYiJd"}).status_code == 400


def test_counts_are_those_of_the_rows_whatever_the_filter(lived_in: House) -> None:
    for clauses in ([], ["status eq 'Failed'"], ["machine eq 'web-1'"]):
        for sealed in (False, True):
            if sealed:
                asyncio.run(seal_all(lived_in.services, lived_in.state.record_key))
            counted = ask(lived_in, "activityCounts", *clauses).json()
            assert counted["granularity"] == "P1D"
            assert counted["total"] == len(rows(lived_in, *clauses))
            assert counted["total"] == sum(each["events"] for each in counted["value"])
    begin = f"at ge '{lived_in.clock.now().isoformat()[:10]}T00:00:00Z'"
    by_hour = ask(lived_in, "activityCounts", begin).json()
    assert by_hour["granularity"] == "PT1H"
    assert by_hour["total"] == len(rows(lived_in, begin)) > 0


def test_who_may_read_one_machines_activity_sees_and_counts_no_other(lived_in: House) -> None:
    role = make_role(lived_in, "reads activity", ACTIVITY_READ)
    one = Person(lived_in, "one", (role, lived_in.machine("web-1")))
    none = Person(
        lived_in, "none", (make_role(lived_in, "other", EVENT_READ), lived_in.subscription)
    )
    seen = rows(one)
    assert seen
    denied = [each for each in seen if each["resourceId"] != lived_in.machine("web-1")]
    assert [each["kind"] for each in denied] == ["AccessDenied"], "of this machine alone"
    assert ask(one, "activityCounts").json()["total"] == len(seen)
    for clause in ("machine eq 'db-1'", f"resourceId eq '{lived_in.machine('db-1')}'"):
        assert rows(one, clause) == []
        assert ask(one, "activityCounts", clause).json()["total"] == 0
    assert len(rows(one, f"resourceId eq '{lived_in.subscription}'")) == len(seen)
    assert rows(none) == []
    assert ask(none, "activityCounts").json()["total"] == 0


def test_how_far_the_record_was_read_back(lived_in: House) -> None:
    before = ask(lived_in, "verification").json()["properties"]
    assert before["lastVerification"] is None
    verdict = lived_in.call("POST", f"{AUDIT}/verification", version=VERSION).json()["properties"]
    after = ask(lived_in, "verification").json()["properties"]
    assert after["lastVerification"] == verdict
    assert after["signedThrough"] == verdict["verifiedThrough"]["position"] > 0
    stranger = Person(
        lived_in, "x", (make_role(lived_in, "a", ACTIVITY_READ), lived_in.subscription)
    )
    assert ask(stranger, "verification").status_code == 403
    reader = Person(
        lived_in, "y", (make_role(lived_in, "c", CHECKPOINT_READ), lived_in.subscription)
    )
    assert ask(reader, "verification").status_code == 200


def test_a_refusal_by_missing_rights_is_found_at_its_machine(lived_in: House) -> None:
    """EDGES E10: who tried to open it is what its owner wants to know."""
    nobody = Person(lived_in, "nobody", (make_role(lived_in, "a", EVENT_READ), lived_in.group))
    port = {"number": 22, "duration": "PT1H", "allowedSourceAddressPrefix": "192.0.2.7"}
    asked = {"virtualMachines": [{"id": lived_in.machine("web-1"), "ports": [port]}]}
    answer = nobody.call("POST", f"{lived_in.policy()}/initiate", asked)
    assert answer.status_code == 403
    newest = rows(lived_in, "machine eq 'web-1'")[0]
    assert (newest["kind"], newest["actor"]["name"]) == ("CallerDenied", "nobody")
    assert newest["data"]["machines"] == [lived_in.machine("web-1")]


def test_an_event_says_whose_access_it_tells_of(lived_in: House) -> None:
    """The same in the list by number, which the command line reads."""
    events = lived_in.call("GET", f"{AUDIT}/events", version=VERSION).json()["value"]
    for listed in (rows(lived_in), events):
        about = {each["kind"]: each["about"] for each in listed}
        granted = about["GrantCreated"]
        assert granted["requestId"] == about["AccessRequested"]["requestId"] != ""
        del granted["requestId"]
        assert granted == {
            "requestor": "administrator",
            "machines": ["web-1"],
            "ports": ["22/tcp"],
            "sources": ["192.0.2.7"],
            "endsAt": "2030-01-01T13:01:00.0000000Z",
            "justification": "ticket",
        }
        assert about["AccessDenied"]["machines"] == ["web-1"]
        assert about["AccessDenied"]["ports"] == ["23"]
        assert about["MachineAdded"] is None
        assert {each["status"] for each in listed} >= {"Succeeded", "Failed", "Accepted"}
