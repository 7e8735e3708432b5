"""Events as Azure's activity log writes them: EventData of the Administrative category.

Source: CONTRACT 6.5 (Microsoft.Insights 2015-04-01). A call has two entries with one
correlation id: ``BeginRequest`` with status Started, and ``EndRequest`` with its outcome.
Pure: an event and whose log it is in, values out. Nothing stands here that the event does
not hold: Bascule records no bodies of calls, so ``requestbody`` is made of what was asked.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bascule.domain.event import Event
from bascule.domain.facts.calls import CallerDenied
from bascule.domain.facts.fact import fact_data
from bascule.domain.facts.grants import AccessRequested
from bascule.domain.facts.kind import Kind
from bascule.domain.facts.kinds import kind_of
from bascule.domain.times import format_utc

_CLR_EPOCH = datetime(1, 1, 1, tzinfo=UTC)  # .NET ticks are 100 ns since then
_TICK = timedelta(microseconds=1)
_OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
_NAME = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"
_BEGIN = ("BeginRequest", "Begin request")
_END = ("EndRequest", "End request")
LONGEST_PROPERTY = 8192  # characters; policies can be far longer, and /events has them whole

SELECTABLE = (
    "authorization",
    "caller",
    "category",
    "channels",
    "claims",
    "correlationId",
    "description",
    "eventDataId",
    "eventName",
    "eventTimestamp",
    "httpRequest",
    "id",
    "level",
    "operationId",
    "operationName",
    "properties",
    "resourceGroupName",
    "resourceId",
    "resourceProviderName",
    "resourceType",
    "status",
    "subStatus",
    "submissionTimestamp",
    "subscriptionId",
    "tenantId",
)


@dataclass(frozen=True, slots=True)
class Log:
    """Whose activity log."""

    tenant_id: str
    subscription_id: str


def entries_of(event: Event, log: Log) -> Iterator[dict[str, Any]]:
    """The entries of one event, the later first, as the whole log goes."""
    operation = kind_of(event.fact)
    yield _entry(event, log, operation, event.id, _END)
    if operation.is_call:
        begun = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{event.id}/begin"))
        yield _entry(event, log, operation, begun, _BEGIN)


def select(entry: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """Only these fields; all of them when none is named."""
    return {name: value for name, value in entry.items() if not names or name in names}


def _entry(
    event: Event, log: Log, operation: Kind, event_id: str, part: tuple[str, str]
) -> dict[str, Any]:
    is_begin = part is _BEGIN
    resource_id = _resource_of(event, log)
    at = format_utc(event.at)
    ticks = (event.at - _CLR_EPOCH) // _TICK * 10
    status = "Started" if is_begin else operation.outcome.status
    return {
        "authorization": {"action": operation.action, "scope": resource_id},
        "caller": _caller(event),
        "category": _words("Administrative"),
        "channels": "Operation",
        "claims": _claims(event),
        "correlationId": event.correlation_id or event.id,
        "description": "",
        "eventDataId": event_id,
        "eventName": _words(*part),
        "eventTimestamp": at,
        "httpRequest": _http_request(event, operation),
        "id": f"{resource_id}/events/{event_id}/ticks/{ticks}",
        "level": "Informational" if is_begin else operation.level,
        "operationId": event.correlation_id or event.id,
        "operationName": _words(operation.action, operation.display),
        "properties": _properties(event, operation, is_begin=is_begin),
        "resourceGroupName": _group_of(resource_id),
        "resourceId": resource_id,
        "resourceProviderName": _words(operation.action.partition("/")[0]),
        "resourceType": _words(_type_of(operation.action)),
        "status": _words(status),
        "subStatus": _words("" if is_begin else operation.outcome.sub_status),
        "submissionTimestamp": at,
        "subscriptionId": log.subscription_id,
        "tenantId": log.tenant_id,
    }


def _type_of(action: str) -> str:
    """The action without its verb: ``.../write``, or ``.../initiate/action``."""
    return action.removesuffix("/action").rpartition("/")[0]


def _method_of(action: str) -> str:
    verb = action.rpartition("/")[2]
    return {"write": "PUT", "delete": "DELETE", "read": "GET"}.get(verb, "POST")


def _words(value: str, localized: str = "") -> dict[str, str]:
    return {"value": value, "localizedValue": localized or value}


def _caller(event: Event) -> str:
    """As Azure: a person by name, a service principal by its id."""
    actor = event.actor
    return (
        actor.name
        if actor.kind in ("System", "User") or not actor.principal_id
        else actor.principal_id
    )


def _claims(event: Event) -> dict[str, str]:
    actor = event.actor
    if not actor.principal_id:
        return {}
    claims = {"appid": actor.principal_id, "idtyp": "app"} if actor.kind != "User" else {}
    claims |= {_OBJECT_ID: actor.principal_id, _NAME: actor.name, "ipaddr": actor.address}
    return {name: value for name, value in claims.items() if value}


def _http_request(event: Event, operation: Kind) -> dict[str, str] | None:
    """Only of calls; an event of the system itself has none."""
    fact = event.fact
    if not event.actor.address and not isinstance(fact, CallerDenied):
        return None
    request = {"clientIpAddress": event.actor.address, "method": _method_of(operation.action)}
    if isinstance(fact, CallerDenied):
        request |= {"method": fact.method, "uri": fact.path}
    return {name: value for name, value in request.items() if value}


def _properties(event: Event, operation: Kind, *, is_begin: bool) -> dict[str, str]:
    """Texts by name: what Azure puts there, then the event's own fields in camelCase."""
    own = {_camel(name): _text(value) for name, value in fact_data(event.fact).items()}
    common = {
        "eventCategory": "Administrative",
        "entity": event.resource_id,
        "message": operation.action,
        "serviceRequestId": event.correlation_id,
        "userAgent": event.actor.client,
        "statusCode": "" if is_begin else operation.outcome.sub_status,
    }
    fact = event.fact
    if isinstance(fact, AccessRequested):
        asked = {
            "virtualMachines": [{"id": machine} for machine in fact.machines],
            "justification": fact.justification,
        }
        common["requestbody"] = json.dumps(asked, separators=(",", ":"))
    return {name: value for name, value in {**own, **common}.items() if value}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(each.capitalize() for each in rest)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text[:LONGEST_PROPERTY]


def _resource_of(event: Event, log: Log) -> str:
    fact = event.fact
    if isinstance(fact, CallerDenied) and fact.path.startswith("/subscriptions/"):
        return fact.path
    return event.resource_id or f"/subscriptions/{log.subscription_id}"


def _group_of(resource_id: str) -> str:
    segments = resource_id.split("/")
    is_in_one = len(segments) > 4 and segments[3].casefold() == "resourcegroups"
    return segments[4] if is_in_one else ""
