"""The server's own loop: what one part trips over ends neither it nor the other parts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from bascule.domain.access import PrincipalKind
from bascule.domain.grant import end
from bascule.domain.lifecycle import GrantState, StatusReason
from bascule.domain.principals import Group, Membership, User
from bascule.errors import Unavailable
from bascule.interfaces.invites import ReplicaInvite
from bascule.interfaces.kept_forms import KEPT_FOR as FORM_KEPT_FOR
from bascule.interfaces.kept_forms import KeptForm
from bascule.interfaces.points import Contact
from bascule.interfaces.store import Transaction
from bascule.services import sweep as sweeping
from bascule.services import watch as watching
from bascule.services.act import CONTACTS_AT_ONCE, Act, new_id
from bascule.services.duties import Duties
from bascule.services.invites import KEPT_FOR
from bascule.services.watch import watch
from tests.unit.services_world import BERT, World, rules


class _Enough(Exception):
    pass


class Watched(World):
    """Anna may enter web-1 for ten minutes, and bert is in a group for as long."""

    def __init__(self) -> None:
        super().__init__()
        self.put(rules(self.web, 22))
        self.opened = self.granted(self.web)
        self.report(self.web, self.opened.id)
        group = Group(new_id(), "guests", "", self.clock.wall)
        ends = self.clock.wall + timedelta(minutes=10)
        member = Membership(group.id, BERT.principal_id, PrincipalKind.SERVICE, "provider", ends)

        def join(tx: Transaction, _: Act) -> None:
            tx.put_group(group)
            tx.put_membership(member)

        self.do(join, None)

    def damage(self, statement: str) -> None:
        self.store._writer.submit(lambda connection: connection.exec_driver_sql(statement)).result()

    def watched(self, rounds: int = 10, each: float = 0.0) -> list[str]:
        """Which parts failed in so many rounds of the loop, of so many seconds each."""
        ended = 0

        async def wait(_seconds: float) -> None:
            nonlocal ended
            ended += 1
            self.clock.pass_time(each)
            if ended == rounds:
                raise _Enough

        with capture_logs() as lines, pytest.MonkeyPatch.context() as patch:
            patch.setattr(watching, "asyncio", SimpleNamespace(sleep=wait))
            with pytest.raises(_Enough):
                asyncio.run(watch(self.services))
        return [line["part"] for line in lines if line["event"] == "sweep failed"]

    def has_expired(self) -> bool:
        return self.grant(self.opened).state is not GrantState.OPEN


@pytest.fixture
def world() -> Iterator[Watched]:
    made = Watched()
    yield made
    made.close()


def test_what_an_unbound_gateway_may_hold_is_looked_after(world: Watched) -> None:
    """The loop takes the mark off when the lease is over."""
    grant = world.grant(world.opened)
    left = replace(end(grant, StatusReason.USER_REQUESTED, world.clock.wall), withdrawn={"gw": "."})
    world.do(lambda tx, _: tx.update_grant(left, grant.state), None)
    world.watched()
    assert world.grant(grant).withdrawn == {"gw": "."}
    world.clock.pass_time(601)
    assert world.watched() == []
    assert world.grant(grant).withdrawn == {}


def test_a_damaged_membership_keeps_no_grant_from_its_end(world: Watched) -> None:
    world.damage("UPDATE memberships SET member_kind = 'nonsense'")
    world.clock.pass_time(601)
    failed = world.watched()
    assert set(failed) == {"all", "end_memberships"}
    assert len(failed) > 2, "and it goes on"
    assert world.has_expired()
    world.damage("UPDATE memberships SET member_kind = 'ServicePrincipal'")
    world.watched()
    assert "MembershipEnded" in world.kinds()


def test_grants_that_do_not_end_keep_no_membership_from_its_end(
    world: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end_due(_: Transaction, __: Act) -> int:
        raise RuntimeError("a fault of ours")

    for module in (sweeping, watching):
        monkeypatch.setattr(module, "SWEEPS", (end_due, *sweeping.SWEEPS[1:]))
    world.clock.pass_time(601)
    assert {"all", "end_due"} <= set(world.watched())
    assert "MembershipEnded" in world.kinds()


def test_a_damaged_grant_keeps_no_other_from_its_end(world: Watched) -> None:
    """It is left out: no part of the sweep fails for it."""
    world.granted(world.web, source="192.0.2.7")
    world.damage("UPDATE grants SET on_expiry = 'nonsense' WHERE state = 'opening'")
    world.clock.pass_time(601)
    assert world.watched() == []
    assert world.has_expired()
    assert "MembershipEnded" in world.kinds()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE grants SET on_expiry = 'nonsense' WHERE state = 'opening'",  # left out
        "UPDATE memberships SET member_kind = 'nonsense'",  # fails
    ],
)
def test_what_cannot_be_read_is_not_tried_at_full_pace(
    world: Watched, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    """Each try takes the writer, and one that fails is logged; others still end."""
    tries = 0

    def counted(tx: Transaction, act: Act) -> int:
        nonlocal tries
        tries += 1
        return sweeping.sweep(tx, act)

    monkeypatch.setattr(watching, "sweep", counted)
    second = world.granted(world.web, source="192.0.2.7")
    world.damage(statement)
    world.clock.pass_time(601)
    failed = world.watched(rounds=30, each=1.0)
    assert 4 <= tries <= 3 + 30 / watching.RETRY.total_seconds()
    assert len(failed) <= 2 * tries
    assert world.has_expired()
    world.damage("UPDATE grants SET on_expiry = 'keep'")
    world.damage("UPDATE memberships SET member_kind = 'ServicePrincipal'")
    world.watched()
    assert world.grant(second).state is GrantState.FAILED
    assert "MembershipEnded" in world.kinds()


def test_what_fails_beside_the_sweep_is_tried_again_later(
    world: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at each round, which would fill the log; and the rest of it is done."""

    def trip(_: Transaction, __: Act) -> int:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(watching, "close_orphans", trip)
    monkeypatch.setattr(watching, "SILENCE_BOUND", timedelta())  # as if we ran for long already
    world.clock.pass_time(601)
    assert world.watched() == ["closing orphaned grants"]
    world.clock.pass_time(watching.RETRY.total_seconds())
    assert world.watched() == ["closing orphaned grants"]
    assert "AgentWentSilent" in world.kinds()
    assert world.has_expired()


def test_a_form_that_nobody_came_back_for_is_deleted_after_its_hour(world: Watched) -> None:
    user = User(new_id(), "una", "", True, world.clock.wall)
    form = KeptForm("t-1", user.id, "/portal/x", "a=1", world.clock.now())

    def keep(tx: Transaction, _: Act) -> None:
        tx.put_user(user)
        tx.keep_form(form, 200)

    world.do(keep, None)
    world.watched(3, 60)
    assert world.see(lambda reader: reader.kept_form("t-1")) == form
    world.watched(3, FORM_KEPT_FOR.total_seconds() / 2)
    assert world.see(lambda reader: reader.kept_form("t-1")) is None


def test_silence_counts_from_when_the_server_listens(world: Watched) -> None:
    """Whoever was last heard long before is noted after the bound, and counted from then on."""
    found = []
    for seconds in (0, 29, 33):
        world.clock.pass_time(3_600 if not seconds else 0)
        world.watched(rounds=seconds + 1, each=1.0)
        found.append((world.services.contacts.is_counting, "AgentWentSilent" in world.kinds()))
    assert found == [(False, False), (False, False), (True, True)]


def test_after_the_database_was_away_others_store_what_they_heard_first(
    world: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else every agent that is connected to another server would be noted as silent."""
    monkeypatch.setattr(watching, "SILENCE_BOUND", timedelta())  # as if we ran for long already
    world.watched(rounds=3, each=1.0)
    world.clock.pass_time(60)
    world.watched(rounds=5, each=1.0)
    assert "AgentWentSilent" not in world.kinds()
    world.watched(rounds=15, each=1.0)
    assert "AgentWentSilent" in world.kinds()


def test_contacts_are_stored_a_few_at_a_time_behind_what_people_wait_for(
    world: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one transaction could not store, and what was to follow it, is kept."""
    heard = [Contact(f"uid-{number}", "key", world.clock.wall) for number in range(250)]
    world.services.contacts.give_back(heard)
    write, asked = type(world.store).write, []

    async def second_fails(_: object, work: Any, *, may_wait: bool = False) -> object:
        asked.append(may_wait)
        if len(asked) == 2:
            raise Unavailable("The disk is full.")
        return await write(world.store, work, may_wait=may_wait)

    monkeypatch.setattr(type(world.store), "write", second_fails)
    with pytest.raises(Unavailable):
        asyncio.run(world.services.store_contacts())
    kept = world.services.contacts.take()
    assert list(kept) == heard[CONTACTS_AT_ONCE:]
    world.services.contacts.give_back(kept)
    asyncio.run(world.services.store_contacts())
    assert not world.services.contacts.take()
    assert asked == [True] * 4


def test_invitations_of_replicas_that_ended_long_ago_are_forgotten(world: Watched) -> None:
    ended = world.clock.wall

    def add(tx: Transaction, _: Act) -> None:
        tx.add_replica_invite(ReplicaInvite("old", "sealed", ended))
        tx.add_replica_invite(ReplicaInvite("new", "sealed", ended + timedelta(hours=1)))

    world.do(add, None)
    world.clock.pass_time(KEPT_FOR.total_seconds())
    world.services = replace(world.services, duties=Duties("a server"))
    assert world.watched(rounds=60, each=1.0) == []
    kept = asyncio.run(
        world.store.read(lambda r: [r.replica_invite(each) is not None for each in ("old", "new")])
    )
    assert kept == [False, True]
