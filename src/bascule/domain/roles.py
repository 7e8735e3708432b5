"""Azure's role-based access control: definitions, assignments, and what they add up to.

Source: Azure RBAC (CONTRACT 6.4). A permission allows what an action pattern of it matches
and no notAction pattern of it does; several permissions and roles add up, and nothing is
denied but by not being allowed. ``*`` in a pattern stands for any characters, slashes too;
case is ignored.

Our one sharpening (EDGES B1): ``A/*/read`` also gives ``A/read``, because the published
roles are written so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from bascule.domain.access import PrincipalKind
from bascule.domain.actions import DATA_ACTIONS
from bascule.domain.scopes import Scope

_DATA_ACTIONS = frozenset(each.casefold() for each in DATA_ACTIONS)


@dataclass(frozen=True, slots=True)
class Permission:
    """What one entry of a role allows. Most data actions are kept for the wire alone: ours are
    ``DATA_ACTIONS``.
    """

    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()

    def allows(self, action: str) -> bool:
        if action.casefold() in _DATA_ACTIONS:
            return _matches_any(self.data_actions, action) and not _matches_any(
                self.not_data_actions, action
            )
        return _matches_any(self.actions, action) and not _matches_any(self.not_actions, action)


@dataclass(frozen=True, slots=True)
class RoleDefinition:
    id: str  # GUID, lower case
    name: str
    description: str
    is_builtin: bool
    permissions: tuple[Permission, ...]
    assignable_scopes: tuple[Scope, ...]
    created_at: datetime | None = None  # None: built in
    updated_at: datetime | None = None
    created_by: str = ""  # principal id
    updated_by: str = ""

    def allows(self, action: str) -> bool:
        return any(permission.allows(action) for permission in self.permissions)


@dataclass(frozen=True, slots=True)
class RoleAssignment:
    id: str  # GUID, lower case
    scope: Scope
    role_id: str
    principal_id: str
    principal_kind: PrincipalKind
    description: str
    created_at: datetime
    created_by: str  # principal id; empty: the system


@dataclass(frozen=True, slots=True)
class Right:
    """One role held at one scope, by oneself or by a group."""

    scope_key: str
    role: RoleDefinition


@dataclass(frozen=True, slots=True)
class Rights:
    """All that one caller holds: what may it do, and where?

    Each question is as dear as a scope is deep, however many scopes are held.
    """

    held: tuple[Right, ...] = ()
    _roles: Mapping[str, Sequence[RoleDefinition]] = field(init=False, repr=False, compare=False)
    _above: frozenset[str] = field(init=False, repr=False, compare=False)  # and those held

    def __post_init__(self) -> None:
        roles: defaultdict[str, list[RoleDefinition]] = defaultdict(list)
        for right in self.held:
            roles[right.scope_key].append(right.role)
        object.__setattr__(self, "_roles", dict(roles))
        object.__setattr__(self, "_above", frozenset(up for key in roles for up in _upward(key)))

    def may(self, action: str, scope: Scope) -> bool:
        return self.may_at(action, scope.key)

    def may_at(self, action: str, scope_key: str) -> bool:
        """The same for a scope in key form, as lists ask it for each row."""
        return any(
            role.allows(action)
            for above in _upward(scope_key)
            for role in self._roles.get(above, ())
        )

    def may_anywhere(self, action: str) -> bool:
        return any(role.allows(action) for role in self._each_role())

    def held_at(self, scope_key: str) -> bool:
        """Is there any role at this scope or above?"""
        return any(above in self._roles for above in _upward(scope_key))

    def is_told_of(self, action: str, scope_key: str) -> bool:
        """May the caller know that this scope is there: by the action, or by a role at it or
        below, as Azure shows a resource group to whoever holds something in it?
        """
        return self.may_at(action, scope_key) or scope_key in self._above

    def reach(self, *actions: str) -> Reach:
        """Where one of them may be done, for lists that ask it of many rows."""
        able = {role.id for role in self._each_role() if any(map(role.allows, actions))}
        keys = {right.scope_key for right in self.held if right.role.id in able}
        return Reach(frozenset(key for key in keys if not _has_above(key, keys)))

    def _each_role(self) -> Iterable[RoleDefinition]:
        return {right.role.id: right.role for right in self.held}.values()


NO_RIGHTS = Rights()


@dataclass(frozen=True, slots=True)
class Reach:
    """The scopes at which one action is held; none of them lies below another."""

    keys: frozenset[str]  # in key form

    def covers(self, scope_key: str) -> bool:
        """As dear as the scope is deep, however many scopes are held."""
        return scope_key in self.keys or _has_above(scope_key, self.keys)

    def meet(self, other: Reach) -> Reach:
        """The scopes that lie within both."""
        return Reach(
            frozenset(key for key in self.keys if other.covers(key))
            | frozenset(key for key in other.keys if self.covers(key))
        )


def _has_above(scope_key: str, keys: Collection[str]) -> bool:
    return any(above in keys for above in _upward(scope_key) if above != scope_key)


def _upward(scope_key: str) -> Iterator[str]:
    """It and every scope above it, the root last."""
    above = scope_key
    while above:
        yield above
        above = above.rpartition("/")[0]
    yield ""


def rights_from(
    assignments: Iterable[RoleAssignment], definitions: Iterable[RoleDefinition]
) -> Rights:
    """What these assignments give; one of a role that is not there gives nothing."""
    known = {definition.id: definition for definition in definitions}
    return Rights(
        tuple(
            Right(assignment.scope.key, known[assignment.role_id])
            for assignment in assignments
            if assignment.role_id in known
        )
    )


def roles_giving(action: str, definitions: Sequence[RoleDefinition]) -> tuple[RoleDefinition, ...]:
    """Those that allow it, the least powerful first: by patterns that match everything, then
    by how many there are, then by name.
    """
    able = [definition for definition in definitions if definition.allows(action)]
    return tuple(sorted(able, key=_power))


def _power(definition: RoleDefinition) -> tuple[int, int, str]:
    patterns = [pattern for each in definition.permissions for pattern in each.actions]
    return patterns.count("*"), len(patterns), definition.name


def _matches_any(patterns: Iterable[str], action: str) -> bool:
    folded = action.casefold()
    return any(_covers(pattern, folded) for pattern in patterns)


def matches(pattern: str, action: str) -> bool:
    """Does an action pattern cover this action? The time is linear in the two lengths times the
    number of stars: roles are written by people, and checked while everybody waits.
    """
    return _covers(pattern, action.casefold())


def _covers(pattern: str, folded: str) -> bool:
    return any(_fits(parts, folded) for parts in _parted(pattern))


def _fits(parts: tuple[str, ...], text: str) -> bool:
    """Does ``text`` consist of the parts, in order, with anything between two of them?"""
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return text == first
    at, end = len(first), len(text) - len(last)
    if end < at or not text.startswith(first) or not text.endswith(last):
        return False
    for part in parts[1:-1]:  # the leftmost place of each leaves most room for the next
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


@lru_cache(maxsize=4096)
def _parted(pattern: str) -> tuple[tuple[str, ...], ...]:
    """What stands between its stars; of ``A/*/read`` once more without the star."""
    folded = pattern.casefold()
    texts = [folded]
    if folded.endswith("/*/read"):
        texts.append(folded.removesuffix("/*/read") + "/read")
    return tuple(tuple(text.split("*")) for text in texts)
