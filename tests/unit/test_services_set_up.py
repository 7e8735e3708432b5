"""The set-up link: what it opens, once, and that nothing else does (EDGES C0)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from argon2 import PasswordHasher

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.builtin_roles import OWNER, READER
from bascule.domain.event import SYSTEM
from bascule.domain.facts.fact import fact_name
from bascule.domain.principals import Group, ServicePrincipal, User
from bascule.domain.roles import RoleAssignment
from bascule.domain.scopes import group_scope, subscription_scope
from bascule.errors import Conflict, InvalidInput, TooManyRequests
from bascule.identity.passwords import Argon2Passwords
from bascule.identity.proofs import IdentityProofs
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Reader, Transaction
from bascule.services import sessions
from bascule.services.act import Act, Services, new_id
from bascule.services.hub import Hub
from bascule.services.installation import ensure_installation, set_administrator
from bascule.services.rights import rights_of
from bascule.services.set_up import ENDED, FirstOwner, SetUp, SetUpDone, SetUpEnded, make_link
from bascule.services.sign_in import Visit
from bascule.store.open import open_store
from tests.unit.services_world import SetClock

T = TypeVar("T")

QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
HERE, STRANGER = Visit("192.0.2.1", "firefox"), Visit("198.51.100.66", "curl")
ANNA = FirstOwner("anna@example.com", "Anna", "four words of mine")
LIFE = 15 * 60


class Fresh:
    """An installation as its first start leaves it: an administrator, a link, and nobody."""

    def __init__(self, data_dir: Path) -> None:
        self.clock = SetClock()
        self.store = open_store(None)
        self.services = Services(self.store, self.clock, Hub())
        self.forgotten = 0
        proofs = IdentityProofs(data_dir, "localhost", Argon2Passwords(QUICK))
        self.set_up = SetUp(self.services, proofs, self._forget)
        self.installation = self.do(ensure_installation)
        self.do(lambda tx, act: set_administrator(tx, act, new_id(), "5e" * 32))
        self.link, _ = self.do(make_link)
        self.whole = subscription_scope(self.installation.subscription_id)

    def _forget(self) -> None:
        self.forgotten += 1

    def do(self, work: Callable[[Transaction, Act], T]) -> T:
        return asyncio.run(self.services.perform(work))

    def see(self, work: Callable[[Reader], T]) -> T:
        return asyncio.run(self.services.read(work))

    def find(self, link: str, visit: Visit = HERE) -> object:
        return asyncio.run(self.set_up.find(link, visit))

    def make(
        self, link: str = "", owner: FirstOwner = ANNA, visit: Visit = HERE
    ) -> SetUpDone | SetUpEnded:
        return asyncio.run(self.set_up.make_owner(link or self.link, owner, visit))

    def made(self) -> SetUpDone:
        done = self.make()
        assert isinstance(done, SetUpDone)
        return done

    def users(self) -> list[str]:
        return [each.name for each in self.see(lambda reader: reader.users())]

    def events(self) -> list[str]:
        found = self.see(lambda reader: reader.events(EventFilter(), newest_first=False))
        return [fact_name(event.fact) for _, event in found]

    def assign(self, role_id: str, kind: PrincipalKind, principal_id: str, *, whole: bool) -> None:
        group = group_scope(self.installation.subscription_id, "default")
        scope = self.whole if whole else group
        made = RoleAssignment(new_id(), scope, role_id, principal_id, kind, "", self.clock.wall, "")
        self.do(lambda tx, _: tx.add_role_assignment(made))


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Fresh]:
    made = Fresh(tmp_path)
    yield made
    made.store.close()


def test_the_link_makes_an_owner_who_is_signed_in_at_once(fresh: Fresh) -> None:
    assert not isinstance(fresh.find(fresh.link), SetUpEnded)
    done = fresh.made()
    now = fresh.clock.wall
    rights = fresh.see(lambda reader: rights_of(reader, done.user.id, now))
    assert rights.may("Microsoft.Authorization/roleAssignments/write", fresh.whole)
    visitor = asyncio.run(sessions.find(fresh.services, done.session))
    assert visitor is not None
    assert visitor.user.name == ANNA.name
    assert fresh.forgotten == 1, "the file that shows the link is of no more use"


def test_all_of_it_is_on_record_under_who_was_made(fresh: Fresh) -> None:
    before = len(fresh.events())
    done = fresh.made()
    assert fresh.events()[before:] == [
        *("UserCreated", "SetUpLinkUsed", "PasswordSet", "RoleAssigned", "SignInSucceeded"),
    ]
    found = fresh.see(lambda reader: reader.events(EventFilter(), newest_first=False))
    by_kind = {fact_name(event.fact): event for _, event in found}
    assert by_kind["SetUpLinkMade"].actor == SYSTEM
    used = by_kind["SetUpLinkUsed"].actor
    assert (used.principal_id, used.address) == (done.user.id, HERE.address)
    assert not any(fresh.link in str(event.record()) for _, event in found)
    assert not any(ANNA.password in str(event.record()) for _, event in found)


def test_a_link_works_once(fresh: Fresh) -> None:
    """Two browsers that both have it: one becomes the owner, the other nobody."""
    fresh.made()
    assert fresh.make(owner=FirstOwner("mallory", "", "four words of hers")) == ENDED
    assert fresh.find(fresh.link) == ENDED
    assert fresh.users() == [ANNA.name]


def test_two_at_the_same_moment_make_one_owner(fresh: Fresh) -> None:
    async def both() -> list[SetUpDone | SetUpEnded]:
        second = FirstOwner("mallory", "", "four words of hers")
        return list(
            await asyncio.gather(
                fresh.set_up.make_owner(fresh.link, ANNA, HERE),
                fresh.set_up.make_owner(fresh.link, second, STRANGER),
            )
        )

    outcomes = asyncio.run(both())
    assert sum(isinstance(each, SetUpDone) for each in outcomes) == 1
    assert len(fresh.users()) == 1


@pytest.mark.parametrize(("seconds", "holds"), [(LIFE - 1, True), (LIFE, False), (-1, False)])
def test_a_link_holds_for_fifteen_minutes_of_the_servers_clock(
    fresh: Fresh, seconds: int, holds: bool
) -> None:
    fresh.clock.wall += timedelta(seconds=seconds)
    assert isinstance(fresh.find(fresh.link), SetUpEnded) is not holds
    assert isinstance(fresh.make(), SetUpDone) is holds


def test_a_new_link_takes_the_place_of_the_one_before(fresh: Fresh) -> None:
    new, _ = fresh.do(make_link)
    assert fresh.make() == ENDED
    assert isinstance(fresh.make(new), SetUpDone)


def test_whoever_guesses_is_told_what_whoever_is_late_is_told(fresh: Fresh) -> None:
    """And it is on record, without what was typed."""
    guessed = fresh.find("A" * 43, STRANGER)
    fresh.clock.pass_time(LIFE)
    assert fresh.find(fresh.link) == guessed == ENDED
    assert fresh.make("", ANNA) == fresh.make("A" * 43, ANNA, STRANGER) == ENDED
    assert fresh.events().count("SetUpRefused") == 4


def test_guesses_are_limited_and_leave_a_bounded_number_of_rows(fresh: Fresh) -> None:
    for _ in range(20):
        fresh.find("A" * 43, STRANGER)
    with pytest.raises(TooManyRequests) as caught:
        fresh.find("A" * 43, STRANGER)
    assert caught.value.retry_after > 0
    assert fresh.events().count("SetUpRefused") <= 5
    fresh.clock.pass_time(60)
    fresh.find("A" * 43, STRANGER)
    assert fresh.events().count("DenialsCounted") == 1
    assert not isinstance(fresh.find(fresh.link), SetUpEnded), "the owner comes from elsewhere"


def test_whoever_has_the_link_is_let_in_however_many_guess_beside_him(fresh: Fresh) -> None:
    """From the same network: else one neighbour keeps the owner out until the link has ended."""
    for _ in range(20):
        fresh.find("A" * 43)
    with pytest.raises(TooManyRequests):
        fresh.find("A" * 43)
    assert not isinstance(fresh.find(fresh.link), SetUpEnded)
    assert isinstance(fresh.make(), SetUpDone)


def test_opening_the_page_again_and_again_is_no_guess(fresh: Fresh) -> None:
    for _ in range(100):
        assert not isinstance(fresh.find(fresh.link), SetUpEnded)


@pytest.mark.parametrize("kind", [PrincipalKind.USER, PrincipalKind.GROUP])
def test_an_owner_of_another_making_ends_the_link(fresh: Fresh, kind: PrincipalKind) -> None:
    """A user or a group, by the API: whoever finds the link later gets nothing by it."""
    principal, now = new_id(), fresh.clock.wall
    if kind is PrincipalKind.USER:
        fresh.do(lambda tx, _: tx.put_user(User(principal, "bert", "Bert", False, now)))
    else:
        fresh.do(lambda tx, _: tx.put_group(Group(principal, "admins", "", now)))
    fresh.assign(OWNER.id, kind, principal, whole=True)
    assert fresh.find(fresh.link) == fresh.make() == ENDED
    with pytest.raises(Conflict, match="already has an owner"):
        fresh.do(make_link)


def test_who_owns_no_more_than_a_part_does_not_end_it(fresh: Fresh) -> None:
    now = fresh.clock.wall
    fresh.do(lambda tx, _: tx.put_user(User("u-1", "bert", "Bert", True, now)))
    fresh.do(lambda tx, _: tx.put_service_principal(ServicePrincipal("s-1", "ci", True, now)))
    fresh.assign(OWNER.id, PrincipalKind.USER, "u-1", whole=False)
    fresh.assign(READER.id, PrincipalKind.USER, "u-1", whole=True)
    fresh.assign(OWNER.id, PrincipalKind.SERVICE, "s-1", whole=True)
    assert isinstance(fresh.make(), SetUpDone)


def test_what_is_wrong_is_told_at_once_and_leaves_the_link_alone(fresh: Fresh) -> None:
    with pytest.raises(InvalidInput) as caught:
        fresh.make(owner=FirstOwner("an na", "\u202eAnna", "short"))
    assert {each.target for each in caught.value.problems} == {"name", "displayName", "password"}
    with pytest.raises(InvalidInput):
        fresh.make(owner=FirstOwner("annaannaanna", "", "annaannaanna"))
    assert fresh.users() == []
    fresh.made()


def test_a_name_that_is_taken_leaves_the_link_alone(fresh: Fresh) -> None:
    now = fresh.clock.wall
    fresh.do(lambda tx, _: tx.put_user(User("u-1", "ANNA@example.com", "A", True, now)))
    with pytest.raises(Conflict, match="already"):
        fresh.make()
    assert fresh.forgotten == 0
    assert isinstance(fresh.make(owner=FirstOwner("bert", "", ANNA.password)), SetUpDone)


def test_a_session_that_the_browser_brought_is_worth_nothing_afterwards(fresh: Fresh) -> None:
    """Session fixation: whoever planted a cookie does not share the owner's session."""
    mallory = User("u-1", "mallory", "M", True, fresh.clock.wall)
    fresh.do(lambda tx, _: tx.put_user(mallory))
    planted = fresh.do(lambda tx, act: sessions.begin(tx, act, mallory, ("pwd",)))
    assert planted is not None
    done = asyncio.run(fresh.set_up.make_owner(fresh.link, ANNA, HERE, [planted]))
    assert isinstance(done, SetUpDone)
    assert done.session != planted
    assert asyncio.run(sessions.find(fresh.services, planted)) is None


def test_a_subject_of_the_link_is_nobody_before(fresh: Fresh) -> None:
    """The act of making the user is recorded under no name that anybody typed."""
    fresh.made()
    found = fresh.see(lambda reader: reader.events(EventFilter(kinds=("UserCreated",))))
    nobody = Subject("", PrincipalKind.USER, "", HERE.address, HERE.client)
    assert [event.actor.principal_id for _, event in found] == [nobody.principal_id]


def test_the_password_is_in_no_repr() -> None:
    assert ANNA.password not in repr(ANNA)
