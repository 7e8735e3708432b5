"""A membership with an end: what rests on it ends with it, at the host too (EDGES J9)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.builtin_roles import OWNER, SECURITY_ADMIN
from bascule.domain.lifecycle import GrantState
from bascule.domain.principals import Group, Membership
from bascule.domain.scopes import Scope, resource_scope
from bascule.domain.times import format_utc
from bascule.errors import Conflict, Forbidden, InvalidInput
from bascule.interfaces.store import Transaction
from bascule.services import live_requests
from bascule.services.act import Act
from bascule.services.losses import end_unheld
from bascule.services.memberships import Until, add_member, remove_member
from bascule.services.sweep import next_due, sweep
from bascule.services.whoami import whoami
from tests.unit.services_world import ANNA, World, rules

CARL = Subject("cccccccc-0000-4000-8000-000000000003", PrincipalKind.SERVICE, "carl", "192.0.2.3")
ONCALL = Subject("eeeeeeee-0000-4000-8000-000000000005", PrincipalKind.GROUP, "oncall")
OTHERS = Subject("eeeeeeee-0000-4000-8000-000000000006", PrincipalKind.GROUP, "others")
HOUR = timedelta(hours=1)


class OnCall(World):
    """The group oncall may open both machines; Carl holds nothing by himself."""

    def __init__(self) -> None:
        super().__init__()
        self.add_principal(CARL)
        self.put(rules(self.web, 22), rules(self.db, 22))
        self.do(lambda tx, act: tx.put_group(Group(ONCALL.principal_id, "oncall", "", act.now)))
        self.do(lambda tx, act: tx.put_group(Group(OTHERS.principal_id, "others", "", act.now)))
        self.give(ONCALL)

    def give(self, subject: Subject, scope: Scope | None = None) -> str:
        def work(tx: Transaction, act: Act) -> str:
            made = self.assignment(act, subject, SECURITY_ADMIN, scope)
            tx.add_role_assignment(made)
            return made.id

        return self.do(work)

    def join(self, ends: timedelta | None, group: Subject = ONCALL) -> datetime | None:
        """Put Carl in, or move his end, which is counted from now; returns it."""
        at = None if ends is None else self.clock.wall + ends

        def work(tx: Transaction, act: Act) -> object:
            ids = (group.principal_id, CARL.principal_id)
            return add_member(tx, act, ANNA, *ids, Until(at))

        self.do(work)
        return at

    def vouch(self, ends: timedelta) -> None:
        def work(tx: Transaction, act: Act) -> None:
            ids = (ONCALL.principal_id, CARL.principal_id)
            tx.put_membership(Membership(*ids, PrincipalKind.SERVICE, "corp", act.now + ends))

        self.do(work)


@pytest.fixture
def world() -> Iterator[OnCall]:
    made = OnCall()
    yield made
    made.close()


def test_it_ends_by_itself_with_what_rested_on_it(world: OnCall) -> None:
    """The server's own loop knows when to look; nobody asks before."""
    end = world.join(timedelta(minutes=10))
    grant = world.granted(world.web, seconds=300, subject=CARL)
    assert grant.ends_with_group == "", "it ends before the membership does"
    world.report(world.web, grant.id)
    world.clock.pass_time(200)
    longer = world.granted(world.web, seconds=3600, subject=CARL)
    assert (longer.ends_at, longer.ends_with_group) == (end, "oncall")
    world.report(world.web, longer.id)
    assert world.see(lambda reader: next_due(reader, world.clock.wall)) == end
    world.clock.pass_time(400)
    world.do(sweep, None)
    assert world.grant(longer).state is GrantState.CLOSING
    assert "MembershipEnded" in world.kinds()
    assert world.see(lambda reader: list(reader.members_of(ONCALL.principal_id))) == []
    with pytest.raises(Forbidden):
        world.granted(world.web, seconds=300, subject=CARL)


def test_rights_end_at_the_moment_and_not_at_the_sweep(world: OnCall) -> None:
    world.join(timedelta(minutes=10))
    world.clock.pass_time(599)
    world.granted(world.web, seconds=60, subject=CARL)
    world.clock.pass_time(1)
    with pytest.raises(Forbidden):
        world.granted(world.web, seconds=60, subject=CARL)


@pytest.mark.parametrize(
    ("way", "is_cut"),
    [
        ("nothing else", True),
        ("a role of his own", False),
        ("a role of his own at the other machine", True),
        ("another group without an end", False),
        ("another group that ends later", False),
        ("another group that ends earlier", True),
        ("a provider's word for the same group", False),
    ],
)
def test_a_grant_is_cut_where_no_other_right_lasts(world: OnCall, way: str, is_cut: bool) -> None:
    """No end is later than that of the membership on which it rests."""
    end = world.join(timedelta(minutes=30))
    match way:
        case "a role of his own":
            world.give(CARL)
        case "a role of his own at the other machine":
            world.give(CARL, resource_scope(world.db.id))
        case "a provider's word for the same group":
            world.vouch(HOUR)
        case "nothing else":
            pass
        case _:
            world.give(OTHERS)
            minutes = {"end": None, "later": 90, "earlier": 10}[way.rsplit(maxsplit=1)[-1]]
            world.join(None if minutes is None else timedelta(minutes=minutes), OTHERS)
    grant = world.granted(world.web, seconds=3600, subject=CARL)
    assert (grant.ends_at == end) is is_cut, grant.ends_at
    assert (grant.ends_with_group == "oncall") is is_cut
    assert is_cut or grant.ends_at == world.clock.wall + HOUR


def test_of_two_that_end_the_later_counts(world: OnCall) -> None:
    world.join(timedelta(minutes=10))
    world.give(OTHERS)
    end = world.join(timedelta(minutes=20), OTHERS)
    grant = world.granted(world.web, seconds=3600, subject=CARL)
    assert (grant.ends_at, grant.ends_with_group) == (end, "others")


def test_an_end_that_is_set_later_shortens_what_is_open(world: OnCall) -> None:
    """Else the host would keep it open while the server is away."""
    world.join(None)
    grant = world.granted(world.web, seconds=3600, subject=CARL)
    world.report(world.web, grant.id)
    before = world.grant(grant).generation
    end = world.join(timedelta(minutes=5))
    shorter = world.grant(grant)
    assert (shorter.ends_at, shorter.ends_with_group, shorter.state) == (
        end,
        "oncall",
        GrantState.OPEN,
    )
    assert shorter.generation > before, "its agent is told"
    assert {"MembershipChanged", "GrantShortened"} <= set(world.kinds())
    world.join(None)
    assert world.grant(grant).ends_at == end, "a later end lengthens nothing"


def test_losing_the_lasting_right_leaves_the_end_of_the_other(world: OnCall) -> None:
    """What rested on an assignment rests on the membership when that is removed."""
    own = world.give(CARL)
    end = world.join(timedelta(minutes=5))
    grant = world.granted(world.web, seconds=3600, subject=CARL)
    assert grant.ends_with_group == ""

    def work(tx: Transaction, act: Act) -> None:
        tx.delete_role_assignment(own)
        end_unheld(tx, act, [CARL.principal_id], "test")

    world.do(work)
    shorter = world.grant(grant)
    assert (shorter.ends_at, shorter.is_live) == (end, True)


def test_an_extension_goes_to_that_end_and_no_further(world: OnCall) -> None:
    end = world.join(timedelta(minutes=30))
    grant = world.granted(world.web, seconds=600, subject=CARL)
    world.report(world.web, grant.id)

    def longer(tx: Transaction, act: Act) -> object:
        wanted = act.now + HOUR
        return live_requests.extend(tx, act, grant.request_id, wanted, format_utc(wanted), CARL)

    assert world.do(longer) is None
    extended = world.grant(grant)
    assert (extended.ends_at, extended.ends_with_group) == (end, "oncall")
    with pytest.raises(Conflict) as refused:
        world.do(longer)
    assert refused.value.specific_code == "EndsWithMembership"
    world.join(HOUR)
    assert world.do(longer) is None
    assert world.grant(grant).ends_at == world.clock.wall + HOUR


def test_bad_ends_are_refused_and_nothing_said_keeps_the_end(world: OnCall) -> None:
    for ends in (timedelta(), timedelta(seconds=-1)):
        with pytest.raises(InvalidInput) as refused:
            world.join(ends)
        assert refused.value.specific_code == "EndTimePassed"
    end = world.join(HOUR)
    ids = (ONCALL.principal_id, CARL.principal_id)
    member, is_new = world.do(lambda tx, act: add_member(tx, act, ANNA, *ids))
    assert (member.membership.expires_at, is_new) == (end, False)
    world.join(HOUR)
    assert world.kinds().count("MemberAddedUntil") == 1
    assert "MembershipChanged" not in world.kinds(), "the same end is no change"
    assert world.do(lambda tx, act: remove_member(tx, act, ANNA, *ids))


@pytest.mark.parametrize("whose", [CARL, ANNA])
def test_who_holds_a_right_for_a_time_gives_it_for_no_longer(world: OnCall, whose: Subject) -> None:
    """Else a member for an hour, who may change groups, would stay for good."""
    end = world.join(HOUR)
    assert end is not None
    ids = (ONCALL.principal_id, whose.principal_id)

    def give(until: Until) -> object:
        return world.do(lambda tx, act: add_member(tx, act, CARL, *ids, until))

    for until in (Until(None), Until(end + timedelta(microseconds=1))):
        with pytest.raises(Forbidden):
            give(until)
    give(Until(end))
    give(Until(end - timedelta(minutes=1)))
    world.give(CARL)
    give(Until(None))


def test_the_last_owner_is_given_no_end(world: OnCall) -> None:
    """Else nobody could give rights once it is over (EDGES B10)."""
    ids = (OTHERS.principal_id, ANNA.principal_id)

    def only_by_group(tx: Transaction, act: Act) -> None:
        for each in tx.role_assignments_with(OWNER.id):
            tx.delete_role_assignment(each.id)
        tx.add_role_assignment(world.assignment(act, OTHERS, OWNER))
        tx.put_membership(Membership(*ids, PrincipalKind.SERVICE))

    world.do(only_by_group)
    with pytest.raises(Conflict) as refused:
        world.do(lambda tx, act: add_member(tx, act, ANNA, *ids, Until(act.now + HOUR)))
    assert refused.value.specific_code == "LastOwner"


def test_whoami_shows_each_end_once(world: OnCall) -> None:
    end = world.join(HOUR)
    world.join(None, OTHERS)

    def groups() -> list[tuple[str, datetime | None, bool]]:
        now = world.clock.wall
        me = world.see(lambda reader: whoami(reader, CARL, now))
        return [(each.group.name, each.ends_at, each.is_vouched) for each in me.groups]

    assert groups() == [("oncall", end, False), ("others", None, False)]
    world.vouch(timedelta(minutes=5))
    assert groups() == [("oncall", end, False), ("others", None, False)]
    world.clock.pass_time(3600)
    assert groups() == [("others", None, False)]
