"""The rules of a policy (Bascule.Access/accessRules), and what they would answer.

Source: docs/approval.md. A rule is read and written as the JSON that it is on the wire: this client
adds nothing to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from bascule.client.reading import Data, flag, inner, objects, text
from bascule.client.versions import BASCULE_VERSION, SECURITY_VERSION
from bascule.domain.ids import ResourceId

if TYPE_CHECKING:
    from bascule.client.connection import Connection


class AccessRule(NamedTuple):
    """One rule, in the order of its policy."""

    policy: ResourceId
    name: str
    effect: str  # deny, approve, allow
    conditions: Data
    stages: tuple[Data, ...]


class Answer(NamedTuple):
    """What a request would get; nothing was asked for."""

    outcome: str  # allowed, denied, needsApproval
    reasons: tuple[str, ...]
    stages: tuple[Data, ...]
    rules: tuple[tuple[str, str, str, bool], ...]  # policy, name, effect, does it hold


def list_policy_ids(connection: Connection) -> list[ResourceId]:
    path = f"{connection.subscription}/providers/Microsoft.Security/jitNetworkAccessPolicies"
    return [ResourceId.parse(text(each, "id")) for each in connection.pages(path, SECURITY_VERSION)]


def list_rules(connection: Connection, policy: ResourceId) -> list[AccessRule]:
    return [_read(policy, each) for each in connection.pages(_path(policy), BASCULE_VERSION)]


def get_rule(connection: Connection, policy: ResourceId, name: str) -> AccessRule:
    """Raises NotFound."""
    return _read(policy, connection.get(f"{_path(policy)}/{name}", BASCULE_VERSION))


def put_rule(
    connection: Connection, policy: ResourceId, name: str, properties: Mapping[str, Any]
) -> AccessRule:
    """Write it, at the end of the policy's rules where it is new."""
    answer = connection.call(
        "PUT", f"{_path(policy)}/{name}", BASCULE_VERSION, body={"properties": dict(properties)}
    )
    return _read(policy, answer.body)


def delete_rule(connection: Connection, policy: ResourceId, name: str) -> bool:
    """False when there was none."""
    return connection.call("DELETE", f"{_path(policy)}/{name}", BASCULE_VERSION).status == 200


def try_rules(connection: Connection, policy: ResourceId, question: Mapping[str, Any]) -> Answer:
    """What that person would get for that, then; writes nothing."""
    answer = connection.call("POST", f"{policy}/tryRules", BASCULE_VERSION, body=dict(question))
    data = answer.body
    return Answer(
        outcome=text(data, "outcome"),
        reasons=tuple(text(each, "message") for each in objects(data, "reasons")),
        stages=tuple(objects(data, "stages")),
        rules=tuple(
            (
                ResourceId.parse(text(each, "policyId")).name,
                text(each, "name"),
                text(each, "effect"),
                flag(each, "holds"),
            )
            for each in objects(data, "rules")
        ),
    )


def _path(policy: ResourceId) -> str:
    return f"{policy}/providers/Bascule.Access/accessRules"


def _read(policy: ResourceId, data: Data) -> AccessRule:
    properties = inner(data, "properties")
    return AccessRule(
        policy,
        text(data, "name"),
        text(properties, "effect"),
        inner(properties, "conditions"),
        tuple(objects(properties, "stages")),
    )
