"""The lab's resources by their ARM names, and the files that say who may speak to its server.

Light: the commands and the supervisor read this; what speaks to the server is ``seed``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from bascule.lab.folder import LabFolder
from bascule.lab.topology import Topology

RESOURCE_GROUP = "default"
LOCATION = "local"
POLICY_NAME = "default"
LONGEST_REQUEST = timedelta(hours=3)


INVENTORY_ONLY = "legacy-1"  # a machine in the list that no host and no agent stands behind
INVENTORY_ADDRESS = "10.203.0.90"


@dataclass(frozen=True, slots=True)
class LabUser:
    """Somebody who may sign in to the lab's server."""

    name: str
    password: str
    role: str

    def __repr__(self) -> str:
        return f"LabUser({self.name!r}, {self.role!r})"


def machine_id(subscription: str, name: str) -> str:
    return (
        f"/subscriptions/{subscription}/resourceGroups/{RESOURCE_GROUP}"
        f"/providers/Microsoft.Compute/virtualMachines/{name}"
    )


def client_settings(topology: Topology, admin: Mapping[str, str]) -> dict[str, str]:
    """config.json of the command line in the client's home."""
    names = ("ca_file", "tenant_id", "subscription_id", "client_id", "client_secret")
    return {
        "endpoint": topology.server_url,
        "resource_group": RESOURCE_GROUP,
        **{name: admin[name] for name in names},
    }


def read_admin(folder: LabFolder) -> dict[str, str]:
    """The administrator's credentials, which the server wrote at its first start."""
    admin: dict[str, str] = json.loads(folder.admin.read_text())
    return admin


def read_users(folder: LabFolder) -> list[dict[str, str]]:
    """Name, password and role of each; empty before they are made."""
    try:
        users: list[dict[str, str]] = json.loads(folder.users.read_text())
    except FileNotFoundError:
        return []
    return users


def read_tokens(folder: LabFolder) -> dict[str, str]:
    """The enrolment tokens by machine name."""
    tokens: dict[str, str] = json.loads(folder.tokens.read_text())
    return tokens
