"""Sinks, asked of a server: where the record is sent to, and how it gets on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bascule.client.reading import Data, inner
from bascule.client.versions import BASCULE_VERSION

if TYPE_CHECKING:  # its libraries are slow to load, and only callers need them
    from bascule.client.connection import Connection

TEST_SECONDS = 45.0  # a receiver's patience is 30 s


def _at(connection: Connection, name: str = "", verb: str = "") -> str:
    parts = [f"{connection.subscription}/providers/Bascule.Audit/sinks", quote(name, ""), verb]
    return "/".join(part for part in parts if part)


def list_sinks(connection: Connection) -> Iterator[Data]:
    """Each as the server has it: ``name`` and ``properties``."""
    yield from connection.pages(_at(connection), BASCULE_VERSION)


def get_sink(connection: Connection, name: str) -> Data:
    return connection.get(_at(connection, name), BASCULE_VERSION)


def put_sink(connection: Connection, name: str, properties: Mapping[str, Any]) -> Data:
    """Add or change; a new webhook's answer has its ``secret``."""
    body = {"properties": dict(properties)}
    return connection.call("PUT", _at(connection, name), BASCULE_VERSION, body=body).body


def remove_sink(connection: Connection, name: str) -> bool:
    """False when there was none."""
    return connection.call("DELETE", _at(connection, name), BASCULE_VERSION).status == 200


def test(connection: Connection, name: str) -> Data:
    """``answer`` and ``said``."""
    answer = connection.call(
        "POST", _at(connection, name, "test"), BASCULE_VERSION, wait_seconds=TEST_SECONDS
    )
    return inner(answer.body, "properties")


def pause(connection: Connection, name: str) -> Data:
    return connection.call("POST", _at(connection, name, "pause"), BASCULE_VERSION).body


def resume(
    connection: Connection, name: str, *, skip: bool = False, after: int | None = None
) -> Data:
    body: dict[str, Any] = {"skip": skip, **({} if after is None else {"after": after})}
    path = _at(connection, name, "resume")
    return connection.call("POST", path, BASCULE_VERSION, body=body).body


def rotate(connection: Connection, name: str) -> Data:
    """The answer's ``secret`` is the new one."""
    return connection.call("POST", _at(connection, name, "rotateSecret"), BASCULE_VERSION).body
