"""``bascule role check``: may somebody do this there, and by which path? Pure."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from bascule.client.roles import Assignment
from bascule.domain.actions import DISPLAY
from bascule.domain.roles import RoleDefinition, matches, roles_giving
from bascule.domain.scopes import Scope
from bascule.errors import InvalidInput

MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """By which assignments it is allowed; if by none, which roles would give it."""

    paths: tuple[Assignment, ...]
    would_give: tuple[RoleDefinition, ...]  # the least powerful first


def check(
    action: str, scope: Scope, held: Sequence[Assignment], known: Sequence[RoleDefinition]
) -> Finding:
    by_id = {role.id: role for role in known}
    paths = tuple(
        each
        for each in held
        if each.scope.contains(scope)
        and each.role_id in by_id
        and by_id[each.role_id].allows(action)
    )
    offered = [
        role for role in known if any(each.contains(scope) for each in role.assignable_scopes)
    ]
    return Finding(paths, () if paths else roles_giving(action, offered)[:MOST_NAMED])


def known_action(text: str) -> str:
    """The action in its own spelling; raise InvalidInput with the nearest for one that is none."""
    folded = {action.casefold(): action for action in DISPLAY}
    if text.casefold() in folded:
        return folded[text.casefold()]
    near = difflib.get_close_matches(text.casefold(), folded, MOST_NAMED, 0.4)
    meant = ", ".join(folded[each] for each in near)
    raise InvalidInput(
        f"{text[:100]!r} is not an action that Bascule uses.",
        advice=f"Did you mean: {meant}?" if meant else "docs/roles.md lists them.",
    )


def unmatched(patterns: Sequence[str]) -> list[str]:
    """Patterns that match no action that anything here asks for."""
    return [
        pattern for pattern in patterns if not any(matches(pattern, action) for action in DISPLAY)
    ]
