"""Who is told in time: others of what nobody answered, requestors of an end (docs/approval.md; EDGES J11)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest

from bascule.domain.delivery import Form, Sink, parse_target
from bascule.domain.mail import MailChoice
from bascule.domain.times import format_utc
from bascule.errors import BasculeError
from bascule.services import mail
from bascule.services.act import Act
from bascule.services.mail import mail_parcel
from bascule.services.seal import seal_all
from bascule.services.warnings import warn_of_starts, warn_requestors, warn_round
from tests.wire.approval_world import Human, Office, stage, users
from tests.wire.house import JIT, House


@pytest.fixture
def office(house: House) -> Office:
    return Office(house)


STARTS_SOON = "AccessStartsSoon"


def scheduled_for(office: Office, minutes: int) -> str:
    """The id of a request of Alice's that opens in so many minutes."""
    office.put()
    start = format_utc(office.house.clock.now() + timedelta(minutes=minutes))
    port = {"number": 22, "duration": "PT30M", "allowedSourceAddressPrefix": "203.0.113.9"}
    body = {
        "virtualMachines": [{"id": office.house.machine("web-1"), "ports": [port]}],
        "bascule": {"startTimeUtc": start},
    }
    answer = office.alice.call("POST", f"{office.house.policy('default')}/initiate", body, JIT)
    assert answer.json()["bascule"]["state"] == "scheduled", answer.text
    return str(answer.json()["bascule"]["requestId"])


def wants_mail(office: Office, *people: Human, **more: Any) -> None:
    for each in people:
        choice = MailChoice(each.id, f"{each.name}@mail.example", "en", asked=True, own=True)
        office.house.do(lambda tx, _, choice=choice: tx.put_mail_choice(replace(choice, **more)))


def events(office: Office, kind: str) -> list[Any]:
    asyncio.run(seal_all(office.house.services, office.house.state.record_key))
    links = office.house.see(lambda reader: reader.chain(0, 10_000))
    return [each for each in links if each.record["kind"] == kind]


def heard(office: Office, kind: str) -> list[str]:
    """The addresses to which mail goes of the newest event of a kind, by what is so now."""
    (*_, link) = events(office, kind)
    target = parse_target("mail:people")
    sink = Sink("s", "people", target, Form.MAIL, office.house.clock.now())
    assert sink.wants(kind, 1), "without a choice of kinds"
    now = office.house.clock.now()
    made = office.house.see(
        lambda reader: mail_parcel(reader, target, [link], "b@x.example", "https://p", now)
    )
    read = [message_from_bytes(each, policy=policy.SMTP) for each in made.messages]
    return sorted(str(each["to"]).partition("@")[0] for each in read)


def escalating(office: Office, **more: Any) -> str:
    to_others: dict[str, Any] = {"escalateAfterMinutes": 5, "escalateTo": users(office.carol)}
    office.put(stage(users(office.bob), **to_others), **more)
    return office.waiting()


def test_those_who_are_asked_later_hear_once_and_then(office: Office) -> None:
    """Neither before its time, nor twice, nor those who had heard before."""
    wants_mail(office, office.alice, office.bob, office.carol, office.dave)
    request = escalating(office)
    assert heard(office, "AccessWaiting") == ["alice", "bob"]
    office.pass_time(299)
    office.house.sweep()
    assert events(office, "AccessEscalated") == []
    office.pass_time(1)
    office.house.sweep()
    (told,) = events(office, "AccessEscalated")
    assert told.record["data"]["request_id"] == request
    assert heard(office, "AccessEscalated") == ["carol"]
    office.pass_time(600)
    office.house.sweep()
    office.house.sweep()
    assert len(events(office, "AccessEscalated")) == 1
    assert office.approve(request, office.carol).status_code == 200


def test_other_people_than_before_hear_when_a_policy_asks_for_them(office: Office) -> None:
    wants_mail(office, office.alice, office.bob, office.carol)
    office.put(stage(users(office.bob)))
    request = office.waiting()
    office.put(stage(users(office.bob)))
    office.house.sweep()
    assert len(events(office, "AccessWaiting")) == 1, "nothing of it is other than before"
    office.put(stage(users(office.carol)))
    office.house.sweep()
    office.house.sweep()
    told = events(office, "AccessWaiting")
    assert [each.record["data"]["request_id"] for each in told] == [request, request]
    assert heard(office, "AccessWaiting") == ["alice", "carol"]
    assert office.approve(request, office.carol).status_code == 200
    assert len(events(office, "AccessWaiting")) == 2


def test_those_whose_approval_is_due_after_all_hear_before_the_start(office: Office) -> None:
    wants_mail(office, office.alice, office.bob)
    request = scheduled_for(office, 60)
    assert events(office, "AccessWaiting") == []
    office.put(stage(users(office.bob)))
    office.house.sweep()
    assert office.state(request) == "waiting"
    (told,) = events(office, "AccessWaiting")
    assert told.record["data"]["pending_until"] == "2030-01-01T13:00:00.0000000Z"
    assert heard(office, "AccessWaiting") == ["alice", "bob"]
    office.house.sweep()
    assert office.approve(request, office.bob).status_code == 200
    assert office.state(request) == "scheduled"
    assert len(events(office, "AccessWaiting")) == 1


def test_the_loop_is_due_when_others_are_to_be_asked(office: Office) -> None:
    escalating(office)
    now = office.house.clock.now()
    due = office.house.see(lambda reader: reader.next_approval(now))
    assert due == now + timedelta(minutes=5)
    office.pass_time(300)
    office.house.sweep()
    later = office.house.see(lambda reader: reader.next_approval(office.house.clock.now()))
    assert later == now + timedelta(days=1), "what is left is that it lapses"


def test_nobody_is_asked_of_what_is_answered_withdrawn_or_not_allowed_any_more(
    office: Office,
) -> None:
    approved = escalating(office)
    assert office.approve(approved, office.bob).status_code == 200
    denied = office.waiting(why="second")
    assert office.deny(denied, office.bob).status_code == 200
    withdrawn = office.waiting(why="third")
    assert office.alice.call("POST", f"{office.path(withdrawn)}/revoke").status_code < 300
    office.waiting(why="fourth")
    never = {"name": "never", "effect": "deny", "conditions": {"ports": [22]}}
    office.put(stage(users(office.bob)), rules=[never])
    office.pass_time(600)
    office.house.sweep()
    assert events(office, "AccessEscalated") == []


def test_each_stage_has_an_escalation_of_its_own(office: Office) -> None:
    first = stage(users(office.bob), escalateAfterMinutes=5, escalateTo=users(office.dave))
    second = stage(users(office.carol), escalateAfterMinutes=5, escalateTo=users(office.dave))
    office.put(first, second)
    request = office.waiting()
    office.pass_time(300)
    office.house.sweep()
    assert office.approve(request, office.bob).status_code == 200
    office.house.sweep()
    assert [each.record["data"]["stage"] for each in events(office, "AccessEscalated")] == [1]
    office.pass_time(300)
    office.house.sweep()
    assert [each.record["data"]["stage"] for each in events(office, "AccessEscalated")] == [1, 2]


def test_one_query_finds_who_is_asked_by_name_group_and_role(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And whoever it finds is judged as an answer of theirs would be; nobody else is looked at."""
    wants_mail(office, office.bob, office.carol, office.dave)
    looked_at: list[str] = []
    judge = mail._is_told

    def noted(reader: Any, link: Any, choice: MailChoice, *more: Any) -> bool:
        looked_at.append(choice.user_id)
        return judge(reader, link, choice, *more)

    monkeypatch.setattr(mail, "_is_told", noted)
    for asked, wanted in (
        (users(office.dave), office.dave),
        ({"groups": [office.group]}, office.bob),
        ({"role": True}, office.carol),
    ):
        office.put(stage(asked))
        office.waiting(why=wanted.name)
        looked_at.clear()
        assert heard(office, "AccessWaiting") == [wanted.name]
        assert looked_at == [wanted.id]
    office.house.do(lambda tx, _: tx.delete_membership(office.group, office.bob.id))
    office.put(stage({"groups": [office.group]}))
    office.waiting(why="he left")
    assert heard(office, "AccessWaiting") == []


def open_for(office: Office, minutes: int, **more: Any) -> str:
    """The id of a request of Alice's that an agent has opened."""
    office.put()
    answer = office.ask(duration=f"PT{minutes}M", **more)
    assert answer.status_code == 202, answer.text
    request = answer.json()["bascule"]["requestId"]
    (grant,) = office.grants(request)
    office.house.report(office.agents["web-1"], office.uids["web-1"], grant.id)
    return str(request)


@pytest.mark.parametrize(("minutes", "before"), [(180, 300), (60, 300), (20, 120)])
def test_an_end_is_told_five_minutes_before_or_a_tenth(
    office: Office, minutes: int, before: int
) -> None:
    wants_mail(office, office.alice, ending=True)
    open_for(office, minutes)
    office.pass_time(minutes * 60 - before - 1)
    assert office.house.do(warn_requestors) == 0
    office.pass_time(1)
    assert office.house.do(warn_requestors) == 1
    assert office.house.do(warn_requestors) == 0, "once"
    assert heard(office, "GrantEndsSoon") == ["alice"]
    office.pass_time(before)
    assert heard(office, "GrantEndsSoon") == [], "a relay was away: it is over"


def test_another_end_is_told_again_and_an_early_end_is_not(office: Office) -> None:
    wants_mail(office, office.alice, ending=True)
    request = open_for(office, 30)
    office.pass_time(1700)
    assert office.house.do(warn_requestors) == 1
    extended = office.alice.call("POST", f"{office.path(request)}/extend", {"duration": "PT1H"})
    assert extended.status_code < 300, extended.text
    assert office.house.do(warn_requestors) == 0
    office.pass_time(3400)
    assert office.house.do(warn_requestors) == 1
    assert office.alice.call("POST", f"{office.path(request)}/revoke").status_code < 300
    assert office.house.do(warn_requestors) == 0


def test_nothing_is_recorded_for_those_who_did_not_choose_it(office: Office) -> None:
    wants_mail(office, office.alice, office.bob)
    open_for(office, 30)
    office.pass_time(1700)
    assert office.house.do(warn_requestors) == 0
    wants_mail(office, office.alice, ending=True, address="")
    assert office.house.do(warn_requestors) == 0, "they want no mail any more"
    assert events(office, "GrantEndsSoon") == []


@pytest.mark.parametrize(("minutes", "before"), [(180, 300), (20, 120)])
def test_a_start_is_told_once_five_minutes_before_or_a_tenth(
    office: Office, minutes: int, before: int
) -> None:
    """To its requestor, where they chose it; and in any case on record, for chats."""
    wants_mail(office, office.alice, ending=True)
    wants_mail(office, office.bob, office.carol, ending=True)
    request = scheduled_for(office, minutes)
    office.pass_time(minutes * 60 - before - 1)
    assert office.house.do(warn_of_starts) == 0
    office.pass_time(1)
    assert office.house.do(warn_of_starts) == 1
    assert office.house.do(warn_of_starts) == 0, "once"
    (told,) = events(office, STARTS_SOON)
    assert told.record["data"]["request_id"] == request
    assert heard(office, STARTS_SOON) == ["alice"]
    wants_mail(office, office.alice)
    assert heard(office, STARTS_SOON) == [], "not chosen"
    wants_mail(office, office.alice, ending=True)
    office.pass_time(before)
    assert heard(office, STARTS_SOON) == [], "a relay was away: it is over"
    assert office.house.do(warn_of_starts) == 0


def test_of_a_start_that_will_not_come_nobody_is_told(office: Office) -> None:
    """Withdrawn before or after the event; about to be judged anew; or not allowed any more."""
    wants_mail(office, office.alice, ending=True)
    withdrawn = scheduled_for(office, 60)
    assert office.alice.call("POST", f"{office.path(withdrawn)}/revoke").status_code < 300
    office.pass_time(3400)
    assert office.house.do(warn_of_starts) == 0
    late = scheduled_for(office, 60)
    office.pass_time(3400)
    assert office.house.do(warn_of_starts) == 1
    assert heard(office, STARTS_SOON) == ["alice"]
    assert office.alice.call("POST", f"{office.path(late)}/revoke").status_code < 300
    assert heard(office, STARTS_SOON) == [], "withdrawn since"
    doubtful = scheduled_for(office, 60)
    office.pass_time(3400)
    office.put(
        stage(users(office.bob)),
        rules=[{"name": "never", "effect": "deny", "conditions": {"ports": [22]}}],
    )
    assert office.house.do(warn_of_starts) == 0, doubtful
    office.house.sweep()
    assert office.house.do(warn_of_starts) == 0
    assert len(events(office, STARTS_SOON)) == 1


def test_two_rounds_at_once_tell_a_start_once(office: Office) -> None:
    """Two servers, or the one before and the one after a restart."""
    scheduled_for(office, 60)
    office.pass_time(3400)

    async def both() -> None:
        services = office.house.services
        await asyncio.gather(warn_round(services), warn_round(services))
        await warn_round(services)

    asyncio.run(both())
    assert len(events(office, STARTS_SOON)) == 1


def test_who_read_before_another_told_cannot_tell_again(office: Office) -> None:
    """The mark and the event are one transaction, and there is one mark of a request."""
    request = scheduled_for(office, 60)
    office.pass_time(3400)
    office.house.do(warn_of_starts)

    def again(tx: Any, _: Act) -> None:
        tx.note_start_warned(request)

    with pytest.raises(BasculeError):
        office.house.do(again)
