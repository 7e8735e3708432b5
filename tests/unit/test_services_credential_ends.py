"""No grant ends later than the secret or certificate by which a program asked for it (EDGES J9)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.builtin_roles import SECURITY_ADMIN
from bascule.domain.decide import Denied
from bascule.domain.grant import Grant
from bascule.domain.lifecycle import RequestState
from bascule.domain.net import AddressPrefix
from bascule.domain.principals import Credential, CredentialKind, Group, Membership
from bascule.domain.request import RequestedMachine, RequestedPort
from bascule.domain.times import format_utc
from bascule.errors import Conflict, Forbidden
from bascule.identity.authenticate import find_principal, name_of_proof
from bascule.interfaces.store import Reader, Transaction
from bascule.services import live_requests, requests
from bascule.services.act import Act
from bascule.services.right_ends import asking_by
from bascule.services.starts import start_scheduled
from tests.unit.services_world import World, rules

ROBOT = Subject("cccccccc-0000-4000-8000-000000000003", PrincipalKind.SERVICE, "robot", "192.0.2.3")
ONCALL = "eeeeeeee-0000-4000-8000-000000000005"
HOUR, TICK = timedelta(hours=1), timedelta(microseconds=1)


class Programs(World):
    """The program robot may open both machines."""

    def __init__(self) -> None:
        super().__init__()
        self.add_principal(ROBOT)
        self.put(rules(self.web, 22), rules(self.db, 22))
        self.do(
            lambda tx, act: tx.add_role_assignment(self.assignment(act, ROBOT, SECURITY_ADMIN)),
            None,
        )

    def secret(
        self,
        key_id: str,
        ends: timedelta | None,
        kind: CredentialKind = CredentialKind.SECRET,
        proof: str = "",
    ) -> Subject:
        """The program, calling by this credential."""
        now = self.clock.wall
        kept = Credential(
            key_id,
            ROBOT.principal_id,
            kind,
            proof or f"proof of {key_id}",
            "",
            now,
            None if ends is None else now + ends,
        )
        self.do(lambda tx, _: tx.put_credential(kept), None)
        return replace(ROBOT, credential_id=key_id, credential_ends_at=kept.expires_at)

    def remove(self, key_id: str) -> None:
        self.do(lambda tx, _: tx.delete_credential(key_id), None)

    def schedule(self, minutes: float, subject: Subject) -> object:
        """Port 22 of web-1 for an hour from then on."""
        starts = self.clock.wall + timedelta(minutes=minutes)
        ends = starts + HOUR
        source = (AddressPrefix.parse("192.0.2.1"),)
        port = RequestedPort(22, source, ends, format_utc(ends), length=HOUR)
        asked = (RequestedMachine(self.web.id, (port,)),)

        def work(tx: Transaction, act: Act) -> object:
            where = self.policy_id()
            return requests.initiate(tx, act, where, asked, None, subject, starts_at=starts)

        return self.do(work, subject)

    def scheduled(self, minutes: float, subject: Subject) -> str:
        answer = self.schedule(minutes, subject)
        assert isinstance(answer, requests.Initiated), answer
        assert answer.request.state is RequestState.SCHEDULED
        return answer.request.id

    def start(self, minutes: float, request_id: str) -> tuple[RequestState, list[Grant]]:
        self.clock.pass_time(minutes * 60)
        self.do(start_scheduled, None)
        request = self.see(lambda reader: reader.request(request_id))
        assert request is not None
        return request.state, list(self.see(lambda reader: reader.grants_of([request_id])))

    def extend(self, grant: Grant, by: timedelta, subject: Subject) -> Grant:
        def work(tx: Transaction, act: Act) -> object:
            wanted = act.now + by
            return live_requests.extend(
                tx, act, grant.request_id, wanted, format_utc(wanted), subject
            )

        assert self.do(work, subject) is None
        return self.grant(grant)


@pytest.fixture
def world() -> Iterator[Programs]:
    made = Programs()
    yield made
    made.close()


@pytest.mark.parametrize("kind", list(CredentialKind))
@pytest.mark.parametrize(
    ("ends", "is_cut"), [(HOUR - TICK, True), (HOUR, False), (HOUR + TICK, False)]
)
def test_no_end_is_later_than_that_of_the_credential(
    world: Programs, kind: CredentialKind, ends: timedelta, is_cut: bool
) -> None:
    robot = world.secret("k-1", ends, kind)
    grant = world.granted(world.web, seconds=3600, subject=robot)
    assert grant.ends_at == world.clock.wall + min(ends, HOUR)
    assert grant.ends_with_credential == ("k-1" if is_cut else "")
    assert world.grant(grant) == grant, "it is kept"


def test_the_one_by_which_it_asked_counts_and_no_other(world: Programs) -> None:
    short = world.secret("short", timedelta(minutes=5))
    long = world.secret("long", timedelta(days=300))
    assert world.granted(world.db, seconds=3600, subject=long).ends_with_credential == ""
    grant = world.granted(world.web, seconds=3600, subject=short)
    assert grant.ends_with_credential == "short"
    assert grant.ends_at == world.clock.wall + timedelta(minutes=5)


def test_without_an_end_and_of_people_nothing_is_shortened(world: Programs) -> None:
    forever = world.secret("first", None)
    world.secret("short", timedelta(minutes=5))
    for machine, subject in ((world.web, forever), (world.db, ROBOT)):
        grant = world.granted(machine, seconds=3600, subject=subject)
        assert (grant.ends_at - world.clock.wall, grant.ends_with_credential) == (HOUR, "")


@pytest.mark.parametrize("minutes", [10, 30])
def test_of_a_membership_and_a_credential_the_earlier_end_counts(
    world: Programs, minutes: int
) -> None:
    def work(tx: Transaction, act: Act) -> None:
        for each in tx.role_assignments_of([ROBOT.principal_id]):
            tx.delete_role_assignment(each.id)
        tx.put_group(Group(ONCALL, "oncall", "", act.now))
        group = Subject(ONCALL, PrincipalKind.GROUP, "oncall")
        tx.add_role_assignment(world.assignment(act, group, SECURITY_ADMIN))
        tx.put_membership(
            Membership(
                *(ONCALL, ROBOT.principal_id, PrincipalKind.SERVICE),
                expires_at=act.now + timedelta(minutes=20),
            )
        )

    world.do(work)
    grant = world.granted(
        world.web, seconds=3600, subject=world.secret("k-1", timedelta(minutes=minutes))
    )
    assert grant.ends_at - world.clock.wall == timedelta(minutes=min(minutes, 20))
    by = (grant.ends_with_group, grant.ends_with_credential)
    assert by == (("", "k-1") if minutes < 20 else ("oncall", ""))


@pytest.mark.parametrize("gone", ["removed", "expired", "another's"])
def test_one_that_holds_no_more_opens_nothing(world: Programs, gone: str) -> None:
    world.secret("k-1", timedelta(minutes=5))
    robot = ROBOT

    def asking(reader: Reader) -> Subject:
        return asking_by(reader, robot, "k-1", world.clock.wall)

    assert world.see(asking).credential_id == "k-1"
    match gone:
        case "removed":
            world.remove("k-1")
        case "expired":
            world.clock.pass_time(300)
        case _:
            robot = replace(robot, principal_id="bbbbbbbb-0000-4000-8000-000000000002")
    with pytest.raises(Forbidden) as refused:
        world.see(asking)
    assert refused.value.specific_code == "CredentialOver"


def test_an_extension_goes_to_the_end_of_the_one_that_asks_for_it(world: Programs) -> None:
    first = world.secret("first", timedelta(minutes=30))
    grant = world.granted(world.web, seconds=600, subject=first)
    world.report(world.web, grant.id)
    longer = world.extend(grant, HOUR, first)
    assert longer.ends_at == world.clock.wall + timedelta(minutes=30)
    assert longer.ends_with_credential == "first"
    with pytest.raises(Conflict) as refused:
        world.extend(grant, HOUR, first)
    assert refused.value.specific_code == "EndsWithCredential"
    later = world.secret("later", timedelta(minutes=40))
    assert world.extend(grant, HOUR, later).ends_with_credential == "later"
    earlier = world.secret("earlier", timedelta(minutes=35))
    with pytest.raises(Conflict) as refused:
        world.extend(grant, HOUR, earlier)
    assert refused.value.specific_code == "EndsWithCredential"
    assert world.grant(grant).ends_at == world.clock.wall + timedelta(minutes=40), "as it was"
    lasting = world.secret("lasting", timedelta(days=1))
    extended = world.extend(grant, HOUR, lasting)
    assert (extended.ends_at - world.clock.wall, extended.ends_with_credential) == (HOUR, "")


def test_what_is_scheduled_ends_with_the_one_that_asked(world: Programs) -> None:
    robot = world.secret("k-1", timedelta(minutes=40))
    world.secret("other", timedelta(days=300))
    end = world.clock.wall + timedelta(minutes=40)
    state, (grant,) = world.start(30, world.scheduled(30, robot))
    assert (state, grant.ends_at, grant.ends_with_credential) == (RequestState.OPENING, end, "k-1")


@pytest.mark.parametrize(("ends", "is_refused"), [(0, True), (-1, True), (1, False)])
def test_a_start_is_before_the_end_of_the_credential(
    world: Programs, ends: int, is_refused: bool
) -> None:
    robot = world.secret("k-1", timedelta(minutes=30) + ends * TICK)
    answer = world.schedule(30, robot)
    assert isinstance(answer, Denied) is is_refused
    if isinstance(answer, Denied):
        assert [each.code for each in answer.reasons] == ["RightEndsBeforeStart"]


def test_what_is_scheduled_never_opens_once_that_was_removed(world: Programs) -> None:
    robot = world.secret("k-1", timedelta(days=10))
    world.secret("other", timedelta(days=10))
    request = world.scheduled(30, robot)
    world.remove("k-1")
    assert world.start(30, request) == (RequestState.DENIED, [])
    found = world.see(lambda reader: reader.request(request))
    assert found is not None
    assert [each.code for each in found.reasons] == ["CredentialOver"]


def test_a_token_names_the_credential_that_it_came_of(world: Programs) -> None:
    """Of a certificate that was added twice, the one that ends first, while it holds."""
    world.secret("a", timedelta(minutes=20), proof="same")
    world.secret("b", timedelta(minutes=10), proof="same")
    world.secret("c", None, proof="same")
    world.secret("d", timedelta(minutes=5), proof="other")

    def ids(now: datetime) -> dict[str, str]:
        who = (PrincipalKind.SERVICE, ROBOT.principal_id)
        found = world.see(lambda reader: find_principal(reader, *who, now))
        assert found is not None
        assert set(found.credentials) == found.proofs
        return {proof: each.key_id for proof, each in found.credentials.items()}

    same, other, now = name_of_proof("same"), name_of_proof("other"), world.clock.wall
    assert ids(now) == {same: "b", other: "d"}
    assert ids(now + timedelta(minutes=10)) == {same: "a"}
    assert ids(now + timedelta(minutes=20)) == {same: "c"}
