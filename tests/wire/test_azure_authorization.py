"""The real azure-mgmt-authorization 4 against a running server.

Nothing is changed but endpoint, authority, scopes, ``disable_instance_discovery`` and the
CA (CLIENTS 2).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.authorization.v2022_04_01.models import (
    Permission,
    RoleAssignmentCreateParameters,
    RoleDefinition,
)

from bascule.domain.builtin_roles import BUILTIN_ROLES, OWNER, READER, SECURITY_ADMIN
from tests.wire.running import Server, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server")) as served:
        yield served


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    made = AuthorizationManagementClient(
        server.credential(), server.admin["subscription_id"], **server.pointing()
    )
    with made:
        yield made


@pytest.fixture(scope="module")
def machine(server: Server) -> str:
    identity = f"{server.group}/providers/Microsoft.Compute/virtualMachines/web-1"
    server.call("PUT", identity, {})
    return identity


@pytest.fixture
def somebody(server: Server) -> str:
    """The id of a service principal."""
    path = f"/subscriptions/{server.admin['subscription_id']}/providers/Bascule.Identity"
    body = {"properties": {"displayName": f"ci-{uuid.uuid4()}"}}
    return str(server.call("POST", f"{path}/servicePrincipals", body)["name"])


def role_id(server: Server, guid: str) -> str:
    subscription = f"/subscriptions/{server.admin['subscription_id']}"
    return f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/{guid}"


def test_definitions_are_listed_and_found(server: Server, client: Any) -> None:
    scope = f"/subscriptions/{server.admin['subscription_id']}"
    listed = list(client.role_definitions.list(scope))
    assert {each.role_name for each in listed} >= {each.name for each in BUILTIN_ROLES}
    (reader,) = client.role_definitions.list(scope, filter="roleName eq 'Reader'")
    assert (reader.name, reader.role_type) == (READER.id, "BuiltInRole")
    assert reader.id == role_id(server, READER.id)
    assert reader.permissions[0].actions == ["*/read"]
    by_id = client.role_definitions.get_by_id(reader.id)
    assert by_id.role_name == client.role_definitions.get(server.group, READER.id).role_name
    with pytest.raises(ResourceNotFoundError):
        client.role_definitions.get(scope, str(uuid.uuid4()))


def test_a_custom_role_lives_its_whole_life(server: Server, client: Any) -> None:
    scope = f"/subscriptions/{server.admin['subscription_id']}"
    guid = str(uuid.uuid4())
    wanted = RoleDefinition(
        role_name=f"Role {guid}",
        description="They may look.",
        role_type="CustomRole",
        permissions=[Permission(actions=["*/read"], not_actions=["Microsoft.Compute/*/read"])],
        assignable_scopes=[scope],
    )
    made = client.role_definitions.create_or_update(scope, guid, wanted)
    assert (made.name, made.role_type, made.assignable_scopes) == (guid, "CustomRole", [scope])
    made.description = "They may look on."
    changed = client.role_definitions.create_or_update(scope, guid, made)
    assert changed.description == "They may look on."
    assert changed.permissions[0].not_actions == ["Microsoft.Compute/*/read"]
    assert client.role_definitions.delete(scope, guid).name == guid
    assert client.role_definitions.delete(scope, guid) is None


def test_an_assignment_lives_its_whole_life(
    server: Server, client: Any, machine: str, somebody: str
) -> None:
    assignments = client.role_assignments
    wanted = RoleAssignmentCreateParameters(
        role_definition_id=role_id(server, READER.id),
        principal_id=somebody,
        principal_type="ServicePrincipal",
        description="to look at it",
    )
    guid = str(uuid.uuid4())
    made = assignments.create(machine, guid, wanted)
    assert made.scope == machine
    assert (made.principal_id, made.principal_type) == (somebody, "ServicePrincipal")
    assert made.description == "to look at it"
    assert assignments.create_by_id(made.id, wanted).id == made.id, "the same again"
    assert assignments.get(machine, guid).id == assignments.get_by_id(made.id).id == made.id
    with pytest.raises(ResourceExistsError) as twice:
        assignments.create(machine, str(uuid.uuid4()), wanted)
    assert twice.value.error is not None
    assert twice.value.error.code == "RoleAssignmentExists"

    everybody = f"principalId eq '{somebody}'"
    for listed in (
        assignments.list_for_subscription(filter=everybody),
        assignments.list_for_subscription(filter=f"assignedTo('{somebody}')"),
        assignments.list_for_resource_group("default", filter=everybody),
        assignments.list_for_scope(machine, filter=f"atScope() and {everybody}"),
        assignments.list_for_resource(
            "default", "Microsoft.Compute", "virtualMachines", "web-1", filter=everybody
        ),
    ):
        assert [each.name for each in listed] == [guid]
    above = assignments.list_for_resource_group("default", filter="atScope()")
    assert guid not in [each.name for each in above]

    assert assignments.delete(machine, guid).id == made.id
    assert assignments.delete_by_id(made.id) is None
    with pytest.raises(ResourceNotFoundError):
        assignments.get(machine, guid)


def test_pages_are_followed(server: Server, client: Any, machine: str) -> None:
    """A page holds 100."""
    path = f"/subscriptions/{server.admin['subscription_id']}/providers/Bascule.Identity"
    body = {"properties": {"displayName": "many"}}
    who = str(server.call("POST", f"{path}/servicePrincipals", body)["name"])
    scope = f"/subscriptions/{server.admin['subscription_id']}"
    permissions = [Permission(actions=["*/read"])]
    made = set()
    for number in range(101):
        guid = str(uuid.uuid4())
        role = RoleDefinition(
            role_name=f"Many {number}", permissions=permissions, assignable_scopes=[scope]
        )
        client.role_definitions.create_or_update(scope, guid, role)
        given = RoleAssignmentCreateParameters(
            role_definition_id=role_id(server, guid),
            principal_id=who,
            principal_type="ServicePrincipal",  # the SDK says User when nobody says anything
        )
        made.add(client.role_assignments.create(machine, guid, given).name)
    listed = client.role_assignments.list_for_subscription(filter=f"principalId eq '{who}'")
    assert {each.name for each in listed} == made
    many = [each.name for each in client.role_definitions.list(scope)]
    assert made <= set(many)
    assert len(many) == len(set(many))


def test_permissions_are_told(client: Any) -> None:
    told = list(client.permissions.list_for_resource_group("default"))
    assert [each.actions for each in told] == [["*"]]
    told = list(
        client.permissions.list_for_resource(
            "default", "Microsoft.Compute", "", "virtualMachines", "web-1"
        )
    )
    assert [each.actions for each in told] == [["*"]]


def test_operations_are_told(client: Any) -> None:
    every = {each.name for each in client.provider_operations_metadata.list()}
    assert {"Microsoft.Security", "Microsoft.Compute", "Microsoft.Authorization"} <= every
    security = client.provider_operations_metadata.get("Microsoft.Security")
    names = {operation.name for kind in security.resource_types for operation in kind.operations}
    assert "Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action" in names


def test_errors_are_the_sdks_own(server: Server, client: Any, somebody: str) -> None:
    scope = f"/subscriptions/{server.admin['subscription_id']}"
    (own,) = [
        each
        for each in client.role_assignments.list_for_subscription(filter="atScope()")
        if each.role_definition_id == role_id(server, OWNER.id)
    ]
    with pytest.raises(ResourceExistsError) as last:
        client.role_assignments.delete_by_id(own.id)
    assert last.value.error is not None
    assert last.value.error.code == "LastOwner"
    conditional = RoleAssignmentCreateParameters(
        role_definition_id=role_id(server, SECURITY_ADMIN.id),
        principal_id=somebody,
        condition="@Resource[a:b] StringEquals 'c'",
        condition_version="2.0",
    )
    with pytest.raises(HttpResponseError) as refused:
        client.role_assignments.create(scope, str(uuid.uuid4()), conditional)
    assert refused.value.status_code == 400
    assert refused.value.error is not None
    assert refused.value.error.code == "ConditionNotSupported"
