"""Rights in the transaction, and what becomes of grants when they are lost (EDGES B1 to B3, B8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from bascule.api.wire.places import path_of_target
from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.actions import (
    INITIATE,
    MACHINE_READ,
    MACHINE_WRITE,
    POLICY_READ,
    POLICY_WRITE,
    REQUEST_REVOKE,
)
from bascule.domain.builtin_roles import OWNER, READER, SECURITY_ADMIN
from bascule.domain.decide import Denied
from bascule.domain.facts.grants import AccessDenied, GrantEnded
from bascule.domain.grant import Grant
from bascule.domain.lifecycle import GrantState, StatusReason
from bascule.domain.net import AddressPrefix
from bascule.domain.policy import Policy
from bascule.domain.principals import Group, Membership
from bascule.domain.request import RequestedMachine, RequestedPort
from bascule.domain.roles import Permission, RoleDefinition
from bascule.domain.scopes import Scope, group_scope, resource_scope
from bascule.domain.times import format_utc
from bascule.errors import Forbidden, NotFound, Unavailable
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Transaction
from bascule.services import (
    live_requests,
    machine_rules,
    machines,
    policies,
    requests,
    unnamed_ports,
)
from bascule.services.act import Act, new_id
from bascule.services.denials import (
    MOST_OWED,
    OTHERS,
    RECORDED_IN_ALL,
    RECORDED_PER_SOURCE,
    STRANGERS_AN_HOUR,
    Denials,
    of_strangers,
)
from bascule.services.installation import recover_administrator, set_administrator
from bascule.services.losses import end_unheld
from bascule.services.rights import rights_of
from bascule.services.sweep import next_due, sweep
from tests.samples import NOW
from tests.unit.services_world import ANNA, BERT, World, rules

CARL = Subject("cccccccc-0000-4000-8000-000000000003", PrincipalKind.SERVICE, "carl", "192.0.2.3")
DORA = Subject("dddddddd-0000-4000-8000-000000000004", PrincipalKind.SERVICE, "dora", "192.0.2.4")
GANG = "eeeeeeee-0000-4000-8000-000000000005"


class Rights(World):
    """Carl and Dora hold nothing yet; both machines are in a policy."""

    def __init__(self) -> None:
        super().__init__()
        for subject in (CARL, DORA):
            self.add_principal(subject)
        self.put(rules(self.web, 22), rules(self.db, 22))

    def give(self, subject: Subject, role: RoleDefinition, scope: Scope | None = None) -> str:
        def work(tx: Transaction, act: Act) -> str:
            made = self.assignment(act, subject, role, scope)
            tx.add_role_assignment(made)
            return made.id

        return self.do(work)

    def make_role(self, *actions: str) -> RoleDefinition:
        now = self.clock.wall
        role = RoleDefinition(
            new_id(), new_id(), "", False, (Permission(actions),), (), now, now, "", ""
        )
        self.do(lambda tx, _: tx.put_custom_role(role))
        return role

    def gang(self, *members: Subject, ends: timedelta | None = None) -> Subject:
        """A group, as a subject that roles may be given to."""

        def work(tx: Transaction, act: Act) -> None:
            tx.put_group(Group(GANG, "gang", "", act.now))
            for member in members:
                end = None if ends is None else act.now + ends
                provider = "" if ends is None else "corp"
                tx.put_membership(
                    Membership(GANG, member.principal_id, PrincipalKind.SERVICE, provider, end)
                )

        self.do(work)
        return Subject(GANG, PrincipalKind.GROUP, "gang")

    def causes(self) -> list[str]:
        """Why grants ended, newest first."""
        wanted = EventFilter(kinds=(GrantEnded.__name__,))
        found = self.see(lambda reader: reader.events(wanted))
        return [event.fact.cause for _, event in found if isinstance(event.fact, GrantEnded)]


@pytest.fixture
def world() -> Iterator[Rights]:
    made = Rights()
    yield made
    made.close()


# -- losing -----------------------------------------------------------------------------------


def _unassign(tx: Transaction, _: Act) -> None:
    for each in tx.role_assignments_of([CARL.principal_id, GANG]):
        tx.delete_role_assignment(each.id)


def _unassign_bert(tx: Transaction, _: Act) -> None:
    for each in tx.role_assignments_of([BERT.principal_id]):
        tx.delete_role_assignment(each.id)


def _disable(tx: Transaction, _: Act) -> None:
    found = tx.service_principal(CARL.principal_id)
    assert found is not None
    tx.put_service_principal(replace(found, is_enabled=False))


def _delete(tx: Transaction, _: Act) -> None:
    tx.delete_principal(CARL.principal_id)


@pytest.mark.parametrize("lose", [_unassign, _disable, _delete])
@pytest.mark.parametrize("whose", [[CARL.principal_id.upper()], None])
def test_a_grant_ends_with_the_right(
    world: Rights, lose: Callable[[Transaction, Act], None], whose: list[str] | None
) -> None:
    """In the same commit, with an event that names the cause; others' live on."""
    world.give(CARL, SECURITY_ADMIN)
    grant, other = world.granted(world.web, subject=CARL), world.granted(world.web, subject=BERT)
    before = world.see(lambda reader: reader.generation(world.web.uid))

    def work(tx: Transaction, act: Act) -> list[Grant]:
        lose(tx, act)
        return end_unheld(tx, act, whose, "something happened")

    (ended,) = world.do(work)
    assert ended.id == grant.id
    assert world.grant(grant).state is GrantState.CLOSING
    assert world.grant(grant).reason is StatusReason.USER_REQUESTED
    assert world.grant(other).state is GrantState.OPENING
    assert world.causes() == ["something happened"]
    assert world.see(lambda reader: reader.generation(world.web.uid)) == before + 1


def test_a_right_that_is_left_by_another_way_keeps_the_grant(world: Rights) -> None:
    world.give(CARL, SECURITY_ADMIN)
    second = world.give(CARL, SECURITY_ADMIN, resource_scope(world.web.id))
    web, db = world.granted(world.web, subject=CARL), world.granted(world.db, subject=CARL)

    def work(tx: Transaction, act: Act) -> object:
        for each in tx.role_assignments_of([CARL.principal_id]):
            if each.id != second:
                tx.delete_role_assignment(each.id)
        return end_unheld(tx, act, [CARL.principal_id], "removal of an assignment")

    world.do(work)
    assert world.grant(web).state is GrantState.OPENING
    assert world.grant(db).state is GrantState.CLOSING


@pytest.mark.parametrize("left", [INITIATE, POLICY_READ])
def test_half_of_what_asking_takes_is_not_enough(world: Rights, left: str) -> None:
    """What one could not ask for anew does not stay open."""
    both, half = world.make_role(INITIATE, POLICY_READ), world.make_role(left)
    first = world.give(CARL, both)
    grant = world.granted(world.web, subject=CARL)
    world.give(CARL, half)

    def work(tx: Transaction, act: Act) -> object:
        tx.delete_role_assignment(first)
        return end_unheld(tx, act, [CARL.principal_id], "removal")

    world.do(work)
    assert world.grant(grant).state is GrantState.CLOSING


def test_a_group_stands_for_its_members(world: Rights) -> None:
    gang = world.gang(CARL)
    world.give(gang, SECURITY_ADMIN)
    world.give(DORA, SECURITY_ADMIN)
    carls, doras = world.granted(world.web, subject=CARL), world.granted(world.web, subject=DORA)
    unheld = world.do(lambda tx, act: end_unheld(tx, act, [GANG], "nothing"))
    assert unheld == []

    def work(tx: Transaction, act: Act) -> object:
        _unassign(tx, act)
        return end_unheld(tx, act, [GANG], "removal of a role")

    world.do(work)
    assert world.grant(carls).state is GrantState.CLOSING
    assert world.grant(doras).state is GrantState.OPENING


def test_a_group_that_is_gone_still_takes_its_members_grants(world: Rights) -> None:
    """Whoever deletes first and asks afterwards leaves no grant behind."""
    world.give(world.gang(CARL), SECURITY_ADMIN)
    grant = world.granted(world.web, subject=CARL)

    def work(tx: Transaction, act: Act) -> object:
        tx.delete_principal(GANG)
        return end_unheld(tx, act, [GANG], "deletion of group gang")

    world.do(work)
    assert world.grant(grant).state is GrantState.CLOSING


def test_memberships_from_outside_are_swept_with_what_rested_on_them(world: Rights) -> None:
    """EDGES B3: an hour at most; the server's own loop knows when to look."""
    world.give(world.gang(CARL, ends=timedelta(minutes=10)), SECURITY_ADMIN)
    grant = world.granted(world.web, seconds=3600, subject=CARL)
    world.report(world.web, grant.id)
    assert world.see(
        lambda reader: next_due(reader, world.clock.wall)
    ) == world.clock.wall + timedelta(minutes=10)
    world.clock.pass_time(599)
    assert world.do(sweep, None) == 0
    world.clock.pass_time(1)
    assert world.do(sweep, None) == 1
    assert world.grant(grant).state is GrantState.CLOSING
    assert world.causes() == ["end of the membership of carl in group gang"]
    assert "MembershipEnded" in world.kinds()
    assert world.see(lambda reader: list(reader.members_of(GANG))) == []
    assert world.do(sweep, None) == 0


LATER = "ffffffff-0000-4000-8000-000000000006"


def add_membership(world: Rights, group: str, provider: str, ends: timedelta) -> None:
    """Of Carl, by a provider's word."""

    def work(tx: Transaction, act: Act) -> None:
        end = act.now + ends
        tx.put_membership(
            Membership(group, CARL.principal_id, PrincipalKind.SERVICE, provider, end)
        )

    world.do(work)


def holds(world: Rights, action: str = INITIATE) -> bool:
    """Asked as each call asks it: what was worked out before is kept."""
    now = world.clock.wall
    held = world.see(lambda reader: rights_of(reader, CARL.principal_id, now))
    return held.may(action, resource_scope(world.web.id))


@pytest.mark.parametrize("first", ["a", "b"])
def test_a_right_of_two_memberships_in_one_group_lives_to_the_later_end(
    world: Rights, first: str
) -> None:
    """To that end and no longer, whichever of the providers says the earlier one."""
    began = world.clock.wall
    world.give(world.gang(), SECURITY_ADMIN)
    for provider in ("a", "b"):
        ends = timedelta(minutes=10 if provider == first else 60)
        add_membership(world, GANG, provider, ends)
    for second, is_held in ((0, True), (599, True), (601, True), (3599, True), (3600, False)):
        world.clock.wall = began + timedelta(seconds=second)
        assert holds(world) is is_held, second


@pytest.mark.parametrize("short_comes_first", [True, False])
def test_each_right_ends_with_its_own_membership(world: Rights, short_comes_first: bool) -> None:
    """What is kept of somebody's rights is worked out anew at the first end, not at the last."""
    began, gang = world.clock.wall, world.gang()
    world.do(lambda tx, act: tx.put_group(Group(LATER, "later", "", act.now)))
    world.give(gang, SECURITY_ADMIN)
    world.give(Subject(LATER, PrincipalKind.GROUP, "later"), READER)
    short, long = (GANG, timedelta(minutes=10)), (LATER, timedelta(minutes=60))
    for group, ends in (short, long) if short_comes_first else (long, short):
        add_membership(world, group, "corp", ends)
    for second, may_ask, may_read in (
        (0, True, True),
        (599, True, True),
        (600, False, True),
        (3599, False, True),
        (3600, False, False),
    ):
        world.clock.wall = began + timedelta(seconds=second)
        assert (holds(world), holds(world, MACHINE_READ)) == (may_ask, may_read), second


def test_an_administrator_who_is_replaced_loses_his_grants(world: Rights) -> None:
    first, second = new_id(), new_id()
    world.do(lambda tx, act: set_administrator(tx, act, first, "00" * 32), None)
    admin = Subject(first, PrincipalKind.SERVICE, "administrator")
    grant = world.granted(world.web, subject=admin)
    world.do(lambda tx, act: set_administrator(tx, act, second, "11" * 32), None)
    assert world.grant(grant).state is GrantState.CLOSING
    assert world.causes() == ["recovery of the administrator"]


def test_a_recovery_is_on_record_although_the_one_before_was_deleted(world: Rights) -> None:
    """EDGES A26: nobody becomes Owner by the machine's own hand without a word of it."""
    made = new_id()
    world.do(lambda tx, act: recover_administrator(tx, act, made, "00" * 32), None)
    assert "AdministratorRecovered" in world.kinds()


# -- asking -------------------------------------------------------------------------------------


def test_rights_are_those_of_the_moment_of_the_act(world: Rights) -> None:
    """A right that was lost after the guard looked does not count."""
    held = world.give(CARL, SECURITY_ADMIN)
    world.granted(world.web, subject=CARL)
    world.do(lambda tx, _: tx.delete_role_assignment(held))
    with pytest.raises(Forbidden) as refused:
        world.ask(world.web, subject=CARL)
    assert [path_of_target(each.target) for each in refused.value.problems] == [
        "virtualMachines[0].id"
    ] * 2
    assert "least" not in refused.value.advice
    assert "Security Admin" in refused.value.advice


def test_a_refusal_comes_before_any_word_of_policy_or_machine(world: Rights) -> None:
    for policy in ("default", "nowhere"):
        with pytest.raises(Forbidden):
            world.ask(world.web, subject=CARL, policy=policy)
    world.give(CARL, SECURITY_ADMIN)
    with pytest.raises(NotFound):
        world.ask(world.web, subject=CARL, policy="nowhere")
    assert isinstance(world.ask(world.web, 23, subject=CARL), Denied)


def test_only_who_asked_extends(world: Rights) -> None:
    grant = world.granted(world.web, subject=BERT)
    ends = world.clock.wall + timedelta(minutes=30)
    for who in (ANNA, CARL):
        with pytest.raises(Forbidden):
            world.do(
                lambda tx, act, who=who: live_requests.extend(  # type: ignore[misc]  # reason: mypy infers no default
                    tx, act, grant.request_id, ends, "2030-01-01T12:30:00Z", who
                )
            )
    with pytest.raises(NotFound):
        world.do(lambda tx, act: live_requests.extend(tx, act, new_id(), ends, "", ANNA))


def test_revoking(world: Rights) -> None:
    """One's own always, others' by the right at each machine; a stranger learns no name."""
    grant = world.granted(world.web, subject=BERT)

    def revoke(who: Subject) -> None:
        world.do(
            lambda tx, act: live_requests.revoke(
                tx, act, grant.request_id, None, kills_sessions=False, subject=who
            )
        )

    for role, is_named in ((None, False), (READER, True)):
        if role is not None:
            world.give(CARL, role)
        with pytest.raises(Forbidden) as refused:
            revoke(CARL)
        assert ("web-1" in refused.value.message) is is_named
    assert world.grant(grant).state is GrantState.OPENING
    world.do(_unassign_bert)
    revoke(BERT)
    assert world.grant(grant).state is GrantState.CLOSING


@pytest.mark.parametrize(
    ("actions", "may"),
    [
        ((), False),
        ((INITIATE,), False),
        ((INITIATE, POLICY_READ), True),
        ((REQUEST_REVOKE,), True),
    ],
)
def test_who_lost_every_right_cuts_nobody_with_an_old_request(
    world: Rights, actions: tuple[str, ...], may: bool
) -> None:
    """A cut reaches others' kept sessions from the same sources, ``*`` all of them."""
    grant = world.granted(world.web, subject=BERT, source="*")
    world.report(world.web, grant.id)
    world.do(_unassign_bert)
    if actions:
        world.give(BERT, world.make_role(*actions), resource_scope(world.web.id))

    def revoke(*, kills: bool) -> None:
        world.do(
            lambda tx, act: live_requests.revoke(
                tx, act, grant.request_id, None, kills_sessions=kills, subject=BERT
            ),
            BERT,
        )

    revoke(kills=True)  # it is live, and his own
    assert world.grant(grant).cut_at == world.clock.wall
    world.report(world.web)
    world.clock.pass_time(300)
    if may:
        revoke(kills=True)
    else:
        with pytest.raises(Forbidden, match="web-1"):
            revoke(kills=True)
    cut_at = world.grant(grant).cut_at
    assert (cut_at == world.clock.wall) is may
    assert ("SessionsCut" in world.kinds()) is may


def test_a_kill_of_what_is_live_cuts_what_is_over_where_a_right_is_left(world: Rights) -> None:
    """His request ends whole whatever he has lost."""
    world.give(CARL, world.make_role(INITIATE, POLICY_READ), resource_scope(world.web.id))
    at_db = world.give(CARL, world.make_role(INITIATE, POLICY_READ), resource_scope(world.db.id))
    ends = world.clock.wall + timedelta(minutes=10)
    port = RequestedPort(22, (AddressPrefix.parse("*"),), ends, format_utc(ends))
    asked = tuple(RequestedMachine(each.id, (port,)) for each in (world.web, world.db))
    made = world.do(
        lambda tx, act: requests.initiate(tx, act, world.policy_id(), asked, None, CARL), CARL
    )
    assert isinstance(made, requests.Initiated)
    on_web, on_db = made.grants

    def lose(tx: Transaction, act: Act) -> None:
        tx.delete_role_assignment(at_db)
        end_unheld(tx, act, [CARL.principal_id], "something happened")

    world.do(lose)
    assert not world.grant(on_db).is_live
    world.do(
        lambda tx, act: live_requests.revoke(
            tx, act, made.request.id, None, kills_sessions=True, subject=CARL
        ),
        CARL,
    )
    assert not world.grant(on_web).is_live
    assert world.grant(on_web).cut_at is not None
    assert world.grant(on_db).cut_at is None


# -- writing ------------------------------------------------------------------------------------


def test_a_policy_is_written_by_who_may_write_its_machines(world: Rights) -> None:
    whole = group_scope(world.installation.subscription_id, "default")
    world.give(CARL, world.make_role(POLICY_WRITE), whole)
    world.give(CARL, world.make_role(MACHINE_WRITE), resource_scope(world.web.id))
    policy = Policy(world.policy_id(), "Basic", (rules(world.web, 22),))
    with pytest.raises(Forbidden) as refused:
        world.do(lambda tx, act: policies.put_policy(tx, act, CARL, policy))
    # Carl may not see the policy's other machine: it is not named to him.
    assert "db-1" not in refused.value.message
    world.give(CARL, READER, whole)
    with pytest.raises(Forbidden) as refused:
        world.do(lambda tx, act: policies.put_policy(tx, act, CARL, policy))
    assert "db-1" in refused.value.message
    world.give(CARL, world.make_role(MACHINE_WRITE), resource_scope(world.db.id))
    world.do(lambda tx, act: policies.put_policy(tx, act, CARL, policy))
    with pytest.raises(Forbidden):
        world.do(lambda tx, act: policies.delete_policy(tx, act, CARL, policy.id))


@pytest.mark.parametrize("half", [POLICY_WRITE, MACHINE_WRITE])
def test_a_machines_rules_take_both_rights_at_the_machine(world: Rights, half: str) -> None:
    ghost = world.machine_id("ghost-1")
    both = world.make_role(POLICY_WRITE, MACHINE_WRITE)
    works: list[Callable[[Transaction, Act], object]] = [
        lambda tx, act: machine_rules.put_machine_rules(
            tx, act, CARL, world.web.id, rules(world.web, 2222).ports, "default", ()
        ),
        lambda tx, act: unnamed_ports.release_ports(tx, act, CARL, world.web.id, ()),
        lambda tx, act: machine_rules.delete_machine_rules(tx, act, CARL, world.web.id),
    ]
    world.give(CARL, world.make_role(half))
    world.give(CARL, both, resource_scope(world.db.id))
    for work in works:
        with pytest.raises(Forbidden):
            world.do(work)
    with pytest.raises(Forbidden):
        world.do(lambda tx, act: machine_rules.delete_machine_rules(tx, act, CARL, ghost))
    world.give(CARL, both, resource_scope(world.web.id))
    for work in works:
        world.do(work)


def test_a_machine_that_comes_anew_inherits_no_right(world: Rights) -> None:
    world.give(CARL, OWNER, resource_scope(world.web.id))
    world.granted(world.web, subject=CARL)
    world.do(lambda tx, act: machines.delete_machine(tx, act, world.web.id))
    again = world.add_machine("web-1", "10.0.0.9")
    world.put(rules(again, 22))
    with pytest.raises(Forbidden):
        world.ask(again, subject=CARL)


# -- counts of what was denied -------------------------------------------------------------------


def test_what_policies_refuse_is_recorded_in_bounded_number(world: Rights) -> None:
    for _ in range(3 * RECORDED_PER_SOURCE):
        assert isinstance(world.ask(world.web, 23, subject=BERT), Denied)
    assert isinstance(world.ask(world.web, 23, subject=ANNA), Denied)
    assert world.kinds().count(AccessDenied.__name__) == RECORDED_PER_SOURCE + 1
    world.clock.pass_time(60)
    assert isinstance(world.ask(world.web, 23, subject=ANNA), Denied)
    assert world.kinds().count(AccessDenied.__name__) == RECORDED_PER_SOURCE + 2
    assert world.kinds().count("DenialsCounted") == 1


def test_counts_are_given_once_and_only_where_events_do_not_say_all(world: Rights) -> None:
    denials, now = Denials(), world.clock.wall
    for _ in range(RECORDED_PER_SOURCE):
        denials.is_recorded("few", now)
    for _ in range(1000):
        denials.is_recorded("many", now)
    assert denials.take_counts() == ()  # the minute is not over
    assert denials.is_recorded("few", now + timedelta(minutes=1))
    (counted,) = denials.take_counts()
    assert (counted.source, counted.count) == ("many", 1000)
    assert counted.minute.startswith("2030-01-01T12:00:00")
    assert denials.take_counts() == ()


def test_counts_are_bounded(world: Rights) -> None:
    """EDGES B8: however many sources there are, and however long nobody asks; and none is lost."""
    denials, now = Denials(), world.clock.wall
    told = 0
    for minute in range(20):
        for n in range(2 * RECORDED_IN_ALL):
            for _ in range(RECORDED_PER_SOURCE + 1):
                told += denials.is_recorded(f"{n}", now + timedelta(minutes=minute))
    told += denials.is_recorded("last", now + timedelta(minutes=20))
    counts = denials.take_counts()
    assert len(counts) <= MOST_OWED + 1
    # Of each minute that is told apart, a hundred events stand in counts as well.
    twice = len({each.minute for each in counts if each.source != OTHERS}) * RECORDED_IN_ALL
    happened = 20 * 2 * RECORDED_IN_ALL * (RECORDED_PER_SOURCE + 1) + 1
    assert told + sum(each.count for each in counts) - twice == happened


def counts_after(denials: Denials, now: datetime) -> dict[str, int]:
    denials.is_recorded("later", now + timedelta(minutes=1))
    return {each.source: each.count for each in denials.take_counts()}


def test_sources_that_are_not_told_apart_are_counted_together() -> None:
    denials = Denials()
    for n in range(RECORDED_IN_ALL + 7):
        denials.is_recorded(f"source {n}", NOW)
    assert counts_after(denials, NOW) == {OTHERS: 7}


def test_a_source_of_few_that_others_kept_off_the_record_is_counted() -> None:
    denials = Denials()
    for n in range(RECORDED_IN_ALL // RECORDED_PER_SOURCE):
        for _ in range(RECORDED_PER_SOURCE):
            assert denials.is_recorded(f"loud {n}", NOW)
    assert not denials.is_recorded("quiet", NOW)
    assert counts_after(denials, NOW) == {"quiet": 1}


def test_who_has_a_network_is_one_source() -> None:
    denials = Denials()
    told = [denials.is_recorded(f"2001:db8::{n:x}", NOW) for n in range(20)]
    assert sum(told) == RECORDED_PER_SOURCE
    assert not denials.is_recorded("2001:db8:0:0:ffff::1", NOW)
    assert denials.is_recorded("2001:db8:0:1::1", NOW)
    assert sum(denials.is_recorded("::ffff:192.0.2.1", NOW) for _ in range(9)) == 5
    assert not denials.is_recorded("192.0.2.1", NOW)
    assert counts_after(denials, NOW) == {"2001:db8::/64": 21, "192.0.2.1": 10}


def test_an_hour_of_strangers_is_bounded_and_nothing_is_uncounted() -> None:
    """EDGES E2: 144,000 rows a day of bad tokens pushed what mattered out of sight."""
    denials = of_strangers()
    rows = happened = 0
    told = 0
    hours = 3
    for minute in range(60 * hours):
        at = NOW.replace(minute=0) + timedelta(minutes=minute)
        for n in range(40):
            happened += 1
            told += denials.is_recorded(f"198.51.{minute % 250}.{n}", at)
    told += denials.is_recorded("192.0.2.1", NOW.replace(minute=0) + timedelta(hours=hours))
    happened += 1
    counts = denials.take_counts()
    rows = told + len(counts)
    assert rows <= hours * (STRANGERS_AN_HOUR + 1) + 1
    assert told + sum(each.count for each in counts) == happened
    assert {each.source for each in counts} == {OTHERS}


def test_a_flood_in_one_hour_does_not_hide_what_comes_in_the_next() -> None:
    denials, hour = of_strangers(), NOW.replace(minute=0)
    for minute in range(5):
        for n in range(100):
            denials.is_recorded(f"198.51.100.{n}", hour + timedelta(minutes=minute))
    assert not denials.is_recorded("192.0.2.1", hour + timedelta(minutes=9))
    assert denials.is_recorded("192.0.2.1", hour + timedelta(hours=1))


def test_counts_of_one_source_take_from_the_hour_too() -> None:
    """Few events and many counts: the rows are what is bounded."""
    denials, happened, told = of_strangers(), 0, 0
    for minute in range(60):
        for n in range(10):
            for _ in range(RECORDED_PER_SOURCE + 4):
                happened += 1
                told += denials.is_recorded(
                    f"198.51.100.{n}", NOW.replace(minute=0) + timedelta(minutes=minute)
                )
    denials.is_recorded("later", NOW.replace(minute=0) + timedelta(hours=1))
    counts = denials.take_counts()
    assert told + len(counts) <= STRANGERS_AN_HOUR + 1
    twice = sum(RECORDED_PER_SOURCE for each in counts if each.source != OTHERS)
    assert told + sum(each.count for each in counts) - twice == happened


def test_counts_outlive_a_transaction_that_failed(world: Rights) -> None:
    for _ in range(2 * RECORDED_PER_SOURCE):
        world.ask(world.web, 23, subject=BERT)
    world.clock.pass_time(60)

    def ask_and_fail(tx: Transaction, act: Act) -> None:
        assert act.denials.is_recorded(ANNA.principal_id, act.now)
        act.record_denied(tx, AccessDenied("policy", ()), act.denials)
        raise Unavailable("the disk is full")

    with pytest.raises(Unavailable):
        world.do(ask_and_fail)
    assert "DenialsCounted" not in world.kinds()
    world.ask(world.web, 23, subject=ANNA)
    assert world.kinds().count("DenialsCounted") == 1
