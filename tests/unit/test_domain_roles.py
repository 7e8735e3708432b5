"""Azure's RBAC arithmetic: patterns, notActions, what adds up, and where (EDGES B1, B4)."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.domain import actions
from bascule.domain.access import PrincipalKind
from bascule.domain.actions import (
    ASSIGNMENT_READ,
    ASSIGNMENT_WRITE,
    DATA_ACTIONS,
    DISPLAY,
    EMERGENCY,
    ENROLMENT_DELETE,
    ENROLMENT_WRITE,
    INITIATE,
    MACHINE_READ,
    MACHINE_WRITE,
    POLICY_READ,
    POLICY_WRITE,
    REQUEST_APPROVE,
    REQUEST_REVOKE,
    RULES_WRITE,
    USER_WRITE,
)
from bascule.domain.builtin_roles import (
    ACCESS_APPROVER,
    AZURE_ROLES,
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
from bascule.domain.ids import is_guid, machine_id
from bascule.domain.principals import Credential, CredentialKind, Membership
from bascule.domain.roles import (
    NO_RIGHTS,
    Permission,
    Reach,
    Right,
    Rights,
    RoleAssignment,
    RoleDefinition,
    matches,
    rights_from,
    roles_giving,
)
from bascule.domain.scopes import (
    ROOT,
    Scope,
    group_scope,
    is_below,
    resource_scope,
    subscription_scope,
)

GUID = "00000000-0000-4000-8000-000000000001"
WHOLE = subscription_scope(GUID)
RG1, RG10 = group_scope(GUID, "rg1"), group_scope(GUID, "rg10")
WEB = resource_scope(machine_id(GUID, "rg1", "web-1"))
DB = resource_scope(machine_id(GUID, "rg1", "db-1"))
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pattern", "action", "is_match"),
    [
        ("*", "A/b/read", True),
        ("A/b/read", "a/B/READ", True),
        ("A/b/read", "A/b/read2", False),
        ("A/b/read", "xA/b/read", False),
        ("A/*", "A/b/c/action", True),
        ("A/*", "A", False),
        ("A/*", "AB/c", False),
        ("*/read", "A/b/read", True),
        ("*/read", "read", False),
        ("*/read", "A/b/write", False),
        ("*/read", "A/b/readAll", False),
        # The published roles mean A/read too where they write A/*/read.
        ("A/*/read", "A/read", True),
        ("A/*/read", "A/b/c/read", True),
        ("A/*/read", "A/b/write", False),
        ("A/*/write", "A/write", False),
        ("A/*/b/*/read", "A/x/b/read", True),
        ("A/*/b/*/read", "A/b/read", False),
        # Nothing but * is special.
        ("A/b.read", "A/bxread", False),
        ("A/(b)/read", "A/(b)/read", True),
        ("A/b+/read", "A/bb/read", False),
        ("A/[b]/read", "A/b/read", False),
        ("A/*/action", "A/b\nc/action", True),
        ("", "A/read", False),
    ],
)
def test_patterns(pattern: str, action: str, is_match: bool) -> None:
    assert matches(pattern, action) is is_match


WORDS = st.lists(st.sampled_from(["a", "b", "read", "write", "*"]), min_size=1, max_size=4)


def _is_like(pattern: str, action: str) -> bool:
    """The definition of a pattern, letter by letter and with no regular expression."""
    if not pattern:
        return not action
    if pattern[0] == "*":
        return any(_is_like(pattern[1:], action[i:]) for i in range(len(action) + 1))
    return action[:1] == pattern[0] and _is_like(pattern[1:], action[1:])


@given(WORDS, WORDS)
def test_patterns_by_definition(pattern_words: list[str], action_words: list[str]) -> None:
    pattern = "/".join(pattern_words)
    action = "/".join(action_words).replace("*", "c")
    expected = _is_like(pattern, action)
    if pattern.endswith("/*/read"):
        expected |= _is_like(pattern.removesuffix("/*/read") + "/read", action)
    assert matches(pattern, action) is expected


def role(*given_actions: str, but: tuple[str, ...] = (), name: str = "custom") -> RoleDefinition:
    permission = Permission(given_actions, but)
    return RoleDefinition(f"id of {name}", name, "", False, (permission,), (WHOLE,))


def test_stars_cost_no_more_than_their_number() -> None:
    """A role of 300 patterns is checked while everybody waits. Tried by turns, as a regular
    expression does, these would take over a billion steps.
    """
    patterns = tuple(f"*a*a*a*{number}" for number in range(300))
    role = Permission(actions=patterns)
    began = time.process_time()
    assert not role.allows("a" * 300)
    assert role.allows("b" * 100 + "a" * 200 + "299")
    assert time.process_time() - began < 1


def test_not_actions_take_away_from_their_own_permission_alone() -> None:
    limited = role("A/*", but=("A/delete",))
    assert limited.allows("A/write")
    assert not limited.allows("A/delete")
    both = replace(limited, permissions=(*limited.permissions, Permission(("A/delete",))))
    assert both.allows("A/delete")


def test_data_actions_allow_nothing_here() -> None:
    assert not Permission((), (), ("*",)).allows("A/read")


def assignment(held: RoleDefinition, scope: Scope) -> RoleAssignment:
    return RoleAssignment("id", scope, held.id, "p", PrincipalKind.USER, "", NOON, "")


def test_rights_add_up_and_only_where_they_are_held() -> None:
    asks, reads = role(INITIATE, name="asks"), role(POLICY_READ, name="reads")
    rights = rights_from([assignment(asks, WEB), assignment(reads, RG1)], [asks, reads])
    assert rights.may(INITIATE, WEB)
    assert rights.may(POLICY_READ, WEB)
    assert rights.may(POLICY_READ, DB)
    assert not rights.may(INITIATE, DB)
    assert not rights.may(INITIATE, RG1)
    assert not rights.may(POLICY_READ, RG10)
    assert rights.may_anywhere(INITIATE)
    assert not rights.may_anywhere(MACHINE_WRITE)
    assert not NO_RIGHTS.may(POLICY_READ, WEB)


def test_an_assignment_of_a_role_that_is_gone_gives_nothing() -> None:
    assert rights_from([assignment(role("*"), WHOLE)], []) == NO_RIGHTS


def test_what_may_be_known_of_a_group() -> None:
    """A group is shown to whoever holds something at it or below, and not to one beside."""
    rights = Rights((Right(WEB.key, role(INITIATE)),))
    assert rights.is_told_of(POLICY_READ, RG1.key)
    assert rights.is_told_of(POLICY_READ, WHOLE.key)
    assert not rights.is_told_of(POLICY_READ, RG10.key)
    assert not rights.is_told_of(POLICY_READ, DB.key)
    assert Rights((Right(WHOLE.key, role(POLICY_READ)),)).is_told_of(POLICY_READ, RG10.key)
    assert not Rights((Right(WHOLE.key, role(INITIATE)),)).is_told_of(POLICY_READ, RG10.key)


def test_held_at_is_of_what_lies_above() -> None:
    rights = Rights((Right(RG1.key, role(INITIATE)),))
    assert rights.held_at(RG1.key)
    assert rights.held_at(WEB.key)
    assert not rights.held_at(WHOLE.key)
    assert not rights.held_at(RG10.key)


SCOPES = [ROOT, WHOLE, RG1, RG10, WEB, DB]
HELD = st.lists(
    st.tuples(st.sampled_from(SCOPES), st.sampled_from(BUILTIN_ROLES)).map(
        lambda pair: Right(pair[0].key, pair[1])
    ),
    max_size=5,
)


@given(HELD, st.sampled_from(sorted(DISPLAY)), st.sampled_from(SCOPES))
def test_a_reach_says_the_same_as_the_rights(held: list[Right], action: str, scope: Scope) -> None:
    """Lists ask the reach, acts ask the rights: they must never differ."""
    rights = Rights(tuple(held))
    reach = rights.reach(action)
    assert reach.covers(scope.key) is rights.may(action, scope)
    assert not any(
        one != other and is_below(one, other) for one in reach.keys for other in reach.keys
    )


def test_the_reach_of_several_actions_is_where_one_of_them_is_held() -> None:
    rights = Rights((Right(WEB.key, role("A/x", name="x")), Right(DB.key, role("B/y", name="y"))))
    assert rights.reach("A/x", "B/y") == Reach(frozenset({WEB.key, DB.key}))
    assert rights.reach("A/x", "C/z") == Reach(frozenset({WEB.key}))
    assert rights.reach().keys == frozenset()


def test_the_least_powerful_role_is_named_first() -> None:
    names = [each.name for each in roles_giving(INITIATE, BUILTIN_ROLES)]
    assert names == ["Security Admin", "Contributor", "Owner"]
    assert roles_giving("No/such/action", [READER, SECURITY_READER]) == ()


# Which built-in role may do what: the allowed beside the neighbouring refusals.
@pytest.mark.parametrize(
    ("action", "holders"),
    [
        (
            POLICY_READ,
            {
                OWNER,
                CONTRIBUTOR,
                READER,
                USER_ACCESS_ADMINISTRATOR,
                SECURITY_READER,
                SECURITY_ADMIN,
                EMERGENCY_ACCESS,
            },
        ),
        (INITIATE, {OWNER, CONTRIBUTOR, SECURITY_ADMIN}),
        (POLICY_WRITE, {OWNER, CONTRIBUTOR, SECURITY_ADMIN}),
        (
            MACHINE_READ,
            {
                OWNER,
                CONTRIBUTOR,
                READER,
                USER_ACCESS_ADMINISTRATOR,
                VIRTUAL_MACHINE_CONTRIBUTOR,
                EMERGENCY_ACCESS,
            },
        ),
        (MACHINE_WRITE, {OWNER, CONTRIBUTOR, VIRTUAL_MACHINE_CONTRIBUTOR}),
        (REQUEST_REVOKE, {OWNER, CONTRIBUTOR}),
        (ASSIGNMENT_WRITE, {OWNER, USER_ACCESS_ADMINISTRATOR}),
        (USER_WRITE, {OWNER, USER_ACCESS_ADMINISTRATOR}),
        (ENROLMENT_WRITE, {OWNER, USER_ACCESS_ADMINISTRATOR}),
        (ENROLMENT_DELETE, {OWNER, USER_ACCESS_ADMINISTRATOR}),
        (ASSIGNMENT_READ, set(AZURE_ROLES)),
        (REQUEST_APPROVE, {ACCESS_APPROVER}),
        (EMERGENCY, {EMERGENCY_ACCESS}),
        (RULES_WRITE, {OWNER, USER_ACCESS_ADMINISTRATOR}),
    ],
)
def test_built_in_roles(action: str, holders: set[RoleDefinition]) -> None:
    assert {each.name for each in BUILTIN_ROLES if each.allows(action)} == {
        each.name for each in holders
    }


def test_nobody_but_access_administrators_writes_what_raises_rights() -> None:
    """EDGES B4: whatever is under Microsoft.Authorization ends in read, write or delete."""
    raising = [
        each
        for each in DISPLAY
        if each.startswith("Microsoft.Authorization/") and not each.endswith("/read")
    ]
    assert raising
    for action in raising:
        assert action.endswith(("/write", "/delete")), action
        able = {each.name for each in BUILTIN_ROLES if each.allows(action)}
        assert able == {"Owner", "User Access Administrator"}, action


def test_no_role_of_azures_gives_a_data_action() -> None:
    """EDGES J3: nor does a wildcard of actions, however wide; one of data actions does."""
    for action in DATA_ACTIONS:
        assert not any(each.allows(action) for each in AZURE_ROLES)
        assert not Permission(("*", action), ()).allows(action)
        assert Permission((), (), ("*",)).allows(action.upper())
        assert not Permission((), (), ("*",), (action,)).allows(action)


def test_a_reader_only_reads() -> None:
    for action in DISPLAY:
        assert READER.allows(action) is action.endswith("/read")


def test_the_built_in_roles_are_azures() -> None:
    assert len({each.id for each in BUILTIN_ROLES}) == len(BUILTIN_ROLES) == 9
    for each in BUILTIN_ROLES:
        assert is_guid(each.id)
        assert each.is_builtin
        assert each.assignable_scopes == (ROOT,)
        assert each.description.endswith(".")
    assert READER.id == "acdd72a7-3385-48ef-bd42-f606fba81ae7"


def test_every_action_has_words_and_a_shape() -> None:
    names = {
        value
        for name, value in vars(actions).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, str)
    }
    assert names == set(DISPLAY)
    for action, words in DISPLAY.items():
        assert action.rsplit("/", 1)[-1] in ("read", "write", "delete", "action"), action
        assert words


def test_what_ends_does_not_hold_at_its_end() -> None:
    """The end of a membership or credential is exclusive; one without an end goes on."""
    ending = Membership("g", "m", PrincipalKind.USER, "provider", NOON)
    assert ending.holds_at(NOON - timedelta(microseconds=1))
    assert not ending.holds_at(NOON)
    assert replace(ending, expires_at=None).holds_at(NOON)
    assert ending.stated_end is None, "a provider's word is renewed"
    assert replace(ending, provider_id="").stated_end == NOON
    secret = Credential("k", "p", CredentialKind.SECRET, "hash", "", NOON, NOON)
    assert secret.holds_at(NOON - timedelta(microseconds=1))
    assert not secret.holds_at(NOON)
    assert replace(secret, expires_at=None).holds_at(NOON)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ((), (), ()),
        (("/s",), (), ()),
        (("/s",), ("/s",), ("/s",)),
        (("/s",), ("/s/g1", "/s/g2"), ("/s/g1", "/s/g2")),
        (("/s/g1", "/s/g2/m"), ("/s/g1/m", "/s/g2"), ("/s/g1/m", "/s/g2/m")),
        (("/s/g1",), ("/s/g10",), ()),
        (("",), ("/s",), ("/s",)),
    ],
)
def test_two_reaches_meet_where_both_are(
    one: tuple[str, ...], other: tuple[str, ...], both: tuple[str, ...]
) -> None:
    """A list that needs two rights shows what lies within both, whichever is asked first."""
    first, second = Reach(frozenset(one)), Reach(frozenset(other))
    assert first.meet(second) == second.meet(first) == Reach(frozenset(both))
