"""Events: what a record holds, and what is none."""

from __future__ import annotations

from bascule.domain.event import SYSTEM, Actor, Event, grouped, has_form
from bascule.domain.facts.fact import fact_name
from bascule.domain.facts.grants import GrantCreated, GrantEnded
from tests.samples import NOW

ENDED = GrantEnded("g", "r", "web-1", "UserRequested", "revoked", kills_sessions=True)


def test_a_record_is_plain_values() -> None:
    """It is what the API shows and what the chain covers, so it is the same in both."""
    who = Actor("p", "Alice", "ServicePrincipal", "192.0.2.10", "az/2")
    assert Event("e", NOW, who, "/subscriptions/x", ENDED, "c").record() == {
        "id": "e",
        "at": "2030-01-31T12:00:00.0000000Z",
        "kind": "GrantEnded",
        "actor": {
            "principal_id": "p",
            "name": "Alice",
            "kind": "ServicePrincipal",
            "address": "192.0.2.10",
            "client": "az/2",
        },
        "resourceId": "/subscriptions/x",
        "correlationId": "c",
        "data": {
            "grant_id": "g",
            "request_id": "r",
            "machine": "web-1",
            "reason": "UserRequested",
            "cause": "revoked",
            "kills_sessions": True,
        },
    }
    assert fact_name(ENDED) == "GrantEnded"


def test_the_system_acts_under_its_own_name() -> None:
    """Expiry is nobody's act: no person is named for it."""
    assert (SYSTEM.principal_id, SYSTEM.kind) == ("", "System")


def records(count: int) -> list[dict[str, object]]:
    made = GrantCreated("g", "r", "web-1", "22/tcp", ("192.0.2.10",), "end")
    return [Event(f"e{n}", NOW, SYSTEM, "", made).record() for n in range(count)]


def test_an_event_has_its_form_and_what_is_damaged_has_not() -> None:
    (record,) = records(1)
    assert has_form(record)
    for name in record:
        without = {key: value for key, value in record.items() if key != name}
        assert not has_form(without), name
        assert not has_form({**record, name: 5}), name
    assert not has_form({**record, "actor": {}})
    assert not has_form({})


def test_rows_of_one_request_stand_together() -> None:
    rows = [("a", ""), ("b", "r"), ("c", ""), ("d", "r"), ("e", "s")]
    told = grouped(rows, lambda row: row[1])
    assert [name for name, _ in told] == ["a", "b", "d", "c", "e"]
