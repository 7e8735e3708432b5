"""Where somebody is signed in: listed so that he knows it again, and ended so that it is over."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import pytest

from bascule.domain.actions import USER_READ, USER_WRITE
from bascule.domain.builtin_roles import OWNER, READER
from bascule.domain.principals import User
from bascule.domain.sign_in import FactorKind
from bascule.domain.times import format_utc
from bascule.domain.tokens import SESSION_IDLE, SESSION_LIFE, Origin
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Transaction
from bascule.services import sessions
from bascule.services.act import Act
from bascule.services.sessions import MOST_HALVES, MOST_HALVES_OF_NETWORK, MOST_SESSIONS
from bascule.services.sign_in import PasswordAccepted
from bascule.services.tokens import hash_of
from tests.wire.browsing import Browser, Program, add_user
from tests.wire.house import BASCULE, CALLER, House
from tests.wire.people import Person, give, make_role

ME = "/providers/Bascule.Identity/me/signIns"
PHONE = "203.0.113.50"
SECONDS_120 = timedelta(seconds=120)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class Somebody:
    """A user with a browser and a program, both signed in."""

    def __init__(self, house: House, name: str = "anna@example.com") -> None:
        self.house = house
        self.user = add_user(house, name)
        self.browser = self.sign_in()
        self.program = Program(house)
        self.tokens = self.program.redeem(self.program.code(self.browser)).json()

    def sign_in(self, address: str = CALLER, program: str = FIREFOX) -> Browser:
        browser = Browser(self.house, address)
        browser.client.headers["User-Agent"] = program
        assert browser.sign_in(name=self.user.name).status_code == 303
        return browser

    def call(self, method: str, path: str) -> Any:
        client = self.house.client_of(self.tokens["access_token"])
        path = self.house.subscription + path
        return client.request(method, path, params={"api-version": BASCULE})

    def live(self) -> list[dict[str, Any]]:
        answer = self.call("GET", ME)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["value"]
        return found

    def browsers(self) -> list[dict[str, Any]]:
        return [each for each in self.live() if each["kind"] == "browser"]


def of(user: User, *more: str) -> str:
    return "/".join([f"/providers/Bascule.Identity/users/{user.id}", *more])


def is_in(browser: Browser) -> bool:
    return "/signout" in browser.get("/signin/you").text


def code_of(answer: Any) -> str:
    return str(answer.json()["error"]["code"])


@pytest.fixture
def anna(house: House) -> Somebody:
    return Somebody(house)


def test_a_person_knows_his_sign_ins_again(anna: Somebody) -> None:
    began = anna.house.clock.wall
    anna.house.clock.pass_time(120)
    phone = anna.sign_in(PHONE, "Phone/1.0 \x07" + "x" * 500)
    anna.house.clock.pass_time(120)
    anna.browser.client.headers["X-Forwarded-For"] = "192.0.2.66"  # of nobody's that counts
    assert is_in(anna.browser)
    anna.house.clock.pass_time(120)
    anna.program.refresh(anna.tokens["refresh_token"])
    program, first, second = anna.live()
    assert first == {
        "id": first["id"],
        "kind": "browser",
        "clientId": None,
        "clientName": None,
        "flow": None,
        "methods": ["pwd"],
        "address": CALLER,
        "userAgent": FIREFOX,
        "beganAt": format_utc(began),
        "lastSeenAt": format_utc(anna.house.clock.wall - SECONDS_120),
        "lastSeenFrom": CALLER,
        "endsAt": format_utc(anna.house.clock.wall - SECONDS_120 + SESSION_IDLE),
        "isCurrent": False,
    }
    assert (second["address"], second["lastSeenFrom"]) == (PHONE, PHONE)
    assert second["userAgent"].startswith("Phone/1.0 xxx")
    assert len(second["userAgent"]) <= 200
    assert (program["kind"], program["clientName"]) == ("program", "Azure CLI or an Azure SDK")
    assert (program["flow"], program["isCurrent"]) == ("browser", True)
    assert program["beganAt"] == format_utc(began)
    assert program["lastSeenAt"] == format_utc(anna.house.clock.wall)
    assert is_in(phone)
    ids = {each["id"] for each in (program, first, second)}
    assert all(str(uuid.UUID(each)) == each for each in ids)
    assert len(ids) == 3


def test_nothing_of_a_text_is_told(anna: Somebody) -> None:
    cookie = anna.browser.client.cookies["__Host-bascule"]
    for answer in (
        anna.call("GET", ME),
        anna.house.call("GET", of(anna.user, "signIns")),
    ):
        assert answer.status_code == 200
        for hidden in (cookie, hash_of(cookie), anna.tokens["refresh_token"]):
            assert hidden not in answer.text
            assert hash_of(hidden) not in answer.text
    (browser,) = anna.browsers()
    anna.call("DELETE", f"{ME}/{browser['id']}")
    said = repr([event.record() for _, event in anna.house.see(lambda r: r.events(EventFilter()))])
    assert cookie not in said
    assert hash_of(cookie) not in said


def test_a_browser_is_signed_out_from_elsewhere(anna: Somebody) -> None:
    stolen = anna.sign_in(PHONE)
    theirs = next(each for each in anna.browsers() if each["address"] == PHONE)
    assert anna.call("DELETE", f"{ME}/{theirs['id']}").status_code == 200
    assert not is_in(stolen)
    assert is_in(anna.browser)
    assert anna.house.events("SessionEnded") == ["SessionEnded"]
    answer = anna.call("DELETE", f"{ME}/{theirs['id']}")
    assert (answer.status_code, code_of(answer)) == (404, "SignInNotFound")


def test_a_code_that_an_ended_session_gave_is_worth_nothing(anna: Somebody) -> None:
    """Else whoever has the session would come back by a program of his own."""
    for method, last in (("DELETE", ""), ("POST", "endOthers")):
        stolen = anna.sign_in(PHONE)
        anna.house.clock.pass_time(1)
        code = anna.program.code(stolen)
        theirs = next(each for each in anna.browsers() if each["address"] == PHONE)
        assert anna.call(method, f"{ME}/{last or theirs['id']}").status_code == 200
        answer = anna.program.redeem(code)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_a_program_is_signed_out_with_its_tokens(anna: Somebody) -> None:
    other = Program(anna.house)
    theirs = other.redeem(other.code(anna.browser)).json()
    assert other.may_call(theirs["access_token"]) in (200, 403)
    (listed,) = [
        each for each in anna.live() if each["kind"] == "program" and not each["isCurrent"]
    ]
    assert anna.call("DELETE", f"{ME}/{listed['id']}").status_code == 200
    assert other.may_call(theirs["access_token"]) == 401
    assert other.refresh(theirs["refresh_token"]).status_code == 400
    assert {each["kind"]: each["isCurrent"] for each in anna.live()} == {
        "program": True,
        "browser": False,
    }


def test_all_others_end_and_this_one_stays(anna: Somebody) -> None:
    phone = anna.sign_in(PHONE)
    other = Program(anna.house)
    theirs = other.redeem(other.code(phone)).json()
    answer = anna.call("POST", f"{ME}/endOthers")
    assert answer.json() == {"ended": 3}
    assert [each["isCurrent"] for each in anna.live()] == [True]
    assert not is_in(phone)
    assert not is_in(anna.browser)
    assert other.may_call(theirs["access_token"]) == 401
    assert anna.call("POST", f"{ME}/endOthers").json() == {"ended": 0}


def test_nobody_sees_or_ends_anothers_as_his_own(anna: Somebody) -> None:
    bert = Somebody(anna.house, "bert@example.com")
    theirs = {each["id"] for each in bert.live()}
    assert theirs.isdisjoint(each["id"] for each in anna.live())
    for each in theirs:
        assert code_of(anna.call("DELETE", f"{ME}/{each}")) == "SignInNotFound"
    assert anna.call("POST", f"{ME}/endOthers").status_code == 200
    assert {each["id"] for each in bert.live()} == theirs
    assert is_in(bert.browser)


def test_a_service_principal_has_no_sign_ins(house: House) -> None:
    for method, path in (
        ("GET", ME),
        ("DELETE", f"{ME}/{uuid.uuid4()}"),
        ("POST", f"{ME}/endOthers"),
    ):
        assert house.call(method, path).status_code == 403


def test_it_is_over_after_two_hours_without_use_and_twelve_in_all(anna: Somebody) -> None:
    clock = anna.house.clock
    clock.pass_time(SESSION_IDLE.total_seconds() - 1)
    assert is_in(anna.browser)
    clock.pass_time(SESSION_IDLE.total_seconds())
    assert not is_in(anna.browser)
    browser = anna.sign_in()
    for _ in range(11):
        clock.pass_time(3600)
        assert is_in(browser)
    clock.pass_time(SESSION_LIFE.total_seconds() - 11 * 3600)
    assert not is_in(browser)


def test_a_cookie_that_somebody_planted_is_worth_nothing_after_the_sign_in(house: House) -> None:
    """Session fixation: the text is new at every sign-in, and the old one's session is gone."""
    anna = Somebody(house)
    planted = anna.browser.client.cookies["__Host-bascule"]
    victim = Browser(house, PHONE)
    bert = add_user(house, "bert@example.com")
    victim.client.cookies.set("__Host-bascule", planted, domain="localhost.local", path="/")
    assert victim.sign_in(name=bert.name).status_code == 303
    jar = [each.value for each in victim.client.cookies.jar if each.name == "__Host-bascule"]
    assert set(jar) != {planted}
    assert house.see(lambda reader: reader.session(hash_of(planted))) is None
    assert not is_in(anna.browser)


def test_of_very_many_sessions_the_oldest_gives_way(anna: Somebody) -> None:
    anna.house.clock.pass_time(1)

    def work(tx: Transaction, act: Act) -> list[str | None]:
        return [sessions.begin(tx, act, anna.user, ["pwd"]) for _ in range(MOST_SESSIONS)]

    begun = anna.house.do(work)
    assert all(begun)
    assert len(anna.browsers()) == MOST_SESSIONS
    assert not is_in(anna.browser)


def half(anna: Somebody, address: str) -> str:
    """The text of a session that waits for a second factor, begun there."""
    accepted = PasswordAccepted(anna.user, (FactorKind.TOTP,), anna.house.clock.now())
    text = anna.house.do(
        lambda tx, _: sessions.begin_half(tx, accepted, origin=Origin(address, FIREFOX))
    )
    assert text is not None
    anna.house.clock.pass_time(1)
    return text


def waits(anna: Somebody, text: str) -> bool:
    return asyncio.run(sessions.find_half(anna.house.services, text)) is not None


def test_who_knows_a_password_alone_signs_nobody_out(anna: Somebody) -> None:
    """EDGES B13: each right password begins a half session, and gives its try back."""
    for number in range(2 * MOST_SESSIONS):
        half(anna, f"198.51.{number}.1")
    assert is_in(anna.browser)
    kept = anna.house.see(lambda reader: reader.sessions_of(anna.user.id))
    assert len(kept) == 1 + MOST_HALVES


def test_nor_does_he_keep_her_from_showing_her_factor(anna: Somebody) -> None:
    hers = half(anna, CALLER)
    his = [half(anna, "198.51.100.1") for _ in range(2 * MOST_HALVES)]
    assert waits(anna, hers)
    assert [waits(anna, each) for each in his].count(True) == MOST_HALVES_OF_NETWORK
    assert waits(anna, his[-1])


# -- an administrator's part ------------------------------------------------------------


def test_an_administrator_sees_and_ends_them(anna: Somebody) -> None:
    house, user = anna.house, anna.user
    listed = house.call("GET", of(user, "signIns")).json()["value"]
    assert listed == [{**each, "isCurrent": False} for each in anna.live()]
    (browser,) = [each["id"] for each in listed if each["kind"] == "browser"]
    assert house.call("DELETE", of(user, "signIns", browser)).status_code == 200
    assert not is_in(anna.browser)
    assert code_of(house.call("DELETE", of(user, "signIns", browser))) == "SignInNotFound"
    assert house.call("POST", of(user, "signOut")).status_code == 204
    assert anna.call("GET", ME).status_code == 401
    assert house.call("GET", of(user, "signIns")).json()["value"] == []
    assert house.events("SignedOutEverywhere") == ["SignedOutEverywhere"]


def test_who_may_change_users_does_not_sign_out_who_holds_more(anna: Somebody) -> None:
    """EDGES B4."""
    house = anna.house
    clerk = Person(
        house, "clerk", (make_role(house, "Clerk", USER_READ, USER_WRITE), house.subscription)
    )
    reader = Person(house, "reader", (READER.id, house.subscription))
    nobody = Person(house, "nobody")
    give(house, anna.user.id, OWNER.id, house.subscription, "User")
    (browser,) = [each["id"] for each in anna.browsers()]
    sign_ins, sign_out = of(anna.user, "signIns"), of(anna.user, "signOut")
    for who, sees in ((clerk, 200), (reader, 200), (nobody, 403)):
        answer = who.call("GET", house.subscription + sign_ins, **{"api-version": BASCULE})
        assert answer.status_code == sees
        for method, path in (("DELETE", f"{sign_ins}/{browser}"), ("POST", sign_out)):
            answer = who.call(method, house.subscription + path, **{"api-version": BASCULE})
            assert answer.status_code == 403, (who, path, answer.text)
    assert is_in(anna.browser)
    assert anna.call("GET", ME).status_code == 200


def test_unknown_users(house: House) -> None:
    nobody = User(str(uuid.uuid4()), "x", "x", True, house.clock.now())
    for method, path in (
        ("GET", of(nobody, "signIns")),
        ("DELETE", of(nobody, "signIns", "x")),
        ("POST", of(nobody, "signOut")),
    ):
        assert code_of(house.call(method, path)) == "UserNotFound"
