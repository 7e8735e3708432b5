"""Whether a principal may perform an action at a scope, and through which assignments.

Every assignment that gives it is named, a group's with the group; when there is none, the
roles that would give it, the least powerful first. What is not here: who may ask.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import datetime

from bascule.domain.access import PrincipalKind
from bascule.domain.actions import DISPLAY
from bascule.domain.roles import RoleDefinition, roles_giving
from bascule.domain.scopes import Scope
from bascule.errors import InvalidInput, NotFound
from bascule.sentences import sentence
from bascule.services.assignments import (
    AssignmentView,
    principal_with_groups,
    view_of,
)
from bascule.services.principal_rights import known_name
from bascule.services.rights import RightsReads, all_roles, find_role, is_enabled
from bascule.services.roles import is_offered

MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Finding:
    principal_id: str
    principal_name: str
    is_enabled: bool  # a disabled principal may do nothing, whatever it holds
    action: str
    scope: Scope
    paths: tuple[AssignmentView, ...]  # that give it there; the principal's own and its groups'
    holds: tuple[AssignmentView, ...]  # everything else that it holds there
    would_give: tuple[RoleDefinition, ...]  # when nothing gives it

    @property
    def is_allowed(self) -> bool:
        return self.is_enabled and bool(self.paths)


def check_access(
    reader: RightsReads, principal_id: str, scope: Scope, action: str, now: datetime
) -> Finding:
    """Raise NotFound for a principal that is not there."""
    kind = reader.principal_kind(principal_id)
    if kind is None:
        raise NotFound(
            sentence(
                "Principal {principal_id} does not exist here.", principal_id=principal_id[:64]
            ),
            code="PrincipalNotFound",
            advice="To list principals: bascule user list, bascule group list, bascule sp list",
        )
    paths: list[AssignmentView] = []
    rest: list[AssignmentView] = []
    for each in reader.role_assignments_of(principal_with_groups(reader, principal_id, now)):
        role = find_role(reader, each.role_id)
        if role is not None and each.scope.contains(scope):
            (paths if role.allows(action) else rest).append(view_of(reader, each))
    offered = [role for role in all_roles(reader) if is_offered(role, scope)]
    return Finding(
        principal_id,
        known_name(reader, principal_id),
        kind is PrincipalKind.GROUP or is_enabled(reader, principal_id),
        action,
        scope,
        tuple(paths),
        tuple(rest),
        () if paths else roles_giving(action, offered)[:MOST_NAMED],
    )


def known_action(text: str) -> str:
    """The action in its own spelling; raise InvalidInput with the nearest for one that is none."""
    folded = {action.casefold(): action for action in DISPLAY}
    wanted = text.strip().casefold()
    if wanted in folded:
        return folded[wanted]
    near = difflib.get_close_matches(wanted, folded, MOST_NAMED, 0.4)
    meant = ", ".join(folded[each] for each in near)
    raise InvalidInput(
        sentence("{text} is not an action that Bascule uses.", text=repr(text[:100])),
        code="UnknownAction",
        target="action",
        advice=sentence("Did you mean: {meant}?", meant=meant) if meant else "",
    )
