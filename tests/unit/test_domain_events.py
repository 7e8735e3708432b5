"""Audit facts and the chain: what a record holds, and that a touched one shows."""

from __future__ import annotations

import dataclasses

import pytest

from bascule.domain.chain import GENESIS, chain_hash, first_broken
from bascule.domain.event import SYSTEM, Actor, Event, grouped, has_form
from bascule.domain.facts.calls import CallerDenied
from bascule.domain.facts.fact import Fact, fact_name
from bascule.domain.facts.grants import AccessDenied, GrantCreated, GrantEnded, GrantFailed
from bascule.domain.facts.kinds import FACTS, places_of, sort_of
from bascule.domain.facts.sign_in import SignInSucceeded
from tests.samples import NOW

ENDED = GrantEnded("g", "r", "web-1", "UserRequested", "revoked", kills_sessions=True)


@pytest.mark.parametrize("kind", FACTS.values(), ids=lambda each: each.__name__)
def test_facts_are_frozen_and_named_in_the_past(kind: type[Fact]) -> None:
    """A fact that could be changed after it was recorded is not one."""
    parameters = getattr(kind, "__dataclass_params__", None)  # set by dataclass
    assert getattr(parameters, "frozen", False)
    assert not {"secret", "token", "password"} & {each.name for each in dataclasses.fields(kind)}  # type: ignore[arg-type]  # reason: a dataclass, asserted above


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


def chained(count: int) -> list[tuple[dict[str, object], str]]:
    links, previous = [], GENESIS
    for record in records(count):
        previous = chain_hash(previous, record)
        links.append((record, previous))
    return links


def test_an_untouched_chain_is_whole() -> None:
    """The neighbour of all the below; an empty one is whole too."""
    assert first_broken(chained(5)) is None
    assert first_broken([]) is None
    links = chained(5)
    assert first_broken(links[3:], previous=links[2][1]) is None


def test_the_hash_does_not_depend_on_the_order_of_keys() -> None:
    """The store may give a record's keys back in another order."""
    (record,) = records(1)
    turned = dict(reversed(record.items()))
    assert chain_hash(GENESIS, record) == chain_hash(GENESIS, turned)
    assert len(chain_hash(GENESIS, record)) == 64


def test_a_known_hash() -> None:
    """The arithmetic is fixed: a later version must verify what an older one wrote."""
    assert chain_hash(GENESIS, {"b": 1, "a": "é"}) == (
        "4265935f7ed3c326fd1560074c2d2f4d8a837229523e7221b6641b5f7c265887"
    )


@pytest.mark.parametrize("at", [0, 2, 4])
def test_an_edited_record_shows_where_it_was_edited(at: int) -> None:
    """The auditor is told the first record that he cannot trust."""
    links = chained(5)
    links[at] = ({**links[at][0], "resourceId": "elsewhere"}, links[at][1])
    assert first_broken(links) == at


def test_an_event_has_its_form_and_what_is_damaged_has_not() -> None:
    (record,) = records(1)
    assert has_form(record)
    for name in record:
        without = {key: value for key, value in record.items() if key != name}
        assert not has_form(without), name
        assert not has_form({**record, name: 5}), name
    assert not has_form({**record, "actor": {}})
    assert not has_form({})


def test_ends_are_told_apart_by_their_reason() -> None:
    """Activity is counted by sort: a revocation and an expiry are not one thing."""
    ended = GrantEnded("g", "r", "m", "UserRequested", "revocation by anna")
    assert sort_of(ended) == "GrantEnded.UserRequested"
    assert sort_of(GrantFailed("g", "r", "m", "not reported")) == "GrantFailed"


def test_places_of_a_refusal() -> None:
    """EDGES E10: beside its own resource; of any other fact there are none."""
    assert places_of(AccessDenied("p", (), ("a", "b"), 3)) == (("a", "b"), 5)
    assert places_of(CallerDenied("GET", "/", "no", ("a",))) == (("a",), 1)
    assert places_of(SignInSucceeded("id", "anna", ())) == ((), 0)


def test_rows_of_one_request_stand_together() -> None:
    rows = [("a", ""), ("b", "r"), ("c", ""), ("d", "r"), ("e", "s")]
    told = grouped(rows, lambda row: row[1])
    assert [name for name, _ in told] == ["a", "b", "d", "c", "e"]
