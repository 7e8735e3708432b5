"""Does one set of rights hold all that another holds? (EDGES B4)

The answer is about patterns, not about the actions that exist today: what a later version
adds must not turn yesterday's yes into a mistake. It is sound and not complete: when two
patterns cannot be told to be apart or inside each other, the answer is no. Two roles that
only together hold as much as a third are not added up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bascule.domain.actions import ASSIGNMENT_WRITE
from bascule.domain.roles import Permission, Right, Rights, RoleDefinition, matches
from bascule.domain.scopes import is_below


def not_held(wanted: Rights, holder: Rights) -> tuple[Right, ...]:
    """Of ``wanted``, those that ``holder`` may lack; empty: it holds all of them for certain.

    A right counts where it is held at the same scope or above.
    """
    return tuple(right for right in wanted.held if not _holds(holder, right))


def _holds(holder: Rights, wanted: Right) -> bool:
    roles = [each.role for each in holder.held if is_below(wanted.scope_key, each.scope_key)]
    return is_within(wanted.role, roles)


def is_within(role: RoleDefinition, roles: Sequence[RoleDefinition]) -> bool:
    """Does each action and data action that ``role`` allows stand in one of ``roles`` for certain?"""
    if any(each.id == role.id for each in roles):
        return True
    held = [permission for each in roles for permission in each.permissions]
    is_held = all(
        any(_covers(each, pattern, permission.not_actions) for each in held)
        for permission in role.permissions
        for pattern in _spellings(permission.actions)
    )
    # Whoever may assign roles there may take one with any data action.
    return is_held and (
        any(each.allows(ASSIGNMENT_WRITE) for each in held)
        or all(
            any(
                _covers(_of_kind(each, True), pattern, permission.not_data_actions) for each in held
            )
            for permission in role.permissions
            for pattern in _spellings(permission.data_actions)
        )
    )


def added(before: RoleDefinition, after: RoleDefinition, held: Sequence[Permission]) -> list[str]:
    """Patterns of actions and data actions by which ``after`` may allow what neither ``before``
    nor one of the ``held`` permissions does; empty: it adds nothing for certain.

    A ``notAction`` that was taken away shows as the pattern that it was an exception of.
    """
    found: dict[str, None] = {}
    for is_data in (False, True):
        known = [_of_kind(each, is_data) for each in (*before.permissions, *held)]
        for permission in after.permissions:
            wanted = _of_kind(permission, is_data)
            for pattern in _spellings(wanted.actions):
                if not any(_covers(each, pattern, wanted.not_actions) for each in known):
                    found[pattern] = None
    return list(found)


def _of_kind(permission: Permission, is_data: bool) -> Permission:
    """Its data actions as if they were actions, or its actions alone."""
    if is_data:
        return Permission(permission.data_actions, permission.not_data_actions)
    return Permission(permission.actions, permission.not_actions)


def _covers(holder: Permission, pattern: str, exempt: Iterable[str]) -> bool:
    """Does ``holder`` allow all that ``pattern`` without ``exempt`` does?"""
    return any(matches(each, pattern) for each in holder.actions) and all(
        any(matches(each, excluded) for each in exempt) or _are_apart(pattern, excluded)
        for excluded in _spellings(holder.not_actions)
    )


def _spellings(patterns: Iterable[str]) -> Iterator[str]:
    """Each pattern folded, with what ``A/*/read`` gives besides (EDGES B1).

    A pattern that matches another's text, star and all, holds every action of it: a star in
    the text is met by a star alone.
    """
    for pattern in patterns:
        folded = pattern.casefold()
        yield folded
        if folded.endswith("/*/read"):
            yield folded.removesuffix("/*/read") + "/read"


def _are_apart(one: str, other: str) -> bool:
    """Is there no action that both match, for certain: do they begin or end otherwise?"""
    first, second = one.split("*"), other.split("*")
    if len(first) == len(second) == 1:
        return one != other
    return not (
        (first[0].startswith(second[0]) or second[0].startswith(first[0]))
        and (first[-1].endswith(second[-1]) or second[-1].endswith(first[-1]))
    )
