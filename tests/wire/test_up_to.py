"""One approval for a request and its extensions (docs/approval.md; EDGES J8)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.wire.approval_world import Office, code_of, stage, users
from tests.wire.house import House

NIGHTS = {
    "name": "nights",
    "effect": "deny",
    "conditions": {"times": {"timeZone": "UTC", "from": "13:15", "to": "14:00"}},
}


@pytest.fixture
def office(house: House) -> Office:
    """It is noon; Bob approves; the policy's maximum is three hours."""
    made = Office(house)
    made.put(stage(users(made.bob)))
    return made


def _opened(office: Office, **port: Any) -> str:
    request = office.waiting(**(port or {"duration": "PT30M", "upTo": "PT2H"}))
    assert office.see(request)["approval"]["asksFor"]["upTo"] == "PT2H"
    assert office.approve(request, office.bob).status_code == 200
    return request


def _extend(office: Office, request: str, duration: str) -> Any:
    return office.alice.call("POST", f"{office.path(request)}/extend", {"duration": duration})


def _left(office: Office, request: str) -> timedelta:
    (grant,) = office.grants(request)
    left: timedelta = grant.ends_at - office.house.clock.now()
    return left


def test_an_extension_within_it_needs_nobody_and_beyond_it_is_refused(office: Office) -> None:
    request = _opened(office)
    assert _left(office, request) == timedelta(minutes=30)
    office.pass_time(600)
    assert _extend(office, request, "PT1H50M").status_code == 200
    assert _left(office, request) == timedelta(minutes=110)
    beyond = _extend(office, request, "PT1H50M1S")
    assert "ApprovalRequired" in beyond.text
    assert _left(office, request) == timedelta(minutes=110)  # the lease is left alone


def test_without_it_no_extension_is_approved(office: Office) -> None:
    request = office.waiting(duration="PT30M")
    assert office.approve(request, office.bob).status_code == 200
    assert "ApprovalRequired" in _extend(office, request, "PT31M").text


def test_without_approval_it_gives_nothing(office: Office) -> None:
    """What nobody approved is not taken for approved when approval is needed later."""
    office.put(name="free", machines=("db-1",))
    answer = office.ask(machines=("db-1",), policy="free", duration="PT30M", upTo="PT2H")
    assert answer.status_code == 202, answer.text
    request = answer.json()["bascule"]["requestId"]
    (grant,) = office.grants(request)
    assert grant.approved_until is None
    office.put(stage(users(office.bob)), name="free", machines=("db-1",))
    assert "ApprovalRequired" in _extend(office, request, "PT40M").text


def test_what_others_must_approve_now_was_not_approved(office: Office) -> None:
    request = _opened(office)
    office.put(stage(users(office.carol)))
    assert "ApprovalRequired" in _extend(office, request, "PT1H").text


def test_deny_rules_still_deny(office: Office) -> None:
    request = _opened(office)
    office.put(stage(users(office.bob)), rules=[NIGHTS])
    assert "DeniedByRule" in _extend(office, request, "PT1H30M").text
    assert _extend(office, request, "PT1H").status_code == 200


def test_approvers_shorten_it_and_never_lengthen(office: Office) -> None:
    request = office.waiting(duration="PT30M", upTo="PT2H")
    assert code_of(office.approve(request, office.bob, duration="PT2H1M")) == "WouldLengthen"
    assert office.approve(request, office.bob, duration="PT1H").status_code == 200
    assert _left(office, request) == timedelta(minutes=30)
    assert "ApprovalRequired" in _extend(office, request, "PT1H1M").text
    assert _extend(office, request, "PT1H").status_code == 200


def test_rules_are_judged_with_it(office: Office) -> None:
    office.put(stage(users(office.bob)), rules=[NIGHTS])
    assert office.ask(duration="PT1H").status_code == 202
    assert "DeniedByRule" in office.ask(duration="PT1H", upTo="PT2H").text


@pytest.mark.parametrize(
    ("duration", "up_to", "code"),
    [("PT1H", "PT59M", "UpToTooShort"), ("PT1H", "PT3H1M", "UpToTooLong")],
)
def test_what_is_no_reach(office: Office, duration: str, up_to: str, code: str) -> None:
    assert code in office.ask(duration=duration, upTo=up_to).text


def test_it_is_part_of_what_is_approved(office: Office) -> None:
    one = office.waiting(duration="PT30M", upTo="PT2H")
    other = office.waiting(duration="PT30M", upTo="PT1H")
    assert one != other
    assert office.digest(one) != office.digest(other)
