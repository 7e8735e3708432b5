"""The age of the second factor: from its ceremony, through sessions, codes and refreshes (EDGES J4, J6)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pyotp
import pytest

from bascule.domain.principals import User
from bascule.domain.sign_in import TotpFactor
from tests.wire.approval_world import Human, Office, code_of, stage, users
from tests.wire.browsing import Browser, Program, add_user
from tests.wire.house import House

FRESH = {"name": "fresh", "effect": "allow", "conditions": {"secondFactorWithin": "PT15M"}}
OLD = {"name": "old", "effect": "deny", "conditions": {"secondFactorOlderThan": "PT15M"}}


@pytest.fixture
def office(house: House) -> Office:
    return Office(house)


@pytest.mark.parametrize(("ago", "opens"), [(0, True), (900, True), (901, False), (None, False)])
def test_a_fresh_factor_lifts_a_ports_approval(
    office: Office, ago: float | None, opens: bool
) -> None:
    office.put(stage(users(office.bob)), rules=[FRESH])
    answer = office.ask(office.alice.show_factor(ago))
    assert answer.status_code == 202, answer.text
    assert (answer.json()["bascule"].get("state") is None) is opens
    assert bool(office.leases()) is opens


@pytest.mark.parametrize(
    ("ago", "status"), [(0, 202), (900, 202), (901, 400), (None, 400), (-60, 400)]
)
def test_an_old_one_is_denied(office: Office, ago: float | None, status: int) -> None:
    """Nor is one taken that is not known, or that clocks say is yet to come."""
    office.put(rules=[OLD])
    answer = office.ask(office.alice.show_factor(ago))
    assert answer.status_code == status, answer.text
    if status == 400:
        assert code_of(answer) == "DeniedByRule"


def test_a_program_has_none(office: Office) -> None:
    office.put(stage(users(office.bob)), rules=[FRESH])
    house = office.house
    port = {"number": 22, "allowedSourceAddressPrefix": "203.0.113.9", "duration": "PT1H"}
    body = {"virtualMachines": [{"id": house.machine("web-1"), "ports": [port]}]}
    answer = house.call("POST", f"{house.policy()}/initiate", body, "2020-01-01")
    assert answer.json()["bascule"]["state"] == "waiting"


def test_an_extension_is_judged_by_the_factor_of_now(office: Office) -> None:
    office.put(rules=[OLD])
    answer = office.ask(office.alice.show_factor(), duration="PT30M")
    path = office.path(answer.json()["bascule"]["requestId"])
    office.house.clock.pass_time(901)
    refused = office.alice.call("POST", f"{path}/extend", {"duration": "PT1H"})
    assert (refused.status_code, code_of(refused)) == (400, "DeniedByRule")
    office.alice.show_factor()
    assert office.alice.call("POST", f"{path}/extend", {"duration": "PT1H"}).status_code == 200


def test_what_waits_is_judged_by_the_factor_that_it_was_asked_with(office: Office) -> None:
    """It neither grows older by waiting, nor younger by a later sign-in."""
    office.put(stage(users(office.bob)), rules=[OLD])
    request = office.waiting(who=office.alice.show_factor(600))
    office.pass_time(1800)
    assert office.approve(request, office.bob).status_code == 200
    assert office.state(request) == "opening"


# -- approvers ------------------------------------------------------------------------------


@pytest.mark.parametrize(("ago", "status"), [(300, 200), (301, 403), (None, 403)])
def test_an_approver_with_an_old_factor_is_refused(
    office: Office, ago: float | None, status: int
) -> None:
    office.put(stage(users(office.bob), secondFactorWithin="PT5M"))
    request = office.waiting()
    digest = office.digest(request)
    bob = office.bob.show_factor(ago)
    shown = office.see(request, bob)["approval"]
    assert shown["stages"][0]["secondFactorWithin"] == "PT5M"
    assert shown["mayNot"] == (None if status == 200 else "SecondFactorTooOld")
    answer = office.approve(request, bob, digest=digest)
    assert answer.status_code == status, answer.text
    assert bool(office.leases()) is (status == 200)
    if status == 403:
        assert code_of(answer) == "SecondFactorTooOld"
        assert "bascule login --again" in answer.text
        assert office.deny(request, bob, digest=digest).status_code == 200  # a no needs none


def test_a_stage_that_asks_for_more_voids_what_was_given_before(office: Office) -> None:
    office.put(stage(users(office.bob, office.carol), needed=2))
    request = office.waiting()
    assert office.approve(request, office.bob).status_code == 200
    office.put(stage(users(office.bob, office.carol), needed=2, secondFactorWithin="PT5M"))
    office.house.sweep()
    (asked,) = office.see(request)["approval"]["stages"]
    assert asked["given"] == 0


# -- the ceremony itself, by browser and program ----------------------------------------------


@pytest.fixture
def anna(house: House) -> tuple[User, str]:
    """Who has a password and an authenticator app."""
    user = add_user(house)
    made = house.state.sign_in.proofs.totp.new(user)
    factor = TotpFactor(user.id, True, made.sealed, house.clock.now())
    house.do(lambda tx, _: tx.put_totp(factor))
    return user, made.secret


def code(house: House, secret: str) -> str:
    return str(pyotp.TOTP(secret).at(int(house.clock.wall.timestamp())))


def signed_in(house: House, secret: str) -> Browser:
    browser = Browser(house)
    assert browser.sign_in().headers["location"].startswith("/signin/factor")
    page = browser.get("/signin/factor?next=/portal")
    answer = browser.submit(page, kind="totp", code=code(house, secret))
    assert answer.status_code == 303, answer.text
    return browser


def shown_at(house: House, user: User) -> list[datetime | None]:
    """When the factor of each family was shown."""
    families = house.see(lambda reader: reader.token_families_of(user.id))
    return [each.sign_in.factor_at for each in families]


def test_it_is_carried_through_code_and_refreshes(house: House, anna: tuple[User, str]) -> None:
    user, secret = anna
    began = house.clock.now()
    browser, program = signed_in(house, secret), Program(house)
    house.clock.pass_time(600)
    tokens: dict[str, Any] = program.redeem(program.code(browser)).json()
    house.clock.pass_time(600)
    again = program.refresh(tokens["refresh_token"])
    assert again.status_code == 200
    (at,) = shown_at(house, user)
    assert at is not None
    assert at - began < timedelta(seconds=5)


def test_a_password_alone_and_a_recovery_code_show_none(
    house: House, anna: tuple[User, str]
) -> None:
    user, _ = anna
    made = house.state.sign_in.proofs.recovery.new(user.id)
    digests = [digest for _, digest in made]
    house.do(lambda tx, act: tx.put_recovery_codes(user.id, digests, act.now))
    browser = Browser(house)
    browser.sign_in()
    page = browser.get("/signin/factor?next=/portal")
    answer = browser.submit(page, kind="recoveryCode", code=made[0][0])
    assert answer.status_code == 303, answer.text
    Program(house).redeem(Program(house).code(browser))
    assert shown_at(house, user) == [None]
    other = add_user(house, "zoe@example.com")
    plain = Browser(house)
    assert plain.sign_in(name="zoe@example.com").status_code == 303
    Program(house).redeem(Program(house).code(plain))
    assert shown_at(house, other) == [None]


def test_human_has_none_by_itself(house: House) -> None:
    """Of the tests themselves: a token without a sign-in says nothing of a factor."""
    assert Human(house, "nobody").family is None
