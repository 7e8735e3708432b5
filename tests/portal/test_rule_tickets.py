"""Tickets in the portal: the system is set, tried out and removed; rules that read it are edited."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from bascule import portal
from bascule.domain.actions import MACHINE_READ, MACHINE_WRITE, POLICY_READ, POLICY_WRITE
from bascule.domain.builtin_roles import READER
from bascule.interfaces.tickets import CallFailed
from tests.portal.asking import guard
from tests.portal.test_rules import PATH, at, etag, filled, stored
from tests.portal.visiting import Person, owner, somebody, text_of
from tests.wire.house import House
from tests.wire.ticket_world import URL, System, echo


@pytest.fixture
def house(data_dir: Path) -> Iterator[House]:
    made = House(data_dir, [portal.router()], tickets=System())
    yield made
    made.close()


def system(house: House) -> System:
    assert isinstance(house.tickets, System)
    return house.tickets


def fields(house: House, **more: str) -> dict[str, str]:
    usual = {"url": URL, "pattern": r"CHG\d{4}", "unavailable": "deny", "ca": ""}
    return {"policy": house.policy(), "etag": etag(house), **usual, **more}


def test_a_system_is_set_its_secret_shown_once_and_a_rule_reads_it(house: House) -> None:
    guard(house)
    olga = owner(house)
    assert "no ticket system is set" in text_of(olga.page(at(house)))
    rule = filled(house, name="changes", effect="deny", ticket="unconfirmed")
    early = olga.send(f"{PATH}/edit", rule)
    assert early.status_code == 400
    assert "this policy has no ticket check" in text_of(early.text)
    olga.page(at(house, "/tickets"))
    made = olga.send(f"{PATH}/tickets", fields(house))
    assert made.status_code == 200, text_of(made.text)
    assert "whsec_" in made.text
    for page in (at(house), at(house, "/tickets"), at(house, "/tickets/test")):
        assert "whsec_" not in olga.page(page)
    again = olga.send(f"{PATH}/tickets", fields(house, unavailable="role"))
    assert again.status_code == 303
    check = stored(house).tickets
    assert check is not None
    assert check.stages[0].approvers.by_role
    assert "whsec_" in olga.send(f"{PATH}/tickets", fields(house, new_secret="1")).text
    assert olga.send(f"{PATH}/edit", rule | {"etag": etag(house)}).status_code == 303
    (kept,) = stored(house).rules
    assert kept.conditions.ticket_confirmed is False
    assert "no ticket of the request is confirmed" in text_of(olga.page(at(house)))


def test_editing_a_rule_keeps_what_it_reads(house: House) -> None:
    guard(house)
    olga = owner(house)
    olga.send(f"{PATH}/tickets", fields(house))
    olga.send(f"{PATH}/edit", filled(house, name="free", effect="allow", ticket="confirmed"))
    form = olga.page(at(house, "/edit", rule="free"))
    assert '<option value="confirmed" selected>' in form
    again = filled(house, name="free", effect="allow", ticket="confirmed", ports="22")
    again |= {"rule": "free"}
    assert olga.send(f"{PATH}/edit", again).status_code == 303
    (kept,) = stored(house).rules
    assert (kept.conditions.ticket_confirmed, kept.conditions.ports) == (True, (22,))
    settings = {"policy": house.policy(), "etag": etag(house), "self_approval": "yes"}
    assert olga.send(f"{PATH}/settings", settings | {"pending_for": "P2D"}).status_code == 303
    assert stored(house).tickets is not None
    assert stored(house).rules == (kept,)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"pattern": "(a+)+"}, "is not supported"),
        ({"url": "http://tickets.example/"}, "https://HOST/PATH"),
        ({"url": "https://10.0.0.1/"}, "private"),
        ({"unavailable": "keep"}, "Choose one of the offered values"),
        ({"unavailable": "allow"}, "Choose one of the offered values"),
        ({"etag": '"old"'}, "changed by somebody else"),
    ],
)
def test_a_mistake_writes_nothing(house: House, wrong: dict[str, str], told: str) -> None:
    guard(house)
    olga = owner(house)
    got = olga.send(f"{PATH}/tickets", fields(house, **wrong))
    assert got.status_code in (400, 412)
    assert told in text_of(got.text)
    assert stored(house).tickets is None


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (echo("yes"), "Confirmed by the ticket system"),
        (echo("no", "<script>x</script>"), "Not confirmed by the ticket system"),
        (lambda _: CallFailed("It did not answer."), "The ticket system cannot be asked"),
    ],
)
def test_it_is_tried_out_and_its_words_are_escaped(house: House, says: Any, told: str) -> None:
    guard(house)
    olga = owner(house)
    olga.send(f"{PATH}/tickets", fields(house))
    system(house).says = says
    got = olga.send(f"{PATH}/tickets/test", {"policy": house.policy(), "ticket": "CHG0001"})
    assert told in text_of(got.text)
    assert "<script>x" not in got.text
    assert system(house).asked[0]["test"] is True
    bad = olga.send(f"{PATH}/tickets/test", {"policy": house.policy(), "ticket": "nothing"})
    assert bad.status_code == 400


def test_it_is_removed_when_no_rule_reads_it(house: House) -> None:
    guard(house)
    olga = owner(house)
    olga.send(f"{PATH}/tickets", fields(house))
    olga.send(f"{PATH}/edit", filled(house, name="changes", effect="deny", ticket="unconfirmed"))
    olga.page(at(house, "/tickets/remove"))

    def gone() -> dict[str, str]:
        return {"policy": house.policy(), "etag": etag(house)}

    assert olga.send(f"{PATH}/tickets/remove", gone()).status_code == 400
    assert olga.send(f"{PATH}/remove", gone() | {"rule": "changes"}).status_code == 303
    assert olga.send(f"{PATH}/tickets/remove", gone()).status_code == 303
    assert stored(house).tickets is None


def test_only_who_may_write_rules_does(house: House) -> None:
    guard(house)
    owner(house).send(f"{PATH}/tickets", fields(house))
    before = stored(house).tickets
    rena = Person(house, "rena@example.com", (READER.id, house.subscription))
    wanda = somebody(
        *(house, "wanda@example.com", house.subscription, POLICY_READ),
        *(POLICY_WRITE, MACHINE_READ, MACHINE_WRITE),
    )
    for person in (rena, wanda):
        assert URL in person.page(at(house))
        changed = fields(house, pattern="X")
        for path in ("", "/remove", "/test"):
            more = {"ticket": "CHG0001"}
            got = person.send(f"{PATH}/tickets{path}", changed | more)
            assert got.status_code == 403
    assert stored(house).tickets == before
    assert system(house).asked == []


def test_trying_rules_takes_an_answer(house: House) -> None:
    guard(house)
    olga = owner(house)
    olga.send(f"{PATH}/tickets", fields(house))
    olga.send(f"{PATH}/edit", filled(house, name="changes", effect="deny", ticket="unconfirmed"))
    asked = {
        "policy": house.policy(),
        "kind": "User",
        "who": "olga@example.com",
        "machine": house.machine("web-1"),
        "port": "22",
        "source": "203.0.113.9",
        "time": "1:00",
        "why": "CHG0001",
    }
    for ticket, told in (("yes", "It would open at once"), ("no", "It would be refused")):
        page = olga.page(f"{PATH}/try?" + urlencode({**asked, "ticket": ticket}))
        assert told in text_of(page)
    assert system(house).asked == []
