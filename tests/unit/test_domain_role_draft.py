"""Custom roles as they are written: what may be, and everything wrong at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bascule.domain.role_draft import (
    LONGEST_DESCRIPTION,
    LONGEST_NAME,
    MOST_PATTERNS,
    MOST_SCOPES,
    RoleDraft,
    check_draft,
    is_pattern,
)
from bascule.domain.roles import Permission
from bascule.domain.scopes import ROOT, Scope, group_scope, subscription_scope

SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"
WHOLE = subscription_scope(SUBSCRIPTION)
GOOD = RoleDraft("Night shift", "", (Permission(("*/read",)),), (WHOLE,))


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("*", True),
        ("*/read", True),
        ("Microsoft.Compute/virtualMachines/read", True),
        ("Microsoft.Network/networkInterfaces/*/read", True),
        ("Microsoft.*/a_b-c/*", True),
        ("**", False),
        ("", False),
        ("read", False),
        ("a//b", False),
        ("/a/b", False),
        ("a/b/", False),
        ("a/b c", False),
        ("a/b\n", False),
        ("a/é", False),
        ("*/*/*", True),
        ("*/*/*/*", False),  # each star multiplies the time that a match may take
        ("a/" + "b" * 198, True),
        ("a/" + "b" * 199, False),
    ],
)
def test_patterns(text: str, is_one: bool) -> None:
    assert is_pattern(text) is is_one


@pytest.mark.parametrize(
    "draft",
    [
        GOOD,
        replace(GOOD, name="é" * LONGEST_NAME),
        replace(GOOD, description="x" * LONGEST_DESCRIPTION),
        replace(GOOD, permissions=(Permission(), Permission(data_actions=("A/read",)))),
        replace(GOOD, permissions=(Permission(("A/read",) * MOST_PATTERNS),)),
        replace(GOOD, assignable_scopes=(WHOLE,) * MOST_SCOPES),
        replace(GOOD, assignable_scopes=(group_scope(SUBSCRIPTION, "g"),)),
    ],
)
def test_what_may_be(draft: RoleDraft) -> None:
    assert check_draft(draft, SUBSCRIPTION.upper()) == ()


@pytest.mark.parametrize(
    ("draft", "target"),
    [
        (replace(GOOD, name=""), "properties.roleName"),
        (replace(GOOD, name="  "), "properties.roleName"),
        (replace(GOOD, name="x" * (LONGEST_NAME + 1)), "properties.roleName"),
        (replace(GOOD, name="a\x1b[2Jb"), "properties.roleName"),
        (replace(GOOD, description="x" * (LONGEST_DESCRIPTION + 1)), "properties.description"),
        (replace(GOOD, permissions=()), "properties.permissions"),
        (replace(GOOD, permissions=(Permission((), ("A/read",)),)), "properties.permissions"),
        (
            replace(GOOD, permissions=(Permission(("A/read",) * (MOST_PATTERNS + 1)),)),
            "properties.permissions",
        ),
        (
            replace(GOOD, permissions=(Permission(("A/read",), ("x",)),)),
            "properties.permissions[0].notActions[0]",
        ),
        (
            replace(GOOD, permissions=(Permission(("A/read",), (), ("x",)),)),
            "properties.permissions[0].dataActions[0]",
        ),
        (
            replace(GOOD, permissions=(Permission(("A/read",), (), (), ("x",)),)),
            "properties.permissions[0].notDataActions[0]",
        ),
        (replace(GOOD, assignable_scopes=()), "properties.assignableScopes"),
        (
            replace(GOOD, assignable_scopes=(WHOLE,) * (MOST_SCOPES + 1)),
            "properties.assignableScopes",
        ),
        (replace(GOOD, assignable_scopes=(ROOT,)), "properties.assignableScopes[0]"),
        (
            replace(GOOD, assignable_scopes=(WHOLE, subscription_scope(OTHER))),
            "properties.assignableScopes[1]",
        ),
        (replace(GOOD, assignable_scopes=(Scope(f"{WHOLE}0"),)), "properties.assignableScopes[0]"),
    ],
)
def test_what_may_not(draft: RoleDraft, target: str) -> None:
    assert [each.target for each in check_draft(draft, SUBSCRIPTION)] == [target]


def test_everything_is_told_at_once() -> None:
    wrong = RoleDraft("", "", (Permission(("x", "y")),), ())
    assert len(check_draft(wrong, SUBSCRIPTION)) == 4
