"""The ticket check of a policy (Bascule.Access/ticketChecks). Source: docs/approval.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from bascule.client.reading import Data, inner, text
from bascule.client.versions import BASCULE_VERSION
from bascule.domain.ids import ResourceId

if TYPE_CHECKING:
    from bascule.client.connection import Connection


class Tested(NamedTuple):
    ticket: str
    answer: str  # yes, no, unavailable
    text: str


def get_ticket_check(connection: Connection, policy: ResourceId) -> Data:
    """Raises NotFound."""
    return inner(connection.get(_path(policy), BASCULE_VERSION), "properties")


def put_ticket_check(
    connection: Connection, policy: ResourceId, properties: Mapping[str, Any]
) -> Data:
    """With ``secret`` where the server made one; no later answer has it."""
    body = {"properties": dict(properties)}
    return inner(
        connection.call("PUT", _path(policy), BASCULE_VERSION, body=body).body, "properties"
    )


def delete_ticket_check(connection: Connection, policy: ResourceId) -> bool:
    """False when there was none."""
    return connection.call("DELETE", _path(policy), BASCULE_VERSION).status == 200


def try_ticket(connection: Connection, policy: ResourceId, ticket: str) -> Tested:
    body = {"ticket": ticket}
    data = connection.call("POST", f"{_path(policy)}/test", BASCULE_VERSION, body=body).body
    return Tested(text(data, "ticket"), text(data, "answer"), text(data, "text"))


def _path(policy: ResourceId) -> str:
    return f"{policy}/providers/Bascule.Access/ticketChecks/default"
