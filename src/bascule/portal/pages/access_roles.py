"""Access control: roles, built-in and custom; what each allows; custom ones written and deleted."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import shows
from bascule.domain.actions import ASSIGNMENT_READ, DISPLAY, ROLE_DELETE, ROLE_READ, ROLE_WRITE
from bascule.domain.role_draft import RoleDraft
from bascule.domain.roles import Permission, RoleDefinition, matches
from bascule.domain.scopes import Scope
from bascule.errors import Conflict
from bascule.interfaces.store import Reader
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.iam import (
    ACCESS,
    lines,
    perform_at,
    show_tab,
    whole,
)
from bascule.portal.plain_forms import Field, Form, add_form
from bascule.sentences import sentence
from bascule.services import roles
from bascule.services.act import new_id
from bascule.services.rights import all_roles

router = APIRouter(route_class=PortalRoute)

ROLES = f"{ACCESS}/roles"


@router.get(ROLES)
@shows(ROLE_READ)
async def list_roles(visit: CurrentVisit) -> Response:
    """The roles that the visitor may read; their own always."""
    found = await visit.read(
        lambda reader: [each for each in all_roles(reader) if roles.may_read(visit.rights, each)]
    )
    found.sort(key=lambda each: (each.is_builtin, each.name.casefold()))
    return show_tab(
        visit,
        ROLES,
        "access_roles.html",
        roles=found,
        why_not_add=visit.why_not(ROLE_WRITE, whole(visit)),
    )


def _why_not(visit: Visit, action: str, role: RoleDefinition) -> str:
    """Why a custom role may not be changed: it takes the right at every assignable scope."""
    if role.is_builtin:
        return str(visit.words("Built-in roles cannot be changed; copy it to a new one."))
    if action == ROLE_WRITE and not _is_plain(role):
        return str(
            visit.words(
                "It has several permissions or data actions, which this form cannot keep; use the"
                " API, or az role definition update."
            )
        )
    reasons = (visit.why_not(action, scope) for scope in role.assignable_scopes)
    return next((each for each in reasons if each), "")


def _is_plain(role: RoleDefinition) -> bool:
    """Can the form say it: one permission, and no data actions?"""
    return len(role.permissions) == 1 and not any(
        each.data_actions or each.not_data_actions for each in role.permissions
    )


def _meaning(pattern: str) -> str:
    """What an action is, or how many a pattern stands for."""
    if pattern in DISPLAY:
        return DISPLAY[pattern]
    return str(sum(matches(pattern, action) for action in DISPLAY))


async def _known(visit: Visit) -> RoleDefinition:
    return await _find(visit, str(visit.request.path_params["role_id"]))


async def _find(visit: Visit, role_id: str) -> RoleDefinition:
    """Raise NotFound for one that the visitor may not see, as for one that is not there."""
    role = await visit.read(lambda reader: roles.known_role(reader, role_id))
    if not roles.may_read(visit.rights, role):
        raise roles.no_role(role_id)
    return role


async def _plain(visit: Visit) -> RoleDefinition:
    """As ``_known``; raise Conflict for one that this form would write otherwise than it is."""
    role = await _known(visit)
    if not _is_plain(role):
        raise Conflict(
            sentence(
                "Role '{role}' has several permissions or data actions, which this form "
                "cannot keep.",
                role=role.name,
            ),
            code="RoleNotPlain",
            advice="Change it with the API, or: az role definition update --role-definition FILE",
        )
    return role


async def _like(visit: Visit) -> RoleDefinition | None:
    """The role that a new one is made after."""
    copied = visit.request.query_params.get("copy", "")
    return await _find(visit, copied) if copied else None


async def _add(visit: Visit, _: RoleDefinition | None) -> Response:
    return await _write(visit, new_id())


async def _edit(visit: Visit, role: RoleDefinition) -> Response:
    return await _write(visit, role.id)


async def _write(visit: Visit, role_id: str) -> Response:
    """Every problem at once; the right is asked for at each assignable scope."""
    form = visit.form
    scopes = tuple(Scope.parse(each, "scopes") for each in lines(form.text("scopes")))
    permission = Permission(lines(form.text("actions")), lines(form.text("not_actions")))
    draft = RoleDraft(form.text("name"), form.text("description"), (permission,), scopes)
    await visit.perform(lambda tx, act: roles.put_role(tx, act, visit.subject, role_id, draft))
    return visit.go(f"{ROLES}/{role_id}", "saved")


def _add_form(visit: Visit, like: RoleDefinition | None) -> Form:
    return _role_form(visit, "", like)


def _edit_form(visit: Visit, role: RoleDefinition) -> Form:
    return _role_form(visit, role.id, role)


def _role_form(visit: Visit, role_id: str, like: RoleDefinition | None) -> Form:
    t = visit.words
    said = _said(visit, like, is_copy=not role_id)
    fields = (
        Field("name", t("Name"), said["name"], is_required=True, longest=128),
        Field("description", t("Description"), said["description"], longest=1024),
        Field(
            *("actions", t("Actions"), said["actions"], "textarea"),
            hint=t(
                "One per line, as in Microsoft.Compute/virtualMachines/read; * stands for anything."
            ),
            options=[(each, t.pgettext("action", said)) for each, said in sorted(DISPLAY.items())],
            is_required=True,
        ),
        Field(
            *("not_actions", t("Except"), said["not_actions"], "textarea"),
            hint=t("Taken from the actions above; no ban: another role may give them."),
        ),
        Field(
            *("scopes", t("Assignable scopes"), said["scopes"], "textarea"),
            hint=t("Where it may be assigned; one a line."),
            is_required=True,
        ),
    )
    return Form(
        t("Edit role") if role_id else t("New custom role"),
        t("Save"),
        f"{ROLES}/{role_id}" if role_id else ROLES,
        fields,
        effects=[
            t(
                "The change applies to everybody who has the role. Access that rests on a removed"
                " right closes as soon as its agent knows."
            )
        ]
        if role_id
        else (),
    )


def _said(visit: Visit, like: RoleDefinition | None, *, is_copy: bool) -> Mapping[str, str]:
    """What the form begins with; several permissions of a role are written as one."""
    if like is None:
        blank = dict.fromkeys(("name", "description", "actions", "not_actions"), "")
        return {**blank, "scopes": str(whole(visit))}
    scopes = [str(whole(visit))] if like.is_builtin else map(str, like.assignable_scopes)
    return {
        "name": "" if is_copy else like.name,
        "description": like.description,
        "actions": "\n".join(action for each in like.permissions for action in each.actions),
        "not_actions": "\n".join(
            action for each in like.permissions for action in each.not_actions
        ),
        "scopes": "\n".join(scopes),
    }


def _delete_form(visit: Visit, role: RoleDefinition) -> Form:
    t = visit.words
    return Form(
        t("Delete role"),
        t("Delete"),
        f"{ROLES}/{role.id}",
        effects=[
            t("The role {role} is deleted. Nobody may have it at that moment.", role=role.name)
        ],
        is_destructive=True,
        why_not=_why_not(visit, ROLE_DELETE, role),
    )


async def _delete(visit: Visit, role: RoleDefinition) -> Response:
    place = whole(visit) if role.is_builtin else role.assignable_scopes[0]
    await perform_at(
        visit,
        ROLE_DELETE,
        lambda tx, act: roles.delete_role(tx, act, visit.subject, role.id, place),
        place,
    )
    return visit.go(ROLES, "removed")


# Where a role may be written says the form; the use case asks for the right there.
add_form(
    *(router, f"{ROLES}/add", ROLE_WRITE, _like, _add_form, _add),
    is_kept=True,
    is_at_subscription=False,
)
add_form(
    *(router, f"{ROLES}/{{role_id}}/edit", ROLE_WRITE, _plain, _edit_form, _edit),
    is_kept=True,
    is_at_subscription=False,
)
add_form(
    *(router, f"{ROLES}/{{role_id}}/delete", ROLE_DELETE, _known, _delete_form, _delete),
    is_at_subscription=False,
)


# -- one, whose path would take /add too ---------------------------------------------------------


@router.get(f"{ROLES}/{{role_id}}")
@shows(ROLE_READ)
async def show_role(visit: CurrentVisit) -> Response:
    role = await _known(visit)
    place = whole(visit)

    def read(reader: Reader) -> int | None:
        held = reader.role_assignments_with(role.id)
        return len(held) if visit.may(ASSIGNMENT_READ, place) else None

    return show_tab(
        visit,
        ROLES,
        "access_role.html",
        role=role,
        holders=await visit.read(read),
        allowed=[action for action in DISPLAY if role.allows(action)],
        display=DISPLAY,
        meaning=_meaning,
        why_not_write=_why_not(visit, ROLE_WRITE, role),
        why_not_delete=_why_not(visit, ROLE_DELETE, role),
        why_not_add=visit.why_not(ROLE_WRITE, place),
    )
