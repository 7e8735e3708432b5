"""The record's proof, asked of a server: key, checkpoints, verification, export, retention."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from bascule.client.reading import Data, inner
from bascule.client.versions import BASCULE_VERSION
from bascule.domain.times import format_utc

if TYPE_CHECKING:  # its libraries are slow to load, and only callers need them
    from bascule.client.connection import Connection


def _at(connection: Connection, what: str) -> str:
    return f"{connection.subscription}/providers/Bascule.Audit/{what}"


def public_key(connection: Connection) -> Data:
    """``keyId``, ``algorithm`` and ``publicKey``."""
    return inner(connection.get(_at(connection, "key"), BASCULE_VERSION), "properties")


def checkpoints(connection: Connection, page: int = 100) -> Iterator[Data]:
    """Newest first, page by page as they are taken."""
    query = {"$top": str(page)}
    for each in connection.pages(_at(connection, "checkpoints"), BASCULE_VERSION, query):
        yield inner(each, "properties")


def sign_now(connection: Connection) -> Data:
    """Have the chain signed at its head."""
    return inner(
        connection.call("POST", _at(connection, "checkpoints"), BASCULE_VERSION).body, "properties"
    )


def verification(connection: Connection) -> Data:
    """Have the server read its whole record back."""
    path = _at(connection, "verification")
    answer = connection.call("POST", path, BASCULE_VERSION, wait_seconds=600.0)
    return inner(answer.body, "properties")


def export(connection: Connection, form: str = "") -> Iterator[bytes]:
    """The whole record in pieces; ``form`` names another form than the one with proofs."""
    query = {"format": form} if form else {}
    yield from connection.stream(_at(connection, "export"), BASCULE_VERSION, query)


def prune(connection: Connection, before: datetime) -> Data:
    """Have whole checkpointed spans deleted that are from before that instant."""
    body = {"before": format_utc(before)}
    path = _at(connection, "prune")
    return inner(
        connection.call("POST", path, BASCULE_VERSION, body=body, wait_seconds=60.0).body,
        "properties",
    )
