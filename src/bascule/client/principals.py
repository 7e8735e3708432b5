"""Users, groups and service principals (Bascule.Identity), and who the caller is.

A new secret is in the answer of the call that made it, and in nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from bascule.client.reading import Data, flag, inner, instant, number, objects, text
from bascule.client.versions import BASCULE_VERSION
from bascule.domain.times import format_utc

if TYPE_CHECKING:  # its libraries are slow to load, and only callers need them
    from bascule.client.connection import Connection

USERS, GROUPS, SERVICES = "users", "groups", "servicePrincipals"


@dataclass(frozen=True, slots=True)
class Credential:
    key_id: str
    kind: str  # secret or certificate
    display_name: str
    created_at: datetime | None
    expires_at: datetime | None
    secret: str = ""  # in the answer that made it alone

    def __repr__(self) -> str:
        return f"Credential({self.key_id!r}, {self.kind!r})"


@dataclass(frozen=True, slots=True)
class Principal:
    """A user, a group or a service principal."""

    id: str
    name: str  # a user's principal name, else a display name
    display_name: str
    is_enabled: bool  # groups always are
    created_at: datetime | None
    live_grants: int  # what a group's members have, whether by it or not; 0 in lists
    description: str = ""
    credentials: tuple[Credential, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    id: str
    kind: str
    name: str
    provider: str  # id of the external provider that says so; empty: put there by hand
    provider_name: str = ""  # empty too where an older server does not tell it
    ends_at: datetime | None = None  # None: no end


@dataclass(frozen=True, slots=True)
class OwnMembership:
    id: str  # of the group
    group: str
    ends_at: datetime | None  # None: no end
    is_vouched: bool  # by an identity provider, until the next sign-in there


@dataclass(frozen=True, slots=True)
class HeldRole:
    role: str
    scope: str
    by_group: str  # empty: the principal's own


@dataclass(frozen=True, slots=True)
class Whoami:
    id: str
    kind: str
    name: str
    display_name: str
    address: str
    groups: tuple[OwnMembership, ...]
    roles: tuple[HeldRole, ...]


def whoami(connection: Connection) -> Whoami:
    data = inner(connection.get(f"{_base(connection)}/me", BASCULE_VERSION), "properties")
    return Whoami(
        id=text(data, "principalId"),
        kind=text(data, "principalType"),
        name=text(data, "principalName"),
        display_name=text(data, "displayName", ""),
        address=text(data, "address", ""),
        groups=tuple(
            OwnMembership(
                text(each, "id"),
                text(each, "displayName"),
                instant(each, "expiresAt"),
                "byProvider" in each and flag(each, "byProvider"),
            )
            for each in objects(data, "groups")
        ),
        roles=tuple(
            HeldRole(text(each, "roleName"), text(each, "scope"), text(each, "byGroup", ""))
            for each in objects(data, "roleAssignments")
        ),
    )


def list_principals(connection: Connection, kind: str, name: str = "") -> Iterator[Principal]:
    """All of a kind, or those of one name, without regard to case."""
    quoted = name.replace("'", "''")
    query = {"$filter": f"name eq '{quoted}'"} if name else None
    for each in connection.pages(f"{_base(connection)}/{kind}", BASCULE_VERSION, query):
        yield read_principal(each)


def get_principal(connection: Connection, kind: str, principal_id: str) -> Principal:
    return read_principal(connection.get(_path(connection, kind, principal_id), BASCULE_VERSION))


def create_principal(
    connection: Connection, kind: str, properties: Mapping[str, object]
) -> Principal:
    answer = connection.call(
        "POST", f"{_base(connection)}/{kind}", BASCULE_VERSION, body={"properties": properties}
    )
    return read_principal(answer.body)


def change_principal(
    connection: Connection, kind: str, principal_id: str, properties: Mapping[str, object]
) -> Principal:
    path = _path(connection, kind, principal_id)
    answer = connection.call("PATCH", path, BASCULE_VERSION, body={"properties": properties})
    return read_principal(answer.body)


def delete_principal(connection: Connection, kind: str, principal_id: str) -> None:
    connection.call("DELETE", _path(connection, kind, principal_id), BASCULE_VERSION)


def set_password(connection: Connection, user_id: str, password: str) -> None:
    path = f"{_path(connection, USERS, user_id)}/password"
    connection.call("PUT", path, BASCULE_VERSION, body={"password": password})


def set_own_password(connection: Connection, present: str, password: str) -> None:
    """Every token that the caller has is void afterwards."""
    body = {"password": password, "proof": {"password": present}}
    connection.call("PUT", f"{_base(connection)}/me/password", BASCULE_VERSION, body=body)


def list_members(connection: Connection, group_id: str) -> list[Member]:
    found = connection.pages(f"{_path(connection, GROUPS, group_id)}/members", BASCULE_VERSION)
    return [_read_member(each) for each in found]


def add_member(
    connection: Connection, group_id: str, member_id: str, body: Mapping[str, object] | None = None
) -> tuple[Member, bool]:
    """``body`` has the end, as ``membership_end`` makes it; None leaves the end as it is. False when
    it is in the group already.
    """
    path = f"{_path(connection, GROUPS, group_id)}/members/{member_id}"
    answer = connection.call("PUT", path, BASCULE_VERSION, body=body)
    return _read_member(answer.body), answer.status == 201


def membership_end(ends_at: datetime | None) -> dict[str, object]:
    """What ``add_member`` sends for an end; None: that there is to be none."""
    return {"properties": {"expiresAt": None if ends_at is None else format_utc(ends_at)}}


def remove_member(connection: Connection, group_id: str, member_id: str) -> bool:
    """False when it is not in the group."""
    path = f"{_path(connection, GROUPS, group_id)}/members/{member_id}"
    return connection.call("DELETE", path, BASCULE_VERSION).status == 200


def credential_body(
    display_name: str, expires_at: datetime | None, certificate: str = ""
) -> dict[str, object]:
    body: dict[str, object] = {"displayName": display_name}
    if expires_at is not None:
        body["expiresAt"] = format_utc(expires_at)
    return {**body, "certificate": certificate} if certificate else body


def add_credential(
    connection: Connection, principal_id: str, body: Mapping[str, object]
) -> Credential:
    path = f"{_path(connection, SERVICES, principal_id)}/credentials"
    answer = connection.call("POST", path, BASCULE_VERSION, body={"properties": body})
    return _read_credential(inner(answer.body, "properties"))


def remove_credential(connection: Connection, principal_id: str, key_id: str) -> bool:
    """False when there is none of that id."""
    path = f"{_path(connection, SERVICES, principal_id)}/credentials/{key_id}"
    return connection.call("DELETE", path, BASCULE_VERSION).status == 200


def read_principal(data: Data) -> Principal:
    properties = inner(data, "properties")
    display_name = text(properties, "displayName", "")
    made = inner(properties, "newCredential")
    credentials = [_read_credential(each) for each in objects(properties, "credentials")]
    if made:  # the answer to its creation: the one credential, with its secret
        credentials = [_read_credential(made)]
    return Principal(
        id=text(data, "name"),
        name=text(properties, "userPrincipalName", display_name),
        display_name=display_name,
        is_enabled="accountEnabled" not in properties or flag(properties, "accountEnabled"),
        created_at=instant(properties, "createdAt"),
        live_grants=number(properties, "liveGrants", 0),
        description=text(properties, "description", ""),
        credentials=tuple(credentials),
    )


def _read_credential(data: Data) -> Credential:
    return Credential(
        text(data, "keyId"),
        text(data, "kind"),
        text(data, "displayName", ""),
        instant(data, "createdAt"),
        instant(data, "expiresAt"),
        text(data, "secret", ""),
    )


def _read_member(data: Data) -> Member:
    properties = inner(data, "properties")
    return Member(
        text(properties, "principalId"),
        text(properties, "principalType"),
        text(properties, "displayName", ""),
        text(properties, "providerId", ""),
        text(properties, "providerName", ""),
        instant(properties, "expiresAt"),
    )


def _base(connection: Connection) -> str:
    return f"{connection.subscription}/providers/Bascule.Identity"


def _path(connection: Connection, kind: str, principal_id: str) -> str:
    return f"{_base(connection)}/{kind}/{principal_id}"
