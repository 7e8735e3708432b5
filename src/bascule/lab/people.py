"""The lab's people, made over the wire by the administrator: an owner, a reader, a requestor.

The requestor's role is of the least that asking needs, on web-1 alone. Passwords are drawn
anew for each lab and stand in its folder, for ``lab info``.
What is not here: who they are on the hosts (``person``).
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict

from bascule.client.connection import Connection
from bascule.client.principals import USERS, create_principal, set_password
from bascule.client.private_file import write_private
from bascule.client.roles import (
    FOR_PEOPLE,
    REQUESTOR,
    REQUESTOR_DESCRIPTION,
    assign,
    put_role,
)
from bascule.domain.builtin_roles import OWNER, READER
from bascule.domain.ids import ResourceId
from bascule.domain.roles import Permission, RoleDefinition
from bascule.domain.scopes import Scope, resource_scope, subscription_scope
from bascule.lab.folder import LabFolder
from bascule.lab.resources import LabUser

_PASSWORD_BYTES = 15  # 20 characters


def plant_people(connection: Connection, folder: LabFolder, web: ResourceId) -> None:
    """Make the users with their roles; ``web`` is the requestor's machine."""
    whole = subscription_scope(connection.subscription_id)
    least = put_role(connection, REQUESTOR, REQUESTOR_DESCRIPTION, Permission(FOR_PEOPLE), [whole])
    made = [
        _plant(connection, "owner", OWNER, whole),
        _plant(connection, "reader", READER, whole),
        _plant(connection, "requestor", least, resource_scope(web)),
    ]
    write_private(folder.users, json.dumps([asdict(each) for each in made]))


def _plant(connection: Connection, name: str, role: RoleDefinition, scope: Scope) -> LabUser:
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    user = create_principal(connection, USERS, {"userPrincipalName": name})
    set_password(connection, user.id, password)
    assign(connection, scope, role.id, user.id)
    return LabUser(name, password, role.name)
