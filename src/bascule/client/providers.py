"""External identity providers (Bascule.Identity), and whom each of them knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from bascule.client.reading import Data, flag, inner, instant, number, objects, text, texts
from bascule.client.versions import BASCULE_VERSION

if TYPE_CHECKING:  # its libraries are slow to load, and only callers need them
    from bascule.client.connection import Connection


@dataclass(frozen=True, slots=True)
class Provider:
    name: str
    display_name: str
    issuer: str
    client_id: str
    has_secret: bool
    redirect_uri: str  # to be registered at the provider
    scopes: tuple[str, ...]
    domains: tuple[str, ...]
    tenant_claim: str
    tenants: tuple[str, ...]
    groups_claim: str
    groups: tuple[tuple[str, str], ...]  # a value of that claim, the group here
    creates_users: bool
    has_ca: bool
    is_enabled: bool


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody at a provider who is a user here, or who is invited to be."""

    user: str
    subject: str  # empty: an invitation
    email: str
    vouched_at: datetime | None
    invited_until: datetime | None


@dataclass(frozen=True, slots=True)
class Examination:
    is_usable: bool
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    keys: int


def list_providers(connection: Connection) -> list[Provider]:
    return [_provider(each) for each in objects(_get(connection, ""), "value")]


def get_provider(connection: Connection, name: str) -> Provider:
    return _provider(_get(connection, f"/{quote(name, safe='')}"))


def put_provider(
    connection: Connection, name: str, properties: Mapping[str, object]
) -> tuple[Provider, bool]:
    """Create or change; True when it is new. What is absent stays as it is."""
    body = {"properties": dict(properties)}
    answer = connection.call("PUT", _path(connection, name), BASCULE_VERSION, body=body)
    return _provider(answer.body), answer.status == 201


def delete_provider(connection: Connection, name: str) -> bool:
    return connection.call("DELETE", _path(connection, name), BASCULE_VERSION).status == 200


def examine_provider(connection: Connection, name: str) -> Examination:
    """Have the server ask the provider."""
    path = f"{_path(connection, name)}/test"
    answer = connection.call("POST", path, BASCULE_VERSION, wait_seconds=30.0)
    data = inner(answer.body, "properties")
    return Examination(
        flag(data, "isUsable"),
        texts(data, "problems"),
        texts(data, "warnings"),
        number(data, "keys"),
    )


def list_known(connection: Connection, name: str) -> list[Known]:
    return _known(connection.get(f"{_path(connection, name)}/identities", BASCULE_VERSION))


def link(
    connection: Connection, name: str, user: str, *, subject: str = "", email: str = ""
) -> bool:
    """Link by subject, or invite by address; False when it was so already."""
    body = {"user": user, **_whom(subject, email)}
    path = f"{_path(connection, name)}/link"
    return connection.call("POST", path, BASCULE_VERSION, body=body).status == 201


def unlink(connection: Connection, name: str, *, subject: str = "", email: str = "") -> bool:
    """False when there was no such link or invitation."""
    path = f"{_path(connection, name)}/unlink"
    answer = connection.call("POST", path, BASCULE_VERSION, body=_whom(subject, email))
    return answer.status == 200


def _whom(subject: str, email: str) -> dict[str, str]:
    return {"subject": subject} if subject else {"email": email}


def _path(connection: Connection, name: str) -> str:
    return f"{_base(connection)}/{quote(name, safe='')}"


def _base(connection: Connection) -> str:
    return f"{connection.subscription}/providers/Bascule.Identity/identityProviders"


def _get(connection: Connection, below: str) -> Data:
    return connection.get(f"{_base(connection)}{below}", BASCULE_VERSION)


def _provider(data: Data) -> Provider:
    said = inner(data, "properties")
    return Provider(
        name=text(data, "name"),
        display_name=text(said, "displayName", ""),
        issuer=text(said, "issuer"),
        client_id=text(said, "clientId"),
        has_secret=flag(said, "hasClientSecret"),
        redirect_uri=text(said, "redirectUri", ""),
        scopes=texts(said, "scopes"),
        domains=texts(said, "domains"),
        tenant_claim=text(said, "tenantClaim", ""),
        tenants=texts(said, "tenants"),
        groups_claim=text(said, "groupsClaim", ""),
        groups=tuple(
            (text(each, "value"), text(each, "group", "") or text(each, "groupId"))
            for each in objects(said, "groups")
        ),
        creates_users=flag(said, "createsUsers"),
        has_ca=flag(said, "hasCaCertificates"),
        is_enabled=flag(said, "isEnabled"),
    )


def _known(data: Data) -> list[Known]:
    return [
        Known(
            text(each, "user"),
            text(each, "subject", ""),
            text(each, "email", ""),
            instant(each, "vouchedAt"),
            instant(each, "invitedUntil"),
        )
        for each in objects(data, "value")
    ]
