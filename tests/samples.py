"""Small whole values of the domain, to be changed in one place by a test: ``replace(GRANT, ...)``.

What is not here: anything random (``tests.strategies``) and anything that does I/O.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId, machine_id, policy_id
from bascule.domain.machine import Machine, OnExpiry, OsType
from bascule.domain.net import (
    AddressPrefix,
    PortKey,
    RuleProtocol,
    TransportProtocol,
    parse_address,
)
from bascule.domain.policy import MachineRules, Policy, PortRule
from bascule.domain.request import AccessRequest, RequestedMachine, RequestedPort
from bascule.domain.times import format_utc

NOW = datetime(2030, 1, 31, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
WEB = machine_id(SUBSCRIPTION, "default", "web-1")
DB = machine_id(SUBSCRIPTION, "default", "db-1")
POLICY_ID = policy_id(SUBSCRIPTION, "default", "local", "default")

TCP = TransportProtocol.TCP
UDP = TransportProtocol.UDP
SSH = PortKey(TCP, 22)
DNS = PortKey(UDP, 53)


def prefixes(*texts: str) -> tuple[AddressPrefix, ...]:
    return tuple(AddressPrefix.parse(text) for text in texts)


ANYWHERE = prefixes("*")
ALICE_HOST = prefixes("192.0.2.10")
BOB_HOST = prefixes("192.0.2.20")


def machine(identity: ResourceId = WEB, uid: str = "uid-web") -> Machine:
    return Machine(identity, uid, "local", OsType.LINUX, (parse_address("10.0.0.1"),), {}, NOW)


def rule(
    number: int = 22,
    protocol: RuleProtocol = RuleProtocol.TCP,
    sources: tuple[AddressPrefix, ...] = ANYWHERE,
    longest: timedelta = 3 * HOUR,
    on_expiry: OnExpiry = OnExpiry.KEEP,
    *,
    justified: bool = False,
) -> PortRule:
    return PortRule(number, protocol, sources, longest, on_expiry, justified)


def policy(*ports: PortRule, identity: ResourceId = WEB) -> Policy:
    return Policy(POLICY_ID, "Basic", (MachineRules(identity, ports or (rule(),)),))


def asked(
    number: int = 22,
    sources: tuple[AddressPrefix, ...] = ALICE_HOST,
    span: timedelta = HOUR,
    now: datetime = NOW,
) -> RequestedPort:
    return RequestedPort(number, sources, now + span, format_utc(now + span))


def request(
    *ports: RequestedPort,
    identity: ResourceId = WEB,
    who: str = "alice",
    why: str | None = None,
    now: datetime = NOW,
) -> AccessRequest:
    named = (RequestedMachine(identity, ports or (asked(now=now),)),)
    return AccessRequest("request-1", POLICY_ID, who, who.title(), why, now, named)


def ids(prefix: str = "grant") -> Callable[[], str]:
    counter = itertools.count(1)
    return lambda: f"{prefix}-{next(counter)}"


def grant(
    identity: str = "grant-0",
    who: str = "alice",
    sources: tuple[AddressPrefix, ...] = ALICE_HOST,
    span: timedelta = HOUR,
    number: int = 22,
    protocol: RuleProtocol = RuleProtocol.TCP,
    uid: str = "uid-web",
) -> Grant:
    return Grant(
        id=identity,
        request_id="request-0",
        policy_id=POLICY_ID,
        machine_uid=uid,
        machine_id=WEB,
        requestor_id=who,
        requestor=who.title(),
        number=number,
        protocol=protocol,
        sources=sources,
        on_expiry=OnExpiry.KEEP,
        max_duration=3 * HOUR,
        started_at=NOW,
        ends_at=NOW + span,
        ends_at_text=format_utc(NOW + span),
    )


def codes(problems: Iterable[object]) -> list[str]:
    return [str(getattr(each, "code", "")) for each in problems]
