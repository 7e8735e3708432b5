"""Signing in, over a real store and real proofs: who gets in, who does not, what is on record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pyotp
import pytest
from argon2 import PasswordHasher

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.event import Event
from bascule.domain.facts.calls import DenialsCounted
from bascule.domain.facts.fact import fact_name
from bascule.domain.facts.sign_in import SecondFactorOwed
from bascule.domain.facts.sign_in import SignInRefused as Refused
from bascule.domain.principals import User
from bascule.domain.sign_in import FactorKind, Method, StoredPassword
from bascule.identity.passwords import Argon2Passwords
from bascule.identity.proofs import IdentityProofs
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Reader, Transaction
from bascule.services.act import Act, Services, new_id
from bascule.services.denials import Denials
from bascule.services.hub import Hub
from bascule.services.installation import ensure_installation
from bascule.services.own_sign_in import OwnSignIn, set_password
from bascule.services.sign_in import (
    PasswordAccepted,
    Proof,
    Refusal,
    SignedIn,
    SignIn,
    SignInRefused,
    Visit,
)
from bascule.store.open import open_store
from tests.support.authenticator import Authenticator
from tests.unit.services_world import SetClock

T = TypeVar("T")

PASSWORD = "four words of mine"
ORIGIN = "https://localhost"
HOME, AWAY = Visit("192.0.2.1", "firefox"), Visit("198.51.100.9", "curl")
QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


class People:
    """Anna, who has a password, and Bert, who has none."""

    def __init__(self, data_dir: Path, passwords: Any = None) -> None:
        self.clock = SetClock()
        self.store = open_store(None)
        self.services = Services(self.store, self.clock, Hub())
        self.proofs = IdentityProofs(data_dir, "localhost", passwords or Argon2Passwords(QUICK))
        self.sign_in = SignIn(self.services, self.proofs, Denials())
        self.own = OwnSignIn(self.sign_in)
        self.do(ensure_installation)
        self.anna, self.bert = self.add("anna"), self.add("bert")
        hashed = asyncio.run(Argon2Passwords(QUICK).hash(PASSWORD))
        self.do(lambda tx, act: set_password(tx, act, self.anna.id, hashed))

    def add(self, name: str) -> User:
        user = User(new_id(), name, name, True, self.clock.wall)
        self.do(lambda tx, _: tx.put_user(user))
        return user

    def marked(self, visit: Visit, user: User | None = None) -> Visit:
        """As from a browser in which anna has signed in before (EDGES E5)."""
        return replace(visit, mark=self.proofs.marks.make(user or self.anna, self.clock.wall))

    def do(self, work: Callable[[Transaction, Act], T]) -> T:
        return asyncio.run(self.services.perform(work))

    def see(self, work: Callable[[Reader], T]) -> T:
        return asyncio.run(self.services.read(work))

    def begin(
        self, name: str = "anna", password: str = PASSWORD, visit: Visit = HOME
    ) -> PasswordAccepted | SignInRefused:
        return asyncio.run(self.sign_in.begin(name, password, visit))

    def accepted(self, visit: Visit = HOME) -> PasswordAccepted:
        outcome = self.begin(visit=visit)
        assert isinstance(outcome, PasswordAccepted), outcome
        return outcome

    @property
    def subject(self) -> Subject:
        return Subject(self.anna.id, PrincipalKind.USER, "anna", HOME.address)

    async def perform(self, work: Callable[[Transaction, Act], T]) -> T:
        """As anna, whom no route has to prove here."""
        return await self.services.perform(work, self.subject)

    def enrol_totp(self) -> pyotp.TOTP:
        proof = Proof(None, PASSWORD)
        made = asyncio.run(self.own.begin_totp(self, proof, HOME))
        app = pyotp.TOTP(made.secret)
        code = app.at(int(self.clock.wall.timestamp()))
        asyncio.run(self.own.confirm_totp(self, code))
        self.clock.pass_time(60)
        return app

    def enrol_passkey(self) -> Authenticator:
        device = Authenticator(ORIGIN)
        proof = Proof(None, PASSWORD)
        ceremony = asyncio.run(self.own.begin_passkey(self.subject, proof, HOME))
        answer = device.create(ceremony.options)
        challenge, made = self.proofs.passkeys.finish_registration(
            ceremony.ticket, answer, ORIGIN, self.clock.wall
        )
        assert challenge.user_id == self.anna.id
        self.do(lambda tx, _: tx.put_passkey(replace(made, name="key")))
        return device

    def recovery_codes(self) -> list[str]:
        proof = Proof(None, PASSWORD)
        return list(asyncio.run(self.own.make_recovery_codes(self, proof, HOME)))

    def code(self, app: pyotp.TOTP) -> str:
        return app.at(int(self.clock.wall.timestamp()))

    def totp(self, accepted: PasswordAccepted, code: str, visit: Visit = HOME) -> Any:
        return asyncio.run(self.sign_in.verify_totp(accepted, code, visit))

    def recover(self, accepted: PasswordAccepted, code: str, visit: Visit = HOME) -> Any:
        return asyncio.run(self.sign_in.verify_recovery_code(accepted, code, visit))

    def ask_key(self, accepted: PasswordAccepted | None) -> Any:
        return asyncio.run(self.sign_in.begin_assertion(accepted))

    def show_key(
        self, accepted: PasswordAccepted | None, ticket: str, answer: Any, visit: Visit = HOME
    ) -> Any:
        finish = self.sign_in.finish_assertion(accepted, ticket, answer, ORIGIN, visit)
        return asyncio.run(finish)

    def events(self, kind: str) -> list[Event]:
        rows = self.see(lambda r: r.events(EventFilter(kinds=(kind,)), newest_first=False))
        return [event for _, event in rows if fact_name(event.fact) == kind]


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    made = People(tmp_path)
    yield made
    made.store.close()


def refused(outcome: object, reason: Refusal) -> SignInRefused:
    assert isinstance(outcome, SignInRefused), outcome
    assert outcome.reason is reason
    return outcome


# -- the password -----------------------------------------------------------------------


def test_the_password_alone_suffices_while_nothing_else_is_enrolled(people: People) -> None:
    accepted = people.accepted()
    assert accepted.user == people.anna
    assert accepted.factors == ()
    assert accepted.methods == (Method.PASSWORD,)
    (event,) = people.events("SignInSucceeded")
    assert event.actor.principal_id == people.anna.id
    assert (event.actor.address, event.actor.client) == ("192.0.2.1", "firefox")
    assert isinstance(people.begin("ANNA"), PasswordAccepted)  # names have no case


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("anna", "four words of mines"),
        ("anna", ""),
        ("bert", PASSWORD),  # who has no password
        ("bert", ""),
        ("nobody", PASSWORD),
        ("", ""),
        ("x" * 5000, PASSWORD),
        ("anna\0", PASSWORD),
    ],
)
def test_who_is_wrong_is_not_told_what(people: People, name: str, password: str) -> None:
    assert people.begin(name, password) == SignInRefused(Refusal.WRONG)
    assert people.events("SignInSucceeded") == []


def test_the_same_work_whether_the_account_exists(tmp_path: Path) -> None:
    """Not measured in time: each of them hashes once, at the same cost."""
    asked: list[str | None] = []

    class Watched(Argon2Passwords):
        async def verify(self, stored: str | None, password: str, *, is_known: bool) -> Any:
            asked.append(stored)
            return await super().verify(stored, password, is_known=is_known)

    people = People(tmp_path, Watched(QUICK))
    for name in ("anna", "bert", "nobody", "x" * 5000):
        refused(people.begin(name, "wrong"), Refusal.WRONG)
    assert len(asked) == 4
    assert asked[0] is not None
    assert asked[1:] == [None] * 3
    people.store.close()


def test_a_disabled_user_is_out_with_the_right_password(people: People) -> None:
    people.do(lambda tx, _: tx.put_user(replace(people.anna, is_enabled=False)))
    assert people.begin() == SignInRefused(Refusal.WRONG)
    assert people.events("SignInSucceeded") == []


def test_a_password_that_changes_while_it_is_checked_lets_nobody_in(tmp_path: Path) -> None:
    class Slow(Argon2Passwords):
        async def verify(self, stored: str | None, password: str, *, is_known: bool) -> Any:
            found = await super().verify(stored, password, is_known=is_known)
            other = StoredPassword(world.anna.id, await self.hash("another one"), world.clock.wall)
            await world.services.perform(lambda tx, _: tx.put_password(other))
            return found

    world = People(tmp_path, Slow(QUICK))
    refused(world.begin(), Refusal.WRONG)
    world.store.close()


def test_a_hash_of_another_day_is_renewed_and_nothing_else_changes(people: People) -> None:
    stronger = PasswordHasher(time_cost=2, memory_cost=64, parallelism=1)
    people.proofs.passwords = Argon2Passwords(stronger)
    before = people.see(lambda r: r.password(people.anna.id))
    people.accepted()
    after = people.see(lambda r: r.password(people.anna.id))
    assert before is not None
    assert after is not None
    assert "t=2" in after.hash
    assert after.set_at == before.set_at
    assert people.see(lambda r: r.user(people.anna.id)) == people.anna  # no token is void
    people.accepted()


def test_guessing_ends_in_429_before_anything_is_hashed(tmp_path: Path) -> None:
    hashed = []

    class Watched(Argon2Passwords):
        async def verify(self, stored: str | None, password: str, *, is_known: bool) -> Any:
            hashed.append(password)
            return await super().verify(stored, password, is_known=is_known)

    people = People(tmp_path, Watched(QUICK))
    outcomes = [people.begin(password=f"guess {n}", visit=AWAY) for n in range(30)]
    assert len(hashed) == 5
    late = refused(outcomes[-1], Refusal.TOO_OFTEN)
    assert late.retry_after == timedelta(seconds=60)
    refused(people.begin(visit=AWAY), Refusal.TOO_OFTEN)  # the right one too: it is not looked at
    people.accepted(HOME)  # from elsewhere she is not locked out
    people.clock.pass_time(60)
    people.accepted(AWAY)
    people.store.close()


def test_an_attack_from_many_places_does_not_reach_a_browser_that_she_used(people: People) -> None:
    people.accepted(HOME)
    for number in range(200):
        people.begin(password="guess", visit=Visit(f"10.0.{number}.1"))
    refused(people.begin(visit=AWAY), Refusal.TOO_OFTEN)  # strangers wait
    people.accepted(people.marked(HOME))
    assert people.see(lambda r: r.known_networks(people.anna.id)) == {"192.0.2.1/32"}


def test_a_wrong_password_makes_no_network_known(people: People) -> None:
    people.begin(password="guess", visit=AWAY)
    people.enrol_totp()
    people.begin(visit=AWAY)  # right, and the code is not shown
    assert people.see(lambda r: r.known_networks(people.anna.id)) == frozenset()


def test_a_busy_server_says_so_and_counts_nothing(tmp_path: Path) -> None:
    people = People(tmp_path, Argon2Passwords(QUICK, at_once=1, most_waiting=-1, kept_for_known=2))
    for _ in range(20):
        busy = refused(people.begin(password="guess"), Refusal.BUSY)
        assert busy.retry_after
    people.accepted(people.marked(HOME))  # her places are hers
    assert people.events("SignInRefused") == []
    people.store.close()


def test_whoever_tried_too_often_is_told_so_and_counted_by_a_busy_server(tmp_path: Path) -> None:
    class Full(Argon2Passwords):
        is_full = False

        def has_room(self, *, is_known: bool) -> bool:
            return not self.is_full and super().has_room(is_known=is_known)

    passwords = Full(QUICK)
    people = People(tmp_path, passwords)
    for _ in range(5):
        refused(people.begin(password="guess", visit=AWAY), Refusal.WRONG)
    passwords.is_full = True
    for _ in range(10):
        late = refused(people.begin(password="guess", visit=AWAY), Refusal.TOO_OFTEN)
        assert late.retry_after == timedelta(seconds=60)
        refused(people.begin(password="guess"), Refusal.BUSY)
    passwords.is_full = False
    people.clock.pass_time(60)
    people.begin(password="guess", visit=AWAY)
    (counted,) = people.events("DenialsCounted")
    assert isinstance(counted.fact, DenialsCounted)
    assert (counted.fact.source, counted.fact.count) == (AWAY.address, 15)
    people.accepted(HOME)  # what a busy server refused took nothing
    people.store.close()


def test_refusals_on_record_are_few_and_hold_no_password(people: People) -> None:
    for number in range(40):
        people.begin(f"hunter{number}", "hunter2hunter2", visit=AWAY)
    people.begin("anna", "guess", visit=HOME)
    events = people.events("SignInRefused")
    assert len(events) == 5 + 1  # of each source in a minute
    assert [event.fact for event in events] == [Refused("", "password", "wrong")] * 5 + [
        Refused("anna", "password", "wrong")
    ]
    assert "hunter" not in repr([event.record() for event in events])
    assert {event.actor.principal_id for event in events} == {""}  # nobody is proved
    people.clock.pass_time(60)
    people.begin("anna", "guess", visit=AWAY)
    assert len(people.events("SignInRefused")) == 7
    (counted,) = people.events("DenialsCounted")
    assert isinstance(counted.fact, DenialsCounted)
    assert (counted.fact.source, counted.fact.count) == (AWAY.address, 40)


# -- the second factor ------------------------------------------------------------------


def test_a_password_without_its_factor_is_on_record_in_bounded_number(people: People) -> None:
    """Who knows her password alone is to be seen, though he gets no further."""
    people.enrol_totp()
    for _ in range(40):
        people.accepted(AWAY)
    people.begin("anna", "guess", visit=AWAY)
    events = people.events("SecondFactorOwed")
    assert [event.fact for event in events] == [SecondFactorOwed(people.anna.id, "anna", "pwd")] * 5
    assert {event.actor.principal_id for event in events} == {""}  # nobody is proved yet
    assert {event.actor.address for event in events} == {AWAY.address}
    assert len(people.events("SignInRefused")) == 1, "refusals have a share of their own"


def test_a_code_after_the_password_and_each_once(people: People) -> None:
    app = people.enrol_totp()
    accepted = people.accepted()
    assert accepted.factors == (FactorKind.TOTP,)
    assert people.events("SignInSucceeded") == []  # half a sign-in is none
    code = people.code(app)
    signed_in = people.totp(accepted, code)
    assert signed_in == SignedIn(
        people.anna,
        (Method.PASSWORD, Method.ONE_TIME_PASSWORD, Method.SEVERAL),
        factor_at=people.clock.wall,
    )
    assert len(people.events("SignInSucceeded")) == 1
    refused(people.totp(people.accepted(), code), Refusal.WRONG)  # seen over the shoulder
    before = app.at(int(people.clock.wall.timestamp()) - 30)
    refused(people.totp(people.accepted(), before), Refusal.WRONG)  # older than what was used
    after = app.at(int(people.clock.wall.timestamp()) + 30)
    assert isinstance(people.totp(people.accepted(), after), SignedIn)


def test_codes_cannot_be_guessed(people: People) -> None:
    app = people.enrol_totp()
    accepted = people.accepted(AWAY)
    outcomes = [people.totp(accepted, f"{n:06d}", AWAY) for n in range(20)]
    wrong = [each for each in outcomes if each.reason is Refusal.WRONG]
    assert len(wrong) == 5
    refused(people.totp(accepted, people.code(app), AWAY), Refusal.TOO_OFTEN)


def test_an_accepted_password_lasts_ten_minutes_and_no_change(people: People) -> None:
    app = people.enrol_totp()
    accepted = people.accepted()
    people.clock.pass_time(601)
    refused(people.totp(accepted, people.code(app)), Refusal.STALE)
    for changed in (
        replace(people.anna, epoch=1),
        replace(people.anna, is_enabled=False),
    ):
        people.do(lambda tx, _: tx.put_user(people.anna))
        accepted = people.accepted()
        people.do(lambda tx, _, c=changed: tx.put_user(c))  # type: ignore[misc]  # reason: bound now
        refused(people.totp(accepted, people.code(app)), Refusal.STALE)
    people.do(lambda tx, _: tx.put_user(people.anna))
    accepted = people.accepted()
    people.do(lambda tx, _: tx.delete_principal(people.anna.id))
    refused(people.totp(accepted, people.code(app)), Refusal.STALE)


def test_a_recovery_code_stands_in_once(people: People) -> None:
    people.enrol_totp()
    codes = people.recovery_codes()
    accepted = people.accepted()
    assert accepted.factors == (FactorKind.TOTP, FactorKind.RECOVERY_CODE)
    assert isinstance(people.recover(accepted, codes[3].lower()), SignedIn)
    refused(people.recover(people.accepted(), codes[3]), Refusal.WRONG)
    (event,) = people.events("RecoveryCodeUsed")
    assert event.fact.left == 9  # type: ignore[attr-defined]  # reason: of that kind
    assert codes[3] not in repr(event.record())
    people.recovery_codes()
    refused(people.recover(people.accepted(), codes[4]), Refusal.WRONG)  # of the old set


def test_recovery_codes_alone_are_no_factor(people: People) -> None:
    codes = people.recovery_codes()
    accepted = people.accepted()
    assert accepted.factors == ()
    refused(people.recover(accepted, codes[0]), Refusal.WRONG)


def test_when_all_codes_are_used_none_is_asked_for(people: People) -> None:
    people.enrol_totp()
    for code in people.recovery_codes():
        assert isinstance(people.recover(people.accepted(), code), SignedIn)
    assert people.accepted().factors == (FactorKind.TOTP,)


def test_a_secret_whose_key_was_lost_takes_no_code(people: People, tmp_path: Path) -> None:
    """A missing key refuses; it never waves the factor through."""
    app = people.enrol_totp()
    (tmp_path / "sign-in-sealing.key").unlink()
    people.sign_in.proofs = IdentityProofs(tmp_path, "localhost", people.proofs.passwords)
    accepted = people.accepted()
    assert accepted.factors == (FactorKind.TOTP,)
    refused(people.totp(accepted, people.code(app)), Refusal.WRONG)


# -- passkeys ---------------------------------------------------------------------------


def test_a_passkey_after_the_password(people: People) -> None:
    device = people.enrol_passkey()
    accepted = people.accepted()
    assert accepted.factors == (FactorKind.PASSKEY,)
    ceremony = people.ask_key(accepted)
    answer = device.get(ceremony.options)
    signed_in = people.show_key(accepted, ceremony.ticket, answer)
    assert signed_in.methods == (Method.PASSWORD, Method.KEY, Method.SEVERAL)
    (kept,) = people.see(lambda r: r.passkeys_of(people.anna.id))
    assert (kept.sign_count, kept.last_used_at) == (2, people.clock.wall)
    refused(people.show_key(accepted, ceremony.ticket, answer), Refusal.WRONG)  # a replay


def test_a_passkey_alone(people: People) -> None:
    device = people.enrol_passkey()
    ceremony = people.ask_key(None)
    assert ceremony.options.get("allowCredentials", []) == []  # tells nobody who has which
    signed_in = people.show_key(None, ceremony.ticket, device.get(ceremony.options))
    assert signed_in == SignedIn(
        people.anna, (Method.KEY, Method.SEVERAL), factor_at=people.clock.wall
    )
    (event,) = people.events("SignInSucceeded")
    assert event.actor.principal_id == people.anna.id


def test_a_replay_of_a_key_that_does_not_count_is_refused(people: People) -> None:
    device = people.enrol_passkey()
    device._counts, device.sign_count = False, 0
    (kept,) = people.see(lambda r: r.passkeys_of(people.anna.id))
    people.do(lambda tx, _: tx.put_passkey(replace(kept, sign_count=0)))
    ceremony = people.ask_key(None)
    answer = device.get(ceremony.options)
    assert isinstance(people.show_key(None, ceremony.ticket, answer), SignedIn)
    refused(people.show_key(None, ceremony.ticket, answer), Refusal.WRONG)


def test_a_challenge_is_for_whom_it_was_made(people: People) -> None:
    device = people.enrol_passkey()
    accepted = people.accepted()
    alone, second = people.ask_key(None), people.ask_key(accepted)
    refused(people.show_key(accepted, alone.ticket, device.get(alone.options)), Refusal.WRONG)
    refused(people.show_key(None, second.ticket, device.get(second.options)), Refusal.WRONG)
    berts = replace(accepted, user=people.bert)
    asked = people.ask_key(berts)
    refused(people.show_key(berts, asked.ticket, device.get(asked.options)), Refusal.WRONG)


def test_a_disabled_users_passkey_and_a_removed_one(people: People) -> None:
    device = people.enrol_passkey()
    people.do(lambda tx, _: tx.put_user(replace(people.anna, is_enabled=False)))
    ceremony = people.ask_key(None)
    refused(people.show_key(None, ceremony.ticket, device.get(ceremony.options)), Refusal.WRONG)
    people.do(lambda tx, _: tx.put_user(people.anna))
    (kept,) = people.see(lambda r: r.passkeys_of(people.anna.id))
    people.do(lambda tx, _: tx.delete_passkey(kept.id))
    ceremony = people.ask_key(None)
    refused(people.show_key(None, ceremony.ticket, device.get(ceremony.options)), Refusal.WRONG)
    assert people.events("SignInSucceeded") == []


def test_a_passkey_works_while_the_account_is_under_attack(people: People) -> None:
    device = people.enrol_passkey()
    for number in range(100):
        people.begin(password="guess", visit=Visit(f"10.0.{number}.1"))
    ceremony = people.ask_key(None)
    answer = device.get(ceremony.options)
    assert isinstance(people.show_key(None, ceremony.ticket, answer, AWAY), SignedIn)


def test_nonsense_for_a_passkey_is_bounded(people: People) -> None:
    outcomes = [people.show_key(None, "x", {"id": n}, AWAY) for n in range(30)]
    assert [each.reason for each in outcomes[:20]] == [Refusal.WRONG] * 20
    refused(outcomes[-1], Refusal.TOO_OFTEN)
    assert len(people.events("SignInRefused")) == 5
