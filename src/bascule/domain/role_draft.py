"""A custom role as somebody writes it, and what is wrong with it.

Source: Azure custom roles: a name, a description, permissions, and at least one scope at
which the role may be assigned. An action pattern is ``*`` or whole segments of letters,
digits, ``.``, ``-`` and ``_``, in which ``*`` stands for any characters.

Bounds that are ours: a pattern has few stars, because each multiplies the time that a match
may take, and a role has so many patterns that a check stays cheap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bascule.domain.roles import Permission
from bascule.domain.scopes import Scope, is_below, subscription_scope
from bascule.errors import Problem
from bascule.sentences import sentence

LONGEST_NAME = 128
LONGEST_DESCRIPTION = 1024
MOST_PATTERNS = 300  # of one role, all lists together
MOST_SCOPES = 100
_LONGEST_PATTERN = 200
_MOST_STARS = 3
_PATTERN = re.compile(r"\*|[A-Za-z0-9.*_-]+(?:/[A-Za-z0-9.*_-]+)+")


@dataclass(frozen=True, slots=True)
class RoleDraft:
    name: str
    description: str
    permissions: tuple[Permission, ...]
    assignable_scopes: tuple[Scope, ...]


def check_draft(draft: RoleDraft, subscription_id: str) -> tuple[Problem, ...]:
    """Everything that is wrong with it; targets are JSON paths of Azure's role definition."""
    return (
        *_check_words(draft),
        *_check_permissions(draft),
        *_check_scopes(draft, subscription_id),
    )


def _check_words(draft: RoleDraft) -> Iterator[Problem]:
    if not draft.name.strip() or len(draft.name) > LONGEST_NAME or not draft.name.isprintable():
        yield Problem(
            "InvalidRoleName",
            sentence("A role's name has 1 to {most} printable characters.", most=LONGEST_NAME),
            "properties.roleName",
        )
    if len(draft.description) > LONGEST_DESCRIPTION:
        yield Problem(
            "InvalidRoleDescription",
            sentence(
                "A role's description has at most {most} characters.", most=LONGEST_DESCRIPTION
            ),
            "properties.description",
        )


def _check_permissions(draft: RoleDraft) -> Iterator[Problem]:
    patterns = list(_patterns(draft))
    if len(patterns) > MOST_PATTERNS:
        yield Problem(
            "TooManyActions",
            sentence(
                "A role has at most {most} actions in total; this one has {count}.",
                most=MOST_PATTERNS,
                count=len(patterns),
            ),
            "properties.permissions",
        )
        return
    if not any(each.actions or each.data_actions for each in draft.permissions):
        yield Problem(
            "MissingActions",
            "A role without an action allows nothing. Give at least one action.",
            "properties.permissions",
        )
    for target, pattern in patterns:
        if not is_pattern(pattern):
            yield Problem(
                "InvalidActionOrNotAction",
                sentence(
                    "{pattern} is not an action. An action has the form "
                    "Provider/type/verb, as in Microsoft.Compute/virtualMachines/read, "
                    "with at most {most} '*', or is a single '*'.",
                    pattern=repr(pattern[:80]),
                    most=_MOST_STARS,
                ),
                target,
            )


def is_pattern(text: str) -> bool:
    """Can this be an action, or a pattern of some?"""
    return (
        len(text) <= _LONGEST_PATTERN
        and text.count("*") <= _MOST_STARS
        and _PATTERN.fullmatch(text) is not None
    )


def _patterns(draft: RoleDraft) -> Iterator[tuple[str, str]]:
    """Every pattern with its JSON path."""
    for p, each in enumerate(draft.permissions):
        for name, patterns in (
            ("actions", each.actions),
            ("notActions", each.not_actions),
            ("dataActions", each.data_actions),
            ("notDataActions", each.not_data_actions),
        ):
            for i, pattern in enumerate(patterns):
                yield f"properties.permissions[{p}].{name}[{i}]", pattern


def _check_scopes(draft: RoleDraft, subscription_id: str) -> Iterator[Problem]:
    target = "properties.assignableScopes"
    whole = subscription_scope(subscription_id)
    if not 1 <= len(draft.assignable_scopes) <= MOST_SCOPES:
        yield Problem(
            "InvalidAssignableScopes",
            sentence(
                "A role has 1 to {most} assignable scopes, for example {whole}.",
                most=MOST_SCOPES,
                whole=whole,
            ),
            target,
        )
    for i, scope in enumerate(draft.assignable_scopes):
        if not is_below(scope.key, whole.key):
            yield Problem(
                "InvalidAssignableScopes",
                sentence(
                    "{scope} is not in this server's subscription, {whole}.",
                    scope=repr(str(scope)[:200]),
                    whole=whole,
                ),
                f"{target}[{i}]",
            )
