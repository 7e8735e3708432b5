"""Names that cannot be told apart, and the mark of an earlier sign-in (EDGES E5).

Whoever shares a network with somebody learns nothing of their account and locks them out of
nothing; a mark gives that and no more, to one user, for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bascule.domain.principals import User
from bascule.domain.tokens import MARK_LIFE
from bascule.identity.proofs import IdentityProofs
from bascule.services.act import new_id
from bascule.services.own_sign_in import set_password
from bascule.services.sign_in import Proof, Refusal, SignedIn, SignInRefused, Visit
from bascule.services.sign_in_limits import ACCOUNT, KNOWN, NETWORK, PAIR
from bascule.services.tokens import sign_out_everywhere
from bascule.services.users import UserDraft, change_user
from bascule.store.transaction import SqlReader
from tests.unit.test_services_sign_in import HOME, PASSWORD, People, refused


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    made = People(tmp_path)
    yield made
    made.store.close()


def flood(people: People, visit: Visit = HOME) -> None:
    """A neighbour uses up what the network may try."""
    for number in range(NETWORK.burst + 1):
        people.begin(f"made-up-{number}", "guess", visit)


# -- names ------------------------------------------------------------------------------


def test_a_neighbour_cannot_tell_who_has_signed_in_from_the_network(people: People) -> None:
    """The answers, and how long to wait, are those for a name that nobody has."""
    people.accepted(HOME)
    flood(people)
    for name in ("anna", "bert", "nobody-has-this"):
        late = refused(people.begin(name, "guess", HOME), Refusal.TOO_OFTEN)
        assert late.retry_after == timedelta(seconds=15)


@pytest.mark.parametrize("tries", [1, PAIR.burst, PAIR.burst + 1, ACCOUNT.burst + 1])
def test_the_same_tries_get_the_same_answers_for_any_name(tmp_path: Path, tries: int) -> None:
    def answers(name: str) -> list[Any]:
        people = People(tmp_path)
        people.accepted(HOME)
        found = [people.begin(name, "guess", HOME) for _ in range(tries)]
        found += [people.begin(name, "guess", Visit(f"10.0.{n}.1")) for n in range(tries)]
        people.store.close()
        return found

    assert answers("anna") == answers("nobody-has-this")


def test_whoever_has_to_wait_is_answered_before_the_name_is_looked_up(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the time of the answer says nothing, however often it is measured."""
    flood(people)
    looked: list[str] = []
    monkeypatch.setattr(SqlReader, "user_by_name", lambda _, name: looked.append(name))
    refused(people.begin("anna", "guess", HOME), Refusal.TOO_OFTEN)
    refused(people.begin("nobody-has-this", "guess", HOME), Refusal.TOO_OFTEN)
    assert looked == []


def test_somebody_elses_mark_tells_nothing_of_a_name(people: People) -> None:
    """Nor does it lead to a look-up of the name that was typed."""
    flood(people)
    berts = people.marked(HOME, people.bert)
    for name in ("anna", "nobody-has-this"):
        late = refused(people.begin(name, "guess", berts), Refusal.TOO_OFTEN)
        assert late.retry_after == timedelta(seconds=15)


# -- what a mark gives ------------------------------------------------------------------


def test_neighbours_lock_nobody_out_of_a_browser_that_they_used(people: People) -> None:
    flood(people)
    for _ in range(30):
        people.begin(password="guess", visit=HOME)
    refused(people.begin(visit=HOME), Refusal.TOO_OFTEN)
    people.accepted(people.marked(HOME))


def test_nor_does_an_attack_from_everywhere(people: People) -> None:
    for number in range(200):
        people.begin(password="guess", visit=Visit(f"10.0.{number}.1"))
    people.accepted(people.marked(Visit("203.0.113.77")))


def test_a_mark_gives_no_more_tries_at_a_password_than_the_account_has(people: People) -> None:
    marks = [people.marked(Visit(f"10.1.{number}.1")) for number in range(50)]
    tried = [people.begin(password="guess", visit=each) for each in marks for _ in range(10)]
    wrong = [each for each in tried if each == SignInRefused(Refusal.WRONG)]
    assert KNOWN.burst < len(wrong) <= ACCOUNT.burst


def test_many_marks_of_one_user_share_one_bucket(people: People) -> None:
    flood(people)
    marks = [people.marked(HOME) for _ in range(20)]
    assert len({each.mark for each in marks}) == 20
    tried = [people.begin(password="guess", visit=each) for each in marks]
    assert tried.count(SignInRefused(Refusal.WRONG)) == KNOWN.burst


def test_a_mark_proves_nothing_but_that(people: People) -> None:
    """The password and the factor are asked for as ever."""
    app = people.enrol_totp()
    marked = people.marked(HOME)
    refused(people.begin(password="guess", visit=marked), Refusal.WRONG)
    accepted = people.accepted(marked)
    assert accepted.factors
    refused(people.totp(accepted, "000000", marked), Refusal.WRONG)
    assert isinstance(people.totp(accepted, people.code(app), marked), SignedIn)


def test_codes_of_an_app_and_recovery_codes_at_a_flooded_place(people: People) -> None:
    """Who knows the password too uses up the tries of the network and of strangers."""
    app, codes = people.enrol_totp(), people.recovery_codes()
    accepted = people.accepted(people.marked(HOME))
    for number in range(30):
        people.totp(accepted, f"{number:06d}", Visit(f"10.0.{number}.1"))
        people.totp(accepted, f"{number:06d}", HOME)
        people.recover(accepted, f"wrong-{number}", HOME)
    refused(people.totp(accepted, people.code(app), HOME), Refusal.TOO_OFTEN)
    refused(people.recover(accepted, codes[0], HOME), Refusal.TOO_OFTEN)
    marked = people.marked(HOME)
    assert isinstance(people.totp(accepted, people.code(app), marked), SignedIn)
    assert isinstance(people.recover(people.accepted(marked), codes[0], marked), SignedIn)


def test_a_passkey_alone_at_a_flooded_place(people: People) -> None:
    device = people.enrol_passkey()
    flood(people)
    asked = people.ask_key(None)
    refused(people.show_key(None, asked.ticket, device.get(asked.options)), Refusal.TOO_OFTEN)
    berts = people.marked(HOME, people.bert)
    asked = people.ask_key(None)
    answer = device.get(asked.options)
    refused(people.show_key(None, asked.ticket, answer, berts), Refusal.TOO_OFTEN)
    assert isinstance(people.show_key(None, asked.ticket, answer, people.marked(HOME)), SignedIn)


@pytest.mark.parametrize("answer", [{}, {"id": 7}, {"id": None}, {"id": ["x"]}, {"id": "x" * 9999}])
def test_an_answer_that_names_no_passkey_goes_by_the_network(
    people: People, answer: dict[str, Any]
) -> None:
    flood(people)
    refused(people.show_key(None, "x", answer, people.marked(HOME)), Refusal.TOO_OFTEN)


def test_whoever_is_signed_in_proves_it_anew_at_a_flooded_place(people: People) -> None:
    """Else a neighbour keeps somebody from changing a password that is known to others."""
    flood(people)
    for _ in range(20):
        people.begin(password="guess", visit=HOME)
    proved = asyncio.run(people.sign_in.prove(people.anna, Proof(None, PASSWORD), HOME))
    assert proved is None


# -- and for whom, and how long ---------------------------------------------------------


def is_known(people: People, visit: Visit) -> bool:
    """Does the mark stand in the network's place?"""
    flood(people)
    return people.begin(visit=visit) != refused(people.begin(visit=HOME), Refusal.TOO_OFTEN)


def anew(people: People) -> None:
    """Another password: signing out everywhere is part of it."""
    hashed = people.see(lambda r: r.password(people.anna.id))
    assert hashed is not None
    people.do(lambda tx, act: set_password(tx, act, people.anna.id, hashed.hash))


def off_and_on(people: People) -> None:
    for is_enabled in (False, True):
        draft = UserDraft(is_enabled=is_enabled)
        people.do(
            lambda tx, act, d=draft: change_user(tx, act, people.subject, people.anna.id, d)  # type: ignore[misc]  # reason: bound now
        )


def out_everywhere(people: People) -> None:
    people.do(lambda tx, act: sign_out_everywhere(tx, act, people.anna))


def deleted_and_made_anew(people: People) -> None:
    kept = people.see(lambda r: r.password(people.anna.id))
    assert kept is not None
    people.do(lambda tx, _: tx.delete_principal(people.anna.id))
    again = User(new_id(), "anna", "anna", True, people.clock.wall)
    people.do(lambda tx, _: tx.put_user(again))
    people.do(lambda tx, act: set_password(tx, act, again.id, kept.hash))


@pytest.mark.parametrize("change", [anew, off_and_on, out_everywhere, deleted_and_made_anew])
def test_a_mark_ends_with_what_ends_its_sign_in(
    people: People, change: Callable[[People], None]
) -> None:
    marked = people.marked(HOME)
    change(people)
    assert not is_known(people, marked)


def test_a_mark_lasts_for_ninety_days_and_over_restarts(people: People, tmp_path: Path) -> None:
    marked = people.marked(HOME)
    people.clock.pass_time(MARK_LIFE.total_seconds() - 1)
    people.sign_in.proofs = IdentityProofs(tmp_path, "localhost", people.proofs.passwords)
    assert is_known(people, marked)
    people.clock.pass_time(1)
    assert not is_known(people, marked)


def test_when_the_key_is_another_every_mark_is_void(people: People, tmp_path: Path) -> None:
    marked = people.marked(HOME)
    (tmp_path / "sign-in-sealing.key").unlink()
    people.sign_in.proofs = IdentityProofs(tmp_path, "localhost", people.proofs.passwords)
    assert not is_known(people, marked)


def test_a_mark_cannot_be_made_from_what_else_is_sealed(people: People) -> None:
    """Seals are for one purpose: the ticket of a passkey is no mark, though it names a user."""
    people.enrol_passkey()
    ticket = people.ask_key(people.accepted()).ticket
    good = people.marked(HOME).mark
    for mark in ("", "x", ticket, good[:-2], f"{good}A", "A" * 400, "é" * 40):
        assert not is_known(people, replace(HOME, mark=mark)), mark
    assert people.anna.id not in good
    assert people.proofs.passkeys.challenge(good, people.clock.wall) is None
