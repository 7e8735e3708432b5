"""Bascule.Fleet: enforcement points and enrolments, as people see them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field
from pydantic.alias_generators import to_camel

from bascule import __version__
from bascule.api.packages import Packages
from bascule.api.wire.fields import Body, Count, HostAddress, Text, Truth
from bascule.domain.bindings import MOST_FORMER, Binding
from bascule.domain.bounds import Forwarding, Guard
from bascule.domain.capabilities import ABILITIES, Capabilities
from bascule.domain.ids import ResourceId
from bascule.domain.machine import EnforcementPoint
from bascule.domain.times import format_duration, format_utc
from bascule.domain.versions import is_older
from bascule.domain.weaknesses import Weakness
from bascule.errors import Conflict
from bascule.interfaces.points import Enrolment
from bascule.services.fleet import MAXIMUM_TOKEN_LIFE, is_online
from bascule.services.gateways import is_way_heard, silent_gateways

POINT_TYPE = "Bascule.Fleet/enforcementPoints"
LONGEST_MINUTES = int(MAXIMUM_TOKEN_LIFE / timedelta(minutes=1))


class EnrolmentBody(Body):
    replace: Truth | None = None
    valid_minutes: Annotated[Count, Field(ge=1, le=LONGEST_MINUTES)] | None = None
    through_proxy: Truth | None = None  # its agent comes through one that ends TLS (EDGES I1)

    @property
    def valid_for(self) -> timedelta:
        return timedelta(minutes=self.valid_minutes or LONGEST_MINUTES)


class BindingBody(Body):
    """Where a gateway's point forwards to the machine, whether it is an alternative to the machine's
    other gateways that are bound so, and whether answers are trusted to come back; null: as before.
    """

    addresses: Annotated[list[HostAddress], Field(max_length=2)] | None = None
    parallel: Truth | None = None
    trust_route: Truth | None = None


class ManagedBody(Body):
    """What manages a gateway: a name, ``Bascule``; null or empty: what its agent finds decides."""

    managed_by: Text | None = None


class ReleasedBody(Body):
    """Former addresses; null: all."""

    addresses: Annotated[list[HostAddress], Field(max_length=MOST_FORMER)] | None = None


def point_json(
    point: EnforcementPoint,
    machine_id: ResourceId,
    generation: int,
    now: datetime,
    bound: Binding | None = None,
    gateway_id: ResourceId | None = None,
) -> dict[str, Any]:
    """``bound``: where it is told of as another machine may have it; ``gateway_id``: of the machine whose
    agent it is.
    """
    subscription = machine_id.subscription_id
    name = point.machine_uid if bound is None else bound.point_uid
    properties = point_properties_json(point, machine_id, generation, now)
    if bound is not None and not bound.is_own:
        properties["addresses"] = [str(each) for each in bound.addresses]
        properties["formerAddresses"] = sorted(str(each) for each in bound.former)
        properties["parallel"] = bound.is_parallel
        properties["trustRoute"] = bound.trusts_route
    if gateway_id is not None:
        properties["gatewayId"] = str(gateway_id)
    return {
        "id": f"/subscriptions/{subscription}/providers/{POINT_TYPE}/{name}",
        "name": name,
        "type": POINT_TYPE,
        "properties": properties,
    }


def point_properties_json(
    point: EnforcementPoint,
    machine_id: ResourceId,
    generation: int,
    now: datetime,
    gateways: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """``gateways`` are names of those that guard the machine, by uid."""
    return {
        "machineId": str(machine_id),
        "state": point_state(point, now),
        "lastContactAt": _instant(point.last_contact_at),
        "enrolledAt": format_utc(point.enrolled_at),
        "generation": generation,
        "observedGeneration": point.observed_generation,
        "agentVersion": point.agent_version,
        "serverVersion": __version__,
        "isVersionBehind": is_older(point.agent_version, __version__),
        "weaknesses": [weakness_json(each, gateways) for each in point.weaknesses],
        "notEnforcedSince": _instant(point.not_enforced_since),
        "notBelievedSince": _instant(point.doubted_since),
        "believedSince": _instant(point.believed_since),
        "clockSkewSeconds": None
        if point.clock_skew is None
        else round(point.clock_skew.total_seconds()),
        "flushedBy": point.flushed_by,
        "managedBy": point.managed_by,
        "blockedAttempts": None if point.lacks("sees_blocked") else point.blocked_attempts,
        "countedAt": _instant(point.counted_at),
        "driver": point.driver,
        "capabilities": None
        if point.capabilities is None
        else capabilities_json(point.capabilities),
        # Of a machine: the uids of the gateways in front of it, and the names of those that are silent
        # while others are heard (EDGES G3).
        "gateways": list(point.gateways),
        "silentGateways": list(silent_gateways(point, gateways, now)),
        "patienceSeconds": int(point.patience.total_seconds()),
        "facts": dict(point.facts),
        "guard": None if point.guard is None else guard_json(point.guard),
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else format_utc(at)


def weakness_json(
    weakness: Weakness, gateways: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Its code and arguments for programs, its sentence for people; ``effect`` is of shadows alone.
    ``gateway`` is told where a gateway has it and not the machine's own point.
    """
    at = weakness.gateway
    return {
        "code": weakness.code,
        "severity": str(weakness.gravity),
        "effect": None if weakness.shadow is None else str(weakness.shadow),
        "rule": weakness.rule or None,
        "arguments": dict(weakness.arguments),
        **({"gateway": gateways.get(at, at)} if at else {}),
        "text": weakness.text,
        "advice": weakness.advice,
    }


def capabilities_json(found: Capabilities) -> dict[str, Any]:
    """What the point can do by its driver's word."""
    has = {to_camel(name): name not in found.missing for name in ABILITIES}
    return {**has, "latency": str(found.latency)}


def guard_json(guard: Guard) -> dict[str, Any]:
    """What the host itself admits; null bounds nothing. ``problem`` is told where weaknesses are.
    ``forwarding`` is told of gateways alone.
    """
    longest, forwarding = guard.max_duration, guard.forwarding
    return {
        "ports": None
        if guard.ports is None
        else [{"protocol": str(each.protocol), "number": each.number} for each in guard.ports],
        "sources": None if guard.sources is None else [str(each) for each in guard.sources],
        "maxRequestAccessDuration": None if longest is None else format_duration(longest),
        "maxDrain": None if guard.max_drain is None else format_duration(guard.max_drain),
        "mayRelease": guard.may_release,
        "isUsable": not guard.problem,
        **({} if forwarding is None else {"forwarding": forwarding_json(forwarding)}),
    }


def forwarding_json(forwarding: Forwarding) -> dict[str, Any]:
    """What a gateway may open behind it; of what is not named it opens nothing."""
    return {
        "networks": [str(each) for each in forwarding.networks],
        "publicAddresses": [str(each) for each in forwarding.addresses],
        "publicPorts": {"first": forwarding.first, "last": forwarding.last}
        if forwarding.last
        else None,
    }


def point_state(point: EnforcementPoint, now: datetime) -> str:
    """``partlyOnline``: of gateways in parallel some are silent; a request opens through the others."""
    if is_online(point, now):
        return "online"
    if is_way_heard(point, now):
        return "partlyOnline"
    return "neverSeen" if point.last_contact_at is None else "offline"


def no_proxy() -> Conflict:
    return Conflict(
        "This server knows no proxy through which an agent could come.",
        code="NoProxy",
        target="throughProxy",
        advice="Name it: bascule serve --proxy ADDRESS. For an agent that calls the server itself, "
        "omit --through-proxy.",
    )


def install_command(server: str, *, replaces: bool) -> str:
    """What root runs on a host that has Bascule."""
    more = " --replace" if replaces else ""
    return f"bascule agent install --server {server}{more}"


def enrolment_json(
    enrolment: Enrolment,
    token: str,
    ca_fingerprint: str,
    server: str,
    *,
    replaces: bool,
    packages: Packages | None,
) -> dict[str, Any]:
    """The one answer that holds the token in the clear; the commands ask for it on the host."""
    bare = (
        {}
        if packages is None
        else {"bareHostCommand": packages.line(server, ca_fingerprint, replaces=replaces)}
    )
    return {
        "properties": bare
        | {
            "token": token,
            "expiresAt": format_utc(enrolment.expires_at),
            "machineUid": enrolment.machine_uid,
            "caFingerprint": ca_fingerprint,
            "command": f"bascule agent run --server {server}",
            "installCommand": install_command(server, replaces=replaces),
        }
    }
