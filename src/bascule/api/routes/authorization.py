"""Microsoft.Authorization: who may do what, as Azure's clients ask and say it (CONTRACT 6.4).

Each is served at the subscription, a resource group and a resource. Which scope a path
means is said once, by ``Call.scope``: what is checked there and what is written are one.

An assignment is shown to whoever may read assignments where it was made, or at the path's
scope when it holds there from above; one's own always.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response, params

from bascule.api.arm_call import AUTHORIZATION, path_of
from bascule.api.auth import Call, CurrentCall, GuardedRoute
from bascule.api.entries import Endpoint, requires, shows, tells_holders
from bascule.api.envelope import CompactJson
from bascule.api.filters import HOLDS, HOLDS_FOR, Clause, parse_filter
from bascule.api.paging import WantedPage, page_json
from bascule.api.paths import GROUP, SUBSCRIPTION, group_of
from bascule.api.wire import authorization as wire
from bascule.domain.actions import (
    ASSIGNMENT_DELETE,
    ASSIGNMENT_READ,
    ASSIGNMENT_WRITE,
    OPERATION_READ,
    PERMISSION_READ,
    ROLE_DELETE,
    ROLE_READ,
    ROLE_WRITE,
    SERVICE_PRINCIPAL_READ,
)
from bascule.domain.ids import is_guid
from bascule.domain.roles import RoleAssignment, RoleDefinition
from bascule.domain.scopes import Scope, is_below, subscription_scope
from bascule.errors import InvalidInput
from bascule.interfaces.store import Reader, Transaction
from bascule.services.act import Act
from bascule.services.assignments import (
    AssignmentView,
    delete_assignment,
    find_assignment,
    list_assignments,
    no_assignment,
    principal_with_groups,
    put_assignment,
    view_of,
)
from bascule.services.owners import ending_credentials
from bascule.services.rights import all_roles
from bascule.services.roles import (
    delete_role,
    is_offered,
    known_role,
    may_read,
    no_role,
    put_role,
)

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

ROOT = f"/providers/{AUTHORIZATION}"
RESOURCE = f"{GROUP}/providers/{{resource:path}}"
_ROLE_FILTER = (("roleName", "eq"), ("type", "eq"), ("atScopeAndBelow", HOLDS))
_ASSIGNMENT_FILTER = (
    ("principalId", "eq"),
    ("atScope", HOLDS),
    ("assignedTo", HOLDS_FOR),
)

FilterText = Annotated[str, Query(alias="$filter", max_length=2000)]
RoleGuid = Annotated[str, Path(max_length=64, json_schema_extra={"format": "uuid"})]


async def resource_of(resource: Annotated[str, Path(max_length=500)]) -> None:
    """The resource in a path, which the scope has whole; this describes it."""


ABOVE: Mapping[str, list[params.Depends]] = {
    SUBSCRIPTION: [],
    GROUP: [Depends(group_of)],
    RESOURCE: [Depends(group_of), Depends(resource_of)],
}


def _everywhere(
    method: Callable[..., Callable[[Endpoint], Endpoint]], tail: str
) -> Callable[[Endpoint], Endpoint]:
    """Serve one endpoint at every kind of scope."""

    def register(endpoint: Endpoint) -> Endpoint:
        for above, described in ABOVE.items():
            method(f"{above}{ROOT}/{tail}", dependencies=described)(endpoint)
        return endpoint

    return register


async def scope_of(call: CurrentCall) -> Scope:
    """The path's scope; raise InvalidInput when what stands before our part is none."""
    scope = call.scope
    path = path_of(call.request)
    rest = path.removeprefix(scope.text)
    if not rest.startswith(f"{ROOT}/") or rest.count("/providers/") > 1:
        raise InvalidInput(
            f"{path[:200]!r}: the part before {ROOT} is not a scope. A scope is "
            f"/subscriptions/<guid>, a resource group in it, or a resource's full id.",
            code="InvalidScope",
        )
    return Scope.parse(scope.text)


AtScope = Annotated[Scope, Depends(scope_of)]


# -- role definitions --------------------------------------------------------------------


@router.get(f"{ROOT}/roleDefinitions")
@shows(ROLE_READ)
async def list_roles_of_all(
    call: CurrentCall, wanted: WantedPage, filter_text: FilterText = ""
) -> Response:
    """All roles that the caller may read, wherever they can be assigned."""
    return await _list_roles(call, wanted, filter_text, None)


@_everywhere(router.get, "roleDefinitions")
@shows(ROLE_READ)
async def list_roles(
    call: CurrentCall, scope: AtScope, wanted: WantedPage, filter_text: FilterText = ""
) -> Response:
    """Roles that can be assigned at the scope or, with atScopeAndBelow(), below it."""
    return await _list_roles(call, wanted, filter_text, scope)


async def _list_roles(
    call: Call, wanted: WantedPage, filter_text: str, scope: Scope | None
) -> Response:
    clauses = parse_filter(filter_text, _ROLE_FILTER)
    with_below = any(clause.field == "atScopeAndBelow" for clause in clauses)
    after = wanted.texts_after() or ("", "")

    def read(reader: Reader) -> list[RoleDefinition]:
        found = (
            role
            for role in all_roles(reader)
            if may_read(call.rights, role)
            and (scope is None or is_offered(role, scope, with_below=with_below))
            and all(_fits(role, clause) for clause in clauses)
            and _place(role) > after
        )
        return [role for role, _ in zip(found, range(wanted.limit), strict=False)]

    subscription = "" if scope is None else call.subscription_id
    found = await call.read(read)
    return CompactJson(
        page_json(call, wanted, found, lambda role: wire.role_json(subscription, role), _place)
    )


def _place(role: RoleDefinition) -> tuple[str, str]:
    return role.name.casefold(), role.id


def _fits(role: RoleDefinition, clause: Clause) -> bool:
    wanted = clause.value.casefold()
    if clause.field == "roleName":
        return role.name.casefold() == wanted
    kind = wire.BUILT_IN if role.is_builtin else wire.CUSTOM
    return clause.field != "type" or kind.casefold() == wanted


@router.get(f"{ROOT}/roleDefinitions/{{role_id}}")
@shows(ROLE_READ)
async def get_role_of_all(call: CurrentCall, role_id: RoleGuid) -> Response:
    return CompactJson(wire.role_json("", await _find_role(call, role_id)))


@_everywhere(router.get, "roleDefinitions/{role_id}")
@shows(ROLE_READ)
async def get_role(call: CurrentCall, scope: AtScope, role_id: RoleGuid) -> Response:
    role = await _find_role(call, role_id)
    if not is_offered(role, scope, with_below=True):
        raise no_role(role_id)
    return CompactJson(wire.role_json(call.subscription_id, role))


async def _find_role(call: Call, role_id: str) -> RoleDefinition:
    """Raises NotFound for one that the caller may not see, as for one that is not there."""
    role = await call.read(lambda reader: known_role(reader, role_id))
    if not may_read(call.rights, role):
        raise no_role(role_id)
    return role


@_everywhere(router.put, "roleDefinitions/{role_id}")
@requires(ROLE_WRITE)
async def write_role(
    call: CurrentCall, scope: AtScope, role_id: RoleGuid, body: wire.RoleBody
) -> Response:
    """Answers 201 whether the role is new or not, as Azure's clients expect."""
    _check_guid(role_id, "role definition")
    draft = wire.read_role(body)
    if not any(scope.contains(each) or each.contains(scope) for each in draft.assignable_scopes):
        raise InvalidInput(
            f"None of the assignable scopes is {scope}, or above or below it.",
            code="InvalidAssignableScopes",
            target="properties.assignableScopes",
        )
    role, _ = await call.perform(
        lambda tx, act: put_role(tx, act, call.subject, role_id.lower(), draft)
    )
    return CompactJson(wire.role_json(call.subscription_id, role), 201)


@_everywhere(router.delete, "roleDefinitions/{role_id}")
@requires(ROLE_DELETE)
async def remove_role(call: CurrentCall, scope: AtScope, role_id: RoleGuid) -> Response:
    gone = await call.perform(
        lambda tx, act: delete_role(tx, act, call.subject, role_id.lower(), scope)
    )
    if gone is None:
        return Response(status_code=204)
    return CompactJson(wire.role_json(call.subscription_id, gone))


# -- role assignments --------------------------------------------------------------------


@_everywhere(router.get, "roleAssignments")
@shows(ASSIGNMENT_READ)
async def list_role_assignments(
    call: CurrentCall, scope: AtScope, wanted: WantedPage, filter_text: FilterText = ""
) -> Response:
    """Assignments that apply at the scope and, without atScope(), below it."""
    clauses = parse_filter(filter_text, _ASSIGNMENT_FILTER)
    with_below = all(clause.field != "atScope" for clause in clauses)
    after, now, me = wanted.text_after(), call.now, call.subject.principal_id

    def read(reader: Reader) -> Sequence[AssignmentView]:
        mine = frozenset(principal_with_groups(reader, me, now))

        def is_shown(assignment: RoleAssignment) -> bool:
            return assignment.principal_id in mine or _may_see(call, scope, assignment)

        principals = _principals(reader, call, clauses)
        return list_assignments(
            reader, scope, is_shown, principals, after, wanted.limit, with_below=with_below
        )

    return CompactJson(
        page_json(
            call,
            wanted,
            await call.read(read),
            lambda view: wire.assignment_json(call.subscription_id, view),
            lambda view: (view.assignment.id,),
        )
    )


def _may_see(call: Call, at: Scope, assignment: RoleAssignment) -> bool:
    if assignment.scope.contains(at):  # it holds at the path's scope: read it there
        return call.rights.may(ASSIGNMENT_READ, at)
    return call.rights.may(ASSIGNMENT_READ, assignment.scope)


def _principals(reader: Reader, call: Call, clauses: Sequence[Clause]) -> Sequence[str] | None:
    """Those whose assignments are asked for; None is everybody's."""
    found: set[str] | None = None
    for clause in clauses:
        if clause.field == "atScope":
            continue
        if not is_guid(clause.value):
            raise InvalidInput(
                f"$filter: {clause.value[:80]!r} is not a principal's id, which is a GUID.",
                code="InvalidFilter",
                target="$filter",
            )
        wanted = {clause.value.lower()}
        if clause.field == "assignedTo":
            wanted |= set(principal_with_groups(reader, clause.value, call.now))
        found = wanted if found is None else found & wanted
    return None if found is None else sorted(found)


@_everywhere(router.get, "roleAssignments/{assignment_id}")
@shows(ASSIGNMENT_READ)
async def get_role_assignment(
    call: CurrentCall, scope: AtScope, assignment_id: RoleGuid
) -> Response:
    now, me = call.now, call.subject.principal_id
    is_readable = call.rights.may(ASSIGNMENT_READ, scope)

    def read(reader: Reader) -> AssignmentView:
        view = find_assignment(reader, assignment_id, scope)
        if not is_readable:
            mine = principal_with_groups(reader, me, now)
            if view.assignment.principal_id not in mine:
                raise no_assignment(assignment_id, scope)  # as one that is not there
        return view

    return CompactJson(wire.assignment_json(call.subscription_id, await call.read(read)))


@_everywhere(router.put, "roleAssignments/{assignment_id}")
@requires(ASSIGNMENT_WRITE)
async def write_role_assignment(
    call: CurrentCall, scope: AtScope, assignment_id: RoleGuid, body: wire.AssignmentBody
) -> Response:
    _check_guid(assignment_id, "role assignment")
    draft = wire.read_assignment(body, call.subscription_id)

    def work(tx: Transaction, act: Act) -> tuple[AssignmentView, bool]:
        made, is_new = put_assignment(tx, act, call.subject, assignment_id, scope, draft)
        return view_of(tx, made), is_new

    view, is_new = await call.perform(work)
    return CompactJson(wire.assignment_json(call.subscription_id, view), 201 if is_new else 200)


@_everywhere(router.delete, "roleAssignments/{assignment_id}")
@requires(ASSIGNMENT_DELETE)
async def remove_role_assignment(
    call: CurrentCall, scope: AtScope, assignment_id: RoleGuid
) -> Response:
    """Grants that depend on it end at once."""

    def work(tx: Transaction, act: Act) -> dict[str, Any] | None:
        found = tx.role_assignment(assignment_id)
        told = None if found is None else view_of(tx, found)
        gone = delete_assignment(tx, act, assignment_id, scope)
        if gone is None or told is None:
            return None
        return wire.assignment_json(call.subscription_id, told)

    gone = await call.perform(work)
    return Response(status_code=204) if gone is None else CompactJson(gone)


def _check_guid(text: str, what: str) -> None:
    if not is_guid(text):
        raise InvalidInput(
            f"{text[:80]!r} is not a valid name of a {what}. Use a GUID.",
            code="InvalidResourceName",
            advice="To make one: uuidgen",
        )


# -- what one may do, and what there is to do ---------------------------------------------


@_everywhere(router.get, "permissions")
@tells_holders(PERMISSION_READ)
async def list_permissions(call: CurrentCall, scope: AtScope) -> Response:
    """The caller's permissions at the scope, one entry for each permission of a role."""
    held = [
        permission
        for right in call.rights.held
        if is_below(scope.key, right.scope_key)
        for permission in right.role.permissions
    ]
    return CompactJson({"value": [wire.permission_json(each) for each in dict.fromkeys(held)]})


@router.get(f"{ROOT}/providerOperations")
@tells_holders(OPERATION_READ)
async def list_operations(call: CurrentCall) -> Response:  # noqa: ARG001  # reason: guarded as all are
    return CompactJson({"value": [wire.operations_json(name) for name in wire.namespaces()]})


@router.get(f"{ROOT}/providerOperations/{{namespace}}")
@tells_holders(OPERATION_READ)
async def get_operations(call: CurrentCall, namespace: str) -> Response:  # noqa: ARG001  # reason: as above
    return CompactJson(wire.operations_json(namespace))


@router.get(f"{SUBSCRIPTION}/providers/Bascule.Identity/ownerCredentials")
@shows(SERVICE_PRINCIPAL_READ)
async def list_ending_owner_credentials(call: CurrentCall) -> Response:
    """Owners' credentials that expire within 14 days (EDGES B10)."""
    if not call.rights.may(SERVICE_PRINCIPAL_READ, subscription_scope(call.subscription_id)):
        return CompactJson({"value": []})
    now = call.now
    found = await call.read(lambda reader: ending_credentials(reader, now))
    return CompactJson({"value": [wire.ending_credential_json(each) for each in found]})
