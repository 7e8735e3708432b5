"""The lab's people, made over the wire by the administrator: an owner, a reader, a requestor.

The requestor's role is of the least that asking needs, on web-1 alone. Passwords are drawn
anew for each lab and stand in its folder, for ``lab info``.
What is not here: who they are on the hosts (``person``).
"""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import asdict

from bascule.client.connection import Connection
from bascule.client.principals import USERS, create_principal, set_password
from bascule.client.private_file import write_private
from bascule.client.versions import AUTHORIZATION_VERSION
from bascule.domain.actions import INITIATE, MACHINE_READ, NIC_READ, POLICY_READ, PUBLIC_IP_READ
from bascule.domain.builtin_roles import OWNER, READER
from bascule.lab.folder import LabFolder
from bascule.lab.resources import LabUser

REQUESTOR_ROLE = "JIT requestor"
_PASSWORD_BYTES = 15  # 20 characters
_PROVIDER = "providers/Microsoft.Authorization"


def plant_people(connection: Connection, folder: LabFolder, web: str) -> None:
    """Make the users with their roles; ``web`` is the id of the requestor's machine."""
    subscription = connection.subscription
    requestor_role = _put_requestor_role(connection)
    made = [
        _plant(connection, "owner", "Owner", OWNER.id, subscription),
        _plant(connection, "reader", "Reader", READER.id, subscription),
        _plant(connection, "requestor", REQUESTOR_ROLE, requestor_role, web),
    ]
    write_private(folder.users, json.dumps([asdict(each) for each in made]))


def _put_requestor_role(connection: Connection) -> str:
    """The custom role's id."""
    role_id = str(uuid.uuid4())
    permission = {"actions": [INITIATE, POLICY_READ, MACHINE_READ, NIC_READ, PUBLIC_IP_READ]}
    _put(
        connection,
        f"{connection.subscription}/{_PROVIDER}/roleDefinitions/{role_id}",
        {
            "roleName": REQUESTOR_ROLE,
            "description": "Ask for what policies offer, and nothing else.",
            "permissions": [permission],
            "assignableScopes": [connection.subscription],
        },
    )
    return role_id


def _plant(connection: Connection, name: str, role: str, role_id: str, scope: str) -> LabUser:
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    user = create_principal(connection, USERS, {"userPrincipalName": name})
    set_password(connection, user.id, password)
    definition = f"{connection.subscription}/{_PROVIDER}/roleDefinitions/{role_id}"
    _put(
        connection,
        f"{scope}/{_PROVIDER}/roleAssignments/{uuid.uuid4()}",
        {"roleDefinitionId": definition, "principalId": user.id, "principalType": "User"},
    )
    return LabUser(name, password, role)


def _put(connection: Connection, path: str, properties: Mapping[str, object]) -> None:
    connection.call("PUT", path, AUTHORIZATION_VERSION, body={"properties": properties})
