"""Custom roles and role assignments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bascule.domain.access import PrincipalKind
from bascule.domain.principals import Group, Membership, ServicePrincipal, User
from bascule.domain.roles import Permission, RoleAssignment, RoleDefinition
from bascule.domain.scopes import Scope, group_scope, subscription_scope
from bascule.errors import Conflict
from bascule.interfaces.store import Reader, Store, Transaction
from tests.contracts.store.samples import NOW, read, write

SUBSCRIPTION_ID = "00000000-0000-4000-8000-000000000001"
WHOLE = subscription_scope(SUBSCRIPTION_ID)
GROUP = group_scope(SUBSCRIPTION_ID, "Default")
NEXT_GROUP = group_scope(SUBSCRIPTION_ID, "Default0")  # its name begins like the other's
MACHINE = Scope(f"{GROUP}/providers/Microsoft.Compute/virtualMachines/web-1")
ANNA = "0000000a-0000-4000-8000-000000000000"
BERT = "0000000b-0000-4000-8000-000000000000"
ROLE = RoleDefinition(
    "000000c0-0000-4000-8000-000000000000",
    "Night shift",
    "They mend at night.",
    False,
    (Permission(("A/*",), ("A/write",), ("B/read",), ("B/x/read",)), Permission(("C/read",))),
    (WHOLE, GROUP),
    NOW,
    NOW,
    ANNA,
    BERT,
)


def _assignment(number: int, scope: Scope, principal_id: str = ANNA) -> RoleAssignment:
    return RoleAssignment(
        f"{number:08x}-0000-4000-8000-000000000000",
        scope,
        ROLE.id,
        principal_id,
        PrincipalKind.USER,
        "why",
        NOW,
        BERT,
    )


AT_WHOLE, AT_GROUP, AT_NEXT, AT_MACHINE = (
    _assignment(1, WHOLE),
    _assignment(2, GROUP, BERT),
    _assignment(3, NEXT_GROUP),
    _assignment(4, MACHINE),
)


def _add_all(tx: Transaction) -> None:
    for each in (AT_MACHINE, AT_WHOLE, AT_NEXT, AT_GROUP):
        tx.add_role_assignment(each)


class RoleContract:
    def test_a_custom_role_is_kept_whole(self, store: Store) -> None:
        write(store, lambda tx: tx.put_custom_role(ROLE))
        assert read(store, lambda reader: reader.custom_role(ROLE.id.upper())) == ROLE
        changed = replace(ROLE, name="Zeal", permissions=(Permission(("D/read",)),))
        write(store, lambda tx: tx.put_custom_role(changed))
        other = replace(ROLE, id=BERT, name="alpha")
        write(store, lambda tx: tx.put_custom_role(other))
        assert read(store, lambda reader: list(reader.custom_roles())) == [other, changed]
        write(store, lambda tx: tx.delete_custom_role(ROLE.id))
        assert read(store, lambda reader: list(reader.custom_roles())) == [other]

    def test_a_roles_name_is_one_roles(self, store: Store) -> None:
        write(store, lambda tx: tx.put_custom_role(ROLE))
        with pytest.raises(Conflict):
            write(store, lambda tx: tx.put_custom_role(replace(ROLE, id=ANNA, name="NIGHT shift")))

    def test_an_assignment_is_kept_whole_until_it_is_deleted(self, store: Store) -> None:
        write(store, _add_all)
        found = read(store, lambda reader: reader.role_assignment(AT_GROUP.id.upper()))
        assert found == AT_GROUP
        assert str(found.scope) == str(GROUP)  # as it was written
        assert read(store, lambda reader: list(reader.role_assignments_of([BERT.upper()]))) == [
            AT_GROUP
        ]
        write(store, lambda tx: tx.delete_role_assignment(AT_GROUP.id))
        assert read(store, lambda reader: reader.role_assignment(AT_GROUP.id)) is None
        assert read(store, lambda reader: list(reader.role_assignments_with(ROLE.id))) == [
            AT_WHOLE,
            AT_NEXT,
            AT_MACHINE,
        ]

    def test_a_role_is_assigned_once_to_a_principal_at_a_scope(self, store: Store) -> None:
        write(store, _add_all)
        again = replace(AT_GROUP, id=ANNA, scope=Scope(str(GROUP).upper()))
        with pytest.raises(Conflict):
            write(store, lambda tx: tx.add_role_assignment(again))

    def test_assignments_about_a_scope(self, store: Store) -> None:
        """What holds there and, if wanted, below; a name that begins alike is another's."""
        write(store, _add_all)

        def about(reader: Reader) -> None:
            assert list(reader.role_assignments_about(WHOLE)) == [
                AT_WHOLE,
                AT_GROUP,
                AT_NEXT,
                AT_MACHINE,
            ]
            assert list(reader.role_assignments_about(GROUP)) == [AT_WHOLE, AT_GROUP, AT_MACHINE]
            assert list(reader.role_assignments_about(GROUP, with_below=False)) == [
                AT_WHOLE,
                AT_GROUP,
            ]
            assert list(reader.role_assignments_about(MACHINE, with_below=False)) == [
                AT_WHOLE,
                AT_GROUP,
                AT_MACHINE,
            ]
            assert list(reader.role_assignments_about(GROUP, [BERT.upper()])) == [AT_GROUP]
            assert list(reader.role_assignments_about(GROUP, [])) == []
            assert list(reader.role_assignments_about(GROUP, after=AT_WHOLE.id, limit=1)) == [
                AT_GROUP
            ]

        read(store, about)

    def test_assignments_within_a_scope(self, store: Store) -> None:
        write(store, _add_all)

        def within(reader: Reader) -> None:
            assert list(reader.role_assignments_within(GROUP)) == [AT_GROUP, AT_MACHINE]
            assert list(reader.role_assignments_within(MACHINE)) == [AT_MACHINE]
            assert len(reader.role_assignments_within(WHOLE)) == 4

        read(store, within)

    def test_each_change_of_access_leaves_another_stamp(self, store: Store) -> None:
        """What was worked out from older rows must not pass for today's."""
        group = Group(ANNA, "people", "", NOW)
        member = Membership(ANNA, BERT, PrincipalKind.USER)
        changes: list[Callable[[Transaction], None]] = [
            lambda tx: tx.put_user(User(BERT, "bert", "Bert", True, NOW)),
            lambda tx: tx.put_service_principal(ServicePrincipal(BERT, "Bert", False, NOW)),
            lambda tx: tx.put_group(group),
            lambda tx: tx.put_membership(member),
            lambda tx: tx.delete_membership(ANNA, BERT),
            lambda tx: tx.put_custom_role(ROLE),
            lambda tx: tx.add_role_assignment(AT_GROUP),
            lambda tx: tx.delete_role_assignment(AT_GROUP.id),
            lambda tx: tx.delete_custom_role(ROLE.id),
            lambda tx: tx.delete_principal(BERT),
            lambda tx: tx.delete_identity_provider(ANNA),  # with the memberships that it gave
        ]
        seen = [read(store, lambda reader: reader.access_stamp())]
        for change in changes:
            write(store, change)
            seen.append(read(store, lambda reader: reader.access_stamp()))
        assert len(set(seen)) == len(changes) + 1
        assert read(store, lambda reader: reader.access_stamp()) == seen[-1]

    def test_what_is_undone_gives_the_stamp_back(self, store: Store) -> None:
        before = read(store, lambda reader: reader.access_stamp())
        inside: list[str] = []

        def undone(tx: Transaction) -> None:
            tx.put_custom_role(ROLE)
            inside.append(tx.access_stamp())
            raise Conflict("no")

        with pytest.raises(Conflict):
            write(store, undone)
        assert inside != [before]
        assert read(store, lambda reader: reader.access_stamp()) == before
