"""Who holds all that somebody else holds (EDGES B4): each built-in role against each other."""

from __future__ import annotations

import pytest

from bascule.domain.actions import DISPLAY
from bascule.domain.builtin_roles import (
    ACCESS_APPROVER,
    BUILTIN_ROLES,
    CONTRIBUTOR,
    EMERGENCY_ACCESS,
    OWNER,
    READER,
    SECURITY_ADMIN,
    SECURITY_READER,
    USER_ACCESS_ADMINISTRATOR,
    VIRTUAL_MACHINE_CONTRIBUTOR,
)
from bascule.domain.containment import added, is_within, not_held
from bascule.domain.roles import Permission, Right, Rights, RoleDefinition

SUBSCRIPTION = "/subscriptions/11111111-2222-4333-8444-555555555555"
GROUP = f"{SUBSCRIPTION}/resourcegroups/one"
# Each role, and the roles whose holder may change one who holds it; itself aside.
ABOVE: dict[str, set[str]] = {
    OWNER.id: set(),
    CONTRIBUTOR.id: {OWNER.id},
    READER.id: {OWNER.id, CONTRIBUTOR.id, USER_ACCESS_ADMINISTRATOR.id},
    USER_ACCESS_ADMINISTRATOR.id: {OWNER.id},
    # Actions of providers that a reader has no pattern for (downloads) are not in */read.
    SECURITY_READER.id: {OWNER.id, CONTRIBUTOR.id, SECURITY_ADMIN.id},
    # It may write policy assignments under Microsoft.Authorization, which Contributor may not.
    SECURITY_ADMIN.id: {OWNER.id},
    VIRTUAL_MACHINE_CONTRIBUTOR.id: {OWNER.id, CONTRIBUTOR.id},
    # A data action: who may assign roles may take it.
    ACCESS_APPROVER.id: {OWNER.id, USER_ACCESS_ADMINISTRATOR.id},
    EMERGENCY_ACCESS.id: {OWNER.id, USER_ACCESS_ADMINISTRATOR.id},
}


def role(*actions: str, but: tuple[str, ...] = (), name: str = "custom") -> RoleDefinition:
    permission = Permission(actions, but)
    return RoleDefinition(f"id of {name} {actions} {but}", name, "", False, (permission,), ())


def at(scope: str, *roles: RoleDefinition) -> Rights:
    return Rights(tuple(Right(scope.casefold(), each) for each in roles))


@pytest.mark.parametrize("low", BUILTIN_ROLES, ids=lambda each: each.name)
@pytest.mark.parametrize("high", BUILTIN_ROLES, ids=lambda each: each.name)
def test_each_built_in_role_against_each(low: RoleDefinition, high: RoleDefinition) -> None:
    """Allow and the neighbouring deny, all of them."""
    expected = low.id == high.id or (low.id in ABOVE and high.id in ABOVE[low.id])
    if low.id not in ABOVE or high.id not in ABOVE:
        expected = _by_actions(low, high)  # a role of ours: it has no patterns of strangers
    assert is_within(low, [high]) is expected
    assert (not not_held(at(SUBSCRIPTION, low), at(SUBSCRIPTION, high))) is expected
    if expected and low not in (ACCESS_APPROVER, EMERGENCY_ACCESS):
        assert _by_actions(low, high)


def _by_actions(low: RoleDefinition, high: RoleDefinition) -> bool:
    return all(high.allows(action) for action in DISPLAY if low.allows(action))


# -- scopes: the same or above, never beside or below ------------------------------------


@pytest.mark.parametrize(
    ("held_at", "wanted_at", "is_enough"),
    [
        (SUBSCRIPTION, SUBSCRIPTION, True),
        (SUBSCRIPTION, GROUP, True),
        ("", GROUP, True),
        (GROUP, SUBSCRIPTION, False),
        (GROUP, f"{SUBSCRIPTION}/resourcegroups/two", False),
        (GROUP, f"{GROUP}2", False),
        (SUBSCRIPTION, "", False),
    ],
)
def test_where_a_right_counts(held_at: str, wanted_at: str, is_enough: bool) -> None:
    lacking = not_held(at(wanted_at, READER), at(held_at, OWNER))
    assert (lacking == ()) is is_enough


def test_each_right_is_compared() -> None:
    """One that is held elsewhere too is not made up for by the others."""
    wanted = Rights(at(GROUP, READER).held + at(SUBSCRIPTION, CONTRIBUTOR).held)
    holder = Rights(at(SUBSCRIPTION, READER).held + at(GROUP, OWNER).held)
    assert not_held(wanted, holder) == at(SUBSCRIPTION, CONTRIBUTOR).held


def test_who_holds_nothing_is_below_everybody() -> None:
    assert not_held(Rights(), Rights()) == ()
    assert not_held(at(GROUP, READER), Rights()) == at(GROUP, READER).held


# -- patterns ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "holder", "is_inside"),
    [
        # A star is met by a star alone.
        (("A/*",), ("A/*",), True),
        (("A/x",), ("A/*",), True),
        (("A/*",), ("A/x",), False),
        (("A/*",), ("A/*/read",), False),
        (("a/X/read",), ("A/x/READ",), True),
        (("*",), ("A/*", "B/*"), False),
        # A/*/read gives A/read too: whoever holds it holds that.
        (("A/*/read",), ("A/*/read",), True),
        (("A/*/read",), ("A/*",), True),
        (("A/*/read",), ("A/*/*",), False),
        (("A/read",), ("A/*/read",), True),
        # Several patterns may need several of the holder's.
        (("A/x", "B/y"), ("B/*", "A/*"), True),
        (("A/x", "C/y"), ("B/*", "A/*"), False),
        ((), (), True),
    ],
)
def test_patterns(wanted: tuple[str, ...], holder: tuple[str, ...], is_inside: bool) -> None:
    assert is_within(role(*wanted), [role(*holder, name="holder")]) is is_inside


@pytest.mark.parametrize(
    ("wanted", "exempt", "excluded", "is_inside"),
    [
        # What the holder is denied must be beside the wanted, or denied to it as well.
        ("*", (), ("A/write",), False),
        ("*", ("A/write",), ("A/write",), True),
        ("*", ("A/*",), ("A/write",), True),
        ("*", ("A/write",), ("A/*",), False),
        ("*/read", (), ("A/*/write",), True),
        ("*/read", (), ("A/*",), False),
        ("B/*", (), ("A/*",), True),
        ("B/*", (), ("B/x/write",), False),
        ("B/x", (), ("B/y",), True),
        ("B/x", (), ("b/X",), False),
        ("A/read", (), ("A/*/read",), False),
        ("B/*/write", (), ("*/read",), True),
    ],
)
def test_what_is_taken_out(
    wanted: str, exempt: tuple[str, ...], excluded: tuple[str, ...], is_inside: bool
) -> None:
    holder = role("*", but=excluded, name="holder")
    assert is_within(role(wanted, but=exempt), [holder]) is is_inside


def test_an_exception_of_one_role_is_not_made_up_for_by_another_in_part() -> None:
    """Sound, not complete: two halves are not added up."""
    halves = [role("A/*", but=("A/x/*",), name="one"), role("A/x/*", name="two")]
    assert not is_within(role("A/*"), halves)
    assert is_within(role("A/x/y"), halves)


def test_what_a_changed_role_adds() -> None:
    """Patterns that neither the role as it was nor what the changer holds covers (EDGES E8)."""
    before, wider = role("a/read", but=("a/write",)), role("a/read", "b/write")
    assert added(before, before, ()) == []
    assert added(before, wider, ()) == ["b/write"]
    assert added(before, wider, (Permission(("b/*",)),)) == []
    exempt, free = role("*", but=("a/write",)), role("*")
    assert added(exempt, free, ()) == ["*"], "an exception that is taken away is given"
    assert added(free, exempt, ()) == []
    data = RoleDefinition("x", "x", "", False, (Permission(("a/read",), (), ("d/use",)),), ())
    assert added(before, data, ()) == ["d/use"]
    assert added(data, data, ()) == []


def test_who_lacks_a_data_action_does_not_hold_as_much() -> None:
    """EDGES J3: or a helpdesk would set an approver's password and approve as them."""
    helpdesk = role("Microsoft.Authorization/users/write", "Microsoft.Authorization/groups/write")
    assert not is_within(ACCESS_APPROVER, [helpdesk])
    assert not is_within(ACCESS_APPROVER, [role("Bascule.Access/*"), CONTRIBUTOR])
    assert is_within(ACCESS_APPROVER, [helpdesk, ACCESS_APPROVER])
    assert is_within(ACCESS_APPROVER, [role("Microsoft.Authorization/roleAssignments/write")])
