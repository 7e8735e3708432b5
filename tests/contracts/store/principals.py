"""Users, service principals with their credentials, groups and who is in them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bascule.domain.access import PrincipalKind
from bascule.domain.principals import (
    Credential,
    CredentialKind,
    Group,
    Membership,
    ServicePrincipal,
    User,
)
from bascule.domain.roles import RoleAssignment
from bascule.domain.scopes import subscription_scope
from bascule.errors import Conflict
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import NOW, SUBSCRIPTION, read, write

HOUR = timedelta(hours=1)
ADA = User("0000000a-0000-4000-8000-000000000000", "Ada@example.org", "Ada L.", True, NOW, 3)
BOB = User("0000000b-0000-4000-8000-000000000000", "bob@example.org", "Bob", False, NOW)
ROBOT = ServicePrincipal("0000000c-0000-4000-8000-000000000000", "robot", True, NOW)
TWIN = ServicePrincipal("0000000d-0000-4000-8000-000000000000", "robot", False, NOW)
GANG = Group("0000000e-0000-4000-8000-000000000000", "Gang", "of four", NOW)
CREW = Group("0000000f-0000-4000-8000-000000000000", "crew", "", NOW)
SECRET = Credential(
    "000000a1-0000-4000-8000-000000000000",
    ROBOT.id,
    CredentialKind.SECRET,
    "5e" * 32,
    "night build",
    NOW,
    NOW + HOUR,
)


def _fill(tx: Transaction) -> None:
    for user in (BOB, ADA):
        tx.put_user(user)
    for service in (TWIN, ROBOT):
        tx.put_service_principal(service)
    for group in (GANG, CREW):
        tx.put_group(group)


def _member(
    group: Group, member_id: str = ADA.id, provider: str = "", ends: timedelta | None = None
) -> Membership:
    at = None if ends is None else NOW + ends
    return Membership(group.id, member_id, PrincipalKind.USER, provider, at)


class PrincipalContract:
    def test_principals_come_back_as_they_were_put(self, store: Store) -> None:
        write(store, _fill)
        assert read(store, lambda r: r.user(ADA.id)) == ADA
        assert read(store, lambda r: r.service_principal(TWIN.id)) == TWIN
        assert read(store, lambda r: r.group(GANG.id)) == GANG
        changed = replace(ADA, display_name="A. L.", is_enabled=False, epoch=4)
        write(store, lambda tx: tx.put_user(changed))
        assert read(store, lambda r: r.user(ADA.id.upper())) == changed
        for unknown in ("", "nobody", ROBOT.id):
            assert read(store, lambda r: r.user(unknown)) is None
        assert read(store, lambda r: r.service_principal(ADA.id)) is None
        assert read(store, lambda r: r.group(ADA.id)) is None

    def test_principals_are_of_one_kind(self, store: Store) -> None:
        write(store, _fill)
        for principal_id, kind in (
            (ADA.id, PrincipalKind.USER),
            (ROBOT.id.upper(), PrincipalKind.SERVICE),
            (GANG.id, PrincipalKind.GROUP),
            ("nobody", None),
        ):
            assert read(store, lambda r: r.principal_kind(principal_id)) is kind

    def test_names_are_found_without_case_and_taken_once(self, store: Store) -> None:
        write(store, _fill)
        assert read(store, lambda r: r.user_by_name("ADA@EXAMPLE.ORG")) == ADA
        assert read(store, lambda r: r.user_by_name("ada@example.or")) is None
        assert read(store, lambda r: r.group_by_name("GANG")) == GANG
        with pytest.raises(Conflict):
            write(store, lambda tx: tx.put_user(replace(BOB, name="aDa@example.org")))
        with pytest.raises(Conflict):
            write(store, lambda tx: tx.put_group(replace(CREW, name="gAng")))
        assert read(store, lambda r: r.user(BOB.id)) == BOB

    def test_lists_go_on_where_the_page_before_ended(self, store: Store) -> None:
        write(store, _fill)
        assert list(read(store, lambda r: r.users())) == [ADA, BOB]
        assert list(read(store, lambda r: r.users(ADA.name.casefold(), 5))) == [BOB]
        assert list(read(store, lambda r: r.users("", 1))) == [ADA]
        assert list(read(store, lambda r: r.service_principals(limit=1))) == [ROBOT]
        assert list(read(store, lambda r: r.service_principals(ROBOT.id))) == [TWIN]
        assert list(read(store, lambda r: r.groups())) == [CREW, GANG]
        assert list(read(store, lambda r: r.groups("crew"))) == [GANG]
        assert list(read(store, lambda r: r.users(is_descending=True))) == [BOB, ADA]
        assert list(read(store, lambda r: r.users("", 1, is_descending=True))) == [BOB]
        bob = BOB.name.casefold()
        assert list(read(store, lambda r: r.users(bob, is_descending=True))) == [ADA]
        assert list(read(store, lambda r: r.groups(is_descending=True))) == [GANG, CREW]
        assert list(read(store, lambda r: r.groups("gang", is_descending=True))) == [CREW]

    def test_service_principals_by_name_meet_page_by_page(self, store: Store) -> None:
        """Several may have one name: the id decides between them, in both directions."""
        other = replace(ROBOT, id="0000000e-0000-4000-8000-000000000000", display_name="Android")
        for each in (TWIN, ROBOT, other):
            write(store, lambda tx: tx.put_service_principal(each))
        for is_descending in (False, True):
            wanted = [other, ROBOT, TWIN][:: -1 if is_descending else 1]
            found: list[ServicePrincipal] = []
            after = ("", "")
            while page := read(
                store,
                lambda r: r.service_principals_by_name(after, 1, is_descending=is_descending),
            ):
                found += page
                after = (page[-1].display_name.casefold(), page[-1].id)
            assert found == wanted
        assert read(store, lambda r: r.service_principals_by_name(part="DRO")) == [other]
        assert read(store, lambda r: r.count_service_principals("ROB")) == 2
        assert read(store, lambda r: r.count_service_principals()) == 3
        assert read(store, lambda r: r.service_principals_called("ROBOT")) == [ROBOT, TWIN]
        assert read(store, lambda r: r.service_principals_called("rob")) == []

    def test_a_list_is_narrowed_by_a_part_of_a_name(self, store: Store) -> None:
        write(store, _fill)
        for part, people in (("", [ADA, BOB]), ("DA@", [ADA]), ("%", []), ("_", [])):
            assert list(read(store, lambda r: r.users(part=part))) == people
            assert read(store, lambda r: r.count_users(part)) == len(people)
        for part, groups in (("", [CREW, GANG]), ("REW", [CREW]), ("%", [])):
            assert list(read(store, lambda r: r.groups(part=part))) == groups
            assert read(store, lambda r: r.count_groups(part)) == len(groups)

    def test_credentials_oldest_first_ended_ones_too(self, store: Store) -> None:
        older = replace(
            SECRET,
            key_id="000000a2-0000-4000-8000-000000000000",
            kind=CredentialKind.CERTIFICATE,
            created_at=NOW - HOUR,
            expires_at=None,
        )
        write(store, _fill)
        for each in (SECRET, older):
            write(store, lambda tx: tx.put_credential(each))
        assert list(read(store, lambda r: r.credentials_of(ROBOT.id))) == [older, SECRET]
        assert list(read(store, lambda r: r.credentials_of(TWIN.id))) == []
        assert read(store, lambda r: r.credential(SECRET.key_id.upper())) == SECRET
        write(store, lambda tx: tx.delete_credential(SECRET.key_id))
        assert read(store, lambda r: r.credential(SECRET.key_id)) is None

    def test_a_credential_is_of_a_service_principal_that_is_there(self, store: Store) -> None:
        for owner in ("nobody", ADA.id):
            with pytest.raises(Conflict):
                write(store, lambda tx: tx.put_credential(replace(SECRET, principal_id=owner)))

    def test_a_membership_counts_until_its_end(self, store: Store) -> None:
        by_hand, vouched = _member(CREW), _member(GANG, provider="corp", ends=HOUR)
        write(store, _fill)
        for each in (vouched, by_hand):
            write(store, lambda tx: tx.put_membership(each))
        for at, expected in (
            (NOW, [vouched, by_hand]),
            (NOW + HOUR - timedelta(microseconds=1), [vouched, by_hand]),
            (NOW + HOUR, [by_hand]),
        ):
            assert list(read(store, lambda r: r.memberships_of(ADA.id.upper(), at))) == expected
        assert list(read(store, lambda r: r.memberships_of(BOB.id, NOW))) == []
        assert list(read(store, lambda r: r.members_of(GANG.id))) == [vouched]

    def test_ended_memberships_earliest_first(self, store: Store) -> None:
        assert read(store, lambda r: r.next_membership_end()) is None
        late, soon = _member(CREW, BOB.id, "corp", HOUR), _member(GANG, provider="corp", ends=-HOUR)
        write(store, _fill)
        for each in (_member(CREW), late, soon):
            write(store, lambda tx: tx.put_membership(each))
        assert read(store, lambda r: r.next_membership_end()) == soon.expires_at
        assert list(read(store, lambda r: r.ended_memberships(NOW))) == [soon]
        assert list(read(store, lambda r: r.ended_memberships(NOW + HOUR))) == [soon, late]
        assert list(read(store, lambda r: r.ended_memberships(NOW + HOUR, 1))) == [soon]

    def test_one_may_be_in_a_group_by_several_ways(self, store: Store) -> None:
        """What a provider says does not touch what was done by hand, nor the other way."""
        write(store, _fill)
        by_hand, vouched = _member(GANG), _member(GANG, provider="corp", ends=HOUR)
        for each in (by_hand, vouched, replace(vouched, expires_at=NOW + 2 * HOUR)):
            write(store, lambda tx: tx.put_membership(each))
        renewed = replace(vouched, expires_at=NOW + 2 * HOUR)
        assert list(read(store, lambda r: r.members_of(GANG.id))) == [by_hand, renewed]
        write(store, lambda tx: tx.delete_membership(GANG.id, ADA.id))
        assert list(read(store, lambda r: r.members_of(GANG.id))) == [renewed]
        write(store, lambda tx: tx.delete_membership(GANG.id, ADA.id, "corp"))
        assert list(read(store, lambda r: r.members_of(GANG.id))) == []

    def test_who_is_deleted_leaves_nothing_behind(self, store: Store) -> None:
        """A principal of the same id that came later must inherit nothing."""
        scope = subscription_scope(SUBSCRIPTION)

        def assign(tx: Transaction, principal_id: str, kind: PrincipalKind) -> None:
            tx.add_role_assignment(
                RoleAssignment(principal_id, scope, "role", principal_id, kind, "", NOW, "")
            )

        def fill(tx: Transaction) -> None:
            _fill(tx)
            tx.put_credential(SECRET)
            for each in (_member(GANG), _member(GANG, ROBOT.id), _member(CREW)):
                tx.put_membership(each)
            for principal_id, kind in (
                (ADA.id, PrincipalKind.USER),
                (ROBOT.id, PrincipalKind.SERVICE),
                (GANG.id, PrincipalKind.GROUP),
            ):
                assign(tx, principal_id, kind)

        write(store, fill)
        for principal_id in (ADA.id, ROBOT.id.upper(), GANG.id, "nobody"):
            write(store, lambda tx: tx.delete_principal(principal_id))
            assert read(store, lambda r: r.principal_kind(principal_id)) is None
        assert list(read(store, lambda r: r.role_assignments())) == []
        assert read(store, lambda r: r.credential(SECRET.key_id)) is None
        assert list(read(store, lambda r: r.members_of(GANG.id))) == []
        assert list(read(store, lambda r: r.memberships_of(ADA.id, NOW))) == []
        assert read(store, lambda r: r.group(CREW.id)) == CREW
