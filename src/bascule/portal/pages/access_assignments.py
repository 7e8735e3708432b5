"""Access control: role assignments at a scope, added and removed; may somebody do this there?

Shown are those that hold at the scope, those of above too; with ``below`` those below it. Who
may not read assignments sees their own, as in the API. *Check access* answers with the path.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import decides, shows
from bascule.domain.access import PrincipalKind
from bascule.domain.actions import (
    ASSIGNMENT_DELETE,
    ASSIGNMENT_READ,
    ASSIGNMENT_WRITE,
    DISPLAY,
    INITIATE,
)
from bascule.domain.roles import RoleAssignment
from bascule.domain.scopes import Scope
from bascule.errors import BasculeError, Conflict
from bascule.interfaces.store import Reader, Transaction
from bascule.portal.codes import text_of
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.iam import (
    ACCESS,
    PATHS,
    effect_on_ports,
    find_principal,
    open_ports,
    perform_at,
    places,
    require_in,
    show_tab,
    whole,
)
from bascule.portal.kept import comes_back
from bascule.portal.plain_forms import Field, Form, show_form
from bascule.portal.principal_pages import PAGE_SIZE
from bascule.services import assignments, check_access
from bascule.services.act import Act, new_id
from bascule.services.assignments import AssignmentDraft, AssignmentView, view_of
from bascule.services.rights import all_roles
from bascule.services.roles import is_offered, may_read

router = APIRouter(route_class=PortalRoute)


def _scope(visit: Visit, text: str) -> Scope:
    return Scope.parse(text, "scope") if text else whole(visit)


@router.get(ACCESS)
@shows(ASSIGNMENT_READ)
async def list_assignments(
    visit: CurrentVisit, scope: str = "", below: str = "", after: str = ""
) -> Response:
    place, now, me = _scope(visit, scope), visit.now, visit.subject.principal_id

    def read(reader: Reader) -> tuple[Sequence[AssignmentView], list[str]]:
        mine = frozenset(assignments.principal_with_groups(reader, me, now))

        def is_shown(each: RoleAssignment) -> bool:
            return each.principal_id in mine or _may_see(visit, place, each)

        found = assignments.list_assignments(
            reader, place, is_shown, None, after[:64], PAGE_SIZE + 1, with_below=bool(below)
        )
        return found, places(visit, reader)

    found, known = await visit.read(read)
    more = ""
    if len(found) > PAGE_SIZE:
        last = found[PAGE_SIZE - 1].assignment.id
        more = f"{ACCESS}?{urlencode({'scope': str(place), 'below': below, 'after': last})}"
    return show_tab(
        visit,
        ACCESS,
        "access_assignments.html",
        scope=place,
        below=bool(below),
        rows=found[:PAGE_SIZE],
        places=known,
        more=more,
        is_first=not after,
        principal_paths={str(kind): path for kind, path in PATHS.items()},
        why_not_add=visit.why_not(ASSIGNMENT_WRITE, place),
        why_not_remove=cache(lambda at: visit.why_not(ASSIGNMENT_DELETE, at)),
        is_partial=not visit.may(ASSIGNMENT_READ, place),
    )


def _may_see(visit: Visit, at: Scope, assignment: RoleAssignment) -> bool:
    if assignment.scope.contains(at):  # it holds here: read it here
        return visit.may(ASSIGNMENT_READ, at)
    return visit.may(ASSIGNMENT_READ, assignment.scope)


# -- adding -----------------------------------------------------------------------------------


@router.get(f"{ACCESS}/assignments/add")
@decides(ASSIGNMENT_WRITE)
async def ask_to_add(
    visit: CurrentVisit, scope: str = "", kind: str = "User", principal: str = "", role: str = ""
) -> Response:
    place = _scope(visit, scope)
    return await _add_form(visit, place, kind, principal, role)


@router.post(f"{ACCESS}/assignments/add")
@comes_back
@decides(ASSIGNMENT_WRITE)
async def add(visit: CurrentVisit) -> Response:
    form = visit.form
    place = _scope(visit, form.text("scope"))
    kind, wanted, role = form.text("kind"), form.text("principal"), form.text("role")

    def work(tx: Transaction, act: Act) -> RoleAssignment:
        principal_id = find_principal(visit, tx, kind, wanted)
        draft = AssignmentDraft(role, principal_id, None, form.text("description"))
        made, _ = assignments.put_assignment(tx, act, visit.subject, new_id(), place, draft)
        return made

    try:
        await perform_at(visit, ASSIGNMENT_WRITE, work, place)
    except BasculeError as error:
        return await _add_form(visit, place, kind, wanted, role, error)
    return visit.go(f"{ACCESS}?{urlencode({'scope': str(place)})}", "assigned")


async def _add_form(
    visit: Visit,
    place: Scope,
    kind: str,
    principal: str,
    role: str,
    error: BasculeError | None = None,
) -> Response:
    t = visit.words

    def read(reader: Reader) -> tuple[list[tuple[str, str]], list[str]]:
        roles = [
            (each.id, each.name)
            for each in all_roles(reader)
            if may_read(visit.rights, each) and is_offered(each, place)
        ]
        return sorted(roles, key=lambda each: each[1].casefold()), places(visit, reader)

    roles, known = await visit.read(read)
    kinds = [(str(each), text_of(t, f"access.kind.{each}")) for each in PATHS]
    fields = (
        Field(
            *("role", t("Role"), role, "select"),
            options=[("", t("Choose a role")), *roles],
            is_required=True,
        ),
        Field("kind", t("Kind"), kind, "select", options=kinds),
        Field(
            *("principal", t("Name or ID"), principal),
            hint=t("The whole name, without regard to case, or the object ID."),
            is_required=True,
            longest=256,
        ),
        Field(
            *("scope", t("Scope"), str(place)),
            hint=t("The subscription, a resource group, or the whole ID of a machine or policy."),
            suggestions=known,
            is_required=True,
        ),
        Field("description", t("Description"), longest=1024),
    )
    form = Form(
        t("Add role assignment"),
        t("Assign"),
        f"{ACCESS}?{urlencode({'scope': str(place)})}",
        fields,
        lead=t("A role counts at its scope and everything below it, from the next request on."),
        why_not="" if error else visit.why_not(ASSIGNMENT_WRITE, place),
    )
    return show_form(visit, form, error)


# -- removing ---------------------------------------------------------------------------------


@router.get(f"{ACCESS}/assignments/{{assignment_id}}/remove")
@decides(ASSIGNMENT_DELETE)
async def ask_to_remove(visit: CurrentVisit, assignment_id: str) -> Response:
    return await _remove_form(visit, assignment_id)


@router.post(f"{ACCESS}/assignments/{{assignment_id}}/remove")
@decides(ASSIGNMENT_DELETE)
async def remove(visit: CurrentVisit, assignment_id: str) -> Response:
    view = await _known(visit, assignment_id)
    place = view.assignment.scope

    def work(tx: Transaction, act: Act) -> None:
        if assignments.delete_assignment(tx, act, assignment_id, place) is None:
            raise assignments.no_assignment(assignment_id, place)

    try:
        await perform_at(visit, ASSIGNMENT_DELETE, work, place)
    except Conflict as error:  # the last owner's
        return await _remove_form(visit, assignment_id, error)
    return visit.go(f"{ACCESS}?{urlencode({'scope': str(place)})}", "removed")


async def _known(visit: Visit, assignment_id: str) -> AssignmentView:
    """One that the visitor may see; raise NotFound, as for one that is not there."""

    def read(reader: Reader) -> AssignmentView:
        found = reader.role_assignment(assignment_id)
        mine = assignments.principal_with_groups(reader, visit.subject.principal_id, visit.now)
        if found is None or not (
            found.principal_id in mine or visit.may(ASSIGNMENT_READ, found.scope)
        ):
            raise assignments.no_assignment(assignment_id, whole(visit))
        return view_of(reader, found)

    return await visit.read(read)


async def _remove_form(
    visit: Visit, assignment_id: str, error: BasculeError | None = None
) -> Response:
    t, view = visit.words, await _known(visit, assignment_id)
    held = view.assignment

    def read(reader: Reader) -> int:
        ids = [held.principal_id]
        if held.principal_kind is PrincipalKind.GROUP:
            ids = [each.member_id for each in reader.members_of(held.principal_id)]
        return open_ports(reader, ids)

    ports = await visit.read(read)
    named = {
        "role": view.role_name or held.role_id,
        "principal": view.principal_name or held.principal_id,
        "scope": str(held.scope),
    }
    form = Form(
        t("Remove role assignment"),
        t("Remove"),
        f"{ACCESS}?{urlencode({'scope': str(held.scope)})}",
        effects=[
            t("{principal} no longer holds {role} at {scope}.", **named),
            effect_on_ports(visit, ports, is_partial=True),
        ],
        is_destructive=True,
        why_not=visit.why_not(ASSIGNMENT_DELETE, held.scope),
    )
    return show_form(visit, form, error)


# -- may somebody do this there? ----------------------------------------------------------------


@router.get(f"{ACCESS}/check")
@shows(ASSIGNMENT_READ)
async def check(
    visit: CurrentVisit,
    kind: str = "User",
    principal: str = "",
    scope: str = "",
    action: str = INITIATE,
) -> Response:
    """The answer with its path: by which assignment, of whom, where; else which roles would do."""
    error: BasculeError | None = None
    finding = None
    place = whole(visit)
    try:
        place = _scope(visit, scope)
        if principal:
            wanted = check_access.known_action(action)
            finding = await visit.read(
                lambda reader: _check(visit, reader, kind, principal, place, wanted)
            )
    except BasculeError as caught:
        error = caught
    known = await visit.read(lambda reader: places(visit, reader))
    response = show_tab(
        visit,
        "",
        "access_check.html",
        kinds=[str(each) for each in PATHS],
        kind=kind,
        principal=principal,
        scope=scope or str(place),
        places=known,
        action=action,
        actions=sorted(DISPLAY.items()),
        finding=finding,
        error=error,
    )
    response.status_code = error.http_status if error else 200
    return response


def _check(
    visit: Visit, reader: Reader, kind: str, principal: str, place: Scope, action: str
) -> check_access.Finding:
    principal_id = find_principal(visit, reader, kind, principal)
    if principal_id != visit.subject.principal_id:
        require_in(reader, visit, ASSIGNMENT_READ, place)
    return check_access.check_access(reader, principal_id, place, action, visit.now)
