"""Requests on the wire: initiate, JitNetworkAccessRequest, Bascule.Access/accessRequests.

Source: api-version 2020-01-01; CONTRACT 1.4 to 1.6 for what the live service adds: the
status ``Initiating``, an end echoed as it was written, ``duration`` taken for an end.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic.alias_generators import to_camel

from bascule.api.wire.approvals import approval_json
from bascule.api.wire.counts import MOST_MACHINES, check_machines
from bascule.api.wire.fields import (
    Body,
    Duration,
    EndTime,
    Guid,
    Instant,
    LongText,
    MachineId,
    PortNumber,
    StrictBody,
    Truth,
    refuse,
)
from bascule.api.wire.sources import Sources
from bascule.domain.grant import Grant
from bascule.domain.lifecycle import STATES
from bascule.domain.net import AddressPrefix
from bascule.domain.request import AccessRequest, RequestedMachine, RequestedPort
from bascule.domain.times import format_duration, format_utc
from bascule.errors import InvalidInput
from bascule.protocol.port_rules import sources_json
from bascule.services.public_ports_told import Through
from bascule.services.views import RequestView

ACCESS_REQUEST_TYPE = "Bascule.Access/accessRequests"
MOST_PORTS = 1000  # of one request; far over the 100 live grants that a requestor may hold


class EndBody(Body):
    """An end, as an instant or as a duration from now; exactly one of them."""

    end_time_utc: EndTime | None = None
    duration: Duration | None = None

    @field_validator("duration", mode="after")
    @classmethod
    def _only_one_end(cls, duration: timedelta | None, info: ValidationInfo) -> timedelta | None:
        if duration is not None and info.data.get("end_time_utc") is not None:
            raise refuse("give either endTimeUtc or duration.", "MutuallyExclusiveFields")
        return duration

    @model_validator(mode="after")
    def _at_least_one_end(self) -> EndBody:
        if self.end_time_utc is None and self.duration is None:
            raise refuse(
                "endTimeUtc is required, for example 2030-01-31T17:00:00Z "
                "(or duration, for example PT1H).",
                "MissingField",
            )
        return self

    def end(self, now: datetime) -> Instant:
        if self.end_time_utc is not None:
            return self.end_time_utc
        assert self.duration is not None  # noqa: S101  # reason: _at_least_one_end holds
        ends_at = now + self.duration
        return Instant(ends_at, format_utc(ends_at))


class InitiatePortBody(EndBody, Sources):
    number: PortNumber
    up_to: Duration | None = None


class InitiateMachineBody(Body):
    id: MachineId
    ports: list[InitiatePortBody] = Field(max_length=MOST_PORTS)


class InitiateExtras(StrictBody):
    """Of a request's ``bascule`` object."""

    emergency: Truth | None = None
    start_time_utc: EndTime | None = None
    run: Guid | None = None  # of bascule ssh --close (EDGES J14)


class InitiateBody(Body):
    virtual_machines: list[InitiateMachineBody] = Field(max_length=MOST_MACHINES)
    justification: LongText | None = None
    bascule: InitiateExtras | None = None

    @field_validator("virtual_machines", mode="before")
    @classmethod
    def _is_bounded(cls, machines: object) -> object:
        check_machines(machines, MOST_PORTS)
        return machines

    @property
    def is_emergency(self) -> bool:
        return self.bascule is not None and bool(self.bascule.emergency)

    @property
    def starts_at(self) -> datetime | None:
        start = None if self.bascule is None else self.bascule.start_time_utc
        return None if start is None else start.at

    @property
    def run_id(self) -> str:
        """The run that uses it, and whose end closes it; empty: none."""
        return (self.bascule.run or "").lower() if self.bascule is not None else ""

    @property
    def needs_caller(self) -> bool:
        """Does a port leave its source out, so that the caller's address is meant?"""
        return any(not port.sources for machine in self.virtual_machines for port in machine.ports)


class RevokeBody(Body):
    kill: Truth | None = None
    grant_ids: list[Guid] | None = Field(default=None, min_length=1, max_length=MOST_PORTS)


def read_machines(
    body: InitiateBody, caller: AddressPrefix | None, now: datetime
) -> tuple[RequestedMachine, ...]:
    """What is asked for; ``caller`` stands in where a port names no source."""
    return tuple(
        RequestedMachine(machine.id, tuple(_read_port(port, caller, now) for port in machine.ports))
        for machine in body.virtual_machines
    )


def _read_port(
    port: InitiatePortBody, caller: AddressPrefix | None, now: datetime
) -> RequestedPort:
    end = port.end(now)
    sources = port.sources or ((caller,) if caller is not None else ())
    if port.up_to is not None and now + port.up_to < end.at:
        raise InvalidInput(
            "upTo must not be shorter than what is asked for.", code="UpToTooShort", target="upTo"
        )
    return RequestedPort(
        port.number, sources, end.at, end.text, port.is_source_list, port.duration, port.up_to
    )


def request_json(view: RequestView) -> dict[str, Any]:
    """A JitNetworkAccessRequest, as initiate answers it and as policies list it."""
    return {
        **_core_json(view, _machines_json(view) if view.grants else _asked_json(view.request)),
        "bascule": {
            "requestId": view.request.id,
            "resourceId": request_resource_id(view),
            **({"state": view.state} if view.request.has_waited else {}),
            **({"emergency": True} if view.request.is_emergency else {}),
            **_start_json(view.request),
        },
    }


def access_request_json(view: RequestView) -> dict[str, Any]:
    """One of Bascule's own; one without grants has what was asked for in their place."""
    machines = _machines_json(view, with_protocol=True)
    for machine, grants in zip(machines, _by_machine(view.grants), strict=True):
        known = view.machines.get(grants[0].machine_uid)
        addresses = known.addresses if known else ()
        machine["bascule"] = {"addresses": [str(address) for address in addresses]}
    asked = [port for machine in view.request.machines for port in machine.ports]
    ends = [(each.ends_at, each.ends_at_text) for each in view.grants or asked]
    properties = {
        **_core_json(view, machines if view.grants else _asked_json(view.request)),
        "policyId": str(view.request.policy_id),
        "requestorId": view.request.requestor_id,
        "state": view.state,
    }
    if ends:
        properties["endTimeUtc"] = max(ends, key=lambda each: each[0])[1]
    if view.request.reasons:
        properties["reasons"] = [
            {"code": each.code, "message": each.message} for each in view.request.reasons
        ]
    if view.approval is not None:
        properties["approval"] = approval_json(view.approval)
    if view.request.is_emergency:
        properties |= emergency_json(view)
    if view.request.starts_at is not None:
        properties["bascule"] = _start_json(view.request)
    if view.closes_unused:
        properties["closesUnused"] = True
    if view.request.left_out:
        properties["machinesLeftOut"] = view.request.left_out
    return {
        "id": request_resource_id(view),
        "name": view.request.id,
        "type": ACCESS_REQUEST_TYPE,
        "properties": properties,
    }


def emergency_json(view: RequestView) -> dict[str, Any]:
    review = view.review
    return {
        "emergency": True,
        "needsReview": review is None and not view.request.is_refused,
        "mayReview": view.may_review,
        "review": None
        if review is None
        else {
            "principalId": review.principal_id,
            "displayName": review.name,
            "at": format_utc(review.at),
            "note": review.note,
        },
    }


def _start_json(request: AccessRequest) -> dict[str, str]:
    return {} if request.starts_at is None else {"startTimeUtc": format_utc(request.starts_at)}


def _asked_json(request: AccessRequest) -> list[dict[str, Any]]:
    """What was asked for, of a request that has no grant, with Azure's words for its state."""
    row = STATES[request.state]
    words = {"status": row.status, "statusReason": row.reason}
    told = {name: str(word) for name, word in words.items() if word is not None}
    return [
        {
            "id": str(machine.machine_id),
            "ports": [
                {
                    "number": port.number,
                    **sources_json(port.sources, port.is_source_list),
                    "endTimeUtc": port.ends_at_text,
                    **told,
                    "bascule": {"state": str(request.state), **_up_to_json(port)},
                }
                for port in machine.ports
            ],
            "bascule": {"addresses": []},
        }
        for machine in request.machines
    ]


def _up_to_json(port: RequestedPort) -> dict[str, str]:
    return {} if port.up_to is None else {"upTo": format_duration(port.up_to)}


def request_resource_id(view: RequestView) -> str:
    subscription = view.request.policy_id.subscription_id
    return f"/subscriptions/{subscription}/providers/{ACCESS_REQUEST_TYPE}/{view.request.id}"


def _core_json(view: RequestView, machines: list[dict[str, Any]]) -> dict[str, Any]:
    core: dict[str, Any] = {
        "virtualMachines": machines,
        "startTimeUtc": format_utc(view.request.started_at),
        "requestor": view.request.requestor,
    }
    if view.request.justification is not None:
        core["justification"] = view.request.justification
    return core


def _machines_json(view: RequestView, *, with_protocol: bool = False) -> list[dict[str, Any]]:
    return [
        {
            "id": str(grants[0].machine_id),
            "ports": [_port_json(view, grant, with_protocol) for grant in grants],
            **_address_json(view, grants),
        }
        for grants in _by_machine(view.grants)
    ]


def _address_json(view: RequestView, grants: Iterable[Grant]) -> dict[str, Any]:
    """The public address of the first port that has one; of each port its own is beside it."""
    led = (through for grant in grants for through in view.public_ports(grant))
    first = next(led, None)
    return {} if first is None else {"publicIpAddress": str(first.claim.public.address)}


def _mapped_json(view: RequestView, grant: Grant) -> dict[str, Any]:
    """``mappedPort`` is that of the first gateway; the others are beside it."""
    led = view.public_ports(grant)
    return {"mappedPort": led[0].claim.public.number} if led else {}


def _public_port_json(through: Through) -> dict[str, Any]:
    claim = through.claim
    return {
        "gateway": None if through.gateway is None else str(through.gateway),
        "publicIpAddress": str(claim.public.address),
        "mappedPort": claim.public.number,
        "protocol": str(claim.port.protocol),
    }


def _by_machine(grants: Iterable[Grant]) -> list[list[Grant]]:
    ordered = sorted(grants, key=lambda grant: grant.machine_id.key)  # stable within a machine
    return [list(group) for _, group in groupby(ordered, key=lambda grant: grant.machine_uid)]


def _port_json(view: RequestView, grant: Grant, with_protocol: bool) -> dict[str, Any]:
    port: dict[str, Any] = {"number": grant.number}
    if with_protocol:
        port["protocol"] = str(grant.protocol)
    return {
        **port,
        **sources_json(grant.sources, grant.is_source_list),
        "endTimeUtc": grant.ends_at_text,
        "status": str(grant.status),
        "statusReason": str(grant.reason),
        **_mapped_json(view, grant),
        "bascule": _grant_json(view, grant),
    }


def _end_json(grant: Grant) -> dict[str, Any]:
    """What there is to be said about its end."""
    extra: dict[str, Any] = {}
    if grant.drained_at is not None:
        extra["drainsUntil"] = format_utc(grant.drained_at)
    if grant.ends_with_group:
        extra["endsWithMembershipOf"] = grant.ends_with_group
    if grant.ends_with_credential:
        extra["endsWithCredential"] = grant.ends_with_credential
    if grant.approved_until is not None:
        extra["approvedUntil"] = format_utc(grant.approved_until)
    return extra


def _grant_json(view: RequestView, grant: Grant) -> dict[str, Any]:
    shown = view.shown(grant)
    extra: dict[str, Any] = {"grantId": grant.id, "state": shown.state}
    if shown.not_confirmed_since is not None:
        extra["notConfirmedSince"] = format_utc(shown.not_confirmed_since)
    if grant.failure:
        extra["failure"] = grant.failure
    if shown.opened_at is not None:
        extra["openedAt"] = format_utc(shown.opened_at)
    extra.update(_end_json(grant))
    if shown.sessions_alive is not None:
        extra["sessionsAlive"] = shown.sessions_alive
    if led := view.public_ports(grant):
        extra["publicPorts"] = [_public_port_json(each) for each in led]
    if shown.points:
        extra["points"] = [
            {"name": each.name, "state": str(each.stands), "why": each.why or None}
            for each in shown.points
        ]
    if shown.gateways:
        extra["gateways"] = list(shown.gateways)
    if shown.unanswered:
        extra["unanswered"] = [
            {"gateway": each.gateway, "why": each.why} for each in shown.unanswered
        ]
    if shown.lacks:
        extra["pointLacks"] = [to_camel(name) for name in shown.lacks]
    return extra
