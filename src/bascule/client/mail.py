"""One's own choice of mail (Bascule.Identity/me/mail)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from bascule.client.reading import Data, flag, inner, instant, text
from bascule.client.versions import BASCULE_VERSION

if TYPE_CHECKING:
    from bascule.client.connection import Connection


class Mail(NamedTuple):
    address: str  # empty: no mail is wanted
    language: str
    asked: bool
    own: bool
    ending: bool
    previous: str
    previous_until: datetime | None
    waiting: str  # an address that waits for its code; empty: none
    waiting_until: datetime | None


def get_mail(connection: Connection) -> Mail:
    return _read(connection.get(_path(connection), BASCULE_VERSION))


def put_mail(connection: Connection, properties: Mapping[str, Any]) -> Mail:
    body = {"properties": dict(properties)}
    return _read(connection.call("PUT", _path(connection), BASCULE_VERSION, body=body).body)


def confirm_mail(connection: Connection, code: str) -> Mail:
    path = f"{_path(connection)}/confirm"
    return _read(connection.call("POST", path, BASCULE_VERSION, body={"code": code}).body)


def delete_mail(connection: Connection) -> bool:
    """False when none was wanted."""
    return connection.call("DELETE", _path(connection), BASCULE_VERSION).status == 200


def _path(connection: Connection) -> str:
    return f"{connection.subscription}/providers/Bascule.Identity/me/mail"


def _read(data: Data) -> Mail:
    properties = inner(data, "properties")
    return Mail(
        text(properties, "address", ""),
        text(properties, "language", "en"),
        flag(properties, "asked"),
        flag(properties, "own"),
        flag(properties, "ending"),
        text(properties, "previousAddress", ""),
        instant(properties, "previousUntil"),
        text(properties, "waitingAddress", ""),
        instant(properties, "waitingUntil"),
    )
